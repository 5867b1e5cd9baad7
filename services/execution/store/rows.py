"""Rows ↔ values. Numbers come back as they went in: `numeric` is exact, and zeros at its end mean nothing."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from operator import attrgetter
from typing import Any, TypeAlias

from sqlalchemy import Row

from services.execution.app.records import (
    AllocationId,
    AllocationRecord,
    BlockRecord,
    BlockSummary,
    OrderRecord,
    Timetable,
    summary_of,
)
from services.execution.app.report_text import report_of
from services.execution.domain.allocation import Share, Statement, Traded
from services.execution.domain.blocks import Block, Terms
from services.execution.domain.order import OrderState, Report
from services.execution.domain.payment import Movement
from services.execution.domain.words import Algorithm, OrderType, Side, TimeInForce
from services.kernel.ids import AccountId, BlockId, InstrumentId, OrderId, PlanId, RunId, VenueId

Values = dict[str, Any]
Columns = dict[str, list[Any]]
AnyRow: TypeAlias = Row[*tuple[Any, ...]]

_TERMS = tuple(each.name for each in fields(Terms))
# Of an order, what never changes, and what does.
_GIVEN = (
    *("plan_id", "run_id", "account_id", "may_aggregate", "crossing_client", "quantity", "rank", "decision_price"),
    *("predicted_cost", "expire_time", "create_time", "trace_parent"),
)
_CHANGING = (
    *("order_id", "update_time", "state", "released", "placed", "ended", "filled", "filled_amount", "fees"),
    *("settling_amount", "arrival_amount", "final_price", "close_reason", "block_id", "check_time", "unit_cost_max"),
)
_SHARE = ("order_id", "account_id", "ordered", "carry", "own")
_ALLOCATION = (
    *("allocation_id", "block_id", "order_id", "account_id", "plan_id", "quantity", "price", "amount", "fees"),
    *("trade_date", "settlement_date", "create_time", "revision", "replaces"),
)


def terms_values(terms: Terms) -> Values:
    """Return the columns of an order's terms."""
    return {name: getattr(terms, name) for name in _TERMS}


def terms_of(row: AnyRow) -> Terms:
    """Return an order's terms."""
    return _terms(
        row.instrument_id,
        row.side,
        row.venue_id,
        row.order_type,
        row.limit_price,
        row.time_in_force,
        row.currency,
        row.custodian,
        row.increment,
        row.algorithm,
        row.participation_max,
        row.account_currency,
    )


# Thousands of orders share few terms.
@lru_cache(maxsize=16_384)
def _terms(
    instrument_id: str,
    side: str,
    venue_id: str,
    order_type: str,
    limit_price: Decimal | None,
    time_in_force: str,
    currency: str,
    custodian: str,
    increment: Decimal,
    algorithm: str,
    participation_max: Decimal | None,
    account_currency: str | None,
) -> Terms:
    return Terms(
        instrument_id=InstrumentId(instrument_id),
        side=Side(side),
        venue_id=VenueId(venue_id),
        order_type=OrderType(order_type),
        limit_price=limit_price,
        time_in_force=TimeInForce(time_in_force),
        currency=currency,
        custodian=custodian,
        increment=increment,
        algorithm=Algorithm(algorithm),
        participation_max=participation_max,
        account_currency=account_currency,
    )


def order_columns(orders: Sequence[OrderRecord]) -> Columns:
    """Return the rows of new orders."""
    return {
        **columns_from([each.terms for each in orders], _TERMS),
        **columns_from(orders, _GIVEN),
        **order_changes(orders),
    }


def order_changes(orders: Sequence[OrderRecord]) -> Columns:
    """Return the columns of orders that change, with the orders' ids."""
    schedules = [each.schedule for each in orders]
    return {
        **columns_from(orders, _CHANGING),
        "schedule_start": [None if each is None else each.start for each in schedules],
        "schedule_end": [None if each is None else each.end for each in schedules],
        "schedule_due": [None if each is None else each.due for each in schedules],
    }


def columns_from(records: Sequence[Any], names: Iterable[str]) -> Columns:
    """Return the columns that are called as the records' attributes are."""
    return {name: list(map(attrgetter(name), records)) for name in names}


def order_of(row: AnyRow) -> OrderRecord:
    """Return an order."""
    return OrderRecord(
        order_id=OrderId(row.order_id),
        plan_id=PlanId(row.plan_id),
        run_id=RunId(row.run_id),
        account_id=AccountId(row.account_id),
        terms=terms_of(row),
        may_aggregate=row.may_aggregate,
        quantity=row.quantity,
        rank=row.rank,
        decision_price=row.decision_price,
        predicted_cost=row.predicted_cost,
        unit_cost_max=row.unit_cost_max,
        expire_time=row.expire_time,
        create_time=row.create_time,
        update_time=row.update_time,
        trace_parent=row.trace_parent,
        released=row.released,
        placed=row.placed,
        ended=row.ended,
        filled=row.filled,
        filled_amount=row.filled_amount,
        fees=row.fees,
        settling_amount=row.settling_amount,
        arrival_amount=row.arrival_amount,
        final_price=row.final_price,
        close_reason=row.close_reason,
        block_id=None if row.block_id is None else BlockId(row.block_id),
        check_time=row.check_time,
        schedule=None
        if row.schedule_start is None
        else Timetable(row.schedule_start, row.schedule_end, row.schedule_due),
        crossing_client=row.crossing_client,
    )


