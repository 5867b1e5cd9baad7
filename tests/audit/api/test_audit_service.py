import asyncio
from contextlib import asynccontextmanager

import asyncpg
import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from evenkeel.audit.v1 import audit_service_pb2 as pb
from services.audit.domain.checkpoint import open_checkpoint
from services.audit.domain.entry import EVENT_BYTES_MAX
from services.audit.domain.merkle import leaf_hash, verify_consistency, verify_inclusion
from services.audit.domain.verify import LogVerifier
from tests.audit.api.conftest import message_of
from tests.audit.builders import KEY, ORIGIN, TRACE_PARENT, an_event, an_event_id, some_events
from tests.audit.check_log import check_log
from tests.support.telemetry import record

APPENDED, DUPLICATE, CONFLICT = 1, 2, 3


@asynccontextmanager
async def refused(code, reason):
    """The call within is refused so; gives its details, by type."""
    details = {}
    with pytest.raises(grpc.aio.AioRpcError) as error:
        yield details
    status = rpc_status.from_call(error.value)
    assert status is not None, error.value
    for kind in (error_details_pb2.ErrorInfo, error_details_pb2.BadRequest, error_details_pb2.RetryInfo):
        for packed in status.details:
            if packed.Is(kind.DESCRIPTOR):
                details[kind.__name__] = kind()
                packed.Unpack(details[kind.__name__])
    assert (error.value.code(), details["ErrorInfo"].reason) == (code, reason)


async def until(condition):
    """Let the server work until `condition` holds."""
    for _ in range(5_000):
        if condition():
            return
        await asyncio.sleep(0.001)
    pytest.fail("never came to be")


def opened(checkpoint):
    return open_checkpoint(checkpoint.note, origin=ORIGIN, keys=[KEY.verifier_key])


async def test_appended_events_are_answered_with_their_indexes_and_a_covering_checkpoint(service):
    answer = await service.append(*some_events(3))

    assert [(result.index, result.status) for result in answer.results] == [(0, APPENDED), (1, APPENDED), (2, APPENDED)]
    assert opened(answer.checkpoint).size == answer.checkpoint.size == 3
    assert opened(answer.checkpoint).root == answer.checkpoint.root_hash
    assert len(await check_log(service.reader)) == 3


async def test_the_same_events_again_are_the_same_entries_and_another_under_an_id_conflicts(service):
    await service.append(*some_events(3))

    answer = await service.append(*some_events(4), an_event("event 1", actor="mallory"))

    assert [(result.index, result.status) for result in answer.results] == [
        (0, DUPLICATE),
        (1, DUPLICATE),
        (2, DUPLICATE),
        (3, APPENDED),
        (1, CONFLICT),
    ]
    assert [entry.event.kind for entry in await check_log(service.reader)][4:] == ["audit.event.conflict_refused"]


async def test_an_id_in_capitals_is_the_same_id(service):
    event = message_of(an_event("one"))
    event.event_id = event.event_id.upper()

    first = await service.producer.Append(pb.AppendRequest(events=[event]))
    again = await service.append(an_event("one"))

    assert (first.results[0].status, again.results[0].status) == (APPENDED, DUPLICATE)
    assert (await service.reading.GetEntry(pb.GetEntryRequest(event_id=event.event_id))).entry.index == 0


async def test_an_entry_is_found_by_index_and_by_event(service):
    event = an_event("one", subjects={"plan": "plan-1", "run": "run-1"}, data={"why": "drift"})
    await service.append(an_event("zero"), event)

    by_index = (await service.reading.GetEntry(pb.GetEntryRequest(index=1))).entry
    by_event = (await service.reading.GetEntry(pb.GetEntryRequest(event_id=event.event_id))).entry

    assert by_index == by_event
    expected = message_of(event)
    assert sorted(by_index.event.subjects, key=str) == sorted(expected.subjects, key=str)
    del by_index.event.subjects[:], expected.subjects[:]
    assert by_index.event == expected
    assert by_index.leaf_hash == leaf_hash(by_index.body)
    assert (by_index.index, by_index.account_sequence) == (1, 2)


