"""Why these trades: figures from the optimum and its prices, and sentences that show those figures and no others.

A trade's benefit is measured by leaving it out: the same plan without it, its money staying in cash. Limits are
explained by their prices, which the certificate's own arithmetic turns into money.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np

from services.decision.domain.binding import LIMIT_WORDS
from services.decision.domain.certificate import Terms, plan_terms
from services.decision.domain.convex import BPS_PER_ONE, ConvexProblem, ConvexSolution, Floats, by_instrument, exact
from services.decision.domain.decision import (
    CENT,
    LIMIT_KINDS,
    BindingConstraint,
    Character,
    ConstraintKind,
    DriftFigures,
    ObjectiveTerms,
    Summary,
    Trade,
    TradeReason,
)
from services.decision.domain.entering import ordered_holdings, ordered_lots
from services.decision.domain.netting import tax_figures
from services.decision.domain.problem import ONE, ZERO, AccountProblem, Side
from services.decision.domain.words import BPS_UNIT, CERTIFIED_BPS_UNIT, bps, cents, money, percent, quantity, weight

# Break-even horizons are told to a thousandth of a year, about nine hours.
YEARS_UNIT = Decimal("0.001")


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """A plan as the arrays see it: weights sold per lot (m,) and bought per instrument (n,), of exact trades."""

    problem: AccountProblem
    convex: ConvexProblem
    trades: tuple[Trade, ...]
    sold: Floats
    bought: Floats

    @property
    def d(self) -> Floats:
        """Weights minus targets after the plan."""
        return self.convex.start - by_instrument(self.convex, self.sold) + self.bought - self.convex.target

    def currency(self, of_bps: float) -> Decimal:
        """Return basis points of the account in currency, rounded half-even to the cent."""
        return exact(of_bps / BPS_PER_ONE * float(self.problem.mix_value), CENT)


def plan_of(problem: AccountProblem, convex: ConvexProblem, trades: tuple[Trade, ...]) -> Plan:
    """Return exact trades with their weights."""
    row_of = {holding.instrument_id: row for row, holding in enumerate(ordered_holdings(problem))}
    lots = [lot.lot_id for holding in ordered_holdings(problem) for lot in ordered_lots(holding)]
    index_of = {lot_id: index for index, lot_id in enumerate(lots)}
    sold, bought = np.zeros(len(lots)), np.zeros(len(row_of))
    for trade in trades:
        if trade.side is Side.BUY:
            bought[row_of[trade.instrument_id]] = float(trade.value / problem.mix_value)
        for sale in trade.lot_sales:
            sold[index_of[sale.lot_id]] = float(sale.proceeds / problem.mix_value)
    return Plan(problem, convex, trades, sold, bought)


def objective_terms(plan: Plan) -> Terms:
    """Return the objective of exact trades in its parts, with commissions per trade."""
    parts = plan_terms(plan.convex, plan.sold, plan.bought)
    once = {holding.instrument_id: holding.commission_per_trade for holding in plan.problem.holdings}
    paid = float(sum((once[trade.instrument_id] for trade in plan.trades), ZERO) / plan.problem.mix_value)
    return replace(parts, cost=parts.cost + BPS_PER_ONE * plan.convex.cost_weight * paid)


def objective_bps(plan: Plan) -> float:
    """Return the objective of exact trades."""
    return objective_terms(plan).total


def kept_terms(parts: Terms) -> ObjectiveTerms:
    """Return the parts of an objective as they are kept."""
    return ObjectiveTerms(
        deviation_bps=exact(parts.deviation, CERTIFIED_BPS_UNIT),
        outside_band_bps=exact(parts.outside_band, CERTIFIED_BPS_UNIT),
        idle_cash_bps=exact(parts.idle_cash, CERTIFIED_BPS_UNIT),
        cost_bps=exact(parts.cost, CERTIFIED_BPS_UNIT),
        tax_bps=exact(parts.tax, CERTIFIED_BPS_UNIT),
    )


def break_even_years(problem: AccountProblem, before: ObjectiveTerms, after: ObjectiveTerms) -> Decimal | None:
    """Return how long deviations must be suffered for before the plan has paid for its cost and tax.

    What a deviation costs is proportional to the time that it is suffered for, and `before` and `after` count it for
    the horizon of the policy. So the plan breaks even after horizon · (cost + tax) / (deviation saved), all as the
    policy weighs them.

    Returns:
        Years, or None when the plan costs nothing on balance or no deviation is less.
    """
    paid = after.cost_bps + after.tax_bps
    saved = before.suffered_bps - after.suffered_bps
    if paid <= 0 or saved <= 0:
        return None
    return (problem.objective.horizon_years * paid / saved).quantize(YEARS_UNIT)


def tracking_error_bps(convex: ConvexProblem, d: Floats) -> float:
    """Return the yearly tracking error of deviations d, shape (n,), in basis points."""
    factor = convex.exposures.T @ d
    return BPS_PER_ONE * math.sqrt(float(factor @ factor + convex.specific_variance @ d**2))


# Trades.


def trade_reasons(plan: Plan, binding: Sequence[BindingConstraint], near: ConvexSolution) -> tuple[TradeReason, ...]:
    """Return the reason of each trade, in the order of the trades."""
    rows = {holding.instrument_id: row for row, holding in enumerate(ordered_holdings(plan.problem))}
    return tuple(_reason(plan, trade, rows[trade.instrument_id], binding, near) for trade in plan.trades)


def _reason(
    plan: Plan, trade: Trade, row: int, binding: Sequence[BindingConstraint], near: ConvexSolution
) -> TradeReason:
    convex, problem = plan.convex, plan.problem
    sold = np.where(convex.lot_instrument == row, 0.0, plan.sold)
    bought = np.where(np.arange(len(convex.start)) == row, 0.0, plan.bought)
    without = Plan(problem, convex, (), sold, bought)
    with_it, without_it = plan_terms(convex, plan.sold, plan.bought), plan_terms(convex, sold, bought)
    benefit = plan.currency(
        without_it.deviation + without_it.outside_band + without_it.idle_cash
        - with_it.deviation - with_it.outside_band - with_it.idle_cash
    )  # fmt: skip
    counted = plan.currency(with_it.tax - without_it.tax)
    net = benefit - cents(problem.objective.cost_weight * trade.cost.total) - counted
    risk = tracking_error_bps(convex, without.d) - tracking_error_bps(convex, plan.d)
    holding = ordered_holdings(problem)[row]
    before = weight(holding.mix_value / problem.mix_value)
    signed = trade.value if trade.side is Side.BUY else -trade.value
    reason = TradeReason(
        instrument_id=trade.instrument_id,
        side=trade.side,
        weight_before=before,
        weight_after=weight((holding.mix_value + signed) / problem.mix_value),
        target_weight=weight(holding.target_weight),
        deviation_benefit=benefit,
        risk_benefit_bps=exact(risk, BPS_UNIT),
        cost=trade.cost,
        tax=trade.tax,
        net_benefit=net,
        required_by=_required_by(plan, trade, row, near, binding) if net < 0 else None,
        without="",
        sentence="",
    )
    later = cents(later_saving(problem, trade))
    return told(reason, trade, problem.currency, saved_later=later)


def _required_by(
    plan: Plan, trade: Trade, row: int, near: ConvexSolution, binding: Sequence[BindingConstraint]
) -> ConstraintKind | None:
    """Return the binding limit that the trade helps most, by its price; None when it helps none."""
    prices = near.prices
    signed = float((trade.value if trade.side is Side.BUY else -trade.value) / plan.problem.mix_value)
    gain = float(sum((sale.counted_gain for sale in trade.lot_sales), ZERO) / plan.problem.mix_value)
    helped = {
        ConstraintKind.CASH_FLOOR: -signed * prices.cash,
        ConstraintKind.GAIN_BUDGET: -gain * prices.gains,
    }
    column = plan.convex.groups[:, row]
    for group, exposure, low, high in zip(
        plan.problem.limits.groups, column, prices.group_min, prices.group_max, strict=True
    ):
        least, most = LIMIT_KINDS[group.kind]
        helped[least] = helped.get(least, 0.0) + signed * float(exposure * low)
        helped[most] = helped.get(most, 0.0) - signed * float(exposure * high)
    kinds = {each.kind for each in binding}
    held = next(each.quantity for each in plan.problem.holdings if each.instrument_id == trade.instrument_id)
    if trade.side is Side.SELL and trade.quantity == held and ConstraintKind.NAMES in kinds:
        # It makes room for a name.
        helped[ConstraintKind.NAMES] = 0.0
    best = max(helped, key=lambda kind: (helped[kind], kind))
    if helped[best] > 0 and best in kinds:
        return best
    return ConstraintKind.NAMES if ConstraintKind.NAMES in helped else None


def later_saving(problem: AccountProblem, trade: Trade) -> Decimal:
    """Return the tax that the trade's gains save later, because they are realized while they are not taxed."""
    gains = (sale.counted_gain for sale in trade.lot_sales if sale.character in NOT_SHORT and sale.gain > 0)
    return problem.tax.gain_credit * sum(gains, ZERO)


