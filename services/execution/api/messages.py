"""Orders, blocks, allocations, halts and costs as messages."""

from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from typing import assert_never

from google.type import money_pb2

from evenkeel.common.v1 import values_pb2
from evenkeel.execution.v1 import execution_service_pb2 as pb
from services.execution.app.cost_report import CostLine, GroupBy, predicted_of, shortfall_of
from services.execution.app.ledger_uncrosses import Uncross
from services.execution.app.records import (
    AllocationDetail,
    AllocationRecord,
    BlockDetail,
    BlockRecord,
    Break,
    Correction,
    InstructionRecord,
    LifeState,
    OrderRecord,
    PlanReport,
    summary_of,
)
from services.execution.app.trading import Restrictions
from services.execution.domain.allocation import CARRY_SCALE
from services.execution.domain.limits import DayLimit, LimitKey, LimitKind, Usage
from services.execution.domain.order import AVERAGE_PRICE_QUANTUM, OrderState
from services.execution.domain.trading_state import Halt, Scope, ScopeKind, TradingState
from services.execution.domain.words import Side
from services.kernel.errors import FieldViolation, Invalid
from services.kernel.money import Money, in_cents
from services.runtime.wire import date_message, decimal_message, instant_message, money_message

SIDE = {Side.BUY: values_pb2.SIDE_BUY, Side.SELL: values_pb2.SIDE_SELL}

ORDER_STATE = {
    LifeState.WAITING: pb.Order.STATE_WAITING,
    LifeState.READY: pb.Order.STATE_READY,
    LifeState.WORKING: pb.Order.STATE_WORKING,
    LifeState.FILLED: pb.Order.STATE_FILLED,
    LifeState.CANCELED: pb.Order.STATE_CANCELED,
    LifeState.REJECTED: pb.Order.STATE_REJECTED,
}

BLOCK_STATE = {
    OrderState.PENDING: pb.Block.STATE_PENDING,
    OrderState.SENDING: pb.Block.STATE_UNKNOWN,
    OrderState.UNKNOWN: pb.Block.STATE_UNKNOWN,
    OrderState.PENDING_NEW: pb.Block.STATE_NEW,
    OrderState.NEW: pb.Block.STATE_NEW,
    OrderState.PARTIALLY_FILLED: pb.Block.STATE_PARTIALLY_FILLED,
    OrderState.FILLED: pb.Block.STATE_FILLED,
    OrderState.DONE_FOR_DAY: pb.Block.STATE_PARTIALLY_FILLED,
    OrderState.PENDING_CANCEL: pb.Block.STATE_PENDING_CANCEL,
    OrderState.PENDING_REPLACE: pb.Block.STATE_NEW,
    OrderState.STOPPED: pb.Block.STATE_NEW,
    OrderState.SUSPENDED: pb.Block.STATE_NEW,
    OrderState.CALCULATED: pb.Block.STATE_FILLED,
    OrderState.CANCELED: pb.Block.STATE_CANCELED,
    OrderState.EXPIRED: pb.Block.STATE_CANCELED,
    OrderState.REJECTED: pb.Block.STATE_REJECTED,
}

_Group = pb.GetCostReportRequest.GroupBy
GROUPS = {
    _Group.GROUP_BY_UNSPECIFIED: GroupBy.NOTHING,
    _Group.GROUP_BY_INSTRUMENT: GroupBy.INSTRUMENT,
    _Group.GROUP_BY_VENUE: GroupBy.VENUE,
    _Group.GROUP_BY_ALGORITHM: GroupBy.ALGORITHM,
}

_FINAL = frozenset({OrderState.FILLED, OrderState.CANCELED, OrderState.EXPIRED, OrderState.REJECTED})

_MODE = {
    TradingState.ACTIVE: pb.TRADING_MODE_ACTIVE,
    TradingState.REDUCING: pb.TRADING_MODE_REDUCING,
    TradingState.HALTED: pb.TRADING_MODE_HALTED,
}
MODES = {message: state for state, message in _MODE.items()}

