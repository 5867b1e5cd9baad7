"""From the solver's weights to trades a venue takes: whole increments, minimum trades, cents; every limit kept.

A bounded search. It starts at the allowed trades nearest to the solution, mends the limits that rounding broke by the
moves that cost the objective least for what they mend, two at once where one does not do, and then walks downhill one
instrument at a time: a step up or down, the smallest trade, or none. Among equals it prefers fewer trades, then the
first by id, so the order of rows changes nothing. Floats guide it; whether a limit is kept is added up exactly. What it
loses against the optimum is in the certificate's gap.

The search may end without a plan: then increments, minimum trades and limits leave none near the optimum.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from services.decision.domain.convex import BPS_PER_ONE, ConvexProblem, ConvexSolution, by_instrument
from services.decision.domain.decision import CENT, LotSale, Trade
from services.decision.domain.directions import NOISE
from services.decision.domain.entering import gain_budget_left
from services.decision.domain.increments import Effect, Tradable, tradables
from services.decision.domain.netting import netted
from services.decision.domain.problem import ONE, ZERO, AccountProblem, Side
from services.decision.domain.tax import TaxView
from services.decision.domain.words import cents

# Bounds the search, per instrument. Most accounts need less than one.
MOVES_PER_INSTRUMENT_MAX = 8
# In basis points; two plans nearer than this are equals: a hundredth of a cent in a hundred thousand.
EQUAL_BPS = 1e-6
# In currency: what a trade that is made must at least be worth.
WORTH_MIN = CENT
# Instruments of which pairs are tried when no single move mends a limit: those traded most.
PAIRED_ROWS_MAX = 24
# Increments worth less than this weight are not walked one by one: rounding to them costs nothing that shows.
FINE_STEP = 1e-7


def rounded(
    problem: AccountProblem,
    tax: TaxView,
    convex: ConvexProblem,
    near: ConvexSolution,
    left_out: NDArray[np.bool_] | None = None,
) -> tuple[Trade, ...] | None:
    """Return trades near a solution of the convex problem, sales first, then by instrument id.

    Args:
        problem: The account.
        tax: Its lots' taxes.
        convex: The arrays that were solved; a direction that they close stays closed.
        near: The solution.
        left_out: Instruments that the search begins without, shape (n,): none of them is held, where a limit on names
            leaves no room for them.

    Returns:
        The trades, none when the best is to trade nothing, or None when no plan within the limits was found.
    """
    search = _Search(problem, tax, convex, near, left_out)
    if not search.mend():
        return None
    search.improve()
    trades = [trade_of(tax, each, steps) for each, steps in zip(search.tradables, search.steps, strict=True) if steps]
    return netted(tax, sorted(trades, key=lambda trade: (trade.side is Side.BUY, trade.instrument_id)))


@dataclass(frozen=True, slots=True)
class _Group:
    """A limit of several instruments in currency, and what one unit of each row's value adds to it."""

    exposures: Mapping[int, Decimal]
    least: Decimal
    most: Decimal


@dataclass(frozen=True, slots=True, order=True)
class _Move:
    """Trade `steps` of row instead of what is traded now. The least `price` is best, then the first row."""

    price: float
    row: int
    steps: int


