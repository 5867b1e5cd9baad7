"""The sandbox as a broker that speaks FIX: so that foreign engines can trade with it, and we can with ourselves.

What a client asks is done in the sandbox's own transactions, like at any other party's, and doing it twice is harmless.
What the sandbox says is told by a pump for each session: it reads the sandbox's stream from where the session was told,
and sends reports in the transaction that moves that position. So a client is told everything once, whatever dies.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

import structlog
from sqlalchemy import select

from services.execution.app.venue_port import InstructionState, NotTaken, VenueReport
from services.execution.domain.order import (
    Canceled,
    ChangeRefused,
    Filled,
    LiveFill,
    OrderState,
    Replaced,
    VenueOrder,
    after,
)
from services.execution.fix.postgres_unit import Part, PostgresUnit
from services.execution.fix.protocol.actions import Received
from services.execution.fix.protocol.message import FieldInvalid, Message, Outgoing
from services.execution.fix.protocol.state import NotLoggedOn
from services.execution.fix.protocol.store import SessionId, Unit
from services.execution.fix.transport.application import Notice
from services.execution.fix.transport.link import Link
from services.execution.fix.transport.turn import OutcomeUnknown
from services.execution.venues.fix44 import tables, telling
from services.execution.venues.fix44.asked import (
    AllocationAsked,
    Asked,
    ChangeAsked,
    MassStatusAsked,
    OrdersAsked,
    StatusAsked,
    asked,
)
from services.execution.venues.fix44.inbound import cannot_be
from services.execution.venues.fix44.telling import Told
from services.execution.venues.fix44.words import REASON_DUPLICATE, REASON_UNKNOWN_SYMBOL
from services.execution.venues.sandbox.book import Book
from services.execution.venues.sandbox.market import RestingOrder
from services.execution.venues.sandbox.venue import SandboxVenue
from services.kernel.clock import Clock
from services.runtime.database import Database

log = structlog.get_logger()

ZERO = Decimal(0)
# Reports told in one transaction.
TOLD_MAX = 500
# Orders whose present state is remembered; others are read again.
REMEMBERED_MAX = 10_000

_TOLD = Part("""
    told AS (
        INSERT INTO execution.fix_told (session, position) VALUES ($1, $2)
        ON CONFLICT (session) DO UPDATE SET position = excluded.position
    )
