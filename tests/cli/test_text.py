"""Values of the contracts as people read them."""

import pytest
from google.type.date_pb2 import Date
from google.type.money_pb2 import Money

from evenkeel.execution.v1 import execution_service_pb2 as pb
from tools.cli.breaks import against
from tools.cli.text import day, price, state


@pytest.mark.parametrize(
    ("units", "nanos", "told"),
    [
        (311, 282_300_000, "311.2823 USD"),
        (129, 600_000_000, "129.60 USD"),
        (1_200, 0, "1,200.00 USD"),
        (0, 3_125_000, "0.003125 USD"),
        (0, 0, "0.00 USD"),
    ],
)
def test_a_price_has_all_its_decimals_and_at_least_two(units, nanos, told):
    assert price(Money(currency_code="USD", units=units, nanos=nanos)) == told


def test_what_is_absent_is_told_as_nothing():
    assert (price(Money()), day(Date())) == ("", "")
    assert day(Date(year=2022, month=12, day=8)) == "2022-12-08"


def test_a_state_of_a_newer_service_is_told_by_its_number():
    assert state(pb.Order.State.DESCRIPTOR, pb.Order.STATE_FILLED) == "filled"
    assert state(pb.Order.State.DESCRIPTOR, 99) == "99"


def test_a_cost_against_the_market_says_of_how_much_it_is_where_that_is_not_all():
    def usd(units):
        return Money(currency_code="USD", units=units)

    assert against(usd(3), usd(1000), usd(1000)) == "3.00"
    assert against(usd(3), usd(400), usd(1000)) == "3.00 on 400.00"
    # A market that is not known is no cost of zero.
    assert against(usd(0), usd(0), usd(1000)) == ""
