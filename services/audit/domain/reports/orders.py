"""Orders, put together again from what each service told of them: the decision, the order, its blocks, its end.

Three rules ask for them in their own words: SEC 204-2(a)(3) for a memorandum of each order, MiFID II for the decision
and the order, CAT for the chain from order to route to fill to allocation.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import cast

from services.audit.domain.logs import EVENTS
from services.audit.domain.reports.base import Fact, ReportField, Row
from services.audit.domain.reports.standing import CLIENT_KINDS, STANDING_KINDS, Standing, in_force, personal
from services.kernel.canonical import JsonValue, rfc3339
from services.kernel.decimals import plain

ORDER_KINDS = (
    "decision.run.started",
    "decision.plan.*",
    "execution.plan.*",
    "execution.order.*",
    "execution.block.*",
    *STANDING_KINDS,
)

# What changes or ends a block at the venue (SEC 204-2(a)(3): "modification or cancellation").
_CHANGES = frozenset(
    f"execution.block.{what}"
    for what in ("held_back", "cancel_wanted", "cancel_sent", "refused_by_venue", "outcome_unknown", "not_at_venue")
)


@dataclass(slots=True)
class Order:
    """What the log tells of one order."""

    order_id: str
    accepted: Fact
    decided: Fact | None = None
    approved: Fact | None = None
    started: Fact | None = None
    taken: Fact | None = None
    closed: Fact | None = None
    # By which public names its instrument went, who its client was, and the last word on the client's mandate.
    instrument: Fact | None = None
    client: Fact | None = None
    mandate: Fact | None = None
    allocations: list[Fact] = field(default_factory=list)
    blocks: list[str] = field(default_factory=list)

    @property
    def discretionary(self) -> bool | None:
        """Whether the firm decided by a mandate of the client; None when the log does not tell."""
        return in_force(self.mandate, cast(str | None, self.accepted.data.get("expire_time")))

    def desk(self, name: str) -> JsonValue:
        """Return what was told of who trades, with the plan."""
        told = {} if self.taken is None else self.taken.data.get("desk", {})
        return cast(JsonValue, told.get(name))

    @property
    def owners(self) -> list[str]:
        """Its account and its household, as `kind:id`."""
        told = [fact for fact in (self.accepted, self.taken, self.decided) if fact is not None]
        found = (f"{kind}:{each}" for kind in CLIENT_KINDS for fact in told if (each := fact.about(kind)))
        return list(dict.fromkeys(found))


@dataclass(slots=True)
class Orders:
    """Everything that the log tells of orders, by what it is about."""

    orders: dict[str, Order] = field(default_factory=dict)
    formed: dict[str, Fact] = field(default_factory=dict)
    block_facts: dict[str, list[Fact]] = field(default_factory=dict)

    @classmethod
    def of(cls, facts: Iterable[Fact]) -> "Orders":
        """Put `facts`, in the order of the log, together."""
        facts = list(facts)
        found, standing = cls(), Standing.of(facts)
        decided: dict[str, Fact] = {}
        approved: dict[str, Fact] = {}
        started: dict[str, Fact] = {}
        taken: dict[str, Fact] = {}
        shares: dict[str, list[str]] = {}
        for fact in facts:
            plan, run, order, block = (fact.about(kind) or "" for kind in ("plan", "run", "order", "block"))
            match fact.kind:
                case "decision.run.started":
                    started[run] = fact
                case "decision.plan.decided":
                    decided[plan] = fact
                case "decision.plan.approved":
                    approved[plan] = fact
                case "execution.plan.accepted":
                    taken[plan] = fact
                case "execution.order.accepted":
                    found.orders[order] = Order(order, fact)
                case "execution.order.allocated" if order in found.orders:
                    found.orders[order].allocations.append(fact)
                    shares.setdefault(order, []).append(block)
                case "execution.order.closed" if order in found.orders:
                    found.orders[order].closed = fact
                case "execution.block.formed":
                    found.formed[block] = fact
                case "execution.block.allocation_stated":
                    for share in fact.data["shares"]:
                        shares.setdefault(share[0], []).append(block)
                case _:
                    pass
            if block:
                found.block_facts.setdefault(block, []).append(fact)
        for each in found.orders.values():
            plan, run = each.accepted.about("plan") or "", each.accepted.about("run") or ""
            each.decided, each.approved = decided.get(plan), approved.get(plan)
            each.started, each.taken = started.get(run), taken.get(plan)
            each.blocks = list(dict.fromkeys(shares.get(each.order_id, ())))
            at, owners = each.accepted.index, each.owners
            each.instrument = standing.instrument(each.accepted.about("instrument"), at)
            each.client, each.mandate = standing.client(owners, at), standing.mandate(owners, at)
        return found

    def evidence(self, order: Order) -> list[int]:
        """Return the indexes of all entries about an order."""
        decided = (order.started, order.decided, order.approved, order.taken, order.accepted, order.closed)
        single = (*decided, order.instrument, order.client, order.mandate)
        facts = [fact for fact in single if fact is not None] + order.allocations
        facts += [fact for block in order.blocks for fact in self.block_facts.get(block, ())]
        return sorted({fact.index for fact in facts})

    def block_data(self, order: Order, name: str) -> list[JsonValue]:
        """Return what its blocks say of something, each value once."""
        formed = [self.formed[block] for block in order.blocks if block in self.formed]
        return list(dict.fromkeys(fact.data[name] for fact in formed if fact.data.get(name) is not None))

    def changes(self, order: Order) -> list[JsonValue]:
        """Return what changed or ended its blocks, and when."""
        facts = (fact for block in order.blocks for fact in self.block_facts.get(block, ()))
        return [
            f"{_told(fact)} {fact.kind.rpartition('.')[2]}"
            + (f": {fact.data.get('reason') or fact.data.get('why')}" if _reason(fact) else "")
            for fact in facts
            if fact.kind in _CHANGES
        ]

    def reports(self, order: Order, name: str) -> list[JsonValue]:
        """Return what the venue's reports about its blocks say of something, each value once."""
        facts = (fact for block in order.blocks for fact in self.block_facts.get(block, ()))
        found = [fact.data[name] for fact in facts if fact.kind == "execution.block.reported" and fact.data.get(name)]
        return list(dict.fromkeys(found))


