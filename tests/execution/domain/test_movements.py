"""What moves at a custodian counts once, by its sum, and only where it was not taken already."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.execution.domain.custody import BreakKind, Holdings, compare_holdings
from services.execution.domain.movements import (
    CustodianMovement,
    Delta,
    MovementKind,
    News,
    Taken,
    faults,
    key_of,
    news,
)

DAY = date(2022, 12, 28)
ONE_DAY = timedelta(days=1)
# The custodian spoke of the account long ago, and nobody settled anything.
LONG_AGO = {"acc-1": Taken(DAY - 100 * ONE_DAY, {})}

numbers = st.decimals(min_value=-10_000, max_value=10_000, places=4)


def a_movement(cash=5, kind=MovementKind.DIVIDEND, *, reference="m-1", day=DAY, instrument="VTI", units=0):
    return CustodianMovement("acc-1", reference, kind, day, instrument, Decimal(units), Decimal(cash))


@st.composite
def movements(draw):
    """Return movements with a key each: of some days, instruments and signs."""
    drawn = draw(st.lists(st.tuples(numbers, numbers, st.sampled_from(["VTI", "BND"]), st.integers(0, 3)), max_size=12))
    return [
        a_movement(
            cash,
            MovementKind.CORRECTION,
            reference=f"m-{index}",
            day=DAY - back * ONE_DAY,
            instrument=name,
            units=units,
        )
        for index, (cash, units, name, back) in enumerate(drawn)
    ]


def counted(found):
    return [change for each in found for change in each.changes]


def held(told):
    units = {
        name: sum((each.units for each in told if each.instrument_id == name), Decimal(0)) for name in ("VTI", "BND")
    }
    return Holdings(units, sum((each.cash for each in told), Decimal(1000)))


@given(movements(), st.randoms(use_true_random=False))
def test_what_was_and_what_moved_sum_to_what_there_is_in_whatever_order(told, random):
    before = Holdings({}, Decimal(1000))
    mixed = random.sample(told, len(told))

    assert compare_holdings("acc-1", before, [], counted(news(mixed, {}, LONG_AGO)), held(told)) == []


@given(movements(), st.integers(0, 12))
def test_told_in_parts_and_told_again_each_counts_once(told, at):
    first, all_of_it = told[:at], told
    known = {key_of(each): each for each in first}
    changes = counted(news(first, {}, LONG_AGO)) + counted(news(all_of_it, known, LONG_AGO))

    assert compare_holdings("acc-1", Holdings({}, Decimal(1000)), [], changes, held(told)) == []
    assert news(all_of_it, {key_of(each): each for each in told}, LONG_AGO) == []


@given(movements(), movements())
def test_told_otherwise_the_last_word_is_what_counts(first, last):
    last = [
        *(replace(each, reference=f"other-{each.reference}") for each in last[:3]),
        *(replace(each, cash=each.cash + 1, units=-each.units) for each in first),
    ]
    known = {key_of(each): each for each in first}
    changes = counted(news(first, {}, LONG_AGO)) + counted(news(last, known, LONG_AGO))

    assert compare_holdings("acc-1", Holdings({}, Decimal(1000)), [], changes, held(last)) == []


@given(movements(), numbers.filter(bool))
def test_what_no_movement_tells_is_a_break_of_exactly_that(told, lacking):
    has = held(told)
    changes = counted(news(told, {}, LONG_AGO))
    (found,) = compare_holdings(
        "acc-1", Holdings({}, Decimal(1000)), [], changes, replace(has, cash=has.cash - lacking)
    )

    assert found.kind is BreakKind.CASH
    assert Decimal(found.ours) - Decimal(found.theirs) == lacking


def test_what_was_taken_as_it_was_has_what_moved_until_then():
    both = a_movement(5, units=1)
    (in_cash,) = news([both], {}, {"acc-1": Taken(DAY - ONE_DAY, {None: DAY})})
    (in_units,) = news([both], {}, {"acc-1": Taken(DAY - ONE_DAY, {"VTI": DAY, None: DAY - ONE_DAY})})
    (in_the_first,) = news([both], {}, {"acc-1": Taken(DAY, {})})
    (first_spoken_of,) = news([both], {}, {})

    assert in_cash == News(both, None, (Delta("VTI", Decimal(1)),))
    assert in_units == News(both, None, (Delta(None, Decimal(5)),))
    assert in_the_first.changes == first_spoken_of.changes == ()


@pytest.mark.parametrize(
    ("movement", "wrong"),
    [
        (a_movement(-5, MovementKind.DEPOSIT, instrument=None), [("cash", "must be above 0 for DEPOSIT, was -5")]),
        (a_movement(5, MovementKind.WITHDRAWAL, instrument=None), [("cash", "must be below 0 for WITHDRAWAL, was 5")]),
        (a_movement(-5), [("cash", "must be at least 0 for DIVIDEND, was -5")]),
        (a_movement(0, MovementKind.INTEREST), [("cash", "must be other than 0 for INTEREST, was 0")]),
        (a_movement(5, MovementKind.TAX), [("cash", "must be below 0 for TAX, was 5")]),
        (a_movement(5, MovementKind.FEE), [("cash", "must be at most 0 for FEE, was 5")]),
        (
            a_movement(5, MovementKind.TRANSFER_IN, units=-1),
            [
                ("cash", "must be absent or 0 for TRANSFER_IN, was 5"),
                ("units", "must be above 0 for TRANSFER_IN, was -1"),
            ],
        ),
        (
            a_movement(0, MovementKind.TRANSFER_OUT, units=-1, instrument=None),
            [("instrument_id", "must say of what -1 units are")],
        ),
        (a_movement(5, MovementKind.DEPOSIT), [("instrument_id", "must be empty for DEPOSIT, was VTI")]),
        (a_movement(0), [("", "must change cash or units, changed neither")]),
        (a_movement(0, MovementKind.CORPORATE_ACTION), [("", "must change cash or units, changed neither")]),
        (a_movement(3, MovementKind.CORPORATE_ACTION, units=-10), []),
        (a_movement(-3, MovementKind.CORRECTION, units=10), []),
        (a_movement(-3, MovementKind.INTEREST, instrument=None), []),
        (a_movement(0, units=2), []),
        (a_movement(0, MovementKind.FEE, units=-2), []),
    ],
)
def test_a_movement_is_one_of_its_kind(movement, wrong):
    assert list(faults(movement)) == wrong
