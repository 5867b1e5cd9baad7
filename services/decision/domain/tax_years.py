"""How an account's gains are taxed in a year, and what one year leaves to the next.

Within a year gains add up, and with them the room without tax is used. A new year begins without gains; it has its own
budget, and brings the losses that the law carries on. Rates and law stay those of the day that is decided for: what
will be law is not known.
"""

from dataclasses import replace
from datetime import date
from decimal import Decimal

from services.decision.domain.gain_rules import GainRules
from services.decision.domain.problem import ZERO, TaxProfile
from services.decision.domain.tax import jurisdiction


def in_year(profile: TaxProfile, said: GainRules, tax_year: int) -> TaxProfile:
    """Return how gains are taxed in `tax_year` by what a policy says, on top of what was realized and carried."""
    plain = replace(
        profile,
        long_rate=said.long_rate,
        gain_budget=said.budget(tax_year),
        gain_credit=ZERO,
        later_long_rate=None,
    )
    if said.harvest_room is None:
        return plain
    later = plain.long_rate if said.later_rate is None else said.later_rate
    return _harvesting(plain, said.harvest_room, said.harvest_importance, later)


def moved_on(profile: TaxProfile, said: GainRules, day: date, later: date, short: Decimal, long: Decimal) -> TaxProfile:
    """Return the profile as it is on `later`, when nothing is realized after `day` but what is realized on it.

    Args:
        profile: As it was on `day`.
        said: What the policy asks of any year.
        day: When the gains were realized.
        later: On or after `day`.
        short: Net short-term gain of the day; negative for a loss.
        long: Net gain of the day that is not short-term.
    """
    rules = jurisdiction(profile.jurisdiction)
    now = replace(
        profile,
        long_rate=said.long_rate,
        realized_short=profile.realized_short + short,
        realized_long=profile.realized_long + long,
    )
    last = rules.year_of_trades(later)
    for _ in range(rules.year_of_trades(day), last):
        carried_short, carried_long = rules.carried_on(now)
        now = replace(
            now, realized_short=ZERO, realized_long=ZERO, carried_short=carried_short, carried_long=carried_long
        )
    return in_year(now, said, last)


def _harvesting(tax: TaxProfile, room: Decimal, importance: Decimal, later: Decimal) -> TaxProfile:
    """Return how gains are taxed while some of the year's `room` without tax is left; as it is when none is.

    Long-term gains cost nothing then, their higher basis saves the long-term rate later, and the plan may realize no
    more than what is left. While losses of this or earlier years are unused, a gain would use them up and gain nothing.
    """
    short, long = tax.realized_short - tax.carried_short, tax.realized_long - tax.carried_long
    if not tax.taxable or min(short, long) < 0 or short + long >= room:
        return tax
    budget = room if tax.gain_budget is None else min(tax.gain_budget, room)
    return replace(
        tax,
        long_rate=ZERO,
        gain_budget=budget,
        gain_credit=importance * later,
        later_long_rate=later,
    )
