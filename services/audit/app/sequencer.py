"""One writer, many callers, one commit for all who wait: group commit.

A commit costs about the same for one event as for a thousand. So callers queue, and whenever a commit returns, the
writer takes what is queued by then; there is no pause to collect more. The tree, the numbers and the checkpoint are
computed in memory, and everything is stored in one transaction.

When many wait, callers who were answered together would come back together, and writer and database would take turns at
idling. So at most half of all who are there share a commit, and the commit of the other half is made while that one is
stored (`preparing`). It is sent when the one before it has ended well, never sooner, and before anybody is answered.

The checkpoint is signed before the commit and told to nobody until after it: one that was rolled back was never seen,
so no two that were seen can contradict each other.

When a commit fails, nobody knows whether it happened. The writer then forgets all it knows, reads from storage where
the log ends, and does the batch again: what was committed is found by its event ids. Two writers cannot fork the log:
an election lets one write at a time, and if it were wrong, both would write the same primary key.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from services.audit.app.ports import Elect, LogWriter, Observer
from services.audit.app.preparing import Prepared, Preparer, signed
from services.audit.domain.checkpoint import SignedCheckpoint
from services.audit.domain.continuing import continued_event
from services.audit.domain.entry import Event
from services.audit.domain.errors import LogBackpressure, LogBehindWitness, LogRootMismatch, LogWriterElsewhere
from services.audit.domain.sequencing import EventsRecorded, Growth, Head, Result, grow
from services.audit.domain.signed_note import SigningKey
from services.kernel.clock import Clock
from services.kernel.errors import Fact, Invalid, Unreachable, Violations

# Beyond this a larger batch gains nothing and only makes callers wait.
BATCH_EVENTS_MAX = 1_000

# So many events take longer to prepare than a commit of their own costs; fewer wait for the next commit together.
AHEAD_EVENTS_MIN = 64

# How often a batch is tried again whose outcome is unknown, before its callers are told to do that themselves.
RETRIES_MAX = 3

# Nearly every event is new, so a commit finds out by itself whether one is not. After one was not, and when this
# process has just become the writer, producers are likely to repeat more: for so many batches the log is asked first.
ASKED_FIRST = 64


@dataclass(slots=True, unsafe_hash=True)
class Appended:
    """What became of each event, in the order given, and a checkpoint that covers them all. Never changed."""

    results: tuple[Result, ...]
    checkpoint: SignedCheckpoint


# What a caller appends, and where it waits for what became of it.
_Waiting = tuple[Sequence[Event], "asyncio.Future[Appended]"]


@dataclass(slots=True)
class _Ahead:
    """The commit after the one under way: nobody's yet, or being prepared, or prepared."""

    waiting: list[_Waiting]
    task: "asyncio.Task[Prepared]"


