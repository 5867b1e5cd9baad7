"""Reads long stretches of the log in bulk, and checks them; in this process, or in others beside it.

A row at a time, the driver makes objects that cost more than all hashing. So the server copies rows as they are, the
three tables side by side by the indexes of the same entries, and compiled code takes them apart by columns.

Checking is Python at full speed, which holds the interpreter's lock: in a thread it would keep the service from its
calls. So it goes on in processes of their own, with connections of their own, at a lower priority.
"""

import asyncio
import gc
import multiprocessing
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Any

import uvloop
from asyncpg import Connection as Driver

from services.audit.domain.cosignature import WitnessKey
from services.audit.domain.errors import LogRootMismatch
from services.audit.domain.signed_note import VerifierKey
from services.audit.domain.stored import StoredCheckpoint
from services.audit.domain.stretch import Bodies, Clean, Keys, Postings, Step, Suspicion, tiles_between
from services.audit.domain.tiles import Tile, TileId
from services.audit.store.contents import PostgresContents
from services.audit.tables import EVENTS, log_tables
from services.kernel.errors import Unreachable
from services.runtime.allocation import keep_freed_memory
from services.runtime.database import Database, driver_of
from services.runtime.settings import ServiceSettings

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from services.audit.store.copied import Copied

# Entries of a step, which is in memory at once, and of those the bodies that are copied together: the longest are
# 64 KiB.
STEP_ENTRIES = 16_384
BODIES_TOGETHER = 4_096
# Entries of whose keys, and of whose postings, all are read at once. They are found by an index that names blocks of
# the table: where rows do not lie in order, many blocks for few entries, and the same ones again for the next. A key
# has 56 bytes; an entry of a commit by itself some ten postings.
KEYS_TOGETHER = 1 << 18
POSTINGS_TOGETHER = 1 << 16
# Checkpoints that are read together; a log that nobody shares has one for each entry.
_CHECKPOINTS_TOGETHER = 1_000

# Beside the service, checking takes only the processor time that nobody else wants.
NICENESS = 10
# A killed process is gone in a moment.
KILLED_S_MAX = 5.0

_BODIES = "select idx, leaf, body from audit.entry where idx >= $1 and idx < $2 order by idx"
_KEYS = "select event_id, idx, digest from audit.event_key where idx >= $1 and idx < $2"
_POSTINGS = "select start, term, positions from audit.posting where start >= $1 and start < $2"
_TILES = """
    select level, idx, root, data
    from audit.tile join unnest($1::smallint[], $2::bigint[]) as wanted (level, idx) using (level, idx)
"""
_COSIGNATURES = "select size, line from audit.cosignature where size > $1 and size <= $2 order by size, witness"


@dataclass(frozen=True, slots=True)
class Trusted:
    """What a check of the log `origin` believes: keys of the log, of the one it continues, and of its witnesses."""

    origin: str
    keys: Sequence[VerifierKey]
    continues: VerifierKey | None = None
    witnesses: Sequence[WitnessKey] = ()


class _Beside:
    """Rows that stand beside entries, read for many steps at once."""

    def __init__(self, driver: Driver, query: str, place: int, together: int, end: int) -> None:
        """Read by `query`, whose column `place` says of which entry a row is, `together` entries until `end`."""
        self._driver = driver
        self._query = query
        self._place = place
        self._together = together
        self._end = end
        self._begins = self._until = 0
        self._read: tuple[Copied, npt.NDArray[np.int64]] | None = None

    async def rows(self, start: int, stop: int) -> "Copied":
        """Return the rows of the entries from `start` up to but not including `stop`, by their entry.

        Raises:
            Suspicion: A field is null.
        """
        from services.audit.store.copied import copied  # noqa: PLC0415 - compiled code, see `PostgresStretches.check`

        if self._read is None or not self._begins <= start <= stop <= self._until:
            # The next are read when nothing refers to those before.
            self._read = None
            self._begins, self._until = start, max(stop, min(start + self._together, self._end))
            found = await copied(self._driver, self._query, self._begins, self._until, 3)
            self._read = found.by_place(self._place)
        rows, places = self._read
        first, after_last = places.searchsorted([start, stop]).tolist()
        return rows.rows(first, after_last)


