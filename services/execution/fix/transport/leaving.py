"""What callers send leaves in turns of its own, beside the turns of what comes in.

A turn of what came asks the database several things before it commits, and an order that waits for it is late. The two
share nothing but the session's numbers: the one moves what is sent next, the other what is expected next, and each
guards what it moves. `Speech` sees to it that bytes leave in the order of their numbers.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from datetime import datetime

from services.execution.fix.protocol.message import Outgoing
from services.execution.fix.protocol.session import Session
from services.execution.fix.protocol.state import NotLoggedOn, State
from services.execution.fix.protocol.store import Entry, SessionStore, Unit
from services.execution.fix.transport.limits import Limits
from services.execution.fix.transport.turn import (
    OutcomeUnknown,
    Request,
    Speech,
    Together,
    Transaction,
    Turn,
    Within,
    grouped,
    what_of,
)
from services.execution.fix.transport.wire import WireClosed
from services.kernel.clock import Clock


class Leaving:
    """The messages of callers, on one connection."""

    def __init__(self, session: Session, store: SessionStore, clock: Clock, limits: Limits, speech: Speech) -> None:
        """Send under `session`'s numbers once `run` runs.

        Args:
            session: Gives the numbers.
            store: Where transactions come from.
            clock: Tells the time.
            limits: How much goes in one turn, and how much may wait.
            speech: Writes to the socket, in turns.
        """
        self._session = session
        self._id = session.config.session_id
        self._store = store
        self._clock = clock
        self._turn_max = limits.turn_frames_max
        self._speech = speech
        self._room = asyncio.Semaphore(limits.pending_max)
        self._requests: deque[Request] = deque()
        self._asked = asyncio.Event()
        # Set when the connection ends, or must.
        self.over = False

    async def send(self, messages: Sequence[Outgoing], within: Within | None) -> Sequence[Entry]:
        """See `Link.send`."""
        async with self._room:
            if self.over:
                # Who tries again at once lets others go on.
                await asyncio.sleep(0)
                raise NotLoggedOn(f"session {self._id} is down")
            done: asyncio.Future[Sequence[Entry]] = asyncio.get_running_loop().create_future()
            self._requests.append(Request(lambda now: self._session.send(messages, now), within, done, messages))
            self._asked.set()
            return await done

    def refuse(self) -> None:
        """Take no more, and refuse what waits."""
        self.over = True
        self._asked.set()
        while self._requests:
            self._requests.popleft().fail(NotLoggedOn(f"session {self._id} went down; nothing was sent"))

    async def run(self) -> None:
        """Send what is asked for, until `refuse`.

        Raises:
            Exception: A transaction failed; the connection is ended, nothing of the turn was sent.
        """
        while not self.over:
            await self._asked.wait()
            self._asked.clear()
            while self._requests:
                await self._turn()

    async def stop(self, running: "asyncio.Task[None]") -> None:
        """Wait for the end of `run`, after `refuse`.

        Raises:
            Exception: What it failed with, but for the end of the connection.
        """
        (failed,) = await asyncio.gather(running, return_exceptions=True)
        if failed is not None and not isinstance(failed, WireClosed):
            raise failed

    async def _turn(self) -> None:
        requests = [self._requests.popleft() for _ in range(min(len(self._requests), self._turn_max))]
        numbers = self._session.numbers
        turn, transaction, now = Turn(numbers, numbers), Transaction(self._store), self._clock.now()
        try:
            try:
                await self._speech.begin_numbering(turn, lambda: self._session.numbers)
                await self._number(turn, transaction, requests, now)
                if turn.sent:
                    unit = await transaction.unit()
                    await unit.advance(self._id, turn.was, turn.becomes, turn.sent)
            except BaseException as error:
                await transaction.end(error)
                raise
            finally:
                self._speech.end_numbering()
            await transaction.end()
            # Committed. From here on the socket may know.
            await self._speech.say(turn)
        except BaseException:
            # The session has given numbers that are on nobody's disk: it is built anew from the store.
            self._speech.hang_up()
            self.refuse()
            for request in requests:
                request.fail(OutcomeUnknown(f"session {self._id} failed while the message was on its way"))
            raise
        finally:
            self._speech.end(turn)

    async def _number(self, turn: Turn, transaction: Transaction, requests: Sequence[Request], now: datetime) -> None:
        """Give messages their numbers, and write what belongs to them."""
        turn.was = turn.becomes = self._session.numbers
        for group in grouped([each for each in requests if not each.done.cancelled()]):
            if len(group) == 1 or not await self._send_together(turn, transaction, group, now):
                for request in group:
                    # A session that closed meanwhile writes nothing of theirs.
                    if self._session.state is State.ACTIVE:
                        await turn.do(request, transaction, now)
                    else:
                        request.fail(NotLoggedOn(f"session {self._id} is {self._session.state}"))
        turn.becomes = self._session.numbers
        self._speech.end_numbering()

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
            actions = await transaction.written(write, lambda: self._session.send(messages, now))
        except Exception:  # noqa: BLE001 - one of them is at fault: each by itself tells which
            return False
        turn.settle(group, actions)
        return True
