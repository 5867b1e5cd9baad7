"""Which limits hold a plan back? What each costs, by its Lagrange price."""

from collections.abc import Mapping
from decimal import Decimal

import numpy as np

from services.decision.domain.certificate import marginal_costs
from services.decision.domain.convex import BPS_PER_ONE, ConvexProblem, ConvexSolution, Floats, by_instrument, exact
from services.decision.domain.decision import CENT, LIMIT_KINDS, BindingConstraint, ConstraintKind
from services.decision.domain.entering import gain_budget_left, kept_because, ordered_holdings, ordered_lots
from services.decision.domain.problem import AccountProblem, LimitKind
from services.decision.domain.tax import TaxView
from services.decision.domain.words import WEIGHT_UNIT, cents, money, percent, quantity, weight

# Limits whose relaxation is worth less than a basis point of what they are relaxed by are not mentioned.
PRICE_SHOWN_MIN = Decimal("0.0001")

LIMIT_WORDS: Mapping[ConstraintKind, str] = {
    ConstraintKind.CASH_FLOOR: "the cash that must be there",
    ConstraintKind.TURNOVER: "the most that may be traded",
    ConstraintKind.GAIN_BUDGET: "the gain that may still be realized this year",
    ConstraintKind.GROUP_MIN: "the least that a group must hold",
    ConstraintKind.GROUP_MAX: "the most that a group may hold",
    ConstraintKind.FACTOR_MIN: "the least exposure to a factor",
    ConstraintKind.FACTOR_MAX: "the most exposure to a factor",
    ConstraintKind.LEVERAGE: "the most that may be held of the account's value",
    ConstraintKind.STRESS_LOSS: "the most that may be lost in a stress",
    ConstraintKind.WEIGHT_MAX: "the most that may be held of an instrument",
    ConstraintKind.NO_BUY: "what may not be bought",
    ConstraintKind.NO_SELL: "what may not be sold",
    ConstraintKind.NAMES: "the most instruments that may be held",
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
        lower, upper = LIMIT_KINDS[group.kind]
        if group.kind is LimitKind.FACTOR:
            add(lower, group.name, least, float(low), f"Exposure to {group.name} is at least {quantity(least)}.")
            add(upper, group.name, most, float(high), f"Exposure to {group.name} is at most {quantity(most)}.")
        elif group.kind is LimitKind.STRESS:
            said = f"In the stress {group.name} the account loses at most {percent(most)}."
            add(upper, group.name, most, float(high), said)
        else:
            add(lower, group.name, least, float(low), f"{group.name} holds at least {percent(least)}.")
            add(upper, group.name, most, float(high), f"{group.name} holds at most {percent(most)}.")

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
            reason = kept_because(problem, holding, lot, tax)
            if reason is not None:
                kept.append((sell_gain[first], reason))
            first += 1
        if kept:
            gain, reason = max(kept)
            add(ConstraintKind.NO_SELL, name, held, gain, f"{name} may not be sold: {reason}.")
    return tuple(found)


def names_binding(problem: AccountProblem, one_more_bps: float) -> tuple[BindingConstraint, ...]:
    """Return the limit on names if one more would gain a cent or more; `one_more_bps` is of the account."""
    most = problem.limits.names
    worth = exact(one_more_bps / BPS_PER_ONE * float(problem.mix_value), CENT)
    if most is None or worth <= 0:
        return ()
    said = f"One more would be worth up to {money(worth, problem.currency)}."
    price = exact(one_more_bps / BPS_PER_ONE, WEIGHT_UNIT)
    sentence = f"At most {most} {'instrument is' if most == 1 else 'instruments are'} held. {said}"
    return (BindingConstraint(ConstraintKind.NAMES, "", Decimal(most), price, sentence),)


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
