"""An error names fields that conflict whatever else is set, and none of which can be left out."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.money import Money
from services.policy.domain.document import FIELDS, Document, FilingStatus, Guardrail, Pause, YearlyGainBudget
from services.policy.domain.eligibility import BuyList, EquivalenceSet, Screen
from services.policy.domain.guardrails import with_guardrails
from services.policy.domain.lint import Severity, conflicts, lint_merged, lint_own
from services.policy.domain.lint.conflict import irreducible
from services.policy.domain.lint.merged import MERGED_RULES
from services.policy.domain.mixes import Combine, Distance, Targets, TargetWeight
from services.policy.domain.personal_rules import (
    AgeBudget,
    BudgetModel,
    HorizonBudget,
    PreferenceLimits,
    ProfileRule,
    ToleranceBudget,
)
from services.policy.domain.plain import NoMix, worked_out
from services.policy.domain.risk_limits import ClassLimit, StressLimit, StressMove
from tests.policy.builders import DAY, NOON, bands, both, guarded, restricted, risk, targets
from tests.policy.strategies import documents

USD_100 = Money(Decimal(100), "USD")


def said(values):
    return FIELDS.document(values)


def classes(*limits):
    return said({"risk.class_limits": limits})


def stressed(limit, **changes):
    moves = tuple(StressMove(Decimal(change), each) for each, change in changes.items())
    return said({"risk.stress_limits": (StressLimit("2008", moves, Decimal(limit)),)})


def errors(document):
    return [f for f in lint_merged(document, NOON) if f.severity is Severity.ERROR]


def rules(document, severity=Severity.ERROR):
    return [(f.rule, f.fields) for f in lint_merged(document, NOON) if f.severity is severity]


def own(document):
    return [(f.rule, f.fields) for f in lint_own(document, {}) if f.severity is Severity.ERROR]


@given(documents(), documents())
def test_every_error_names_an_irreducible_set_of_fields(one, other):
    """Clear any one of the fields and the error is gone; keep them alone and it is there."""
    document = both(one, other)
    if any(f.severity is Severity.ERROR for f in lint_own(document, {})):
        return
    try:
        judged, _ = worked_out(document, NOON, lambda _: None)
    except NoMix:
        return
    for rule in MERGED_RULES:
        for name in {f.rule for f in rule(judged) if f.severity is Severity.ERROR}:
            set_fields = FIELDS.values(judged)
            conflict = conflicts(rule, name, judged)
            found = irreducible(list(set_fields), conflict)
            assert conflict(found)
            assert not any(conflict([f for f in found if f != field]) for field in found)
    for finding in errors(document):
        assert len(set(finding.fields)) == len(finding.fields)


@given(st.sets(st.frozensets(st.integers(0, 7), min_size=1, max_size=3), min_size=1, max_size=4))
def test_the_filter_finds_one_of_the_smallest_sets_that_conflict(conflicting):
    """Whatever conflicts, a set is found that does and of which no part does."""

    def conflict(items):
        return any(each <= set(items) for each in conflicting)

    found = irreducible(range(8), conflict)

    assert frozenset(found) in conflicting
    assert not any(each < frozenset(found) for each in conflicting)


def test_a_conflict_that_clearing_a_field_can_cause_is_still_irreducible():
    def conflict(items):
        # Two alone are fine, one alone is not: rules about what is missing look like this.
        return "a" in items and ("b" not in items or "c" in items)

    assert irreducible(["c", "b", "a"], conflict) == ("a",)


@pytest.mark.parametrize(
    ("document", "rule", "fields"),
    [
        (
            both(targets(VTI="1"), bands(trigger="0.001"), said({
                "bands.minimum_trade": USD_100, "targets.account_minimum": Money(Decimal(10_000), "USD")})),
            "BAND_BELOW_MINIMUM_TRADE",
            ("bands.trigger.absolute", "bands.minimum_trade", "targets.account_minimum", "targets.weights"),
        ),
        (
            classes(ClassLimit("equity", Decimal("0.7")), ClassLimit("bond", Decimal("0.4"))),
            "FLOORS_EXCEED_ONE",
            ("risk.class_limits",),
        ),
        (
            both(risk(cash_floor="0.2"), classes(ClassLimit("equity", Decimal("0.9")))),
            "FLOORS_EXCEED_ONE",
            ("risk.class_limits", "risk.cash_floor"),
        ),
        (
            both(targets(VTI="0.6", BND="0.4"), stressed("0.29", VTI="-0.5", BND="0.01")),
            "STRESS_BEYOND_LIMIT",
            ("risk.stress_limits", "targets.weights"),
        ),
        (
            said({"risk.class_limits": (ClassLimit("equity", Decimal("0.7"), Decimal("0.6")),)}),
            "CLASS_FLOOR_ABOVE_CEILING",
            ("risk.class_limits",),
        ),
        (
            both(targets(VTI="1"), said({
                "eligibility.residence": "DE", "eligibility.wrapper": "PENSION",
                "eligibility.buy_lists": (BuyList("PRIIPs", "DE", None, ("BND",)),)})),
            "TARGET_NOT_ELIGIBLE",
            ("targets.weights", "eligibility.buy_lists", "eligibility.residence"),
        ),
        (
            both(targets(VTI="0.5", GME="0.5"), restricted("GME"), risk(cash_floor="0")),
            "TARGET_EXCLUDED",
            ("targets.weights", "restrictions.items"),
        ),
        (
            Document(profile_rule=ProfileRule(models=(BudgetModel(Decimal("0.1"), "m"),))),
            "RULE_WITHOUT_BUDGET",
            ("profile_rule.models",),
        ),
        (
            Document(profile_rule=ProfileRule(
                tolerances=(ToleranceBudget(1, Decimal("0.05")),), glide_path=(AgeBudget(60, Decimal("0.2")),),
                models=(BudgetModel(Decimal("0.1"), "m"),))),
            "RULE_LEAVES_NO_MODEL",
            ("profile_rule.tolerances", "profile_rule.models"),
        ),
        (
            Document(profile_rule=ProfileRule(
                horizons=(HorizonBudget(5, Decimal("0.1")),), models=(BudgetModel(Decimal("0.1"), "m"),))),
            "RULE_HAS_A_GAP",
            ("profile_rule.horizons", "profile_rule.models"),
        ),
        (
            Document(preferences=PreferenceLimits(risk_change_limit=2)),
            "WINDOW_MISSING",
            ("preferences.risk_change_limit", "preferences.window_days"),
        ),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused_with_the_fewest_fields(document, rule, fields):
    found = [f for f in errors(document) if f.rule == rule]

    assert [set(f.fields) for f in found[:1]] == [set(fields)]


def test_a_smaller_distance_is_judged_by_what_counts():
    smaller = FIELDS.document(
        {
            "bands.trigger.absolute": Decimal("0.05"),
            "bands.trigger.relative": Decimal("0.25"),
            "bands.trigger.combine": Combine.SMALLER,
        }
    )
    fits = both(smaller, bands(relative_destination="0.1"), targets(VTI="0.9", GLD="0.1"))

    # At 0.9 the trigger is 0.05 and the destination 0.09; without `combine` the trigger would be 0.225.
    ((rule, fields),) = rules(fits)
    assert rule == "DESTINATION_OUTSIDE_TRIGGER"
    assert {"targets.weights", "bands.trigger.absolute", "bands.destination.relative"} <= set(fields)
    assert rules(both(smaller, bands(destination="0.02"), targets(VTI="0.9", GLD="0.1"))) == []


def test_a_line_of_its_own_distance_is_judged_by_it():
    line = TargetWeight(Decimal(1), "VTI", trigger=Distance(Decimal("0.01")), destination=Distance(Decimal("0.02")))

    assert "DESTINATION_OUTSIDE_TRIGGER" in [f.rule for f in errors(Document(targets=Targets((line,))))]


@pytest.mark.parametrize(
    ("document", "rule"),
    [
        (said({"safety.pauses": (Pause(NOON, NOON, "x"),)}), "PAUSE_EMPTY"),
        (said({"eligibility.residence": "Germany"}), "RESIDENCE_FORMAT"),
        (said({"eligibility.buy_lists": (BuyList("x", None, None, (), NOON, NOON),)}), "LIST_NEVER_HOLDS"),
        (said({"eligibility.equivalences": (EquivalenceSet("x", ("VTI",)),)}), "EQUIVALENCE_OF_ONE"),
        (said({"eligibility.screens": (Screen("x", ("not an id",)),)}), "INSTRUMENT_FORMAT"),
        (said({"client.required_consents": ("Mandate!",)}), "CONSENT_FORMAT"),
        (said({"client.missing_consents": ("mandate",)}), "OUTPUT_ONLY"),
        (Document(targets=Targets((TargetWeight(Decimal(1), "A", substitutes=("A",)),))), "SUBSTITUTE_TWICE"),
        (said({"profile_rule.tolerances": (ToleranceBudget(11, Decimal("0.1")),)}), "OUT_OF_RANGE"),
        (said({"risk.class_limits": (ClassLimit("e"), ClassLimit("e", Decimal("0.1")))}), "ROW_TWICE"),
        (said({"tax.gain_budgets": (YearlyGainBudget(2026, USD_100), YearlyGainBudget(2026, USD_100))}), "ROW_TWICE"),
        (said({"tax.gain_budgets": (YearlyGainBudget(1, USD_100),)}), "OUT_OF_RANGE"),
        (said({"tax.gain_budgets": (YearlyGainBudget(2026, Money(Decimal(-1), "USD")),)}), "OUT_OF_RANGE"),
        (stressed("0.2", VTI="-1.1"), "OUT_OF_RANGE"),
        (stressed("1.2", VTI="-0.1"), "OUT_OF_RANGE"),
        (said({"risk.stress_limits": (StressLimit("a", (StressMove(Decimal(0), "VTI"),) * 2, Decimal(1)),)}),
         "ROW_TWICE"),
        (guarded("restrictions.items", locked=True), "GUARDRAIL_FIELD"),
        (said({"guardrails": (Guardrail("tax.jurisdiction", maximum_step=Decimal(1)),)}), "GUARDRAIL_KIND"),
        (said({"guardrails": (Guardrail("risk.cash_floor", maximum_step=Decimal(-1)),)}), "GUARDRAIL_RANGE"),
    ],
)  # fmt: skip
def test_rows_that_cannot_be_are_refused(document, rule):
    assert rule in [name for name, _ in own(document)]


@pytest.mark.parametrize(
    ("document", "rule"),
    [
        (said({"eligibility.buy_lists": (BuyList("x", "DE", None, ("BND",)),)}), "RESIDENCE_UNKNOWN"),
        (
            said({"eligibility.equivalences": (
                EquivalenceSet("a", ("VOO", "IVV")), EquivalenceSet("b", ("VOO", "SPY")))}),
            "EQUIVALENCES_MEET",
        ),
        (
            said({
                "targets.weights": (TargetWeight(Decimal(1), "VOO", substitutes=("IVV",)),),
                "eligibility.equivalences": (EquivalenceSet("sp500", ("VOO", "IVV", "SPY")),)}),
            "SUBSTITUTE_IDENTICAL",
        ),
        (
            Document(profile_rule=ProfileRule(tolerances=(
                ToleranceBudget(1, Decimal("0.2")), ToleranceBudget(5, Decimal("0.1"))))),
            "BUDGETS_UNUSUAL",
        ),
        (both(targets(VTI="0.6", BND="0.4"), stressed("0.5", VTI="-0.5")), "STRESS_WITHOUT_MOVE"),
        (said({"tax.taxable_income": USD_100, "tax.jurisdiction": "CA"}), "TAXABLE_INCOME_WITHOUT_EFFECT"),
        (said({"tax.taxable_income": USD_100, "tax.jurisdiction": "US"}), "TAXABLE_INCOME_WITHOUT_EFFECT"),
        (
            said({"tax.filing_status": FilingStatus.SINGLE, "tax.jurisdiction": "US"}),
            "TAXABLE_INCOME_WITHOUT_EFFECT",
        ),
        (said({"tax.state_rate": Decimal("0.05"), "tax.jurisdiction": "GB"}), "FILING_STATUS_WITHOUT_EFFECT"),
        # 26.375 % less the 30 % that InvStG § 20 exempts of equity funds.
        (said({"tax.jurisdiction": "DE", "tax.long_term_rate": Decimal("0.184625")}), "GERMAN_RATE_EXEMPT"),
        (said({"bands.minimum_trade": USD_100, "tax.jurisdiction": "GB"}), "TAX_CURRENCY_OTHER"),
        (said({"tax.gain_harvest_room": USD_100}), "GAIN_HARVEST_SAVES_NOTHING"),
        (
            said({"tax.gain_harvest_room": USD_100, "tax.gain_harvest_importance": Decimal(0),
                  "tax.long_term_rate": Decimal("0.15")}),
            "GAIN_HARVEST_SAVES_NOTHING",
        ),
        (
            said({"tax.gain_harvest_room": USD_100, "tax.long_term_rate": Decimal("0.15"),
                  "tax.gain_budgets": (YearlyGainBudget(2026, Money(Decimal(99), "USD")),)}),
            "GAIN_BUDGET_BELOW_ROOM",
        ),
        (Document(preferences=PreferenceLimits(tax_importance_minimum=Decimal("0.5"))), "PREFERENCE_UNUSED"),
    ],
)  # fmt: skip
def test_what_is_odd_and_legal_is_only_warned_of(document, rule):
    assert errors(document) == []
    assert rule in [name for name, _ in rules(document, Severity.WARNING)]


def test_a_step_that_leaves_nothing_between_the_bounds_above_is_refused():
    above = with_guardrails({}, (Guardrail("risk.cash_floor", minimum=Decimal("0.05")),), "firm", "v")
    step = Document(guardrails=(Guardrail("risk.cash_floor", maximum_step=Decimal("0.01")),))

    found = lint_own(step, above, risk(cash_floor="0.02"))

    assert [f.rule for f in found] == ["GUARDRAIL_NOTHING_LEFT"]
    assert "at least 0.05 and at most 0.03" in found[0].description
    assert lint_own(step, above, risk(cash_floor="0.04")) == ()


def test_an_expired_list_and_one_that_has_not_begun_do_not_count():
    lists = (
        BuyList("old", None, None, ("BND",), None, NOON),
        BuyList("new", None, None, ("BND",), NOON + DAY, None),
    )

    assert rules(both(targets(VTI="1"), said({"eligibility.buy_lists": lists}))) == []
