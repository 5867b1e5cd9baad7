from decimal import Decimal

import pytest

from services.execution.domain.impact import Stock, permanent_impact, realised_impact, square_root_cost

MILLION = 10**6
IBM = Stock(Decimal("6.561") * MILLION, Decimal(1728) * MILLION, Decimal("0.0157"))
DRI = Stock(Decimal("1.929") * MILLION, Decimal(168) * MILLION, Decimal("0.0226"))


@pytest.mark.parametrize(
    ("stock", "days", "published_bp"),
    [
        (IBM, "0.1", 32),
        (IBM, "0.2", 25),
        (IBM, "0.5", 18),
        (DRI, "0.1", 43),
        (DRI, "0.2", 32),
        (DRI, "0.5", 23),
    ],
)
def test_the_published_table_for_a_tenth_of_a_days_volume(stock, days, published_bp):
    # Almgren, Thum, Hauptmann, Li (2005), table 3.
    cost = realised_impact(stock.daily_volume / 10, Decimal(days), stock)

    assert round(cost * 10_000) == published_bp


def test_what_moves_the_price_for_good_does_not_depend_on_haste():
    assert permanent_impact(IBM.daily_volume / 10, IBM) == permanent_impact(IBM.daily_volume / 10, IBM)
    slow, fast = (realised_impact(IBM.daily_volume / 10, Decimal(days), IBM) for days in (1, "0.01"))
    assert slow < fast


def test_the_square_root_of_a_percent_of_the_volume():
    cost = square_root_cost(
        Decimal(100),
        half_spread=Decimal("0.0002"),
        daily_volume=Decimal(10_000),
        daily_volatility=Decimal("0.02"),
        factor=Decimal(1),
    )

    assert cost == Decimal("0.0022")


def test_nothing_traded_costs_nothing():
    assert realised_impact(Decimal(0), Decimal(1), IBM) == 0


def test_a_stock_that_cannot_trade_is_refused():
    with pytest.raises(ValueError, match="positive"):
        Stock(Decimal(0), Decimal(1), Decimal(1))
    with pytest.raises(ValueError, match="above 0"):
        realised_impact(Decimal(1), Decimal(0), IBM)
