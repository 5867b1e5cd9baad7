"""A rate is a pair's reference price, whichever of the two currencies it is quoted in."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.execution.domain.currencies import (
    RATE_QUANTUM,
    dealt_currency,
    pair_for,
    price_in,
    rate_between,
    rate_of,
    traded_terms,
    turn_over,
    turned_over,
    worst_rate,
)
from services.execution.domain.words import OrderType, Side
from services.kernel.money import in_cents
from tests.execution.builders import a_price
from tests.execution.domain.test_blocks import TERMS

RATES = st.decimals("0.00100", "999.99999", places=5)


def known(*prices):
    return {each.instrument_id: each for each in prices}


def test_of_a_pair_one_currency_is_dealt_and_the_other_paid():
    assert dealt_currency("EUR/USD", "USD") == "EUR"
    assert dealt_currency("EUR/USD", "EUR") == "USD"
    assert dealt_currency("EUR/USD", "GBP") is None
    assert dealt_currency("VTI", "USD") is None
    assert dealt_currency("BRK/B", "USD") is None
    assert (turned_over("EUR/USD", "EUR"), turned_over("EUR/USD", "USD"), turned_over("VTI", "USD")) == (1, 0, 0)


def test_a_rate_is_its_pair_or_else_the_inverse_turned_over():
    straight, inverse = a_price("USD/EUR", "0.84", currency="EUR"), a_price("EUR/USD", "1.25")

    assert rate_between("USD", "EUR", known(straight, inverse)) == straight
    assert rate_between("USD", "EUR", known(inverse)) == replace(inverse, price=Decimal("0.8"), currency="EUR")
    assert rate_between("USD", "EUR", {}) is None
    # A pair whose price is in a currency that it is not quoted in says nothing.
    assert rate_between("USD", "EUR", known(a_price("EUR/USD", "1.25", currency="CHF"))) is None


def test_prices_and_terms_are_turned_by_the_inverse():
    prices = known(a_price("VTI", 100), a_price("EUR/USD", "1.25"))
    limit = replace(
        TERMS, instrument_id="VTI", currency="EUR", order_type=OrderType.LIMIT, limit_price=Decimal("80.01")
    )

    assert price_in(prices, "VTI", "EUR").price == 80
    assert pair_for("VTI", "EUR", prices) == "EUR/USD"
    assert pair_for("VTI", "USD", prices) is None
    terms = traded_terms(limit, prices)
    assert (terms.currency, terms.account_currency, terms.limit_price) == ("USD", "EUR", Decimal("100.01"))
    assert rate_of(terms, prices) == Decimal("0.8")
    with pytest.raises(KeyError, match="USD/EUR"):
        rate_of(terms, {})


@given(RATES, st.sampled_from(Side), st.decimals("0", "0.1", places=4))
def test_the_worst_rate_is_quoted_whole_and_never_beyond_the_collar(rate, side, collar):
    pair = a_price("EUR/USD", rate)
    for each in (rate_between("EUR", "USD", known(pair)), rate_between("USD", "EUR", known(pair))):
        worst = worst_rate(side, each, collar)
        bound = each.price * (1 + collar if side is Side.BUY else 1 - collar)
        quoted = (1 / worst).quantize(Decimal("1e-9")) if each.currency == "EUR" else worst

        assert quoted % RATE_QUANTUM == 0
        # A quotient may be off in its last digit.
        slack = worst * Decimal("1e-12")
        assert worst <= bound + slack if side is Side.BUY else worst >= bound - slack


@given(RATES, st.decimals("0.01", "999999999.99", places=2))
def test_a_sum_by_a_rate_turned_over_is_the_quotient_to_the_cent(rate, dealt):
    quotient = dealt / rate
    # Half a cent may fall either way.
    if abs(quotient * 100 % 1 - Decimal("0.5")) > Decimal("0.001"):
        assert in_cents(dealt * turn_over(rate)) == in_cents(quotient)