class PostgresStretches:
    """Checks stretches of one log in this process."""

    # How many are checked at once.
    together = 1

    def __init__(self, database: Database, trusted: Trusted, log: str = EVENTS) -> None:
        """Read the log `log` through `database`."""
        self._database = database
        self._trusted = trusted
        self._tables = log_tables(log)
        self._contents = PostgresContents(database, log)

    async def check(self, after: int, start: int, stop: int) -> Clean:
        """Check the entries from `start` up to but not including `stop`, and the checkpoints of sizes above `after`.

        Both bounds are ends of commits.

        Raises:
            Suspicion: Something is not plainly as it must be.
        """
        trusted = self._trusted
        try:
            begun = await self._contents.edge(start)
        except LogRootMismatch as error:
            raise Suspicion("the tree before it cannot be read") from error
        # A second goes by until compiled code is there, and the service that only asks others to check needs none.
        from services.audit.domain.bulk import BulkCheck  # noqa: PLC0415 - see above

        check = BulkCheck(trusted.origin, trusted.keys, begun, trusted.continues, trusted.witnesses)
        async with self._database.dedicated() as connection:
            driver = await driver_of(connection)
            await driver.execute("set jit = off")
            async for step in self._steps(driver, after, start, stop):
                check.add(step)
        clean = check.clean()
        if clean.edge.size != stop:
            raise Suspicion("no checkpoint covers the end")
        return clean

    async def rest(self) -> None:
        """Nothing is kept open."""

    async def _steps(self, driver: Driver, after: int, start: int, stop: int) -> AsyncIterator[Step]:
        sql = self._tables.sql
        keys = _Beside(driver, sql(_KEYS), 1, KEYS_TOGETHER, stop)
        postings = _Beside(driver, sql(_POSTINGS), 0, POSTINGS_TOGETHER, stop)
        while after < stop:
            read = await self._contents.checkpoints(after, _CHECKPOINTS_TOGETHER)
            ends = [each for each in read if each.size <= stop]
            if not ends:
                return
            while ends:
                count = sum(each.size - start <= STEP_ENTRIES for each in ends) or 1
                yield await self._step(driver, after, start, ends[:count], keys, postings)
                start = after = ends[count - 1].size
                ends = ends[count:]

    async def _step(
        self,
        driver: Driver,
        after: int,
        start: int,
        checkpoints: Sequence[StoredCheckpoint],
        keys: _Beside,
        postings: _Beside,
    ) -> Step:
        from services.audit.store.copied import copied  # noqa: PLC0415 - compiled code, as above

        stop, sql = checkpoints[-1].size, self._tables.sql
        bodies = []
        for first in range(start, stop, BODIES_TOGETHER):
            rows = await copied(driver, sql(_BODIES), first, min(first + BODIES_TOGETHER, stop), 3)
            bodies.append(Bodies(rows.column(0), rows.separated(2), rows.lengths(2), rows.column(1)))
        of_events = await keys.rows(start, stop)
        of_terms = await postings.rows(start, stop)
        cosignatures: dict[int, list[str]] = {}
        if self._trusted.witnesses:
            for size, line in await driver.fetch(sql(_COSIGNATURES), after, stop):
                cosignatures.setdefault(size, []).append(line)
        return Step(
            start,
            checkpoints,
            cosignatures,
            bodies,
            Keys(of_events.column(0), of_events.column(1), of_events.column(2)),
            Postings(of_terms.column(0), of_terms.column(1), of_terms.lengths(2), of_terms.column(2)),
            await self._tiles(driver, tiles_between(start, stop)),
        )

    async def _tiles(self, driver: Driver, wanted: Sequence[TileId]) -> Mapping[TileId, Tile]:
        if not wanted:
            return {}
        rows = await driver.fetch(
            self._tables.sql(_TILES), [each.level for each in wanted], [each.index for each in wanted]
        )
        return {TileId(row["level"], row["idx"]): Tile(TileId(row[0], row[1]), row[2], row[3]) for row in rows}


