from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.policy.domain.personal import (
    Consent,
    Profile,
    age_on,
    missing,
    next_anniversary,
    outcome,
    start_of,
    valid_kinds,
    years_left,
)
from services.policy.domain.personal_rules import (
    AgeBudget,
    BudgetModel,
    HorizonBudget,
    IncomeBudget,
    IncomePath,
    LiquidityBudget,
    ProfileRule,
    ToleranceBudget,
)
from tests.policy.builders import DAY, NOON

LEAP = date(2000, 2, 29)
TODAY = date(2026, 3, 3)
DAYS = st.dates(date(1950, 1, 1), date(2060, 12, 31))


def budget(text):
    return Decimal(text)


RULE = ProfileRule(
    tolerances=tuple(ToleranceBudget(t, budget(b)) for t, b in ((1, "0.04"), (4, "0.1"), (8, "0.2"))),
    horizons=(HorizonBudget(0, budget("0.04")), HorizonBudget(5, budget("0.1")), HorizonBudget(15, budget("0.2"))),
    liquidity=(LiquidityBudget(budget("0.2"), budget("0.08")),),
    income=(IncomeBudget(IncomePath.NONE, budget("0.06")), IncomeBudget(IncomePath.GROWING, budget("0.2"))),
    glide_path=(AgeBudget(60, budget("0.1")), AgeBudget(75, budget("0.05"))),
    models=tuple(BudgetModel(budget(b), name) for b, name in (("0.04", "low"), ("0.1", "middle"), ("0.2", "high"))),
)  # fmt: skip
BOLD = {
    "tolerance": 9,
    "horizon_date": date(2060, 1, 1),
    "income_path": IncomePath.GROWING,
    "liquidity_need": Decimal(0),
}


def led(day=TODAY, born=date(1980, 1, 1), **changed):
    found = outcome(RULE, Profile(born, **{**BOLD, **changed}), day)
    return found.model.model_node_id, str(found.risk_budget), found.decided_by


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, ("high", "0.2", "15 years")),
        ({"tolerance": 7}, ("middle", "0.1", "tolerance 4")),
        ({"tolerance": 4}, ("middle", "0.1", "tolerance 4")),
        ({"tolerance": 3}, ("low", "0.04", "tolerance 1")),
        ({"horizon_date": date(2031, 3, 3)}, ("middle", "0.1", "5 years")),
        ({"horizon_date": date(2031, 3, 2)}, ("low", "0.04", "0 years")),
        ({"horizon_date": date(2020, 1, 1)}, ("low", "0.04", "0 years")),
        ({"liquidity_need": Decimal("0.2")}, ("low", "0.08", "need of 0.2")),
        ({"liquidity_need": Decimal("0.19")}, ("high", "0.2", "15 years")),
        ({"income_path": IncomePath.NONE}, ("low", "0.06", "no income")),
        # A path of which no row speaks says nothing.
        ({"income_path": IncomePath.STABLE}, ("high", "0.2", "15 years")),
        ({"born": date(1966, 3, 3)}, ("middle", "0.1", "age 60")),
        ({"born": date(1966, 3, 4)}, ("high", "0.2", "15 years")),
        ({"born": date(1940, 1, 1)}, ("low", "0.05", "age 75")),
    ],
)
def test_the_narrowest_of_what_each_list_allows_leads_to_the_model(changed, expected):
    assert led(**changed) == expected


@pytest.mark.parametrize("unknown", ["tolerance", "horizon_date", "income_path", "liquidity_need"])
def test_what_a_client_did_not_say_is_judged_by_the_most_cautious_row(unknown):
    least = {"tolerance": "0.04", "horizon_date": "0.04", "income_path": "0.06", "liquidity_need": "0.08"}

    model, found, why = led(**{unknown: None})

    assert (model, found) == ("low", least[unknown])
    assert why.startswith("an unknown ")


def test_a_rule_without_models_or_rows_leads_nowhere():
    profile = Profile(date(1980, 1, 1), tolerance=5)

    assert outcome(ProfileRule(), profile, TODAY) is None
    assert outcome(ProfileRule(models=RULE.models), profile, TODAY) is None
    too_low = ProfileRule(tolerances=(ToleranceBudget(1, budget("0.01")),), models=RULE.models)
    assert outcome(too_low, profile, TODAY) is None


@pytest.mark.parametrize(
    ("birth", "day", "age"),
    [
        (date(1966, 3, 5), date(2026, 3, 4), 59),
        (date(1966, 3, 5), date(2026, 3, 5), 60),
        (LEAP, date(2018, 2, 28), 17),
        (LEAP, date(2018, 3, 1), 18),
        (LEAP, date(2020, 2, 28), 19),
        (LEAP, date(2020, 2, 29), 20),
        (date(2026, 3, 3), date(2026, 3, 3), 0),
    ],
)
def test_age_is_in_completed_years(birth, day, age):
    assert age_on(birth, day) == age


@pytest.mark.parametrize(
    ("horizon", "day", "years"),
    [
        (date(2031, 3, 3), date(2026, 3, 3), 5),
        (date(2031, 3, 3), date(2026, 3, 4), 4),
        (date(2028, 2, 29), date(2027, 2, 28), 1),
        (date(2028, 2, 29), date(2027, 3, 1), 0),
        (date(2026, 3, 3), date(2026, 3, 3), 0),
        (date(2020, 1, 1), date(2026, 3, 3), 0),
    ],
)
def test_years_left_are_whole_years(horizon, day, years):
    assert years_left(horizon, day) == years


@given(DAYS, st.none() | DAYS, DAYS)
def test_age_and_years_left_change_on_anniversaries_only(birth, horizon, day):
    profile = Profile(birth, horizon_date=horizon)
    until = next_anniversary(profile, day)

    def facts(at):
        return age_on(birth, at), None if horizon is None else years_left(horizon, at)

    assert day < until <= day + timedelta(days=366)
    assert facts(until - timedelta(days=1)) == facts(day)


@given(DAYS, DAYS, st.integers(0, 400))
def test_age_never_falls_and_years_left_never_rise(one, day, later):
    then = day + timedelta(days=later)

    assert age_on(one, then) >= age_on(one, day)
    assert years_left(one, then) <= years_left(one, day)


def consent(kind="mandate", sequence=1, *, given=True, at=NOON, until=None):
    return Consent("family", kind, sequence, given, "d", "ada", at, at, until)


def test_the_last_word_on_a_kind_of_consent_counts():
    assert valid_kinds([], NOON) == frozenset()
    assert valid_kinds([consent()], NOON - timedelta(microseconds=1)) == frozenset()
    assert valid_kinds([consent()], NOON) == {"mandate"}
    assert valid_kinds([consent(until=NOON + DAY)], NOON + DAY) == frozenset()
    withdrawn = [consent(), consent(sequence=2, given=False, at=NOON + DAY)]
    assert valid_kinds(withdrawn, NOON) == {"mandate"}
    assert valid_kinds(withdrawn, NOON + DAY) == frozenset()
    # At one instant the one that was recorded later counts.
    assert valid_kinds([consent(sequence=2, given=False), consent()], NOON) == frozenset()


def test_a_consent_of_the_household_is_its_accounts():
    valid = {"family": frozenset({"mandate"}), "acc": frozenset({"esg"})}

    assert missing(("mandate", "esg", "data"), ["acc", "family", "firm"], valid) == ("data",)
    assert missing((), ["acc"], {}) == ()


def test_a_day_begins_at_midnight_utc():
    assert start_of(date(2026, 3, 5)) == datetime(2026, 3, 5, tzinfo=UTC)
