"""A decision out of plan columns, when somebody asks for it: the values and sentences that `decide` answers with.

The columns hold every figure; what is added here is names and words.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from services.decision.domain.bulk import columns as c
from services.decision.domain.case import NOT_SOLVED, options_told
from services.decision.domain.decide import BELOW_MINIMUM, EVERYTHING_WITHIN, NOT_WORTH_IT
from services.decision.domain.decision import (
    BindingConstraint,
    Certificate,
    ConstraintKind,
    Decision,
    Explanation,
    LotSale,
    NoTradeReason,
    ObjectiveTerms,
    Outcome,
    Summary,
    Trade,
    TradeCost,
    TradeReason,
)
from services.decision.domain.entering import gain_budget_left, ordered_holdings, ordered_lots
from services.decision.domain.explanation import (
    break_even_years,
    drift_figures,
    drifts_after,
    ordered_targets,
    summary_sentence,
    told,
)
from services.decision.domain.netting import netted, tax_figures
from services.decision.domain.problem import ZERO, AccountProblem, DecideOptions, Holding, Side
from services.decision.domain.tax import TaxView
from services.decision.domain.triggers import triggers
from services.decision.domain.words import cents, money, percent, weight

# Who solved it, as the certificate names it; the version is raised when its answers change.
SOLVER, SOLVER_VERSION = "COLUMNS", "2"

CENT, MILLIONTH, HUNDREDTH = 2, 6, 2
SENTENCES = {
    c.WITHIN_BANDS: (NoTradeReason.WITHIN_BANDS, EVERYTHING_WITHIN),
    c.NOT_WORTH_IT: (NoTradeReason.NOT_WORTH_IT, NOT_WORTH_IT),
    c.BELOW_MINIMUM: (NoTradeReason.BELOW_MINIMUM, BELOW_MINIMUM),
}
REQUIRED = {
    c.NOTHING: None,
    c.BY_CASH_FLOOR: ConstraintKind.CASH_FLOOR,
    c.BY_GAIN_BUDGET: ConstraintKind.GAIN_BUDGET,
    c.BY_GROUP_MAX: ConstraintKind.GROUP_MAX,
    c.BY_GROUP_MIN: ConstraintKind.GROUP_MIN,
}


@dataclass(frozen=True, slots=True, eq=False)
class AccountPlan:
    """One account's part of the plan columns, as plain integers, beside what it was decided on."""

    problem: AccountProblem
    tax: TaxView
    account: Sequence[int]
    # By instrument, then by row of `Plans.instruments`; lots and groups likewise.
    instruments: Sequence[Sequence[int]]
    lots: Sequence[Sequence[int]]
    groups: Sequence[Sequence[int]]
    quantity_scale: int

    @property
    def answered(self) -> bool:
        """Whether the columns answer the account."""
        return self.account[c.OUTCOME] in (c.TRADE, c.NO_TRADE)


def account_plans(
    inputs: c.Inputs, plans: c.Plans, problems: Sequence[AccountProblem], views: Sequence[TaxView]
) -> Iterator[AccountPlan]:
    """Yield each account's part, in order."""
    accounts, scales = plans.accounts.tolist(), inputs.accounts[:, c.QUANTITY_SCALE].tolist()
    instruments, lots, groups = plans.instruments.T, plans.lots.T, plans.groups
    instrument_at, lot_at, group_at = inputs.instrument_at, inputs.lot_at, inputs.group_at
    for index, (problem, view) in enumerate(zip(problems, views, strict=True)):
        i0, i1 = instrument_at[index], instrument_at[index + 1]
        yield AccountPlan(
            problem,
            view,
            accounts[index],
            instruments[i0:i1].tolist(),
            lots[lot_at[i0] : lot_at[i1]].tolist(),
            groups[group_at[index] : group_at[index + 1]].tolist(),
            scales[index],
        )


def decision_of(plan: AccountPlan, options: DecideOptions) -> Decision:
    """Return the decision that the columns hold.

    Raises:
        ValueError: They hold none.
    """
    if not plan.answered:
        raise ValueError(f"account {plan.problem.account_id} is not answered by columns")
    told_of = plan.account
    made, rows = [], []
    lot = 0
    for holding, row in zip(ordered_holdings(plan.problem), plan.instruments, strict=True):
        own_lots = plan.lots[lot : lot + len(holding.lots)]
        lot += len(holding.lots)
        if row[c.STEPS]:
            made.append(_trade(plan, holding, row, own_lots))
            rows.append((holding, row))
    trades = netted(plan.tax, made)
    reasons = [_reason(plan, *of, trade) for of, trade in zip(rows, trades, strict=True)]
    order = sorted(range(len(trades)), key=lambda at: (trades[at].side is Side.BUY, trades[at].instrument_id))
    solved = told_of[c.NODES] > 0
    reason, sentence = SENTENCES.get(told_of[c.WHY], (None, None)) if told_of[c.OUTCOME] == c.NO_TRADE else (None, None)
    return Decision(
        outcome=Outcome.TRADE if trades else Outcome.NO_TRADE,
        trades=tuple(trades[at] for at in order),
        certificate=_certificate(plan, options, solved=solved),
        explanation=Explanation(
            triggers=triggers(plan.problem, options),
            trades=tuple(reasons[at] for at in order),
            binding=tuple(_binding(plan)) if solved else (),
            summary=_summary(plan, trades, sentence),
            no_trade_reason=reason,
        ),
    )


