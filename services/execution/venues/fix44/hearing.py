"""What a broker says, out of FIX messages: reports, standings, refusals, what became of allocations. Pure.

A report keeps the broker's own ids (ExecID) and the name under which it came (ClOrdID); who knows the orders makes our
names of them.

Source: FIX specification 4.4, volume 4 (8, 9, N), volume 5 (P, AS), volume 2 (3) and volume 1 (j); ExecType and
OrdStatus as in volume 7, appendix D.
"""

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from services.execution.app.venue_port import InstructionState, InstructionView
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
)
from services.execution.fix.protocol.dictionary import fix_4_4
from services.execution.fix.protocol.message import FieldInvalid, Message
from services.execution.fix.protocol.validation import entries
from services.execution.venues.fix44.bounds import FEE_MAX, PRICE_MAX, QUANTITY_MAX, below, check_ids
from services.execution.venues.fix44.said import (
    AllocationSaid,
    ChangeSaid,
    ListSaid,
    OrderSaid,
    RequestRefused,
    Said,
    Standing,
)
from services.execution.venues.fix44.words import (
    ALLOC_ID,
    ALLOC_REJ_CODE,
    ALLOC_STATUS,
    ALLOCATION_ACK,
    ALLOCATION_REPORT,
    AVG_PX,
    BUSINESS_REJECT,
    BUSINESS_REJECT_REASON,
    BUSINESS_REJECT_REF_ID,
    CANCEL_REJECT,
    CL_ORD_ID,
    COMM_TYPE,
    COMMISSION,
    COPY_MSG_INDICATOR,
    CUM_QTY,
    CXL_REJ_REASON,
    EXEC_ID,
    EXEC_REF_ID,
    EXEC_TYPE,
    EXECUTION_REPORT,
    LAST_PX,
    LAST_QTY,
    LAST_RPT_REQUESTED,
    LEAVES_QTY,
    LIST_ID,
    LIST_STATUS,
    MASS_STATUS_REQ_ID,
    MISC_FEE_AMT,
    MISC_FEE_BASIS,
    NO_MISC_FEES,
    NO_ORDERS,
    ORD_REJ_REASON,
    ORD_STATUS,
    ORD_STATUS_REQ_ID,
    ORD_STATUSES,
    ORDER_ID,
    ORDER_QTY,
    ORIG_CL_ORD_ID,
    PRICE,
    REASON_DUPLICATE,
    REASON_UNKNOWN_ORDER,
    REF_MSG_TYPE,
    REF_SEQ_NUM,
    SENDING_TIME,
    SESSION_REJECT,
    TEXT,
    TOT_NUM_REPORTS,
    TRANSACT_TIME,
)

ZERO = Decimal(0)
_STATES = {code: state for state, code in ORD_STATUSES.items()}
_PAUSES = {
    "3": OrderState.DONE_FOR_DAY,
    "7": OrderState.STOPPED,
    "9": OrderState.SUSPENDED,
    "B": OrderState.CALCULATED,
}
# AllocStatus <87>; 4, incomplete, waits for more.
_ALLOCATIONS = {
    "0": InstructionState.ACCEPTED,
    "1": InstructionState.REJECTED,
    "2": InstructionState.REJECTED,
    "3": InstructionState.RECEIVED,
    "4": InstructionState.RECEIVED,
    "5": InstructionState.REJECTED,
}


def hear(message: Message) -> Said | None:
    """Return what a message of a broker says; None when it is of a kind that says nothing about orders.

    Raises:
        FieldInvalid: A field that the meaning depends on is missing or cannot be.
    """
    check_ids(message)
    match message.msg_type:
        case "8":
            return _order(message)
        case "9":
            return _change(message)
        case "N":
            return _list(message)
        case "P" | "AS":
            return _allocation(message)
        case "j" | "3":
            return _refused(message)
        case _:
            return None


# What `hear` understands.
HEARD = frozenset(
    {
        EXECUTION_REPORT,
        CANCEL_REJECT,
        LIST_STATUS,
        ALLOCATION_ACK,
        ALLOCATION_REPORT,
        BUSINESS_REJECT,
        SESSION_REJECT,
    }
)


def named(report: Report, order_name: str) -> Report:
    """Return a report under ids that are unique for ever: FIX's are so only in the life of an order."""
    our_id = report_id(order_name, report.report_id)
    if type(report) is Filled:
        # Most are: written out, it costs a third of `replace`.
        return Filled(our_id, report.quantity, report.price, report.fee)
    ours = replace(report, report_id=our_id)
    match ours:
        case FillCorrected():
            return replace(ours, corrects=report_id(order_name, ours.corrects))
        case FillBusted():
            return replace(ours, busts=report_id(order_name, ours.busts))
        case _:
            return ours


