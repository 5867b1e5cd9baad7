from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.execution.domain.protection import Protection, protective_price

PRICES = st.decimals("0.05", "5000", places=4)


def price(reference, *costs, by=Protection.SET_ASIDE, collar=500, fee=10):
    return protective_price(
        Decimal(reference), list(map(Decimal, costs)), by=by, collar_bps=Decimal(collar), fee_bps=Decimal(fee)
    )


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (price(100, "100.50"), "100.39"),  # 100.50 / 1.001, down to a cent.
        (price(100, "100.50", "99.90"), "99.80"),  # The least that an account set aside.
        (price(100, "110"), "105.00"),  # Never beyond the collar.
        (price(100, "100.50", by=Protection.COLLAR), "105.00"),
        (price("0.50", "0.5025"), "0.5019"),  # Below a dollar, to a hundredth of a cent.
    ],
)
def test_a_market_buy_pays_at_most_what_was_set_aside(found, expected):
    assert found == Decimal(expected)


@given(PRICES, st.lists(PRICES, min_size=1, max_size=4), st.integers(0, 100), st.integers(1, 10_000))
def test_a_fill_at_the_protective_price_with_the_highest_fees_overdraws_nobody(reference, costs, fee, units):
    pays = protective_price(reference, costs, by=Protection.SET_ASIDE, collar_bps=Decimal(500), fee_bps=Decimal(fee))

    for cost in costs:
        assert units * pays * (10_000 + fee) / 10_000 <= units * cost
