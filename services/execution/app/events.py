"""What audit is told: one event for each change of state, with every id it concerns."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from services.execution.app.records import (
    AllocationRecord,
    BlockRecord,
    InstructionRecord,
    OrderRecord,
    PlanBasis,
    PlanRecord,
)
from services.execution.app.venue_port import VenueReport
from services.execution.domain.desk import Desk
from services.execution.domain.pretrade import Refusal
from services.kernel.canonical import JsonValue, content_hash
from services.kernel.events import Event
from services.kernel.ids import OrderId, PlanId

# Shares of a statement in one event, so that it stays well below what audit takes.
SHARES_PER_EVENT = 300
# How a block's fills are shared (`domain/allocation.py`), as the statement says it.
RULE = (
    "clients before the firm's own accounts; pro rata by largest remainder, carries first, ties by hash of block and"
    " account"
)
# By which rule opposite orders meet (`domain/crossing.py`).
CROSSING_RULE = (
    "opposite orders of different clients who both agreed, at the reference price of the moment, without fee or"
    " commission (17 CFR 270.17a-7(b) and (d); 15 U.S.C. 80b-6(3))"
)
# A refusal of a large plan may have a line per trade.
REFUSALS_SHOWN_MAX = 50


def submission_refused(key_id: str, payload: bytes, refusal: Refusal) -> Event:
    """Say that something arrived that cannot be believed, so that nothing in it is quoted."""
    data: dict[str, JsonValue] = {
        "key_id": key_id,
        "payload_hash": content_hash(payload),
        "reason": refusal.reason,
        "description": refusal.description[:1000],
    }
    return Event("execution.submission.refused", {}, data)


def plan_refused(record: PlanRecord) -> Event:
    """Say that a signed plan was refused, and why."""
    return Event(
        "execution.plan.refused",
        _plan_subjects(record),
        {
            "payload_hash": record.payload_hash,
            "refusal_count": len(record.refusals),
            "refusals": [_refusal(each) for each in record.refusals[:REFUSALS_SHOWN_MAX]],
        },
    )


def plan_accepted(record: PlanRecord, orders: Sequence[OrderRecord], desk: Desk) -> Event:
    """Say that a plan was taken, which orders it became, and who trades them."""
    return Event(
        "execution.plan.accepted",
        _plan_subjects(record),
        {
            "payload_hash": record.payload_hash,
            "plan_hash": record.plan.plan_hash,
            "key_id": record.signature.key_id,
            "desk": desk.told(),
            "orders": [
                {
                    "order_id": order.order_id,
                    "instrument_id": order.instrument_id,
                    "side": order.terms.side,
                    "quantity": order.quantity,
                }
                for order in orders
            ],
        },
    )


def order_accepted(order: OrderRecord) -> Event:
    """Say on which terms an account's order was taken."""
    terms = order.terms
    return Event(
        "execution.order.accepted",
        {
            "account": order.account_id,
            "plan": order.plan_id,
            "run": order.run_id,
            "order": order.order_id,
            "instrument": order.instrument_id,
        },
        {
            "side": terms.side,
            "quantity": order.quantity,
            "order_type": terms.order_type,
            "limit_price": terms.limit_price,
            "time_in_force": terms.time_in_force,
            "currency": terms.currency,
            "venue_id": terms.venue_id,
            "custodian": terms.custodian,
            "may_aggregate": order.may_aggregate,
            "may_cross": order.crossing_client is not None,
            "decision_price": order.decision_price,
            "expire_time": order.expire_time,
        },
    )


def block_formed(record: BlockRecord, route: Mapping[str, JsonValue]) -> Iterator[Event]:
    """Say which block was formed, where it goes and why, and in which parts how its fills will be shared."""
    terms, shares = record.block.terms, record.statement.shares
    subjects = {"block": record.block_id, "instrument": terms.instrument_id}
    yield Event(
        "execution.block.formed",
        subjects,
        {
            "client_order_id": record.block.client_order_id,
            "venue_id": terms.venue_id,
            "side": terms.side,
            "order_type": terms.order_type,
            "limit_price": terms.limit_price,
            "protection_price": record.protection_price,
            "quantity": record.block.quantity,
            "arrival_price": record.arrival_price,
            "trade_date": record.trade_date,
            "orders": len(shares),
            **_currencies(record),
            **route,
        },
    )
    for start in range(0, len(shares), SHARES_PER_EVENT):
        part: list[JsonValue] = [
            [share.order_id, share.account_id, share.ordered, share.carry]
            for share in shares[start : start + SHARES_PER_EVENT]
        ]
        data: dict[str, JsonValue] = {
            "rule": RULE,
            "increment": record.statement.increment,
            "first": start,
            "shares": part,
        }
        if own := [share.order_id for share in shares[start : start + SHARES_PER_EVENT] if share.own]:
            data["own"] = own
        yield Event("execution.block.allocation_stated", subjects, data)


def _currencies(record: BlockRecord) -> dict[str, JsonValue]:
    """Return what is special where money is turned: of the block itself, and of a leg."""
    told: dict[str, JsonValue] = {}
    if record.arrival_rate is not None:
        told |= {"currency": record.block.terms.currency, "account_currency": record.block.terms.booked_in}
        told |= {"arrival_rate": record.arrival_rate}
    if record.leg_of is not None:
        told["leg_of"] = record.leg_of
    return told