_SCOPE = {
    ScopeKind.ALL: pb.TradingScope.KIND_ALL,
    ScopeKind.VENUE: pb.TradingScope.KIND_VENUE,
    ScopeKind.INSTRUMENT: pb.TradingScope.KIND_INSTRUMENT,
    ScopeKind.ACCOUNT: pb.TradingScope.KIND_ACCOUNT,
}
_SCOPES = {message: kind for kind, message in _SCOPE.items()}


def order_message(order: OrderRecord) -> pb.Order:
    """Return the message of an account's order."""
    currency = order.terms.currency
    return pb.Order(
        order_id=order.order_id,
        plan_id=order.plan_id,
        run_id=order.run_id,
        account_id=order.account_id,
        instrument_id=order.instrument_id,
        side=SIDE[order.terms.side],
        quantity=decimal_message(order.quantity),
        filled_quantity=decimal_message(order.filled),
        filled_value=_money(order.filled_amount, currency),
        fees=_money(order.fees, currency),
        state=ORDER_STATE[order.state],
        close_reason=order.close_reason,
        block_id=order.block_id or "",
        create_time=instant_message(order.create_time),
        update_time=instant_message(order.update_time),
        cost=_order_cost(order) if order.closed else None,
    )


def _order_cost(order: OrderRecord) -> pb.OrderCost:
    cost, currency = shortfall_of(order), order.terms.currency
    return pb.OrderCost(
        decision_value=_money(in_cents(order.filled * order.decision_price), currency),
        arrival_value=_money(in_cents(order.arrival_amount), currency),
        delay=_money(in_cents(cost.delay), currency),
        trading=_money(in_cents(cost.trading), currency),
        opportunity=_money(in_cents(cost.opportunity), currency),
        fees=_money(cost.fees, currency),
        predicted_cost=_money(predicted_of(order), currency),
    )


def block_message(record: BlockRecord) -> pb.Block:
    """Return the message of a block."""
    terms, summary = record.block.terms, record.summary or summary_of(record)
    canceling = record.cancel_reason and summary.state not in _FINAL
    return pb.Block(
        block_id=record.block_id,
        venue_id=terms.venue_id,
        client_order_id=record.block.client_order_id,
        instrument_id=terms.instrument_id,
        side=SIDE[terms.side],
        quantity=decimal_message(record.block.quantity),
        limit_price=None if terms.limit_price is None else _money(terms.limit_price, terms.currency),
        filled_quantity=decimal_message(summary.filled_quantity),
        average_price=None if summary.average_price is None else _money(summary.average_price, terms.currency),
        fees=_money(summary.fees, terms.currency),
        state=pb.Block.STATE_PENDING_CANCEL if canceling else BLOCK_STATE[summary.state],
        order_count=len(record.statement.shares),
        arrival_price=_price(record.arrival_price, terms.currency),
        create_time=instant_message(record.create_time),
        update_time=instant_message(record.update_time),
        reject_reason=record.reject_reason,
        crossed_block_id=record.crossed_block_id or "",
        account_currency=terms.account_currency or "",
        leg_of_block_id=record.leg_of or "",
    )


def block_response(detail: BlockDetail) -> pb.GetBlockResponse:
    """Return a block with its fills, oldest first, and its allocations, by account."""
    record = detail.record
    currency = record.block.terms.currency
    fills = sorted(record.order.fills.values(), key=lambda fill: (record.times[fill.report_id], fill.report_id))
    return pb.GetBlockResponse(
        block=block_message(record),
        fills=[
            pb.Fill(
                execution_id=fill.report_id,
                quantity=decimal_message(fill.quantity),
                price=_price(fill.price, currency),
                fees=_money(fill.fee, currency),
                execute_time=instant_message(record.times[fill.report_id]),
            )
            for fill in fills
        ],
        allocations=[allocation_message(each) for each in detail.allocations],
        instructions=[instruction_message(each) for each in detail.instructions],
        uncross=None if detail.uncross is None else uncross_message(detail.uncross),
    )


def uncross_message(each: Uncross) -> pb.Uncross:
    """Return the message of a wish to undo a cross."""
    return pb.Uncross(
        sell_block_id=each.sell_block_id,
        buy_block_id=each.buy_block_id,
        proposer=each.proposer,
        reason=each.why,
        propose_time=instant_message(each.propose_time),
        approver=each.approver,
        approve_time=None if each.approve_time is None else instant_message(each.approve_time),
    )


