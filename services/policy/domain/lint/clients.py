"""Rules that look at how profiles become models, and at how far preferences go."""

from collections.abc import Callable, Iterator
from decimal import Decimal

from services.kernel.decimals import plain
from services.policy.domain.document import Document
from services.policy.domain.lint.finding import Finding, error, warning

_RULE = "profile_rule"
_MODELS = "profile_rule.models"


def budgets_lead_to_models(document: Document) -> Iterator[Finding]:
    """Whatever budget the rule gives, there is a model for it, and budgets come from somewhere."""
    rule = document.profile_rule
    lists: tuple[tuple[str, tuple[Decimal, ...]], ...] = (
        ("tolerances", tuple(row.risk_budget for row in rule.tolerances)),
        ("horizons", tuple(row.risk_budget for row in rule.horizons)),
        ("liquidity", tuple(row.risk_budget for row in rule.liquidity)),
        ("income", tuple(row.risk_budget for row in rule.income)),
        ("glide_path", tuple(row.risk_budget for row in rule.glide_path)),
    )
    if not rule.models:
        return
    if not any(budgets for _, budgets in lists):
        yield error("RULE_WITHOUT_BUDGET", (_MODELS,), "models are chosen by a risk budget, and nothing says any")
        return
    for name, first, what in (
        ("tolerances", min((row.tolerance for row in rule.tolerances), default=1) == 1, "tolerance of 1"),
        ("horizons", min((row.years for row in rule.horizons), default=0) == 0, "horizon of 0 years"),
    ):
        if not first:
            yield error("RULE_HAS_A_GAP", (f"{_RULE}.{name}", _MODELS), f"no row says what a {what} allows")
    lowest = min(model.risk_budget for model in rule.models)
    for name, budgets in lists:
        below = [budget for budget in budgets if budget < lowest]
        if below:
            yield error(
                "RULE_LEAVES_NO_MODEL",
                (f"{_RULE}.{name}", _MODELS),
                f"a client can have a budget of {plain(min(below))}, and the least that any model needs is "
                f"{plain(lowest)}",
            )


def budgets_are_ordered(document: Document) -> Iterator[Finding]:
    """More tolerance or a longer horizon allows no less risk; more age or need for liquidity no more."""
    rule = document.profile_rule
    rows = (
        ("tolerances", [row.risk_budget for row in rule.tolerances], "tolerance", False),
        ("horizons", [row.risk_budget for row in rule.horizons], "horizon", False),
        ("liquidity", [row.risk_budget for row in rule.liquidity], "need for liquidity", True),
        ("glide_path", [row.risk_budget for row in rule.glide_path], "age", True),
    )
    for name, budgets, what, falling in rows:
        if budgets != sorted(budgets, reverse=falling):
            way = "more" if falling else "less"
            yield warning("BUDGETS_UNUSUAL", (f"{_RULE}.{name}",), f"somewhere more {what} allows {way} risk")


def preferences_have_room(document: Document) -> Iterator[Finding]:
    """Limits of preferences leave something, and those of changes say over how long."""
    said = document.preferences
    low, high = said.tax_importance_minimum, said.tax_importance_maximum
    if low is not None and high is not None and low > high:
        yield error(
            "PREFERENCE_WITHOUT_ROOM",
            ("preferences.tax_importance_minimum", "preferences.tax_importance_maximum"),
            f"the least importance of tax must be at most the most, was {plain(low)} and {plain(high)}",
        )
    if said.window_days is None:
        for name in ("tax_change_limit", "risk_change_limit", "tilt_change_limit"):
            if getattr(said, name) is not None:
                yield error(
                    "WINDOW_MISSING",
                    (f"preferences.{name}", "preferences.window_days"),
                    f"{name} limits changes over window_days, which is not set here or above",
                )
    if (low is None) != (high is None):
        yield warning(
            "PREFERENCE_UNUSED",
            ("preferences.tax_importance_minimum", "preferences.tax_importance_maximum"),
            "clients may choose the importance of tax once both its least and its most are set",
        )


CLIENT_RULES: tuple[Callable[[Document], Iterator[Finding]], ...] = (
    budgets_lead_to_models,
    budgets_are_ordered,
    preferences_have_room,
)
