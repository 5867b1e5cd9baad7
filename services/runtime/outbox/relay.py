"""Ships what waits in the outbox to audit, in order, until audit has it.

One relay per service is active, by a lock that ends with its connection; the others wait for it. A row is marked after
audit's acknowledgement, never before: a crash in between ships it again, and audit knows it by its id. While audit is
down the service goes on, the outbox grows, and its lag is a metric.

An event belongs to the trace in which it happened. So the shipping of rows is a span of each trace that they are of.
"""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

import grpc
import grpc.aio
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from evenkeel.audit.v1 import audit_service_pb2 as audit
from evenkeel.audit.v1.audit_service_pb2_grpc import AuditServiceStub
from services.kernel.errors import Fact
from services.runtime import context
from services.runtime.client.errors import peer_errors
from services.runtime.clock import SystemClock
from services.runtime.logging import get_logger
from services.runtime.outbox.heart import Heart
from services.runtime.outbox.table import mark_in
from services.runtime.telemetry import counter, level
from services.runtime.wire import instant_message
from services.runtime.workers import Backoff, Worker, wait

if TYPE_CHECKING:
    # Exists for the type checker only.
    from evenkeel.audit.v1.audit_service_pb2_grpc import AuditServiceAsyncStub
    from services.runtime.database import Database

log = get_logger()

# Of one look at the outbox.
BATCH_ROWS_MAX = 500
BATCH_BYTES_MAX = 2 * 1024 * 1024
# How often an outbox is looked at that nobody in this process has written to.
LOOK_S = 1.0
# Between two tries while audit does not answer.
RETRY_S_MIN = 0.1
RETRY_S_MAX = 5.0
# How often one that is not active tries to become it.
LEAD_AGAIN_S = 2.0
# Events that audit refuses for what they are, set aside so that the others pass. More than this, and we stop.
REFUSED_MAX = 1000


@dataclass(frozen=True, slots=True)
class _Row:
    event: audit.Event
    trace_parent: str | None
    size: int

    @property
    def trace_id(self) -> str | None:
        return self.trace_parent[3:35] if self.trace_parent else None


def relay(database: "Database", audit_channel: grpc.aio.Channel, *, producer: str | None = None) -> Worker:
    """Return the worker that ships `database`'s outbox.

    Args:
        database: Whose outbox.
        audit_channel: To the audit service, as `client.connect` makes it.
        producer: Which service says so; the name of the schema when None.
    """
    name = producer or database.schema
    heart = Heart(audit_channel, name, SystemClock())
    return Worker("outbox relay", _Relay(database, AuditServiceStub(audit_channel), name, heart).run)