def instruction_message(each: InstructionRecord) -> pb.AllocationInstruction:
    """Return the message of what a venue was told of a block's shares."""
    return pb.AllocationInstruction(
        allocation_id=each.allocation_id,
        replaces=each.replaces or "",
        state=pb.AllocationInstruction.State.Value(f"STATE_{each.state}"),
        reject_reason=each.why,
        create_time=instant_message(each.create_time),
        update_time=instant_message(each.update_time),
        trade_date=None if each.trade_date is None else date_message(each.trade_date),
    )


def allocation_message(each: AllocationRecord) -> pb.Allocation:
    """Return the message of an allocation."""
    currency, traded = each.terms.booked_in, each.traded
    return pb.Allocation(
        order_id=each.order_id,
        block_id=each.block_id,
        account_id=each.account_id,
        plan_id=each.plan_id,
        instrument_id=each.terms.instrument_id,
        side=SIDE[each.terms.side],
        quantity=decimal_message(each.quantity),
        price=_money(each.price, currency),
        value=_money(each.amount, currency),
        fees=_money(each.fees, currency),
        trade_date=date_message(each.trade_date),
        settlement_date=date_message(each.settlement_date),
        create_time=instant_message(each.create_time),
        allocation_id=each.allocation_id,
        replaces_allocation_id=each.replaces or "",
        revision=each.revision,
        traded_price=None if traded is None else _money(traded.price, traded.currency),
        traded_value=None if traded is None else _money(traded.amount, traded.currency),
        traded_fees=None if traded is None else _money(traded.fees, traded.currency),
    )


def allocation_response(detail: AllocationDetail) -> pb.GetAllocationResponse:
    """Return an allocation with its history, and what the statement said."""
    statement = detail.statement
    return pb.GetAllocationResponse(
        allocation=allocation_message(detail.history[-1]),
        history=[allocation_message(each) for each in detail.history],
        ordered_quantity=decimal_message(detail.share.ordered * statement.increment),
        block_quantity=decimal_message(statement.quantity * statement.increment),
        carry=decimal_message(detail.share.carry * statement.increment / CARRY_SCALE),
        own=detail.share.own,
    )


def report_message(report: PlanReport) -> pb.PlanReport:
    """Return the message of what happened to a plan."""
    message = pb.PlanReport(
        position=report.position,
        plan_id=report.plan_id,
        account_id=report.account_id,
        trace_parent=report.trace_parent or "",
    )
    match report.content:
        case AllocationRecord():
            message.allocation.CopyFrom(allocation_message(report.content))
        case Correction():
            message.correction.allocation.CopyFrom(allocation_message(report.content.allocation))
            message.correction.replaced.CopyFrom(allocation_message(report.content.replaced))
            message.correction.replaced_position = report.content.replaced_position
        case OrderRecord():
            message.closed_order.CopyFrom(order_message(report.content))
        case _:
            assert_never(report.content)
    return message


def cost_response(lines: Sequence[CostLine]) -> pb.GetCostReportResponse:
    """Return the message of what trading cost; sums of everything only where there is one currency, and no groups."""
    response = pb.GetCostReportResponse(
        order_count=sum(line.order_count for line in lines), lines=[_cost_line(line) for line in lines]
    )
    whole = lines[0] if len(lines) == 1 and not lines[0].key else None
    if whole is None and not lines:
        whole = CostLine("", "USD")
    if whole is not None:
        line = _cost_line(whole)
        for name in ("traded_value", "delay", "trading", "opportunity", "fees", "shortfall", "predicted_cost"):
            getattr(response, name).CopyFrom(getattr(line, name))
    return response


def _cost_line(line: CostLine) -> pb.CostLine:
    return pb.CostLine(
        key=line.key,
        order_count=line.order_count,
        traded_value=_money(line.traded_amount, line.currency),
        delay=_money(line.delay, line.currency),
        trading=_money(line.trading, line.currency),
        opportunity=_money(line.opportunity, line.currency),
        fees=_money(line.fees, line.currency),
        shortfall=_money(line.total, line.currency),
        predicted_cost=_money(line.predicted, line.currency),
        interval_vwap_cost=_money(line.vwap_cost, line.currency),
        interval_vwap_value=_money(line.vwap_amount, line.currency),
        close_cost=_money(line.close_cost, line.currency),
        close_value=_money(line.close_amount, line.currency),
        crossed_value=_money(line.crossed_amount, line.currency),
    )


