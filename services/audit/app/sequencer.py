"""One writer, many callers, one commit for all who wait: group commit.

A commit costs about the same for one event as for a thousand. So callers queue, and whenever a commit returns, the
writer takes what is queued by then; there is no pause to collect more. The tree, the numbers and the checkpoint are
computed in memory, and everything is stored in one transaction.

The checkpoint is signed before the commit and told to nobody until after it: one that was rolled back was never seen,
so no two that were seen can contradict each other.

When a commit fails, nobody knows whether it happened. The writer then forgets all it knows, reads from storage where
the log ends, and does the batch again: what was committed is found by its event ids. Two writers cannot fork the log:
an election lets one write at a time, and if it were wrong, both would write the same primary key.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from services.audit.app.ports import Elect, LogWriter, Observer
from services.audit.domain.checkpoint import Checkpoint, SignedCheckpoint, sign_checkpoint
from services.audit.domain.continuing import continued_event
from services.audit.domain.entry import ACCOUNT, Event
from services.audit.domain.errors import LogBackpressure, LogBehindWitness, LogRootMismatch, LogWriterElsewhere
from services.audit.domain.sequencing import EventsRecorded, Growth, Head, Known, Result, conflict_reports, grow
from services.audit.domain.signed_note import SigningKey
from services.kernel.clock import Clock
from services.kernel.errors import Fact, Unreachable

# Beyond this a larger batch gains nothing and only makes callers wait.
BATCH_EVENTS_MAX = 1_000

# How often a batch is tried again whose outcome is unknown, before its callers are told to do that themselves.
RETRIES_MAX = 3

# Nearly every event is new, so a commit finds out by itself whether one is not. After one was not, and when this
# process has just become the writer, producers are likely to repeat more: for so many batches the log is asked first.
ASKED_FIRST = 64

# Accounts whose last number is kept in memory, about 100 bytes each; more are looked up again.
SEQUENCES_KEPT_MAX = 200_000


@dataclass(slots=True, unsafe_hash=True)
class Appended:
    """What became of each event, in the order given, and a checkpoint that covers them all. Never changed."""

    results: tuple[Result, ...]
    checkpoint: SignedCheckpoint


@dataclass(slots=True)
class _Waiting:
    events: Sequence[Event]
    done: "asyncio.Future[Appended]"


@dataclass(slots=True)
class _Memory:
    """What the writer knows of the log without asking the storage."""

    head: Head
    checkpoint: SignedCheckpoint
    sequences: dict[str, int] = field(default_factory=dict)
    # Batches that are still to be asked for before they are committed.
    ask_first: int = 0


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
        self._arrived = asyncio.Event()
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
        """How many events wait."""
        return self._queued_events

    async def append(self, events: Sequence[Event]) -> Appended:
        """Return when `events` are durable, with the index of each.

        Raises:
            LogBackpressure: Too many events wait.
            LogWriterElsewhere: This process does not hold the log.
            LogRootMismatch: The log is not written to until a person has looked at it.
        """
        if self._bent is not None:
            raise type(self._bent)(self._bent.message)
        if not self._accepting:
            raise LogWriterElsewhere("this process does not hold the log; repeat in a moment", origin=self._origin)
        if self._queued_events and self._queued_events + len(events) > self._queue_events_max:
            raise LogBackpressure(
                f"{self._queued_events} events wait for the log, at most {self._queue_events_max} may",
                retry_after_s=1.0,
                queued_events=self._queued_events,
            )
        waiting = _Waiting(events, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        self._queued_events += len(events)
        self._arrived.set()
        return await waiting.done

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
            checkpoint = self._signed(head)
            await writer.commit(Growth((), (), head, (), {}), checkpoint)
        if checkpoint.checkpoint.origin != self._origin:
            head, checkpoint = await self._continued(writer, head, checkpoint)
        if self._may_sign is not None:
            await self._may_sign(checkpoint)
        memory = _Memory(head, checkpoint, ask_first=self._asked_first)
        self._writing, self._accepting, self._bent = True, True, None
        if not self._in_doubt:
            self._failures = 0
        self._observer.elected(checkpoint)
        while True:
            if not self._in_doubt:
                await self._take(stop)
            self._raise_if_behind()
            if not self._in_doubt:
                self._writing = False
                return
            await self._commit(writer, memory)

    async def _continued(
        self, writer: LogWriter, head: Head, restored: SignedCheckpoint
    ) -> tuple[Head, SignedCheckpoint]:
        """Go on after another origin's last stored checkpoint, by an entry that says so."""
        now = self._clock.now()
        event = continued_event(self._origin, restored, self._last_note, now)
        growth = grow(head, [event], {}, {}, now)
        checkpoint = self._signed(growth.head)
        await writer.commit(growth, checkpoint)
        return growth.head, checkpoint

    def _raise_if_behind(self) -> None:
        behind, self._behind = self._behind, None
        if behind is not None:
            raise behind

    async def _take(self, stop: asyncio.Event) -> None:
        """Wait for callers, and take of those in the queue as many as fit into one batch; none when it is to stop."""
        while not self._queue:
            if stop.is_set() or self._behind is not None:
                return
            self._arrived.clear()
            await self._arrived.wait()
        count = 0
        while self._queue and (not count or count + len(self._queue[0].events) <= BATCH_EVENTS_MAX):
            waiting = self._queue.popleft()
            self._queued_events -= len(waiting.events)
            # A caller that has gone may not have its events recorded, and will repeat them.
            if not waiting.done.done():
                self._in_doubt.append(waiting)
                count += len(waiting.events)

    async def _commit(self, writer: LogWriter, memory: _Memory) -> None:
        """Append the events of all callers in doubt, and answer them."""
        events = [event for waiting in self._in_doubt for event in waiting.events]
        try:
            growth = await self._stored(writer, memory, events)
        except EventsRecorded:
            memory.ask_first = max(1, self._asked_first)
            growth = await self._stored(writer, memory, events)
        at = 0
        for waiting in self._in_doubt:
            results = growth.results[at : at + len(waiting.events)]
            at += len(waiting.events)
            if not waiting.done.done():
                waiting.done.set_result(Appended(results, memory.checkpoint))
        self._in_doubt = []
        self._failures = 0

    async def _stored(self, writer: LogWriter, memory: _Memory, events: Sequence[Event]) -> Growth:
        """Commit what `events` add to the log, and remember where it ends.

        Raises:
            EventsRecorded: The log has one of them, and was not asked; nothing was stored.
            LogWriterElsewhere: It has one since it was asked: somebody else writes to it.
        """
        now = self._clock.now()
        known: Mapping[str, Known] = {}
        asked = memory.ask_first > 0
        if asked:
            memory.ask_first -= 1
            known = await writer.known({event.event_id for event in events})
            if any(each.index >= memory.head.edge.size for each in known.values()):
                raise LogWriterElsewhere("another process has written to the log", origin=self._origin)
        reports = conflict_reports(events, known, now)
        if reports:
            known = {**known, **await writer.known([report.event_id for report in reports])}
            events = [*events, *reports]
        unnumbered = {event.subjects.get(ACCOUNT) for event in events} - memory.sequences.keys()
        accounts = [account for account in unnumbered if account is not None]
        if accounts:
            memory.sequences |= dict.fromkeys(accounts, 0) | dict(await writer.sequences(accounts))
        growth = grow(memory.head, events, known, memory.sequences, now)
        if growth.entries:
            checkpoint = self._signed(growth.head)
            try:
                await writer.commit(growth, checkpoint)
            except EventsRecorded as error:
                if not asked:
                    raise
                raise LogWriterElsewhere("another process writes to the log", origin=self._origin) from error
            memory.head, memory.checkpoint = growth.head, checkpoint
            memory.sequences |= growth.sequences
            if len(memory.sequences) > SEQUENCES_KEPT_MAX:
                memory.sequences.clear()
            self._observer.committed(checkpoint, len(growth.entries))
        return growth

    def _signed(self, head: Head) -> SignedCheckpoint:
        checkpoint = Checkpoint(self._origin, head.edge.size, head.edge.root())
        return SignedCheckpoint(
            checkpoint, sign_checkpoint(checkpoint, self._keys), head.recorded_time or self._clock.now()
        )

    def _refuse_waiting(self, reason: Fact) -> None:
        self._accepting = False
        waiting, self._in_doubt = [*self._in_doubt, *self._queue], []
        self._queue.clear()
        self._queued_events = 0
        for each in waiting:
            if not each.done.done():
                each.done.set_exception(reason)
