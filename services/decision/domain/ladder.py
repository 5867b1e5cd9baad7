"""A rebalance in steps: a plan over several days of which only the first step binds.

The plan for all at once says how much is to be traded. The first step may trade its share of that, and the optimiser
chooses what is best to trade first. The steps after it are computed on the account as it would be then: lots sold and
bought, gains and budget of the tax year, holding periods and wash-sale windows moved on, prices as they are now. They
show where the ladder leads and what it costs; when their day comes they are decided anew, on what is so then (a
receding horizon).
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

from services.decision.domain.decision import Decision, LadderStep, Trade, Trigger, TriggerKind
from services.decision.domain.gain_rules import GainRules
from services.decision.domain.netting import gains_of
from services.decision.domain.problem import ZERO, AccountProblem, Holding, LotId, LotState, RecentTrade, Side
from services.decision.domain.tax_years import moved_on
from services.decision.domain.words import money

# What asks at once, whatever step of a ladder is due.
_URGENT = frozenset(TriggerKind) - {TriggerKind.DRIFT, TriggerKind.TOTAL_DRIFT, TriggerKind.TRACKING_ERROR}


def next_step_date(problem: AccountProblem, asked: tuple[Trigger, ...]) -> date | None:
    """Return the day on which the next step of the ladder is due, if that is after today and nothing is urgent."""
    ladder = problem.ladder
    if ladder is None or any(each.kind in _URGENT for each in asked):
        return None
    due = [each.trade_date + timedelta(days=ladder.days) for each in problem.recent_trades if not each.elsewhere]
    latest = max(due, default=problem.as_of_date)
    return latest if latest > problem.as_of_date else None


def share_of(problem: AccountProblem, full: Decision, steps: int) -> AccountProblem:
    """Return the problem in which at most a step's share of what `full` trades may be traded."""
    traded = sum((trade.value for trade in full.trades), ZERO) / problem.mix_value
    most = traded / steps
    if problem.limits.turnover is not None:
        most = min(most, problem.limits.turnover)
    return replace(problem, ladder=None, limits=replace(problem.limits, turnover=most))


def later_steps(
    problem: AccountProblem, first: Decision, decide: Callable[[AccountProblem], Decision]
) -> tuple[LadderStep, ...]:
    """Return the steps after the first, as they would be if nothing but the account changed; none after the last.

    Args:
        problem: The account, with its ladder.
        first: The step that is made now.
        decide: Decides a problem, whatever its triggers.
    """
    ladder = problem.ladder
    if ladder is None:
        return ()
    found: list[LadderStep] = []
    said = ladder.gains or GainRules(problem.tax.long_rate, problem.tax.gain_budget)
    made, now = first, replace(problem, ladder=None)
    for left in range(ladder.steps - 1, 0, -1):
        now = after(now, made.trades, ladder.days, said)
        full = decide(now)
        if not full.trades:
            break
        made = decide(share_of(now, full, left)) if left > 1 else full
        if not made.trades:
            break
        summary = made.explanation.summary
        found.append(
            LadderStep(
                step_date=now.as_of_date,
                bought_value=summary.bought_value,
                sold_value=summary.sold_value,
                cost=summary.cost,
                tax=summary.tax_realized - summary.tax_saved,
                drift_after=summary.drift_after,
            )
        )
    return tuple(found)


def after(problem: AccountProblem, trades: tuple[Trade, ...], days: int, said: GainRules) -> AccountProblem:
    """Return the account `days` later, when the trades are made and prices are as they were.

    Args:
        problem: The account.
        trades: Made on its day.
        days: 1 or more.
        said: What the policy asks about gains of any tax year.
    """
    traded = {trade.instrument_id: trade for trade in trades}
    as_of_date = problem.as_of_date + timedelta(days=days)
    cash = problem.cash
    for trade in trades:
        cash += (trade.value if trade.side is Side.SELL else -trade.value) - trade.cost.total
    gains = gains_of([sale for trade in trades for sale in trade.lot_sales])
    recent = tuple(
        RecentTrade(
            trade.instrument_id, trade.side, problem.as_of_date, sum((each.gain for each in trade.lot_sales), ZERO)
        )
        for trade in trades
    )
    return replace(
        problem,
        as_of_date=as_of_date,
        cash=cash,
        holdings=tuple(_traded(each, traded.get(each.instrument_id), problem.as_of_date) for each in problem.holdings),
        tax=moved_on(problem.tax, said, problem.as_of_date, as_of_date, *gains),
        recent_trades=(*problem.recent_trades, *recent),
        cash_rule=replace(problem.cash_rule, flow=ZERO),
    )


def _traded(holding: Holding, trade: Trade | None, day: date) -> Holding:
    if trade is None:
        return holding
    if trade.side is Side.BUY:
        lot = LotState(LotId(f"{holding.instrument_id}-bought-{day}"), day, trade.quantity, trade.value)
        return replace(holding, lots=(*holding.lots, lot))
    sold = {sale.lot_id: sale.quantity for sale in trade.lot_sales}
    return replace(holding, lots=tuple(each for lot in holding.lots if (each := _left(lot, sold)) is not None))


def _left(lot: LotState, sold: dict[LotId, Decimal]) -> LotState | None:
    quantity = lot.quantity - sold.get(lot.lot_id, ZERO)
    if quantity <= 0:
        return None
    return replace(lot, quantity=quantity, basis_total=lot.basis_total * quantity / lot.quantity)


def ladder_sentence(problem: AccountProblem, later: tuple[LadderStep, ...]) -> str:
    """Return what a ladder is meant to do after the step that is made now."""
    if problem.ladder is None:
        return ""
    said = "; ".join(
        f"on {each.step_date} purchases of {money(each.bought_value, problem.currency)} and sales of "
        f"{money(each.sold_value, problem.currency)}"
        for each in later
    )
    begin = f" This is one step of {problem.ladder.steps}."
    return f"{begin} Meant after it, and decided anew then: {said}." if later else begin