Value = Callable[[Orders, Order], JsonValue]


def _told(fact: Fact) -> str:
    return rfc3339(fact.entry.event.occurred_time)


def _time_of(fact: Fact | None) -> str | None:
    return None if fact is None else _told(fact)


def _reason(fact: Fact) -> bool:
    return bool(fact.data.get("reason") or fact.data.get("why"))


def _of_client(member: str) -> Value:
    return lambda _, order: personal(order.client, member)


def _of_desk(name: str) -> Value:
    return lambda _, order: order.desk(name)


def _of_instrument(name: str) -> Value:
    return lambda _, order: _of(order.instrument, name)


def of_order(name: str) -> Value:
    """Return what the order's own entry says of something."""
    return lambda _, order: order.accepted.data.get(name)


def about(kind: str) -> Value:
    """Return which thing of a kind the order is about."""
    return lambda _, order: order.accepted.about(kind)


def _of(fact: Fact | None, name: str) -> JsonValue:
    return None if fact is None else cast(JsonValue, fact.data.get(name))


def _actor(fact: Fact | None) -> str | None:
    return None if fact is None else fact.entry.event.actor


def _approver(_: Orders, order: Order) -> JsonValue:
    return _of(order.approved, "approver") or _of(order.decided, "approver")


def _total(order: Order, name: str) -> Decimal:
    return sum((Decimal(fact.data[name]) for fact in order.allocations), Decimal(0))


def _average_price(_: Orders, order: Order) -> JsonValue:
    quantity = _total(order, "quantity")
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


def _columns(*rows: tuple[str, str, str, Value]) -> list[tuple[ReportField, Value]]:
    return [(ReportField(name, says, rule), value) for name, says, rule, value in rows]


_A3 = "17 CFR 275.204-2(a)(3)"

