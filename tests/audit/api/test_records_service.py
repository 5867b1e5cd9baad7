"""Two people govern the record, through the running service: retention, holds, disposal, erasure."""

import asyncio
import json
from contextlib import asynccontextmanager
from types import SimpleNamespace
from uuid import uuid4

import asyncpg
import grpc
import pytest

from evenkeel.audit.v1 import audit_service_pb2 as audit
from evenkeel.audit.v1 import query_service_pb2 as query
from evenkeel.audit.v1 import records_service_pb2 as pb
from evenkeel.audit.v1.query_service_pb2_grpc import AuditQueryServiceStub
from services.audit.api.reading import ACCESS_INDEX_HEADER
from services.audit.app import scrub
from services.audit.domain.filter import EntryFilter
from services.audit.domain.logs import ACCESS, RECORDS
from services.audit.store import PostgresContents
from services.audit.store.writer import PostgresWriter
from services.runtime.database import driver_of
from services.runtime.wire import instant_message
from tests.audit.builders import KEY, ORIGIN, an_event, some_events
from tests.support.refusals import refused
from tools.client.record import read_record
from tools.verifier import audit_verify

PARTITION = 256


def new():
    return str(uuid4())


def a_class(class_id="orders", *, years=0, kinds=("decision.*",), **fields):
    return pb.RetentionClass(
        class_id=class_id,
        title="Orders",
        citation="17 CFR 275.204-2(a)(3)",
        kinds=kinds,
        years=years,
        start_rule=pb.RetentionClass.START_RULE_RECORDED,
        **fields,
    )


async def refuses(call, code, reason):
    error = await refused(call)
    assert (error.code, error.reason) == (code, reason), error.message
    return error


class People:
    """One proposes, another decides."""

    def __init__(self, whole):
        self.whole = whole
        self.carl = whole.records()
        self.rita = whole.records("records_officer", "rita")

    async def decide(self, proposal, *, approve=True):
        decision = pb.DecideProposalRequest.DECISION_APPROVE if approve else pb.DecideProposalRequest.DECISION_REJECT
        request = pb.DecideProposalRequest(
            request_id=new(), proposal_id=proposal.proposal_id, decision=decision, comment="" if approve else "No."
        )
        return (await self.rita.DecideProposal(request)).proposal

    async def make_class(self, *given, **fields):
        request = pb.ProposeRetentionClassRequest(
            request_id=new(), retention_class=a_class(*given, **fields), reason="The rule."
        )
        return await self.decide((await self.carl.ProposeRetentionClass(request)).proposal)

    async def hold(self, **scope):
        request = pb.PlaceHoldRequest(
            request_id=new(), matter="Case 7", reason="Subpoena.", scope=audit.EntryFilter(**scope)
        )
        return (await self.carl.PlaceHold(request)).hold

    async def release(self, hold):
        request = pb.ProposeHoldReleaseRequest(request_id=new(), hold_id=hold.hold_id, reason="Over.")
        return await self.decide((await self.carl.ProposeHoldRelease(request)).proposal)

    async def propose_disposal(self, start=0, stop=PARTITION):
        request = pb.ProposeDisposalRequest(
            request_id=new(), start_index=start, stop_index=stop, reason="Time is over."
        )
        return (await self.carl.ProposeDisposal(request)).proposal

    async def propose_erasure(self, account="acc-9"):
        subject = audit.Subject(kind="account", id=account)
        request = pb.ProposeErasureRequest(request_id=new(), subject=subject, reason="Asked to be forgotten.")
        return (await self.carl.ProposeErasure(request)).proposal

    async def finished(self, proposal):
        while proposal.state == pb.Proposal.STATE_APPROVED:
            await asyncio.sleep(0.01)
            proposal = (await self.carl.GetProposal(pb.GetProposalRequest(proposal_id=proposal.proposal_id))).proposal
        return proposal


@pytest.fixture
async def people(whole):
    return People(whole)


@pytest.fixture
async def small_partitions(audit_database):
    """Partitions of a size that a test can fill: of 256 entries, then of the usual size."""
    owner = await asyncpg.connect(audit_database.owner_url)
    for table in ("entry", "posting"):
        await owner.execute(f"drop table audit.{table}_0000")
        for start, stop in ((0, 256), (256, 512), (512, 1 << 24)):
            await owner.execute(
                f"create table audit.{table}_{start} partition of audit.{table} for values from ({start}) to ({stop})"
            )
    await owner.close()


