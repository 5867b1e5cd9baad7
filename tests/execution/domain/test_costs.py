from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.execution.domain.costs import Execution, implementation_shortfall
from services.execution.domain.words import Side


def an_execution(side=Side.BUY, ordered=100, filled=80, gross=8160, decided=100, arrived=101, final=104, fees=4):
    arrived *= filled
    return Execution(
        side,
        *(Decimal(value) for value in (ordered, filled, gross, decided, arrived, final, fees)),
    )


def test_a_buy_worked_by_hand():
    cost = implementation_shortfall(an_execution())

    assert (cost.delay, cost.trading, cost.opportunity, cost.fees) == (80, 80, 80, 4)
    assert cost.total == 244
    assert cost.total_bps == 244


def test_a_sell_gains_what_a_buy_loses():
    cost = implementation_shortfall(an_execution(side=Side.SELL))

    assert (cost.delay, cost.trading, cost.opportunity, cost.fees) == (-80, -80, -80, 4)


prices = st.decimals("0.01", "1000", places=2)


@given(
    st.sampled_from(Side),
    st.lists(st.tuples(st.integers(1, 100), prices), max_size=5),
    st.integers(0, 100),
    prices,
    prices,
    prices,
)
def test_the_parts_sum_to_real_against_paper(side, fills, unfilled, decided, arrived, final):
    filled = sum(quantity for quantity, _ in fills)
    if filled + unfilled == 0:
        return
    gross = sum((quantity * price for quantity, price in fills), Decimal(0))
    cost = implementation_shortfall(an_execution(side, filled + unfilled, filled, gross, decided, arrived, final, 1))
    sign = 1 if side is Side.BUY else -1
    # Paper: everything at the decision price. Real: what the fills cost, and the rest given up at the final price.
    real = sign * (gross + unfilled * final) + 1

    assert cost.total == real - sign * (filled + unfilled) * decided


@pytest.mark.parametrize("wrong", [{"filled": 101}, {"filled": -1}, {"decided": 0}, {"ordered": 0, "filled": 0}])
def test_what_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError, match=r"filled must be|price is positive"):
        an_execution(**wrong)