class _Relay:
    def __init__(self, database: "Database", stub: "AuditServiceAsyncStub", producer: str, heart: Heart) -> None:
        self._database = database
        self._outbox = database.outbox
        self._marked = mark_in(database.outbox)
        self._stub = stub
        self._producer = producer
        self._heart = heart
        self._refused: set[UUID] = set()
        self._shipped = counter("evenkeel.outbox.shipped", "{event}", "Events that audit has acknowledged.")
        self._failures = counter("evenkeel.outbox.failures", "{event}", "Events that audit refused.")
        self._lag = level("evenkeel.outbox.lag", "{event}", "Events that audit does not have yet.")
        self._age = level("evenkeel.outbox.age", "s", "Age of the oldest event that audit does not have yet.")

    async def run(self, stop: asyncio.Event) -> None:
        """Become the active relay, then ship until `stop` is set."""
        while not stop.is_set():
            async with self._database.dedicated() as connection:
                if await self._leads(connection):
                    await self._ship(connection, stop)
            await wait(stop, LEAD_AGAIN_S)

    async def _leads(self, connection: AsyncConnection) -> bool:
        key = int.from_bytes(hashlib.sha256(f"relay/{self._producer}".encode()).digest()[:8], "big", signed=True)
        got = await connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": key})
        return bool(got.scalar_one())

    async def _ship(self, connection: AsyncConnection, stop: asyncio.Event) -> None:
        waiting = self._database.events_waiting
        backoff = Backoff(RETRY_S_MIN, RETRY_S_MAX)
        while True:
            # Asked before the look, so that what was committed before the stop is still shipped.
            ending = stop.is_set()
            # Cleared before the look: what is committed from here on sets it again.
            waiting.clear()
            rows = await self._waiting_rows(connection)
            try:
                if rows:
                    await self._append(connection, rows)
            except Fact as fact:
                lag = await self._measure(connection)
                if stop.is_set():
                    return
                wait_s = backoff.next_s()
                log.warning("audit does not take events", reason=fact.reason, lag=lag, again_in_s=wait_s)
                await wait(stop, wait_s)
                continue
            backoff.reset()
            if len(rows) == BATCH_ROWS_MAX:
                continue
            lag = await self._measure(connection)
            if ending:
                return
            await self._heart.beat(lag, asyncio.get_running_loop().time())
            await wait(stop, LOOK_S, waiting)

    async def _waiting_rows(self, connection: AsyncConnection) -> list[_Row]:
        c = self._outbox.c
        query = (
            select(c.event_id, c.kind, c.body, c.subjects, c.actor, c.occurred_time, c.trace_parent)
            .where(c.shipped_time.is_(None), c.event_id.not_in(self._refused))
            .order_by(c.seq)
            .limit(BATCH_ROWS_MAX)
        )
        rows: list[_Row] = []
        size = 0
        for row in await connection.execute(query):
            subjects = [audit.Subject(kind=kind, id=row.subjects[kind]) for kind in sorted(row.subjects)]
            event = audit.Event(
                event_id=str(row.event_id),
                kind=row.kind,
                occurred_time=instant_message(row.occurred_time),
                producer=self._producer,
                actor=row.actor,
                trace_parent=row.trace_parent or "",
                subjects=subjects,
                data=row.body,
            )
            rows.append(_Row(event, row.trace_parent, len(row.body)))
            size += len(row.body)
            if size > BATCH_BYTES_MAX:
                break
        return rows

    async def _append(self, connection: AsyncConnection, rows: Sequence[_Row]) -> None:
        with _in_their_traces(rows):
            try:
                with peer_errors("audit"):
                    answer = await self._stub.Append(audit.AppendRequest(events=[row.event for row in rows]))
            except Fact as fact:
                if not _refuses_content(fact):
                    raise
                await self._refuse(connection, rows, fact)
                return
            await self._mark(connection, rows, answer)
        self._shipped.add(len(rows))

    async def _refuse(self, connection: AsyncConnection, rows: Sequence[_Row], fact: Fact) -> None:
        """Find by halves, which keeps the order, the row that audit refuses, and set it aside."""
        if len(rows) > 1:
            middle = len(rows) // 2
            await self._append(connection, rows[:middle])
            await self._append(connection, rows[middle:])
            return
        event = rows[0].event
        self._failures.add(1)
        log.error("audit refuses an event", event_id=event.event_id, kind=event.kind, reason=fact.reason)
        if len(self._refused) >= REFUSED_MAX:
            raise fact
        self._refused.add(UUID(event.event_id))

    async def _mark(self, connection: AsyncConnection, rows: Sequence[_Row], answer: audit.AppendResponse) -> None:
        indexes: list[int | None] = []
        for row, result in zip(rows, answer.results, strict=True):
            conflict = result.status == audit.AppendResult.STATUS_CONFLICT
            if conflict:
                self._failures.add(1)
                log.error("audit has another event under this id", event_id=row.event.event_id, kind=row.event.kind)
            indexes.append(None if conflict else result.index)
        marks = {"event_ids": [UUID(row.event.event_id) for row in rows], "indexes": indexes}
        await connection.execute(self._marked, marks)

    async def _measure(self, connection: AsyncConnection) -> int:
        c = self._outbox.c
        lag = select(func.count(), func.min(c.occurred_time)).where(c.shipped_time.is_(None))
        rows, oldest = (await connection.execute(lag)).one()
        self._lag.set(rows)
        self._age.set(0.0 if oldest is None else (self._database.clock.now() - oldest).total_seconds())
        return int(rows)


@contextmanager
def _in_their_traces(rows: Sequence[_Row]) -> Iterator[None]:
    """Be a span in each trace that one of `rows` is of; the call that ships them all belongs to that of the first."""
    counts = Counter(row.trace_id for row in rows)
    parents: dict[str | None, str | None] = {}
    for row in rows:
        parents.setdefault(row.trace_id, row.trace_parent)
    with ExitStack() as spans:
        for trace_id, parent in reversed(parents.items()):
            spans.enter_context(context.continued(parent, "ship outbox", evenkeel__events=counts[trace_id]))
        yield


def _refuses_content(fact: Fact) -> bool:
    return fact.reason in {"FIELD_INVALID", "EVENT_TOO_LARGE"}
