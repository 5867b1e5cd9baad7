"""What may be done with one instrument, counted in its increments, and what that does.

`steps` is a trade in increments: positive buys, negative sells. It is an integer, so whatever the search chooses is
exact; the effects beside it are float64 and only guide the choice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

import numpy as np

from services.decision.domain.asset_kinds import exempt_of
from services.decision.domain.convex import BPS_PER_ONE, ConvexProblem, Floats, Prices
from services.decision.domain.costs import daily_volatility, impact_rate, trade_cost, weighed_cost
from services.decision.domain.decision import TradeCost
from services.decision.domain.entering import buyable_value, may_be_sold, ordered_holdings, ordered_lots
from services.decision.domain.problem import ZERO, AccountProblem, Holding, LotId, LotMethod, LotState
from services.decision.domain.tax import TaxView
from services.decision.domain.words import cents


@dataclass(frozen=True, slots=True)
class Effect:
    """What a trade does.

    Attributes:
        own: Its own part of the objective, in basis points, without tax where that is not the instrument's alone.
        taxed: What of its gains counts as short-term and as long-term, over the mix value.
        weight: Change of the instrument's weight.
        value: Change of its value, exactly.
        cash: Change of cash, exactly, costs paid as they are rounded up to the cent.
        gain: Net gain realized that the law counts, exactly.
    """

    own: float
    taxed: tuple[float, float]
    weight: float
    value: Decimal
    cash: Decimal
    gain: Decimal


@dataclass(frozen=True, slots=True)
class LotTerms:
    """One sellable lot, or `quantity` of it, per unit of weight sold.

    Attributes:
        tax: As the objective counts it, without what depends on all lots together.
        short: What of its gain counts as short-term in that.
        long: What of its gain counts as long-term in that.
        price: What a sale costs at the prices of the limits, in basis points.
        exempt: Part of its gain that the law does not count.
    """

    lot: LotState
    tax: float
    short: float
    long: float
    price: float
    quantity: Decimal
    exempt: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Taken:
    """What a sale takes out of one lot; money in cents."""

    lot: LotState
    quantity: Decimal
    proceeds: Decimal
    basis: Decimal
    terms: LotTerms

    @property
    def gain(self) -> Decimal:
        """Proceeds minus basis."""
        return self.proceeds - self.basis

    @property
    def exempt_gain(self) -> Decimal:
        """What of the gain the law does not count."""
        return exempt_of(self.gain, self.terms.exempt) if self.terms.exempt else ZERO


@dataclass(frozen=True, slots=True, eq=False)
class Tradable:
    """One instrument and the trades it allows.

    Attributes:
        row: Its row in the arrays.
        lots: Those that may be sold, in the order in which they are; of one lot several parts may be apart.
        impact: c in impact = c · value^1.5, in currency.
        lowest: Most that may be sold, as steps, zero or less.
        highest: Most that may be bought.
        smallest: Steps of the minimum trade, at least 1.
        whole: Selling `-lowest` empties the position, so that it may be less than the minimum trade.
        enough: After a trade of so many steps or more the position has its least size; `lowest` when it has none.
    """

    row: int
    holding: Holding
    lots: tuple[LotTerms, ...]
    impact: Decimal
    lowest: int
    highest: int
    smallest: int
    whole: bool
    enough: int

    def is_held_after(self, steps: int) -> bool:
        """Return whether an increment or more of it is held after a trade of `steps`."""
        return self.holding.quantity + steps * self.holding.quantity_increment >= self.holding.quantity_increment

    def allowed(self, steps: int) -> bool:
        """Return whether a trade of `steps` may be made."""
        if not self.lowest <= steps <= self.highest:
            return False
        if steps == 0 or (self.whole and steps == self.lowest):
            return True
        return abs(steps) >= self.smallest and steps >= self.enough

    def snapped(self, steps: int, *, away: bool) -> int:
        """Return an allowed trade near `steps`: at least as large when `away` and there is one, else at most."""
        steps = min(max(steps, self.lowest), self.highest)
        if self.allowed(steps):
            return steps
        size, way = abs(steps), -1 if steps < 0 else 1
        edges = (way * self.smallest, self.enough, self.lowest)
        sizes = [edge * way for edge in edges if edge * way > 0 and self.allowed(edge)]
        if away and (larger := [each for each in sizes if each >= size]):
            return way * min(larger)
        return way * max((each for each in sizes if each <= size), default=0)

    def taken(self, steps: int) -> list[Taken]:
        """Return what a sale of `-steps` takes out of which lots; empty for a purchase.

        Proceeds and basis are rounded half-even to the cent, and proceeds sum to the value of the trade.
        """
        taken: dict[LotId, Taken] = {}
        left, money = max(-steps, 0) * self.holding.quantity_increment, self.value(steps)
        for terms in self.lots:
            if left <= 0:
                break
            lot = terms.lot
            quantity = min(left, terms.quantity)
            left -= quantity
            proceeds = cents(quantity * self.holding.price) if left > 0 else money
            money -= proceeds
            if lot.lot_id in taken:
                quantity += taken[lot.lot_id].quantity
                proceeds += taken[lot.lot_id].proceeds
            basis = cents(lot.basis_total * quantity / lot.quantity)
            taken[lot.lot_id] = Taken(lot, quantity, proceeds, basis, terms)
        return list(taken.values())

    def value(self, steps: int) -> Decimal:
        """Return what `steps` are worth, positive, in cents."""
        return cents(abs(steps) * self.holding.quantity_increment * self.holding.price)

    def cost(self, steps: int) -> TradeCost:
        """Return the cost of trading `steps`, in cents."""
        return trade_cost(self.holding, self.value(steps), self.impact)

    def effect(self, convex: ConvexProblem, mix_value: Decimal, steps: int) -> Effect:
        """Return what trading `steps` does."""
        size, taken = self.value(steps), self.taken(steps)
        value = size.copy_sign(Decimal(steps))
        paid = self.cost(steps).total if steps else ZERO
        cost = weighed_cost(self.holding, size, self.impact) if steps else ZERO
        weight = float(value / mix_value)
        sold = [(float(part.proceeds / mix_value), part.terms) for part in taken]
        tax = sum(part * terms.tax for part, terms in sold)
        excess = max(abs(convex.start[self.row] + weight - convex.target[self.row]) - convex.band[self.row], 0.0)
        return Effect(
            own=BPS_PER_ONE * float(tax + convex.cost_weight * float(cost / mix_value) + convex.band_price * excess),
            taxed=(sum(part * terms.short for part, terms in sold), sum(part * terms.long for part, terms in sold)),
            weight=weight,
            value=value,
            cash=-value - paid,
            gain=sum((part.gain - part.exempt_gain for part in taken), ZERO),
        )


def tradables(
    problem: AccountProblem, tax: TaxView, convex: ConvexProblem, prices: Prices, sold: Floats | None = None
) -> list[Tradable]:
    """Return what each instrument allows, in the order of the arrays.

    Args:
        problem: The account.
        tax: Its lots' taxes.
        convex: Its arrays; a direction that they close stays closed.
        prices: Order the lots where the method is the lowest tax: tax and use of the gain budget together, then the
            lot id.
        sold: What an optimum sells of each lot, as weights. Where gains have a credit, or the tax has a corner there,
            these parts go first: which lots lead to it is what the optimum is about, and their order alone does not say
            how far.
    """
    terms = _lot_terms(problem, tax, convex, prices)
    apart = problem.tax.gain_credit > 0 or bool(prices.hinges.any())
    if sold is not None and apart and problem.tax.lot_method is LotMethod.LOWEST_TAX:
        parts = _first_parts(problem, terms, sold)
        return [_tradable(problem, tax, convex, row, terms, parts) for row in range(len(convex.start))]
    return [_tradable(problem, tax, convex, row, terms) for row in range(len(convex.start))]


def least_trades(each_allows: Sequence[Tradable], mix_value: Decimal) -> Floats:
    """Return the least weight that a sale and a purchase of each instrument have, infinite where none, shape (2, n).

    Where no smallest trade is set it is zero.
    """
    least = np.zeros((2, len(each_allows)))
    for row, each in enumerate(each_allows):
        if each.holding.minimum_trade <= 0 and each.holding.minimum_position <= 0:
            continue
        bought = max(each.smallest, each.enough)
        purchase = bought if each.highest >= bought else 0
        sale = each.smallest if min(-each.lowest, -each.enough) >= each.smallest else -each.lowest if each.whole else 0
        for way, steps in enumerate((sale, purchase)):
            least[way, row] = float(each.value(steps) / mix_value) if steps else np.inf
    return least


def _tradable(
    problem: AccountProblem,
    tax: TaxView,
    convex: ConvexProblem,
    row: int,
    terms: Mapping[LotId, LotTerms],
    parts: Mapping[LotId, Decimal] | None = None,
) -> Tradable:
    holding = ordered_holdings(problem)[row]
    increment_value = holding.price * holding.quantity_increment
    lots = [terms[lot.lot_id] for lot in ordered_lots(holding) if may_be_sold(problem, holding, lot, tax)]
    sellable = sum((each.lot.quantity for each in lots), ZERO) if convex.sell_cap[row] > 0 else ZERO
    buyable = buyable_value(problem, holding, tax.no_buy) if convex.buy_cap[row] > 0 else ZERO
    variance = float(convex.specific_variance[row] + convex.exposures[row] @ convex.exposures[row])

    def order(each: LotTerms) -> tuple[date | Decimal | float, LotId]:
        match problem.tax.lot_method:
            case LotMethod.FIRST_IN_FIRST_OUT:
                return each.lot.acquired_date, each.lot.lot_id
            case LotMethod.HIGHEST_COST:
                return -each.lot.basis_total / each.lot.quantity, each.lot.lot_id
            case LotMethod.LOWEST_TAX:
                return each.price, each.lot.lot_id

    lowest = -_whole(sellable / holding.quantity_increment, ROUND_FLOOR)
    missing = holding.minimum_position / holding.price - holding.quantity
    enough = _whole(missing / holding.quantity_increment, ROUND_CEILING) if holding.minimum_position > 0 else lowest
    return Tradable(
        row=row,
        holding=holding,
        lots=_apart(sorted(lots, key=order), parts or {}),
        impact=impact_rate(holding, problem.objective.impact_coefficient, daily_volatility(variance)),
        lowest=lowest,
        highest=_whole(buyable / increment_value, ROUND_FLOOR),
        smallest=max(1, _whole(holding.minimum_trade / increment_value, ROUND_CEILING)),
        whole=sellable == holding.quantity,
        enough=enough,
    )


def _lot_terms(problem: AccountProblem, view: TaxView, convex: ConvexProblem, prices: Prices) -> dict[LotId, LotTerms]:
    lots = [lot for holding in ordered_holdings(problem) for lot in ordered_lots(holding)]
    price = BPS_PER_ONE * convex.lot_tax + prices.gains * convex.lot_gain
    if len(prices.hinges):
        price = price + prices.hinges @ convex.hinge_lots
    # With pieces the tax is that of all lots together, but for what a gain saves later.
    alone = np.zeros(len(lots))
    parts = (-convex.lot_credit, convex.lot_short, convex.lot_long) if convex.pieces else (convex.lot_tax, alone, alone)
    return {
        lot.lot_id: LotTerms(
            lot, float(tax), float(short), float(long), float(cost), lot.quantity, view.lots[lot.lot_id].exempt
        )
        for lot, tax, short, long, cost in zip(lots, *parts, price, strict=True)
    }


def _first_parts(problem: AccountProblem, terms: Mapping[LotId, LotTerms], sold: Floats) -> dict[LotId, Decimal]:
    """Return what an optimum sells of each lot, in whole increments, rounded down."""
    holdings = ordered_holdings(problem)
    places = [(holding, lot) for holding in holdings for lot in ordered_lots(holding)]
    parts: dict[LotId, Decimal] = {}
    for (holding, lot), weight in zip(places, sold.tolist(), strict=True):
        increment = holding.quantity_increment
        count = _whole(Decimal(weight) * problem.mix_value / holding.price / increment, ROUND_FLOOR)
        parts[lot.lot_id] = min(max(count, 0) * increment, terms[lot.lot_id].quantity)
    return parts


def _apart(lots: list[LotTerms], parts: Mapping[LotId, Decimal]) -> tuple[LotTerms, ...]:
    """Return the lots in their order, those parts first that `parts` says."""
    first = [replace(each, quantity=parts[each.lot.lot_id]) for each in lots if parts.get(each.lot.lot_id, ZERO) > 0]
    rest = [replace(each, quantity=each.quantity - parts.get(each.lot.lot_id, ZERO)) for each in lots]
    return (*first, *(each for each in rest if each.quantity > 0))


def _whole(number: Decimal, rounding: str) -> int:
    return int(number.to_integral_value(rounding=rounding))
