"""Watches the FIX sessions of this replica: says how they are, counts, and does the resets that two persons want."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import structlog
from opentelemetry.metrics import CallbackOptions, Observation
from sqlalchemy import text

from services.execution.app.fix_sessions import Reset, ResetState, reset_event
from services.execution.fix.postgres import PostgresStore
from services.execution.fix.postgres_unit import Part, PostgresUnit
from services.execution.fix.protocol.state import NotLoggedOn
from services.execution.fix.protocol.store import NumbersMoved, SessionId, Unit
from services.execution.fix.transport.link import Link
from services.execution.fix.transport.turn import OutcomeUnknown, Traffic
from services.kernel.canonical import canonical_json
from services.kernel.clock import Clock
from services.runtime.database import Database
from services.runtime.outbox.table import new_event_ids
from services.runtime.telemetry import meter
from services.runtime.workers import Worker, wait

log = structlog.get_logger()

# How often sessions are looked at, in seconds.
LOOK_S = 1.0

_SAY = text("""
    UPDATE execution.fix_session SET up = :up, why_down = :why_down, check_time = :time WHERE session = :session
""")
_APPROVED = text("""
    SELECT reset_id, session, state, proposer, why, propose_time, approver FROM execution.fix_reset
    WHERE state = 'APPROVED' AND session = ANY(CAST(:sessions AS text[])) ORDER BY propose_time
""")
# Audit is told in the transaction that begins the numbers anew.
_DONE = Part("""
    done AS (
        UPDATE execution.fix_reset SET state = 'DONE' WHERE reset_id = $1 AND state = 'APPROVED' RETURNING reset_id
    ), announced AS (
        INSERT INTO execution.outbox (event_id, kind, body, subjects, actor, occurred_time)
        SELECT unnest($2::text::uuid[]), $3::text, $4::bytea, $5::text::jsonb, $6::text, $7::timestamptz FROM done
    )
""")

# What is counted of a session: the metric's end, its unit, its description, the count.
_COUNTS = (
    ("messages.in", "{message}", "Messages received.", "messages_in"),
    ("messages.out", "{message}", "Messages sent.", "messages_out"),
    ("bytes.in", "By", "Bytes received.", "bytes_in"),
    ("bytes.out", "By", "Bytes sent.", "bytes_out"),
    ("turns", "{transaction}", "Transactions: the more messages each holds, the busier the session.", "turns"),
    ("garbled", "{message}", "Pieces that were no message.", "garbled"),
    ("resent", "{message}", "Messages sent again because they were asked for, gap fills included.", "resent"),
)


@dataclass(slots=True)
class _Watched:
    link: Callable[[], Link | None]
    why_down: Callable[[], str]
    last: Link | None = None
    # Counts of the connections before the present one.
    before: Traffic = field(default_factory=Traffic)

    def total(self, name: str) -> int:
        """Return a count over all connections so far."""
        present = self.link()
        if present is not self.last:
            if self.last is not None:
                counts = {
                    count: getattr(self.before, count) + getattr(self.last.traffic, count) for *_, count in _COUNTS
                }
                self.before = replace(self.before, **counts)
            self.last = present
        total: int = getattr(self.before, name)
        if present is not None:
            total += getattr(present.traffic, name)
        return total


class SessionWatch:
    """The sessions that this replica holds."""

    def __init__(self, database: Database, store: PostgresStore, clock: Clock) -> None:
        """Watch none yet."""
        self._database = database
        self._store = store
        self._clock = clock
        self._watched: dict[SessionId, _Watched] = {}
        instruments = meter()
        instruments.create_observable_gauge(
            "evenkeel.fix.session.up", [self._observe_up], "1", "1 while a FIX session is logged on, else 0."
        )
        for end, unit, description, name in _COUNTS:
            instruments.create_observable_counter(
                f"evenkeel.fix.session.{end}", [self._observer(name)], unit, f"Of a FIX session: {description}"
            )

    def hold(self, session: SessionId, link: Callable[[], Link | None], why_down: Callable[[], str]) -> None:
        """Watch a session from now on: this replica holds it."""
        self._watched[session] = _Watched(link, why_down)

    async def let_go(self, session: SessionId) -> None:
        """Watch a session no more."""
        del self._watched[session]
        await self._say(session, up=False, why_down="this replica let it go")

    def worker(self) -> Worker:
        """Return the worker that looks after the sessions."""

        async def run(stop: asyncio.Event) -> None:
            while not stop.is_set():
                await self.look()
                await wait(stop, LOOK_S)

        return Worker("watch fix sessions", run)

    async def look(self) -> None:
        """Say once how the sessions are, and do the resets that are wanted."""
        for session, watched in list(self._watched.items()):
            up = _up(watched)
            await self._say(session, up=up, why_down="" if up else watched.why_down())
        await self._reset()

    async def _say(self, session: SessionId, *, up: bool, why_down: str) -> None:
        values = {"session": str(session), "up": up, "why_down": why_down[:500], "time": self._clock.now()}
        async with self._database.begin() as transaction:
            await transaction.connection.execute(_SAY, values)

    async def _reset(self) -> None:
        by_name = {str(session): session for session in self._watched}
        if not by_name:
            return
        async with self._database.read() as connection:
            found = await connection.execute(_APPROVED, {"sessions": sorted(by_name)})
            wanted = [Reset(**{**row, "state": ResetState(row["state"])}) for row in found.mappings()]
        for reset in wanted:
            session = by_name[reset.session]
            if session not in self._watched:
                # Let go since it was looked at: whoever holds it next does it.
                continue
            try:
                await self._begin_anew(session, reset)
            except (NotLoggedOn, NumbersMoved, OutcomeUnknown) as late:
                # It came up or went down meanwhile: at the next look.
                log.info("a reset waits", session=reset.session, why=str(late))
            else:
                log.warning("a session begins anew", session=reset.session, reset_id=reset.reset_id)

    async def _begin_anew(self, session: SessionId, reset: Reset) -> None:
        async def done(unit: Unit) -> None:
            if not isinstance(unit, PostgresUnit):
                raise TypeError(f"resets are in PostgreSQL, was {type(unit)}")
            event = reset_event("done", reset)
            told = event.kind, canonical_json(event.data), canonical_json(event.subjects).decode()
            actor = f"{self._database.schema}_service"
            await unit.beside(_DONE, reset.reset_id, new_event_ids(1), *told, actor, self._clock.now())

        link = self._watched[session].link()
        if link is not None:
            await link.reset(done)
            return
        now = self._clock.now()
        was = await self._store.load(session, now)
        async with self._store.begin() as unit:
            await unit.advance(
                session, was, replace(was, generation=was.generation + 1, next_out=1, next_in=1, since=now)
            )
            await done(unit)

    def _observe_up(self, _: CallbackOptions) -> Iterable[Observation]:
        return [
            Observation(int(_up(watched)), {"evenkeel.fix.session": str(session)})
            for session, watched in self._watched.items()
        ]

    def _observer(self, name: str) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(_: CallbackOptions) -> Iterable[Observation]:
            return [
                Observation(watched.total(name), {"evenkeel.fix.session": str(session)})
                for session, watched in self._watched.items()
            ]

        return observe


def _up(watched: _Watched) -> bool:
    link = watched.link()
    return link is not None and link.up
