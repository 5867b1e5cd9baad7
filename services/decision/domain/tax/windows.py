"""Which purchases and which sales at a loss are near enough to a day to deny a loss, where the law has such a window.

The United States (26 U.S.C. § 1091) and Canada (ITA s. 54) look 30 days back and 30 days ahead, the United Kingdom
(TCGA 1992 s. 106A) only ahead of a sale. What counts as the same is named by `Holding.identity`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from services.decision.domain.decision import Trade
from services.decision.domain.problem import AccountProblem, Holding, LotId, LotState, Side
from services.kernel.ids import InstrumentId

# 26 U.S.C. § 1091(a), ITA s. 54, TCGA 1992 s. 106A(5): 30 days before the sale to 30 days after, so 61 with the day.
WINDOW = timedelta(days=30)
# Stands for a lot of another account.
ELSEWHERE = LotId("")


def within_window(one: date, other: date) -> bool:
    """Return whether two days are at most 30 days apart; both edges are inside."""
    return abs(one - other) <= WINDOW


@dataclass(frozen=True, slots=True)
class Purchase:
    """A purchase within the window of today; `lot_id` is None for one that is no lot of the account any more."""

    instrument_id: InstrumentId
    day: date
    lot_id: LotId | None


def at_loss(holding: Holding, lot: LotState) -> bool:
    """Return whether a sale out of the lot would be at a loss today."""
    return holding.price * lot.quantity < lot.basis_total


def bars_on_buying(problem: AccountProblem, rule: str) -> dict[InstrumentId, str]:
    """Return why instruments may not be bought: `rule` names it; absent when they may."""
    sold_at_loss = loss_sales(problem)
    return {
        holding.instrument_id: f"{rule}: sold at a loss on {sold_at_loss[holding.identity]}"
        for holding in problem.holdings
        if holding.identity in sold_at_loss
    }


def loss_sales(problem: AccountProblem) -> dict[str, date]:
    """Return, by identity, the latest loss sale whose window is open today."""
    identity_of = _identities(problem)
    latest: dict[str, date] = {}
    for trade in problem.recent_trades:
        lost = trade.side is Side.SELL and trade.realized_gain < 0
        if lost and within_window(trade.trade_date, problem.as_of_date):
            identity = identity_of.get(trade.instrument_id, trade.instrument_id)
            latest[identity] = max(trade.trade_date, latest.get(identity, trade.trade_date))
    return latest


def purchases(problem: AccountProblem) -> dict[str, list[Purchase]]:
    """Return, by identity, the purchases within the window of today.

    Also those that were sold again since: whether they still count is disputed, so we stay clear of it.
    """
    found: dict[str, list[Purchase]] = {}
    for holding in problem.holdings:
        for lot in holding.lots:
            if within_window(problem.as_of_date, lot.acquired_date):
                purchase = Purchase(holding.instrument_id, lot.acquired_date, lot.lot_id)
                found.setdefault(holding.identity, []).append(purchase)
    identity_of = _identities(problem)
    for trade in problem.recent_trades:
        if trade.side is Side.BUY and within_window(problem.as_of_date, trade.trade_date):
            identity = identity_of.get(trade.instrument_id, trade.instrument_id)
            # One of another account is nobody's own lot, whatever its day.
            lot_id = ELSEWHERE if trade.elsewhere else None
            found.setdefault(identity, []).append(Purchase(trade.instrument_id, trade.trade_date, lot_id))
    return found


def others(found: Sequence[Purchase], holding: Holding, acquired_date: date, lot_id: LotId) -> list[date]:
    """Return the purchases, other than the lot's own, that would be replacements if the lot were sold today at a loss.

    A purchase that is no lot is the lot's own when it is of the same instrument and day.
    """
    return [
        each.day
        for each in found
        if (
            each.lot_id != lot_id
            if each.lot_id is not None
            else (each.instrument_id, each.day) != (holding.instrument_id, acquired_date)
        )
    ]


def denied_losses(problem: AccountProblem, trades: Sequence[Trade], *, looks_back: bool) -> tuple[str, ...]:
    """Return every purchase of a plan that would deny a loss, of this plan or of the last 30 days.

    With `looks_back` also every sale at a loss of this plan that a purchase of the last 30 days denies.
    """
    holdings = {holding.instrument_id: holding for holding in problem.holdings}
    sold_at_loss, recent = loss_sales(problem), purchases(problem)
    bought = [trade.instrument_id for trade in trades if trade.side is Side.BUY]
    identities = {holdings[instrument_id].identity for instrument_id in bought}
    found = [
        f"{instrument_id} was sold at a loss within 30 days and is bought again"
        for instrument_id in bought
        if holdings[instrument_id].identity in sold_at_loss
    ]
    for trade in trades:
        for sale in trade.lot_sales:
            holding = holdings[trade.instrument_id]
            if not any(at_loss(holding, lot) for lot in holding.lots if lot.lot_id == sale.lot_id):
                continue
            if holding.identity in identities:
                found.append(f"{trade.instrument_id} is sold at a loss and bought in one plan")
            again = others(recent.get(holding.identity, ()), holding, sale.acquired_date, sale.lot_id)
            if looks_back and again:
                found.append(f"lot {sale.lot_id} is sold at a loss, and its instrument was bought on {max(again)}")
    return tuple(sorted(set(found)))


def _identities(problem: AccountProblem) -> dict[str, str]:
    return {holding.instrument_id: holding.identity for holding in problem.holdings}