def told(reason: TradeReason, trade: Trade, currency: str, *, saved_later: Decimal = ZERO) -> TradeReason:
    """Return the reason with its sentences; `saved_later` is tax that gains of the trade save in later years."""
    verb = "Buy" if trade.side is Side.BUY else "Sell"
    weights = f"from {percent(reason.weight_before)} to {percent(reason.weight_after)}"
    what = f"{verb} {quantity(trade.quantity)} {trade.instrument_id} for {money(trade.value, currency)}"
    parts = [
        f"{what}: its weight goes {weights}, with a target of {percent(reason.target_weight)}.",
        f"Trading costs {money(trade.cost.total, currency)}.",
    ]
    for characters, word in (
        ({Character.SHORT}, "short-term"),
        ({Character.LONG}, "long-term"),
        ({Character.ANY, Character.POOLED}, "capital"),
        ({Character.SHARE}, "share"),
    ):
        sales = [sale for sale in trade.lot_sales if sale.character in characters]
        gain, tax = sum((sale.gain for sale in sales), ZERO), sum((sale.tax for sale in sales), ZERO)
        if gain > 0:
            parts.append(f"It realizes a {word} gain of {money(gain, currency)}, taxed with {money(tax, currency)}.")
        elif gain < 0:
            parts.append(
                f"It realizes a {word} loss of {money(-gain, currency)}, worth {money(-tax, currency)} in tax."
            )
    if saved_later > 0:
        parts.append(f"Realized in this year's room without tax, it saves {money(saved_later, currency)} of tax later.")
    if reason.required_by is not None:
        parts.append(f"It is made because of a limit: {LIMIT_WORDS[reason.required_by]}.")
    without = (
        f"Without it the weight stays at {percent(reason.weight_before)}, and being off the target costs "
        f"{money(reason.deviation_benefit, currency)} more."
        if reason.deviation_benefit >= 0
        else f"Without it the weight stays at {percent(reason.weight_before)}, and being off the target costs "
        f"{money(-reason.deviation_benefit, currency)} less."
    )
    return replace(reason, without=without, sentence=" ".join(parts))


