"""The process that destroys dies before or after each of its steps; the next one goes on, and nothing is done twice."""

import asyncio
import json
from collections import Counter

import asyncpg
import pytest

from evenkeel.audit.v1 import audit_service_pb2 as audit
from evenkeel.audit.v1 import records_service_pb2 as pb
from services.audit.app import scrub
from services.audit.app.keeper import Keeper
from services.audit.app.records import RecordsApp
from services.audit.domain.logs import EVENTS, RECORDS
from services.audit.store import PostgresContents
from services.audit.store.keeper import (
    PostgresDisposer,
    PostgresGoverning,
    PostgresPartitions,
    PostgresSubjectKeys,
)
from services.runtime.bootstrap import keeper_role
from services.runtime.clock import SystemClock
from services.runtime.database_errors import DatabaseUnreachable
from tests.audit.api.test_records_service import People, a_node
from tests.audit.builders import KEY, ORIGIN, an_event, some_events

STEPS = frozenset({"keep_numbers", "destroying", "drop", "destroy", "finish"})
PARTITION, PARTITIONS = 256, 9


class Death(Exception):
    """The process is no more."""


class Mortal:
    """Does what another does, until the process dies."""

    def __init__(self, other, fate):
        self._other, self._fate = other, fate

    def __getattr__(self, name):
        found = getattr(self._other, name)
        if name not in STEPS:
            return found

        async def step(*given, **named):
            self._fate.before(name)
            answer = await found(*given, **named)
            self._fate.after(name)
            return answer

        return step


class Fate:
    """When the process dies: at `moment`, counting two for each step, before and after it; never for None."""

    def __init__(self, moment=None):
        self.moment, self.passed = moment, 0

    def before(self, _):
        if self.passed == self.moment:
            raise Death
        self.passed += 1

    after = before


class Idle(Keeper):
    """The keeper of the service itself, which leaves the work to the test."""

    async def run(self, stop):
        await stop.wait()


class Mortals:
    """Processes that do the keeper's work, one after the other, each knowing only what is stored."""

    def __init__(self, whole):
        self._whole = whole

    def keeper(self, fate):
        assembled = self._whole.assembled
        database = assembled.database
        keys = PostgresSubjectKeys(assembled.keeper, bytes(range(32)))
        records = RecordsApp(
            sequencer=assembled.opened[RECORDS].sequencer,
            log=self._whole.reader(RECORDS),
            readers={EVENTS: self._whole.reader(EVENTS)},
            partitions=PostgresPartitions(database),
            keys=keys,
            governing=PostgresGoverning(database),
            clock=SystemClock(),
        )
        return Keeper(
            records=Mortal(records, fate),
            disposer=Mortal(PostgresDisposer(database, assembled.keeper), fate),
            keys=Mortal(keys, fate),
            writing=lambda: True,
            approved=asyncio.Event(),
        )

    async def live(self, moment=None):
        """Work once; return whether the process died."""
        try:
            await self.keeper(Fate(moment)).work()
        except Death:
            return True
        return False


@pytest.fixture
async def mortals(monkeypatch, small_partitions, whole):
    return Mortals(whole)


@pytest.fixture
async def small_partitions(monkeypatch, audit_database):
    """Partitions that a test can fill, and a service that destroys nothing by itself."""
    monkeypatch.setattr("services.audit.main.Keeper", Idle)
    owner = await asyncpg.connect(audit_database.owner_url)
    bounds = [(PARTITION * at, PARTITION * (at + 1)) for at in range(PARTITIONS)]
    for table in ("entry", "posting"):
        await owner.execute(f"drop table audit.{table}_0000")
        for start, stop in (*bounds, (PARTITION * PARTITIONS, 1 << 24)):
            await owner.execute(
                f"create table audit.{table}_{start} partition of audit.{table} for values from ({start}) to ({stop})"
            )
    await owner.close()


@pytest.fixture
async def people(mortals, whole):
    return People(whole)


async def kinds_about(whole, proposal):
    reader = whole.reader(RECORDS)
    size = (await reader.checkpoint()).checkpoint.size
    told = [json.loads(await reader.body(index)) for index in range(size)]
    return Counter(each["kind"] for each in told if each["subjects"].get("proposal") == proposal.proposal_id)


async def state(people, proposal):
    request = pb.GetProposalRequest(proposal_id=proposal.proposal_id)
    return (await people.carl.GetProposal(request)).proposal


