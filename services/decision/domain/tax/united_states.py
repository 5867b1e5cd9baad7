"""Federal tax of the United States on securities held by individuals, as far as choosing trades needs it.

Sources:
    Holding period: 26 U.S.C. § 1222 (more than one year) and Rev. Rul. 66-7 (it begins the day after acquisition
    and is counted in calendar months).
    Wash sales: 26 U.S.C. § 1091(a), Treas. Reg. 1.1091-1(a): 30 days before to 30 days after; Rev. Rul. 56-602
    (shares of the same purchase that are kept are no replacement of those sold).
    Netting: 26 U.S.C. § 1222(5) to (11): short against short, long against long, then the two nets.

Marginal rates are those of the year so far and hold for the whole plan: netting *within* the plan is not modelled here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from services.decision.domain.decision import Character, Trade
from services.decision.domain.problem import ZERO, AccountProblem, Holding, LotId, LotState, Side, TaxProfile
from services.decision.domain.tax.jurisdiction import LotTax, TaxView
from services.kernel.ids import InstrumentId

# 26 U.S.C. § 1091(a): 30 days before the sale to 30 days after, so 61 with the day itself.
WASH_SALE_WINDOW = timedelta(days=30)


def long_term_from(acquired_date: date) -> date:
    """Return the first day on which a sale is long-term.

    The holding period begins the day after acquisition, and a year later it has lasted one year; what is sold on
    that day is held for more than one. A purchase on the last day of a month is so long-term from the first of the
    thirteenth month after it, as Rev. Rul. 66-7 says, and one on 28 February of a leap year from 1 March.
    """
    begin = acquired_date + timedelta(days=1)
    if (begin.month, begin.day) == (2, 29):
        return date(begin.year + 1, 3, 1)
    return begin.replace(year=begin.year + 1)


def within_wash_sale_window(sale_date: date, purchase_date: date) -> bool:
    """Return whether a purchase may be a replacement of what was sold at a loss; both edges are inside."""
    return abs(purchase_date - sale_date) <= WASH_SALE_WINDOW


def marginal_rates(profile: TaxProfile) -> tuple[Decimal, Decimal]:
    """Return what one more unit of short-term and of long-term gain costs, after the year so far.

    While the year nets to a loss, a gain only uses up a loss that would be carried into later years; that is valued
    at the lower rate, because carried losses meet later gains of either kind.
    """
    short, long = profile.realized_short, profile.realized_long
    if short >= 0 and long >= 0:
        return profile.short_rate, profile.long_rate
    if short + long <= 0:
        lower = min(profile.short_rate, profile.long_rate)
        return lower, lower
    rate = profile.long_rate if short < 0 else profile.short_rate
    return rate, rate


@dataclass(frozen=True, slots=True)
class UnitedStates:
    """The jurisdiction `US`."""

    def view(self, problem: AccountProblem) -> TaxView:
        """Return character, marginal rate and wash-sale bars for the account's lots and instruments."""
        rates, purchases = marginal_rates(problem.tax), _purchases(problem)
        return TaxView(
            lots={
                lot.lot_id: _lot_tax(problem, holding, lot, rates, purchases.get(holding.identity, ()))
                for holding in problem.holdings
                for lot in holding.lots
            },
            no_buy=_no_buy(problem) if problem.tax.taxable else {},
        )

    def broken_rules(self, problem: AccountProblem, trades: Sequence[Trade]) -> tuple[str, ...]:
        """Return every purchase that would disallow a loss, of this plan or of the last 30 days, and the reverse."""
        if not problem.tax.taxable:
            return ()
        holdings = {holding.instrument_id: holding for holding in problem.holdings}
        sold_at_loss, recent = _loss_sales(problem), _purchases(problem)
        purchases = [trade.instrument_id for trade in trades if trade.side is Side.BUY]
        bought = {holdings[instrument_id].identity for instrument_id in purchases}
        found = [
            f"{instrument_id} was sold at a loss within 30 days and is bought again"
            for instrument_id in purchases
            if holdings[instrument_id].identity in sold_at_loss
        ]
        for trade in trades:
            for sale in trade.lot_sales:
                holding = holdings[trade.instrument_id]
                if not any(_at_loss(holding, lot) for lot in holding.lots if lot.lot_id == sale.lot_id):
                    continue
                if holding.identity in bought:
                    found.append(f"{trade.instrument_id} is sold at a loss and bought in one plan")
                others = _others(recent.get(holding.identity, ()), holding, sale.acquired_date, sale.lot_id)
                if others:
                    found.append(f"lot {sale.lot_id} is sold at a loss, and its instrument was bought on {max(others)}")
        return tuple(sorted(set(found)))


