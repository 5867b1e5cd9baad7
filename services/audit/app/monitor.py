"""Watches producers and clocks, and records what it sees as entries."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from services.audit.app.sequencer import Sequencer
from services.audit.domain.entry import Event, parse_entry
from services.audit.domain.errors import LogWriterElsewhere
from services.audit.domain.monitoring import (
    CLOCK_KIND,
    HEARD_KIND,
    SILENT_KIND,
    ClockKind,
    Measurement,
    Watching,
    clocks_data,
)
from services.audit.domain.sequencing import AUDIT_ACTOR, AUDIT_PRODUCER
from services.kernel.canonical import JsonValue, canonical_json, rfc3339
from services.kernel.clock import Clock
from services.kernel.errors import Unreachable

# How often producers are looked at, in seconds.
LOOK_S = 1.0

# A process that just got the log hears the relays within so many seconds, which speak every ten; until then a check of
# the clocks would say nothing of theirs.
HEARD_WITHIN_S = 15.0

_EVENTS = uuid.UUID("7d0c43d6-1f0d-4a3e-9d51-6a6a3c0f5b7e")


class ClockSource(Protocol):
    """A clock that ours is compared with."""

    async def measure(self) -> Measurement:
        """Return how far ours is ahead of it.

        Raises:
            Unreachable: It does not answer.
        """
        ...


class MonitorObserver(Protocol):
    """Is told what operators should see."""

    def silent(self, producers: Sequence[str]) -> None:
        """Note which producers are silent now."""
        ...

    def clock(self, measurement: Measurement) -> None:
        """Note how far a clock is off."""
        ...

    def clock_lost(self, reason: Unreachable) -> None:
        """Note that a clock does not answer."""
        ...


class Monitor:
    """The worker that watches, in the process that holds the log."""

    def __init__(
        self,
        *,
        sequencer: Sequencer,
        sources: Sequence[ClockSource],
        clock: Clock,
        expected: Sequence[str],
        silent_after_s: float,
        clock_interval_s: float,
        observer: MonitorObserver,
        newest_of: Callable[[str], Awaitable[bytes | None]],
    ) -> None:
        """Prepare to watch.

        Args:
            sequencer: Records what is seen.
            sources: The clocks to compare with, besides those of producers.
            clock: Ours.
            expected: The producers that must speak.
            silent_after_s: How long they may be silent.
            clock_interval_s: From one clock check to the next.
            observer: Is told what operators should see.
            newest_of: Returns the body of the log's newest entry of a kind; None when there is none.
        """
        self._newest_of = newest_of
        self._sequencer = sequencer
        self._sources = tuple(sources)
        self._clock = clock
        self._expected = tuple(expected)
        self._clock_interval = timedelta(seconds=clock_interval_s)
        self._observer = observer
        self._watching_now = False
        self.watching = Watching(timedelta(seconds=silent_after_s))
        self.measurements: dict[str, Measurement] = {}

    async def heartbeat(self, producer: str, waiting_events: int, measured: tuple[int, int] | None) -> datetime:
        """Note that `producer` speaks, and return when it was heard.

        Args:
            producer: Who.
            waiting_events: What it has to ship.
            measured: How far our clock is ahead of its, and the uncertainty, in microseconds; None when it knows not.

        Raises:
            LogWriterElsewhere: Another process watches.
        """
        now = self._clock.now()
        if not self._sequencer.writing:
            raise LogWriterElsewhere("this process does not hold the log; repeat in a moment")
        if measured is not None:
            offset_us, uncertainty_us = measured
            self.measurements[producer] = Measurement(producer, ClockKind.PRODUCER, offset_us, uncertainty_us, now)
            self._observer.clock(self.measurements[producer])
        if self.watching.heard(producer, waiting_events, now):
            await self._record(HEARD_KIND, producer, {"producer": producer, "waiting_events": waiting_events}, now)
        return now

    async def run(self, stop: asyncio.Event) -> None:
        """Watch until `stop` is set."""
        stopping = asyncio.create_task(stop.wait())
        due = self._clock.now() + self._clock_interval
        try:
            while not stop.is_set():
                await asyncio.wait([stopping], timeout=LOOK_S)
                if stop.is_set() or not self._sequencer.writing:
                    self._watching_now = False
                    continue
                now = self._clock.now()
                if not self._watching_now:
                    # Nobody spoke to this process before it held the log.
                    self.watching.expect(self._expected, now)
                    due = await self._due(now)
                    self._watching_now = True
                await self.look(now)
                if now >= due:
                    due = now + self._clock_interval
                    await self.check_clocks()
        finally:
            stopping.cancel()

    async def _due(self, now: datetime) -> datetime:
        """Return when the clocks are to be checked next: by the schedule that whoever held the log before kept."""
        newest = await self._newest_of(CLOCK_KIND)
        if newest is None:
            return now + self._clock_interval
        by_schedule = parse_entry(newest).recorded_time + self._clock_interval
        return max(by_schedule, now + min(timedelta(seconds=HEARD_WITHIN_S), self._clock_interval))

    async def look(self, now: datetime) -> None:
        """Record which producers have fallen silent."""
        for producer in self.watching.fallen_silent(now):
            data: dict[str, JsonValue] = {
                "producer": producer.name,
                "last_heard_time": None if producer.heard_time is None else rfc3339(producer.heard_time),
                "silent_after_s": int(self.watching.silent_after.total_seconds()),
                "waiting_events": producer.waiting_events,
            }
            await self._record(SILENT_KIND, producer.name, data, now)
        self._observer.silent([each.name for each in self.watching.producers.values() if each.silent])

    async def check_clocks(self) -> Mapping[str, Measurement]:
        """Compare our clock with every other that answers, and record the result."""
        for source in self._sources:
            try:
                measurement = await source.measure()
            except Unreachable as unreachable:
                self._observer.clock_lost(unreachable)
                continue
            self.measurements[measurement.source] = measurement
            self._observer.clock(measurement)
        now = self._clock.now()
        # What was measured long ago says nothing of now.
        fresh = {
            name: each
            for name, each in self.measurements.items()
            if now - each.measured_time <= 2 * self._clock_interval
        }
        await self._record(CLOCK_KIND, "clocks", clocks_data(fresh), now)
        return fresh

    async def _record(self, kind: str, about: str, data: Mapping[str, JsonValue], now: datetime) -> None:
        event = Event(
            event_id=str(uuid.uuid5(_EVENTS, f"{kind} {about} {rfc3339(now)}")),
            kind=kind,
            occurred_time=now,
            producer=AUDIT_PRODUCER,
            actor=AUDIT_ACTOR,
            trace_parent="",
            subjects={},
            data=canonical_json(dict(data)),
        )
        await self._sequencer.append([event])