async def test_a_disposal_that_dies_at_any_step_is_gone_on_with_and_done_once(mortals, people, whole):
    for part in range(PARTITIONS):
        await whole.append(*some_events(PARTITION, f"part {part}"))
    await whole.append(an_event("beyond"))
    await people.make_class()
    # keep_numbers, destroying, drop, finish: before and after each, and once undisturbed.
    for moment in range(9):
        start = PARTITION * moment
        proposal = await people.decide(await people.propose_disposal(start, start + PARTITION))

        died = await mortals.live(moment)
        again = await mortals.live()

        assert (died, again) == (moment < 8, False)
        done = await state(people, proposal)
        assert done.state == pb.Proposal.STATE_DONE, moment
        assert json.loads(done.outcome)["entries"] == PARTITION, moment
        told = await kinds_about(whole, proposal)
        assert told == {f"audit.records.{what}": 1 for what in ("proposed", "decided", "destroying", "finished")}, (
            moment
        )
    report = await scrub(
        PostgresContents(whole.assembled.database), ORIGIN, [KEY.verifier_key], disposals=[(0, 9 * PARTITION)]
    )
    assert report.findings == ()


async def test_an_erasure_that_dies_at_any_step_is_gone_on_with_and_done_once(mortals, people, whole):
    await people.make_class("clients", kinds=["policy.node.*"])
    # destroying, destroy, finish.
    for moment in range(7):
        account = f"acc-e{moment}"
        await whole.append(a_node(account=account, event=account), producer="policy")
        proposal = await people.decide(await people.propose_erasure(account))

        died = await mortals.live(moment)
        if died:
            # The client comes back before the next process does: what is new is not what was to be forgotten.
            back = a_node("Ada Again", account=account, event=f"back {account}")
            index = (await whole.append(back, producer="policy")).results[0].index
        again = await mortals.live()

        assert (died, again) == (moment < 6, False)
        done = await state(people, proposal)
        assert (done.state, json.loads(done.outcome)["keys_destroyed"]) == (pb.Proposal.STATE_DONE, 1), moment
        assert set((await kinds_about(whole, proposal)).values()) == {1}
        if moment in (4, 5):
            revealed = await people.carl.RevealEntry(pb.RevealEntryRequest(index=index, reason="New."))
            assert json.loads(revealed.data)["name"] == "Ada Again"


async def test_a_hold_that_comes_while_the_process_is_dead_beats_what_was_checked_before(mortals, people, whole):
    await whole.append(*some_events(PARTITION + 1))
    await people.make_class()
    await people.make_class("clients", kinds=["policy.node.*"])
    await whole.append(a_node(account="acc-8", event="eight"), producer="policy")
    disposal = await people.decide(await people.propose_disposal(0, PARTITION))
    assert await mortals.live(4)
    hold = await people.hold(subjects=[audit.Subject(kind="plan", id="plan-event 7")])

    assert not await mortals.live()

    blocked = await state(people, disposal)
    assert blocked.state == pb.Proposal.STATE_BLOCKED
    assert json.loads(blocked.outcome)["blockers"] == [f"hold {hold.hold_id} (Case 7) covers entry 7"]
    assert (await whole.reader().body(7)) is not None
    await people.release(hold)
    erasure = await people.decide(await people.propose_erasure("acc-8"))
    assert await mortals.live(2)
    hold = await people.hold(subjects=[audit.Subject(kind="account", id="acc-8")])
    assert not await mortals.live()
    assert (await state(people, erasure)).state == pb.Proposal.STATE_BLOCKED
    await people.release(hold)
    # Both can be asked for again, and are done.
    disposal = await people.decide(await people.propose_disposal(0, PARTITION))
    erasure = await people.decide(await people.propose_erasure("acc-8"))
    assert not await mortals.live()
    assert {(await state(people, each)).state for each in (disposal, erasure)} == {pb.Proposal.STATE_DONE}


async def test_the_keepers_login_may_be_cut_off_in_the_middle(mortals, people, whole, audit_database):
    await whole.append(*some_events(PARTITION), an_event("beyond"))
    await people.make_class()
    proposal = await people.decide(await people.propose_disposal(0, PARTITION))
    admin = await asyncpg.connect(audit_database.admin_server_url)
    reader = await asyncpg.connect(audit_database.owner_url)
    # Somebody reads the partition, so that the drop waits for them; then its session is ended.
    async with reader.transaction():
        await reader.execute("select from audit.entry_0 limit 1")
        working = asyncio.create_task(mortals.live())
        await ended(admin, audit_database.name)
        with pytest.raises(DatabaseUnreachable):
            await working
    assert (await state(people, proposal)).state == pb.Proposal.STATE_APPROVED

    assert not await mortals.live()

    assert (await state(people, proposal)).state == pb.Proposal.STATE_DONE
    for each in (reader, admin):
        await each.close()


async def ended(admin, database):
    """End the keeper's session once it waits for a lock."""
    end = """
        select pg_terminate_backend(pid) from pg_stat_activity
        where datname = $1 and usename = $2 and wait_event_type = 'Lock'
    """
    async with asyncio.timeout(30):
        while not await admin.fetchval(end, database, keeper_role("audit")):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