# Where the law knows no terms, a gain counts as long-term.
NOT_SHORT = frozenset({Character.LONG, Character.ANY, Character.POOLED, Character.SHARE})

# The account.


def summary(plan: Plan, nothing: str | None = None) -> Summary:
    """Return the account before and after; `nothing` says why there are no trades."""
    problem, convex = plan.problem, plan.convex
    value, currency = problem.mix_value, problem.currency
    start, d = convex.start - convex.target, plan.d
    bought = sum((trade.value for trade in plan.trades if trade.side is Side.BUY), ZERO)
    sold = sum((trade.value for trade in plan.trades if trade.side is Side.SELL), ZERO)
    cost = sum((trade.cost.total for trade in plan.trades), ZERO)
    sales = [sale for trade in plan.trades for sale in trade.lot_sales]
    hold = plan_of(problem, convex, ())
    before, after, targets = drifts_after(problem, ()), drifts_after(problem, plan.trades), ordered_targets(problem)
    terms_before, terms_after = kept_terms(objective_terms(hold)), kept_terms(objective_terms(plan))
    made = Summary(
        mix_value=cents(value),
        drift_before=weight(sum(before, ZERO) / 2),
        drift_after=weight(sum(after, ZERO) / 2),
        drift_max_before=weight(max(before)),
        drift_max_after=weight(max(after)),
        tracking_error_before_bps=exact(tracking_error_bps(convex, start), BPS_UNIT),
        tracking_error_after_bps=exact(tracking_error_bps(convex, d), BPS_UNIT),
        cash_before=cents(problem.cash),
        cash_after=cents(problem.cash - bought + sold - cost),
        bought_value=bought,
        sold_value=sold,
        turnover=weight((bought + sold) / value),
        cost=cost,
        gain_short=sum((sale.gain for sale in sales if sale.character is Character.SHORT), ZERO),
        gain_long=sum((sale.gain for sale in sales if sale.character in NOT_SHORT), ZERO),
        tax_realized=sum((sale.tax for sale in sales if sale.tax > 0), ZERO),
        tax_saved=-sum((sale.tax for sale in sales if sale.tax < 0), ZERO) + ZERO,
        net_benefit=plan.currency(objective_bps(hold) - objective_bps(plan)),
        sentence="",
        objective_before=terms_before,
        objective_after=terms_after,
        break_even_years=break_even_years(problem, terms_before, terms_after),
        drift_figures_before=drift_figures(targets, before, exact(tracking_error_bps(convex, start), BPS_UNIT)),
        drift_figures_after=drift_figures(targets, after, exact(tracking_error_bps(convex, d), BPS_UNIT)),
        taxes=tax_figures(problem, plan.trades),
    )
    return replace(made, sentence=summary_sentence(made, currency, nothing))