async def test_a_class_is_in_force_when_another_person_approved_it(people, whole):
    request = pb.ProposeRetentionClassRequest(request_id=new(), retention_class=a_class(years=6), reason="The rule.")
    proposal = (await people.carl.ProposeRetentionClass(request)).proposal
    assert (await people.carl.ProposeRetentionClass(request)).proposal == proposal
    assert proposal.state == pb.Proposal.STATE_OPEN
    assert not (await people.carl.ListRetentionClasses(pb.ListRetentionClassesRequest())).retention_classes

    decided = await people.decide(proposal)

    assert (decided.state, decided.proposer, decided.decider) == (pb.Proposal.STATE_DONE, "carl", "rita")
    (listed,) = (await people.carl.ListRetentionClasses(pb.ListRetentionClassesRequest())).retention_classes
    assert (listed.years, listed.version, listed.approve_time) == (6, 1, decided.decide_time)
    await whole.append(an_event("one"))
    kept = await people.carl.GetRetention(pb.GetRetentionRequest(index=0))
    assert kept.keep_until.ToDatetime().year == decided.decide_time.ToDatetime().year + 6
    kinds = [
        json.loads(body)["kind"] for body in await whole.reader(RECORDS).bodies(EntryFilter(), start=0, stop=9, limit=9)
    ]
    assert kinds == ["audit.records.proposed", "audit.records.decided"]


async def test_nobody_decides_alone(people, whole):
    request = pb.ProposeRetentionClassRequest(request_id=new(), retention_class=a_class(), reason="The rule.")
    proposal = (await people.carl.ProposeRetentionClass(request)).proposal
    approve = pb.DecideProposalRequest(
        request_id=new(), proposal_id=proposal.proposal_id, decision=pb.DecideProposalRequest.DECISION_APPROVE
    )

    # Neither by the role, nor with both roles.
    await refuses(people.carl.DecideProposal(approve), grpc.StatusCode.PERMISSION_DENIED, "ROLE_MISSING")
    both = whole.records("records_officer", "carl")
    await refuses(both.DecideProposal(approve), grpc.StatusCode.PERMISSION_DENIED, "SELF_APPROVAL")
    await people.decide(proposal)
    approve.request_id = new()
    await refuses(people.rita.DecideProposal(approve), grpc.StatusCode.FAILED_PRECONDITION, "PROPOSAL_STATE")
    approve.proposal_id = new()
    await refuses(people.rita.DecideProposal(approve), grpc.StatusCode.NOT_FOUND, "PROPOSAL_NOT_FOUND")


