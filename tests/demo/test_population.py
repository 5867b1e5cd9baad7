"""The demo's clients: real purchases, the same for the same seed."""

from decimal import Decimal

import pytest

from tools.demo.population import MODELS, clients
from tools.demo.prices import DailyPrices, factor_etfs, joined, stocks
from tools.demo.scenario import DECISION_DAY, TRADE_DAY


@pytest.fixture(scope="module")
def prices() -> DailyPrices:
    return joined([factor_etfs(), stocks()])


def test_the_prices_are_the_published_ones(prices):
    # https://skfolio.org describes both sets; the last rows, to three places.
    assert prices.close("AAPL", DECISION_DAY) == Decimal("129.652")
    assert prices.close("MTUM", TRADE_DAY) == Decimal("143.730")
    assert prices.dates[0].isoformat() == "2014-01-02"
    assert prices.dates[-1] == TRADE_DAY


def test_a_day_without_trading_has_the_close_before_it(prices):
    christmas = DECISION_DAY.replace(day=26)

    assert prices.close("AAPL", christmas) == prices.close("AAPL", DECISION_DAY.replace(day=23))


def test_each_model_s_weights_and_cash_sum_to_one():
    assert [sum(model.weights.values()) + model.cash_weight for model in MODELS] == [1, 1]


def test_every_lot_cost_its_day_s_close_and_is_a_multiple_of_the_increment(prices):
    for client in clients(60, 7, prices, DECISION_DAY):
        for lot in client.lots:
            assert lot.acquired_date < DECISION_DAY
            assert lot.quantity % client.model.quantity_increment == 0
            assert abs(lot.basis - lot.quantity * prices.close(lot.instrument_id, lot.acquired_date)) <= Decimal(
                "0.005"
            )


def test_the_same_seed_makes_the_same_clients_and_another_does_not(prices):
    assert clients(20, 7, prices, DECISION_DAY) == clients(20, 7, prices, DECISION_DAY)
    assert clients(20, 7, prices, DECISION_DAY) != clients(20, 8, prices, DECISION_DAY)


def test_a_household_follows_one_model(prices):
    models = {}
    for client in clients(200, 7, prices, DECISION_DAY):
        assert models.setdefault(client.household_id, client.model) == client.model


def test_the_last_client_is_large_taxable_and_has_just_paid_in(prices):
    *others, last = clients(100, 7, prices, DECISION_DAY)

    assert last.cash >= 900_000
    assert last.tax_wrapper == "TAX_WRAPPER_TAXABLE"
    assert all(other.cash < 500_000 for other in others)