def summary_sentence(made: Summary, currency: str, nothing: str | None) -> str:
    """Return a summary's sentence; `nothing` says why there are no trades."""
    if nothing is not None:
        return f"{nothing} The largest drift is {percent(made.drift_max_before)}."
    sentence = (
        f"Drift goes from {percent(made.drift_before)} to {percent(made.drift_after)} and tracking error from "
        f"{bps(made.tracking_error_before_bps)} to {bps(made.tracking_error_after_bps)}. "
        f"Cash goes from {money(made.cash_before, currency)} to {money(made.cash_after, currency)}: sales bring "
        f"{money(made.sold_value, currency)}, purchases take {money(made.bought_value, currency)}, and trading costs "
        f"{money(made.cost, currency)}. Gains are taxed with {money(made.tax_realized, currency)}, and losses save "
        f"{money(made.tax_saved, currency)} of tax. On balance the plan is worth "
        f"{money(made.net_benefit, currency)}"
    )
    sentence += (
        "." if made.break_even_years is None else f", and has paid for itself after {made.break_even_years:.2f} years."
    )
    return sentence if made.taxes is None else f"{sentence} {made.taxes.sentence}"


def ordered_targets(problem: AccountProblem) -> list[Decimal]:
    """Return the target weights in the order of ids."""
    return [holding.target_weight for holding in ordered_holdings(problem)]


def drift_figures(targets: Sequence[Decimal], drifts: Sequence[Decimal], tracking_error: Decimal) -> DriftFigures:
    """Return drift by its usual definitions, of target weights and absolute deviations in one order, cash last."""
    relative = (drift / target for drift, target in zip(drifts, targets, strict=False) if target > 0)
    return DriftFigures(
        half_sum=weight(sum(drifts, ZERO) / 2),
        largest=weight(max(drifts)),
        largest_relative=weight(max(relative, default=ZERO)),
        euclidean=weight(sum((drift * drift for drift in drifts), ZERO).sqrt()),
        tracking_error_bps=tracking_error,
    )


def drifts_after(problem: AccountProblem, trades: Sequence[Trade]) -> list[Decimal]:
    """Return absolute deviations from target after trades, cash last; its target is what the others leave."""
    values = {holding.instrument_id: holding.mix_value for holding in problem.holdings}
    cash = problem.cash - problem.cash_rule.withdrawal
    for trade in trades:
        signed = trade.value if trade.side is Side.BUY else -trade.value
        values[trade.instrument_id] += signed
        cash -= signed
    targets = {holding.instrument_id: holding.target_weight for holding in problem.holdings}
    drifts = [abs(values[each] / problem.mix_value - targets[each]) for each in sorted(values)]
    return [*drifts, abs(cash / problem.mix_value - (ONE - sum(targets.values(), ZERO)))]
