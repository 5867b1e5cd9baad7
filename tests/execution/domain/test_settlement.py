from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.execution.domain import market_days
from services.execution.domain.exchanges import exchange
from services.execution.domain.settlement import bank_day, settlement_date, settlement_day

NYSE = exchange("XNYS")


@pytest.mark.parametrize(
    ("traded", "settles"),
    [
        (date(2017, 9, 1), date(2017, 9, 7)),  # The last day of T+3, over Labor Day.
        (date(2017, 9, 5), date(2017, 9, 7)),  # The first day of T+2.
        (date(2022, 12, 28), date(2022, 12, 30)),
        (date(2022, 12, 29), date(2023, 1, 3)),  # Over the weekend and New Year's Day, kept on Monday.
        (date(2024, 5, 24), date(2024, 5, 29)),  # The last day of T+2, over Memorial Day.
        (date(2024, 5, 28), date(2024, 5, 29)),  # The first day of T+1.
        (date(2024, 7, 3), date(2024, 7, 5)),
        (date(2025, 1, 8), date(2025, 1, 10)),  # The exchange closed for President Carter, banks did not.
        (date(2026, 4, 2), date(2026, 4, 6)),  # Good Friday: the exchange is closed, the Federal Reserve is not.
        (date(2026, 11, 21), date(2026, 11, 24)),  # A Saturday counts as Monday.
    ],
)
def test_a_trade_settles_after_as_many_days_as_the_rule_of_its_day_says(traded, settles):
    assert settlement_date(traded, NYSE, "USD") == settles


# "Transactions made on Columbus Day will be combined with transactions made on the previous business day": NASD Notice
# to Members 99-83, and each year's schedule since; the days are those of the cycle in force.
@pytest.mark.parametrize(
    ("day", "before", "settles"),
    [
        (date(2016, 10, 10), date(2016, 10, 7), date(2016, 10, 13)),
        (date(2019, 10, 14), date(2019, 10, 11), date(2019, 10, 16)),
        (date(2025, 10, 13), date(2025, 10, 10), date(2025, 10, 14)),
        (date(2025, 11, 11), date(2025, 11, 10), date(2025, 11, 12)),
    ],
)
def test_a_day_on_which_stocks_trade_and_dollars_do_not_move_settles_with_the_day_before(day, before, settles):
    assert NYSE.trades_on(day)
    assert not bank_day(day, "USD")
    assert settlement_date(day, NYSE, "USD") == settlement_date(before, NYSE, "USD") == settles


@pytest.mark.parametrize(
    ("mic", "currency", "traded", "settles"),
    [
        ("XTSE", "CAD", date(2024, 5, 27), date(2024, 5, 28)),  # A day before the United States, on Memorial Day.
        ("XTSE", "CAD", date(2025, 9, 29), date(2025, 10, 1)),  # Over 30 September: Toronto trades, banks are closed.
        ("XLON", "GBP", date(2025, 5, 1), date(2025, 5, 6)),  # Over the Early May bank holiday.
        ("XETR", "EUR", date(2025, 4, 16), date(2025, 4, 22)),  # Over Good Friday and Easter Monday.
        ("XETR", "EUR", date(2027, 10, 8), date(2027, 10, 12)),  # The last day of T+2.
        ("XETR", "EUR", date(2027, 10, 11), date(2027, 10, 12)),  # The first day of T+1.
        ("XLON", "USD", date(2025, 7, 2), date(2025, 7, 7)),  # In dollars in London: 4 July moves none.
    ],
)
def test_elsewhere_the_exchange_and_the_banks_of_the_currency_count(mic, currency, traded, settles):
    assert settlement_date(traded, exchange(mic), currency) == settles


@pytest.mark.parametrize(
    "holiday",
    [date(2023, 1, 2), date(2023, 1, 16), date(2023, 4, 7), date(2021, 7, 5), date(2026, 7, 3), date(2024, 6, 19),
     date(2023, 11, 23), date(2022, 12, 26), date(2024, 11, 11), date(2018, 12, 5)],
)  # fmt: skip
def test_on_holidays_nothing_settles(holiday):
    assert not settlement_day(holiday, NYSE, "USD")


@pytest.mark.parametrize("day", [date(2021, 12, 31), date(2021, 6, 18), date(2024, 2, 29)])
def test_on_ordinary_days_it_does(day):
    assert settlement_day(day, NYSE, "USD")


@given(
    st.sampled_from(sorted(market_days.HOURS)),
    st.sampled_from(["USD", "EUR", "GBP", "CHF", "CAD", "JPY"]),
    st.dates(date(2015, 1, 1), date(2030, 11, 30)),
)
def test_a_trade_settles_on_a_settlement_day_and_never_before_an_earlier_trade(mic, currency, day):
    at = exchange(mic)
    settles = settlement_date(day, at, currency)

    assert settlement_day(settles, at, currency)
    assert settles > day
    shortened = day in (date(2017, 9, 4), date(2024, 5, 26), date(2024, 5, 27), date(2027, 10, 10))
    assert shortened or settles <= settlement_date(day + timedelta(days=1), at, currency)