""")


@dataclass(slots=True)
class _Remembered:
    """An order as of the last report that was told, and what it is called."""

    position: int
    order: VenueOrder
    name: str


@dataclass(slots=True)
class SandboxDesk:
    """The application of sessions in front of the sandbox.

    `drop_copies`: the session that gets a copy of every report, if any. `look_s`: how often the sandbox's market is
    looked at, in seconds.
    """

    sandbox: SandboxVenue
    database: Database
    clock: Clock
    drop_copies: SessionId | None = None
    look_s: float = 0.02
    _remembered: dict[SessionId, "OrderedDict[str, _Remembered]"] = field(default_factory=dict)
    # Which request asked to cancel an order: its answer carries that name.
    _cancels: "OrderedDict[str, str]" = field(default_factory=OrderedDict)
    _rung: asyncio.Event = field(default_factory=asyncio.Event)

    # What clients ask.

    @property
    def answers(self) -> bool:
        """See `Application`."""
        return True

    async def apply(self, unit: Unit, session: SessionId, messages: Sequence[Received]) -> Sequence[Outgoing]:
        """Do what is asked, and answer what can be answered at once."""
        replies: list[Outgoing] = []
        for each in messages:
            if session == self.drop_copies:
                replies.append(cannot_be(each.message, "this session only brings copies"))
                continue
            replies += await self._answer(each.message)
        if isinstance(unit, PostgresUnit):
            unit.after_commit(self._rung.set)
        return replies

    async def notice(self, session: SessionId, what: Notice) -> None:
        """Tell a session that came back what it missed."""
        log.info("session notice", session=str(session), what=type(what).__name__)
        self._rung.set()

    async def _answer(self, message: Message) -> list[Outgoing]:
        try:
            wanted = asked(message)
        except FieldInvalid as wrong:
            return [cannot_be(message, str(wrong))]
        return [] if wanted is None else await self._do(wanted)

    async def _do(self, wanted: Asked) -> list[Outgoing]:
        now = self.clock.now()
        match wanted:
            case OrdersAsked():
                return await self._take(wanted, now)
            case ChangeAsked():
                return await self._change(wanted)
            case StatusAsked():
                async with self.sandbox.begin() as book:
                    first = await _first_name(book, wanted.name)
                    order = None if first is None else await book.order(first)
                if order is None:
                    return [telling.order_unknown(wanted, self._exec_id(now), now)]
                told = Told(order.intent, standing(order), order.intent.client_order_id, wanted.name)
                return [telling.order_standing(told, self._exec_id(now), now, status=wanted.request_id)]
            case MassStatusAsked():
                return await self._tell_all(wanted, now)
            case AllocationAsked():
                return await self._book_allocation(wanted, now)

    def _exec_id(self, now: datetime) -> str:
        # An answer to a question is no event: its id only has to differ.
        return f"status:{now.timestamp():.6f}"

    async def _take(self, wanted: OrdersAsked, now: datetime) -> list[Outgoing]:
        async with self.sandbox.begin() as book:
            known = {
                each.client_order_id: order
                for each in wanted.intents
                if (order := await book.order(each.client_order_id)) is not None
            }
        # What comes again because we died before we could say so is known as it is; another order is refused.
        clashing = {name for name, order in known.items() if not _same(order, wanted)}
        fresh = [each for each in wanted.intents if each.client_order_id not in known]
        outcomes = await self.sandbox.submit(fresh) if fresh else ()
        refused = {
            intent.client_order_id: outcome.why
            for intent, outcome in zip(fresh, outcomes, strict=True)
            if isinstance(outcome, NotTaken)
        } | dict.fromkeys(clashing, "another order has this name")
        replies: list[Outgoing] = []
        if wanted.list_id is not None:
            replies.append(telling.list_status(wanted.list_id, wanted.intents, refused))
        for number, intent in enumerate(wanted.intents):
            if (why := refused.get(intent.client_order_id)) is not None:
                duplicate = intent.client_order_id in clashing
                reason = REASON_DUPLICATE if duplicate else REASON_UNKNOWN_SYMBOL
                exec_id = f"{intent.client_order_id}:refused:{number}"
                replies.append(telling.order_refused(intent, exec_id, reason, why, now))
        return replies

    async def _change(self, wanted: ChangeAsked) -> list[Outgoing]:
        replace = wanted.quantity is not None
        async with self.sandbox.begin() as book:
            first = await _first_name(book, wanted.name)
        if first is None:
            return [
                telling.change_refused(
                    None, wanted.request_id, wanted.name, replace=replace, reason="1", why="unknown order"
                )
            ]
        if wanted.quantity is not None:
            await self.sandbox.replace(first, wanted.request_id, wanted.quantity, wanted.limit_price)
        else:
            self._cancels[first] = wanted.request_id
            while len(self._cancels) > REMEMBERED_MAX:
                self._cancels.popitem(last=False)
            await self.sandbox.cancel(first, wanted.request_id)
        return []

    async def _tell_all(self, wanted: MassStatusAsked, now: datetime) -> list[Outgoing]:
        async with self.sandbox.begin() as book:
            orders, names = await book.orders(), await book.present_names()
        if not orders:
            return [telling.no_orders(wanted.request_id, self._exec_id(now), now)]
        replies = []
        for number, order in enumerate(orders, 1):
            first = order.intent.client_order_id
            told = Told(order.intent, standing(order), first, names.get(first, first))
            mass = (wanted.request_id, len(orders), number == len(orders))
            replies.append(telling.order_standing(told, f"{self._exec_id(now)}:{number}", now, mass=mass))
        return replies

    async def _book_allocation(self, wanted: AllocationAsked, now: datetime) -> list[Outgoing]:
        instruction = wanted.instruction
        await self.sandbox.instruct([instruction])
        view = (await self.sandbox.instructions([instruction.allocation_id]))[instruction.allocation_id]
        ack = telling.allocation_ack(instruction, view, now)
        return [ack, telling.allocation_report(instruction, now)] if view.state is InstructionState.ACCEPTED else [ack]

    # What clients are told.

    async def pump(self, session: SessionId, link: Callable[[], Link | None], stop: asyncio.Event) -> None:
        """Tell `session` what the sandbox says, from where it was told, until `stop` is set."""
        position: int | None = None
        while not stop.is_set():
            if position is None:
                position = await self.told(session)
            told = 0
            if (present := link()) is not None and present.logged_on.is_set():
                try:
                    position, told = await self._tell(session, present, position)
                except (NotLoggedOn, OutcomeUnknown):
                    # The connection went meanwhile: the record says how far the session was told.
                    position = None
            if told == 0:
                await self._pause(stop)

    async def _pause(self, stop: asyncio.Event) -> None:
        waits = [asyncio.ensure_future(each.wait()) for each in (self._rung, stop)]
        await asyncio.wait(waits, timeout=self.look_s, return_when=asyncio.FIRST_COMPLETED)
        for each in waits:
            each.cancel()
        self._rung.clear()

    async def _tell(self, session: SessionId, link: Link, position: int) -> tuple[int, int]:
        said = await self.sandbox.reports(position, TOLD_MAX)
        if not said:
            return position, 0
        messages = [message for each in said if (message := await self._message(session, each)) is not None]
        last = said[-1].position

        async def within(unit: Unit) -> None:
            if not isinstance(unit, PostgresUnit):
                raise TypeError(f"the desk's record is in PostgreSQL, was {type(unit)}")
            await unit.beside(_TOLD, str(session), last)

        await link.send(messages, within)
        return last, len(said)

    async def told(self, session: SessionId) -> int:
        """Return up to which position of the sandbox's stream a session was told."""
        async with self.database.read() as connection:
            found = await connection.execute(
                select(tables.told.c.position).where(tables.told.c.session == str(session))
            )
            return found.scalar() or 0

    async def _message(self, session: SessionId, said: VenueReport) -> Outgoing | None:
        copies = session == self.drop_copies
        first, report = said.client_order_id, said.report
        before, intent_of = await self._before(session, said)
        told_order = after(before.order, report)
        name, original = before.name, None
        if isinstance(report, Replaced):
            name, original = report.request_id, before.name
        elif isinstance(report, Canceled) and first in self._cancels:
            name, original = self._cancels[first], before.name
        self._remember(session, first, _Remembered(said.position, told_order, name))
        told = Told(intent_of.intent, told_order, first, name, original)
        if isinstance(report, ChangeRefused):
            # A copy of a refused change is nobody's business.
            return None if copies else _change_refused(told, report, before.name, self._cancels.get(first))
        time = self.clock.now() if not isinstance(report, Filled) else said.time
        return telling.execution_report(told, report, time, copy=copies)

    async def _before(self, session: SessionId, said: VenueReport) -> tuple[_Remembered, RestingOrder]:
        """Return an order as it was before a report, and what was ordered."""
        remembered = self._remembered.setdefault(session, OrderedDict())
        first = said.client_order_id
        kept = remembered.get(first)
        async with self.sandbox.begin() as book:
            order = await book.order(first)
            if order is None:
                raise ValueError(f"the sandbox said something about an order that it does not have: {first}")
            if kept is not None and kept.position < said.position:
                return kept, order
            history = await book.said_about(first)
        # The book has the quantity of today. A replaced order that we forgot begins with what it became: its reports
        # from before were told already.
        state = _Remembered(
            0, VenueOrder(order.intent.quantity, order.intent.limit_price, ours=OrderState.PENDING_NEW), first
        )
        for each in history:
            if each.position >= said.position:
                break
            name = each.report.request_id if isinstance(each.report, Replaced) else state.name
            state = _Remembered(each.position, after(state.order, each.report), name)
        return state, order

    def _remember(self, session: SessionId, first: str, what: _Remembered) -> None:
        remembered = self._remembered.setdefault(session, OrderedDict())
        remembered[first] = what
        remembered.move_to_end(first)
        while len(remembered) > REMEMBERED_MAX:
            remembered.popitem(last=False)


