"""What closed orders cost, added up while they are read: memory does not grow with their number."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from services.execution.app.ports import Benchmarks
from services.execution.app.records import OrderRecord
from services.execution.domain.costs import Execution, Shortfall, implementation_shortfall
from services.execution.domain.words import Side
from services.kernel.ids import OrderId
from services.kernel.money import Money, in_cents

ZERO = Decimal(0)
NOTHING = Benchmarks()


class GroupBy(StrEnum):
    """What each line of a report is about."""

    NOTHING = "NOTHING"
    INSTRUMENT = "INSTRUMENT"
    VENUE = "VENUE"
    ALGORITHM = "ALGORITHM"


_KEYS: dict[GroupBy, Callable[[OrderRecord], str]] = {
    GroupBy.NOTHING: lambda _: "",
    GroupBy.INSTRUMENT: lambda order: order.instrument_id,
    GroupBy.VENUE: lambda order: order.terms.venue_id,
    GroupBy.ALGORITHM: lambda order: order.terms.algorithm,
}


@dataclass(frozen=True, slots=True)
class CostLine:
    """What some closed orders of one currency cost: each part in whole cents, half to even, and `total` their sum.

    `predicted` is decision's own figure for what was filled, each order's rounded to cents, half to even. `vwap_cost`
    and `close_cost` compare `vwap_amount` and `close_amount`, the fills for which the market's price is known.
    `crossed_amount` is what of `traded_amount` was traded with other clients.
    """

    key: str
    currency: str
    order_count: int = 0
    traded_amount: Decimal = ZERO
    delay: Decimal = ZERO
    trading: Decimal = ZERO
    opportunity: Decimal = ZERO
    fees: Decimal = ZERO
    predicted: Decimal = ZERO
    vwap_cost: Decimal = ZERO
    vwap_amount: Decimal = ZERO
    close_cost: Decimal = ZERO
    close_amount: Decimal = ZERO
    crossed_amount: Decimal = ZERO

    @property
    def total(self) -> Decimal:
        """Return the whole shortfall."""
        return self.delay + self.trading + self.opportunity + self.fees


@dataclass(slots=True)
class _Sums:
    """Exact sums so far."""

    order_count: int = 0
    traded_amount: Decimal = ZERO
    delay: Decimal = ZERO
    trading: Decimal = ZERO
    opportunity: Decimal = ZERO
    fees: Decimal = ZERO
    predicted: Decimal = ZERO
    vwap_cost: Decimal = ZERO
    vwap_amount: Decimal = ZERO
    close_cost: Decimal = ZERO
    close_amount: Decimal = ZERO
    crossed_amount: Decimal = ZERO

    def add(self, order: OrderRecord, market: Benchmarks) -> None:
        sign = 1 if order.terms.side is Side.BUY else -1
        self.vwap_cost += sign * (market.vwap_amount - market.at_vwap)
        self.vwap_amount += market.vwap_amount
        self.close_cost += sign * (market.close_amount - market.at_close)
        self.close_amount += market.close_amount
        self.crossed_amount += market.crossed_amount
        cost = shortfall_of(order)
        self.order_count += 1
        self.traded_amount += order.filled_amount
        self.delay += cost.delay
        self.trading += cost.trading
        self.opportunity += cost.opportunity
        self.fees += cost.fees
        self.predicted += predicted_of(order)


@dataclass(slots=True)
class CostReport:
    """Adds up closed orders: by currency, and within by what was asked for."""

    group_by: GroupBy = GroupBy.NOTHING
    _sums: dict[tuple[str, str], _Sums] = field(default_factory=dict)

    def add(self, orders: Iterable[OrderRecord], market: Mapping[OrderId, Benchmarks]) -> None:
        """Count closed orders, each once, beside what their fills would have cost at the market's prices."""
        key_of = _KEYS[self.group_by]
        for order in orders:
            self._sums.setdefault((key_of(order), order.terms.currency), _Sums()).add(
                order, market.get(order.order_id, NOTHING)
            )

    @property
    def lines(self) -> list[CostLine]:
        """Return what was added up, by key, then currency."""
        return [
            CostLine(
                key=key,
                currency=currency,
                order_count=sums.order_count,
                traded_amount=sums.traded_amount,
                delay=in_cents(sums.delay),
                trading=in_cents(sums.trading),
                opportunity=in_cents(sums.opportunity),
                fees=sums.fees,
                predicted=sums.predicted,
                vwap_cost=in_cents(sums.vwap_cost),
                vwap_amount=sums.vwap_amount,
                close_cost=in_cents(sums.close_cost),
                close_amount=sums.close_amount,
                crossed_amount=sums.crossed_amount,
            )
            for (key, currency), sums in sorted(self._sums.items())
        ]


def shortfall_of(order: OrderRecord) -> Shortfall:
    """Return what a closed order cost, by its causes."""
    return implementation_shortfall(
        Execution(
            side=order.terms.side,
            ordered_quantity=order.quantity,
            filled_quantity=order.filled,
            gross_amount=order.filled_amount,
            decision_price=order.decision_price,
            arrival_amount=order.arrival_amount,
            final_price=order.final_price or order.decision_price,
            fees=order.fees,
        )
    )


def predicted_of(order: OrderRecord) -> Decimal:
    """Return what decision predicted for what was filled, in whole cents."""
    filled = order.predicted_cost * order.filled / order.quantity
    return Money(filled, order.terms.currency).to_cents().amount