async def test_a_class_that_contradicts_itself_is_refused_by_its_field(people):
    wrong = a_class(years=2, accessible_years=3)
    request = pb.ProposeRetentionClassRequest(request_id=new(), retention_class=wrong, reason="The rule.")

    error = await refuses(people.carl.ProposeRetentionClass(request), grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID")

    assert error.fields == {"retention_class.accessible_years": "must be 0 to 2, the years, was 3"}


async def test_a_hold_is_in_force_at_once_and_ends_by_two(people, whole):
    await whole.append(an_event("one", account="acc-1"), an_event("two", account="acc-2"))
    hold = await people.hold(subjects=[audit.Subject(kind="account", id="acc-1")])

    assert [each.hold_id for each in (await people.carl.GetRetention(pb.GetRetentionRequest(index=0))).holds] == [
        hold.hold_id
    ]
    assert not (await people.carl.GetRetention(pb.GetRetentionRequest(index=1))).holds
    await people.release(hold)
    assert not (await people.carl.GetRetention(pb.GetRetentionRequest(index=0))).holds
    assert not (await people.carl.ListHolds(pb.ListHoldsRequest())).holds
    assert (await people.carl.ListHolds(pb.ListHoldsRequest(released=True))).holds[0].HasField("release_time")
    again = pb.ProposeHoldReleaseRequest(request_id=new(), hold_id=hold.hold_id, reason="Over.")
    await refuses(people.carl.ProposeHoldRelease(again), grpc.StatusCode.FAILED_PRECONDITION, "HOLD_RELEASED")


async def test_a_partition_is_destroyed_and_every_older_proof_stays_valid(
    small_partitions, people, whole, audit_database
):
    # The last commit of the partition reaches beyond it.
    await whole.append(*some_events(200, "first"))
    await whole.append(*some_events(100, "second"))
    await people.make_class()
    log = whole.log("compliance_officer")
    before = await log.GetInclusionProof(audit.GetInclusionProofRequest(index=17))
    last_of_account = (await log.GetEntry(audit.GetEntryRequest(index=299))).entry

    decided = await people.finished(await people.decide(await people.propose_disposal()))

    assert decided.state == pb.Proposal.STATE_DONE, decided.outcome
    outcome = json.loads(decided.outcome)
    assert (outcome["entries"], outcome["entries_by_class"], outcome["proposer"], outcome["decider"]) == (
        256,
        {"orders": 256},
        "carl",
        "rita",
    )
    error = await refuses(log.GetEntry(audit.GetEntryRequest(index=17)), grpc.StatusCode.NOT_FOUND, "ENTRY_DISPOSED")
    assert decided.proposal_id in error.message
    after = await log.GetInclusionProof(audit.GetInclusionProofRequest(index=17))
    assert after == before
    # What came after it is found as before, also what was in the same commit as what is gone.
    wanted = audit.EntryFilter(subjects=[audit.Subject(kind="account", id="acc-1")])
    found = (await log.ListEntries(audit.ListEntriesRequest(filter=wanted, page_size=1000))).entries
    assert [each.index for each in found] == [
        200 + number for number in range(56, 100) if number % 3 == 1 and number % 4
    ]
    # An account goes on with its numbers, and its events are still known.
    answer = await whole.append(*some_events(1, "first"), an_event("new", account="acc-2"))
    assert answer.results[0].status == audit.AppendResult.STATUS_DUPLICATE
    new_entry = (await log.GetEntry(audit.GetEntryRequest(index=answer.results[1].index))).entry
    assert new_entry.account_sequence > last_of_account.account_sequence
    report = await scrub(PostgresContents(whole.assembled.database), ORIGIN, [KEY.verifier_key], disposals=[(0, 256)])
    assert (report.findings, report.size) == ((), 301)
    states = (await people.carl.ListPartitions(pb.ListPartitionsRequest())).partitions
    assert [(each.start_index, each.disposed, each.full) for each in states] == [(0, True, True), (256, False, False)]
    again = pb.ProposeDisposalRequest(request_id=new(), start_index=0, stop_index=256, reason="Again.")
    await refuses(people.carl.ProposeDisposal(again), grpc.StatusCode.FAILED_PRECONDITION, "RANGE_NOT_DISPOSABLE")


async def test_what_is_before_and_after_a_destroyed_partition_is_whole(small_partitions, people, whole):
    await whole.append(*some_events(250, "first"))
    await whole.append(*some_events(600, "over both bounds"))
    await people.make_class()
    contents = PostgresContents(whole.assembled.database)

    second = await people.finished(await people.decide(await people.propose_disposal(256, 512)))
    middle_gone = await scrub(contents, ORIGIN, [KEY.verifier_key], disposals=[(256, 512)])
    first = await people.finished(await people.decide(await people.propose_disposal(0, 256)))
    both_gone = await scrub(contents, ORIGIN, [KEY.verifier_key], disposals=[(0, 256), (256, 512)])

    assert (second.state, first.state) == (pb.Proposal.STATE_DONE, pb.Proposal.STATE_DONE)
    assert (middle_gone.findings, middle_gone.size) == ((), 850)
    assert (both_gone.findings, both_gone.size) == ((), 850)
    # What nobody decided to destroy is missed.
    assert (await scrub(contents, ORIGIN, [KEY.verifier_key], disposals=[(256, 512)])).finding_count
    found = await whole.log("compliance_officer").ListEntries(
        audit.ListEntriesRequest(filter=audit.EntryFilter(actor="alice"), page_size=1000)
    )
    assert [each.index for each in found.entries] == list(range(512, 850))


async def test_a_record_over_destroyed_entries_is_proven_whole_and_says_what_is_gone(
    small_partitions, people, whole, tmp_path
):
    # Nothing was closed before; acc-gone has entries only in what is destroyed, acc-1 before, in and after it.
    await whole.append(*some_events(250, "first"), an_event("gone", account="acc-gone"))
    for number in range(5):
        await whole.append(*some_events(120, f"more {number}"))
    await people.make_class()
    policy, file = tmp_path / "policy.txt", tmp_path / "record.json"
    policy.write_text(f"log {KEY.verifier_key}\nquorum none\n")
    asking = SimpleNamespace(audit_queries=AuditQueryServiceStub(whole.channel("compliance_officer", subject="carl")))

    async def record(account, **period):
        request = query.GetAccountRecordRequest(account=account, **period)
        verified = await read_record(asking, str(KEY.verifier_key), request)
        file.write_bytes(verified.file)
        assert audit_verify.main([str(policy), str(file)]) == audit_verify.PROVEN
        return verified

    whole_record = await record("acc-1")
    numbers = [each.account_sequence for each in whole_record.entries]
    in_second = [each.account_sequence for each in whole_record.entries if 256 <= each.index < 512]
    in_first = [each.account_sequence for each in whole_record.entries if each.index < 256]
    await people.finished(await people.decide(await people.propose_disposal(256, 512)))
    middle = await record("acc-1")
    await people.finished(await people.decide(await people.propose_disposal(0, 256)))
    rest, gone, nobody = await record("acc-1"), await record("acc-gone"), await record("nobody")

    kept = [each for each in numbers if each not in in_second]
    assert [each.account_sequence for each in middle.entries] == kept
    assert middle.destroyed == [(in_second[0], in_second[-1])]
    assert [each.account_sequence for each in rest.entries] == [each for each in kept if each not in in_first]
    assert rest.destroyed == [(in_first[0], in_second[-1])]
    assert (list(gone.entries), gone.destroyed) == ([], [(1, 1)])
    assert (list(nobody.entries), nobody.destroyed) == ([], [])
    # Of a period in which nothing was destroyed, with an entry after it.
    later = rest.entries[-1].recorded_time
    start, end = (instant_message(each) for each in (rest.entries[0].recorded_time, later))
    bounded = await record("acc-1", start_time=start, end_time=end)
    assert bounded.bounds.after is not None
    # What was not destroyed cannot be left out, nor can more be said to be destroyed.
    saved = json.loads(rest.file)
    bent = [saved | {"entries": saved["entries"][1:]}, saved | {"close": None}]
    more = json.loads(rest.file)
    more["close"]["leaves"][0]["gone"][0][1] += 1
    for each in (*bent, more | {"entries": saved["entries"][1:]}):
        file.write_text(json.dumps(each))
        assert audit_verify.main([str(policy), str(file)]) == audit_verify.REFUSED


async def test_an_account_whose_entries_are_all_gone_goes_on_with_its_numbers(small_partitions, people, whole):
    await whole.append(*[an_event(f"old {number}", account="acc-old") for number in range(256)])
    await people.make_class()
    await people.finished(await people.decide(await people.propose_disposal()))

    # As another process would see it that takes over the log.
    async with another_writer(whole) as writer:
        assert await writer.sequences(["acc-old", "acc-new"]) == {"acc-old": 256}


@asynccontextmanager
async def another_writer(whole):
    """What reads the log as its writer does, without the hold on it."""
    async with whole.assembled.database.dedicated() as connection:
        driver = await driver_of(connection)
        yield PostgresWriter(driver, driver, ORIGIN)


async def test_what_must_be_kept_is_not_destroyed(small_partitions, people, whole):
    await whole.append(*some_events(255), an_event("odd", kind="decision.plan.odd"), an_event("beyond"))
    # In no class: for ever.
    proposing = people.propose_disposal()
    await refuses(proposing, grpc.StatusCode.FAILED_PRECONDITION, "RETENTION_RUNNING")
    await people.make_class("odd", kinds=["decision.plan.odd"])
    # The last entry may go, the others may not: found before anything is done.
    blocked = await people.finished(await people.decide(await people.propose_disposal()))
    assert blocked.state == pb.Proposal.STATE_BLOCKED
    assert json.loads(blocked.outcome)["blocker_count"] == 255
    assert "in no retention class" in json.loads(blocked.outcome)["blockers"][0]
    await people.make_class("orders")
    # A hold on one of them is enough.
    hold = await people.hold(subjects=[audit.Subject(kind="plan", id="plan-event 77")])
    blocked = await people.finished(await people.decide(await people.propose_disposal()))
    assert json.loads(blocked.outcome)["blockers"] == [f"hold {hold.hold_id} (Case 7) covers entry 77"]
    await people.release(hold)
    everything = await people.hold()
    await refuses(people.propose_disposal(), grpc.StatusCode.FAILED_PRECONDITION, "HOLD_STANDS")
    await people.release(everything)

    done = await people.finished(await people.decide(await people.propose_disposal()))

    assert done.state == pb.Proposal.STATE_DONE


async def test_the_database_itself_refuses_what_one_person_decided(small_partitions, people, whole, audit_database):
    await whole.append(*some_events(257))
    keeper = await asyncpg.connect(audit_database.keeper_url)
    service = await asyncpg.connect(audit_database.url)
    owner = await asyncpg.connect(audit_database.owner_url)
    call = "select audit_keeper.dispose(gen_random_uuid(), 'events', 0, 256, 'carl', $1, 0)"

    with pytest.raises(asyncpg.CheckViolationError):
        await keeper.execute(call, "carl")
    for statement in ("delete from audit.entry", "drop table audit.entry_0", "select * from audit.entry"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await keeper.execute(statement)
    for statement in (call.replace("$1", "'rita'"), "select * from audit_keeper.subject_key"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await service.execute(statement)
    assert await owner.fetchval("select count(*) from audit.entry") == 257
    for each in (keeper, service, owner):
        await each.close()


def a_node(name="Ada Client", account="acc-9", event="node"):
    return an_event(
        event,
        kind="policy.node.created",
        producer="policy",
        account=account,
        subjects={"policy_node": account},
        data={"kind": "ACCOUNT", "name": name, "parent_id": "firm"},
    )


async def test_what_is_personal_is_sealed_and_read_in_clear_only_on_the_record(people, whole):
    first = await whole.append(a_node(), producer="policy")
    again = await whole.append(a_node(), producer="policy")
    other = await whole.append(a_node("Eve"), producer="policy")

    statuses = [answer.results[0].status for answer in (first, again, other)]
    assert statuses == [
        audit.AppendResult.STATUS_APPENDED,
        audit.AppendResult.STATUS_DUPLICATE,
        audit.AppendResult.STATUS_CONFLICT,
    ]
    index = first.results[0].index
    body = await whole.reader().body(index)
    assert b"Ada" not in body
    call = people.carl.RevealEntry(pb.RevealEntryRequest(index=index, reason="The client calls."))
    revealed = await call
    assert json.loads(revealed.data)["name"] == "Ada Client"
    assert list(revealed.personal_fields) == ["name"]
    # Not simply the last: the service writes to this log by itself, too.
    recorded = dict(await call.initial_metadata())[ACCESS_INDEX_HEADER]
    access = json.loads(await whole.reader(ACCESS).body(int(recorded)))
    assert (access["kind"], access["actor"], access["data"]["question"]["reason"]) == (
        "audit.access.revealed",
        "carl",
        "The client calls.",
    )


async def test_after_an_erasure_nothing_can_be_read_and_everything_is_proven(people, whole):
    await whole.append(a_node(), producer="policy")
    await refuses(people.propose_erasure(), grpc.StatusCode.FAILED_PRECONDITION, "RETENTION_RUNNING")
    await people.make_class("clients", kinds=["policy.node.*"])
    hold = await people.hold(subjects=[audit.Subject(kind="account", id="acc-9")])
    await refuses(people.propose_erasure(), grpc.StatusCode.FAILED_PRECONDITION, "HOLD_STANDS")
    await people.release(hold)
    proposal = await people.propose_erasure()
    hold = await people.hold(actor="alice")
    blocked = await people.finished(await people.decide(proposal))
    assert blocked.state == pb.Proposal.STATE_BLOCKED
    await people.release(hold)
    root = (await whole.reader().checkpoint()).checkpoint.root

    erased = await people.finished(await people.decide(await people.propose_erasure()))

    assert (erased.state, json.loads(erased.outcome)["keys_destroyed"]) == (pb.Proposal.STATE_DONE, 1)
    reading = people.carl.RevealEntry(pb.RevealEntryRequest(index=0, reason="Try."))
    await refuses(reading, grpc.StatusCode.NOT_FOUND, "SUBJECT_KEY_NOT_FOUND")
    await refuses(people.propose_erasure(), grpc.StatusCode.NOT_FOUND, "SUBJECT_KEY_NOT_FOUND")
    assert (await whole.reader().checkpoint()).checkpoint.root == root
    # The same event told again is still the same; the client who comes back gets a new key.
    again = await whole.append(a_node(), producer="policy")
    assert again.results[0].status == audit.AppendResult.STATUS_DUPLICATE
    fresh = await whole.append(a_node("Ada Again", event="back"), producer="policy")
    revealed = await people.carl.RevealEntry(pb.RevealEntryRequest(index=fresh.results[0].index, reason="New."))
    assert json.loads(revealed.data)["name"] == "Ada Again"
    # What is sealed under the new key is compared whole, whatever was erased before.
    again = await whole.append(a_node("Ada Again", event="back"), producer="policy")
    other = await whole.append(a_node("Eve", event="back"), producer="policy")
    assert [each.results[0].status for each in (again, other)] == [
        audit.AppendResult.STATUS_DUPLICATE,
        audit.AppendResult.STATUS_CONFLICT,
    ]


async def test_words_about_a_client_are_sealed_and_words_about_the_firm_are_not(people, whole):
    told = {"scope": "ACCOUNT", "why": "Ada died in March.", "halted_by": "alba"}
    for account, event in ("acc-9", "client"), (None, "firm"):
        halt = an_event(event, kind="execution.trading.halted", producer="execution", account=account, data=told)
        await whole.append(halt, producer="execution")

    bodies = [await whole.reader().body(index) for index in (0, 1)]
    assert [b"Ada" in body for body in bodies] == [False, True]
    revealed = await people.carl.RevealEntry(pb.RevealEntryRequest(index=0, reason="The heirs ask."))
    assert (list(revealed.personal_fields), json.loads(revealed.data)) == (["why"], told)


async def test_what_says_nothing_needs_no_key(whole, audit_database):
    data = {"author": "pat", "reason": "", "comment": None}
    event = an_event("c", kind="policy.change.approved", producer="policy", account="acc-10", data=data)
    await whole.append(event, producer="policy")

    assert json.loads(await whole.reader().body(0))["data"] == data
    owner = await asyncpg.connect(audit_database.owner_url)
    assert await owner.fetchval("select count(*) from audit_keeper.subject_key") == 0
    await owner.close()


async def test_who_approved_what_about_the_record_is_listed_and_what_was_rejected_is_not(people, whole):
    done = await people.make_class("a")
    request = pb.ProposeRetentionClassRequest(request_id=new(), retention_class=a_class("b"), reason="The rule.")
    await people.decide((await people.carl.ProposeRetentionClass(request)).proposal, approve=False)
    asking = AuditQueryServiceStub(whole.channel("compliance_officer", subject="carl"))

    listed = (await asking.ListApprovals(query.ListApprovalsRequest(log=RECORDS))).approvals

    assert [(each.approver, each.author, each.independent) for each in listed] == [("rita", "carl", True)]
    assert json.loads(listed[0].entry.event.data)["proposal_id"] == done.proposal_id


async def test_lists_are_paged(people):
    for name in ("a", "b", "c"):
        await people.make_class(name)

    first = await people.carl.ListRetentionClasses(pb.ListRetentionClassesRequest(page_size=2))
    rest = await people.carl.ListRetentionClasses(
        pb.ListRetentionClassesRequest(page_size=2, page_token=first.next_page_token)
    )
    newest = await people.carl.ListProposals(pb.ListProposalsRequest(page_size=1))
    older = await people.carl.ListProposals(pb.ListProposalsRequest(page_size=5, page_token=newest.next_page_token))

    assert [each.class_id for each in (*first.retention_classes, *rest.retention_classes)] == ["a", "b", "c"]
    assert not rest.next_page_token
    assert [json.loads(each.content)["class_id"] for each in (*newest.proposals, *older.proposals)] == ["c", "b", "a"]
    other = pb.ListHoldsRequest(page_token=first.next_page_token)
    await refuses(people.carl.ListHolds(other), grpc.StatusCode.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID")
