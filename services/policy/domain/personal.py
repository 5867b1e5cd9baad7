"""What do a client's profile and consents come to, by the rules in force?

A profile is what is known of a client: facts with a date, not wishes. The rule of the tree (`ProfileRule`) makes a risk
budget of it, and of the budget a model. The answer is a pure function of rule, profile and day, so a birthday changes
it without anybody doing anything, and the same day always gives the same answer.

What the client did not say is judged by the most cautious row of the list that asks for it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TypeVar

from services.kernel.canonical import canonical_json, content_hash
from services.kernel.decimals import plain
from services.kernel.errors import Violations
from services.kernel.ids import PolicyNodeId
from services.policy.domain.content import plain_value
from services.policy.domain.document import Document
from services.policy.domain.eligibility import Eligibility
from services.policy.domain.identity import ClientIdentity
from services.policy.domain.merge import Effective, Layer, Origin
from services.policy.domain.mixes import Targets, TargetWeight
from services.policy.domain.personal_rules import (
    AgeBudget,
    BudgetModel,
    ClientTerms,
    HorizonBudget,
    IncomePath,
    LiquidityBudget,
    ProfileRule,
    ToleranceBudget,
)

TOLERANCE_MAX = 10
AGE_MAX = 130
_ONE = Decimal(1)

R = TypeVar("R", ToleranceBudget, HorizonBudget, LiquidityBudget, AgeBudget)


@dataclass(frozen=True, slots=True)
class Profile:
    """What is known of a client.

    Attributes:
        tolerance: For risk, 1 (least) to 10; None if nobody asked.
        horizon_date: When the money is needed.
        liquidity_need: Fraction of the account that may be needed within a year, 0 to 1.
        residence: Country, ISO 3166-1 alpha-2.
        wrapper: Kind of the account; None for a household.
        identity: Who the client is for supervisors.
    """

    birth_date: date
    tolerance: int | None = None
    horizon_date: date | None = None
    income_path: IncomePath | None = None
    liquidity_need: Decimal | None = None
    residence: str | None = None
    wrapper: str | None = None
    identity: ClientIdentity | None = None

    def check(self, today: date) -> None:
        """Refuse what cannot be.

        Raises:
            Invalid: With a violation for each field.
        """
        found = Violations()
        if not today.replace(year=today.year - AGE_MAX, day=1) <= self.birth_date <= today:
            found.add(
                "profile.birth_date",
                f"must be a day in the {AGE_MAX} years up to {today.isoformat()}, was {self.birth_date.isoformat()}",
            )
        if self.tolerance is not None and not 1 <= self.tolerance <= TOLERANCE_MAX:
            found.add("profile.tolerance", f"must be 1 to {TOLERANCE_MAX}, was {self.tolerance}")
        need = self.liquidity_need
        if need is not None and not (need.is_finite() and 0 <= need <= 1):
            found.add("profile.liquidity_need", f"must be 0 to 1, was {need}")
        if self.identity is not None:
            self.identity.check(found)
        found.raise_if_any()


@dataclass(frozen=True, slots=True)
class ProfileRecord:
    """A profile as it was recorded for an account or household.

    Attributes:
        sequence: 1 for the first of a node, then counting.
        effective_time: It holds from this business instant on.
        recorded_time: When it was recorded.
    """

    node_id: PolicyNodeId
    sequence: int
    profile: Profile
    author: str
    reason: str
    effective_time: datetime
    recorded_time: datetime


@dataclass(frozen=True, slots=True)
class Consent:
    """What a client agreed to, or no longer does.

    Attributes:
        kind: Of consent, for instance `discretionary-mandate`.
        given: False when it was withdrawn.
        evidence: Where the proof is, for instance a document's id.
        effective_time: From this business instant on.
        expire_time: From this instant on it is not valid; None for no end.
    """

    node_id: PolicyNodeId
    kind: str
    sequence: int
    given: bool
    evidence: str
    author: str
    effective_time: datetime
    recorded_time: datetime
    expire_time: datetime | None = None

    def valid(self, at: datetime) -> bool:
        """Return whether it permits something at the instant `at`, being the last word on its kind by then."""
        return self.given and self.effective_time <= at and (self.expire_time is None or at < self.expire_time)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a rule makes of a profile on a day.

    Attributes:
        risk_budget: Yearly volatility.
        model: The model that it leads to.
        decided_by: What is the narrowest, in words.
    """

    risk_budget: Decimal
    model: BudgetModel
    decided_by: str


