"""Which limits hold a plan back? What each costs, by its Lagrange price, or how far it stands in the way of a plan."""

from collections.abc import Mapping
from decimal import Decimal

import numpy as np

from services.decision.domain.certificate import marginal_costs
from services.decision.domain.convex import (
    BPS_PER_ONE,
    ConvexProblem,
    ConvexSolution,
    Floats,
    by_instrument,
    exact,
    gain_budget_left,
    ordered_holdings,
    ordered_lots,
)
from services.decision.domain.decision import CENT, BindingConstraint, ConstraintKind
from services.decision.domain.problem import ZERO, AccountProblem
from services.decision.domain.reference_model import Relaxation
from services.decision.domain.tax import TaxView
from services.decision.domain.words import WEIGHT_UNIT, cents, money, percent, weight

# Limits whose relaxation is worth less than a basis point of what they are relaxed by are not mentioned.
PRICE_SHOWN_MIN = Decimal("0.0001")
# In weight: a conflict smaller than this is the solver's tolerance.
CONFLICT_MIN = 1e-6

LIMIT_WORDS: Mapping[ConstraintKind, str] = {
    ConstraintKind.CASH_FLOOR: "the cash that must be there",
    ConstraintKind.TURNOVER: "the most that may be traded",
    ConstraintKind.GAIN_BUDGET: "the gain that may still be realized this year",
    ConstraintKind.GROUP_MIN: "the least that a group must hold",
    ConstraintKind.GROUP_MAX: "the most that a group may hold",
    ConstraintKind.WEIGHT_MAX: "the most that may be held of an instrument",
    ConstraintKind.NO_BUY: "what may not be bought",
    ConstraintKind.NO_SELL: "what may not be sold",
}


def binding_constraints(
    problem: AccountProblem, tax: TaxView, convex: ConvexProblem, near: ConvexSolution
) -> tuple[BindingConstraint, ...]:
    """Return the limits with a price worth mentioning, the account's first, then by kind and subject."""
    prices, value = near.prices, problem.mix_value
    found: list[BindingConstraint] = []

    def add(kind: ConstraintKind, subject: str, limit: Decimal, price_bps: float, shown: str) -> None:
        price = exact(price_bps / BPS_PER_ONE, WEIGHT_UNIT)
        if price >= PRICE_SHOWN_MIN:
            worth = f"Relaxing it is worth {percent(price)} of what it is relaxed by."
            found.append(BindingConstraint(kind, subject, limit, price, f"{shown} {worth}"))

    floor = cents(problem.cash_floor)
    add(ConstraintKind.CASH_FLOOR, "", floor, prices.cash, f"Cash is kept at {money(floor, problem.currency)}.")
    if problem.limits.turnover is not None:
        limit = weight(problem.limits.turnover)
        add(
            ConstraintKind.TURNOVER,
            "",
            limit,
            prices.turnover,
            f"Trades are limited to {percent(limit)} of the account.",
        )
    budget = gain_budget_left(problem)
    if budget is not None:
        left = cents(budget)
        shown = f"Gains of this plan are limited to {money(left, problem.currency)}."
        add(ConstraintKind.GAIN_BUDGET, "", left, prices.gains, shown)
    for group, low, high in zip(problem.limits.groups, prices.group_min, prices.group_max, strict=True):
        least, most = weight(group.weight_min), weight(group.weight_max)
        add(ConstraintKind.GROUP_MIN, group.name, least, float(low), f"{group.name} holds at least {percent(least)}.")
        add(ConstraintKind.GROUP_MAX, group.name, most, float(high), f"{group.name} holds at most {percent(most)}.")

    buy_gain, sell_gain = _unused_gains(convex, near)
    first = 0
    for row, holding in enumerate(ordered_holdings(problem)):
        name = holding.instrument_id
        held = weight(holding.mix_value / value)
        no_buy = holding.no_buy or tax.no_buy.get(name)
        if no_buy is not None:
            add(ConstraintKind.NO_BUY, name, held, buy_gain[row], f"{name} may not be bought: {no_buy}.")
        elif holding.weight_max is not None and near.bought[row] >= convex.buy_cap[row]:
            most = weight(holding.weight_max)
            add(ConstraintKind.WEIGHT_MAX, name, most, buy_gain[row], f"{name} is bought to at most {percent(most)}.")
        kept = []
        for lot in ordered_lots(holding):
            reason = holding.no_sell or tax.lots[lot.lot_id].no_sell
            if reason is not None:
                kept.append((sell_gain[first], reason))
            first += 1
        if kept:
            gain, reason = max(kept)
            add(ConstraintKind.NO_SELL, name, held, gain, f"{name} may not be sold: {reason}.")
    return tuple(found)


def conflicts(problem: AccountProblem, relaxation: Relaxation) -> tuple[BindingConstraint, ...]:
    """Return the limits that no plan can keep together, each with the least change that makes one possible."""
    value, currency = problem.mix_value, problem.currency
    found: list[BindingConstraint] = []

    def add(kind: ConstraintKind, subject: str, limit: Decimal, by: float, *, in_money: bool) -> None:
        if by <= CONFLICT_MIN:
            return
        change = exact(by * float(value), CENT) if in_money else exact(by, WEIGHT_UNIT)
        shown, missed = (
            (money(limit, currency), money(change, currency)) if in_money else (percent(limit), percent(change))
        )
        of = f" ({subject})" if subject else ""
        sentence = f"No plan keeps every limit: {LIMIT_WORDS[kind]}{of}, {shown}, would have to give way by {missed}."
        found.append(BindingConstraint(kind, subject, limit, change, sentence))

    add(ConstraintKind.CASH_FLOOR, "", cents(problem.cash_floor), relaxation.cash, in_money=True)
    add(ConstraintKind.TURNOVER, "", weight(problem.limits.turnover or ZERO), relaxation.turnover, in_money=False)
    add(ConstraintKind.GAIN_BUDGET, "", cents(gain_budget_left(problem) or ZERO), relaxation.gains, in_money=True)
    for group, low, high in zip(problem.limits.groups, relaxation.group_min, relaxation.group_max, strict=True):
        add(ConstraintKind.GROUP_MIN, group.name, weight(group.weight_min), float(low), in_money=False)
        add(ConstraintKind.GROUP_MAX, group.name, weight(group.weight_max), float(high), in_money=False)
    return tuple(found)


def _unused_gains(convex: ConvexProblem, near: ConvexSolution) -> tuple[Floats, Floats]:
    """Return what one more unit bought (n,) or sold out of a lot (m,) would gain, in basis points per weight.

    At the optimum only what a bound holds back still gains.
    """
    marginal = marginal_costs(convex, near)
    d = convex.start - by_instrument(convex, near.sold) + near.bought - convex.target
    own = BPS_PER_ONE * convex.risk_aversion * convex.specific_variance * d
    outside = BPS_PER_ONE * convex.band_price * np.sign(d) * (np.abs(d) > convex.band)
    held = marginal.there + own + outside
    return -(marginal.buy + held), held[convex.lot_instrument] - marginal.sell