def break_message(each: Break) -> pb.VenueBreak:
    """Return the message of a difference between our record and another's."""
    return pb.VenueBreak(
        block_id=each.block_id or "",
        client_order_id=each.client_order_id,
        kind=each.kind,
        ours=each.ours,
        venues=each.theirs,
        break_id=each.break_id,
        party=each.party,
        source=each.source,
        account_id=each.account_id or "",
        instrument_id=each.instrument_id or "",
        find_time=instant_message(each.find_time),
        see_time=instant_message(each.see_time),
        owner=each.owner,
        resolve_time=None if each.resolve_time is None else instant_message(each.resolve_time),
        resolver=each.resolver,
        note=each.note,
        trade_date=None if each.trade_date is None else date_message(each.trade_date),
    )


def scope_of(message: pb.TradingScope) -> Scope:
    """Return the scope that a message names.

    Raises:
        Invalid: It names a subject and covers everything, or the other way round.
    """
    try:
        return Scope(_SCOPES[message.kind], message.id)
    except ValueError as error:
        violation = FieldViolation("scope.id", str(error))
        raise Invalid(f"scope.id: {error}", violations=[violation]) from error


def halt_message(halt: Halt) -> pb.TradingHalt:
    """Return the message of a halt."""
    return pb.TradingHalt(
        scope=pb.TradingScope(kind=_SCOPE[halt.scope.kind], id=halt.scope.subject_id),
        mode=_MODE[halt.state],
        actor=halt.halted_by,
        reason=halt.why,
        start_time=instant_message(halt.halt_time),
        also_halted_by=halt.also_halted_by,
    )


def limit_keys(request: pb.GetTradingStateRequest) -> list[LimitKey]:
    """Return whose counts of a day a request asks for."""
    named = (
        (LimitKind.HOUSEHOLD, request.household_id),
        (LimitKind.ACCOUNT, request.account_id),
        (LimitKind.INSTRUMENT, request.instrument_id),
    )
    return [LimitKey(kind, name) for kind, name in named if name]


def trading_state_response(found: Restrictions) -> pb.GetTradingStateResponse:
    """Return the message of what may be traded now."""
    limits = found.limits
    used = {key.kind: (key.subject_id, usage) for key, usage in found.used.items()}
    return pb.GetTradingStateResponse(
        halts=[halt_message(each) for each in found.halts],
        order_limits=pb.OrderLimits(
            quantity_max=decimal_message(limits.order_quantity_max),
            value_max=decimal_message(limits.order_amount_max),
            collar_bps=decimal_message(limits.collar_bps),
            price_age_max_s=decimal_message(Decimal(str(limits.price_age_max.total_seconds()))),
        ),
        day_limits=[_day_limit(kind, limits.days[kind], *used.get(kind, ("", None))) for kind in LimitKind],
    )


def _day_limit(kind: LimitKind, limit: DayLimit, subject_id: str, used: Usage | None) -> pb.DayLimit:
    message = pb.DayLimit(
        kind=pb.DayLimit.Kind.Value(f"KIND_{kind}"),
        subject_id=subject_id,
        orders_max=limit.orders_max,
        value_max=decimal_message(limit.amount_max),
        turnover_max=None if limit.turnover_max is None else decimal_message(limit.turnover_max),
    )
    if used is not None:
        message.order_count = used.orders
        message.value.CopyFrom(decimal_message(used.amount))
        message.turnover.CopyFrom(decimal_message(used.turnover))
    return message


def _price(price: Decimal, currency: str) -> money_pb2.Money:
    """Return the message of a price; a rate turned over has more digits than `Money` can say."""
    return _money(price.quantize(AVERAGE_PRICE_QUANTUM, rounding=ROUND_HALF_EVEN), currency)


def _money(amount: Decimal, currency: str) -> money_pb2.Money:
    return money_message(Money(amount, currency))