def _trade(plan: AccountPlan, holding: Holding, row: Sequence[int], lots: Sequence[Sequence[int]]) -> Trade:
    steps = row[c.STEPS]
    sales = []
    if steps < 0:
        for lot, sold in zip(ordered_lots(holding), lots, strict=True):
            if sold[c.SOLD_QUANTITY]:
                taxed = plan.tax.lots[lot.lot_id]
                sales.append(
                    LotSale(
                        lot_id=lot.lot_id,
                        acquired_date=lot.acquired_date,
                        quantity=_kept(sold[c.SOLD_QUANTITY], plan.quantity_scale),
                        proceeds=_kept(sold[c.PROCEEDS], CENT),
                        basis=_kept(sold[c.SOLD_BASIS], CENT),
                        gain=_kept(sold[c.LOT_GAIN], CENT),
                        character=taxed.character,
                        rate=taxed.rate,
                        tax=_kept(sold[c.LOT_TAX], CENT),
                    )
                )
    return Trade(
        instrument_id=holding.instrument_id,
        side=Side.BUY if steps > 0 else Side.SELL,
        quantity=abs(steps) * holding.quantity_increment,
        price=holding.price,
        value=_kept(row[c.VALUE], CENT),
        cost=TradeCost(_kept(row[c.SPREAD], CENT), _kept(row[c.PAID_COMMISSION], CENT), _kept(row[c.IMPACT], CENT)),
        lot_sales=tuple(sales),
    )


def _reason(plan: AccountPlan, holding: Holding, row: Sequence[int], trade: Trade) -> TradeReason:
    reason = TradeReason(
        instrument_id=trade.instrument_id,
        side=trade.side,
        weight_before=_kept(row[c.WEIGHT_BEFORE], MILLIONTH),
        weight_after=_kept(row[c.WEIGHT_AFTER], MILLIONTH),
        target_weight=weight(holding.target_weight),
        deviation_benefit=_kept(row[c.BENEFIT], CENT),
        risk_benefit_bps=_kept(row[c.RISK], HUNDREDTH),
        cost=trade.cost,
        tax=trade.tax,
        net_benefit=_kept(row[c.NET], CENT),
        required_by=REQUIRED[row[c.REQUIRED_BY]],
        without="",
        sentence="",
    )
    return told(reason, trade, plan.problem.currency)


def _certificate(plan: AccountPlan, options: DecideOptions, *, solved: bool) -> Certificate:
    figures = plan.account
    nodes = figures[c.NODES]
    return Certificate(
        primal_bps=_kept(figures[c.PRIMAL], MILLIONTH),
        dual_bps=_kept(figures[c.DUAL], MILLIONTH),
        gap_bps=_kept(figures[c.PRIMAL] - figures[c.DUAL], MILLIONTH),
        hold_bps=_kept(figures[c.HOLD], MILLIONTH),
        convex_gap_bps=_kept(figures[c.CONVEX_GAP], MILLIONTH),
        solver=SOLVER if solved else "NONE",
        solver_version=SOLVER_VERSION if solved else "",
        status=f"best of {nodes} nodes, {_kept(figures[c.UNPROVEN], MILLIONTH)} bp unproven" if solved else NOT_SOLVED,
        options=options_told(options),
    )


