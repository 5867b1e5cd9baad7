"""What the law of the United States sets for a year, as arrays for compiled code."""

from dataclasses import dataclass

import numpy as np

from services.decision.domain.tax.assessment.us_years import YEARS, FilingStatus
from services.decision.domain.tax.batch.columns import STATUSES as ORDER
from services.decision.domain.tax.batch.whole import RATE_SCALE, Ints

# Higher than any income, in cents.
_NO_TOP = 2**62


@dataclass(frozen=True, slots=True, eq=False)
class Brackets:
    """What the law sets for one year, by filing status. Tops in cents, the last bracket's included."""

    ordinary_tops: Ints
    long_term_tops: Ints
    ordinary_rates: Ints
    long_term_rates: Ints
    loss_caps: Ints
    thresholds: Ints
    investment_rate: int


def brackets(tax_year: int) -> Brackets:
    """Return the brackets of a year.

    Raises:
        KeyError: Its rules are not known.
    """
    year = YEARS[tax_year]
    one = year[FilingStatus.SINGLE]

    def cents(amounts: list[object]) -> list[int]:
        return [int(str(amount)) * 100 for amount in amounts]

    def rates(each: tuple[object, ...]) -> Ints:
        return np.array([round(float(str(rate)) * RATE_SCALE) for rate in each], dtype=np.int64)

    return Brackets(
        np.array([[*cents(list(year[each].ordinary_tops)), _NO_TOP] for each in ORDER], dtype=np.int64),
        np.array([[*cents(list(year[each].long_term_tops)), _NO_TOP] for each in ORDER], dtype=np.int64),
        rates(one.ordinary_rates),
        rates(one.long_term_rates),
        np.array(cents([year[each].loss_cap for each in ORDER]), dtype=np.int64),
        np.array(cents([year[each].investment_income_threshold for each in ORDER]), dtype=np.int64),
        int(one.investment_income_rate * RATE_SCALE),
    )
