"""What a report with a row for each order is made of: its columns, and which of them an order may be without."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import cast

from services.audit.domain.logs import EVENTS
from services.audit.domain.reports.base import Fact, ReportField, Row
from services.audit.domain.reports.orders import ORDER_KINDS, Order, Orders, told_time
from services.audit.domain.reports.standing import personal
from services.kernel.canonical import JsonValue
from services.kernel.decimals import plain

Value = Callable[[Orders, Order], JsonValue]


def time_of(fact: Fact | None) -> str | None:
    """Return when it happened; None when it did not."""
    return None if fact is None else told_time(fact)


def of_client(member: str) -> Value:
    """Return a member of the client's identity, which is sealed."""
    return lambda _, order: personal(order.client, member)


def of_desk(name: str) -> Value:
    """Return what was told of who trades."""
    return lambda _, order: order.desk(name)


def of_instrument(name: str) -> Value:
    """Return by which public name or class its instrument went."""
    return lambda _, order: of_fact(order.instrument, name)


def of_order(name: str) -> Value:
    """Return what the order's own entry says of something."""
    return lambda _, order: order.accepted.data.get(name)


def about(kind: str) -> Value:
    """Return which thing of a kind the order is about."""
    return lambda _, order: order.accepted.about(kind)


def of_fact(fact: Fact | None, name: str) -> JsonValue:
    """Return what an entry says of something; None without the entry."""
    return None if fact is None else cast(JsonValue, fact.data.get(name))


def actor_of(fact: Fact | None) -> str | None:
    """Return whose call it was."""
    return None if fact is None else fact.entry.event.actor


def approver(_: Orders, order: Order) -> JsonValue:
    """Return who or which rule approved the plan."""
    return of_fact(order.approved, "approver") or of_fact(order.decided, "approver")


def total(order: Order, name: str) -> Decimal:
    """Return the sum of its allocations: `quantity` in units, `amount` in its currency."""
    return sum((Decimal(fact.data[name]) for fact in order.allocations), Decimal(0))


def crossed_quantity(found: Orders, order: Order) -> JsonValue:
    """Return how many of its units other clients of the firm took or gave."""
    crossed = (fact for fact in order.allocations if found.crossed(fact.about("block") or ""))
    return plain(sum((Decimal(fact.data["quantity"]) for fact in crossed), Decimal(0)))


def average_price(_: Orders, order: Order) -> JsonValue:
    """Return the average price of its allocations, in its currency, to eight places; None without any."""
    quantity = total(order, "quantity")
    paid = sum((Decimal(f.data["quantity"]) * Decimal(f.data["price"]) for f in order.allocations), Decimal(0))
    return plain((paid / quantity).quantize(Decimal("0.00000001"))) if quantity else None


@dataclass(frozen=True, slots=True)
class OrderReport:
    """A report with a row for each order, whose fields are functions of what the log tells of it."""

    name: str
    title: str
    citation: str
    columns: Sequence[tuple[ReportField, Value]]
    log: str = EVENTS
    kinds: Sequence[str] = ORDER_KINDS

    @property
    def fields(self) -> Sequence[ReportField]:
        """Its columns."""
        return [each for each, _ in self.columns]

    def rows(self, facts: Iterable[Fact]) -> Iterator[Row]:
        """Yield a row for each order, by the index of its own entry."""
        found = Orders.of(facts)
        for order in found.orders.values():
            values = {column.name: value(found, order) for column, value in self.columns}
            yield Row(values, found.evidence(order), _lacking(order))


def _lacking(order: Order) -> frozenset[str]:
    """Return what an order may be without: a limit when it has none, what only a fill tells when it has none."""
    lacking = {"modifications"}
    if order.accepted.data.get("order_type") == "MARKET":
        lacking.add("limit_price")
    if not order.allocations:
        lacking |= {
            "average_price",
            "venue_execution_ids",
            "executions",
            "allocations",
            "trade_dates",
            "settlement_dates",
            "net_amount",
            "cost_bps",
        }
    if order.closed is None:
        lacking |= {"end_state", "end_time"}
    if not order.blocks:
        lacking |= {
            *("route_ids", "route_times", "broker_order_ids", "arrival_price", "quotes", "candidates", "reasons"),
            *("algorithm", "cost_bps"),
        }
    if len(order.blocks) > 1:
        # Each block has a price of its own at arrival.
        lacking.add("cost_bps")
    return frozenset(lacking)


def columns(*rows: tuple[str, str, str, Value]) -> list[tuple[ReportField, Value]]:
    """Return columns of name, what it says, the rule that asks for it, and its value."""
    return [(ReportField(name, says, rule), value) for name, says, rule, value in rows]


def executions(found: Orders, order: Order) -> list[JsonValue]:
    """Return the fills of its blocks: id, time, quantity and price of each."""
    facts = (fact for block in order.blocks for fact in found.block_facts.get(block, ()))
    names = ("report_id", "time", "quantity", "price")
    return [
        {name: cast(JsonValue, fact.data.get(name)) for name in names}
        for fact in facts
        if fact.data.get("report") in ("Filled", "FillCorrected")
    ]


def times(found: Orders, order: Order, kind: str) -> list[JsonValue]:
    """Return when something happened to its blocks."""
    facts = (fact for block in order.blocks for fact in found.block_facts.get(block, ()))
    return [told_time(fact) for fact in facts if fact.kind == kind]