def block_values(record: BlockRecord) -> Values:
    """Return the row of a new block."""
    return {
        "block_id": record.block_id,
        "client_order_id": record.block.client_order_id,
        **terms_values(record.block.terms),
        "quantity": record.block.quantity,
        "order_count": len(record.statement.shares),
        "trade_date": record.trade_date,
        "arrival_price": record.arrival_price,
        "expire_time": record.expire_time,
        "create_time": record.create_time,
        "market_time": record.market_time,
        "protection_price": record.protection_price,
        "trace_parents": list(record.trace_parents),
        "crossed_block_id": record.crossed_block_id,
        "arrival_rate": record.arrival_rate,
        "leg_of": record.leg_of,
        **block_changes(record),
    }


def block_changes(record: BlockRecord) -> Values:
    """Return the columns of a block that change."""
    summary = summary_of(record)
    return {
        "trade_date": record.trade_date,
        "update_time": record.update_time,
        "ours": record.ours,
        "attempt": record.attempt,
        "reject_reason": record.reject_reason,
        "cancel_reason": record.cancel_reason,
        "cancel_sent": record.cancel_sent,
        "allocated": record.allocated,
        "unconverted": record.unconverted,
        "state": summary.state,
        "filled_quantity": summary.filled_quantity,
        "average_price": summary.average_price,
        "fees": summary.fees,
    }


def block_of(
    row: AnyRow, shares: Iterable[Share], reports: Sequence[Report], times: Mapping[str, datetime]
) -> BlockRecord:
    """Return a block with its shares and reports."""
    block_id, terms = BlockId(row.block_id), terms_of(row)
    return BlockRecord(
        block=Block(block_id, row.client_order_id, terms, Statement(block_id, terms.increment, tuple(shares))),
        trade_date=row.trade_date,
        arrival_price=row.arrival_price,
        expire_time=row.expire_time,
        create_time=row.create_time,
        update_time=row.update_time,
        market_time=row.market_time,
        protection_price=row.protection_price,
        trace_parents=tuple(row.trace_parents),
        ours=OrderState(row.ours),
        attempt=row.attempt,
        reject_reason=row.reject_reason,
        cancel_reason=row.cancel_reason,
        cancel_sent=row.cancel_sent,
        allocated=row.allocated,
        reports=tuple(reports),
        times=times,
        summary=BlockSummary(OrderState(row.state), row.filled_quantity, row.average_price, row.fees),
        crossed_block_id=None if row.crossed_block_id is None else BlockId(row.crossed_block_id),
        arrival_rate=row.arrival_rate,
        unconverted=row.unconverted,
        leg_of=None if row.leg_of is None else BlockId(row.leg_of),
    )


def share_columns(shares: Sequence[tuple[BlockId, Share]]) -> Columns:
    """Return the rows of blocks' shares."""
    block_ids, of_blocks = zip(*shares, strict=True)
    return {"block_id": list(block_ids), **columns_from(of_blocks, _SHARE)}


def share_of(row: AnyRow) -> Share:
    """Return a block's share."""
    return Share(OrderId(row.order_id), AccountId(row.account_id), row.ordered, row.carry, row.own)


def report_of_row(row: AnyRow) -> Report:
    """Return what a venue said."""
    content: Mapping[str, str] = row.content
    return report_of(row.kind, content)


def allocation_columns(allocations: Sequence[AllocationRecord]) -> Columns:
    """Return the rows of allocations."""
    traded = [each.traded for each in allocations]
    return {
        **columns_from(allocations, _ALLOCATION),
        "traded_currency": [None if each is None else each.currency for each in traded],
        "traded_price": [None if each is None else each.price for each in traded],
        "traded_amount": [None if each is None else each.amount for each in traded],
        "traded_fees": [None if each is None else each.fees for each in traded],
    }


def allocation_of(row: AnyRow, terms: Terms) -> AllocationRecord:
    """Return an allocation; its terms are those of its block."""
    return AllocationRecord(
        allocation_id=AllocationId(row.allocation_id),
        order_id=OrderId(row.order_id),
        block_id=BlockId(row.block_id),
        account_id=AccountId(row.account_id),
        plan_id=PlanId(row.plan_id),
        terms=terms,
        quantity=row.quantity,
        price=row.price,
        amount=row.amount,
        fees=row.fees,
        trade_date=row.trade_date,
        settlement_date=row.settlement_date,
        create_time=row.create_time,
        revision=row.revision,
        replaces=None if row.replaces is None else AllocationId(row.replaces),
        traded=None
        if row.traded_amount is None
        else Traded(row.traded_currency, row.traded_price, row.traded_amount, row.traded_fees),
    )


def movement_of(row: AnyRow) -> Movement:
    """Return what an allocation moves in its account, fees in."""
    side = Side(row.side)
    return Movement(
        plan_id=PlanId(row.plan_id),
        opening_cash=row.available_cash,
        instrument_id=InstrumentId(row.instrument_id),
        side=side,
        quantity=row.quantity,
        amount=row.amount + row.fees if side is Side.BUY else row.amount - row.fees,
        trade_date=row.trade_date,
        settlement_date=row.settlement_date,
    )
