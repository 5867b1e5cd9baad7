"""A Canadian trade counts in the year in which it settles, also in a plan without a record."""

from datetime import date, timedelta

import pytest

from services.decision.domain.tax import JURISDICTIONS
from services.decision.domain.tax.canadian_settlement import settlement_year
from services.execution.domain.exchanges import exchange
from services.execution.domain.settlement import settlement_date


def test_the_year_is_that_of_the_exchanges_own_calendar():
    toronto = exchange("XTSE")
    days = (date(year, 12, 10) + timedelta(days=each) for year in range(2010, 2030) for each in range(22))

    for day in days:
        assert settlement_year(day) == settlement_date(day, toronto, "CAD").year, day


@pytest.mark.parametrize(
    ("day", "year"),
    [
        # T+1 since 27 May 2024: what is traded on the last session settles in the next year.
        (date(2025, 12, 30), 2025),
        (date(2025, 12, 31), 2026),
        # T+2 before.
        (date(2022, 12, 28), 2022),
        (date(2022, 12, 29), 2023),
        (date(2022, 6, 1), 2022),
    ],
)
def test_the_last_days_of_a_year_belong_to_the_next(day, year):
    assert JURISDICTIONS["CA"].year_of_trades(day) == year
    assert JURISDICTIONS["CA"].tax_year(day) == day.year
    assert all(JURISDICTIONS[each].year_of_trades(day) == day.year for each in ("DE", "GB", "US"))
