"""Applies what a broker says to the record, within the transaction that advances the session.

Every message counts once: a report by its ExecID, an answer by the question it answers. A message that cannot be
understood is answered with a BusinessMessageReject <j> and changes nothing; raising would only bring it again.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from services.execution.app.venue_port import VenueView
from services.execution.domain.currencies import dealt_currency
from services.execution.domain.order import ChangeRefused, Refused, Replaced, Report
from services.execution.fix.protocol.message import FieldInvalid, Message, Outgoing
from services.execution.fix.protocol.store import Entry
from services.execution.venues.fix44.deals import as_booked
from services.execution.venues.fix44.hearing import hear, named
from services.execution.venues.fix44.record import HeardOrder, NameKind, OrderKnowledge, view_of
from services.execution.venues.fix44.said import AllocationSaid, ChangeSaid, ListSaid, OrderSaid, RequestRefused, Said
from services.execution.venues.fix44.words import (
    BUSINESS_REJECT,
    BUSINESS_REJECT_REASON,
    REF_MSG_TYPE,
    REF_SEQ_NUM,
    TEXT,
)
from services.execution.venues.fix44.writing import Writing
from services.runtime.slices import Slices

log = structlog.get_logger()

# BusinessRejectReason <380> 5: conditionally required field missing; the nearest to a value that cannot be.
_CANNOT_BE = "5"
# Messages that refuse one of ours by its number.
REFUSALS = frozenset({"3", "j"})


@dataclass(slots=True)
class Applied:
    """What became known: whoever waits for it is told after the commit.

    `answered`: names of orders that the broker said something about. `statuses` and `masses`: answers to questions,
    by the question's id; None for "unknown order". `refused_questions`: what the broker does not answer, and why.
    """

    answered: set[str] = field(default_factory=set)
    statuses: list[tuple[str, VenueView | None]] = field(default_factory=list)
    masses: list[tuple[str, VenueView | None, bool]] = field(default_factory=list)
    refused_questions: list[tuple[str, str]] = field(default_factory=list)
    replies: list[Outgoing] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a message of ours, which the broker refused as a whole, asked: its name or the question's id."""

    reference: str


async def apply(
    record: Writing,
    messages: Sequence[Message],
    asked_as: dict[int, Asked],
    *,
    copies: bool,
    now: datetime,
    again: Callable[[], Awaitable[None]] | None = None,
) -> Applied:
    """Apply messages in their order, and return what became known.

    Args:
        record: Writes the venue's record in the session's transaction.
        messages: What came.
        asked_as: What those of our messages asked that are refused by number.
        copies: Whether the session brings copies: then it says nothing about how orders stand now.
        now: When it is; the time of what has none of its own.
        again: See `Writing.begin_hearing`.
    """
    applied, slices = Applied(), Slices()
    said: list[Said] = []
    told: list[Message] = []
    for message in messages:
        if (heard := _heard(message, applied)) is not None:
            said.append(heard)
            told.append(message)
        if slices.over:
            await slices.rest()
    if any(isinstance(each, (AllocationSaid, RequestRefused)) for each in said):
        # They are written on the way.
        again = None
    book = _Book(await record.begin_hearing(_names(said, asked_as), again))
    reports: list[tuple[str, Report, datetime, bool]] = []
    for each, message in zip(said, told, strict=True):
        if slices.over:
            await slices.rest()
        match each:
            case OrderSaid():
                reports += _order(book, message, each, applied, copies=copies)
            case ChangeSaid():
                reports += _change(book, each)
            case ListSaid():
                _list(book, each, applied)
            case AllocationSaid():
                await record.save_instruction(each.allocation_id, each.view)
            case RequestRefused():
                reports += await _refused(record, book, each, asked_as, applied, now)
    await record.heard(reports, book.changed.values())
    return applied


class _Book:
    """The orders that messages are about, as they become."""

    def __init__(self, found: dict[str, tuple[NameKind, HeardOrder]]) -> None:
        self._kinds = {name: kind for name, (kind, _) in found.items()}
        self._first = {name: order.client_order_id for name, (_, order) in found.items()}
        self._orders = {order.client_order_id: order for _, order in found.values()}
        self.changed: dict[str, HeardOrder] = {}

    def order(self, name: str | None) -> HeardOrder | None:
        """Return the order that a name is about."""
        first = self._first.get(name or "")
        return None if first is None else self._orders[first]

    def kind(self, name: str) -> NameKind | None:
        """Return what a name names."""
        return self._kinds.get(name)

    def put(self, order: HeardOrder) -> None:
        """Record how an order changed."""
        self._orders[order.client_order_id] = self.changed[order.client_order_id] = order


def _heard(message: Message, applied: Applied) -> Said | None:
    try:
        return hear(message)
    except FieldInvalid as wrong:
        _not_understood(message, wrong, applied)
        return None


def _not_understood(message: Message, wrong: FieldInvalid, applied: Applied) -> None:
    log.warning("a broker's message cannot be understood", msg_type=message.msg_type, why=str(wrong))
    # A refusal that is refused would be refused in turn.
    if message.msg_type not in REFUSALS:
        applied.replies.append(cannot_be(message, str(wrong)))


def cannot_be(message: Message, why: str) -> Outgoing:
    """Return a BusinessMessageReject <j> that answers a message whose meaning cannot be."""
    return Outgoing(
        BUSINESS_REJECT,
        [
            (REF_SEQ_NUM, message.number or 0),
            (REF_MSG_TYPE, message.msg_type),
            (BUSINESS_REJECT_REASON, _CANNOT_BE),
            (TEXT, why),
        ],
    )