async def test_what_the_log_does_not_have_is_not_found(service):
    await service.append(an_event("one"))
    reading = service.reading

    for request in (pb.GetEntryRequest(index=1), pb.GetEntryRequest(index=2**64 - 1)):
        async with refused(grpc.StatusCode.NOT_FOUND, "ENTRY_NOT_FOUND"):
            await reading.GetEntry(request)
    async with refused(grpc.StatusCode.NOT_FOUND, "ENTRY_NOT_FOUND"):
        await reading.GetEntry(pb.GetEntryRequest(event_id=an_event_id("never")))
    async with refused(grpc.StatusCode.NOT_FOUND, "TREE_SIZE_UNKNOWN"):
        await reading.GetCheckpoint(pb.GetCheckpointRequest(size=2))
    async with refused(grpc.StatusCode.NOT_FOUND, "ENTRY_NOT_FOUND"):
        await reading.GetInclusionProof(pb.GetInclusionProofRequest(index=1))
    async with refused(grpc.StatusCode.NOT_FOUND, "TREE_SIZE_UNKNOWN"):
        await reading.GetInclusionProof(pb.GetInclusionProofRequest(index=0, tree_size=7))
    async with refused(grpc.StatusCode.NOT_FOUND, "TREE_SIZE_UNKNOWN"):
        await reading.GetConsistencyProof(pb.GetConsistencyProofRequest(first_size=2))


async def test_proofs_lead_from_every_entry_and_every_older_checkpoint_to_the_signed_root(service):
    older = [opened((await service.append(*some_events(count, f"batch {count}"))).checkpoint) for count in (1, 260, 3)]
    reading = service.reading

    for size in (None, 1, 261, 264):
        for index in (0, 100, 255, 256, 260, 263):
            if size is None or index < size:
                proof = await reading.GetInclusionProof(pb.GetInclusionProofRequest(index=index, tree_size=size))
                head = opened(proof.checkpoint)
                entry = (await reading.GetEntry(pb.GetEntryRequest(index=index))).entry
                assert proof.leaf_hash == entry.leaf_hash
                assert head.size == (size or 264)
                verify_inclusion(
                    index=index, size=head.size, leaf=entry.leaf_hash, proof=list(proof.hashes), root=head.root
                )
    for first in older:
        proof = await reading.GetConsistencyProof(pb.GetConsistencyProofRequest(first_size=first.size))
        head = opened(proof.checkpoint)
        verify_consistency(
            first=first.size,
            second=head.size,
            first_root=first.root,
            second_root=head.root,
            proof=list(proof.hashes),
        )


