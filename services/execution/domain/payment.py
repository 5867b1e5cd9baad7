"""Which units of a cash account are not paid for yet, so that nobody sells them?

A cash account may buy with the proceeds of what it sold before that money has come. It may not sell what it bought so
until the money is there: a good-faith violation; and never what it had no money for: free-riding (Regulation T, 12 CFR
220.8(a)(1)(ii) and (c)(1): who sells a security that was not paid for in full loses for 90 days the right to pay
later). So each purchase is charged first to settled cash, then to unsettled proceeds, those that settle first before
the others; its units may be sold from the day on which the last of its money settles.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from services.execution.domain.words import Side
from services.kernel.ids import InstrumentId, PlanId

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Movement:
    """What a trade moved in an account whose money has not moved yet.

    `opening_cash` is what the trade's plan could spend before its own sells: settled money, and proceeds of earlier
    plans that nobody spent. `amount` is the money that changes hands, fees in: what a sell brings, what a buy costs.
    """

    plan_id: PlanId
    opening_cash: Decimal
    instrument_id: InstrumentId
    side: Side
    quantity: Decimal
    amount: Decimal
    trade_date: date
    settlement_date: date


@dataclass(frozen=True, slots=True)
class Unpaid:
    """So many units were bought with money that comes on `until`; on that day they may be sold."""

    quantity: Decimal
    until: date


def unpaid(movements: Iterable[Movement], today: date) -> dict[InstrumentId, Unpaid]:
    """Return the units that may not be sold on `today`, by instrument; paid ones are missing.

    Args:
        movements: An account's trades that settle after `today`, as they count now: by plan, in the order in which the
            plans were taken; within a plan what was sold before what was bought.
        today: The exchange's date.
    """
    found: dict[InstrumentId, Unpaid] = {}
    proceeds: list[tuple[date, Decimal]] = []
    settled, plan_id = ZERO, None
    for each in movements:
        if each.plan_id != plan_id:
            plan_id = each.plan_id
            unspent = sum((left for settles, left in proceeds if settles > each.trade_date), ZERO)
            settled = max(each.opening_cash - unspent, ZERO)
        if each.side is Side.SELL:
            proceeds.append((each.settlement_date, each.amount))
            proceeds.sort()
            continue
        from_settled = min(settled, each.amount)
        settled -= from_settled
        proceeds, until = _spent(proceeds, each.amount - from_settled, each.settlement_date)
        if until is not None and until > today:
            before = found.get(each.instrument_id, Unpaid(ZERO, until))
            found[each.instrument_id] = Unpaid(before.quantity + each.quantity, max(before.until, until))
    return found


def sellable(held: Decimal, instrument_id: InstrumentId, not_paid: Mapping[InstrumentId, Unpaid]) -> Decimal:
    """Return how many of the units `held` are paid for, 0 or more."""
    return max(held - not_paid[instrument_id].quantity, ZERO) if instrument_id in not_paid else held


def _spent(
    proceeds: list[tuple[date, Decimal]], amount: Decimal, own: date
) -> tuple[list[tuple[date, Decimal]], date | None]:
    """Return what is left of `proceeds` after `amount` is taken, and when the last of it settles; None for none.

    What they do not cover is owed, until the purchase itself settles on `own` at least.
    """
    left, until = [], None
    for settles, there in proceeds:
        taken = min(there, amount)
        amount -= taken
        if taken > 0:
            until = settles
        left.append((settles, there - taken))
    if amount > 0:
        until = own if until is None else max(own, until)
    return [each for each in left if each[1] > 0], until