class Sequencer:
    """Appends to one log."""

    def __init__(
        self,
        *,
        elect: Elect,
        origin: str,
        keys: Sequence[SigningKey],
        clock: Clock,
        observer: Observer,
        queue_events_max: int = 20_000,
        election_interval_s: float = 1.0,
        asked_first: int = ASKED_FIRST,
        may_sign: Callable[[SignedCheckpoint], Awaitable[None]] | None = None,
        last_note: str | None = None,
    ) -> None:
        """Prepare to write the log `origin`, signing with `keys`; `run` writes.

        Args:
            elect: Gives the hold on the log, or raises.
            origin: The name of the log.
            keys: At least one.
            clock: Tells the recorded time.
            observer: Told of each commit and each loss.
            queue_events_max: Events that may wait; more are refused.
            election_interval_s: How long to wait between attempts to become the writer.
            asked_first: How many batches are asked for before they are committed, when repeats are likely.
            may_sign: Asked with the newest checkpoint before this process signs another; raises
                `LogBehindWitness` when somebody has seen more.
            last_note: The last checkpoint that another origin is known to have published, when this one continues it.
        """
        self._elect = elect
        self._origin = origin
        self._keys = tuple(keys)
        self._clock = clock
        self._queue_events_max = queue_events_max
        self._election_interval_s = election_interval_s
        self._observer = observer
        self._asked_first = asked_first
        self._may_sign = may_sign
        self._last_note = last_note
        self._queue: deque[_Waiting] = deque()
        self._queued_events = 0
        # Of callers whose commit is prepared and not sent.
        self._ahead_events = 0
        # Set when so many events are queued as the writer waits for, or when it is to look why it waits.
        self._arrived = asyncio.Event()
        self._awaited_events = 0
        self._in_doubt: list[_Waiting] = []
        self._failures = 0
        self._writing = False
        self._behind: LogBehindWitness | None = None
        # Callers may also wait for an election that is likely to succeed: the first, and one after a lost session.
        self._accepting = True
        self._bent: LogRootMismatch | LogBehindWitness | None = None

    @property
    def writing(self) -> bool:
        """Whether this process holds the log."""
        return self._writing

    @property
    def committing(self) -> bool:
        """Whether callers' events are being committed just now."""
        return bool(self._in_doubt)

    @property
    def queued_events(self) -> int:
        """How many events wait, and are in no commit that was sent."""
        return self._queued_events + self._ahead_events

    async def append(self, events: Sequence[Event]) -> Appended:
        """Return when `events` are durable, with the index of each.

        Raises:
            Invalid: There are more than one commit holds: where entries with a term stand in it would not fit into a
                row of their index.
            LogBackpressure: Too many events wait.
            LogWriterElsewhere: This process does not hold the log.
            LogRootMismatch: The log is not written to until a person has looked at it.
        """
        if len(events) > BATCH_EVENTS_MAX:
            violations = Violations()
            violations.add("events", f"must be at most {BATCH_EVENTS_MAX} together, were {len(events)}")
            violations.raise_if_any(Invalid)
        if self._bent is not None:
            raise type(self._bent)(self._bent.message)
        if not self._accepting:
            raise LogWriterElsewhere("this process does not hold the log; repeat in a moment", origin=self._origin)
        queued_events = self._queued_events + self._ahead_events
        if queued_events and queued_events + len(events) > self._queue_events_max:
            raise LogBackpressure(
                f"{queued_events} events wait for the log, at most {self._queue_events_max} may",
                retry_after_s=1.0,
                queued_events=queued_events,
            )
        done: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()
        self._queue.append((events, done))
        self._queued_events += len(events)
        if self._queued_events >= self._awaited_events:
            self._arrived.set()
        return await done

    def stop_signing(self, behind: LogBehindWitness) -> None:
        """Sign nothing more: somebody has seen what this log does not have."""
        self._behind = behind
        self._arrived.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Write until `stop` is set and the queue is empty; become the writer again whenever the hold is lost.

        Raises:
            LogRootMismatch: What is stored does not hash to what was signed: a person must look.
            LogBehindWitness: A witness has seen what is not stored: a person must look.
        """
        stopping = asyncio.create_task(stop.wait())
        stopping.add_done_callback(lambda _: self._arrived.set())
        try:
            while not stop.is_set():
                try:
                    async with self._elect() as writer:
                        await self._write(writer, stop)
                except Unreachable as lost:
                    self._writing = False
                    self._observer.lost(lost)
                    self._failures += 1
                    if not self._in_doubt or self._failures > RETRIES_MAX:
                        self._refuse_waiting(lost)
                    # Most often the session was lost and another can begin at once.
                    if self._failures > 1:
                        await asyncio.wait([stopping], timeout=self._election_interval_s)
        except (LogRootMismatch, LogBehindWitness) as bent:
            self._bent = bent
            self._refuse_waiting(bent)
            raise
        finally:
            self._writing = False
            stopping.cancel()
            self._refuse_waiting(LogWriterElsewhere("this process no longer writes the log", origin=self._origin))

    async def _write(self, writer: LogWriter, stop: asyncio.Event) -> None:
        head, checkpoint = await writer.head()
        if checkpoint is None:
            # The first writer ever signs the empty log, so that there is always a checkpoint to answer with.
            head = Head(head.edge, self._clock.now())
            checkpoint = signed(head, self._origin, self._keys)
            await writer.commit(Growth((), (), head, (), {}), checkpoint)
        if checkpoint.checkpoint.origin != self._origin:
            head, checkpoint = await self._continued(writer, head, checkpoint)
        if self._may_sign is not None:
            await self._may_sign(checkpoint)
        preparer = Preparer(writer, self._origin, self._keys, self._clock, (head, checkpoint), self._asked_first)
        self._writing, self._accepting, self._bent = True, True, None
        if not self._in_doubt:
            self._failures = 0
        self._observer.elected(checkpoint)
        prepared: Prepared | None = None
        while True:
            if not self._in_doubt:
                await self._until_queued(0, lambda: stop.is_set() or self._behind is not None)
                self._in_doubt = self._taken(0)
            self._raise_if_behind()
            if not self._in_doubt:
                if stop.is_set() and not self._queue:
                    self._writing = False
                    return
                continue
            if prepared is None:
                prepared = await preparer.prepared(_events(self._in_doubt))
            prepared = await self._commit(writer, preparer, prepared)

    async def _continued(
        self, writer: LogWriter, head: Head, restored: SignedCheckpoint
    ) -> tuple[Head, SignedCheckpoint]:
        """Go on after another origin's last stored checkpoint, by an entry that says so."""
        now = self._clock.now()
        event = continued_event(self._origin, restored, self._last_note, now)
        growth = grow(head, [event], {}, {}, now)
        checkpoint = signed(growth.head, self._origin, self._keys)
        await writer.commit(growth, checkpoint)
        return growth.head, checkpoint

    def _raise_if_behind(self) -> None:
        behind, self._behind = self._behind, None
        if behind is not None:
            raise behind

    async def _until_queued(self, events: int, enough: Callable[[], bool] = lambda: False) -> None:
        """Wait until a caller is queued, and so many events are, or `enough` says that there is no need."""
        self._awaited_events = events
        while (not self._queue or self._queued_events < events) and not enough():
            self._arrived.clear()
            await self._arrived.wait()

    def _taken(self, committing: int) -> list[_Waiting]:
        """Take those in the queue who share the next commit, while one of `committing` events is under way."""
        half = -(-(committing + self._queued_events) // 2)
        most = min(BATCH_EVENTS_MAX, max(AHEAD_EVENTS_MIN, half))
        taken: list[_Waiting] = []
        count = 0
        while self._queue and (not count or count + len(self._queue[0][0]) <= most):
            waiting = self._queue.popleft()
            self._queued_events -= len(waiting[0])
            # A caller that has gone may not have its events recorded, and will repeat them.
            if not waiting[1].done():
                taken.append(waiting)
                count += len(waiting[0])
        return taken

    async def _commit(self, writer: LogWriter, preparer: Preparer, prepared: Prepared) -> Prepared | None:
        """Store what was prepared for the callers in doubt, and have them answered.

        Return the commit for those who are in doubt then, if it is prepared already.
        """
        ahead = None
        if prepared.growth.entries:
            ahead = self._look_ahead(preparer, len(prepared.growth.entries))
            try:
                await writer.commit(prepared.growth, prepared.checkpoint)
            except EventsRecorded as error:
                await self._give_back(ahead)
                if prepared.asked:
                    raise LogWriterElsewhere("another process writes to the log", origin=self._origin) from error
                preparer.undone(prepared, max(1, self._asked_first))
                return await preparer.prepared(_events(self._in_doubt))
            except BaseException:
                await self._give_back(ahead)
                raise
            self._observer.committed(prepared.checkpoint, len(prepared.growth.entries))
        preparer.stored(prepared)
        self._failures = 0
        # The next commit is sent before callers are answered: what they do then takes as long as a commit does.
        asyncio.get_running_loop().call_soon(_answer, self._in_doubt, prepared)
        self._in_doubt = []
        if ahead is None:
            return None
        if not ahead.waiting:
            ahead.task.cancel()
            return None
        self._in_doubt, self._ahead_events = ahead.waiting, 0
        return await ahead.task

    def _look_ahead(self, preparer: Preparer, committing: int) -> _Ahead:
        """Begin to prepare the next commit, once as many wait as are in the one under way, of `committing` events."""
        waiting: list[_Waiting] = []

        async def prepare() -> Prepared:
            while not waiting:
                await self._until_queued(max(AHEAD_EVENTS_MIN, committing))
                waiting.extend(self._taken(committing))
            events = _events(waiting)
            self._ahead_events = len(events)
            return await preparer.prepared(events)

        return _Ahead(waiting, asyncio.create_task(prepare()))

    async def _give_back(self, ahead: _Ahead) -> None:
        """Drop a commit that was prepared for nothing: its callers are the first in the queue again."""
        ahead.task.cancel()
        await asyncio.gather(ahead.task, return_exceptions=True)
        self._queue.extendleft(reversed(ahead.waiting))
        self._queued_events += self._ahead_events
        self._ahead_events = 0

    def _refuse_waiting(self, reason: Fact) -> None:
        self._accepting = False
        waiting, self._in_doubt = [*self._in_doubt, *self._queue], []
        self._queue.clear()
        self._queued_events = 0
        for _, done in waiting:
            if not done.done():
                done.set_exception(reason)


def _events(waiting: Sequence[_Waiting]) -> list[Event]:
    return [event for events, _ in waiting for event in events]


def _answer(waiting: Sequence[_Waiting], prepared: Prepared) -> None:
    """Tell callers what became of their events, which are durable."""
    at = 0
    for events, done in waiting:
        results = prepared.growth.results[at : at + len(events)]
        at += len(events)
        if not done.done():
            done.set_result(Appended(results, prepared.checkpoint))