def _summary(plan: AccountPlan, trades: Sequence[Trade], nothing: str | None) -> Summary:
    figures = plan.account

    def cash(place: int) -> Decimal:
        return _kept(figures[place], CENT)

    traded = figures[c.OUTCOME] == c.TRADE
    sales = [sale for trade in trades for sale in trade.lot_sales]
    before = _terms(figures, (c.DEVIATION_BEFORE, c.OUTSIDE_BEFORE, c.IDLE_BEFORE, None, None))
    after = _terms(figures, (c.DEVIATION_AFTER, c.OUTSIDE_AFTER, c.IDLE_AFTER, c.COST_AFTER, c.TAX_AFTER))
    after = after if traded else before
    targets = ordered_targets(plan.problem)
    error_after = figures[c.ERROR_AFTER] if traded else figures[c.ERROR_BEFORE]
    made = Summary(
        mix_value=cash(c.MIX_VALUE),
        drift_before=_kept(figures[c.DRIFT_BEFORE], MILLIONTH),
        drift_after=_kept(figures[c.DRIFT_AFTER], MILLIONTH),
        drift_max_before=_kept(figures[c.DRIFT_MAX_BEFORE], MILLIONTH),
        drift_max_after=_kept(figures[c.DRIFT_MAX_AFTER], MILLIONTH),
        tracking_error_before_bps=_kept(figures[c.ERROR_BEFORE], HUNDREDTH),
        tracking_error_after_bps=_kept(error_after, HUNDREDTH),
        cash_before=cash(c.CASH_BEFORE),
        cash_after=cash(c.CASH_AFTER),
        bought_value=cash(c.BOUGHT),
        sold_value=cash(c.SOLD),
        turnover=_kept(figures[c.TURNOVER], MILLIONTH),
        cost=cash(c.COST),
        gain_short=cash(c.GAIN_SHORT),
        gain_long=cash(c.GAIN_LONG),
        tax_realized=sum((sale.tax for sale in sales if sale.tax > 0), ZERO),
        tax_saved=-sum((sale.tax for sale in sales if sale.tax < 0), ZERO) + ZERO,
        net_benefit=cash(c.NET_BENEFIT),
        sentence="",
        objective_before=before,
        objective_after=after,
        break_even_years=break_even_years(plan.problem, before, after),
        drift_figures_before=drift_figures(
            targets, drifts_after(plan.problem, ()), _kept(figures[c.ERROR_BEFORE], HUNDREDTH)
        ),
        drift_figures_after=drift_figures(targets, drifts_after(plan.problem, trades), _kept(error_after, HUNDREDTH)),
        taxes=tax_figures(plan.problem, trades),
    )
    return replace(made, sentence=summary_sentence(made, plan.problem.currency, nothing))


def _terms(figures: Sequence[int], places: Sequence[int | None]) -> ObjectiveTerms:
    return ObjectiveTerms(*(_kept(0 if place is None else figures[place], MILLIONTH) for place in places))


def _binding(plan: AccountPlan) -> Iterator[BindingConstraint]:
    """Yield the limits with a price worth mentioning, in the order and the words of `binding_constraints`."""
    problem, figures = plan.problem, plan.account

    def one(kind: ConstraintKind, subject: str, limit: Decimal, price: int, shown: str) -> Iterator[BindingConstraint]:
        if price:
            kept = _kept(price, MILLIONTH)
            worth = f"Relaxing it is worth {percent(kept)} of what it is relaxed by."
            yield BindingConstraint(kind, subject, limit, kept, f"{shown} {worth}")

    floor = cents(problem.cash_floor)
    shown = f"Cash is kept at {money(floor, problem.currency)}."
    yield from one(ConstraintKind.CASH_FLOOR, "", floor, figures[c.FLOOR_PRICE], shown)
    if problem.limits.turnover is not None:
        limit = weight(problem.limits.turnover)
        shown = f"Trades are limited to {percent(limit)} of the account."
        yield from one(ConstraintKind.TURNOVER, "", limit, figures[c.TURNOVER_PRICE], shown)
    budget = gain_budget_left(problem)
    if budget is not None:
        left = cents(budget)
        shown = f"Gains of this plan are limited to {money(left, problem.currency)}."
        yield from one(ConstraintKind.GAIN_BUDGET, "", left, figures[c.BUDGET_PRICE], shown)
    for group, (low, high) in zip(problem.limits.groups, plan.groups, strict=True):
        least, most = weight(group.weight_min), weight(group.weight_max)
        shown = f"{group.name} holds at least {percent(least)}."
        yield from one(ConstraintKind.GROUP_MIN, group.name, least, low, shown)
        shown = f"{group.name} holds at most {percent(most)}."
        yield from one(ConstraintKind.GROUP_MAX, group.name, most, high, shown)
    for holding, row in zip(ordered_holdings(problem), plan.instruments, strict=True):
        name = holding.instrument_id
        held = _kept(row[c.WEIGHT_BEFORE], MILLIONTH)
        no_buy = holding.no_buy or plan.tax.no_buy.get(name)
        if no_buy is not None:
            shown = f"{name} may not be bought: {no_buy}."
            yield from one(ConstraintKind.NO_BUY, name, held, row[c.BUY_WORTH], shown)
        elif holding.weight_max is not None:
            most = weight(holding.weight_max)
            shown = f"{name} is bought to at most {percent(most)}."
            yield from one(ConstraintKind.WEIGHT_MAX, name, most, row[c.BUY_WORTH], shown)
        if row[c.SELL_WORTH]:
            reasons = [holding.no_sell or plan.tax.lots[lot.lot_id].no_sell for lot in ordered_lots(holding)]
            reason = max(each for each in reasons if each is not None)
            shown = f"{name} may not be sold: {reason}."
            yield from one(ConstraintKind.NO_SELL, name, held, row[c.SELL_WORTH], shown)


def _kept(units: int, places: int) -> Decimal:
    return Decimal(units).scaleb(-places)
