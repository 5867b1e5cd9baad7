"""Why is there no plan? A smallest set of limits that no plan keeps together, and the cheapest that would have to give.

The set is found by the deletion filter (Chinneck and Dravnieks 1991, "Locating minimal infeasible constraint sets in
linear programs", ORSA Journal on Computing 3): leave a limit out, and when there is still no plan, leave it out for
good. What remains has no plan, and has one as soon as any of it is left out. Limits are left out by halves first, so
that many that do not matter cost few solves. What would have to give, and by how much, is the elastic program of the
reference model, in which every limit may give way at a price (Chinneck 2008, "Feasibility and Infeasibility in
Optimization", chapter 6).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np

from services.decision.domain.binding import LIMIT_WORDS
from services.decision.domain.convex import ConvexProblem, exact
from services.decision.domain.decision import CENT, LIMIT_KINDS, BindingConstraint, ConstraintKind
from services.decision.domain.entering import enter, gain_budget_left, kept_because, ordered_holdings
from services.decision.domain.problem import ZERO, AccountProblem, LimitKind, RiskModel
from services.decision.domain.reference_model import Relaxation, least_relaxation
from services.decision.domain.tax import TaxView
from services.decision.domain.words import WEIGHT_UNIT, cents, money, percent, quantity, weight

# In weight: a conflict smaller than this is the solver's tolerance.
CONFLICT_MIN = 1e-6
# Stands for no limit of a group, whose exposures may be large.
FAR = 1e6


@dataclass(frozen=True, slots=True, eq=False)
class Limit:
    """A limit that may be left out: what it is, and the problem without it."""

    named: BindingConstraint
    without: Callable[[ConvexProblem], ConvexProblem]


def relaxations(problem: AccountProblem, relaxation: Relaxation) -> tuple[BindingConstraint, ...]:
    """Return the limits that would have to give way for a plan, each with the least change, which is its `price`."""
    value, currency = problem.mix_value, problem.currency
    found: list[BindingConstraint] = []

    def add(kind: ConstraintKind, subject: str, limit: Decimal, by: float, *, in_money: bool = False) -> None:
        if by <= CONFLICT_MIN:
            return
        change = exact(by * float(value), CENT) if in_money else exact(by, WEIGHT_UNIT)
        shown, missed = (
            (money(limit, currency), money(change, currency))
            if in_money
            else (_shown(kind, limit), _shown(kind, change))
        )
        of = f" ({subject})" if subject else ""
        sentence = f"No plan keeps every limit: {LIMIT_WORDS[kind]}{of}, {shown}, would have to give way by {missed}."
        found.append(BindingConstraint(kind, subject, limit, change, sentence))

    add(ConstraintKind.CASH_FLOOR, "", cents(problem.cash_floor), relaxation.cash, in_money=True)
    add(ConstraintKind.TURNOVER, "", weight(problem.limits.turnover or ZERO), relaxation.turnover)
    add(ConstraintKind.GAIN_BUDGET, "", cents(gain_budget_left(problem) or ZERO), relaxation.gains, in_money=True)
    for group, low, high in zip(problem.limits.groups, relaxation.group_min, relaxation.group_max, strict=True):
        least, most = LIMIT_KINDS[group.kind]
        add(least, group.name, weight(group.weight_min), float(low))
        add(most, group.name, weight(group.weight_max), float(high))
    return tuple(found)


def conflicting(
    problem: AccountProblem, risk: RiskModel, tax: TaxView, convex: ConvexProblem, *, iterations_max: int
) -> tuple[BindingConstraint, ...]:
    """Return limits that no plan keeps together, of which none can be left out; empty when there is a plan after all.

    Args:
        problem: The account.
        risk: Covers every instrument of the account.
        tax: Its lots' taxes.
        convex: Its arrays, both ways open.
        iterations_max: The solver's limit, for each solve.
    """

    def hopeless(opened: ConvexProblem) -> bool:
        relaxation = least_relaxation(opened, iterations_max=iterations_max)
        return relaxation is not None and _total(relaxation) > CONFLICT_MIN

    return smallest_conflict(convex, limits_of(problem, risk, tax, convex), hopeless)


def conflicting_with_names(
    problem: AccountProblem,
    convex: ConvexProblem,
    limits: Sequence[Limit],
    plan_with: Callable[[ConvexProblem, int], bool | None],
) -> tuple[tuple[BindingConstraint, ...], tuple[BindingConstraint, ...]]:
    """Return limits that no plan keeps together with the one on names, that one first, and the way out.

    Args:
        problem: The account; without its limit on names it has a plan, and with it none.
        convex: Its arrays, both ways open.
        limits: As `limits_of` returns them.
        plan_with: Whether a problem has a plan with at most so many names, None for not known; more names never make it
            less so. A limit whose part is not known stays in the conflict.
    """
    most = problem.limits.names or len(convex.start)
    noun = "instrument" if most == 1 else "instruments"
    at_most = _named(ConstraintKind.NAMES, "", Decimal(most), f"At most {most} {noun} may be held.")
    conflict = smallest_conflict(convex, limits, lambda opened: plan_with(opened, most) is False)
    low, high = most + 1, len(convex.start)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if plan_with(convex, middle) else (middle + 1, high)
    more = Decimal(low - most)
    words = LIMIT_WORDS[ConstraintKind.NAMES]
    sentence = f"No plan keeps every limit: {words}, {most}, would have to give way by {more}."
    return (at_most, *conflict), (BindingConstraint(ConstraintKind.NAMES, "", Decimal(most), more, sentence),)


def limits_of(problem: AccountProblem, risk: RiskModel, tax: TaxView, convex: ConvexProblem) -> list[Limit]:
    """Return the limits of the arrays that may be left out; see `conflicting`."""
    return [*_bars(problem, risk, tax, convex), *_groups(problem), *_of_account(problem)]


def smallest_conflict(
    convex: ConvexProblem, limits: Sequence[Limit], hopeless: Callable[[ConvexProblem], bool]
) -> tuple[BindingConstraint, ...]:
    """Return those of `limits` that are hopeless together and not without any one; empty when all are not hopeless."""

    def without_others(kept: Sequence[int]) -> bool:
        opened = convex
        for index in set(range(len(limits))) - set(kept):
            opened = limits[index].without(opened)
        return hopeless(opened)

    if not without_others(range(len(limits))):
        return ()
    return tuple(limits[index].named for index in irreducible(len(limits), without_others))


def irreducible(count: int, hopeless: Callable[[Sequence[int]], bool]) -> list[int]:
    """Return indices below `count` that are hopeless together, and are not when any of them is left out.

    Args:
        count: All of them together are hopeless.
        hopeless: Of a set of indices; more indices never make it less so.
    """
    kept = list(range(count))
    decided, size = 0, max(1, count // 2)
    while decided < len(kept):
        size = min(size, len(kept) - decided)
        fewer = kept[:decided] + kept[decided + size :]
        if hopeless(fewer):
            kept = fewer
        elif size > 1:
            size //= 2
        else:
            decided += 1
            size = max(1, (len(kept) - decided) // 2)
    return kept


def conflict_sentence(conflict: Sequence[BindingConstraint], way_out: Sequence[BindingConstraint]) -> str:
    """Return the conflict and the cheapest way out, in words."""
    together = "; ".join(each.sentence.rstrip(".") for each in conflict)
    sentence = f" These cannot be kept together: {together}." if conflict else ""
    gives = "; ".join(each.sentence.partition(": ")[2].rstrip(".") for each in way_out)
    return f"{sentence} The cheapest way out: {gives}." if way_out else sentence


def _total(relaxation: Relaxation) -> float:
    rows = float(relaxation.group_min.sum() + relaxation.group_max.sum())
    return relaxation.cash + relaxation.turnover + relaxation.gains + rows


def _of_account(problem: AccountProblem) -> list[Limit]:
    currency, limits = problem.currency, problem.limits
    floor = cents(problem.cash_floor)
    found = [
        Limit(
            _named(ConstraintKind.CASH_FLOOR, "", floor, f"At least {money(floor, currency)} of cash must be there."),
            lambda convex: replace(convex, cash_floor=-FAR),
        )
    ]
    if limits.turnover is not None:
        most = weight(limits.turnover)
        said = f"At most {percent(most)} of the account may be traded."
        found.append(
            Limit(
                _named(ConstraintKind.TURNOVER, "", most, said), lambda convex: replace(convex, turnover=float("inf"))
            )
        )
    left = gain_budget_left(problem)
    if left is not None:
        said = f"At most {money(cents(left), currency)} of gains may be realized."
        found.append(
            Limit(
                _named(ConstraintKind.GAIN_BUDGET, "", cents(left), said),
                lambda convex: replace(convex, gain_budget=float("inf")),
            )
        )
    return found


def _groups(problem: AccountProblem) -> list[Limit]:
    found: list[Limit] = []
    for row, group in enumerate(problem.limits.groups):
        least, most = LIMIT_KINDS[group.kind]
        low, high = weight(group.weight_min), weight(group.weight_max)
        if group.kind is LimitKind.STRESS:
            said = f"In the stress {group.name} at most {_shown(most, high)} may be lost."
            found.append(Limit(_named(most, group.name, high, said), _without_most(row)))
            continue
        if group.kind is not LimitKind.LEVERAGE:
            said = f"{group.name} must be at least {_shown(least, low)}."
            found.append(Limit(_named(least, group.name, low, said), _without_least(row)))
        said = f"{group.name} may be at most {_shown(most, high)}."
        found.append(Limit(_named(most, group.name, high, said), _without_most(row)))
    return found


def _without_least(row: int) -> Callable[[ConvexProblem], ConvexProblem]:
    def without(convex: ConvexProblem) -> ConvexProblem:
        least = convex.group_min.copy()
        least[row] = -FAR
        return replace(convex, group_min=least)

    return without


def _without_most(row: int) -> Callable[[ConvexProblem], ConvexProblem]:
    def without(convex: ConvexProblem) -> ConvexProblem:
        most = convex.group_max.copy()
        most[row] = FAR
        return replace(convex, group_max=most)

    return without


def _bars(problem: AccountProblem, risk: RiskModel, tax: TaxView, convex: ConvexProblem) -> list[Limit]:
    """Return what keeps instruments from being bought or sold, by instrument."""
    free = replace(
        problem,
        holdings=tuple(replace(each, no_buy=None, no_sell=None, weight_max=None) for each in problem.holdings),
        limits=replace(problem.limits, minimum_hold_days=0),
        tax=replace(problem.tax, defer_short_term_gains=False),
    )
    lots = {lot_id: replace(lot, no_sell=None) for lot_id, lot in tax.lots.items()}
    opened = enter(free, risk, TaxView(lots, {}))
    found: list[Limit] = []
    for row, holding in enumerate(ordered_holdings(problem)):
        name, held = holding.instrument_id, weight(holding.mix_value / problem.mix_value)
        of_row = convex.lot_instrument == row
        if (opened.lot_cap[of_row] > convex.lot_cap[of_row]).any():
            reasons = [kept_because(problem, holding, lot, tax) for lot in holding.lots]
            why = max(each for each in reasons if each is not None)
            said = f"{name} may not be sold: {why}."
            found.append(Limit(_named(ConstraintKind.NO_SELL, name, held, said), _sold_freely(row, opened)))
        if opened.buy_cap[row] > convex.buy_cap[row]:
            bar = holding.no_buy or tax.no_buy.get(name)
            kind = ConstraintKind.WEIGHT_MAX if bar is None else ConstraintKind.NO_BUY
            limit = held if bar is not None else weight(holding.weight_max or ZERO)
            said = f"be bought to at most {percent(limit)}" if bar is None else f"not be bought: {bar}"
            found.append(Limit(_named(kind, name, limit, f"{name} may {said}."), _bought_freely(row, opened)))
    return found


def _sold_freely(row: int, opened: ConvexProblem) -> Callable[[ConvexProblem], ConvexProblem]:
    return lambda convex: replace(
        convex, lot_cap=np.where(convex.lot_instrument == row, opened.lot_cap, convex.lot_cap)
    )


def _bought_freely(row: int, opened: ConvexProblem) -> Callable[[ConvexProblem], ConvexProblem]:
    return lambda convex: replace(
        convex, buy_cap=np.where(np.arange(len(convex.start)) == row, opened.buy_cap, convex.buy_cap)
    )


def _named(kind: ConstraintKind, subject: str, limit: Decimal, sentence: str) -> BindingConstraint:
    return BindingConstraint(kind, subject, limit, ZERO, sentence)


def _shown(kind: ConstraintKind, value: Decimal) -> str:
    """Return a weight in percent, an exposure as it is."""
    of_factor = kind in (ConstraintKind.FACTOR_MIN, ConstraintKind.FACTOR_MAX)
    return quantity(value) if of_factor else percent(value)