def outcome(rule: ProfileRule, profile: Profile, day: date) -> Outcome | None:
    """Return what `rule` makes of `profile` on `day`; None if it leads to no model."""
    found: list[tuple[Decimal, str]] = []
    if rule.tolerances:
        found.append(_of(rule.tolerances, profile.tolerance, lambda row: row.tolerance))
    if rule.horizons:
        left = None if profile.horizon_date is None else years_left(profile.horizon_date, day)
        found.append(_of(rule.horizons, left, lambda row: row.years))
    if rule.liquidity:
        found += _if_any(rule.liquidity, profile.liquidity_need, lambda row: row.need)
    if rule.glide_path:
        found += _if_any(rule.glide_path, age_on(profile.birth_date, day), lambda row: row.age)
    income = [row for row in rule.income if row.income_path is profile.income_path]
    if income:
        found.append((income[0].risk_budget, income[0].about))
    elif rule.income and profile.income_path is None:
        found.append((min(row.risk_budget for row in rule.income), "an unknown income"))
    if not found:
        return None
    budget, decided_by = min(found)
    models = [model for model in rule.models if model.risk_budget <= budget]
    return Outcome(budget, models[-1], decided_by) if models else None


def shifted(rule: ProfileRule, model: BudgetModel, steps: int) -> BudgetModel:
    """Return the model `steps` up (or down, when negative) from `model`; the first or last where there is no more."""
    place = rule.models.index(model) + steps
    return rule.models[max(0, min(place, len(rule.models) - 1))]


def profile_layer(merged: Effective, record: ProfileRecord, at: datetime) -> Layer | None:
    """Return what the rule of `merged` says for a client at the instant `at`; None if it says nothing.

    It is as if the version that holds the rule said it, so it names that version, its author and its approver.
    """
    if not merged.layers:
        return None
    profile = record.profile
    rule = merged.document.profile_rule
    found = outcome(rule, profile, at.astimezone(UTC).date()) if rule.models else None
    says: dict[str, object] = {}
    if found is not None:
        line = TargetWeight(_ONE, model_node_id=found.model.model_node_id)
        says["targets"] = Targets((line,), Decimal(0), model_name=str(found.model.model_node_id))
        says["client"] = ClientTerms(risk_budget=found.risk_budget)
    if profile.residence is not None or profile.wrapper is not None:
        says["eligibility"] = Eligibility(profile.residence, profile.wrapper)
    if not says:
        return None
    document = Document(**says)  # type: ignore[arg-type] # the sections above
    source = merged.sources["profile_rule.models"][0] if found is not None else merged.layers[-1]
    why = "the client's profile" if found is None else _why(source, found)
    return Layer(
        node_id=source.node_id,
        version_id=source.version_id,
        document=document,
        change_id=source.change_id,
        author=source.author,
        approver=source.approver,
        reason=why,
        effective_time=max(source.effective_time, record.effective_time, _since(rule, profile, at)),
        approved_time=source.approved_time,
        origin=Origin.PROFILE_RULE,
        outcome=content_hash(canonical_json([plain_value(document), why])),
    )


def years_left(horizon_date: date, day: date) -> int:
    """Return the whole years from `day` to `horizon_date`, 0 when it has passed.

    A horizon on 29 February counts from 28 February in years without one.
    """
    years = horizon_date.year - day.year
    while years > 0 and day > _same_day(horizon_date, horizon_date.year - years, after=False):
        years -= 1
    return max(0, years)


