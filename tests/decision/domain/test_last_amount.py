"""The largest amount that has room is found to the cent, by few questions."""

from decimal import Decimal
from math import inf

from hypothesis import given
from hypothesis import strategies as st

from services.decision.domain.last_amount import last_amount

MOST = Decimal("123456.78")


def asked(room, most=MOST):
    """Return the last amount that has room, and how many were asked about."""
    about = []

    def noted(amount):
        about.append(amount)
        return room(float(amount))

    found = last_amount(noted, most)
    assert all(0 <= each <= most and each == each.quantize(Decimal("0.01")) for each in about)
    return found, len(about)


def test_all_has_room_or_nothing_has():
    assert asked(lambda amount: 200_000 - amount) == (MOST, 1)
    assert asked(lambda amount: -1 - amount) == (0, 2)
    assert asked(lambda _: -inf) == (0, 2)
    assert last_amount(lambda _: 0.0, Decimal(0)) == 0


def test_a_straight_line_and_one_bend_take_few_questions():
    straight, few = asked(lambda amount: 50_000.005 - amount)
    assert (straight, few <= 5) == (Decimal("50000.00"), True)
    bent, few = asked(lambda amount: min(40_000 - 0.5 * amount, 50_000.005 - 1.3 * amount))
    assert (bent, few <= 8) == (Decimal("38461.54"), True)


def test_where_nothing_can_be_said_beyond_an_amount_halves_are_taken():
    found, count = asked(lambda amount: -inf if amount > 77_777.77 else 100_000 - amount)
    assert (found, count <= 40) == (Decimal("77777.77"), True)


lines = st.tuples(st.floats(1, 200_000), st.floats(0.05, 20))


@given(st.lists(lines, min_size=1, max_size=5), st.floats(1, 200_000))
def test_the_last_amount_has_room_and_a_cent_more_has_none(pieces, end):
    def room(amount):
        return -inf if amount > end else min(slope * (zero - amount) for zero, slope in pieces)

    found, count = asked(room)
    assert found == 0 or room(float(found)) >= 0
    assert found == MOST or room(float(found + Decimal("0.01"))) < 0
    # Halving takes 25.
    assert count <= 80
