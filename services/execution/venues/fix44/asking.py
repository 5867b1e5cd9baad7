"""What we ask a broker, as FIX messages: orders, lists, changes, questions, allocations. Pure.

Source: FIX specification 4.4, volume 4 (D, E, F, G, H, AF) and volume 5 (J).
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from services.execution.app.venue_port import AllocationInstruction, Intent
from services.execution.fix.protocol.message import Outgoing
from services.execution.fix.protocol.values import Pair
from services.execution.venues.fix44.deals import as_quoted, fix_currency, kind_of
from services.execution.venues.fix44.words import (
    ACCOUNT,
    ALLOC_ACCOUNT,
    ALLOC_CANC_REPLACE_REASON,
    ALLOC_ID,
    ALLOC_NO_ORDERS_TYPE,
    ALLOC_QTY,
    ALLOC_TRANS_TYPE,
    ALLOC_TYPE,
    ALLOCATION,
    AVG_PX,
    BID_TYPE,
    CANCEL,
    CL_ORD_ID,
    COMM_TYPE,
    COMMISSION,
    COMMISSION_ABSOLUTE,
    CURRENCY,
    HANDL_INST,
    LIST_ID,
    LIST_SEQ_NO,
    MASS_STATUS,
    MASS_STATUS_REQ_ID,
    MASS_STATUS_REQ_TYPE,
    NEW_LIST,
    NEW_ORDER,
    NO_ALLOCS,
    NO_ORDERS,
    ORD_STATUS_REQ_ID,
    ORD_TYPE,
    ORDER_QTY,
    ORDER_TYPES,
    ORIG_CL_ORD_ID,
    PRICE,
    QUANTITY,
    REF_ALLOC_ID,
    REPLACE,
    SETTL_DATE,
    SIDE,
    SIDES,
    STATUS,
    SYMBOL,
    TIME_IN_FORCE,
    TIMES_IN_FORCE,
    TOT_NO_ORDERS,
    TRADE_DATE,
    TRANSACT_TIME,
)
from services.kernel.decimals import plain

# HandlInst <21>: automated, private, no broker intervention.
AUTOMATED = "1"


def new_order(intent: Intent, at: datetime, account: str = "") -> Outgoing:
    """Return a NewOrderSingle <D>; `account` is ours at the broker, left out when empty."""
    body: list[Pair] = [(CL_ORD_ID, intent.client_order_id)]
    if account:
        body.append((ACCOUNT, account))
    return Outgoing(NEW_ORDER, [*body, *_settlement(intent), (HANDL_INST, AUTOMATED), *_terms(intent, at)])


def new_list(list_id: str, intents: Sequence[Intent], at: datetime, account: str = "") -> Outgoing:
    """Return a NewOrderList <E>: all orders in one message, each for itself (no bid, BidType 3)."""
    lines: list[list[Pair]] = []
    for number, intent in enumerate(intents, 1):
        line: list[Pair] = [(CL_ORD_ID, intent.client_order_id), (LIST_SEQ_NO, number)]
        if account:
            line.append((ACCOUNT, account))
        lines.append([*line, *_settlement(intent), (HANDL_INST, AUTOMATED), *_terms(intent, at)])
    return Outgoing(NEW_LIST, [(LIST_ID, list_id), (BID_TYPE, "3"), (TOT_NO_ORDERS, len(lines)), (NO_ORDERS, lines)])


def cancel_order(intent: Intent, request_id: str, present_name: str, at: datetime) -> Outgoing:
    """Return an OrderCancelRequest <F> for what is left of an order; `present_name` is what it is called now."""
    return Outgoing(
        CANCEL,
        [
            (ORIG_CL_ORD_ID, present_name),
            (CL_ORD_ID, request_id),
            *_instrument(intent),
            (SIDE, SIDES[intent.side]),
            (TRANSACT_TIME, at),
            (ORDER_QTY, intent.quantity),
        ],
    )


def replace_order(
    intent: Intent, request_id: str, present_name: str, quantity: Decimal, limit_price: Decimal | None, at: datetime
) -> Outgoing:
    """Return an OrderCancelReplaceRequest <G>; the order will be called `request_id`."""
    limit = limit_price if limit_price is not None else intent.limit_price
    body: list[Pair] = [
        (ORIG_CL_ORD_ID, present_name),
        (CL_ORD_ID, request_id),
        *_settlement(intent),
        (HANDL_INST, AUTOMATED),
        *_instrument(intent),
        (SIDE, SIDES[intent.side]),
        (TRANSACT_TIME, at),
        (ORDER_QTY, quantity),
        (ORD_TYPE, ORDER_TYPES[intent.order_type]),
    ]
    return Outgoing(REPLACE, [*body, *_money(intent, limit)])


def order_status(intent: Intent, request_id: str, present_name: str) -> Outgoing:
    """Return an OrderStatusRequest <H>."""
    return Outgoing(
        STATUS,
        [
            (CL_ORD_ID, present_name),
            (ORD_STATUS_REQ_ID, request_id),
            *_instrument(intent),
            (SIDE, SIDES[intent.side]),
        ],
    )


def mass_status(request_id: str) -> Outgoing:
    """Return an OrderMassStatusRequest <AF> for all orders."""
    return Outgoing(MASS_STATUS, [(MASS_STATUS_REQ_ID, request_id), (MASS_STATUS_REQ_TYPE, "7")])


def allocation(instruction: AllocationInstruction, order_name: str, at: datetime) -> Outgoing:
    """Return an AllocationInstruction <J>: new, replacing another, or, without shares, taking another back.

    `order_name` is what the order is called at the broker.
    """
    kind = "0" if instruction.replaces is None else "1" if instruction.shares else "2"
    body: list[Pair] = [(ALLOC_ID, instruction.allocation_id), (ALLOC_TRANS_TYPE, kind), (ALLOC_TYPE, "1")]
    if instruction.replaces is not None:
        # AllocCancReplaceReason 2: change in underlying order details.
        body += [(REF_ALLOC_ID, instruction.replaces), (ALLOC_CANC_REPLACE_REASON, "2")]
    body += [
        (ALLOC_NO_ORDERS_TYPE, "1"),
        (NO_ORDERS, [[(CL_ORD_ID, order_name)]]),
        (SIDE, SIDES[instruction.side]),
        (SYMBOL, instruction.instrument_id),
        *kind_of(instruction.instrument_id, instruction.currency),
        (QUANTITY, instruction.quantity),
        (AVG_PX, _average_price(instruction)),
        (CURRENCY, fix_currency(instruction.instrument_id, instruction.currency)),
        (TRADE_DATE, instruction.trade_date),
        (TRANSACT_TIME, at),
        (SETTL_DATE, instruction.settlement_date),
    ]
    shares: list[list[Pair]] = [
        [
            (ALLOC_ACCOUNT, share.account_id),
            (ALLOC_QTY, share.quantity),
            (COMMISSION, share.fees),
            (COMM_TYPE, COMMISSION_ABSOLUTE),
        ]
        for share in instruction.shares
    ]
    return Outgoing(ALLOCATION, [*body, (NO_ALLOCS, shares)] if shares else body)


def _terms(intent: Intent, at: datetime) -> list[Pair]:
    return [
        *_instrument(intent),
        (SIDE, SIDES[intent.side]),
        (TRANSACT_TIME, at),
        # As few digits as there are: what a broker fills is then whole in the increment, too.
        (ORDER_QTY, plain(intent.quantity)),
        (ORD_TYPE, ORDER_TYPES[intent.order_type]),
        *_money(intent, intent.limit_price),
    ]


def _instrument(intent: Intent) -> list[Pair]:
    return [(SYMBOL, intent.instrument_id), *kind_of(intent.instrument_id, intent.currency)]


def _money(intent: Intent, limit: Decimal | None) -> list[Pair]:
    body: list[Pair] = []
    if limit is not None:
        body.append((PRICE, as_quoted(intent.instrument_id, intent.currency, limit)))
    return [
        *body,
        (CURRENCY, fix_currency(intent.instrument_id, intent.currency)),
        (TIME_IN_FORCE, TIMES_IN_FORCE[intent.time_in_force]),
    ]


def _settlement(intent: Intent) -> list[Pair]:
    """SettlDate goes before what SettlType <63>, absent, would say."""
    return [] if intent.settlement_date is None else [(SETTL_DATE, intent.settlement_date)]


def _average_price(instruction: AllocationInstruction) -> Decimal:
    price = instruction.average_price
    return as_quoted(instruction.instrument_id, instruction.currency, price) if price else price
