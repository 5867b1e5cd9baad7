"""Orders, put together again from what each service told of them: the decision, the order, its blocks, its end."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import cast

from services.audit.domain.reports.base import Fact
from services.audit.domain.reports.standing import CLIENT_KINDS, STANDING_KINDS, Standing, in_force
from services.kernel.canonical import JsonValue, rfc3339

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
    for what in (
        "held_back",
        "cancel_wanted",
        "cancel_sent",
        "refused_by_venue",
        "outcome_unknown",
        "not_at_venue",
        "uncrossed",
    )
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

    def crossed(self, block: str) -> bool:
        """Return whether opposite orders of other clients filled a block."""
        return any(fact.kind == "execution.block.crossed" for fact in self.block_facts.get(block, ()))

    def block_data(self, order: Order, name: str) -> list[JsonValue]:
        """Return what its blocks say of something, each value once."""
        formed = [self.formed[block] for block in order.blocks if block in self.formed]
        return list(dict.fromkeys(fact.data[name] for fact in formed if fact.data.get(name) is not None))

    def changes(self, order: Order) -> list[JsonValue]:
        """Return what changed or ended its blocks, and when."""
        facts = (fact for block in order.blocks for fact in self.block_facts.get(block, ()))
        return [
            f"{told_time(fact)} {fact.kind.rpartition('.')[2]}"
            + (f": {fact.data.get('reason') or fact.data.get('why')}" if _reason(fact) else "")
            for fact in facts
            if fact.kind in _CHANGES
        ]

    def reports(self, order: Order, name: str) -> list[JsonValue]:
        """Return what the venue's reports about its blocks say of something, each value once."""
        facts = (fact for block in order.blocks for fact in self.block_facts.get(block, ()))
        found = [fact.data[name] for fact in facts if fact.kind == "execution.block.reported" and fact.data.get(name)]
        return list(dict.fromkeys(found))


def told_time(fact: Fact) -> str:
    """Return when it happened, as it is written in the log."""
    return rfc3339(fact.entry.event.occurred_time)


def _reason(fact: Fact) -> bool:
    return bool(fact.data.get("reason") or fact.data.get("why"))
