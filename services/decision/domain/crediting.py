"""What a German plan takes off the gain of a fund: advance lump sums that were taxed while the units were held.

InvStG § 19 Abs. 1 Satz 3 and 4: they are taken off in full, before partial exemption. Each lot's cost is raised by
those of the years at whose end it was held, as the assessment does (`assessment/german_depots.py`). What was sold or
split since such an end is not known here: the sums are those of the units that are held, as they are counted now.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from fractions import Fraction

from services.decision.domain.asset_kinds import FUNDS
from services.decision.domain.fund_years import FundYear, lump_sum_of
from services.decision.domain.instruments import Instrument
from services.decision.domain.problem import LotState
from services.decision.domain.tax.assessment.german_years import YEARS
from services.decision.domain.tax.assessment.history import cents, total


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
    past = [each for each in instrument.fund_years if each.year < as_of_date.year and each.year in rates]
    return tuple(replace(lot, basis_total=total((lot.basis_total, *_sums(lot, past, rates)))) for lot in lots)


def _sums(lot: LotState, years: Sequence[FundYear], rates: Mapping[int, Decimal]) -> list[Decimal]:
    return [cents(lump_sum_of(each, rates[each.year], lot.acquired_date) * Fraction(lot.quantity)) for each in years]
