"""Drives a session over one connection: takes bytes, requests and timers, and carries its actions out.

Everything is done in turns. A turn takes what is there (bytes, a timer), lets the session decide, and writes all of it
in one transaction; then, and only then, it writes to the socket. So a busy session commits many messages at once, and a
quiet one commits each at once. What callers send has turns of its own beside these (`leaving`): an order does not wait
until the reports that came before it are applied.

If it stops here: before the commit nothing happened; between commit and socket the numbers are used, the counterparty
asks for them after the next Logon, and gets them, or a gap fill where they aged.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

from services.execution.fix.protocol.actions import Action, Close, GapFound, Received, Resend, Send, Transmit
from services.execution.fix.protocol.dictionary import ADMIN_TYPES
from services.execution.fix.protocol.framer import Framer, Garbled
from services.execution.fix.protocol.message import Outgoing
from services.execution.fix.protocol.session import Session
from services.execution.fix.protocol.state import NotLoggedOn, State
from services.execution.fix.protocol.store import Direction, Entry, SessionId, SessionStore
from services.execution.fix.transport.application import Application
from services.execution.fix.transport.leaving import Leaving
from services.execution.fix.transport.limits import Bucket, Limits
from services.execution.fix.transport.turn import OutcomeUnknown, Request, Speech, Traffic, Transaction, Turn, Within
from services.execution.fix.transport.wire import Wire, WireClosed
from services.kernel.clock import Clock
from services.runtime.slices import Slices

# So much of the journal is in memory at once while it is sent again.
RESEND_PAGE = 500
# Timers are looked at at least so often; the clock of a machine may be set.
SLEEP_MAX_S = 60.0


# What a session does without a word: others may speak meanwhile.
SILENT = frozenset({Received, GapFound, Garbled})
# A flood is read more slowly, and not so slowly that our own timers suffer.
HELD_MAX_S = 1.0


class Link:
    """A session on a connection."""

    def __init__(
        self,
        session: Session,
        wire: Wire,
        store: SessionStore,
        application: Application,
        clock: Clock,
        limits: Limits,
        framer: Framer | None = None,
    ) -> None:
        """Drive `session` over `wire`; `run` does it.

        Args:
            session: Built from the store's numbers for this connection.
            wire: Connected.
            store: Where transactions come from.
            application: Takes what is delivered.
            clock: Tells the time.
            limits: What the counterparty may cost.
            framer: With what came before the session was known.
        """
        self.session = session
        self.traffic = Traffic()
        self.logged_on = asyncio.Event()
        # Set when `run` is over.
        self.ended = asyncio.Event()
        speech = Speech(wire, self.traffic, limits.write_s)
        self._id = session.config.session_id
        self._wire = wire
        self._store = store
        self._application = application
        self._clock = clock
        self._limits = limits
        self._framer = framer or Framer(limits.body_bytes_max)
        self._frames: deque[bytes | Garbled] = deque()
        self._requests: deque[Request] = deque()
        self._speech = speech
        self._leaving = Leaving(session, store, clock, limits, speech)
        self._bucket = Bucket(limits.messages_per_s, limits.burst)
        self._garbled_bytes = 0
        # When the next turn of what comes may begin, by the loop's clock.
        self._turn_due = 0.0
        self._over = False

    @property
    def session_id(self) -> SessionId:
        """Return whose link it is."""
        return self._id

    @property
    def up(self) -> bool:
        """Return whether messages can be sent."""
        return self.session.state is State.ACTIVE and not self._leaving.over

    @property
    def ending(self) -> bool:
        """Return whether the connection is over, or about to be."""
        return self._over or self._wire.closed

    # What an application calls.

    async def send(self, messages: Sequence[Outgoing], within: Within | None = None) -> Sequence[Entry]:
        """Send messages, and return them with their numbers once they are committed and written to the socket.

        Args:
            messages: In their order.
            within: Writes what belongs to them in the same transaction; if it raises, nothing is sent.

        Raises:
            NotLoggedOn: The session is not up; nothing was written.
            Unencodable: A field cannot be written; nothing was.
            OutcomeUnknown: The connection or the transaction failed meanwhile.
        """
        return await self._leaving.send(messages, within)

    def leave(self, text: str | None = None) -> None:
        """Say good-bye in the next turn; `run` ends with their answer, or without it after a while."""
        if not self._over:
            request = Request(lambda now: self.session.log_out(text, now), None, asyncio.Future())
            # Nobody waits for it; that it came too late is no error.
            request.done.add_done_callback(lambda done: done.exception())
            self._requests.append(request)
            self._wire.woken.set()

    async def reset(self, within: Within | None = None) -> None:
        """Begin both sides' numbers anew; a person decides this.

        Raises:
            NotLoggedOn: The session is not up.
        """
        if self._over:
            raise NotLoggedOn(f"session {self._id} is down")
        request = Request(self.session.reset, within, asyncio.get_running_loop().create_future())
        self._requests.append(request)
        self._wire.woken.set()
        await request.done

    # The loop.

    async def run(self, first: Sequence[bytes | Garbled] = ()) -> str:
        """Drive the session until the connection is over, and return why it is.

        Args:
            first: Frames that came before the session was known.

        Raises:
            Exception: A transaction failed; the connection is closed, nothing of the turn happened.
        """
        self._frames += first
        leaving = asyncio.create_task(self._leaving.run(), name=f"leaving {self._id}")
        try:
            why = await self._until_over(opens=not first and self.session.config.role == "INITIATOR")
        except WireClosed as closed:
            why = str(closed)
        finally:
            self._end()
            # What it has begun, it ends: so nothing of this connection is under way when the next one begins.
            try:
                await self._leaving.stop(leaving)
            finally:
                self.ended.set()
        return why

    async def _until_over(self, *, opens: bool) -> str:
        if opens and (why := await self._turn(self.session.connect)) is not None:
            return why
        while not self._over:
            await self._wait()
            await self._pace()
            held_s = self._read()
            if (why := await self._turn(None)) is not None:
                return why
            if held_s > 0 and not self._frames:
                await asyncio.sleep(min(held_s, HELD_MAX_S))
        return "the connection is over"

    def _end(self) -> None:
        self._over = True
        if self.session.state is not State.CLOSED:
            self._wire.abort()
        self._wire.close()
        self._wire.abort_later()
        self._leaving.refuse()
        while self._requests:
            self._requests.popleft().fail(NotLoggedOn(f"session {self._id} went down; nothing was done"))

    async def _wait(self) -> None:
        if self._frames or self._requests:
            # Others want their turns, too.
            await asyncio.sleep(0)
            return
        due = self.session.due()
        left_s = SLEEP_MAX_S if due is None else (due - self._clock.now()).total_seconds()
        if left_s <= 0:
            return
        try:
            async with asyncio.timeout(min(left_s, SLEEP_MAX_S)):
                await self._wire.woken.wait()
        except TimeoutError:
            return

    async def _pace(self) -> None:
        """Let more come together where nobody waits for an answer; a quiet session's turn is due at once."""
        loop = asyncio.get_running_loop()
        if self.up and not (self._application.answers or self._frames or self._requests or self._wire.closed):
            await asyncio.sleep(max(0.0, self._turn_due - loop.time()))
        self._turn_due = loop.time() + self._limits.turn_pace_s

    def _read(self) -> float:
        """Take what came, and return for how long to read no more."""
        if self._frames:
            return 0.0
        data = self._wire.take()
        if not data:
            if self._wire.closed:
                raise WireClosed("the connection is gone")
            return 0.0
        frames = self._framer.feed(data)
        self.traffic.bytes_in += len(data)
        self._frames += frames
        return self._bucket.take(len(frames), asyncio.get_running_loop().time())

    async def _turn(self, begin: Callable[[datetime], list[Action]] | None) -> str | None:
        """Do one turn, and return why the connection is over, if it is."""
        now = self._clock.now()
        numbers = self.session.numbers
        turn, transaction = Turn(numbers, numbers), Transaction(self._store)
        try:
            try:
                await self._decide(turn, transaction, begin, now)
            except BaseException as error:
                await transaction.end(error)
                raise
            await transaction.end()
            # Committed. From here on the socket may know.
            await self._speech.say(turn)
            if self.session.state is State.ACTIVE:
                self.logged_on.set()
            if turn.resend is not None:
                await self._resend(turn.resend, now)
        except BaseException:
            for request in turn.requests:
                request.fail(OutcomeUnknown(f"session {self._id} failed while it was done"))
            raise
        finally:
            self._speech.end(turn)
        for notice in turn.notices:
            await self._application.notice(self._id, notice)
        if turn.close is None:
            return None
        self._over = True
        self._wire.close()
        return turn.close.why

    async def _decide(
        self,
        turn: Turn,
        transaction: Transaction,
        begin: Callable[[datetime], list[Action]] | None,
        now: datetime,
    ) -> None:
        session = self.session
        if begin is not None:
            await self._let(turn, begin, now)
        if self._requests or (self._application.answers and self._frames):
            # Who has a row locked does not wait for its turn to speak: who speaks now may wait for that row.
            await self._speech.begin(turn, lambda: session.numbers)
        if session.state is State.ACTIVE:
            await self._take_requests(turn, transaction, now)
        await self._take_frames(turn, transaction, now)
        if turn.close is None:
            await self._let(turn, session.tick, now)
        if session.state is not State.ACTIVE and turn.close is None and turn.resend is None:
            # Refused, if it is not up yet or no more.
            await self._take_requests(turn, transaction, now)
        await self._apply(turn, transaction, now)
        if not turn.speaks:
            # What left meanwhile is others'.
            turn.becomes = replace(session.numbers, next_out=turn.was.next_out)
        else:
            turn.becomes = session.numbers
        if turn.becomes != turn.was:
            unit = await transaction.unit()
            await unit.advance(self._id, turn.was, turn.becomes, turn.sent + turn.received)

    async def _let(self, turn: Turn, act: Callable[[datetime], list[Action]], now: datetime) -> None:
        """Let the session act; from its first word on, nobody else speaks until the turn is over."""
        if not (turn.speaks or self._speech.all_numbered):
            await self._speech.numbered()
        next_out = self.session.next_out
        actions = act(now)
        if not SILENT.issuperset(map(type, actions)):
            await self._speech.begin(turn, lambda: self.session.numbers, next_out)
        turn.carry(actions)

    async def _take_frames(self, turn: Turn, transaction: Transaction, now: datetime) -> None:
        slices, answers = Slices(), self._application.answers
        for _ in range(min(len(self._frames), self._limits.turn_frames_max)):
            # A burst is decided on in parts, and what is to leave may leave between them.
            if slices.over:
                await slices.rest()
            frame = self._frames.popleft()
            if isinstance(frame, Garbled):
                self._count_garbled(turn, frame)
            else:
                self._garbled_bytes = 0
                self.traffic.messages_in += 1
                # What the application answers to earlier messages comes before what the session answers to this one.
                if answers and turn.to_apply and _is_admin(frame):
                    await self._apply(turn, transaction, now)
            await self._let(turn, partial(self.session.receive, frame), now)
            if turn.close is not None or turn.resend is not None:
                break

    def _count_garbled(self, turn: Turn, frame: Garbled) -> None:
        self.traffic.garbled += 1
        self._garbled_bytes += frame.size
        if self._garbled_bytes > self._limits.garbled_bytes_max and turn.close is None:
            turn.close = Close(f"{self._garbled_bytes} bytes without a message")
            turn.notices.append(turn.close)

    async def _apply(self, turn: Turn, transaction: Transaction, now: datetime) -> None:
        messages, turn.to_apply = turn.to_apply, []
        if not messages:
            return
        answers = await self._application.apply(await transaction.unit(), self._id, messages)
        if answers and not turn.speaks:
            if self._speech.taken:
                # Rows are locked here that those who speak may wait for: once more, when it is our turn.
                await transaction.end(_SpeechTaken())
                await self._speech.begin(turn, lambda: self.session.numbers)
                answers = await self._application.apply(await transaction.unit(), self._id, messages)
            else:
                await self._speech.begin(turn, lambda: self.session.numbers)
        if answers and self.session.state is State.ACTIVE:
            turn.carry(self.session.send(answers, now))

    async def _take_requests(self, turn: Turn, transaction: Transaction, now: datetime) -> None:
        while self._requests:
            request = self._requests.popleft()
            turn.requests.append(request)
            await turn.do(request, transaction, now)

    async def _resend(self, request: Resend, now: datetime) -> None:
        resender = self.session.resender(request, now)
        at = request.first
        while at <= request.last:
            page = await self._store.journal(self._id, request.generation, Direction.OUT, at, request.last, RESEND_PAGE)
            await self._again(resender.page(page))
            if len(page) < RESEND_PAGE:
                break
            at = page[-1].number + 1
        await self._again(resender.finish())

    async def _again(self, actions: Sequence[Action]) -> None:
        for action in actions:
            if isinstance(action, Transmit):
                self._wire.write(action.data)
                self.traffic.resent += 1
                self.traffic.bytes_out += len(action.data)
            elif not isinstance(action, (Send, Received, Resend)):
                await self._application.notice(self._id, action)
        await self._wire.flush(self._limits.write_s)


class _SpeechTaken(Exception):
    """Undoes a transaction that is begun again when it is our turn to speak."""


def _is_admin(frame: bytes) -> bool:
    """Return whether a frame is a session message: its third field, a single character."""
    start = frame.find(b"\x0135=") + 4
    end = frame.find(b"\x01", start)
    return end - start == 1 and chr(frame[start]) in ADMIN_TYPES