class StretchProcesses:
    """Checks stretches of one log in processes beside this one, begun when they are needed."""

    def __init__(
        self, settings: ServiceSettings, trusted: Trusted, log: str = EVENTS, *, count: int, niceness: int = NICENESS
    ) -> None:
        """Prepare `count` processes that connect as `settings` say; nothing runs yet."""
        self.together = count
        self._processes = [_Process((settings, trusted, log, niceness)) for _ in range(count)]
        self._free: asyncio.Queue[_Process] = asyncio.Queue()
        for process in self._processes:
            self._free.put_nowait(process)

    async def check(self, after: int, start: int, stop: int) -> Clean:
        """Check a stretch; see `PostgresStretches`.

        Raises:
            Suspicion: Something is not plainly as it must be, or the process ended.
        """
        process = await self._free.get()
        running = asyncio.ensure_future(asyncio.to_thread(process.ask, (after, start, stop)))
        # Whoever asked may be gone before the answer; the process is free only then.
        running.add_done_callback(lambda _: self._free.put_nowait(process))
        answer = await asyncio.shield(running)
        if isinstance(answer, Clean):
            return answer
        raise Suspicion(str(answer))

    async def rest(self) -> None:
        """End the processes; they begin again when they are needed."""
        for process in self._processes:
            process.kill()


class _Process:
    """One process, started when needed. Its method `ask` blocks; one thread uses it at a time."""

    def __init__(self, what: tuple[ServiceSettings, Trusted, str, int]) -> None:
        # Never forked: a copy of a process with an event loop and gRPC's threads does not work.
        self._context = multiprocessing.get_context("spawn")
        self._what = what
        self._process: BaseProcess | None = None
        self._connection: Connection[object, object] | None = None

    def ask(self, stretch: tuple[int, int, int]) -> object:
        """Return the answer; what is wrong, as text, when there is none."""
        try:
            connection = self._running()
            connection.send(stretch)
            return connection.recv()
        except (EOFError, OSError) as error:
            return f"the process that checks it ended: {type(error).__name__}"

    def kill(self) -> None:
        """End the process; whoever waits for its answer sees that."""
        if self._process is not None:
            self._process.kill()
            self._process.join(KILLED_S_MAX)

    def _running(self) -> "Connection[object, object]":
        if self._connection is not None and self._process is not None and self._process.is_alive():
            return self._connection
        if self._connection is not None:
            self._connection.close()
        self._connection, theirs = self._context.Pipe()
        self._process = self._context.Process(target=serve, args=(theirs, *self._what), daemon=True, name="scrub")
        self._process.start()
        # From now on only the process holds that end, so each notices when the other is gone.
        theirs.close()
        return self._connection


def serve(
    connection: "Connection[object, object]", settings: ServiceSettings, trusted: Trusted, log: str, niceness: int
) -> None:
    """Check the stretches that the other side asks about, until it is gone."""
    # Ctrl-C in a terminal reaches every process of it; this one ends with the service.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(niceness)
    # Each step needs some ten blocks of megabytes, of the same sizes as the step before.
    keep_freed_memory()
    # Bodies become some hundred thousand objects without a cycle among them, which would be looked for again and again.
    gc.disable()
    # Rows come in thousands of small pieces, each of which wakes the loop.
    uvloop.run(_answer(connection, settings, trusted, log))


async def _answer(
    connection: "Connection[object, object]", settings: ServiceSettings, trusted: Trusted, log: str
) -> None:
    database = Database(settings)
    stretches = PostgresStretches(database, trusted, log)
    try:
        while True:
            stretch: Any = connection.recv()
            try:
                answer: object = await stretches.check(*stretch)
            except (Suspicion, Unreachable) as error:
                answer = str(error)
            connection.send(answer)
            gc.collect()
            if not gc.get_freeze_count():
                # Code and connections stay: to look through them takes a tenth of a second each time.
                gc.freeze()
    except (EOFError, OSError):
        return
    finally:
        await database.close()
