"""What a taxpayer has after tax at the end of some years, lot by lot, when everything is sold then.

Each year the losses that were carried meet the rules again, so that a yearly deduction is worth what it is; at the end
every lot is sold, with its own cost and age, and the tax on that is paid. The law is today's throughout. Taxes are
paid, and saved taxes are invested, at the end of their year, and grow as the assets do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction

from services.decision.domain.problem import ZERO
from services.decision.domain.tax.assessment.history import (
    EARLIEST_DATE,
    Acquisition,
    Disposal,
    History,
    TaxAccount,
    cents,
    total,
)
from services.decision.domain.tax.assessment.results import Remaining
from services.decision.domain.tax.situation import Situation


@dataclass(frozen=True, slots=True)
class Scenario:
    """How the assets do: a yearly growth, -1 or more, the same for all; `years` until everything is sold, 0 or more."""

    growth: Decimal
    years: int


@dataclass(frozen=True, slots=True)
class Projected:
    """What comes of a situation in a scenario.

    Attributes:
        value: What the lots are worth at the end, with what was sold for cash.
        taxes: All taxes until then with their growth, the last one included; negative when they save.
        after_tax: Value less taxes.
    """

    scenario: Scenario
    value: Decimal
    taxes: Decimal
    after_tax: Decimal


def projected(situation: Situation, scenario: Scenario, cash: Decimal = ZERO) -> Projected:
    """Return what comes of the lots of a situation, and of `cash` that grows like them.

    Sheltered and a spouse's accounts are left out: no action of the taxpayer's changes what they come to.
    """
    growth = Fraction(1 + scenario.growth)
    factor = growth**scenario.years
    rules, paid = situation.rules, Fraction(0)
    assessment = situation.assessment
    for year in range(scenario.years):
        paid += Fraction(assessment.lines[-1].amount) * growth ** (scenario.years - year)
        rules = rules.after(assessment)
        assessment = rules.assess(History((TaxAccount("A"),)), situation.tax_year)
    lots = _sold(situation, factor, scenario.years)
    gains = lots if scenario.years else _merged(situation, lots)
    final = rules.assess(gains, situation.tax_year)
    value = total((total(each.proceeds for each in lots.disposals), cents(Fraction(cash) * factor)))
    taxes = total((cents(paid), final.lines[-1].amount))
    return Projected(scenario, value, taxes, total((value, taxes.copy_negate())))


def _merged(situation: Situation, lots: History) -> History:
    """Return the year's own history with everything sold at its end: what is sold in the year nets with the year."""
    ends = lots.disposals
    if not situation.chooses_lots:
        ends = tuple(replace(each, lot_ids=()) for each in ends)
    return replace(situation.history, disposals=(*situation.history.disposals, *ends))


def _sold(situation: Situation, factor: Fraction, years: int) -> History:
    """Return the lots that are left, bought so many years earlier, and all of them sold on the last day of the year."""
    own = {parcel.account_id for parcel in situation.parcels}
    accounts = tuple(each for each in situation.history.accounts if each.account_id in own)
    left = [each for each in situation.assessment.remaining if _counts(each, own, situation.prices)]
    last = situation.assessment.last_date
    acquisitions: list[Acquisition] = []
    disposals: list[Disposal] = []
    for number, each in enumerate(left):
        account_id = each.account_id or min(own)
        held = _earlier(each.held_from_date or each.acquired_date or situation.today, years)
        lot_id = f"lot:{number}"
        place = account_id, each.asset, each.quantity
        acquisitions.append(Acquisition(lot_id, held, *place, each.cost))
        worth = cents(Fraction(each.quantity) * Fraction(situation.prices[each.asset]) * factor)
        named = (lot_id,) if years else (each.lot_id or "",)
        disposals.append(Disposal(f"end:{number}", last, *place, worth, named))
    return History(accounts, tuple(acquisitions), tuple(disposals))


def _counts(each: Remaining, own: set[str], prices: Mapping[str, Decimal]) -> bool:
    return each.asset in prices and bool(own) and (each.account_id is None or each.account_id in own)


def _earlier(day: date, years: int) -> date:
    """Return the day `years` earlier; 28 February for a 29th that is none."""
    year = max(day.year - years, EARLIEST_DATE.year)
    try:
        return day.replace(year=year)
    except ValueError:
        return day.replace(year=year, day=28)


def all_projected(situation: Situation, scenarios: Sequence[Scenario], cash: Decimal = ZERO) -> tuple[Projected, ...]:
    """Return what comes of a situation in each scenario."""
    return tuple(projected(situation, each, cash) for each in scenarios)
