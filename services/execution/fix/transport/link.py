"""Drives a session over one connection: takes bytes, requests and timers, and carries its actions out.

One task does everything in turns. A turn takes what is there (bytes, requests to send, a timer), lets the session
decide, and writes all of it in one transaction; then, and only then, it writes to the socket. So a busy session commits
many messages at once, and a quiet one commits each at once.

If it stops here: before the commit nothing happened; between commit and socket the numbers are used, the counterparty
asks for them after the next Logon, and gets them, or a gap fill where they aged.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.execution.fix.protocol.actions import Action, Close, LoggedOn, Received, Resend, Send, Transmit
from services.execution.fix.protocol.codec import Unencodable
from services.execution.fix.protocol.dictionary import ADMIN_TYPES
from services.execution.fix.protocol.framer import Framer, Garbled
from services.execution.fix.protocol.message import Outgoing
from services.execution.fix.protocol.session import Session
from services.execution.fix.protocol.state import NotLoggedOn, State
from services.execution.fix.protocol.store import Direction, Entry, Journaled, SessionId, SessionStore, Unit
from services.execution.fix.transport.application import Application
from services.execution.fix.transport.limits import Bucket, Limits
from services.execution.fix.transport.turn import Request, Together, Transaction, Turn, Within, grouped, what_of
from services.execution.fix.transport.wire import Wire, WireClosed
from services.kernel.clock import Clock

# So much of the journal is in memory at once while it is sent again.
RESEND_PAGE = 500
# Timers are looked at at least so often; the clock of a machine may be set.
SLEEP_MAX_S = 60.0


# A flood is read more slowly, and not so slowly that our own timers suffer.
HELD_MAX_S = 1.0


class OutcomeUnknown(Exception):
    """The connection or the transaction failed while a message was on its way: it may arrive, or not."""


@dataclass(slots=True)
class Traffic:
    """Counts of one connection."""

    messages_in: int = 0
    messages_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    turns: int = 0
    garbled: int = 0
    resent: int = 0


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
        self._id = session.config.session_id
        self._wire = wire
        self._store = store
        self._application = application
        self._clock = clock
        self._limits = limits
        self._framer = framer or Framer(limits.body_bytes_max)
        self._frames: deque[bytes | Garbled] = deque()
        self._requests: deque[Request] = deque()
        self._room = asyncio.Semaphore(limits.pending_max)
        self._bucket = Bucket(limits.messages_per_s, limits.burst)
        self._garbled_bytes = 0
        self._over = False
        # Requests of the present turn, until they are settled.
        self._taken: list[Request] = []

    @property
    def session_id(self) -> SessionId:
        """Return whose link it is."""
        return self._id

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
        return await self._ask(lambda now: self.session.send(messages, now), within, messages)

    def leave(self, text: str | None = None) -> None:
        """Say good-bye in the next turn; `run` ends with their answer, or without it after a while."""
        if not self._over:
            request = Request(lambda now: self.session.log_out(text, now), None, asyncio.Future())
            self._requests.append(request)
            self._wire.woken.set()

    async def reset(self, within: Within | None = None) -> None:
        """Begin both sides' numbers anew; a person decides this.

        Raises:
            NotLoggedOn: The session is not up.
        """
        await self._ask(self.session.reset, within)

    async def _ask(
        self, act: Callable[[datetime], list[Action]], within: Within | None, messages: Sequence[Outgoing] = ()
    ) -> Sequence[Entry]:
        async with self._room:
            if self._over:
                raise NotLoggedOn(f"session {self._id} is down")
            request = Request(act, within, asyncio.get_running_loop().create_future(), messages)
            self._requests.append(request)
            self._wire.woken.set()
            return await request.done

    # The loop.

    async def run(self, first: Sequence[bytes | Garbled] = ()) -> str:
        """Drive the session until the connection is over, and return why it is.

        Args:
            first: Frames that came before the session was known.

        Raises:
            Exception: A transaction failed; the connection is closed, nothing of the turn happened.
        """
        self._frames += first
        try:
            if not first and self.session.config.role == "INITIATOR":
                why = await self._turn(self.session.connect)
                if why is not None:
                    return why
            while not self._over:
                await self._wait()
                held_s = self._read()
                if (why := await self._turn(None)) is not None:
                    return why
                if held_s > 0 and not self._frames:
                    await asyncio.sleep(min(held_s, HELD_MAX_S))
        except WireClosed as closed:
            return str(closed)
        finally:
            self._end()
        return "the connection is over"

    def _end(self) -> None:
        self._over = True
        if self.session.state is not State.CLOSED:
            self._wire.abort()
        self._wire.close()
        self._wire.abort_later()
        while self._requests:
            self._requests.popleft().fail(NotLoggedOn(f"session {self._id} went down; nothing was sent"))
        self._fail_taken()

    def _fail_taken(self) -> None:
        for request in self._taken:
            request.fail(OutcomeUnknown(f"session {self._id} failed while the message was on its way"))
        self._taken.clear()

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

    def _read(self) -> float:
        """Take what came, and return for how long to read no more."""
        if self._frames:
            return 0.0
        self._wire.woken.clear()
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
        turn, transaction = Turn(self.session.numbers), Transaction(self._store)
        try:
            await self._decide(turn, transaction, begin, now)
        except BaseException as error:
            await transaction.end(error)
            raise
        await transaction.end()
        # Committed. From here on the socket may know.
        await self._speak(turn)
        if turn.resend is not None:
            await self._resend(turn.resend, now)
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
            self._carry(turn, begin(now))
        # What we want to say comes first: nothing is written yet, so what fails there is undone without a savepoint.
        if session.state is State.ACTIVE:
            await self._take_requests(turn, transaction, now)
        await self._take_frames(turn, transaction, now)
        if turn.close is None:
            self._carry(turn, session.tick(now))
        if session.state is not State.ACTIVE and turn.close is None and turn.resend is None:
            # Refused, if it is not up yet or no more.
            await self._take_requests(turn, transaction, now)
        if session.numbers != turn.was:
            unit = await transaction.unit()
            await unit.advance(self._id, turn.was, session.numbers, turn.sent + turn.received)

    async def _take_frames(self, turn: Turn, transaction: Transaction, now: datetime) -> None:
        session = self.session
        for _ in range(min(len(self._frames), self._limits.turn_frames_max)):
            frame = self._frames.popleft()
            if isinstance(frame, Garbled):
                self._count_garbled(turn, frame)
            else:
                self._garbled_bytes = 0
                self.traffic.messages_in += 1
                # What the application answers to earlier messages comes before what the session answers to this one.
                if turn.to_apply and _is_admin(frame):
                    await self._apply(turn, await transaction.unit(), now)
            self._carry(turn, session.receive(frame, now))
            if turn.close is not None or turn.resend is not None:
                break
        if turn.to_apply:
            await self._apply(turn, await transaction.unit(), now)

    def _count_garbled(self, turn: Turn, frame: Garbled) -> None:
        self.traffic.garbled += 1
        self._garbled_bytes += frame.size
        if self._garbled_bytes > self._limits.garbled_bytes_max and turn.close is None:
            turn.close = Close(f"{self._garbled_bytes} bytes without a message")
            turn.notices.append(turn.close)

    async def _apply(self, turn: Turn, unit: Unit, now: datetime) -> None:
        messages, turn.to_apply = turn.to_apply, []
        answers = await self._application.apply(unit, self._id, messages)
        if answers and self.session.state is State.ACTIVE:
            self._carry(turn, self.session.send(answers, now))

    async def _take_requests(self, turn: Turn, transaction: Transaction, now: datetime) -> None:
        taking = [self._requests.popleft() for _ in range(min(len(self._requests), self._limits.turn_frames_max))]
        # Until they are settled, whatever happens they are answered.
        self._taken += taking
        for group in grouped([each for each in taking if not each.done.cancelled()]):
            if len(group) == 1 or not await self._send_together(turn, transaction, group, now):
                for request in group:
                    await self._do(turn, transaction, request, now)

    async def _send_together(
        self, turn: Turn, transaction: Transaction, group: Sequence[Request], now: datetime
    ) -> bool:
        """Send what several want, and write what belongs to it at once; False if that failed, and nothing is done."""

        async def write(unit: Unit) -> None:
            within = group[0].within
            if isinstance(within, Together):
                await within.write(unit, [each for request in group for each in what_of(request)])

        messages = [each for request in group for each in request.messages]
        try:
            actions = await self._written(transaction, write, lambda at: self.session.send(messages, at), now)
        except Exception:  # noqa: BLE001 - one of them is at fault: each by itself tells which
            return False
        already = len(turn.sent)
        self._carry(turn, actions)
        entries = [each.entry for each in turn.sent[already:]]
        for request in group:
            turn.settled.append((request, entries[: len(request.messages)]))
            del entries[: len(request.messages)]
        return True

    async def _do(self, turn: Turn, transaction: Transaction, request: Request, now: datetime) -> None:
        try:
            if request.within is None:
                actions = request.act(now)
            else:
                actions = await self._written(transaction, request.write, request.act, now)
        except (NotLoggedOn, Unencodable) as refused:
            request.fail(refused)
        except Exception as failed:
            if request.within is None:
                raise
            # The caller's own write failed, and with it only this request.
            request.fail(failed)
        else:
            already = len(turn.sent)
            self._carry(turn, actions)
            turn.settled.append((request, [each.entry for each in turn.sent[already:]]))

    async def _written(
        self,
        transaction: Transaction,
        write: Callable[[Unit], Awaitable[None]],
        act: Callable[[datetime], list[Action]],
        now: datetime,
    ) -> list[Action]:
        """Write, then act; if either fails, nothing of it happened, and what was written before stays."""
        if transaction.begun:
            unit = await transaction.unit()
            async with unit.savepoint():
                await write(unit)
                return act(now)
        try:
            await write(await transaction.unit())
            return act(now)
        except Exception as error:
            await transaction.end(error)
            raise

    def _carry(self, turn: Turn, actions: Sequence[Action]) -> None:
        for action in actions:
            if isinstance(action, Send):
                turn.sent.append(Journaled(action.generation, Direction.OUT, action.entry))
                turn.out.append(action.entry.data)
            elif isinstance(action, Received):
                turn.received.append(Journaled(action.generation, Direction.IN, action.entry))
                if action.deliver:
                    turn.to_apply.append(action)
            elif isinstance(action, Transmit):
                turn.out.append(action.data)
            elif isinstance(action, Resend):
                turn.resend = action
            else:
                turn.notices.append(action)
                if isinstance(action, Close):
                    turn.close = action
                elif isinstance(action, LoggedOn):
                    self.logged_on.set()

    async def _speak(self, turn: Turn) -> None:
        self.traffic.turns += 1
        if turn.out:
            data = b"".join(turn.out)
            self.traffic.messages_out += len(turn.out)
            self.traffic.bytes_out += len(data)
            if self._wire.closed:
                raise WireClosed("the connection is gone")
            self._wire.write(data)
        for request, entries in turn.settled:
            if not request.done.done():
                request.done.set_result(entries)
        self._taken.clear()
        await self._wire.flush(self._limits.write_s)

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


def _is_admin(frame: bytes) -> bool:
    """Return whether a frame is a session message: its third field, a single character."""
    start = frame.find(b"\x0135=") + 4
    end = frame.find(b"\x01", start)
    return end - start == 1 and chr(frame[start]) in ADMIN_TYPES
