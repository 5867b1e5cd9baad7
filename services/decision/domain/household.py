"""Accounts that are taxed together: what one sells at a loss, none of them buys within the window.

A purchase by a spouse, or inside a pension, denies a loss like the owner's own (IRS Publication 550; Rev. Rul. 2008-5).
So each account is decided knowing what the others traded lately and what their plans are about to trade. Accounts that
are decided together may still want opposite things; then either those that buy leave it, or those that sell at a loss
keep it. `household_search` finds what is best for the household.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from services.decision.domain.book import AccountBook, TaxWrapper
from services.decision.domain.deciding import AccountInputs
from services.decision.domain.plan import Draft
from services.decision.domain.problem import RecentTrade, Side
from services.decision.domain.tax import jurisdiction
from services.kernel.ids import InstrumentId

# Of a loss that is planned only its sign matters.
A_LOSS = Decimal("-0.01")


@dataclass(frozen=True, slots=True)
class Opposed:
    """Accounts, by their place, that sell at a loss and that buy what is identical; `sold` and `bought` name it.

    `name` is that of the identity.
    """

    name: str
    sellers: tuple[int, ...]
    buyers: tuple[int, ...]
    sold: InstrumentId
    bought: InstrumentId


def trades_elsewhere(account: AccountBook, planned: Sequence[RecentTrade], since: date) -> tuple[RecentTrade, ...]:
    """Return what the windows of the household's other accounts must see of an account, oldest first.

    Args:
        account: With its booked trades since then.
        planned: What a live plan of it is about to trade.
        since: Trades before that day are outside every window.
    """
    bought = [
        RecentTrade(position.instrument_id, Side.BUY, lot.acquired_date)
        for position in account.positions
        for lot in position.lots
        if lot.acquired_date >= since
    ]
    # Losses that are not taxed are nobody's to deny.
    counts = account.tax_wrapper is TaxWrapper.TAXABLE
    traded = [each for each in (*account.recent_trades, *planned) if each.side is Side.BUY or counts]
    found = {replace(each, elsewhere=True) for each in (*bought, *traded) if each.trade_date >= since}
    return tuple(sorted(found, key=lambda each: (each.trade_date, each.instrument_id, each.side, each.realized_gain)))


def planned_trades(draft: Draft, day: date) -> tuple[RecentTrade, ...]:
    """Return what a draft is about to trade, as the windows see it."""
    decision = draft.content.decision
    if decision is None:
        return ()
    return tuple(
        RecentTrade(
            trade.instrument_id,
            trade.side,
            day,
            A_LOSS if any(sale.gain < 0 for sale in trade.lot_sales) else Decimal(0),
        )
        for trade in decision.trades
    )


def opposed(
    members: Sequence[tuple[AccountInputs, Draft]], identity: Callable[[InstrumentId], str], day: date
) -> Opposed | None:
    """Return accounts of a household whose drafts deny each other a loss, by identity the first; None when none do."""
    sellers: dict[str, list[tuple[int, InstrumentId]]] = {}
    buyers: dict[str, list[tuple[int, InstrumentId]]] = {}
    for place, (inputs, draft) in enumerate(members):
        for trade in planned_trades(draft, day):
            name = identity(trade.instrument_id)
            if trade.side is Side.BUY:
                buyers.setdefault(name, []).append((place, trade.instrument_id))
            elif trade.realized_gain < 0 and _may_be_denied(inputs):
                sellers.setdefault(name, []).append((place, trade.instrument_id))
    for name in sorted(sellers.keys() & buyers.keys()):
        sell, buy = sellers[name], buyers[name]
        # One account alone never opposes itself: its own rules see to that.
        if {place for place, _ in sell} != {place for place, _ in buy} or len(sell) > 1:
            return Opposed(
                name, tuple(place for place, _ in sell), tuple(place for place, _ in buy), sell[0][1], buy[0][1]
            )
    return None


def _may_be_denied(inputs: AccountInputs) -> bool:
    """Return whether the account's losses count, and its law denies those of what is bought again."""
    if inputs.policy is None or inputs.account.tax_wrapper is not TaxWrapper.TAXABLE:
        return False
    return jurisdiction(inputs.policy.tax.jurisdiction or "").locked_days > 0


def barred(found: Opposed, members: Sequence[AccountInputs], day: date, *, buyers: bool) -> Mapping[int, AccountInputs]:
    """Return the accounts' inputs, by place, in which those that buy see the loss, or those that sell the purchase."""
    seen = (
        RecentTrade(found.sold, Side.SELL, day, A_LOSS, elsewhere=True)
        if buyers
        else RecentTrade(found.bought, Side.BUY, day, elsewhere=True)
    )
    return {
        place: replace(members[place], household_trades=(*members[place].household_trades, seen))
        for place in (found.buyers if buyers else found.sellers)
    }