class _Search:
    """The search's state: steps per instrument, and the sums that its objective and limits are made of."""

    def __init__(
        self,
        problem: AccountProblem,
        tax: TaxView,
        convex: ConvexProblem,
        near: ConvexSolution,
        left_out: NDArray[np.bool_] | None,
    ) -> None:
        self.problem, self.convex = problem, convex
        self.mix_value = problem.mix_value
        self.tradables = tradables(problem, tax, convex, near.prices, near.sold)
        self.turnover_max = None if problem.limits.turnover is None else problem.limits.turnover * self.mix_value
        self.gain_max = gain_budget_left(problem)
        self.cash_min = problem.cash_floor
        self.worth_min = max(EQUAL_BPS, BPS_PER_ONE * float(WORTH_MIN / self.mix_value))
        self.curvature = (convex.exposures**2).sum(axis=1) + convex.specific_variance
        row_of = {tradable.holding.instrument_id: row for row, tradable in enumerate(self.tradables)}
        self.groups = [
            _Group(
                {row_of[each]: exposure for each, exposure in group.exposure_of.items()},
                group.weight_min * self.mix_value,
                group.weight_max * self.mix_value,
            )
            for group in problem.limits.groups
        ]
        self.unit = [float(t.holding.price * t.holding.quantity_increment / self.mix_value) for t in self.tradables]
        self.remembered: dict[tuple[int, int], Effect] = {}
        sold = by_instrument(convex, near.sold)
        self.steps = [
            _nearest(tradable, float(wanted) / unit) if abs(wanted) > NOISE else 0
            for tradable, wanted, unit in zip(self.tradables, near.bought - sold, self.unit, strict=True)
        ]
        for row in [] if left_out is None else np.flatnonzero(left_out).tolist():
            self.steps[row] = self.tradables[row].lowest
        self._add_up()

    def mend(self) -> bool:
        """Move until all limits are kept; return whether they are."""
        for _ in range(MOVES_PER_INSTRUMENT_MAX * len(self.steps) + 1):
            broken = self._broken()
            if not broken:
                return True
            moves = []
            for row in range(len(self.steps)):
                for steps in self._mending(row, broken):
                    mended = broken - self._broken(row, steps)
                    if mended > 0:
                        moves.append(_Move(self._change(row, steps) / float(mended), row, steps))
            if moves:
                self._make(min(moves))
            elif not self._mend_by_pair(broken):
                return False
        return False

    def _mend_by_pair(self, broken: Decimal) -> bool:
        """Move one instrument a step and another so far as mends, and return whether limits are less broken by it.

        For where no single move does: whole shares under two limits that bind at once, such as cash and a group's
        least, often need it.
        """
        rows = sorted(range(len(self.steps)), key=lambda row: (-abs(self.steps[row]), row))[:PAIRED_ROWS_MAX]
        best: tuple[float, _Move, _Move] | None = None
        for row in rows:
            before = self.steps[row]
            for steps in sorted(self._stepped(row)):
                first = _Move(self._change(row, steps), row, steps)
                self._make(first)
                then = self._broken()
                for other in rows:
                    for other_steps in sorted(self._mending(other, then)) if other != row else ():
                        mended = broken - self._broken(other, other_steps)
                        if mended > 0:
                            second = _Move(self._change(other, other_steps), other, other_steps)
                            price = (first.price + second.price) / float(mended)
                            if best is None or (price, first, second) < best:
                                best = price, first, second
                self._make(_Move(0.0, row, before))
        if best is None:
            return False
        self._make(best[1])
        self._make(best[2])
        return True

    def _stepped(self, row: int) -> set[int]:
        tradable, now = self.tradables[row], self.steps[row]
        wanted = {tradable.snapped(now - 1, away=now <= 0), tradable.snapped(now + 1, away=now >= 0), 0}
        return self._open(row, wanted)

    def _open(self, row: int, wanted: set[int]) -> set[int]:
        """Return which trades are others than now, and hold no name more than may be held."""
        tradable, now = self.tradables[row], self.steps[row]
        if not self.full or tradable.is_held_after(now):
            return wanted - {now}
        return {steps for steps in wanted if steps != now and not tradable.is_held_after(steps)}

    def improve(self) -> None:
        """Move while a single move within the limits is better."""
        for _ in range(MOVES_PER_INSTRUMENT_MAX * len(self.steps) + 1):
            moves = []
            for row in range(len(self.steps)):
                for steps in self._improving(row):
                    change = self._change(row, steps)
                    # Trading less often is worth a cent; any other move must gain.
                    enough = self.worth_min if steps == 0 else -self.worth_min if self.steps[row] == 0 else -EQUAL_BPS
                    if change < enough and not self._broken(row, steps):
                        moves.append(_Move(change, row, steps))
            if not moves:
                return
            self._make(min(moves))

    def _mending(self, row: int, broken: Decimal) -> set[int]:
        """Return the trades of one instrument that may mend: a step, just enough, or none at all."""
        tradable, now = self.tradables[row], self.steps[row]
        # A trade moves cash by its value less its cost, which is far below a hundredth of it, and both in whole cents.
        needed = Decimal("1.01") * broken + 2 * CENT
        enough = math.ceil(float(needed / self.mix_value) / self.unit[row])
        wanted = {now - enough, now + enough, now - 1, now + 1, 0}
        return self._open(row, {tradable.snapped(steps, away=away) for steps in wanted for away in (True, False)})

    def _improving(self, row: int) -> set[int]:
        tradable, now = self.tradables[row], self.steps[row]
        if self.unit[row] < FINE_STEP:
            return self._open(row, {0})
        wanted = {0, tradable.snapped(now - 1, away=now <= 0), tradable.snapped(now + 1, away=now >= 0)}
        return self._open(row, wanted)

    def _make(self, move: _Move) -> None:
        self.steps[move.row] = move.steps
        self._add_up()

    def _effect(self, row: int, steps: int) -> Effect:
        key = row, steps
        if key not in self.remembered:
            self.remembered[key] = self.tradables[row].effect(self.convex, self.mix_value, steps)
        return self.remembered[key]

    def _add_up(self) -> None:
        convex = self.convex
        effects = [self._effect(row, steps) for row, steps in enumerate(self.steps)]
        d = convex.start + np.array([effect.weight for effect in effects]) - convex.target
        self.slope = convex.exposures @ (convex.exposures.T @ d) + convex.specific_variance * d
        self.cash = self.problem.cash + sum((effect.cash for effect in effects), ZERO)
        names = sum(each.is_held_after(steps) for each, steps in zip(self.tradables, self.steps, strict=True))
        self.full = self.problem.limits.names is not None and names >= self.problem.limits.names
        self.turnover = sum((abs(effect.value) for effect in effects), ZERO)
        self.gain = sum((effect.gain for effect in effects), ZERO)
        self.short = sum(effect.taxed[0] for effect in effects)
        self.long = sum(effect.taxed[1] for effect in effects)
        self.tax = self._tax(self.short, self.long)
        self.grouped = [
            sum(
                (
                    exposure * (self.tradables[row].holding.mix_value + effects[row].value)
                    for row, exposure in group.exposures.items()
                ),
                ZERO,
            )
            for group in self.groups
        ]

    def _change(self, row: int, steps: int) -> float:
        """Return how much the objective grows, in basis points, when `row` trades `steps` instead."""
        convex, old, new = self.convex, self._effect(row, self.steps[row]), self._effect(row, steps)
        by = new.weight - old.weight
        deviation = convex.risk_aversion * (self.slope[row] * by + self.curvature[row] * by * by / 2)
        idle = self._idle(self.cash + new.cash - old.cash) - self._idle(self.cash)
        tax = 0.0
        if new.taxed != old.taxed:
            tax = (
                self._tax(self.short + new.taxed[0] - old.taxed[0], self.long + new.taxed[1] - old.taxed[1]) - self.tax
            )
        return new.own - old.own + BPS_PER_ONE * (float(deviation) + idle + tax)

    def _tax(self, short: float, long: float) -> float:
        return min((each.at(short, long) for each in self.convex.pieces), default=0.0)

    def _idle(self, cash: Decimal) -> float:
        return self.convex.band_price * max(float(cash / self.mix_value) - self.convex.cash_ceiling, 0.0)

    def _broken(self, row: int = 0, steps: int | None = None) -> Decimal:
        """Return by how much, in currency, limits are broken in all when `row` trades `steps` instead."""
        old = self._effect(row, self.steps[row])
        new = old if steps is None else self._effect(row, steps)
        over = [self.cash_min - (self.cash + new.cash - old.cash)]
        if self.turnover_max is not None:
            over.append(self.turnover + abs(new.value) - abs(old.value) - self.turnover_max)
        if self.gain_max is not None:
            over.append(self.gain + new.gain - old.gain - self.gain_max)
        for group, value in zip(self.groups, self.grouped, strict=True):
            exposure = group.exposures.get(row)
            changed = value if exposure is None else value + exposure * (new.value - old.value)
            over += [group.least - changed, changed - group.most]
        return sum((each for each in over if each > 0), ZERO)