def age_on(birth_date: date, day: date) -> int:
    """Return the completed years of age; who was born on 29 February completes them on 1 March in other years."""
    years = day.year - birth_date.year
    return max(0, years if day >= _same_day(birth_date, day.year, after=True) else years - 1)


def next_anniversary(profile: Profile, day: date) -> date:
    """Return the next day after `day` on which age or years left can change."""
    found = [_next(profile.birth_date, day, after=True)]
    if profile.horizon_date is not None:
        # The years left fall on the day after the anniversary.
        found.append(_next(profile.horizon_date, day - timedelta(days=1), after=False) + timedelta(days=1))
    return min(found)


def start_of(day: date) -> datetime:
    """Return the instant at which `day` begins, UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def valid_kinds(consents: Iterable[Consent], at: datetime) -> frozenset[str]:
    """Return the kinds of consent that are valid at the instant `at`.

    Args:
        consents: Of one node, those that took effect by then, in any order; the last of a kind is what counts.
        at: The instant.
    """
    last: dict[str, Consent] = {}
    for each in sorted(consents, key=lambda consent: (consent.effective_time, consent.sequence)):
        if each.effective_time <= at:
            last[each.kind] = each
    return frozenset(kind for kind, consent in last.items() if consent.valid(at))


def missing(
    required: Sequence[str], nodes: Iterable[PolicyNodeId], valid: Mapping[PolicyNodeId, frozenset[str]]
) -> tuple[str, ...]:
    """Return the required kinds that neither the account nor a node above it has a valid consent of."""
    if not required:
        return ()
    given = frozenset(kind for node_id in nodes for kind in valid.get(node_id, ()))
    return tuple(sorted(set(required) - given))


def _of(rows: tuple[R, ...], value: Decimal | int | None, of: Callable[[R], Decimal | int]) -> tuple[Decimal, str]:
    """Return the budget of the highest row that is not above `value`; of the most cautious when that is unknown."""
    if value is None:
        return (min(row.risk_budget for row in rows), f"an unknown {_ASKED[type(rows[0])]}")
    at_most = [row for row in rows if of(row) <= value]
    row = at_most[-1] if at_most else min(rows, key=lambda each: each.risk_budget)
    return (row.risk_budget, row.about)


def _if_any(
    rows: tuple[R, ...], value: Decimal | int | None, of: Callable[[R], Decimal | int]
) -> list[tuple[Decimal, str]]:
    """Return the same, and nothing when every row is above `value`: less age or need limits nothing."""
    return [] if value is not None and of(rows[0]) > value else [_of(rows, value, of)]


_ASKED: Mapping[type, str] = {
    ToleranceBudget: "tolerance",
    HorizonBudget: "horizon",
    LiquidityBudget: "need for liquidity",
    AgeBudget: "age",
}


def _why(source: Layer, found: Outcome) -> str:
    return (
        f"profile rule version {source.version_id}: {found.decided_by} allows a risk budget of "
        f"{plain(found.risk_budget)}, so the model is {found.model.model_node_id}"
    )


def _since(rule: ProfileRule, profile: Profile, at: datetime) -> datetime:
    """Return since when age and horizon lead to what they lead to now."""
    days = [_same_day(profile.birth_date, profile.birth_date.year + row.age, after=True) for row in rule.glide_path]
    if profile.horizon_date is not None:
        horizon = profile.horizon_date
        days += [
            _same_day(horizon, horizon.year - row.years, after=False) + timedelta(days=1)
            for row in rule.horizons
            if horizon.year > row.years
        ]
    return max((start_of(day) for day in days if start_of(day) <= at), default=datetime.min.replace(tzinfo=UTC))


def _next(anniversary: date, day: date, *, after: bool) -> date:
    this_year = _same_day(anniversary, day.year, after=after)
    return this_year if this_year > day else _same_day(anniversary, day.year + 1, after=after)


def _same_day(day: date, year: int, *, after: bool) -> date:
    """Return the day in another year; for 29 February 1 March or 28 February where there is none."""
    try:
        return day.replace(year=year)
    except ValueError:
        return date(year, 3, 1) if after else date(year, 2, 28)
