"""What a service writes to its outbox is in the log: once, in order, in its trace."""

import asyncio
from datetime import timedelta
from decimal import Decimal

import asyncpg
import pytest

from services.kernel.events import Event
from services.runtime.client import connect
from services.runtime.context import Caller, acting_as
from services.runtime.database import Database
from services.runtime.outbox import relay
from services.runtime.telemetry import span
from tests.audit.check_log import check_log
from tests.support.telemetry import record


@pytest.fixture
async def policy(policy_database):
    database = Database(policy_database.settings())
    yield database
    await database.close()


async def shipped(service, policy, count):
    """Relay until the log has `count` entries."""
    token = service.issuer.token("policy", ["policy_service"], timedelta(minutes=5))
    async with connect(f"127.0.0.1:{service.server.port}", token=lambda: token) as channel:
        stop = asyncio.Event()
        worker = asyncio.create_task(relay(policy, channel).run(stop))
        grown = service.growing
        while (await service.reader.checkpoint()).checkpoint.size < count:
            await grown.wait(grown.next())
        stop.set()
        await worker


async def test_events_of_a_service_arrive_once_in_order_and_in_their_trace(service, policy):
    recorded = record()
    with span("a change") as change, acting_as(Caller("alice")):
        for number in range(3):
            async with policy.begin() as transaction:
                await transaction.emit(
                    *(
                        Event(
                            kind="policy.node.changed",
                            subjects={"policy_node": f"node-{number}", "account": "acc-1"},
                            data={"weight": Decimal("0.25"), "why": "äö \u0001 𐀀", "number": 10 * number + at},
                        )
                        for at in range(2)
                    )
                )

    await shipped(service, policy, 6)

    entries = await check_log(service.reader)
    assert [entry.event.data for entry in entries] == [
        f'{{"number":{number},"weight":"0.25","why":"äö \\u0001 𐀀"}}'.encode() for number in (0, 1, 10, 11, 20, 21)
    ]
    assert {(entry.event.producer, entry.event.actor) for entry in entries} == {("policy", "alice")}
    assert [entry.account_sequence for entry in entries] == [1, 2, 3, 4, 5, 6]
    trace_id = f"{change.get_span_context().trace_id:032x}"
    assert {entry.event.trace_id for entry in entries} == {trace_id}
    appended = recorded.named("audit.append")
    assert {f"{each.context.trace_id:032x}" for each in appended} == {trace_id}
    assert {each.parent.span_id for each in appended} == {change.get_span_context().span_id}


async def test_what_was_shipped_and_not_marked_is_shipped_again_and_stands_once(service, policy, policy_database):
    async with policy.begin() as transaction:
        await transaction.emit(Event(kind="policy.node.changed", subjects={"policy_node": "n"}, data={"a": 1}))
    await shipped(service, policy, 1)
    owner = await asyncpg.connect(policy_database.owner_url)
    await owner.execute("update policy.outbox set shipped_time = null, audit_index = null")
    async with policy.begin() as transaction:
        await transaction.emit(Event(kind="policy.node.changed", subjects={"policy_node": "n"}, data={"a": 2}))

    await shipped(service, policy, 2)

    marks = await owner.fetch("select audit_index from policy.outbox where shipped_time is not null order by seq")
    await owner.close()
    assert len(await check_log(service.reader)) == 2
    assert [mark["audit_index"] for mark in marks][:1] == [0]
