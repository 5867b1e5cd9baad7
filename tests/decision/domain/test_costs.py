from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.decision.domain.costs import daily_volatility, impact_rate, linear_cost_rate, trade_cost
from tests.support.portfolios import an_account

D = Decimal
HOLDING = (
    an_account(cash=1)
    .holding("VTI", spread_bps=4, commission_bps=1, commission_per_trade="0.50", average_daily_value=1_000_000)
    .parts["holdings"][0]
)


def test_a_trade_pays_half_the_spread_and_the_commission():
    assert linear_cost_rate(HOLDING) == D("0.0003")

    cost = trade_cost(HOLDING, D(10_000), D(0))
    assert (cost.spread, cost.commission, cost.impact, cost.total) == (D("2.00"), D("1.50"), D(0), D("3.50"))


def test_costs_are_rounded_up_to_the_cent():
    cost = trade_cost(HOLDING, D("0.01"), D(0))

    assert (cost.spread, cost.commission) == (D("0.01"), D("0.51"))


def test_impact_follows_the_square_root_law():
    # A hundredth of the daily value, at 1 % a day: 1 · 0.01 · √0.01 = 10 basis points of 10,000.
    rate = impact_rate(HOLDING, D(1), D("0.01"))

    assert trade_cost(HOLDING, D(10_000), rate).impact == D("10.00")
    # Four times the trade costs eight times as much.
    assert trade_cost(HOLDING, D(40_000), rate).impact == D("80.00")


def test_without_a_daily_value_there_is_no_impact():
    holding = an_account(cash=1).holding("VTI").parts["holdings"][0]

    assert impact_rate(holding, D(1), D("0.01")) == 0


def test_daily_volatility_is_the_yearly_over_the_root_of_252():
    assert daily_volatility(0.0252) == D("0.01")


@given(st.decimals("0.01", "1000000", places=2))
def test_a_cost_is_never_understated(value):
    cost = trade_cost(HOLDING, value, D(0))

    assert value * linear_cost_rate(HOLDING) + D("0.50") <= cost.total
    assert cost.total < value * linear_cost_rate(HOLDING) + D("0.50") + D("0.03")


@pytest.mark.parametrize("variance", [1e-6, 0.04, 2.5])
def test_volatility_enters_exact_arithmetic_with_nine_digits(variance):
    assert len(daily_volatility(variance).as_tuple().digits) <= 9