def _nearest(tradable: Tradable, wanted: float) -> int:
    """Return the allowed trade nearest to `wanted`; of two equally near the larger."""
    count = round(wanted)
    away, back = tradable.snapped(count, away=True), tradable.snapped(count, away=False)
    return away if abs(away - wanted) <= abs(back - wanted) else back


def trade_of(tax: TaxView, tradable: Tradable, steps: int) -> Trade:
    """Return the trade of `steps`, not zero, out of the lots that cost least, each taxed by itself."""
    sales = []
    for part in tradable.taken(steps):
        lot_tax = tax.lots[part.lot.lot_id]
        sales.append(
            LotSale(
                lot_id=part.lot.lot_id,
                acquired_date=part.lot.acquired_date,
                quantity=part.quantity,
                proceeds=part.proceeds,
                basis=part.basis,
                gain=part.gain,
                character=lot_tax.character,
                rate=lot_tax.rate * (ONE - lot_tax.exempt),
                tax=cents((part.gain - part.exempt_gain) * lot_tax.rate),
                exempt_gain=part.exempt_gain,
            )
        )
    return Trade(
        instrument_id=tradable.holding.instrument_id,
        side=Side.BUY if steps > 0 else Side.SELL,
        quantity=abs(steps) * tradable.holding.quantity_increment,
        price=tradable.holding.price,
        value=tradable.value(steps),
        cost=tradable.cost(steps),
        lot_sales=tuple(sorted(sales, key=lambda sale: sale.lot_id)),
    )
