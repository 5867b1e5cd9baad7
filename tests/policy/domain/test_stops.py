from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.money import Money
from services.policy.app.stopping import PAUSE
from services.policy.domain.document import EMPTY, FIELDS, CostSettings, Document, RestrictionKind, SafetyNets
from services.policy.domain.errors import SelfResume, StopNotSafer, StopState
from services.policy.domain.history import AsOf
from services.policy.domain.merge import effective
from services.policy.domain.stops import TIGHTER, as_safe, check_only_safer, tightened
from tests.policy.builders import DAY, NOON, a_layer, a_stop, restricted, targets
from tests.policy.strategies import documents, values

SECOND = DAY / 86_400


@st.composite
def safe_documents(draw):
    """Draw a document that a stop may say."""
    chosen = draw(st.lists(st.sampled_from(sorted(TIGHTER)), unique=True, min_size=1, max_size=4))
    said = {}
    for path in chosen:
        value = draw(values(FIELDS[path]))
        if path == "restrictions.items":
            value = tuple(each for each in value if each.kind is not RestrictionKind.EXCLUDED)
        said[path] = True if isinstance(value, bool) else value
    return FIELDS.document({path: value for path, value in said.items() if value != ()})


@given(st.lists(documents(), max_size=3), st.lists(safe_documents(), min_size=1, max_size=3))
def test_whatever_a_stop_says_nothing_is_looser_than_before(path, said):
    before = effective([a_layer(f"n{number}", document) for number, document in enumerate(path)])
    stops = [a_stop(document=each, stop_id=f"s{n}") for n, each in enumerate(said) if each != EMPTY]

    after = tightened(before, stops)

    assert as_safe(before.document, after.document)
    assert set(after.sources) == {field.path for field, _ in FIELDS.set_in(after.document)}
    for stop in stops:
        # What the stop says is reached, or what was there is tighter still: saying it again changes nothing.
        assert tightened(after, [stop]).document == after.document
    assert tightened(before, stops[::-1]).document == after.document


@given(documents(), documents())
def test_what_is_as_safe_differs_only_where_a_stop_could_make_it_so(before, after):
    if as_safe(before, after):
        for field in FIELDS:
            if field.read(before) != field.read(after):
                assert field.path in TIGHTER
    assert as_safe(before, before)
    assert as_safe(before, tightened(effective([a_layer("n", before)]), [a_stop()]).document)


def test_pausing_outlasts_whatever_a_level_below_says():
    path = [a_layer("firm", targets(VTI="1")), a_layer("acc", Document(safety=SafetyNets(paused=False)))]

    found = tightened(effective(path), [a_stop()])

    assert found.document.safety.paused is True
    assert found.sources["safety.paused"][0].author == "ann"
    assert found.version_ids[-1] == a_stop().version_id


def limit(value):
    return Document(cost=CostSettings(turnover_limit=Decimal(value)))


@pytest.mark.parametrize(
    ("before", "said", "after"), [("0.3", "0.1", "0.1"), ("0.05", "0.1", "0.05"), (None, "0.1", "0.1")]
)
def test_a_limit_is_only_lowered(before, said, after):
    path = [] if before is None else [a_layer("firm", limit(before))]

    found = tightened(effective(path), [a_stop(document=limit(said))])

    assert found.document == limit(after)


def daily(amount, currency="USD"):
    return Document(safety=SafetyNets(daily_value_limit=Money(Decimal(amount), currency)))


@pytest.mark.parametrize(
    ("before", "said", "after"),
    [
        (daily(1_000), daily(250), daily(250)),
        (daily(100), daily(250), daily(100)),
        (EMPTY, daily(250), daily(250)),
        # What cannot be compared is not loosened by accident: every plan waits for a person.
        (daily(100), daily(250, "EUR"), daily(0, "EUR")),
    ],
)
def test_a_limit_in_money_is_only_lowered(before, said, after):
    assert tightened(effective([a_layer("firm", before)]), [a_stop(document=said)]).document == after


@pytest.mark.parametrize(
    ("document", "field"),
    [
        (Document(safety=SafetyNets(paused=False)), "document.safety.paused"),
        (targets(VTI="1"), "document.targets.weights"),
        (restricted("VTI", RestrictionKind.EXCLUDED), "document.restrictions.items"),
        (limit("-1"), "document.cost.turnover_limit"),
        (daily(-1), "document.safety.daily_value_limit"),
        (EMPTY, "document"),
    ],
)
def test_what_could_loosen_or_cause_trades_is_refused_by_its_field(document, field):
    with pytest.raises(StopNotSafer) as refused:
        check_only_safer(document)
    assert [each.field for each in refused.value.violations] == [field]
    with pytest.raises(StopNotSafer):
        a_stop(document=document)


def test_a_stop_holds_from_its_time_until_it_is_lifted_as_anybody_knew():
    stop = a_stop()
    lifted = stop.lifted("bob", reason="fine", at=NOON + DAY, market_time=NOON + DAY)

    assert [stop.holds(AsOf(NOON + each)) for each in (-SECOND, 0 * DAY, DAY)] == [False, True, True]
    assert [lifted.holds(AsOf(NOON + each)) for each in (-SECOND, 0 * DAY, DAY - SECOND, DAY)] == [
        False, True, True, False,
    ]  # fmt: skip
    assert lifted.holds(AsOf(NOON + DAY, NOON + DAY - SECOND))
    assert not lifted.holds(AsOf(NOON, NOON - SECOND))


def test_whoever_stopped_does_not_lift_and_nobody_lifts_twice():
    stop = a_stop()
    with pytest.raises(SelfResume):
        stop.lifted("ann", reason="fine", at=NOON, market_time=NOON)
    lifted = stop.lifted("bob", reason="fine", at=NOON, market_time=NOON - DAY)
    assert lifted.lift_time == stop.effective_time
    with pytest.raises(StopState):
        lifted.lifted("cy", reason="fine", at=NOON, market_time=NOON)
    with pytest.raises(SelfResume):
        replace(lifted, lifter="ann")


def test_every_field_that_a_stop_may_set_exists():
    assert {path for path in TIGHTER if FIELDS.get(path) is None} == set()
    check_only_safer(PAUSE)
