"""A broker that speaks FIX 4.4 as a venue.

An order goes out in the transaction that writes it down (see `fix.application`), and once: what the record has is never
sent again while its outcome is unknown. The broker is asked by name (H), and as messages of a session are read in their
order, "unknown" from a broker that has read the question means that the order never came and never will: the session
fills the gap over an order that was lost with the connection, it does not resend it.

What the broker says is written down in the transaction that advances the session: `reports` reads it from there, so it
answers also while the connection is down.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Protocol

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from services.execution.app.venue_port import (
    Acknowledged,
    AllocationInstruction,
    Capabilities,
    InstructionView,
    Intent,
    NotTaken,
    OutcomeUnknown,
    SubmitOutcome,
    VenueReport,
    VenueView,
)
from services.execution.domain.currencies import dealt_currency
from services.execution.domain.errors import VenueUnreachable
from services.execution.domain.words import OrderType, TimeInForce
from services.execution.fix.postgres_unit import PostgresUnit
from services.execution.fix.protocol.actions import GapFilled, LoggedOn, Received
from services.execution.fix.protocol.codec import decode
from services.execution.fix.protocol.counting import NUMBER_MAX
from services.execution.fix.protocol.dictionary import fix_4_4
from services.execution.fix.protocol.message import Outgoing
from services.execution.fix.protocol.state import NotLoggedOn
from services.execution.fix.protocol.store import Direction, Entry, SessionId, SessionStore, Unit
from services.execution.fix.transport.application import Notice
from services.execution.fix.transport.turn import OutcomeUnknown as SendUnknown
from services.execution.fix.transport.turn import Together, Within
from services.execution.venues.fix44 import asking
from services.execution.venues.fix44.inbound import REFUSALS, Applied, Asked, apply, reference_of
from services.execution.venues.fix44.questions import Questions
from services.execution.venues.fix44.record import KnownOrder, NameKind, OrderKnowledge, Record
from services.execution.venues.fix44.waiting import Waiting
from services.execution.venues.fix44.words import REF_SEQ_NUM
from services.execution.venues.fix44.writing import Writing
from services.kernel.clock import Clock
from services.kernel.ids import VenueId
from services.runtime.database import driver_of

log = structlog.get_logger()

_CAPABILITIES = Capabilities(
    order_types=frozenset(OrderType),
    times_in_force=frozenset(TimeInForce),
    quantity_decimals=9,
    # A broker may refuse a name that it knows, or take it for another order: each is sent once.
    repeats_harmlessly=False,
    replace_keeps_id=False,
    # A session is read in its order, so the question arrives behind the order.
    query_settles_s=0,
    books_allocations=True,
)


class Sender(Protocol):
    """The order session, over however many connections."""

    @property
    def up(self) -> bool:
        """Return whether messages can be sent now."""
        ...

    async def send(self, messages: Sequence[Outgoing], within: Within | None = None) -> Sequence[Entry]:
        """Send messages in a transaction with what `within` writes.

        Raises:
            NotLoggedOn: Nothing was written, and nothing will be sent.
            SendUnknown: The connection failed meanwhile; what was written may have been sent.
        """
        ...


class Reading(Protocol):
    """Where the record can be read outside the session's transactions."""

    def glance(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Open a connection whose statements each read by themselves."""
        ...


@dataclass(slots=True)
class Fix44Venue:
    """A broker behind `VenuePort`, and the application of its sessions.

    `account`: ours at the broker, sent with each order when it is not empty. `answer_s`: how long an answer may take
    before the outcome is unknown, in seconds. `list_min`: from so many orders on, what is submitted together goes as
    one NewOrderList; 0 for never. `trades_currencies`: whether the broker takes orders for pairs of currencies; where
    it does not, none is sent. `heard`: called when something that the broker said is on record. `came_up`: called when
    the order session is logged on, so that what waited for it may leave.
    """

    venue_id: VenueId
    reading: Reading
    store: SessionStore
    clock: Clock
    sender: Sender | None = None
    account: str = ""
    answer_s: float = 2.0
    list_min: int = 0
    trades_currencies: bool = True
    heard: Callable[[], None] = lambda: None
    came_up: Callable[[], None] = lambda: None
    _waiting: Waiting = field(default_factory=Waiting)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _questions: Questions = field(init=False)

    def __post_init__(self) -> None:
        """Have questions put over the order session."""
        self._questions = Questions(self.venue_id, self._waiting, self._ask)

    @property
    def capabilities(self) -> Capabilities:
        """Return what the venue can do."""
        return replace(_CAPABILITIES, trades_currencies=self.trades_currencies)

    @property
    def ready(self) -> bool:
        """Return whether the order session is logged on."""
        return self.sender is not None and self.sender.up

    # Orders.

    async def submit(self, intents: Sequence[Intent]) -> Sequence[SubmitOutcome]:
        """Send orders, each once, and wait for what the broker says to each."""
        names = [each.client_order_id for each in intents]
        with self._waiting.taking(names) as (taken, awaited):
            # Taken before the record is read: of several who submit an order at once, one sends it.
            known = await self._known(taken)
            not_there = {
                each.client_order_id: each
                for each in intents
                if each.client_order_id in taken and not _may_be_there(known.get(each.client_order_id))
            }
            never = {name: why for name, each in not_there.items() if (why := self._not_dealt(each))}
            to_send = {name: each for name, each in not_there.items() if name not in never}
            sent, fresh = set(to_send), list(to_send.values())
            try:
                if fresh:
                    await self._send(self._orders(fresh), Together(self._add_orders, fresh))
            except NotLoggedOn:
                # Not written, so not sent: asking tells that it is not there.
                lost, lost_names = OutcomeUnknown("the session is not logged on"), sent
            except SendUnknown as failed:
                # Written or not, sent or not: the record tells the one, the broker the other.
                lost, lost_names = OutcomeUnknown(str(failed)), sent
            else:
                lost, lost_names = OutcomeUnknown("no answer within the time limit"), set[str]()
                await self._answers([event for name, event in awaited.items() if name in sent or name not in taken])
        known = await self._known(names)
        return [never.get(name) or (lost if name in lost_names else _outcome(known.get(name), lost)) for name in names]

    def _not_dealt(self, intent: Intent) -> NotTaken | None:
        """Return why an order is never sent to this broker; None when it may be."""
        if self.trades_currencies or dealt_currency(intent.instrument_id, intent.currency) is None:
            return None
        return NotTaken(f"{self.venue_id} trades no currencies, and {intent.instrument_id} is a pair of them")

    async def _known(self, client_order_ids: Collection[str]) -> Mapping[str, KnownOrder]:
        async with self.reading.glance() as connection:
            return await (await self._record_in(connection)).orders(client_order_ids)

    async def _add_orders(self, unit: Unit, intents: Sequence[Intent]) -> None:
        await self._writing(unit).add_orders(intents, self.clock.now())

    def _orders(self, intents: Sequence[Intent]) -> list[Outgoing]:
        now = self.clock.now()
        if 0 < self.list_min <= len(intents):
            return [asking.new_list(f"list:{intents[0].client_order_id}", intents, now, self.account)]
        return [asking.new_order(each, now, self.account) for each in intents]

    async def _answers(self, awaited: Sequence[asyncio.Event]) -> None:
        try:
            async with asyncio.timeout(self.answer_s):
                for event in awaited:
                    await event.wait()
        except TimeoutError:
            log.warning("orders without an answer", venue_id=self.venue_id, orders=len(awaited))

    async def cancel(self, client_order_id: str, request_id: str) -> None:
        """Ask for a cancel, once for each `request_id`."""
        order = await self._to_change(client_order_id, request_id)
        if order is not None:
            message = asking.cancel_order(order.intent, request_id, order.present_name, self.clock.now())
            await self._change(message, request_id, client_order_id, NameKind.CANCEL)

    async def replace(
        self, client_order_id: str, request_id: str, quantity: Decimal, limit_price: Decimal | None
    ) -> None:
        """Ask for another quantity and limit, once for each `request_id`; the order is called that from now on."""
        order = await self._to_change(client_order_id, request_id)
        if order is not None:
            now = self.clock.now()
            message = asking.replace_order(order.intent, request_id, order.present_name, quantity, limit_price, now)
            await self._change(message, request_id, client_order_id, NameKind.REPLACE)

    async def _to_change(self, client_order_id: str, request_id: str) -> KnownOrder | None:
        """Return an order that a request is about; None when there is none, or it was asked before."""
        async with self.reading.glance() as connection:
            record = await self._record_in(connection)
            order = (await record.orders([client_order_id])).get(client_order_id)
            asked = await record.by_names([request_id])
        return None if asked or not _may_be_there(order) else order

    async def _change(self, message: Outgoing, request_id: str, client_order_id: str, kind: NameKind) -> None:
        try:
            await self._send([message], lambda unit: self._writing(unit).add_change(request_id, client_order_id, kind))
        except (NotLoggedOn, SendUnknown) as error:
            raise self._unreachable() from error

    # Questions.

    async def query(self, client_order_id: str) -> VenueView | None:
        """Ask the broker about an order; None when it was never sent, or the broker does not know it."""
        order = (await self._known([client_order_id])).get(client_order_id)
        if not self.ready:
            raise self._unreachable()
        if order is None or not _may_be_there(order) or order.knowledge is OrderKnowledge.REFUSED:
            return None
        return await self._questions.about(order, self.answer_s)

    async def mass_status(self) -> Sequence[VenueView]:
        """Ask the broker about all orders. A day's end may make it forget what is over: that is as it said last."""
        now = {view.client_order_id: view for view in await self._questions.about_all(self.answer_s)}
        async with self.reading.glance() as connection:
            over = [each.view for each in await (await self._record_in(connection)).told_orders()]
        told = {view.client_order_id: view for view in over if view is not None and not view.open}
        return [(told | now)[name] for name in sorted(told | now)]

    async def _ask(self, message: Outgoing) -> None:
        try:
            await self._send([message], None)
        except (NotLoggedOn, SendUnknown) as error:
            raise self._unreachable() from error

    async def reports(self, after: int, limit: int) -> Sequence[VenueReport]:
        """Return what was said after `after`."""
        async with self.reading.glance() as connection:
            return await (await self._record_in(connection)).said(after, limit)

    # Allocations.

    async def instruct(self, instructions: Sequence[AllocationInstruction]) -> None:
        """Tell who got what, once for each `allocation_id`."""
        async with self.reading.glance() as connection:
            record = await self._record_in(connection)
            known = await record.instructions([each.allocation_id for each in instructions])
            orders = await record.orders([each.client_order_id for each in instructions])
        now = self.clock.now()
        telling = [each for each in instructions if each.allocation_id not in known]
        names = {name: order.confirmed_name for name, order in orders.items()}
        messages = [
            asking.allocation(each, names.get(each.client_order_id, each.client_order_id), now) for each in telling
        ]

        async def noted(unit: Unit) -> None:
            await self._writing(unit).instruct(telling, now)

        if not telling:
            return
        try:
            await self._send(messages, noted)
        except (NotLoggedOn, SendUnknown) as error:
            raise self._unreachable() from error

    async def instructions(self, allocation_ids: Collection[str]) -> Mapping[str, InstructionView]:
        """Return what became of instructions."""
        async with self.reading.glance() as connection:
            return await (await self._record_in(connection)).instructions(allocation_ids)

    # What the sessions bring.

    @property
    def answers(self) -> bool:
        """See `Application`."""
        return False

    async def apply(self, unit: Unit, session: SessionId, messages: Sequence[Received]) -> Sequence[Outgoing]:
        """Apply what the order session brought."""
        return await self.apply_said(unit, session, messages, copies=False)

    async def apply_said(
        self, unit: Unit, session: SessionId, messages: Sequence[Received], *, copies: bool
    ) -> Sequence[Outgoing]:
        """Apply what a session of the venue brought, within its transaction."""
        asked_as = await self._asked_as(session, messages)
        writing, applied = self._writing(unit), Applied()

        async def hear(again: Callable[[], Awaitable[None]] | None = None) -> None:
            nonlocal applied
            said = [each.message for each in messages]
            applied = await apply(writing, said, asked_as, copies=copies, now=self.clock.now(), again=again)

        await hear(again=hear)
        _postgres(unit).after_commit(lambda: self._tell(applied))
        return applied.replies

    def _tell(self, applied: Applied) -> None:
        self._waiting.tell(applied)
        self.heard()

    async def _asked_as(self, session: SessionId, messages: Sequence[Received]) -> dict[int, Asked]:
        """Look up, in the journal, those of our messages that are refused by number alone."""
        found: dict[int, Asked] = {}
        for each in messages:
            if each.message.msg_type not in REFUSALS:
                continue
            number = each.message.integer(REF_SEQ_NUM) or 0
            # Beyond what any message was sent under there is none.
            if not 0 < number <= NUMBER_MAX:
                continue
            for entry in await self.store.journal(session, each.generation, Direction.OUT, number, number, 1):
                found[number] = reference_of(entry, decode(entry.data, fix_4_4().data_tags))
        return found

    async def notice(self, session: SessionId, what: Notice) -> None:
        """After a logon, learn how all orders stand; and note what of ours was too old to be sent again."""
        match what:
            case LoggedOn():
                log.info("session is logged on", session=str(session))
                self.came_up()
                task = asyncio.create_task(self._learn(), name=f"mass status {self.venue_id}")
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            case GapFilled(entries):
                log.warning("not sent again", session=str(session), messages=[each.msg_type for each in entries])
            case _:
                log.info("session notice", session=str(session), what=type(what).__name__)

    async def _learn(self) -> None:
        try:
            views = await self._questions.about_all(self.answer_s)
        except VenueUnreachable as late:
            log.warning("no mass status after the logon", venue_id=self.venue_id, why=str(late))
        else:
            log.info("mass status", venue_id=self.venue_id, orders=len(views))

    async def close(self) -> None:
        """Stop what is under way."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # Within.

    async def _send(self, messages: Sequence[Outgoing], within: Within | None) -> None:
        if self.sender is None:
            raise NotLoggedOn(f"{self.venue_id} has no session")
        await self.sender.send(messages, within)

    async def _record_in(self, connection: AsyncConnection) -> Record:
        return Record(await driver_of(connection), self.venue_id)

    def _writing(self, unit: Unit) -> Writing:
        return Writing(_postgres(unit), self.venue_id)

    def _unreachable(self) -> VenueUnreachable:
        return VenueUnreachable(f"the session of {self.venue_id} is not logged on", venue_id=self.venue_id)


def _postgres(unit: Unit) -> PostgresUnit:
    if not isinstance(unit, PostgresUnit):
        raise TypeError(f"the record of orders is in PostgreSQL, and needs a session store there, was {type(unit)}")
    return unit


def _may_be_there(order: KnownOrder | None) -> bool:
    """Return whether an order may be at the broker, so that it must not be sent."""
    return order is not None and order.knowledge is not OrderKnowledge.ABSENT


def _outcome(order: KnownOrder | None, unknown: OutcomeUnknown) -> SubmitOutcome:
    if order is None:
        return unknown
    match order.knowledge:
        case OrderKnowledge.KNOWN:
            return Acknowledged()
        case OrderKnowledge.REFUSED:
            return NotTaken(order.why)
        case OrderKnowledge.SENT | OrderKnowledge.ABSENT:
            return unknown