def block_crossed(
    record: BlockRecord, filled: Decimal, orders: Mapping[OrderId, OrderRecord], bases: Mapping[PlanId, PlanBasis]
) -> Iterator[Event]:
    """Say that a block was filled by opposite orders of other clients, by which rule, and which policies consented."""
    subjects = {"block": record.block_id, "instrument": record.block.terms.instrument_id}
    shares = record.statement.shares
    for start in range(0, len(shares), SHARES_PER_EVENT):
        members = [orders[share.order_id] for share in shares[start : start + SHARES_PER_EVENT]]
        consents: list[JsonValue] = [
            [each.order_id, each.account_id, each.crossing_client, list(bases[each.plan_id].policy_version_hashes)]
            for each in members
        ]
        data: dict[str, JsonValue] = {
            "rule": CROSSING_RULE,
            "crossed_block_id": record.crossed_block_id,
            "quantity": filled,
            "price": record.arrival_price,
            "first": start,
            "consents": consents,
        }
        yield Event("execution.block.crossed", subjects, data)


def block_event(kind: str, record: BlockRecord, **data: JsonValue) -> Event:
    """Say what happened to a block."""
    subjects = {"block": record.block_id, "instrument": record.block.terms.instrument_id}
    return Event(
        f"execution.block.{kind}",
        subjects,
        {"client_order_id": record.block.client_order_id, "venue_id": record.block.terms.venue_id, **data},
    )


def venue_reported(record: BlockRecord, said: VenueReport) -> Event:
    """Say what a venue reported about a block, as it came."""
    report = said.report
    data: dict[str, JsonValue] = {"position": said.position, "time": said.time, "report": type(report).__name__}
    for name in report.__slots__:
        value = getattr(report, name)
        data[name] = value if isinstance(value, Decimal | int) else str(value)
    return block_event("reported", record, **data)


def order_allocated(allocation: AllocationRecord, order: OrderRecord, replaced: AllocationRecord | None) -> Event:
    """Say what an account got of a block, by its order; and instead of what, after a correction or bust."""
    instead: dict[str, JsonValue] = {}
    if replaced is not None:
        instead = {
            "replaces": replaced.allocation_id,
            "replaced": {
                "quantity": replaced.quantity,
                "price": replaced.price,
                "amount": replaced.amount,
                "fees": replaced.fees,
            },
        }
    return Event(
        "execution.order.allocated" if replaced is None else "execution.order.reallocated",
        {
            "account": allocation.account_id,
            "plan": allocation.plan_id,
            "run": order.run_id,
            "order": allocation.order_id,
            "block": allocation.block_id,
            "instrument": allocation.terms.instrument_id,
        },
        {
            "side": allocation.terms.side,
            "quantity": allocation.quantity,
            "price": allocation.price,
            "amount": allocation.amount,
            "fees": allocation.fees,
            "currency": allocation.terms.booked_in,
            "trade_date": allocation.trade_date,
            "settlement_date": allocation.settlement_date,
            "allocation_id": allocation.allocation_id,
            **_traded(allocation),
            **instead,
        },
    )


def _traded(allocation: AllocationRecord) -> dict[str, JsonValue]:
    """Return what an allocation was in the currency that it was traded in, where that is not the account's."""
    traded = allocation.traded
    if traded is None:
        return {}
    amounts: dict[str, JsonValue] = {"price": traded.price, "amount": traded.amount, "fees": traded.fees}
    return {"traded": {"currency": traded.currency, **amounts}}


def allocation_answered(instruction: InstructionRecord) -> Event:
    """Say what the venue said to an allocation instruction."""
    data: dict[str, JsonValue] = {
        "allocation_id": instruction.allocation_id,
        "client_order_id": instruction.client_order_id,
        "venue_id": instruction.venue_id,
        "state": instruction.state,
        "why": instruction.why,
    }
    return Event("execution.block.allocation_answered", {"block": instruction.block_id}, data)


def allocation_told_again(instruction: InstructionRecord, by: str, reason: str) -> Event:
    """Say that a person has the venue told again what it rejected."""
    data: dict[str, JsonValue] = {
        "allocation_id": instruction.allocation_id,
        "replaces": instruction.replaces,
        "client_order_id": instruction.client_order_id,
        "venue_id": instruction.venue_id,
        "by": by,
        "reason": reason,
    }
    return Event("execution.block.allocation_told_again", {"block": instruction.block_id}, data)


def order_closed(order: OrderRecord) -> Event:
    """Say how an account's order ended."""
    return Event(
        "execution.order.closed",
        {
            "account": order.account_id,
            "plan": order.plan_id,
            "run": order.run_id,
            "order": order.order_id,
            "instrument": order.instrument_id,
        },
        {
            "state": order.state,
            "reason": order.close_reason,
            "quantity": order.quantity,
            "filled_quantity": order.filled,
            "filled_amount": order.filled_amount,
            "fees": order.fees,
        },
    )


def _plan_subjects(record: PlanRecord) -> dict[str, str]:
    plan = record.plan
    subjects: dict[str, str] = {"plan": plan.plan_id, "account": plan.account_id, "run": plan.run_id}
    if plan.household_id:
        subjects["household"] = plan.household_id
    return subjects


def _refusal(refusal: Refusal) -> dict[str, JsonValue]:
    return {
        "reason": refusal.reason,
        "description": refusal.description[:500],
        "instrument_id": refusal.instrument_id,
    }
