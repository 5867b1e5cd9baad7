"""From an account as values to the arrays of its convex problem: the one way in."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal

import numpy as np

from services.decision.domain.convex import ConvexProblem, Floats, TaxPiece
from services.decision.domain.costs import daily_volatility, impact_rate, linear_cost_rate
from services.decision.domain.decision import Character
from services.decision.domain.problem import ZERO, AccountProblem, Holding, LotState, RiskModel
from services.decision.domain.tax import LotTax, TaxView
from services.decision.domain.tax.liability import Area, Liability
from services.kernel.errors import FieldViolation, Invalid
from services.kernel.ids import InstrumentId


def enter(problem: AccountProblem, risk: RiskModel, tax: TaxView) -> ConvexProblem:
    """Return the account in floating point.

    Raises:
        Invalid: The risk model lacks an instrument of the account.
    """
    holdings = ordered_holdings(problem)
    rows = _risk_rows(holdings, risk)
    exposures = np.ascontiguousarray(risk.exposures[rows])
    specific = risk.specific_variance[rows]
    variance = specific + (exposures**2).sum(axis=1)
    value = problem.mix_value
    objective = problem.objective
    lots = [(row, holding, lot) for row, holding in enumerate(holdings) for lot in ordered_lots(holding)]
    # Impact c · value^1.5 in currency is c · √V · weight^1.5 as a fraction of V.
    root = value.sqrt()
    gains = [tax.lots[lot.lot_id].gain_per_unit / holding.price for _, holding, lot in lots]
    counted = [
        gain_counted(problem, gain, gain * holding.price * lot.quantity)
        for gain, (_, holding, lot) in zip(gains, lots, strict=True)
    ]
    credited = [
        gain_credit(problem, tax.lots[lot.lot_id], gain, gain * holding.price * lot.quantity)
        for gain, (_, holding, lot) in zip(gains, lots, strict=True)
    ]
    taxed = [
        gain * tax.lots[lot.lot_id].rate * objective.tax_weight - credit
        for gain, credit, (_, _, lot) in zip(counted, credited, lots, strict=True)
    ]
    limits = problem.limits
    budget = gain_budget_left(problem)
    convex = ConvexProblem(
        risk_aversion=float(objective.risk_aversion),
        band_price=float(objective.band_excess_price),
        cost_weight=float(objective.cost_weight),
        start=_floats(holding.mix_value / value for holding in holdings),
        target=_floats(holding.target_weight for holding in holdings),
        exposures=exposures,
        specific_variance=specific,
        band=_floats(holding.band.destination for holding in holdings),
        cost=_floats(linear_cost_rate(holding) for holding in holdings),
        impact=_floats(
            impact_rate(holding, objective.impact_coefficient, daily_volatility(float(yearly))) * root
            for holding, yearly in zip(holdings, variance, strict=True)
        ),
        buy_cap=_floats(buyable_value(problem, holding, tax.no_buy) / value for holding in holdings),
        identity=np.unique([holding.identity for holding in holdings], return_inverse=True)[1].astype(np.int64),
        lot_instrument=np.array([row for row, _, _ in lots], dtype=np.int64),
        lot_cap=_floats(
            lot.quantity * holding.price / value if may_be_sold(problem, holding, lot, tax) else ZERO
            for _, holding, lot in lots
        ),
        lot_tax=_floats(taxed),
        lot_gain=_floats(gains),
        lot_wash=np.array([problem.tax.taxable and gain < 0 for gain in gains], dtype=np.bool_),
        cash=float(problem.cash / value),
        cash_floor=float(problem.cash_floor / value),
        cash_ceiling=float(
            max(problem.cash_rule.ceiling_weight * value + problem.cash_rule.withdrawal, problem.cash_floor) / value
        ),
        turnover=float("inf") if limits.turnover is None else float(limits.turnover),
        gain_budget=float("inf") if budget is None else float(budget / value),
        groups=np.array(
            [[float(group.exposure_of.get(each.instrument_id, ZERO)) for each in holdings] for group in limits.groups],
            dtype=np.float64,
        ).reshape(len(limits.groups), len(holdings)),
        group_min=_floats(group.weight_min for group in limits.groups),
        group_max=_floats(group.weight_max for group in limits.groups),
    )
    if tax.liability is None:
        return convex
    short = [tax.lots[lot.lot_id].character.apart for _, _, lot in lots]
    convex = replace(
        convex,
        lot_short=_floats(gain if is_short else ZERO for gain, is_short in zip(counted, short, strict=True)),
        lot_long=_floats(ZERO if is_short else gain for gain, is_short in zip(counted, short, strict=True)),
        lot_credit=_floats(credited),
        pieces=tax_pieces(problem, tax.liability.within(reachable(problem, tax))),
    )
    return convex.every_piece[0]


def tax_pieces(problem: AccountProblem, liability: Liability) -> tuple[TaxPiece, ...]:
    """Return a liability's pieces as they count for the account's objective."""
    weight, value = problem.objective.tax_weight, problem.mix_value
    return tuple(
        TaxPiece(
            float(weight * each.short),
            float(weight * each.long),
            tuple(
                (float(weight * hinge.rate), float(hinge.short), float(hinge.long), float(hinge.above / value))
                for hinge in each.hinges
                if weight > 0
            ),
            float(weight * each.constant / value),
        )
        for each in liability.pieces
    )


def reachable(problem: AccountProblem, tax: TaxView) -> Area:
    """Return the net gains, as they count, that selling any lots can bring, in currency."""
    edges = {True: [ZERO, ZERO], False: [ZERO, ZERO]}
    for holding in problem.holdings:
        for lot in holding.lots:
            if may_be_sold(problem, holding, lot, tax):
                taxed = tax.lots[lot.lot_id]
                of_lot = taxed.gain_per_unit * lot.quantity
                edges[taxed.character.apart][of_lot > 0] += gain_counted(problem, of_lot, of_lot)
    return Area(*edges[True], *edges[False])


def ordered_holdings(problem: AccountProblem) -> list[Holding]:
    """Return the holdings in the order of all arrays."""
    return sorted(problem.holdings, key=lambda holding: holding.instrument_id)


def ordered_lots(holding: Holding) -> list[LotState]:
    """Return a holding's lots in the order of all arrays."""
    return sorted(holding.lots, key=lambda lot: lot.lot_id)


