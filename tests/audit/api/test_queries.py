"""What compliance asks, through the real server: whole records, stories, as of an instant, approvals, accesses."""

import asyncio
import dataclasses
import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import grpc
import pytest

from evenkeel.audit.v1 import audit_service_pb2 as log_pb
from evenkeel.audit.v1 import query_service_pb2 as pb
from evenkeel.audit.v1.query_service_pb2_grpc import AuditQueryServiceStub
from services.audit.domain.account_record import ProvenEntry, verify_record
from services.audit.domain.checkpoint import open_checkpoint
from services.audit.domain.closing import CLOSE_KIND
from services.audit.domain.merkle import Unproven, leaf_hash, verify_inclusion
from services.runtime.wire import instant_message, instant_of
from tests.audit.api.conftest import message_of
from tests.audit.api.test_audit_service import refused
from tests.audit.builders import ACCESS_KEY, KEY, an_event, some_events
from tests.audit.check_log import check_log
from tools.client.record import bounds_of, proven_of, read_record
from tools.verifier import audit_verify


def about(kind, subject_id):
    return log_pb.Subject(kind=kind, id=subject_id)


async def record_of(service, account, start=None, end=None):
    """The record as a client verifies it, and the parts it was verified from."""
    request = pb.GetAccountRecordRequest(account=account)
    if start is not None:
        request.start_time.CopyFrom(instant_message(start))
    if end is not None:
        request.end_time.CopyFrom(instant_message(end))
    verified = await read_record(SimpleNamespace(audit_queries=service.asking), str(KEY.verifier_key), request)
    messages = [message async for message in service.asking.GetAccountRecord(request)]
    header = messages[0].header
    checkpoint = open_checkpoint(header.checkpoint.note, origin=KEY.name, keys=[KEY.verifier_key])
    entries = [proven_of(each) for message in messages for each in message.entries]
    assert header.entry_count == len(entries)
    return verified, bounds_of(header), entries, checkpoint


async def recorded_time(service, index):
    entry = (await service.reading.GetEntry(log_pb.GetEntryRequest(index=index))).entry
    return instant_of(entry.recorded_time, "recorded_time")


async def test_a_record_of_another_account_or_period_is_not_taken_for_the_one_asked_for(service):
    await service.append(*some_events(40))
    others = pb.GetAccountRecordRequest(account="acc-2")
    later = pb.GetAccountRecordRequest(account="acc-1")
    later.start_time.CopyFrom(instant_message(await recorded_time(service, 39)))
    for given in (others, later):
        answers = SimpleNamespace(GetAccountRecord=lambda _, given=given: service.asking.GetAccountRecord(given))

        with pytest.raises(Unproven, match="asked was account acc-1 from the beginning"):
            await read_record(
                SimpleNamespace(audit_queries=answers),
                str(KEY.verifier_key),
                pb.GetAccountRecordRequest(account="acc-1"),
            )


async def test_everything_about_an_account_comes_with_the_proof_that_nothing_is_missing(service):
    for number in range(4):
        await service.append(*some_events(40, f"batch {number}"))

    verified, bounds, entries, checkpoint = await record_of(service, "acc-1")

    log = await check_log(service.reader)
    own = [entry for entry in log if entry.event.account == "acc-1"]
    assert list(verified.entries) == own
    assert [entry.account_sequence for entry in own] == list(range(1, len(own) + 1))
    assert bounds.after is None
    assert bounds.close is not None
    # Nothing can be left out: neither one within, nor the first, nor the last.
    for missing in range(len(entries)):
        with pytest.raises(Unproven):
            verify_record(bounds, entries[:missing] + entries[missing + 1 :], checkpoint)
    # Nor can the proof of completeness, or an entry be another's.
    with pytest.raises(Unproven, match="nothing shows"):
        verify_record(dataclasses.replace(bounds, close=None), entries, checkpoint)
    with pytest.raises(Unproven, match="of account acc-2"):
        verify_record(dataclasses.replace(bounds, account="acc-2"), entries, checkpoint)
    with pytest.raises(Unproven):
        verify_record(bounds, [dataclasses.replace(entries[0], body=entries[1].body), *entries[1:]], checkpoint)
    later = bounds.complete_until + timedelta(seconds=1)
    with pytest.raises(Unproven, match="before the period was over"):
        verify_record(dataclasses.replace(bounds, complete_until=later), entries, checkpoint)


