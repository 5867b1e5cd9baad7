"""Exact decimals and fixed-point columns."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.decimals import UNITS_MAX, UNITS_MIN, FixedPoint, from_units, parse_decimal, plain, to_units

units = st.integers(UNITS_MIN, UNITS_MAX)
scales = st.integers(0, 18)
numbers = st.decimals(allow_nan=False, allow_infinity=False, min_value=Decimal("-1e40"), max_value=Decimal("1e40"))


def test_a_price_becomes_units_and_back():
    assert FixedPoint.from_decimal(Decimal("12.3400"), 2) == FixedPoint(1234, 2)
    assert str(FixedPoint(1234, 2).to_decimal()) == "12.34"
    assert to_units([Decimal("0.5"), Decimal(-3)], 1) == [5, -30]
    assert from_units([5, -30], 1) == [Decimal("0.5"), Decimal("-3.0")]


@given(units, scales)
def test_units_survive_the_way_through_decimal(value, scale):
    point = FixedPoint(value, scale)

    assert FixedPoint.from_decimal(point.to_decimal(), scale) == point


@given(numbers, scales)
def test_a_conversion_is_exact_or_refused(value, scale):
    try:
        point = FixedPoint.from_decimal(value, scale)
    except ValueError:
        return
    assert point.to_decimal() == value


def test_what_does_not_fit_is_refused_with_the_limit():
    with pytest.raises(ValueError, match=r"at most 2 decimal places, was 0\.001"):
        to_units([Decimal("0.001")], 2)
    with pytest.raises(ValueError, match="64 bits"):
        to_units([Decimal(UNITS_MAX) + 1], 0)
    assert to_units([Decimal(UNITS_MAX), Decimal(UNITS_MIN)], 0) == [UNITS_MAX, UNITS_MIN]
    with pytest.raises(ValueError, match="64 bits"):
        to_units([Decimal("1e95")], 18)
    with pytest.raises(ValueError, match="finite"):
        to_units([Decimal("NaN")], 0)
    for scale in (-1, 19):
        with pytest.raises(ValueError, match="scale must be 0 to 18"):
            FixedPoint(1, scale)


@given(numbers)
def test_plain_text_reads_back_as_the_same_number(value):
    text = plain(value)

    assert parse_decimal(text) == value
    assert "E" not in text


@given(numbers, st.integers(0, 12))
def test_equal_numbers_have_equal_plain_text(value, zeros):
    sign, digits, exponent = value.as_tuple()
    longer = Decimal((sign, (*digits, *([0] * zeros)), exponent - zeros))

    assert longer == value
    assert plain(longer) == plain(value)


@pytest.mark.parametrize(
    ("text", "said"), [("1.50", "1.5"), ("-0.00", "0"), ("1e3", "1000"), ("100", "100"), ("1E-7", "0.0000001")]
)
def test_plain_examples(text, said):
    assert plain(Decimal(text)) == said


@pytest.mark.parametrize(
    "text", ["", " 1", "1 ", "NaN", "Infinity", "1_000", "٣", "1e100", "1e-100", "--1", ".", "1" * 202]
)
def test_a_text_that_is_not_a_number_of_ours_is_refused(text):
    with pytest.raises(ValueError, match="must be"):
        parse_decimal(text)


def test_the_largest_exponents_are_inside():
    assert parse_decimal("1e99") == Decimal("1e99")
    assert parse_decimal("1e-99") == Decimal("1e-99")
    with pytest.raises(ValueError, match="exponent"):
        plain(Decimal("1e100"))
    with pytest.raises(ValueError, match="finite"):
        plain(Decimal("Infinity"))
