"""Every event reaches audit once, in order, however often either side fails."""

from uuid import RFC_4122, UUID, uuid4

import grpc
import pytest
from google.rpc import code_pb2
from sqlalchemy import select

from evenkeel.audit.v1 import audit_service_pb2 as audit
from evenkeel.audit.v1 import audit_service_pb2_grpc
from services.kernel.canonical import canonical_json
from services.kernel.errors import Invalid, Overloaded
from services.kernel.events import EVENT_DATA_BYTES_MAX, Event
from services.runtime import context
from services.runtime.client import connect
from services.runtime.database import Database
from services.runtime.interceptors.errors import STATUS_METADATA, status_of
from services.runtime.outbox import relay
from services.runtime.outbox.table import new_event_ids
from services.runtime.workers import Workers
from tests.runtime.counter.running import add, until
from tests.runtime.counter.tables import outbox


class Log(audit_service_pb2_grpc.AuditServiceServicer):
    """Stands for audit: remembers events in order, each id once, as its contract says."""

    def __init__(self):
        self.events = []
        self.batches = []
        self.contexts = []
        self.refuses = None
        self.loses_answers = 0

    async def Append(self, request, context):
        known = {event.event_id: index for index, event in enumerate(self.events)}
        fact = self.refuses(request) if self.refuses else None
        if fact is not None:
            status = status_of(fact)
            context.set_trailing_metadata(((STATUS_METADATA, status.SerializeToString()),))
            await context.abort(grpc.StatusCode[code_pb2.Code.Name(status.code)], status.message)
        answer = audit.AppendResponse()
        for event in request.events:
            new = event.event_id not in known
            if new:
                known[event.event_id] = len(self.events)
                self.events.append(event)
            status = audit.AppendResult.STATUS_APPENDED if new else audit.AppendResult.STATUS_DUPLICATE
            answer.results.add(index=known[event.event_id], status=status)
        self.batches.append(len(request.events))
        self.contexts.append(dict(context.invocation_metadata()).get("traceparent"))
        if self.loses_answers:
            self.loses_answers -= 1
            await context.abort(grpc.StatusCode.CANCELLED, "the answer was lost")
        return answer

    def names(self):
        return [subject.id for event in self.events for subject in event.subjects]


class Audit:
    """Audit's process: it can be down, and come back at the same address."""

    def __init__(self):
        self.log = Log()
        self.port = 0
        self.server = None

    async def up(self):
        self.server = grpc.aio.server()
        audit_service_pb2_grpc.add_AuditServiceServicer_to_server(self.log, self.server)
        self.port = self.server.add_insecure_port(f"127.0.0.1:{self.port}")
        await self.server.start()

    async def down(self):
        if self.server is not None:
            await self.server.stop(None)
            self.server = None


@pytest.fixture
async def peer():
    peer = Audit()
    await peer.up()
    yield peer
    await peer.down()


@pytest.fixture
async def channel(peer):
    channel = connect(f"127.0.0.1:{peer.port}")
    yield channel
    await channel.close()


@pytest.fixture
async def database(counter_settings):
    database = Database(counter_settings)
    yield database
    await database.close()


@pytest.fixture
async def ship(database, channel):
    """Start relays; each is stopped at the end."""
    running = []

    def one(of=None):
        workers = Workers([relay(of or database, channel)])
        workers.start()
        running.append(workers)
        return workers

    yield one
    for workers in running:
        await workers.stop(10)


async def emit(database, *names, data=None):
    async with database.begin() as transaction:
        await transaction.emit(*(Event("counter.added", {"request": name}, data or {}) for name in names))


async def unshipped(database):
    async with database.read() as connection:
        found = await connection.execute(select(outbox.c.event_id).where(outbox.c.shipped_time.is_(None)))
        return len(found.all())


def test_ids_of_events_are_uuids_by_time_and_never_the_same():
    before, now = ([UUID(each) for each in new_event_ids(2_000).strip("{}").split(",")] for _ in range(2))

    assert len({*before, *now}) == 4_000
    assert {(each.version, each.variant) for each in [*before, *now]} == {(7, RFC_4122)}
    assert before == sorted(before)
    assert now == sorted(now)
    assert before[0].int >> 80 <= now[0].int >> 80
    assert new_event_ids(0) == "{}"


async def test_an_event_arrives_as_it_was_written(database, peer, ship):
    ship()
    with context.acting_as(context.Caller("ann")):
        await emit(database, "apples", data={"b": 1, "a": None})
    await until(lambda: peer.log.events)

    (event,) = peer.log.events
    assert event.kind == "counter.added"
    assert (event.producer, event.actor) == ("policy", "ann")
    assert event.data == canonical_json({"a": None, "b": 1})
    assert [(subject.kind, subject.id) for subject in event.subjects] == [("request", "apples")]


async def test_background_work_acts_as_its_service(database, peer, ship):
    ship()
    await emit(database, "apples")
    await until(lambda: peer.log.events)

    assert peer.log.events[0].actor == "policy_service"


async def test_what_was_acknowledged_is_marked_with_its_place_in_the_log(database, peer, ship):
    ship()
    await emit(database, "first", "second")
    await until(lambda: len(peer.log.events) == 2)

    async def placed():
        async with database.read() as connection:
            places = await connection.execute(select(outbox.c.audit_index).order_by(outbox.c.seq))
            return places.scalars().all() == [0, 1]

    await until(placed)
    assert await unshipped(database) == 0