async def test_the_offline_verifier_proves_a_record_and_refuses_one_with_anything_taken_out(service, tmp_path):
    await service.append(*some_events(24))
    policy, file = tmp_path / "policy.txt", tmp_path / "record.json"
    policy.write_text(f"log {KEY.verifier_key}\nquorum none\n")

    for account in ("acc-1", "nobody"):
        verified, *_ = await record_of(service, account)
        file.write_bytes(verified.file)
        assert audit_verify.main([str(policy), str(file)]) == audit_verify.PROVEN

        whole = json.loads(verified.file)
        shown = whole["entries"]
        bent = [whole | {"entries": shown[:at] + shown[at + 1 :]} for at in range(len(shown))]
        bent += [whole | {"close": None}, whole | {"account": "acc-2"}]
        bent += [whole | {"complete_until_time": "2999-01-01T00:00:00Z"}]
        bent += [{name: value for name, value in whole.items() if name != taken} for taken in whole]
        for each in bent:
            file.write_text(json.dumps(each))
            assert audit_verify.main([str(policy), str(file)]) == audit_verify.REFUSED


async def test_a_period_is_bounded_by_the_entries_on_both_sides(service):
    for number in range(5):
        await service.append(an_event(number), an_event(f"{number} other", account="acc-2"))
    times = [await recorded_time(service, 2 * number) for number in range(5)]

    verified, bounds, entries, checkpoint = await record_of(service, "acc-1", times[1], times[3])

    assert [entry.account_sequence for entry in verified.entries] == [2, 3]
    assert (bounds.before.index, bounds.after.index, bounds.close) == (0, 6, None)
    for start, end in ((times[0], times[3]), (times[1], times[4])):
        wider = dataclasses.replace(bounds, start_time=start, complete_until=end)
        with pytest.raises(Unproven, match="is in it"):
            verify_record(wider, entries, checkpoint)
    with pytest.raises(Unproven, match="left out"):
        verify_record(dataclasses.replace(bounds, before=None), entries, checkpoint)


async def test_that_an_account_has_no_entry_is_proven_too(service):
    await service.append(*some_events(12))

    verified, bounds, _, checkpoint = await record_of(service, "nobody")

    assert verified.entries == []
    assert 1 <= len(bounds.close.leaves) <= 2
    with pytest.raises(Unproven):
        verify_record(dataclasses.replace(bounds, account="acc-1"), [], checkpoint)


async def test_a_closed_log_is_not_closed_again_until_something_new_comes(service):
    await service.append(*some_events(6))
    first = await service.opened["events"].closer.close()
    again = await service.opened["events"].closer.close()
    await service.append(an_event("new", account="acc-0"))
    third = await service.opened["events"].closer.close()

    assert first == again
    assert (first.closing.covered_size, third.closing.covered_size) == (6, 8)
    kinds = [entry.event.kind for entry in await check_log(service.reader)]
    assert kinds.count(CLOSE_KIND) == 2
    # What is stored of numbers is what changed.
    tree = await service.opened["events"].closer.tree(third.closing)
    assert len(tree) == first.closing.account_count == third.closing.account_count == 3


async def test_the_record_of_a_log_that_grows_meanwhile_is_still_whole(service):
    stop = asyncio.Event()

    async def grow():
        number = 0
        while not stop.is_set():
            await service.append(*some_events(7, f"more {number}"))
            number += 1

    growing = asyncio.create_task(grow())
    try:
        sizes = []
        for _ in range(3):
            verified, *_ = await record_of(service, "acc-1")
            sizes.append(len(verified.entries))
    finally:
        stop.set()
        await growing
    assert sizes == sorted(sizes)