def may_be_sold(problem: AccountProblem, holding: Holding, lot: LotState, tax: TaxView) -> bool:
    """Return whether neither the account nor tax rules keep the lot."""
    return kept_because(problem, holding, lot, tax) is None


def kept_because(problem: AccountProblem, holding: Holding, lot: LotState, tax: TaxView) -> str | None:
    """Return why the lot may not be sold; None when it may."""
    days = problem.limits.minimum_hold_days
    # Of a lot that was held for ever nobody knows the day.
    if holding.no_sell is None and days and (problem.as_of_date - lot.acquired_date).days < days:
        return f"it is held for at least {days} days, since {lot.acquired_date}"
    taxed = tax.lots[lot.lot_id]
    if problem.tax.defer_short_term_gains and taxed.character is Character.SHORT and taxed.gain_per_unit > 0:
        return holding.no_sell or taxed.no_sell or "its gain is short-term, and waits until it is long-term"
    return holding.no_sell or tax.lots[lot.lot_id].no_sell


def buyable_value(problem: AccountProblem, holding: Holding, no_buy: Mapping[InstrumentId, str]) -> Decimal:
    """Return the most that may be bought, in currency."""
    if holding.no_buy is not None or holding.instrument_id in no_buy:
        return ZERO
    # Without a limit of its own a purchase is bounded by the account itself.
    weight_max = Decimal(1) if holding.weight_max is None else holding.weight_max
    return max(ZERO, weight_max * problem.mix_value - holding.mix_value)


def gain_budget_left(problem: AccountProblem) -> Decimal | None:
    """Return how much net gain the plan may realize, or None for no limit. A year over budget leaves nothing."""
    tax = problem.tax
    if tax.gain_budget is None or not tax.taxable:
        return None
    return max(ZERO, tax.gain_budget - tax.realized_short - tax.realized_long)


def gain_credit(problem: AccountProblem, lot: LotTax, gain: Decimal, whole: Decimal) -> Decimal:
    """Return what a gain saves later when it is realized now, as the objective counts it, 0 or more.

    Args:
        problem: The account.
        lot: Out of which it is.
        gain: The gain.
        whole: What all of the lot would gain.
    """
    if gain <= 0 or whole < problem.tax.harvest_minimum or lot.character in (Character.SHORT, Character.EXEMPT):
        return ZERO
    return gain * problem.tax.gain_credit * problem.objective.tax_weight


def gain_counted(problem: AccountProblem, gain: Decimal, of_lot: Decimal) -> Decimal:
    """Return what of a gain counts in the objective, of a lot that all of it would gain `of_lot`; a loss may not."""
    if gain >= 0:
        return gain
    return ZERO if -of_lot < problem.tax.harvest_minimum else gain * problem.objective.loss_credit_weight


def _risk_rows(holdings: list[Holding], risk: RiskModel) -> list[int]:
    row_of = {instrument_id: row for row, instrument_id in enumerate(risk.instrument_ids)}
    missing = [holding.instrument_id for holding in holdings if holding.instrument_id not in row_of]
    if missing:
        raise Invalid(
            f"the risk model has no row for {', '.join(missing)}",
            violations=[FieldViolation(f"holdings[{each}]", "has no row in the risk model") for each in missing],
        )
    return [row_of[holding.instrument_id] for holding in holdings]


def _floats(values: Iterable[Decimal]) -> Floats:
    return np.array([float(value) for value in values], dtype=np.float64)
