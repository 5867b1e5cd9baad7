"""What a client asks a venue, out of FIX messages: the other side of `asking`. Pure.

Source: FIX specification 4.4, volume 4 (D, E, F, G, H, AF) and volume 5 (J).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import TypeVar

from services.execution.app.venue_port import AllocationInstruction, AllocationShare, Intent
from services.execution.domain.words import OrderType
from services.execution.fix.protocol.dictionary import fix_4_4
from services.execution.fix.protocol.message import FieldInvalid, Message
from services.execution.fix.protocol.validation import entries
from services.execution.venues.fix44.bounds import FEE_MAX, PRICE_MAX, QUANTITY_MAX, below, check_ids
from services.execution.venues.fix44.deals import fix_currency, paid_at
from services.execution.venues.fix44.words import (
    ALLOC_ACCOUNT,
    ALLOC_ID,
    ALLOC_QTY,
    ALLOC_TRANS_TYPE,
    AVG_PX,
    CL_ORD_ID,
    COMMISSION,
    CURRENCY,
    LIST_ID,
    MASS_STATUS_REQ_ID,
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
    SETTL_DATE,
    SIDE,
    SIDES,
    SYMBOL,
    TIME_IN_FORCE,
    TIMES_IN_FORCE,
    TRADE_DATE,
)
from services.kernel.ids import AccountId, InstrumentId

ZERO = Decimal(0)
_Word = TypeVar("_Word")

_SIDES = {code: side for side, code in SIDES.items()}
_ORDER_TYPES = {code: kind for kind, code in ORDER_TYPES.items()}
_TIMES_IN_FORCE = {code: time for time, code in TIMES_IN_FORCE.items()}


@dataclass(frozen=True, slots=True)
class OrdersAsked:
    """NewOrderSingle <D>, or NewOrderList <E> when `list_id` is given."""

    intents: tuple[Intent, ...]
    list_id: str | None = None


@dataclass(frozen=True, slots=True)
class ChangeAsked:
    """OrderCancelRequest <F>, or OrderCancelReplaceRequest <G> when `quantity` is given."""

    request_id: str
    name: str
    quantity: Decimal | None = None
    limit_price: Decimal | None = None


@dataclass(frozen=True, slots=True)
class StatusAsked:
    """OrderStatusRequest <H>."""

    name: str
    request_id: str | None
    symbol: str
    side: str


@dataclass(frozen=True, slots=True)
class MassStatusAsked:
    """OrderMassStatusRequest <AF>."""

    request_id: str


@dataclass(frozen=True, slots=True)
class AllocationAsked:
    """AllocationInstruction <J>."""

    instruction: AllocationInstruction


Asked = OrdersAsked | ChangeAsked | StatusAsked | MassStatusAsked | AllocationAsked


def asked(message: Message) -> Asked | None:
    """Return what a message asks a venue; None when it is of a kind that asks for none of this.

    Raises:
        FieldInvalid: A field is missing or cannot be.
    """
    check_ids(message)
    match message.msg_type:
        case "D":
            return OrdersAsked((_intent(message),))
        case "E":
            lines = tuple(_intent(line) for line in entries(message, fix_4_4(), NO_ORDERS))
            return OrdersAsked(lines, message.require(LIST_ID))
        case "F":
            return ChangeAsked(message.require(CL_ORD_ID), message.require(ORIG_CL_ORD_ID))
        case "G":
            return ChangeAsked(
                message.require(CL_ORD_ID),
                message.require(ORIG_CL_ORD_ID),
                _positive(message, ORDER_QTY, QUANTITY_MAX),
                None if message.get(PRICE) is None else _price(message),
            )
        case "H":
            return StatusAsked(
                message.require(CL_ORD_ID),
                message.text(ORD_STATUS_REQ_ID),
                message.require(SYMBOL),
                message.require(SIDE),
            )
        case "AF":
            return MassStatusAsked(message.require(MASS_STATUS_REQ_ID))
        case "J":
            return AllocationAsked(_instruction(message))
        case _:
            return None


def _intent(message: Message) -> Intent:
    quantity = _positive(message, ORDER_QTY, QUANTITY_MAX)
    order_type = _word(message, ORD_TYPE, _ORDER_TYPES)
    limit = _price(message) if order_type is OrderType.LIMIT else None
    return Intent(
        client_order_id=message.require(CL_ORD_ID),
        instrument_id=InstrumentId(message.require(SYMBOL)),
        side=_word(message, SIDE, _SIDES),
        quantity=quantity,
        # FIX names no increment in an order: the finest digit of its quantity is one.
        increment=Decimal(1).scaleb(min(int(quantity.as_tuple().exponent), 0)),
        order_type=order_type,
        limit_price=limit,
        # Absent means a day order: FIX 4.4, TimeInForce <59>.
        time_in_force=_TIMES_IN_FORCE["0"]
        if message.get(TIME_IN_FORCE) is None
        else _word(message, TIME_IN_FORCE, _TIMES_IN_FORCE),
        currency=_currency(message),
        settlement_date=None
        if message.get(SETTL_DATE) is None
        else _date(message, SETTL_DATE, message.require(SETTL_DATE)),
    )


def _currency(message: Message) -> str:
    """Return what is paid in: of a pair the currency that is not dealt."""
    return fix_currency(InstrumentId(message.require(SYMBOL)), message.text(CURRENCY) or "USD")


def _price(message: Message) -> Decimal:
    return paid_at(
        message, PRICE, InstrumentId(message.require(SYMBOL)), _currency(message), _positive(message, PRICE, PRICE_MAX)
    )


def _instruction(message: Message) -> AllocationInstruction:
    (first, *_) = [*entries(message, fix_4_4(), NO_ORDERS), None]
    if first is None:
        raise FieldInvalid(NO_ORDERS, None, "present, with the order that is allocated")
    shares = tuple(
        AllocationShare(
            AccountId(line.require(ALLOC_ACCOUNT)),
            _positive(line, ALLOC_QTY, QUANTITY_MAX),
            below(line, COMMISSION, FEE_MAX) or ZERO,
        )
        for line in entries(message, fix_4_4(), NO_ALLOCS)
    )
    trade_date = message.require(TRADE_DATE)
    taken_back = message.require(ALLOC_TRANS_TYPE) == "2"
    quantity = ZERO if taken_back else _positive(message, QUANTITY, QUANTITY_MAX)
    try:
        return AllocationInstruction(
            allocation_id=message.require(ALLOC_ID),
            replaces=message.text(REF_ALLOC_ID),
            client_order_id=first.require(CL_ORD_ID),
            instrument_id=InstrumentId(message.require(SYMBOL)),
            side=_word(message, SIDE, _SIDES),
            currency=_currency(message),
            quantity=quantity,
            average_price=_average_price(message),
            trade_date=_date(message, TRADE_DATE, trade_date),
            settlement_date=_date(message, SETTL_DATE, message.text(SETTL_DATE) or trade_date),
            shares=() if taken_back else shares,
        )
    except FieldInvalid:
        raise
    except ValueError as wrong:
        raise FieldInvalid(NO_ALLOCS, message.get(NO_ALLOCS), str(wrong)) from wrong


def _average_price(message: Message) -> Decimal:
    price = below(message, AVG_PX, PRICE_MAX) or ZERO
    return (
        paid_at(message, AVG_PX, InstrumentId(message.require(SYMBOL)), _currency(message), price) if price else price
    )


def _positive(message: Message, tag: int, bound: Decimal) -> Decimal:
    value = below(message, tag, bound)
    if value is None or value <= 0:
        raise FieldInvalid(tag, message.get(tag), "above 0")
    return value


def _word(message: Message, tag: int, words: Mapping[str, _Word]) -> _Word:
    code = message.require(tag)
    if code not in words:
        raise FieldInvalid(tag, code.encode(), f"one of {', '.join(words)}")
    return words[code]


def _date(message: Message, tag: int, text: str) -> date:
    try:
        return datetime.strptime(text, "%Y%m%d").date()  # noqa: DTZ007 - a civil date has no zone
    except ValueError as wrong:
        raise FieldInvalid(tag, message.get(tag), "a date, YYYYMMDD") from wrong