def _change_refused(told: Told, report: ChangeRefused, present_name: str, cancel: str | None) -> Outgoing:
    return telling.change_refused(
        told,
        report.request_id,
        present_name,
        replace=cancel != report.request_id,
        # CxlRejReason <102> 0: too late.
        reason="0",
        why=report.why,
    )


def standing(order: RestingOrder) -> VenueOrder:
    """Return how an order of the sandbox stands, its fills as one."""
    fills = {}
    if order.filled_quantity > 0:
        price = order.gross_amount / order.filled_quantity
        fills = {"all": LiveFill("all", order.filled_quantity, price, order.fees)}
    ended = OrderState.CANCELED if not order.open and order.leaves_quantity > 0 else None
    return VenueOrder(
        order.intent.quantity,
        order.intent.limit_price,
        ours=OrderState.PENDING_NEW,
        fills=fills,
        acknowledged=OrderState.NEW if order.acknowledged else None,
        ended=ended,
        paused=OrderState.SUSPENDED if order.suspended else None,
    )


async def _first_name(book: Book, name: str) -> str | None:
    """Return the name under which an order came, by any that it had."""
    if await book.order(name) is not None:
        return name
    return (await book.renamed([name])).get(name)


def _same(order: RestingOrder, wanted: OrdersAsked) -> bool:
    """Return whether a known order is the one that is asked for again."""
    for each in wanted.intents:
        if each.client_order_id == order.intent.client_order_id:
            return (each.instrument_id, each.side) == (order.intent.instrument_id, order.intent.side)
    return False