def _names(said: Sequence[Said], asked_as: dict[int, Asked]) -> set[str]:
    names: set[str] = set()
    for each in said:
        match each:
            case OrderSaid():
                names.add(each.name)
                if each.original_name:
                    names.add(each.original_name)
            case ChangeSaid():
                names |= {each.request_id, each.original_name}
            case ListSaid():
                names |= {*each.taken, *(name for name, _ in each.refused)}
            case RequestRefused():
                asked = asked_as.get(each.number or 0)
                names |= {each.reference or "", "" if asked is None else asked.reference}
            case AllocationSaid():
                pass
    return names - {""}


def _order(
    book: _Book, message: Message, said: OrderSaid, applied: Applied, *, copies: bool
) -> list[tuple[str, Report, datetime, bool]]:
    order = book.order(said.name) or book.order(said.original_name)
    if order is not None and dealt_currency(order.instrument_id, order.currency) is not None:
        try:
            said = as_booked(order.instrument_id, order.currency, message, said)
        except FieldInvalid as wrong:
            _not_understood(message, wrong, applied)
            return []
    # Another desk's order, or one from before our time: it keeps the broker's name, and shows as a break.
    name = said.name if order is None else order.client_order_id
    copy = copies or said.drop_copy
    if order is not None and not copy:
        order = _known(order, said, book)
        book.put(order)
        applied.answered.add(order.client_order_id)
    if said.status_request is not None or said.mass_request is not None:
        view = None if said.standing is None else view_of(name, said.standing)
        if said.status_request is not None:
            applied.statuses.append((said.status_request, view))
        if said.mass_request is not None:
            applied.masses.append((said.mass_request, view, said.last))
    if said.report is None:
        return []
    return [(name, named(said.report, name), said.time, copy)]


def _known(order: HeardOrder, said: OrderSaid, book: _Book) -> HeardOrder:
    if said.standing is None:
        # Asked by name, the broker does not know it; what it once reported on, it cannot have missed.
        absent = order.knowledge is OrderKnowledge.SENT
        return order._replace(knowledge=OrderKnowledge.ABSENT) if absent else order
    if isinstance(said.report, Refused):
        if order.knowledge is OrderKnowledge.KNOWN:
            return order
        return order._replace(knowledge=OrderKnowledge.REFUSED, why=said.report.why)
    # Its present name is the last that the broker confirmed: a cancel's name is only that of the request.
    kind = book.kind(said.name)
    renamed = (
        kind is NameKind.ORDER
        or isinstance(said.report, Replaced)
        or (said.report is None and kind is NameKind.REPLACE)
    )
    return HeardOrder(
        order.client_order_id,
        OrderKnowledge.KNOWN,
        order.why,
        order.present_name,
        said.name if renamed else order.confirmed_name,
        said.order_id or order.order_id,
        order.instrument_id,
        order.currency,
        said.standing,
    )


def _change(book: _Book, said: ChangeSaid) -> list[tuple[str, Report, datetime, bool]]:
    order = book.order(said.request_id) or book.order(said.original_name)
    if order is None:
        return []
    if order.present_name == said.request_id:
        order = order._replace(present_name=order.confirmed_name)
        book.put(order)
    return [(order.client_order_id, named(said.report, order.client_order_id), said.time, False)]


def _list(book: _Book, said: ListSaid, applied: Applied) -> None:
    for name, why in said.refused:
        order = book.order(name)
        if order is not None and order.knowledge is OrderKnowledge.SENT:
            book.put(order._replace(knowledge=OrderKnowledge.REFUSED, why=why))
            applied.answered.add(name)
    for name in said.taken:
        order = book.order(name)
        if order is not None and order.knowledge is OrderKnowledge.SENT:
            book.put(order._replace(knowledge=OrderKnowledge.KNOWN))
            applied.answered.add(name)


async def _refused(
    record: Writing, book: _Book, said: RequestRefused, asked_as: dict[int, Asked], applied: Applied, now: datetime
) -> list[tuple[str, Report, datetime, bool]]:
    """A message of ours was refused as a whole: what it asked for will not happen."""
    asked = asked_as.get(said.number or 0)
    reference = said.reference or ("" if asked is None else asked.reference)
    log.error("a broker refuses a message", kind=said.kind, reference=reference, why=said.why)
    order, kind = book.order(reference), book.kind(reference)
    if order is None or kind is None:
        applied.refused_questions.append((reference, said.why))
        await record.refuse_instruction(reference, said.why)
        return []
    name = order.client_order_id
    if kind is not NameKind.ORDER:
        if order.present_name == reference:
            book.put(order._replace(present_name=order.confirmed_name))
        return [(name, named(ChangeRefused(f"refused:{reference}", reference, said.why), name), now, False)]
    if order.knowledge is OrderKnowledge.KNOWN:
        return []
    book.put(order._replace(knowledge=OrderKnowledge.REFUSED, why=said.why))
    applied.answered.add(name)
    return [(name, named(Refused(f"rejected:{said.number}", said.why), name), now, False)]


def reference_of(entry: Entry, message: Message) -> Asked:
    """Return what a message of ours asked: the id by which an answer would name it.

    Args:
        entry: The message in the journal.
        message: The same, taken apart.
    """
    tag = {"H": 790, "AF": 584, "J": 70, "E": 66}.get(entry.msg_type, 11)
    return Asked(message.text(tag) or "")
