"""Several logs side by side, and the one that says who looked."""

import asyncio
import json

import asyncpg
import grpc

from evenkeel.audit.v1 import audit_service_pb2 as pb
from services.audit.app.access import EVERY_ACCOUNT, EXPORTED_KIND, READ_KIND, SCOPE
from services.audit.config import LogSettings
from services.audit.domain.checkpoint import open_checkpoint
from services.audit.domain.filter import EntryFilter
from services.audit.main import migrate
from services.audit.store import PostgresReader, create_logs, elect, stored_logs
from services.audit.tables import log_tables
from services.runtime.database import Database
from tests.audit.api.conftest import OpenLog, message_of
from tests.audit.api.test_audit_service import refused, until
from tests.audit.builders import ACCESS_KEY, KEY, an_event, some_events
from tests.audit.check_log import check_log


async def accesses(service):
    """What the access log says, oldest first."""
    return await check_log(service.access.reader, key=ACCESS_KEY)


async def test_reading_is_recorded_before_the_answer_and_the_answer_says_where(service):
    await service.append(an_event("one", account="acc-7", subjects={"plan": "plan-1"}))

    call = service.stub("compliance_officer", subject="carol").GetEntry(pb.GetEntryRequest(index=0))
    header = dict(await call.initial_metadata())
    answer = await call

    (entry,) = await accesses(service)
    assert header["evenkeel-access-index"] == str(entry.index) == "0"
    assert (entry.event.kind, entry.event.actor, entry.event.producer) == (READ_KIND, "carol", "audit")
    assert entry.event.subjects == {"account": "acc-7", "plan": "plan-1"}
    assert json.loads(entry.event.data) == {
        "log": "events",
        "method": "evenkeel.audit.v1.AuditService/GetEntry",
        "question": {"event_id": answer.entry.event.event_id, "index": 0},
        "roles": ["compliance_officer"],
    }


async def test_a_list_about_nobody_in_particular_names_whom_it_showed(service):
    await service.append(*some_events(9))

    await service.reading.ListEntries(pb.ListEntriesRequest(page_size=5, filter=pb.EntryFilter(actor="alice")))
    await service.reading.ListEntries(
        pb.ListEntriesRequest(filter=pb.EntryFilter(subjects=[pb.Subject(kind="account", id="acc-1")]))
    )

    broad, narrow = await accesses(service)
    said = json.loads(broad.event.data)
    assert broad.event.subjects == {SCOPE: EVERY_ACCOUNT}
    assert said["accounts"] == ["acc-0", "acc-1", "acc-2"]
    assert said["question"] == {"actor": "alice", "first": 0, "last": 4, "shown": 5, "tree_size": 9}
    assert narrow.event.subjects == {"account": "acc-1"}


async def test_a_stream_is_recorded_once_before_its_first_row(service):
    await service.append(*some_events(3))

    stream = service.reading.StreamEntries(pb.StreamEntriesRequest(follow=True))
    await stream.read()
    recorded = await accesses(service)
    await service.append(*some_events(2, "more"))
    await stream.read()
    stream.cancel()

    assert [entry.event.subjects for entry in recorded] == [{SCOPE: EVERY_ACCOUNT}]
    assert await accesses(service) == recorded


async def test_nothing_is_shown_that_cannot_be_recorded(service):
    await service.append(*some_events(2))
    # The access log is somebody else's: nothing can be recorded here.
    stopped = asyncio.Event()
    stopped.set()
    await until(lambda: service.access.sequencer.writing)
    service.access.sequencer._refuse_waiting(Exception("never told"))

    for call in (
        service.reading.GetEntry(pb.GetEntryRequest(index=0)),
        service.reading.ListEntries(pb.ListEntriesRequest()),
        service.reading.StreamEntries(pb.StreamEntriesRequest()).read(),
    ):
        async with refused(grpc.StatusCode.UNAVAILABLE, "LOG_WRITER_ELSEWHERE"):
            await call
    # What shows no entry needs no record.
    assert (await service.reading.GetCheckpoint(pb.GetCheckpointRequest())).checkpoint.size == 2


async def test_the_access_log_is_read_and_proven_like_any_other_and_reading_it_is_recorded_too(service):
    await service.append(an_event("one"))
    await service.reading.GetEntry(pb.GetEntryRequest(index=0))

    seen = await service.reading.ListEntries(pb.ListEntriesRequest(log="access"))
    proof = await service.reading.GetInclusionProof(pb.GetInclusionProofRequest(log="access", index=0))

    assert [entry.event.kind for entry in seen.entries] == [READ_KIND]
    opened = open_checkpoint(proof.checkpoint.note, origin=ACCESS_KEY.name, keys=[ACCESS_KEY.verifier_key])
    assert opened.size == 2
    assert [json.loads(entry.event.data)["log"] for entry in await accesses(service)] == ["events", "access"]


async def test_only_audit_itself_writes_the_access_log_and_unknown_logs_are_refused(service):
    forged = pb.AppendRequest(log="access", events=[message_of(an_event("one", kind=EXPORTED_KIND))])

    async with refused(grpc.StatusCode.PERMISSION_DENIED, "LOG_RESERVED"):
        await service.producer.Append(forged)
    async with refused(grpc.StatusCode.NOT_FOUND, "LOG_UNKNOWN"):
        await service.reading.ListEntries(pb.ListEntriesRequest(log="nowhere"))
    async with refused(grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID"):
        await service.reading.ListEntries(pb.ListEntriesRequest(log='x"; drop table'))
    assert await accesses(service) == []


async def test_logs_for_tenants_are_made_once_and_share_nothing(audit_database):
    settings = audit_database.settings()
    made = [await create_logs(settings, {"tenant_a", "tenant_b", "access"}) for _ in range(2)]
    database = Database(settings)
    keys = {name: KEY.derived(f"audit.example/{name}") for name in ("tenant_a", "tenant_b")}
    opened = {name: OpenLog(database, name, key) for name, key in keys.items()}
    stop = asyncio.Event()
    tasks = [asyncio.create_task(each.sequencer.run(stop)) for each in opened.values()]

    # The same event in two logs is an entry of each.
    first, second = await asyncio.gather(
        opened["tenant_a"].app.append(some_events(300)), opened["tenant_b"].app.append(some_events(40))
    )
    stop.set()
    await asyncio.gather(*tasks)

    assert made == [["tenant_a", "tenant_b"], []]
    assert await stored_logs(database) == ["access", "events", "records", "tenant_a", "tenant_b"]
    assert (first.checkpoint.checkpoint.origin, first.checkpoint.checkpoint.size) == ("audit.example/tenant_a", 300)
    assert (second.checkpoint.checkpoint.origin, second.checkpoint.checkpoint.size) == ("audit.example/tenant_b", 40)
    for name, each in opened.items():
        assert len(await check_log(each.reader, key=keys[name])) == {"tenant_a": 300, "tenant_b": 40}[name]
    assert await PostgresReader(database).bodies(EntryFilter(), start=0, stop=9, limit=9) == []
    async with elect(database, "audit.example/tenant_a", "tenant_a") as writer:
        assert await writer.sequences(["acc-1"]) == {"acc-1": 75}
    await database.close()


async def test_migrating_makes_the_logs_that_the_settings_name(audit_database, audit_settings):
    settings = audit_settings(logs={"tenant_c": LogSettings()})
    await migrate(settings)

    connection = await asyncpg.connect(audit_database.url)
    for table in log_tables("tenant_c").all:
        assert await connection.fetchval(f"select count(*) from audit.{table.name}") == 0
    await connection.close()