async def test_periods_that_are_none_and_accounts_that_cannot_be_are_refused(service):
    now = datetime(2026, 11, 28, tzinfo=UTC)
    empty = pb.GetAccountRecordRequest(account="a", start_time=instant_message(now), end_time=instant_message(now))
    for request in (empty, pb.GetAccountRecordRequest(), pb.GetAccountRecordRequest(account="a\tb")):
        async with refused(grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID"):
            await service.asking.GetAccountRecord(request).read()


TRADE = {"account": "acc-1", "plan": "plan-1", "run": "run-1"}


def a_rebalance():
    """What the three services tell of one account's order, and of another account in the same run and block."""

    def event(name, kind, subjects, data=None, **more):
        rest = {each: subjects[each] for each in subjects if each != "account"}
        return an_event(
            name,
            kind=kind,
            account=subjects.get("account"),
            subjects=rest or {"request": "r"},
            data=data or {},
            **more,
        )

    version = {"change": "change-1", "policy_version": "sha256:v1", "policy_node": "firm"}
    decided = {"policy_version_hashes": ["sha256:v0", "sha256:v1"], "price_set_id": "prices-1"}
    inputs = {"snapshot": "snapshot-1", "policy_version": "sha256:v1"}
    mine = TRADE | {"order": "order-1"}
    other = {"account": "acc-2", "plan": "plan-2", "run": "run-1"}
    return [
        event("created", "policy.change.created", version, {"author": "ann"}, actor="ann"),
        event("approved", "policy.change.approved", version, {"author": "ann"}, actor="bob"),
        event("version", "policy.version.activated", version),
        event("old version", "policy.version.activated", {"policy_version": "sha256:v0"}),
        event("unrelated", "policy.version.activated", {"policy_version": "sha256:v9"}),
        event("prices", "decision.prices.ingested", {"price_set": "prices-1"}),
        event("book", "decision.book.ingested", {"snapshot": "snapshot-1"}),
        event("run", "decision.run.started", {"run": "run-1", "snapshot": "snapshot-1"}, actor="dan"),
        event("decided", "decision.plan.decided", TRADE | inputs, decided),
        event("decided other", "decision.plan.decided", other, decided),
        event("plan approved", "decision.plan.approved", TRADE, {"approver": "eve"}, actor="eve"),
        event("accepted", "execution.plan.accepted", TRADE),
        event("order", "execution.order.accepted", mine),
        event("second order", "execution.order.accepted", TRADE | {"order": "order-2"}),
        event("formed", "execution.block.formed", {"block": "block-1"}),
        event(
            "shares",
            "execution.block.allocation_stated",
            {"block": "block-1"},
            {"shares": [["order-1", "acc-1", 5, 0], ["order-9", "acc-2", 5, 0]]},
        ),
        event(
            "other shares",
            "execution.block.allocation_stated",
            {"block": "block-2"},
            {"shares": [["order-8", "acc-3", 5, 0]]},
        ),
        event("filled", "execution.block.reported", {"block": "block-1"}),
        event("allocated", "execution.order.allocated", mine | {"block": "block-1"}),
        event("allocated other", "execution.order.allocated", other | {"order": "order-9", "block": "block-1"}),
        event("booked", "decision.account.booked", mine | {"block": "block-1", "snapshot": "snapshot-1"}),
    ]


# The events of `a_rebalance` that belong to the story of order-1, by their names' places.
STORY_OF_ORDER = [0, 1, 2, 3, 5, 6, 7, 8, 10, 11, 12, 14, 15, 17, 18, 20]


async def append_rebalance(service, count=21):
    roles = {"policy": "policy_service", "decision": "decision_service", "execution": "execution_service"}
    for event in a_rebalance()[:count]:
        producer = event.kind.partition(".")[0]
        said = dataclasses.replace(event, producer=producer)
        await service.stub(roles[producer]).Append(log_pb.AppendRequest(events=[message_of(said)]))


async def story(service, kind, subject_id):
    answer = await service.asking.GetStory(pb.GetStoryRequest(subject=about(kind, subject_id)))
    checkpoint = open_checkpoint(answer.checkpoint.note, origin=KEY.name, keys=[KEY.verifier_key])
    for each in answer.entries:
        verify_inclusion(
            index=each.proven.entry.index,
            size=checkpoint.size,
            leaf=leaf_hash(each.proven.entry.body),
            proof=list(each.proven.hashes),
            root=checkpoint.root,
        )
    return answer


async def test_the_story_of_an_order_leads_from_its_policy_to_its_booking_and_to_nobody_elses(service):
    await append_rebalance(service)

    told = await story(service, "order", "order-1")

    assert [each.proven.entry.index for each in told.entries] == STORY_OF_ORDER
    chapters = [pb.StoryEntry.Chapter.Name(each.chapter).removeprefix("CHAPTER_") for each in told.entries]
    assert chapters == [
        *["POLICY"] * 4,
        *["INPUTS"] * 2,
        *["DECISION"] * 3,
        *["ORDER"] * 2,
        "VENUE",
        "ALLOCATION",
        "VENUE",
        "ALLOCATION",
        "BOOK",
    ]
    assert not told.truncated
    assert {(each.kind, each.id) for each in told.subjects} >= {
        ("order", "order-1"),
        ("plan", "plan-1"),
        ("block", "block-1"),
        ("policy_version", "sha256:v0"),
        ("price_set", "prices-1"),
    }
    recorded = (await check_log(service.access.reader, key=ACCESS_KEY))[-1]
    assert recorded.event.subjects == {"order": "order-1", "account": "acc-1"}


async def test_an_order_without_a_fill_is_led_to_its_block_by_the_statement_of_shares(service):
    await append_rebalance(service, count=18)

    told = await story(service, "order", "order-1")

    assert [each.proven.entry.index for each in told.entries] == [each for each in STORY_OF_ORDER if each < 18]


async def test_the_story_of_a_plan_has_all_its_orders_and_that_of_a_change_its_versions(service):
    await append_rebalance(service)

    plan = await story(service, "plan", "plan-1")
    change = await story(service, "change", "change-1")
    block = await story(service, "block", "block-1")

    assert 13 in [each.proven.entry.index for each in plan.entries]
    assert 9 not in [each.proven.entry.index for each in plan.entries]
    assert [each.proven.entry.index for each in change.entries] == [0, 1, 2]
    assert [each.proven.entry.index for each in block.entries] == [14, 15, 17]


async def test_stories_that_nobody_can_tell_are_refused(service):
    await service.append(an_event("one"))

    async with refused(grpc.StatusCode.NOT_FOUND, "SUBJECT_UNKNOWN"):
        await story(service, "order", "nowhere")
    async with refused(grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID"):
        await story(service, "instrument", "VTI")


async def test_what_was_known_at_an_instant_is_shown_under_the_root_of_that_instant(service):
    await service.append(an_event(1, kind="decision.plan.decided", account="a", data={"state": "HELD"}))
    then = await recorded_time(service, 0)
    await service.append(an_event(2, kind="decision.plan.approved", account="a"))
    await service.append(an_event(3, kind="decision.plan.decided", account="a", data={"state": "NEW"}))

    def ask(instant):
        request = pb.GetSubjectAsOfRequest(subject=about("account", "a"))
        if instant is not None:
            request.as_of_time.CopyFrom(instant_message(instant))
        return service.asking.GetSubjectAsOf(request)

    before, now = await ask(then), await ask(None)

    assert [json.loads(each.entry.event.data) for each in before.entries] == [{"state": "HELD"}]
    assert before.checkpoint.size == 1
    assert [each.entry.index for each in now.entries] == [1, 2]
    for answer in (before, now):
        checkpoint = open_checkpoint(answer.checkpoint.note, origin=KEY.name, keys=[KEY.verifier_key])
        for each in answer.entries:
            ProvenEntry(each.entry.index, each.entry.body, tuple(each.hashes)).opened(checkpoint)
    async with refused(grpc.StatusCode.NOT_FOUND, "TREE_SIZE_UNKNOWN"):
        await ask(then - timedelta(days=365))


async def test_who_approved_what_and_whether_somebody_else_wrote_it(service):
    await append_rebalance(service)
    selfish = an_event("self", kind="policy.change.approved", data={"author": "zoe"}, actor="zoe", producer="policy")
    await service.stub("policy_service").Append(log_pb.AppendRequest(events=[message_of(selfish)]))

    every = await service.asking.ListApprovals(pb.ListApprovalsRequest())
    of_version = await service.asking.ListApprovals(
        pb.ListApprovalsRequest(subject=about("policy_version", "sha256:v1"))
    )
    by_eve = await service.asking.ListApprovals(pb.ListApprovalsRequest(approver="eve"))

    said = [(each.entry.event.kind, each.approver, each.author, each.independent) for each in every.approvals]
    assert said == [
        ("policy.change.approved", "zoe", "zoe", False),
        # A plan is made by the service, in a run that dan started.
        ("decision.plan.approved", "eve", "dan", True),
        ("policy.change.approved", "bob", "ann", True),
    ]
    assert [each.approver for each in of_version.approvals] == ["bob"]
    assert [each.entry.index for each in by_eve.approvals] == [10]


async def test_who_had_halted_too_does_not_resume_independently(service):
    for number, actor in enumerate(("omar", "tess"), 1):
        resumed = an_event(
            number,
            kind="execution.trading.resumed",
            data={"scope": "ALL", "halted_by": "ruth", "also_halted_by": ["omar"]},
            actor=actor,
            producer="execution",
        )
        await service.stub("execution_service").Append(log_pb.AppendRequest(events=[message_of(resumed)]))

    every = (await service.asking.ListApprovals(pb.ListApprovalsRequest())).approvals

    said = [(each.approver, each.author, each.independent) for each in every]
    assert said == [("tess", "ruth", True), ("omar", "ruth", False)]


async def test_who_has_read_an_accounts_data_is_shown_broad_looks_included(service):
    await service.append(an_event(1, account="a"), an_event(2, account="b"))
    alice = service.stub("compliance_officer", subject="alice")
    await alice.ListEntries(log_pb.ListEntriesRequest(filter=log_pb.EntryFilter(subjects=[about("account", "a")])))
    await alice.ListEntries(log_pb.ListEntriesRequest(filter=log_pb.EntryFilter(subjects=[about("account", "b")])))
    await alice.ListEntries(log_pb.ListEntriesRequest(filter=log_pb.EntryFilter(subjects=[about("plan", "plan-2")])))
    await service.reading.ListEntries(log_pb.ListEntriesRequest())
    await service.asking.GetStory(pb.GetStoryRequest(subject=about("plan", "plan-1")))

    of_a = await service.asking.ListAccesses(pb.ListAccessesRequest(subject=about("account", "a")))
    by_alice = await service.asking.ListAccesses(pb.ListAccessesRequest(reader="alice"))

    assert [(each.reader, each.method.rpartition("/")[2], each.broad) for each in of_a.accesses] == [
        ("carol", "GetStory", False),
        ("someone", "ListEntries", True),
        ("alice", "ListEntries", False),
    ]
    assert len(by_alice.accesses) == 3
    # Asking who looked is a look, too.
    asked = await service.asking.ListAccesses(pb.ListAccessesRequest(reader="carol"))
    assert [each.method.rpartition("/")[2] for each in asked.accesses] == ["ListAccesses", "ListAccesses", "GetStory"]


async def test_pages_of_accesses_are_stable_while_the_log_grows(service):
    await service.append(an_event(1, account="a"))
    for _ in range(7):
        await service.reading.GetEntry(log_pb.GetEntryRequest(index=0))

    request = pb.ListAccessesRequest(subject=about("account", "a"), page_size=3)
    seen = []
    while True:
        page = await service.asking.ListAccesses(request)
        seen += [each.entry.index for each in page.accesses]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert seen == [6, 5, 4, 3, 2, 1, 0]
    request.reader = "another"
    async with refused(grpc.StatusCode.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID"):
        request.page_token = request.page_token or "x"
        await service.asking.ListAccesses(request)


async def test_the_logs_are_listed_with_their_keys(service):
    await service.append(an_event(1))

    answer = await service.asking.ListLogs(pb.ListLogsRequest())
    first = await service.asking.ListLogs(pb.ListLogsRequest(page_size=1))
    second = await service.asking.ListLogs(pb.ListLogsRequest(page_size=1, page_token=first.next_page_token))

    assert [(log.name, log.origin, log.verifier_key) for log in answer.logs] == [
        ("access", ACCESS_KEY.name, str(ACCESS_KEY.verifier_key)),
        ("events", KEY.name, str(KEY.verifier_key)),
    ]
    assert [log.checkpoint.size for log in answer.logs] == [0, 1]
    assert [log.name for log in (*first.logs, *second.logs)] == ["access", "events"]
    assert not second.next_page_token


async def test_only_compliance_may_ask(service):
    trader = service.stub("trader", of=AuditQueryServiceStub)

    for call in (
        trader.ListLogs(pb.ListLogsRequest()),
        trader.GetStory(pb.GetStoryRequest(subject=about("order", "x"))),
        trader.GetAccountRecord(pb.GetAccountRecordRequest(account="x")).read(),
        trader.GetSubjectAsOf(pb.GetSubjectAsOfRequest(subject=about("order", "x"))),
        trader.ListApprovals(pb.ListApprovalsRequest()),
        trader.ListAccesses(pb.ListAccessesRequest()),
    ):
        async with refused(grpc.StatusCode.PERMISSION_DENIED, "ROLE_MISSING"):
            await call