MEMORANDUM = OrderReport(
    name="order-memorandum",
    title="Memorandum of each order",
    citation=f"{_A3}: a memorandum of each order given, of any instruction, and of any modification or cancellation",
    columns=_columns(
        ("order_id", "the order", _A3, lambda _, order: order.order_id),
        ("account", "the account for which it was entered", _A3, about("account")),
        ("instrument", "what was to be bought or sold", _A3, about("instrument")),
        ("side", "buy or sell", _A3, of_order("side")),
        ("quantity", "how much", _A3, of_order("quantity")),
        ("order_type", "at which price it may be filled", _A3, of_order("order_type")),
        ("limit_price", "its limit, when it has one", _A3, of_order("limit_price")),
        ("time_in_force", "how long it lives", _A3, of_order("time_in_force")),
        ("currency", "of its price", _A3, of_order("currency")),
        ("entry_time", "the date of entry", _A3, lambda _, order: _told(order.accepted)),
        ("modifications", "modifications and cancellations", _A3, lambda all_, order: all_.changes(order)),
        (
            "recommended_by",
            "who recommended it: what decided the plan",
            _A3,
            lambda _, order: _of(order.decided, "engine"),
        ),
        ("run_started_by", "who had the plan decided", _A3, lambda _, order: _actor(order.started)),
        ("approved_by", "who or which rule approved the plan", _A3, _approver),
        ("placed_by", "who placed the order", _A3, lambda _, order: _actor(order.accepted)),
        ("broker", "through whom it was executed", _A3, of_order("venue_id")),
        ("bank", "the custodian of the account", _A3, of_order("custodian")),
        ("discretionary", "whether it was entered by discretionary power", _A3, lambda _, order: order.discretionary),
        ("executed_quantity", "how much was executed", _A3, lambda _, order: plain(_total(order, "quantity"))),
        ("average_price", "at which average price", _A3, _average_price),
        ("end_state", "how it ended", _A3, lambda _, order: _of(order.closed, "state")),
    ),
)

_ANNEX = "Del. Reg. (EU) 2017/565, Annex IV"
_RTS22 = "Del. Reg. (EU) 2017/590, Annex I (RTS 22)"
_RTS24 = "Del. Reg. (EU) 2017/580 (RTS 24)"
_RTS6 = "Del. Reg. (EU) 2017/589, Art. 28 (RTS 6)"

MIFID = OrderReport(
    name="mifid-orders",
    title="Decisions to deal and orders",
    citation=f"MiFID II Art. 16(6), 17(2); {_ANNEX}; {_RTS22}; {_RTS24}; {_RTS6}",
    columns=_columns(
        ("order_id", "identification of the order", f"{_ANNEX} section 1; {_RTS24}", lambda _, order: order.order_id),
        ("client", "the client or account", f"{_ANNEX} section 1", about("account")),
        ("client_lei", "the client's LEI or national identifier", f"{_RTS22} field 7", _of_client("identifier")),
        ("firm_lei", "the executing entity's LEI", f"{_RTS22} field 4", _of_desk("firm_lei")),
        ("instrument", "our id of the instrument", f"{_ANNEX} section 1", about("instrument")),
        ("isin", "the instrument's ISIN", f"{_RTS22} field 41", _of_instrument("isin")),
        ("side", "buy or sell", f"{_ANNEX} section 1", of_order("side")),
        ("quantity", "how much", f"{_ANNEX} section 1", of_order("quantity")),
        ("order_type", "type of the order", f"{_ANNEX} section 1", of_order("order_type")),
        ("limit_price", "limit price", f"{_ANNEX} section 1; {_RTS24}", of_order("limit_price")),
        ("time_in_force", "validity", f"{_RTS24}", of_order("time_in_force")),
        ("currency", "price currency", f"{_ANNEX} section 1", of_order("currency")),
        (
            "decision_time",
            "date and time of the decision",
            f"{_ANNEX} section 1",
            lambda _, o: _time_of(o.decided),
        ),
        ("order_time", "date and time of the order", f"{_ANNEX} section 1", lambda _, order: _told(order.accepted)),
        ("decision_maker", "who or which rule decided", f"{_RTS22} field 57; {_RTS6}", _approver),
        (
            "decision_algorithm",
            "the algorithm that decided",
            f"{_RTS22} field 57; {_RTS6}",
            lambda _, o: _of(o.decided, "engine"),
        ),
        (
            "execution_algorithm",
            "the algorithm that executes",
            f"{_RTS22} field 59",
            _of_desk("execution_algorithm"),
        ),
        ("policy_version", "the parameters in force", _RTS6, lambda _, order: _of(order.decided, "policy_hash")),
        ("reference_price", "the price that the decision saw", f"{_ANNEX} section 1", of_order("decision_price")),
        ("capacity", "in which capacity the firm trades", f"{_RTS22} field 29", _of_desk("capacity")),
        (
            "discretionary",
            "whether the client gave a mandate",
            f"{_ANNEX} section 1",
            lambda _, order: order.discretionary,
        ),
        ("broker_lei", "to whom the order was given", f"{_ANNEX} section 1", _of_desk("broker_lei")),
        ("venue", "the venue", f"{_RTS22} field 36", of_order("venue_id")),
        ("venue_mic", "the venue's MIC", f"{_RTS22} field 36", _of_desk("venue_mic")),
        ("aggregated", "whether it may be aggregated", "Del. Reg. (EU) 2017/565, Art. 68", of_order("may_aggregate")),
        ("broker_order_ids", "ids of the orders at the venue", _RTS24, lambda a, o: a.block_data(o, "client_order_id")),
        ("venue_execution_ids", "ids of the executions", f"{_RTS22} field 3", lambda a, o: a.reports(o, "report_id")),
        ("executed_quantity", "how much was executed", f"{_RTS22} field 30", lambda _, o: plain(_total(o, "quantity"))),
        ("average_price", "at which price", f"{_RTS22} field 33", _average_price),
        (
            "net_amount",
            "what was paid or received",
            f"{_RTS22} field 35",
            lambda _, o: plain(_total(o, "amount")) if o.allocations else None,
        ),
        ("modifications", "changes and cancellations", f"{_ANNEX} section 1", lambda a, o: a.changes(o)),
        ("end_state", "how it ended", f"{_ANNEX} section 1", lambda _, order: _of(order.closed, "state")),
        (
            "trace_id",
            "what ties decision and order together",
            _RTS6,
            lambda _, order: order.accepted.entry.event.trace_id,
        ),
    ),
)

