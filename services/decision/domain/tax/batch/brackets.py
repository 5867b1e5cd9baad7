"""What the law of the United States sets for a year, as arrays for compiled code."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from services.decision.domain.tax.assessment.us_years import FilingStatus, YearRules
from services.decision.domain.tax.batch.columns import STATUSES as ORDER
from services.decision.domain.tax.batch.columns import NotInColumns
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


def brackets(year: YearRules) -> Brackets:
    """Return the brackets of a year.

    Raises:
        NotInColumns: Its amounts are finer than cents, or its rates than ten-thousandths.
    """
    one = year[FilingStatus.SINGLE]
    of_status = [year[each] for each in ORDER]
    tops = [
        top
        for each in of_status
        for top in (*each.ordinary_tops, *each.long_term_tops, each.loss_cap, each.investment_income_threshold)
    ]
    rates = (*one.ordinary_rates, *one.long_term_rates, one.investment_income_rate)
    if any(top * 100 % 1 for top in tops) or any(rate * RATE_SCALE % 1 for rate in rates):
        raise NotInColumns("amounts of the law are finer than cents, or its rates than ten-thousandths")
    return Brackets(
        np.array([[*_whole(each.ordinary_tops, 100), _NO_TOP] for each in of_status], dtype=np.int64),
        np.array([[*_whole(each.long_term_tops, 100), _NO_TOP] for each in of_status], dtype=np.int64),
        np.array(_whole(one.ordinary_rates, RATE_SCALE), dtype=np.int64),
        np.array(_whole(one.long_term_rates, RATE_SCALE), dtype=np.int64),
        np.array(_whole([each.loss_cap for each in of_status], 100), dtype=np.int64),
        np.array(_whole([each.investment_income_threshold for each in of_status], 100), dtype=np.int64),
        int(one.investment_income_rate * RATE_SCALE),
    )


def _whole(amounts: Iterable[Decimal], scale: int) -> list[int]:
    return [int(each * scale) for each in amounts]