def report_id(order_name: str, exec_id: str) -> str:
    """Return our id of what a broker calls `exec_id`."""
    return f"{order_name}/{exec_id}"


def _order(message: Message) -> OrderSaid:
    kind = message.require(EXEC_TYPE)
    standing = _standing(message)
    unknown = standing.state is OrderState.REJECTED and (
        message.text(ORD_REJ_REASON) == REASON_UNKNOWN_ORDER or message.text(TOT_NUM_REPORTS) == "0"
    )
    return OrderSaid(
        name=message.text(CL_ORD_ID) or "",
        original_name=message.text(ORIG_CL_ORD_ID),
        order_id=message.text(ORDER_ID) or "",
        report=_report(message, kind),
        standing=None if kind == "I" and unknown else standing,
        time=_time(message),
        drop_copy=message.flag(COPY_MSG_INDICATOR),
        status_request=message.text(ORD_STATUS_REQ_ID),
        mass_request=message.text(MASS_STATUS_REQ_ID),
        last=message.flag(LAST_RPT_REQUESTED) or message.text(TOT_NUM_REPORTS) == "0",
    )


def _report(message: Message, kind: str) -> Report | None:
    exec_id, why = message.require(EXEC_ID), message.text(TEXT) or ""
    match kind:
        case "A":
            return PendingNew(exec_id)
        case "0" | "L":
            # L: what was held is in the book now.
            return Accepted(exec_id)
        case "8":
            # The order that has the name already is not refused.
            duplicate = message.text(ORD_REJ_REASON) == REASON_DUPLICATE
            return None if duplicate else Refused(exec_id, why or f"OrdRejReason {message.text(ORD_REJ_REASON)}")
        case "F" | "1" | "2":
            # 1 and 2 were the trades of FIX 4.2; some brokers still send them.
            quantity, price = _needed(message, LAST_QTY, QUANTITY_MAX), _needed(message, LAST_PX, PRICE_MAX)
            return _checked(message, LAST_QTY, Filled, exec_id, quantity, price, _fee(message, quantity * price))
        case "G":
            quantity, price = _needed(message, LAST_QTY, QUANTITY_MAX), _needed(message, LAST_PX, PRICE_MAX)
            corrects, fee = message.require(EXEC_REF_ID), _fee(message, quantity * price)
            return _checked(message, LAST_QTY, FillCorrected, exec_id, corrects, quantity, price, fee)
        case "H":
            return FillBusted(exec_id, message.require(EXEC_REF_ID))
        case "6":
            return CancelPending(exec_id, message.require(CL_ORD_ID))
        case "4":
            return Canceled(exec_id)
        case "E":
            return ReplacePending(exec_id, message.require(CL_ORD_ID))
        case "5":
            name, quantity = message.require(CL_ORD_ID), _needed(message, ORDER_QTY, QUANTITY_MAX)
            return Replaced(exec_id, name, _positive(message, quantity), below(message, PRICE, PRICE_MAX))
        case "3" | "7" | "9" | "B":
            return Paused(exec_id, _PAUSES[kind])
        case "D":
            stated = below(message, ORDER_QTY, QUANTITY_MAX)
            quantity_now = None if stated is None else _positive(message, stated)
            return Restated(exec_id, quantity_now, below(message, PRICE, PRICE_MAX))
        case "C":
            return Expired(exec_id)
        case "I":
            return None
        case _:
            raise FieldInvalid(EXEC_TYPE, kind.encode(), "a kind of report that we know")


def _checked(message: Message, tag: int, made: type[Filled] | type[FillCorrected], *values: object) -> Report:
    try:
        return made(*values)  # type: ignore[arg-type]  # the callers pair kinds and values
    except ValueError as wrong:
        raise FieldInvalid(tag, message.get(tag), str(wrong)) from wrong


