from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.execution.app.venue_port import Intent, MarketSetting
from services.execution.domain.errors import MarketInvalid
from services.execution.domain.exchanges import exchange
from services.execution.domain.order import Filled
from services.execution.domain.words import OrderType, Side, TimeInForce
from services.execution.venues.sandbox.market import RestingOrder, fill_price, matched
from services.execution.venues.sandbox.venue import check_market
from tests.execution.builders import NOON


def a_market(spread="10", fee="2", share="1", seed=1):
    return MarketSetting("USD", Decimal(spread), Decimal(fee), seed, Decimal(share), NOON)


def an_order(quantity="10", increment="1", side=Side.BUY, name="c-1"):
    intent = Intent(
        name, "VTI", side, Decimal(quantity), Decimal(increment), OrderType.MARKET, None, TimeInForce.DAY, "USD"
    )
    return RestingOrder(intent, NOON, NOON)


def fills(order, market, middle="100"):
    found = []
    while order.open:
        order, said = matched(order, market, Decimal(middle), exchange("XNYS"))
        found.extend(report for report in said if isinstance(report, Filled))
    return found


def test_half_the_spread_is_paid_on_either_side_rounded_against_the_order():
    assert fill_price(Side.BUY, a_market("10"), Decimal(100)) == Decimal("100.05")
    assert fill_price(Side.SELL, a_market("10"), Decimal(100)) == Decimal("99.95")
    assert fill_price(Side.BUY, a_market("3"), Decimal("0.3333")) == Decimal("0.3334")
    assert fill_price(Side.SELL, a_market("3"), Decimal("0.3333")) == Decimal("0.3332")


@given(
    st.integers(1, 5000),
    st.sampled_from(["1", "0.5", "0.001"]),
    st.sampled_from(["1", "0.5", "0.07"]),
    st.integers(0, 2**64 - 1),
)
def test_executions_are_whole_increments_and_sum_to_the_order(increments, increment, share, seed):
    quantity = increments * Decimal(increment)
    got = fills(an_order(str(quantity), increment), a_market(share=share, seed=seed))

    assert sum(each.quantity for each in got) == quantity
    assert all(each.quantity % Decimal(increment) == 0 for each in got)
    assert len({each.report_id for each in got}) == len(got)


def test_the_seed_decides_the_executions():
    order = an_order("1000")
    market = a_market(share="0.2")

    assert fills(order, market) == fills(order, market)
    assert fills(order, market) != fills(order, a_market(share="0.2", seed=2))


@pytest.mark.parametrize(
    ("market", "prices", "field"),
    [
        (a_market(spread="-1"), {}, "spread_bps"),
        (a_market(spread="1001"), {}, "spread_bps"),
        (a_market(fee="101"), {}, "fee_bps"),
        (a_market(share="0"), {}, "fill_share_max"),
        (a_market(share="1.01"), {}, "fill_share_max"),
        (a_market(), {"VTI": Decimal(1), "BND": Decimal(0)}, "prices[1]"),
    ],
)
def test_a_market_that_cannot_be_is_refused(market, prices, field):
    with pytest.raises(MarketInvalid) as caught:
        check_market(market, prices)

    assert [each.field for each in caught.value.violations] == [field]