@dataclass(frozen=True, slots=True)
class _Purchase:
    """A purchase within the window of today; `lot_id` is None for one that is no lot of the account any more."""

    instrument_id: InstrumentId
    day: date
    lot_id: LotId | None


def _lot_tax(
    problem: AccountProblem,
    holding: Holding,
    lot: LotState,
    rates: tuple[Decimal, Decimal],
    purchases: Sequence[_Purchase],
) -> LotTax:
    gain_per_unit = holding.price - lot.basis_total / lot.quantity
    if not problem.tax.taxable:
        return LotTax(Character.EXEMPT, gain_per_unit, ZERO)
    short_rate, long_rate = rates
    held_long = problem.as_of_date >= long_term_from(lot.acquired_date)
    others = _others(purchases, holding, lot.acquired_date, lot.lot_id)
    return LotTax(
        character=Character.LONG if held_long else Character.SHORT,
        gain_per_unit=gain_per_unit,
        rate=long_rate if held_long else short_rate,
        no_sell=f"wash sale: bought again on {max(others)}" if _at_loss(holding, lot) and others else None,
    )


def _at_loss(holding: Holding, lot: LotState) -> bool:
    return holding.price * lot.quantity < lot.basis_total


def _no_buy(problem: AccountProblem) -> dict[InstrumentId, str]:
    sold_at_loss = _loss_sales(problem)
    return {
        holding.instrument_id: f"wash sale: sold at a loss on {sold_at_loss[holding.identity]}"
        for holding in problem.holdings
        if holding.identity in sold_at_loss
    }


def _loss_sales(problem: AccountProblem) -> dict[str, date]:
    """Return, by identity, the latest loss sale whose window is open today."""
    identity_of = _identities(problem)
    latest: dict[str, date] = {}
    for trade in problem.recent_trades:
        at_loss = trade.side is Side.SELL and trade.realized_gain < 0
        if at_loss and within_wash_sale_window(trade.trade_date, problem.as_of_date):
            identity = identity_of.get(trade.instrument_id, trade.instrument_id)
            latest[identity] = max(trade.trade_date, latest.get(identity, trade.trade_date))
    return latest


def _purchases(problem: AccountProblem) -> dict[str, list[_Purchase]]:
    """Return, by identity, the purchases within the window of today.

    Also those that were sold again since: whether they still count is disputed, so we stay clear of it.
    """
    found: dict[str, list[_Purchase]] = {}
    for holding in problem.holdings:
        for lot in holding.lots:
            if within_wash_sale_window(problem.as_of_date, lot.acquired_date):
                purchase = _Purchase(holding.instrument_id, lot.acquired_date, lot.lot_id)
                found.setdefault(holding.identity, []).append(purchase)
    identity_of = _identities(problem)
    for trade in problem.recent_trades:
        if trade.side is Side.BUY and within_wash_sale_window(problem.as_of_date, trade.trade_date):
            identity = identity_of.get(trade.instrument_id, trade.instrument_id)
            found.setdefault(identity, []).append(_Purchase(trade.instrument_id, trade.trade_date, None))
    return found


def _others(purchases: Sequence[_Purchase], holding: Holding, acquired_date: date, lot_id: LotId) -> list[date]:
    """Return the purchases, other than the lot's own, that would be replacements if the lot were sold today at a loss.

    A purchase that is no lot is the lot's own when it is of the same instrument and day.
    """
    return [
        each.day
        for each in purchases
        if (
            each.lot_id != lot_id
            if each.lot_id is not None
            else (each.instrument_id, each.day) != (holding.instrument_id, acquired_date)
        )
    ]


def _identities(problem: AccountProblem) -> dict[str, str]:
    return {holding.instrument_id: holding.identity for holding in problem.holdings}
