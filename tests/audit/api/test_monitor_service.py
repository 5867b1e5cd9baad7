"""A producer that does not speak is an alarm and an entry; clocks are compared with what can be measured."""

import asyncio
import json
from datetime import timedelta

import grpc
import pytest
from structlog.testing import capture_logs

from evenkeel.audit.v1 import monitor_service_pb2 as pb
from evenkeel.audit.v1.monitor_service_pb2_grpc import MonitorServiceStub
from services.audit.app import monitor
from services.audit.app.monitor import Monitor
from services.audit.clients import Alarms, DatabaseClock
from services.audit.domain.entry import parse_entry
from services.audit.domain.filter import EntryFilter
from services.audit.domain.logs import EVENTS
from services.audit.domain.monitoring import CLOCK_KIND, LIMIT_FINRA_US, ClockKind, Measurement
from services.audit.domain.reports.base import Fact, missing
from services.audit.domain.reports.oversight import CLOCK_REPORT
from services.audit.store import PostgresContents
from services.kernel.clock import FixedClock
from services.runtime.clock import SystemClock
from services.runtime.outbox import heart
from services.runtime.outbox.heart import Heart
from tests.audit.api.test_audit_service import until
from tests.audit.builders import NOON
from tests.support.refusals import refused


class Seen:
    def __init__(self):
        self.now_silent, self.offsets, self.looks = [], {}, 0

    def silent(self, producers):
        self.now_silent = list(producers)
        self.looks += 1

    def clock(self, measurement):
        self.offsets[measurement.source] = measurement

    def clock_lost(self, reason):
        raise reason


async def entries(whole, kind):
    bodies = await whole.reader().bodies(EntryFilter(kind=kind), start=0, stop=1000, limit=1000)
    return [parse_entry(body) for body in bodies]


def a_monitor(whole, clock, seen, **options):
    contents = PostgresContents(whole.assembled.database, EVENTS)
    return Monitor(
        sequencer=whole.assembled.opened["events"].sequencer,
        clock=clock,
        expected=("policy", "decision"),
        silent_after_s=60,
        clock_interval_s=900,
        observer=seen,
        newest_of=contents.newest_of,
        **{"sources": (), **options},
    )


async def test_a_producer_that_falls_silent_and_speaks_again_is_recorded_once_each(whole):
    seen, clock = Seen(), FixedClock(NOON)
    watching = a_monitor(whole, clock, seen)
    watching.watching.expect(("policy", "decision"), NOON)
    await watching.heartbeat("policy", 3, None)

    await watching.look(NOON + timedelta(seconds=60))
    nobody = list(seen.now_silent)
    for second in (61, 62):
        await watching.look(NOON + timedelta(seconds=second))
    both = list(seen.now_silent)
    clock.advance(timedelta(seconds=70))
    await watching.heartbeat("policy", 0, None)
    await watching.look(clock.now())

    assert (nobody, both, seen.now_silent) == ([], ["policy", "decision"], ["decision"])
    silent = [json.loads(each.event.data) for each in await entries(whole, "audit.producer.silent")]
    assert [(each["producer"], each["last_heard_time"], each["waiting_events"]) for each in silent] == [
        ("policy", "2026-11-22T12:00:00.250000Z", 3),
        ("decision", None, 0),
    ]
    assert len(await entries(whole, "audit.producer.heard")) == 1


async def test_a_relay_is_heard_and_its_clock_is_measured(whole, monkeypatch):
    monkeypatch.setattr(heart, "BEAT_S", 0.0)
    beating = Heart(whole.channel("decision_service", subject="decision_service"), "decision", SystemClock())

    for second in range(2):
        await beating.beat(7, float(second))

    stub = MonitorServiceStub(whole.channel("compliance_officer", subject="carl"))
    status = await stub.GetStatus(pb.GetStatusRequest())
    heard = {each.producer: each for each in status.producers}["decision"]
    assert (heard.silent, heard.waiting_events, heard.HasField("heard_time")) == (False, 7, True)
    (measured,) = status.clocks
    assert measured.source == "decision"
    # One computer has one clock: the truth, no difference, is within what is uncertain.
    assert abs(measured.measurement.offset_us) <= measured.measurement.uncertainty_us


async def test_nobody_speaks_for_another(whole):
    stub = MonitorServiceStub(whole.channel("decision_service", subject="decision_service"))
    request = pb.HeartbeatRequest(producer="execution")
    request.send_time.GetCurrentTime()

    error = await refused(stub.Heartbeat(request))

    assert (error.code, error.reason) == (grpc.StatusCode.PERMISSION_DENIED, "ROLE_MISSING")


async def test_a_clock_check_is_an_entry_from_which_the_clock_log_is_made(whole):
    seen, clock = Seen(), SystemClock()
    watching = a_monitor(whole, clock, seen, sources=[DatabaseClock(whole.assembled.database, clock)])
    await watching.heartbeat("policy", 0, (30_000, 15_000))
    await watching.heartbeat("decision", 0, (-40_000, 15_000))

    await watching.check_clocks()

    rows = [row for each in await entries(whole, "audit.clock.checked") for row in CLOCK_REPORT.rows([Fact.of(each)])]
    assert [missing(CLOCK_REPORT, row) for row in rows] == [[], [], []]
    said = {row.values["source"]: row.values for row in rows}
    # Within the limit for certain, or not: what is uncertain counts against it.
    assert (said["policy"]["within_50_ms"], said["decision"]["within_50_ms"]) == (True, False)
    assert said["policy"]["within_1_ms"] is False
    database = said["database"]
    assert abs(database["offset_us"]) <= database["uncertainty_us"] + 1
    assert abs(seen.offsets["database"].offset_us) < LIMIT_FINRA_US


@pytest.mark.parametrize(("taken_after_s", "due_after_s"), [(800, 100), (890, 15), (5_000, 15)])
async def test_who_takes_the_log_over_checks_clocks_by_the_schedule_and_hears_producers_first(
    whole, monkeypatch, taken_after_s, due_after_s
):
    monkeypatch.setattr(monitor, "LOOK_S", 0.005)
    await a_monitor(whole, SystemClock(), Seen()).check_clocks()
    (before,) = await entries(whole, CLOCK_KIND)
    seen, clock, stop = Seen(), FixedClock(before.recorded_time + timedelta(seconds=taken_after_s)), asyncio.Event()
    watching = asyncio.create_task(a_monitor(whole, clock, seen).run(stop))

    async def looked():
        # Twice, as one look may be under way.
        wanted = seen.looks + 2
        await until(lambda: seen.looks >= wanted)
        return len(await entries(whole, CLOCK_KIND))

    counts = []
    try:
        for seconds in (0, due_after_s - 1, 1, 899, 1):
            clock.advance(timedelta(seconds=seconds))
            counts.append(await looked())
    finally:
        stop.set()
        await watching

    assert counts == [1, 1, 2, 2, 3]


def test_clocks_that_are_apart_for_certain_are_an_alarm_once_and_slow_answers_are_none():
    alarms = Alarms()
    with capture_logs() as said:
        for offset_us, uncertainty_us in (
            (-59_381, 91_868), (60_000, 30_000), (70_000, 30_000), (30_000, 30_000), (5_000, 1_000), (5_000, 900)
        ):  # fmt: skip
            alarms.clock(Measurement("policy", ClockKind.PRODUCER, offset_us, uncertainty_us, NOON))

    assert [(each["event"], each["offset_us"]) for each in said] == [
        ("clocks apart", 60_000),
        ("clocks together again", 5_000),
    ]
