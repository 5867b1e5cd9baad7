"""What Germany takes off the gain of a fund: advance lump sums that were taxed while the units were held.

InvStG § 19 Abs. 1 Satz 3 and 4: they are taken off in full, before partial exemption. In a plan each lot's cost is
raised by those of the years at whose end it was held, as the assessment does (`assessment/german_depots.py`), and what
is booked of a sale keeps them beside it. What was sold or split since such an end is not known here: the sums are those
of the units that are held, as they are counted now.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import TypeAlias

from services.decision.domain.asset_kinds import FUNDS
from services.decision.domain.fund_years import FundYear, lump_sum_of
from services.decision.domain.instruments import Instrument
from services.decision.domain.problem import LotState
from services.decision.domain.tax.assessment.german_years import YEARS
from services.decision.domain.tax.assessment.history import cents, total

# Returns what of a lot's gain was taxed in advance when the lot is sold on a day; 0 or more, in euros and whole cents.
LumpSums: TypeAlias = Callable[[LotState, date], Decimal]

NO_RATES: Mapping[int, Decimal] = {}


def base_rates(amounts: Mapping[str, Mapping[str, Decimal]]) -> Mapping[int, Decimal]:
    """Return the base rate of each year; `amounts` of `DE 2027` that were approved win over the release's."""
    rates = {year: rules.base_rate for year, rules in YEARS.items()}
    for name, approved in amounts.items():
        code, _, year = name.partition(" ")
        if code == "DE" and "base_rate" in approved:
            rates[int(year)] = approved["base_rate"]
    return rates


def credited(
    lots: Sequence[LotState], instrument: Instrument, rates: Mapping[int, Decimal], as_of_date: date
) -> tuple[LotState, ...]:
    """Return lots of a fund with the advance lump sums of their years before that of `as_of_date` in their cost.

    A year that is not kept, or has no base rate, adds nothing. A lot's sum of a year is rounded half-even to the cent.
    """
    if instrument.asset_kind not in FUNDS or not instrument.fund_years:
        return tuple(lots)
    sums = lump_sums(instrument, rates)
    return tuple(replace(lot, basis_total=total((lot.basis_total, sums(lot, as_of_date)))) for lot in lots)


def lump_sums(instrument: Instrument | None = None, rates: Mapping[int, Decimal] = NO_RATES) -> LumpSums:
    """Return what sums up the lump sums of an instrument's lots: of each year before that of the sale, to the cent.

    Nothing of what is no fund. A year that is not kept, or has no base rate, adds nothing.
    """
    years: Sequence[FundYear] = ()
    if instrument is not None and instrument.asset_kind in FUNDS:
        years = [each for each in instrument.fund_years if each.year in rates]

    def taxed(lot: LotState, day: date) -> Decimal:
        of_one = (lump_sum_of(each, rates[each.year], lot.acquired_date) for each in years if each.year < day.year)
        return total(cents(each * Fraction(lot.quantity)) for each in of_one)

    return taxed


# Of what is no fund: nothing.
NOTHING_TAXED = lump_sums()