_CAT = "17 CFR 242.613(c)(7); FINRA 6830, 6860"


def _executions(found: Orders, order: Order) -> list[JsonValue]:
    facts = (fact for block in order.blocks for fact in found.block_facts.get(block, ()))
    names = ("report_id", "time", "quantity", "price")
    return [
        {name: cast(JsonValue, fact.data.get(name)) for name in names}
        for fact in facts
        if fact.data.get("report") in ("Filled", "FillCorrected")
    ]


CAT = OrderReport(
    name="cat-linkage",
    title="The chain from order to route to fill to allocation",
    citation=f"{_CAT}: what a broker needs to link our orders",
    columns=_columns(
        ("order_id", "the order", _CAT, lambda _, order: order.order_id),
        ("account", "the account", _CAT, about("account")),
        ("symbol", "the instrument", _CAT, about("instrument")),
        ("side", "buy or sell", _CAT, of_order("side")),
        ("quantity", "how much", _CAT, of_order("quantity")),
        ("order_type", "the type of the order", _CAT, of_order("order_type")),
        ("limit_price", "its limit", _CAT, of_order("limit_price")),
        ("time_in_force", "how long it lives", _CAT, of_order("time_in_force")),
        ("receive_time", "when it was received", _CAT, lambda _, order: _told(order.accepted)),
        ("route_ids", "the blocks that it is part of", _CAT, lambda _, order: list(order.blocks)),
        ("broker_order_ids", "their ids at the venue", _CAT, lambda a, o: a.block_data(o, "client_order_id")),
        ("routed_by", "the firm that routes", _CAT, _of_desk("firm_lei")),
        ("routed_to", "the broker that receives", _CAT, _of_desk("broker_lei")),
        ("capacity", "in which the firm acts", _CAT, _of_desk("capacity")),
        ("custodian", "where allocations settle", _CAT, of_order("custodian")),
        ("modifications", "changes and cancellations, with who asked for them", _CAT, lambda a, o: a.changes(o)),
        ("executions", "the fills of its blocks: id, time, quantity, price", _CAT, _executions),
        ("route_times", "when they were sent", _CAT, lambda a, o: _times(a, o, "execution.block.sent")),
        ("venue", "where to", _CAT, of_order("venue_id")),
        ("venue_execution_ids", "the venue's ids of the fills", _CAT, lambda a, o: a.reports(o, "report_id")),
        (
            "allocations",
            "allocated quantity, price and time",
            _CAT,
            lambda _, o: [_allocation(f) for f in o.allocations],
        ),
        ("end_state", "how it ended", _CAT, lambda _, order: _of(order.closed, "state")),
        ("end_time", "when it ended", _CAT, lambda _, order: _time_of(order.closed)),
    ),
)


