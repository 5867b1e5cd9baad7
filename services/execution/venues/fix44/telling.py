"""What a venue tells its clients, as FIX messages: the other side of `hearing`. Pure.

Source: FIX specification 4.4, volume 4 (8, 9, N) and volume 5 (P, AS); which fields a report carries in which case, and
what LeavesQty is then: volume 7, appendix D.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import assert_never

from services.execution.app.venue_port import AllocationInstruction, InstructionState, InstructionView, Intent
from services.execution.domain.order import (
    Accepted,
    Canceled,
    CancelPending,
    ChangeRefused,
    Expired,
    FillBusted,
    FillCorrected,
    Filled,
    OrderState,
    Paused,
    PendingNew,
    Refused,
    Replaced,
    ReplacePending,
    Report,
    Restated,
    VenueOrder,
)
from services.execution.fix.protocol.message import Outgoing
from services.execution.fix.protocol.values import Pair
from services.execution.venues.fix44.asked import StatusAsked
from services.execution.venues.fix44.deals import as_quoted, fix_currency, kind_of
from services.execution.venues.fix44.words import (
    ALLOC_ACCOUNT,
    ALLOC_ID,
    ALLOC_NO_ORDERS_TYPE,
    ALLOC_QTY,
    ALLOC_REJ_CODE,
    ALLOC_REPORT_ID,
    ALLOC_REPORT_TYPE,
    ALLOC_STATUS,
    ALLOC_TRANS_TYPE,
    ALLOCATION_ACK,
    ALLOCATION_REPORT,
    AVG_PX,
    CANCEL_REJECT,
    CL_ORD_ID,
    COMM_CURRENCY,
    COMM_TYPE,
    COMMISSION,
    COMMISSION_ABSOLUTE,
    COPY_MSG_INDICATOR,
    CUM_QTY,
    CURRENCY,
    CXL_QTY,
    CXL_REJ_REASON,
    CXL_REJ_RESPONSE_TO,
    EXEC_ID,
    EXEC_REF_ID,
    EXEC_RESTATEMENT_REASON,
    EXEC_TYPE,
    EXECUTION_REPORT,
    LAST_PX,
    LAST_QTY,
    LAST_RPT_REQUESTED,
    LEAVES_QTY,
    LIST_ID,
    LIST_ORDER_STATUS,
    LIST_STATUS,
    LIST_STATUS_TYPE,
    MASS_STATUS_REQ_ID,
    NO_ALLOCS,
    NO_ORDERS,
    NO_RPTS,
    ORD_REJ_REASON,
    ORD_STATUS,
    ORD_STATUS_REQ_ID,
    ORD_STATUSES,
    ORD_TYPE,
    ORDER_ID,
    ORDER_QTY,
    ORDER_TYPES,
    ORIG_CL_ORD_ID,
    PRICE,
    QUANTITY,
    REASON_UNKNOWN_ORDER,
    RPT_SEQ,
    SIDE,
    SIDES,
    SYMBOL,
    TEXT,
    TOT_NO_ORDERS,
    TOT_NUM_REPORTS,
    TRADE_DATE,
    TRANSACT_TIME,
)

ZERO = Decimal(0)

_PAUSES = {state: ORD_STATUSES[state] for state in (OrderState.DONE_FOR_DAY, OrderState.STOPPED)} | {
    OrderState.SUSPENDED: "9",
    OrderState.CALCULATED: "B",
}


@dataclass(frozen=True, slots=True)
class Told:
    """An order as it is told of: as it stands after the report, and what it was and is called."""

    intent: Intent
    order: VenueOrder
    order_id: str
    name: str
    original_name: str | None = None


def execution_report(told: Told, report: Report, at: datetime, *, copy: bool = False) -> Outgoing:
    """Return an ExecutionReport <8> of something that happened; `copy` marks a drop copy."""
    kind, more = _happened(told.intent, report)
    body: list[Pair] = [*_head(told, report.report_id, kind), *more, *_standing(told), (TRANSACT_TIME, at)]
    if copy:
        body.append((COPY_MSG_INDICATOR, True))
    return Outgoing(EXECUTION_REPORT, body)


def order_standing(
    told: Told, exec_id: str, at: datetime, *, status: str | None = None, mass: tuple[str, int, bool] | None = None
) -> Outgoing:
    """Return an ExecutionReport <8> that answers how an order stands.

    `status`: the id of the question about this order. `mass`: that of the question about all, how many answers there
    are, and whether this is the last.
    """
    body = [*_head(told, exec_id, "I"), *_asked_by(status, mass), *_standing(told), (TRANSACT_TIME, at)]
    if told.order.fees:
        body += _commission(told.intent, told.order.fees)
    return Outgoing(EXECUTION_REPORT, body)


def order_refused(intent: Intent, exec_id: str, reason: str, why: str, at: datetime) -> Outgoing:
    """Return an ExecutionReport <8> that refuses an order; `reason` is OrdRejReason."""
    return Outgoing(
        EXECUTION_REPORT,
        [
            (ORDER_ID, "NONE"),
            (CL_ORD_ID, intent.client_order_id),
            (EXEC_ID, exec_id),
            (EXEC_TYPE, "8"),
            (ORD_STATUS, "8"),
            (ORD_REJ_REASON, reason),
            *_instrument(intent),
            (SIDE, SIDES[intent.side]),
            (ORDER_QTY, intent.quantity),
            (LEAVES_QTY, ZERO),
            (CUM_QTY, ZERO),
            (AVG_PX, ZERO),
            (TRANSACT_TIME, at),
            (TEXT, why),
        ],
    )


def order_unknown(asked: StatusAsked, exec_id: str, at: datetime) -> Outgoing:
    """Return an ExecutionReport <8> that answers a question about an order that is unknown."""
    body: list[Pair] = [
        (ORDER_ID, "NONE"),
        (CL_ORD_ID, asked.name),
        (EXEC_ID, exec_id),
        (EXEC_TYPE, "I"),
        (ORD_STATUS, "8"),
        (ORD_REJ_REASON, REASON_UNKNOWN_ORDER),
        *_asked_by(asked.request_id, None),
        (SYMBOL, asked.symbol),
        (SIDE, asked.side),
        *_nothing(at),
        (TEXT, "unknown order"),
    ]
    return Outgoing(EXECUTION_REPORT, body)


def no_orders(mass_request: str, exec_id: str, at: datetime) -> Outgoing:
    """Return an ExecutionReport <8> that answers a question about all orders when there are none."""
    body: list[Pair] = [
        (ORDER_ID, "NONE"),
        (EXEC_ID, exec_id),
        (EXEC_TYPE, "I"),
        (ORD_STATUS, "8"),
        (ORD_REJ_REASON, REASON_UNKNOWN_ORDER),
        *_asked_by(None, (mass_request, 0, True)),
        (SYMBOL, "[N/A]"),
        # Side <54>: undisclosed.
        (SIDE, "7"),
        *_nothing(at),
        (TEXT, "no orders"),
    ]
    return Outgoing(EXECUTION_REPORT, body)


def change_refused(
    told: Told | None, request_id: str, original_name: str, *, replace: bool, reason: str, why: str
) -> Outgoing:
    """Return an OrderCancelReject <9>; `told` is None when the order is unknown. `reason` is CxlRejReason."""
    return Outgoing(
        CANCEL_REJECT,
        [
            (ORDER_ID, "NONE" if told is None else told.order_id),
            (CL_ORD_ID, request_id),
            (ORIG_CL_ORD_ID, original_name),
            (ORD_STATUS, "8" if told is None else ORD_STATUSES[told.order.state]),
            (CXL_REJ_RESPONSE_TO, "2" if replace else "1"),
            (CXL_REJ_REASON, reason),
            (TEXT, why),
        ],
    )


def list_status(list_id: str, intents: Sequence[Intent], refused: Mapping[str, str]) -> Outgoing:
    """Return a ListStatus <N> that takes a list; `refused`: why an order of it is not taken, by its name."""
    lines: list[list[Pair]] = []
    for intent in intents:
        why = refused.get(intent.client_order_id)
        line: list[Pair] = [
            (CL_ORD_ID, intent.client_order_id),
            (CUM_QTY, ZERO),
            (ORD_STATUS, "A" if why is None else "8"),
            (LEAVES_QTY, intent.quantity if why is None else ZERO),
            (CXL_QTY, ZERO),
            (AVG_PX, ZERO),
        ]
        if why is not None:
            line += [(ORD_REJ_REASON, "99"), (TEXT, why)]
        lines.append(line)
    # ListStatusType 1: acknowledgement; ListOrderStatus 3: executing.
    return Outgoing(
        LIST_STATUS,
        [
            (LIST_ID, list_id),
            (LIST_STATUS_TYPE, "1"),
            (NO_RPTS, 1),
            (LIST_ORDER_STATUS, "3"),
            (RPT_SEQ, 1),
            (TOT_NO_ORDERS, len(lines)),
            (NO_ORDERS, lines),
        ],
    )


def allocation_ack(instruction: AllocationInstruction, view: InstructionView, at: datetime) -> Outgoing:
    """Return an AllocationInstructionAck <P>."""
    status = {InstructionState.ACCEPTED: "0", InstructionState.REJECTED: "1"}.get(view.state, "3")
    body: list[Pair] = [
        (ALLOC_ID, instruction.allocation_id),
        (TRADE_DATE, instruction.trade_date),
        (TRANSACT_TIME, at),
        (ALLOC_STATUS, status),
    ]
    if view.state is InstructionState.REJECTED:
        # AllocRejCode 7: other.
        body += [(ALLOC_REJ_CODE, "7"), (TEXT, view.why)]
    return Outgoing(ALLOCATION_ACK, body)


def allocation_report(instruction: AllocationInstruction, at: datetime) -> Outgoing:
    """Return an AllocationReport <AS>: the instruction as it was accepted."""
    kind = "0" if instruction.replaces is None else "1"
    lines: list[list[Pair]] = [
        [(ALLOC_ACCOUNT, share.account_id), (ALLOC_QTY, share.quantity)] for share in instruction.shares
    ]
    return Outgoing(
        ALLOCATION_REPORT,
        [
            (ALLOC_REPORT_ID, f"{instruction.allocation_id}:accepted"),
            (ALLOC_ID, instruction.allocation_id),
            (ALLOC_TRANS_TYPE, kind),
            # AllocReportType 4: sellside calculated without preliminary; what we were told is what we book.
            (ALLOC_REPORT_TYPE, "4"),
            (ALLOC_STATUS, "0"),
            (ALLOC_NO_ORDERS_TYPE, "1"),
            (NO_ORDERS, [[(CL_ORD_ID, instruction.client_order_id)]]),
            (SIDE, SIDES[instruction.side]),
            (SYMBOL, instruction.instrument_id),
            *kind_of(instruction.instrument_id, instruction.currency),
            (QUANTITY, instruction.quantity),
            (AVG_PX, as_quoted(instruction.instrument_id, instruction.currency, instruction.average_price)),
            (CURRENCY, fix_currency(instruction.instrument_id, instruction.currency)),
            (TRADE_DATE, instruction.trade_date),
            (TRANSACT_TIME, at),
            (NO_ALLOCS, lines),
        ],
    )


def _happened(intent: Intent, report: Report) -> tuple[str, list[Pair]]:
    """Return ExecType, and what only such a report carries."""
    match report:
        case PendingNew():
            return "A", []
        case Accepted():
            return "0", []
        case Refused():
            return "8", [(ORD_REJ_REASON, "99"), (TEXT, report.why or "refused")]
        case Filled():
            return "F", _trade(intent, report)
        case FillCorrected():
            return "G", [(EXEC_REF_ID, report.corrects), *_trade(intent, report)]
        case FillBusted():
            return "H", [(EXEC_REF_ID, report.busts)]
        case CancelPending():
            return "6", []
        case Canceled():
            return "4", []
        case ReplacePending():
            return "E", []
        case Replaced():
            return "5", []
        case Paused():
            return _PAUSES[report.state], []
        case Restated():
            # ExecRestatementReason 99: other.
            return "D", [(EXEC_RESTATEMENT_REASON, "99")]
        case Expired():
            return "C", []
        case ChangeRefused():
            raise ValueError("a refused change is told by an OrderCancelReject")
        case _:
            assert_never(report)


def _trade(intent: Intent, fill: Filled | FillCorrected) -> list[Pair]:
    price = as_quoted(intent.instrument_id, intent.currency, fill.price)
    return [(LAST_QTY, fill.quantity), (LAST_PX, price), *_commission(intent, fill.fee)]


def _commission(intent: Intent, fee: Decimal) -> list[Pair]:
    body: list[Pair] = [(COMMISSION, fee), (COMM_TYPE, COMMISSION_ABSOLUTE)]
    # Absent it is Currency <15>, which is not what a pair is paid in.
    return [*body, (COMM_CURRENCY, intent.currency)] if kind_of(intent.instrument_id, intent.currency) else body


def _instrument(intent: Intent) -> list[Pair]:
    return [(SYMBOL, intent.instrument_id), *kind_of(intent.instrument_id, intent.currency)]


def _head(told: Told, exec_id: str, kind: str) -> list[Pair]:
    body: list[Pair] = [(ORDER_ID, told.order_id), (CL_ORD_ID, told.name)]
    if told.original_name is not None:
        body.append((ORIG_CL_ORD_ID, told.original_name))
    return [
        *body,
        (EXEC_ID, exec_id),
        (EXEC_TYPE, kind),
        (ORD_STATUS, ORD_STATUSES[told.order.state]),
        *_instrument(told.intent),
        (SIDE, SIDES[told.intent.side]),
    ]


def _standing(told: Told) -> list[Pair]:
    order, intent = told.order, told.intent
    average = order.average_price
    body: list[Pair] = [(ORDER_QTY, order.quantity), (ORD_TYPE, ORDER_TYPES[intent.order_type])]
    if order.limit_price is not None:
        body.append((PRICE, as_quoted(intent.instrument_id, intent.currency, order.limit_price)))
    return [
        *body,
        (CURRENCY, fix_currency(intent.instrument_id, intent.currency)),
        (LEAVES_QTY, order.leaves_quantity),
        (CUM_QTY, order.filled_quantity),
        (AVG_PX, ZERO if not average else as_quoted(intent.instrument_id, intent.currency, average)),
    ]


def _nothing(at: datetime) -> list[Pair]:
    return [(LEAVES_QTY, ZERO), (CUM_QTY, ZERO), (AVG_PX, ZERO), (TRANSACT_TIME, at)]


def _asked_by(status: str | None, mass: tuple[str, int, bool] | None) -> list[Pair]:
    body: list[Pair] = []
    if status is not None:
        body.append((ORD_STATUS_REQ_ID, status))
    if mass is not None:
        request, count, last = mass
        body += [(MASS_STATUS_REQ_ID, request), (TOT_NUM_REPORTS, count), (LAST_RPT_REQUESTED, last)]
    return body