def _standing(message: Message) -> Standing:
    code = message.require(ORD_STATUS)
    if code not in _STATES:
        raise FieldInvalid(ORD_STATUS, code.encode(), "a state that we know")
    filled = below(message, CUM_QTY, QUANTITY_MAX) or ZERO
    leaves = below(message, LEAVES_QTY, QUANTITY_MAX) or ZERO
    quantity = below(message, ORDER_QTY, QUANTITY_MAX)
    has_fees = message.get(COMMISSION) is not None or message.get(NO_MISC_FEES) is not None
    return Standing(
        state=_STATES[code],
        quantity=filled + leaves if quantity is None else quantity,
        filled_quantity=filled,
        leaves_quantity=leaves,
        average_price=below(message, AVG_PX, PRICE_MAX) or ZERO,
        # Beside a trade, the fees are that trade's.
        fees=_fee(message, ZERO) if has_fees and message.text(EXEC_TYPE) == "I" else None,
    )


def _fee(message: Message, amount: Decimal) -> Decimal:
    """Return what a trade of `amount` cost: commission and all other fees."""
    quantity = below(message, LAST_QTY, QUANTITY_MAX) or ZERO
    fee = charged(message.text(COMM_TYPE), message.decimal(COMMISSION) or ZERO, quantity, amount)
    for line in entries(message, fix_4_4(), NO_MISC_FEES) if message.get(NO_MISC_FEES) is not None else ():
        fee += charged(line.text(MISC_FEE_BASIS), line.decimal(MISC_FEE_AMT) or ZERO, quantity, amount)
    if fee >= FEE_MAX:
        raise FieldInvalid(COMMISSION, message.get(COMMISSION), f"below {FEE_MAX:f}, with all other fees")
    return fee


def charged(kind: str | None, value: Decimal, quantity: Decimal, amount: Decimal) -> Decimal:
    """Return what is charged for a trade of `quantity` units and of `amount`.

    `kind` is CommType <13> or MiscFeeBasis <891>: 1 for each unit, 2 in percent of the amount, else absolute.
    """
    match kind:
        case "1":
            return value * quantity
        case "2":
            return value * amount / 100
        case _:
            return value


def _change(message: Message) -> ChangeSaid:
    request_id, why = message.require(CL_ORD_ID), message.text(TEXT)
    reason = message.text(CXL_REJ_REASON)
    return ChangeSaid(
        request_id=request_id,
        original_name=message.require(ORIG_CL_ORD_ID),
        # FIX gives a refusal no ExecID; a change is refused once.
        report=ChangeRefused(f"refused:{request_id}", request_id, why or f"CxlRejReason {reason}"),
        # CxlRejReason 1: unknown order.
        order_known=reason != "1",
        time=_time(message),
    )


def _list(message: Message) -> ListSaid:
    taken: list[str] = []
    refused: list[tuple[str, str]] = []
    for line in entries(message, fix_4_4(), NO_ORDERS):
        name = line.require(CL_ORD_ID)
        if line.text(ORD_STATUS) == ORD_STATUSES[OrderState.REJECTED]:
            refused.append((name, line.text(TEXT) or f"OrdRejReason {line.text(ORD_REJ_REASON)}"))
        else:
            taken.append(name)
    return ListSaid(message.require(LIST_ID), tuple(taken), tuple(refused))


def _allocation(message: Message) -> AllocationSaid:
    code = message.require(ALLOC_STATUS)
    if code not in _ALLOCATIONS:
        raise FieldInvalid(ALLOC_STATUS, code.encode(), "a state of an allocation")
    state = _ALLOCATIONS[code]
    why = message.text(TEXT) or f"AllocRejCode {message.text(ALLOC_REJ_CODE)}"
    return AllocationSaid(
        message.require(ALLOC_ID), InstructionView(state, why if state is InstructionState.REJECTED else "")
    )


def _refused(message: Message) -> RequestRefused:
    return RequestRefused(
        number=message.integer(REF_SEQ_NUM),
        reference=message.text(BUSINESS_REJECT_REF_ID),
        kind=message.text(REF_MSG_TYPE),
        why=message.text(TEXT) or f"BusinessRejectReason {message.text(BUSINESS_REJECT_REASON)}",
    )


def _needed(message: Message, tag: int, bound: Decimal) -> Decimal:
    value = below(message, tag, bound)
    if value is None:
        raise FieldInvalid(tag, None, "present")
    return value


def _positive(message: Message, quantity: Decimal) -> Decimal:
    if quantity <= 0:
        raise FieldInvalid(ORDER_QTY, message.get(ORDER_QTY), "above 0")
    return quantity


def _time(message: Message) -> datetime:
    time = message.time(TRANSACT_TIME) or message.time(SENDING_TIME)
    if time is None:
        raise FieldInvalid(TRANSACT_TIME, None, "present")
    return time