async def test_an_audit_outage_delays_events_and_loses_none(database, peer, ship, recorded):
    await peer.down()
    ship()
    names = [f"event-{number}" for number in range(1200)]
    for start in range(0, 1200, 100):
        await emit(database, *names[start : start + 100])
    await until(lambda: any(value == 1200 for _, value in recorded.points("evenkeel.outbox.lag")))

    await peer.up()
    await until(lambda: len(peer.log.events) == 1200)

    assert peer.log.names() == names
    assert max(peer.log.batches) <= 500
    await until(lambda: _left(database, 0))


async def _left(database, count):
    return await unshipped(database) == count


async def test_a_lost_answer_ships_again_and_audit_has_it_once(database, peer, ship):
    peer.log.loses_answers = 2
    ship()
    await emit(database, "apples", "pears")
    await until(lambda: _left(database, 0))

    assert peer.log.names() == ["apples", "pears"]
    assert len(peer.log.batches) == 3


async def test_backpressure_is_waited_for(database, peer, ship):
    class LogBackpressure(Overloaded):
        reason = "LOG_BACKPRESSURE"

    answers = iter([LogBackpressure("full"), LogBackpressure("full")])
    peer.log.refuses = lambda _: next(answers, None)
    ship()
    await emit(database, "apples")
    await until(lambda: _left(database, 0))

    assert peer.log.names() == ["apples"]


async def test_an_event_that_audit_refuses_holds_up_no_other(database, peer, ship):
    peer.log.refuses = lambda request: (
        Invalid("no") if any(subject.id == "bad" for event in request.events for subject in event.subjects) else None
    )
    ship()
    await emit(database, "good", "bad", "better")
    await until(lambda: len(peer.log.events) == 2)
    await emit(database, "best")
    await until(lambda: len(peer.log.events) == 3)

    assert peer.log.names() == ["good", "better", "best"]
    await until(lambda: _left(database, 1))


async def test_a_refused_event_among_hundreds_is_found_by_halves(database, peer, ship):
    peer.log.refuses = lambda request: (
        Invalid("no") if any(subject.id == "bad" for event in request.events for subject in event.subjects) else None
    )
    names = [f"event-{number}" for number in range(400)]
    ship()
    await emit(database, *names[:217], "bad", *names[217:])
    await until(lambda: len(peer.log.events) == 400)

    assert peer.log.names() == names
    assert len(peer.log.batches) < 12
    await until(lambda: _left(database, 1))


async def test_of_two_relays_one_ships_and_the_other_takes_over(database, counter_settings, peer, ship):
    other = Database(counter_settings)
    first = ship()
    await emit(database, "one")
    await until(lambda: len(peer.log.events) == 1)
    ship(other)
    await first.stop(10)
    await emit(other, "two")
    await until(lambda: len(peer.log.events) == 2)

    assert peer.log.names() == ["one", "two"]
    await until(lambda: _left(database, 0))
    await other.close()


async def test_a_relay_that_is_told_to_stop_ships_what_waits_first(database, peer, ship):
    workers = ship()
    await emit(database, "one")
    await until(lambda: peer.log.events)
    await emit(database, *(f"more-{number}" for number in range(700)))
    await workers.stop(10)

    assert len(peer.log.events) == 701
    assert await unshipped(database) == 0


async def test_shipping_continues_the_trace_of_each_event(database, peer, ship, recorded):
    with context.continued(None, "first run"):
        await emit(database, "a", "b")
        first = context.trace_parent()
    with context.continued(None, "second run"):
        await emit(database, "c")
        second = context.trace_parent()
    ship()
    await until(lambda: len(recorded.named("ship outbox")) == 2)

    # One call for all, in the trace of the first; a span in each trace.
    assert peer.log.batches == [3]
    assert [parent[3:35] for parent in peer.log.contexts] == [first[3:35]]
    shipping = {f"{each.context.trace_id:032x}": each for each in recorded.named("ship outbox")}
    assert {trace: each.attributes["evenkeel.events"] for trace, each in shipping.items()} == {
        first[3:35]: 2,
        second[3:35]: 1,
    }
    assert {event.trace_parent for event in peer.log.events[:2]} == {first}


async def test_an_idle_relay_leaves_no_spans(database, peer, ship, recorded):
    ship()
    await emit(database, "a")
    await until(lambda: peer.log.events)
    await until(lambda: _left(database, 0))

    names = {span.name for span in recorded.spans if span.parent is None}
    assert names <= {"ship outbox"}
    assert len(recorded.named("ship outbox")) == 1


async def test_an_event_belongs_to_the_call_that_made_it(counter, channel, peer, recorded):
    workers = Workers([relay(counter.database, channel)])
    workers.start()
    await counter.stub(subject="ann").Add(add())
    await until(lambda: peer.log.events)
    await workers.stop(10)

    (served,) = recorded.named("evenkeel.countertest.v1.CounterService/Add")[:1]
    assert peer.log.events[0].actor == "ann"
    assert peer.log.events[0].trace_parent[3:35] == format(served.context.trace_id, "032x")


async def test_an_event_that_audit_could_not_take_is_never_written(database):
    with pytest.raises(ValueError, match="at most 61440 bytes"):
        await emit(database, "a", data={"text": "x" * EVENT_DATA_BYTES_MAX})

    assert await unshipped(database) == 0


async def test_a_transaction_that_rolls_back_tells_nothing(database):
    class Stopped(Exception):
        pass

    async def change():
        async with database.begin() as transaction:
            await transaction.emit(Event("counter.added", {"request": str(uuid4())}, {}))
            raise Stopped

    with pytest.raises(Stopped):
        await change()

    assert await unshipped(database) == 0
    assert not database.events_waiting.is_set()
