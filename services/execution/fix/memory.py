"""A session store in memory, for tests and for the acceptance command: it forgets when the process ends."""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime

from services.execution.fix.protocol.store import Direction, Entry, Journaled, Numbers, NumbersMoved, SessionId


@dataclass(slots=True)
class _Kept:
    numbers: Numbers
    journal: dict[tuple[int, Direction], dict[int, Entry]] = field(default_factory=dict)
    claimed: set[str] = field(default_factory=set)


class MemoryUnit:
    """A transaction in memory: its changes are made when it commits."""

    def __init__(self, sessions: dict[SessionId, _Kept], generations_max: int | None) -> None:
        """Change `sessions` on commit, and keep the journals of the newest `generations_max`; None: of all."""
        self._sessions = sessions
        self._generations_max = generations_max
        self._moves: list[tuple[SessionId, Numbers, Numbers]] = []
        self._journaled: list[tuple[SessionId, Sequence[Journaled]]] = []
        self._claimed: dict[SessionId, set[str]] = {}

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """See `Unit`."""
        kept = (list(self._moves), list(self._journaled), {key: set(keys) for key, keys in self._claimed.items()})
        try:
            yield
        except BaseException:
            self._moves, self._journaled, self._claimed = kept
            raise

    async def advance(
        self, session: SessionId, was: Numbers, becomes: Numbers, journal: Sequence[Journaled] = ()
    ) -> None:
        """See `Unit`."""
        self._after([*self._moves, (session, was, becomes)])
        known = self._sessions[session].journal
        added = {_place(each) for whose, entries in self._journaled if whose == session for each in entries}
        for each in journal:
            generation, direction, number = place = _place(each)
            if place in added or number in known.get((generation, direction), {}):
                raise ValueError(f"{session}: {direction} {generation}/{number} is in the journal already")
            added.add(place)
        self._moves.append((session, was, becomes))
        self._journaled.append((session, tuple(journal)))

    async def claim(self, session: SessionId, keys: Sequence[str]) -> frozenset[str]:
        """See `Unit`."""
        mine = self._claimed.setdefault(session, set())
        fresh = frozenset(keys) - self._sessions[session].claimed - mine
        mine |= fresh
        return fresh

    def _after(self, moves: Sequence[tuple[SessionId, Numbers, Numbers]]) -> dict[SessionId, Numbers]:
        """Return where sessions stand after moves, made one after the other from where they are kept."""
        after: dict[SessionId, Numbers] = {}
        for session, was, becomes in moves:
            present = after.get(session, self._sessions[session].numbers)
            moved = present.moved(was, becomes)
            if moved is None:
                raise NumbersMoved(f"{session} is at {present}, not at {was}")
            after[session] = moved
        return after

    def commit(self) -> None:
        """Make the changes.

        Raises:
            NumbersMoved: Another transaction moved the same numbers meanwhile; nothing is done.
        """
        after = self._after(self._moves)
        for session, numbers in after.items():
            self._sessions[session].numbers = numbers
        for session, entries in self._journaled:
            kept = self._sessions[session].journal
            for generation, direction, entry in entries:
                kept.setdefault((generation, direction), {})[entry.number] = entry
        for session, keys in self._claimed.items():
            self._sessions[session].claimed |= keys
        if self._generations_max is not None:
            for session, numbers in after.items():
                journal = self._sessions[session].journal
                for key in [key for key in journal if key[0] <= numbers.generation - self._generations_max]:
                    del journal[key]


def _place(each: Journaled) -> tuple[int, Direction, int]:
    return each.generation, each.direction, each.entry.number


class MemoryStore:
    """Sessions in memory."""

    def __init__(self, generations_max: int | None = None) -> None:
        """Begin without sessions.

        Args:
            generations_max: Of so many generations the journals are kept; None: of all.
        """
        self._sessions: dict[SessionId, _Kept] = {}
        self._generations_max = generations_max

    async def load(self, session: SessionId, now: datetime) -> Numbers:
        """See `SessionStore`."""
        return self._sessions.setdefault(session, _Kept(Numbers(0, 1, 1, now))).numbers

    def begin(self) -> AbstractAsyncContextManager[MemoryUnit]:
        """See `SessionStore`."""
        return self._unit()

    @asynccontextmanager
    async def _unit(self) -> AsyncIterator[MemoryUnit]:
        unit = MemoryUnit(self._sessions, self._generations_max)
        yield unit
        unit.commit()

    async def journal(
        self, session: SessionId, generation: int, direction: Direction, first: int, last: int, limit: int
    ) -> Sequence[Entry]:
        """See `SessionStore`."""
        kept = self._sessions.get(session)
        entries = kept.journal.get((generation, direction), {}) if kept else {}
        # The range may be as wide as a counterparty likes; what is kept is not.
        return [entries[number] for number in sorted(entries) if first <= number <= last][:limit]

    async def sessions(self) -> Collection[tuple[SessionId, Numbers]]:
        """See `SessionStore`."""
        return sorted((session, kept.numbers) for session, kept in self._sessions.items())
