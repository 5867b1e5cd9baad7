"""When to buy back what is sold at a loss: from which day on, and up to which rise without giving the tax away again.

What is held instead is bought today, so a gain on it is short-term until its anniversary (26 U.S.C. § 1222). Sold for
the way back before that day, a gain may cost more tax than the loss saved: `break_even_rise` is where both are equal,
everything netted, by this year's law.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_FLOOR, Decimal
from fractions import Fraction

from services.decision.domain.problem import ZERO
from services.decision.domain.tax import jurisdiction
from services.decision.domain.tax.assessment.history import total
from services.decision.domain.tax.assessment.results import Term, gain_on
from services.decision.domain.tax.situation import Explained, Situation
from services.decision.domain.tax.united_states import long_term_from

# Eightfold: no rise that anybody waits for is larger.
RISE_MAX = 8
_CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Reentry:
    """The way back into an instrument that is sold at a loss.

    Attributes:
        saved: Tax of this year that the sale alone saves; 0 or more.
        open_date: First day on which buying it back touches no loss.
        long_date: First day on which a gain on what is held instead is long-term; None where the law does not ask.
        break_even_rise: Rise of what is held instead, as a fraction of the proceeds, to four places, from which on its
            sale at a short-term gain costs as much as was saved; None when none up to `RISE_MAX` does.
    """

    asset: str
    saved: Decimal
    open_date: date
    long_date: date | None
    break_even_rise: Decimal | None
    sentence: str


def reentries(situation: Situation, losses: Sequence[Explained]) -> tuple[Reentry, ...]:
    """Return the way back into each instrument of which `losses` are sold today, by instrument."""
    locked_days = jurisdiction(situation.rules.code).locked_days
    if not locked_days:
        # The same may be bought back at once.
        return ()
    by_asset: dict[str, list[Explained]] = {}
    for each in losses:
        by_asset.setdefault(each.parcel.asset, []).append(each)
    return tuple(_reentry(situation, asset, by_asset[asset], locked_days) for asset in sorted(by_asset))


def _reentry(situation: Situation, asset: str, losses: Sequence[Explained], locked_days: int) -> Reentry:
    today, terms = situation.today, jurisdiction(situation.rules.code).terms
    sold = tuple(gain_on(today, each.parcel.gain, each.term, asset) for each in losses)
    term = Term.SHORT if terms else Term.ANY

    def tax_with(gain: Decimal) -> Decimal:
        """Return the year's tax when what is held instead is sold again at a gain."""
        way_back = (gain_on(today, gain, term, asset),) if gain else ()
        return situation.rules.tax_with(situation.assessment, (*sold, *way_back))

    proceeds = total(each.parcel.value for each in losses)
    saved = max(total((situation.tax, tax_with(ZERO).copy_negate())), ZERO)
    gain = _break_even(tax_with, situation.tax, proceeds * RISE_MAX) if saved and proceeds else None
    rise = None
    if gain is not None:
        rise = Decimal(round(Fraction(gain) / Fraction(proceeds) * 10_000)).scaleb(-4)
    opens = today + timedelta(days=locked_days)
    long_date = long_term_from(today) if terms else None
    return Reentry(asset, saved, opens, long_date, rise, _sentence(asset, saved, opens, long_date, rise))


def _break_even(tax_with: Callable[[Decimal], Decimal], tax: Decimal, most: Decimal) -> Decimal | None:
    """Return the least gain, to the cent, with which the year's tax is `tax` again; None when `most` does not reach it.

    Tax never falls as a gain grows, so bisection finds it.
    """
    if tax_with(most) < tax:
        return None
    low, high = ZERO, most
    while high - low > _CENT:
        middle = ((low + high) / 2).quantize(_CENT, ROUND_FLOOR)
        if tax_with(middle) < tax:
            low = middle
        else:
            high = middle
    return high


def _sentence(asset: str, saved: Decimal, opens: date, long_date: date | None, rise: Decimal | None) -> str:
    said = f"{asset} may be bought back from {opens} on"
    if long_date is not None:
        said += f"; until {long_date} a gain on what is held instead is short-term"
    if rise is None:
        return f"{said}."
    return f"{said}; sold {rise * 100:.2f} % higher, it costs the {saved} of tax again that the sale saves."