def _times(found: Orders, order: Order, kind: str) -> list[JsonValue]:
    """Return when something happened to the order's blocks."""
    facts = (fact for block in order.blocks for fact in found.block_facts.get(block, ()))
    return [_told(fact) for fact in facts if fact.kind == kind]


def _allocation(fact: Fact) -> Mapping[str, JsonValue]:
    return {
        "block": fact.about("block"),
        "quantity": fact.data["quantity"],
        "price": fact.data["price"],
        "time": _told(fact),
    }


_BEST = "FINRA 5310(a)(1); Del. Reg. (EU) 2017/565, Art. 64 and 66"


def _cost_bps(found: Orders, order: Order) -> JsonValue:
    """Return what the fills cost against the price at arrival, in basis points of it; positive is a cost."""
    average, arrivals = _average_price(found, order), found.block_data(order, "arrival_price")
    if average is None or len(arrivals) != 1:
        return None
    arrival = Decimal(cast(str, arrivals[0]))
    sign = 1 if order.accepted.data.get("side") == "BUY" else -1
    return plain((sign * (Decimal(cast(str, average)) - arrival) / arrival * 10_000).quantize(Decimal("0.0001")))


def _of_blocks(name: str) -> Value:
    """Return what each of the order's blocks says of something, in their order."""

    def values(found: Orders, order: Order) -> JsonValue:
        formed = [found.formed[block] for block in order.blocks if block in found.formed]
        return [cast(JsonValue, fact.data[name]) for fact in formed if fact.data.get(name) is not None]

    return values


BEST_EXECUTION = OrderReport(
    name="best-execution",
    title="Where each order went, what was known then, and what came of it",
    citation=f"{_BEST}: how the best market was found out, and what the result was",
    columns=_columns(
        ("order_id", "the order", _BEST, lambda _, order: order.order_id),
        ("account", "the account", _BEST, about("account")),
        ("instrument", "the character of the market: what was traded", _BEST, about("instrument")),
        ("side", "buy or sell", _BEST, of_order("side")),
        ("quantity", "the size of the transaction", _BEST, of_order("quantity")),
        ("order_type", "the terms of the order", _BEST, of_order("order_type")),
        ("limit_price", "its limit", _BEST, of_order("limit_price")),
        ("decision_price", "the price that the decision saw", _BEST, of_order("decision_price")),
        ("order_time", "when it was received", _BEST, lambda _, order: _told(order.accepted)),
        ("route_ids", "the blocks that it travelled in", _BEST, lambda _, order: list(order.blocks)),
        ("quotes", "accessibility of the quotation: price, source and age, block by block", _BEST, _of_blocks("quote")),
        (
            "candidates",
            "the markets checked: who could take it, at which expected cost",
            _BEST,
            _of_blocks("candidates"),
        ),
        ("reasons", "why it went where it went", _BEST, _of_blocks("venue_reason")),
        ("venue", "where it went", _BEST, of_order("venue_id")),
        ("algorithm", "how it was spread over time", _BEST, lambda a, o: a.block_data(o, "algorithm")),
        ("route_times", "when it was sent", _BEST, lambda a, o: _times(a, o, "execution.block.sent")),
        ("executions", "the fills of its blocks: id, time, quantity, price", _BEST, _executions),
        ("average_price", "the price it got", _BEST, _average_price),
        ("arrival_price", "the price when it was sent", _BEST, lambda a, o: a.block_data(o, "arrival_price")),
        ("cost_bps", "what that cost against arrival", _BEST, _cost_bps),
        ("end_state", "how it ended", _BEST, lambda _, order: _of(order.closed, "state")),
    ),
)
