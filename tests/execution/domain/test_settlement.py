from datetime import date

import pytest

from services.execution.domain.settlement import business_day, settlement_date


@pytest.mark.parametrize(
    ("traded", "settles"),
    [
        (date(2022, 12, 28), date(2022, 12, 30)),
        (date(2022, 12, 29), date(2023, 1, 3)),  # Over the weekend and New Year's Day, kept on Monday.
        (date(2024, 5, 24), date(2024, 5, 29)),  # The last day of T+2, over Memorial Day.
        (date(2024, 5, 28), date(2024, 5, 29)),  # The first day of T+1.
        (date(2024, 7, 3), date(2024, 7, 5)),
        (date(2025, 10, 10), date(2025, 10, 14)),  # Stocks trade on Columbus Day, dollars do not move.
        (date(2026, 11, 21), date(2026, 11, 24)),  # A Saturday counts as Monday.
    ],
)
def test_a_trade_settles_after_two_business_days_and_since_may_2024_after_one(traded, settles):
    assert settlement_date(traded) == settles


@pytest.mark.parametrize(
    "holiday",
    [
        date(2023, 1, 2),
        date(2023, 1, 16),
        date(2023, 4, 7),
        date(2024, 3, 29),
        date(2021, 7, 5),
        date(2026, 7, 3),
        date(2024, 6, 19),
        date(2023, 11, 23),
        date(2022, 12, 26),
        date(2024, 11, 11),
    ],
)
def test_holidays_are_no_business_days(holiday):
    assert not business_day(holiday)


@pytest.mark.parametrize("day", [date(2021, 12, 31), date(2021, 6, 18), date(2024, 2, 29)])
def test_ordinary_days_are(day):
    assert business_day(day)