async def test_sizes_that_fall_are_refused_naming_the_field(service):
    await service.append(*some_events(3))

    async with refused(grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID") as details:
        await service.reading.GetConsistencyProof(pb.GetConsistencyProofRequest(first_size=3, second_size=0))
    assert details["BadRequest"].field_violations[0].field == "first_size"
    async with refused(grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID"):
        await service.reading.GetConsistencyProof(pb.GetConsistencyProofRequest(first_size=0))


@pytest.mark.parametrize("descending", [False, True])
async def test_pages_show_the_log_as_it_was_at_the_first_page_however_it_grows(service, descending):
    await service.append(*some_events(25))
    reading, seen, token, grown = service.reading, [], "", 0
    while True:
        request = pb.ListEntriesRequest(page_size=4, page_token=token, descending=descending)
        page = await reading.ListEntries(request)
        seen += [entry.index for entry in page.entries]
        assert page.tree_size == 25
        await service.append(*some_events(3, f"later {grown}"))
        token, grown = page.next_page_token, grown + 1
        if not token:
            break

    assert seen == (list(range(24, -1, -1)) if descending else list(range(25)))
    assert grown == 7


async def test_a_list_shows_what_matches_its_filter(service):
    await service.append(*(an_event(n, account=f"acc-{n % 3}") for n in range(30)))

    wanted = pb.EntryFilter(subjects=[pb.Subject(kind="account", id="acc-1")], kind="decision.*", actor="alice")
    first = await service.reading.ListEntries(pb.ListEntriesRequest(filter=wanted, page_size=6))
    second = await service.reading.ListEntries(
        pb.ListEntriesRequest(filter=wanted, page_size=6, page_token=first.next_page_token)
    )

    assert [entry.index for entry in first.entries] == [1, 4, 7, 10, 13, 16]
    assert [entry.index for entry in second.entries] == [19, 22, 25, 28]
    assert [entry.account_sequence for entry in (*first.entries, *second.entries)] == list(range(1, 11))
    assert second.next_page_token == ""


async def test_a_page_of_large_entries_is_cut_and_goes_on(service):
    for batch in range(4):
        await service.append(*(an_event(f"{batch} {n}", data={"x": "y" * 60_000}) for n in range(15)))

    seen, token = [], ""
    while True:
        page = await service.reading.ListEntries(pb.ListEntriesRequest(page_size=60, page_token=token))
        assert page.ByteSize() < 4 * 1024 * 1024
        seen += [entry.index for entry in page.entries]
        token = page.next_page_token
        if not token:
            break

    assert seen == list(range(60))


async def test_a_token_of_another_list_is_refused(service):
    await service.append(*some_events(9))
    reading = service.reading
    token = (await reading.ListEntries(pb.ListEntriesRequest(page_size=2))).next_page_token

    for request in (
        pb.ListEntriesRequest(page_size=2, page_token=token, descending=True),
        pb.ListEntriesRequest(page_size=2, page_token=token, filter=pb.EntryFilter(actor="bob")),
        pb.ListEntriesRequest(page_size=2, page_token="nonsense"),
    ):
        async with refused(grpc.StatusCode.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID"):
            await reading.ListEntries(request)


async def test_the_whole_log_is_streamed_and_verifies(service):
    await service.append(*some_events(700))
    head = opened((await service.reading.GetCheckpoint(pb.GetCheckpointRequest())).checkpoint)

    verifier = LogVerifier([head])
    async for batch in service.reading.StreamEntries(pb.StreamEntriesRequest()):
        for entry in batch.entries:
            assert verifier.add(entry.body).index == entry.index
        assert batch.next_index == verifier.size

    assert verifier.report().size == 700


async def test_a_follower_sees_every_entry_as_it_comes_and_resumes_by_index(service):
    await service.append(*some_events(5, "before"))
    stream = service.reading.StreamEntries(pb.StreamEntriesRequest(start_index=3, follow=True))
    seen = []

    async def read_until(count):
        while len(seen) < count:
            batch = await stream.read()
            seen.extend(entry.index for entry in batch.entries)
            resume.append(batch.next_index)

    resume = []
    await read_until(2)
    for number in range(3):
        await service.append(*some_events(4, f"later {number}"))
        await read_until(2 + 4 * (number + 1))
    stream.cancel()
    again = service.reading.StreamEntries(pb.StreamEntriesRequest(start_index=resume[1]))

    assert seen == list(range(3, 17))
    assert [entry.index async for batch in again for entry in batch.entries] == list(range(resume[1], 17))


async def test_a_filtered_follower_learns_how_far_it_looked(service):
    await service.append(*(an_event(n, kind="a.b" if n % 10 else "c.d") for n in range(30)))

    request = pb.StreamEntriesRequest(filter=pb.EntryFilter(kind="c.d"))
    batches = [batch async for batch in service.reading.StreamEntries(request)]

    assert [entry.index for batch in batches for entry in batch.entries] == [0, 10, 20]
    assert batches[-1].next_index == 30


async def test_only_what_the_contract_permits_is_done(service):
    request = pb.AppendRequest(events=[message_of(an_event("one"))])
    for roles in (["compliance_officer"], ["trader"], []):
        async with refused(grpc.StatusCode.PERMISSION_DENIED, "ROLE_MISSING"):
            await service.stub(*roles).Append(request)
    async with refused(grpc.StatusCode.PERMISSION_DENIED, "ROLE_MISSING"):
        await service.producer.ListEntries(pb.ListEntriesRequest())
    assert await check_log(service.reader) == []


async def test_a_service_cannot_speak_for_another(service):
    events = [an_event("mine"), an_event("not mine", producer="policy")]

    async with refused(grpc.StatusCode.PERMISSION_DENIED, "ROLE_MISSING") as details:
        await service.append(*events)

    assert details["ErrorInfo"].metadata["producer"] == "policy"
    assert await check_log(service.reader) == []


def malformed(**changes):
    message = message_of(an_event("bad"))
    for name, value in changes.items():
        if value is None:
            message.ClearField(name)
        elif name == "subjects":
            del message.subjects[:]
            message.subjects.extend(pb.Subject(kind=kind, id=each) for kind, each in value)
        elif name == "occurred_time":
            message.occurred_time.seconds, message.occurred_time.nanos = value
        else:
            setattr(message, name, value)
    return message


MALFORMED = [
    (malformed(event_id="x"), "events[1].event_id"),
    (malformed(event_id=an_event_id(1).replace("-", "")), "events[1].event_id"),
    (malformed(kind="approved"), "events[1].kind"),
    (malformed(kind=""), "events[1].kind"),
    (malformed(kind="Decision.Plan"), "events[1].kind"),
    (malformed(producer=""), "events[1].producer"),
    (malformed(actor=""), "events[1].actor"),
    (malformed(actor="x" * 257), "events[1].actor"),
    (malformed(actor="nul\0"), "events[1].actor"),
    (malformed(occurred_time=None), "events[1].occurred_time"),
    (malformed(occurred_time=(0, 1)), "events[1].occurred_time"),
    (malformed(occurred_time=(10**15, 0)), "events[1].occurred_time"),
    (malformed(trace_parent="not a trace"), "events[1].trace_parent"),
    (malformed(subjects=[("account", "a"), ("account", "b")]), "events[1].subjects[1].kind"),
    (malformed(subjects=[("Account", "a")]), "events[1].subjects[0].kind"),
    (malformed(subjects=[("account", "")]), "events[1].subjects[0].id"),
    (malformed(subjects=[(f"k{'x' * n}", "a") for n in range(17)]), "events[1].subjects"),
    (malformed(data=b""), "events[1].data"),
    (malformed(data=b"{} "), "events[1].data"),
    (malformed(data=b'{"weight":0.5}'), "events[1].data"),
    (malformed(data=b"[" * 5_000), "events[1].data"),
    (malformed(data=b"x" * 61_441), "events[1].data"),
]


async def test_a_malformed_event_refuses_its_whole_batch_naming_the_field(service):
    good = message_of(an_event("good"))
    producer = service.producer

    for message, field in MALFORMED:
        async with refused(grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID") as details:
            await producer.Append(pb.AppendRequest(events=[good, message]))
        assert field in [violation.field for violation in details["BadRequest"].field_violations]

    assert await check_log(service.reader) == []
    assert (await service.append(an_event("good"))).results[0].index == 0


async def test_every_malformed_event_of_a_batch_is_named(service):
    events = [malformed(data=b"{} "), message_of(an_event("good")), malformed(trace_parent="x")]

    async with refused(grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID") as details:
        await service.producer.Append(pb.AppendRequest(events=events))

    assert [violation.field for violation in details["BadRequest"].field_violations] == [
        "events[0].data",
        "events[2].trace_parent",
    ]


async def test_an_event_too_large_for_an_entry_refuses_its_whole_batch(service):
    # Every field is within its own limit; together they are too much.
    subjects = {f"kind_{'x' * 26}{chr(97 + n)}": '"' * 128 for n in range(16)}
    large = an_event("large", account=None, subjects=subjects, data={"x": "y" * 61_000})
    assert large.size_bytes > EVENT_BYTES_MAX

    async with refused(grpc.StatusCode.INVALID_ARGUMENT, "EVENT_TOO_LARGE") as details:
        await service.append(an_event("good"), large)

    assert details["BadRequest"].field_violations[0].field == "events[1]"
    assert await check_log(service.reader) == []


@pytest.mark.parametrize("count", [0, 1001])
async def test_a_batch_has_1_to_1000_events(service, count):
    async with refused(grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID"):
        await service.append(*some_events(count))


async def test_a_full_queue_says_when_to_come_back_and_takes_nothing(service, audit_database):
    superuser = await asyncpg.connect(audit_database.admin_server_url, database=audit_database.name)
    try:
        async with superuser.transaction():
            # No commit can end while this lock is held.
            await superuser.execute("lock table audit.checkpoint_note in share mode")
            committing = asyncio.create_task(service.append(an_event("committing")))
            await until(lambda: service.sequencer.committing)
            waiting = asyncio.create_task(service.append(*some_events(60, "waiting")))
            await until(lambda: service.sequencer.queued_events)
            async with refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "LOG_BACKPRESSURE") as details:
                await service.append(*some_events(60, "refused"))
    finally:
        await superuser.close()
    await asyncio.gather(committing, waiting)
    again = await service.append(*some_events(60, "refused"))

    assert details["RetryInfo"].retry_delay.ToMilliseconds() > 0
    assert [result.index for result in again.results] == list(range(61, 121))
    assert len(await check_log(service.reader)) == 121


async def test_requests_that_say_nothing_or_nonsense_are_refused_and_the_service_goes_on(service):
    reading = service.reading
    for call, request in (
        (reading.GetEntry, pb.GetEntryRequest()),
        (reading.GetEntry, pb.GetEntryRequest(event_id="x")),
        (reading.ListEntries, pb.ListEntriesRequest(page_size=1001)),
        (reading.ListEntries, pb.ListEntriesRequest(filter=pb.EntryFilter(trace_id="xyz"))),
        (reading.ListEntries, pb.ListEntriesRequest(filter=pb.EntryFilter(subjects=[pb.Subject(kind="a", id="")]))),
    ):
        async with refused(grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID"):
            await call(request)

    assert (await service.append(an_event("after"))).results[0].index == 0


@pytest.mark.parametrize("kind", ["Bad Kind", "policy.*.x", "*", ".policy", "policy..x", "a.b.c.d.e.f.g"])
async def test_a_kind_that_no_event_can_have_is_refused(service, kind):
    async with refused(grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID") as details:
        await service.reading.ListEntries(pb.ListEntriesRequest(filter=pb.EntryFilter(kind=kind)))

    assert [each.field for each in details["BadRequest"].field_violations] == ["filter.kind"]


async def test_a_period_that_ends_before_it_begins_is_refused(service):
    wanted = pb.EntryFilter()
    wanted.start_time.FromSeconds(86_400)
    wanted.end_time.FromSeconds(3_600)

    async with refused(grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID") as details:
        await service.reading.ListEntries(pb.ListEntriesRequest(filter=wanted))

    (violation,) = details["BadRequest"].field_violations
    assert violation.field == "filter.end_time"
    assert violation.description == "must be after start_time, 1970-01-02T00:00:00Z, was 1970-01-01T01:00:00Z"


async def test_a_filter_of_any_text_matches_nothing_or_is_refused(service):
    await service.append(an_event("one"))
    reading = service.reading
    for text in ("nul\0", "*", ".*", "%", "'; drop table audit.entry; --", "a.*.*", "\U0010ffff.*"):
        for wanted in (
            pb.EntryFilter(kind=text),
            pb.EntryFilter(actor=text),
            pb.EntryFilter(producer=text),
            pb.EntryFilter(subjects=[pb.Subject(kind="account", id=text)]),
            pb.EntryFilter(subjects=[pb.Subject(kind="plan", id=text)]),
        ):
            call = reading.ListEntries(pb.ListEntriesRequest(filter=wanted))
            if await call.code() is grpc.StatusCode.OK:
                assert list((await call).entries) == []
            else:
                assert await call.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_an_append_is_a_span_in_the_trace_of_each_event(service):
    recorded = record()
    other = "00-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-bbbbbbbbbbbbbbbb-01"

    await service.append(*some_events(3), an_event("other", trace_parent=other), an_event("none", trace_parent=""))

    assert {
        (f"{span.context.trace_id:032x}", f"{span.parent.span_id:016x}", span.attributes["evenkeel.events"])
        for span in recorded.named("audit.append")
    } == {(TRACE_PARENT[3:35], TRACE_PARENT[36:52], 3), (other[3:35], other[36:52], 1)}
