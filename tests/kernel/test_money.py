"""Money is exact, and currencies never mix."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.money import CurrencyMismatch, Money

amounts = st.decimals(
    allow_nan=False, allow_infinity=False, min_value=Decimal("-1e30"), max_value=Decimal("1e30"), places=12
)


def usd(amount) -> Money:
    return Money(Decimal(amount), "USD")


@given(amounts, amounts)
def test_sums_differences_and_products_are_exact(a, b):
    assert Fraction((usd(a) + usd(b)).amount) == Fraction(a) + Fraction(b)
    assert Fraction((usd(a) - usd(b)).amount) == Fraction(a) - Fraction(b)
    assert Fraction((usd(a) * b).amount) == Fraction(a) * Fraction(b)


@given(st.lists(amounts, max_size=20))
def test_a_total_does_not_depend_on_the_order(values):
    money = [usd(value) for value in values]

    assert Money.total(money, "USD") == Money.total(reversed(money), "USD")


@given(amounts)
def test_rounding_to_cents_moves_by_half_a_cent_at_most_and_settles(value):
    rounded = usd(value).to_cents()

    assert abs(Fraction(rounded.amount) - Fraction(value)) <= Fraction(1, 200)
    assert rounded.to_cents() == rounded
    assert rounded.amount.as_tuple().exponent == -2


@pytest.mark.parametrize(
    ("amount", "cents"), [("0.005", "0.00"), ("0.015", "0.02"), ("-0.025", "-0.02"), ("2.6751", "2.68"), ("3", "3.00")]
)
def test_half_a_cent_goes_to_the_even_side(amount, cents):
    assert str(usd(amount).to_cents()) == f"{cents} USD"


def test_currencies_do_not_mix():
    for mix in (
        lambda a, b: a + b,
        lambda a, b: a - b,
        lambda a, b: a < b,
        lambda a, b: a >= b,
        lambda a, b: Money.total([a, b], "USD"),
    ):
        with pytest.raises(CurrencyMismatch, match=r"1 USD and|different currencies"):
            mix(usd(1), Money(Decimal(1), "EUR"))


def test_comparison_is_by_amount():
    assert usd(1) < usd("1.01") <= usd("1.010")
    assert usd(2) > usd(1) >= usd(1)
    assert -usd(1) == usd(-1)
    assert 3 * usd("0.1") == usd("0.3")


@pytest.mark.parametrize("currency", ["usd", "US", "USDX", "", "US1"])
def test_a_currency_is_three_capital_letters(currency):
    with pytest.raises(ValueError, match="three capital letters"):
        Money(Decimal(1), currency)


def test_an_amount_is_a_finite_decimal():
    with pytest.raises(ValueError, match="finite"):
        usd("NaN")
    with pytest.raises(TypeError, match="Decimal"):
        Money(1.5, "USD")
