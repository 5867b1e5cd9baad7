"""The service as a process of its own, ended with SIGKILL again and again while people change the rules.

After each kill: what is in force is one version a node, written by one person and approved, as it stands, by another;
and every answer that was given before is still true.
"""

import asyncio
import os
import random
import sys
from collections import Counter
from datetime import timedelta
from uuid import uuid4

import asyncpg
import grpc
import pytest
from google.type.decimal_pb2 import Decimal as DecimalMessage

from evenkeel.policy.v1 import policy_service_pb2 as pb
from evenkeel.policy.v1 import rollout_pb2
from evenkeel.policy.v1 import rollout_service_pb2 as rollout_service
from evenkeel.policy.v1 import stop_service_pb2 as stop_service
from evenkeel.policy.v1.policy_service_pb2_grpc import PolicyServiceStub
from evenkeel.policy.v1.rollout_service_pb2_grpc import RolloutServiceStub
from evenkeel.policy.v1.stop_service_pb2_grpc import StopServiceStub
from services.policy.api.documents import document_message
from services.runtime.client import connect
from tests.policy.builders import both, risk, targets
from tests.support.forked import Forked
from tools.local.issuer import ISSUER, TokenIssuer

NODES = ["firm", "growth", "income"]
START_S_MAX = 120
CALL_S_MAX = 60
# Longest that three people may take to have a few changes approved on a busy machine.
WORK_S_MAX = 300


class Process:
    """`python -m services.policy serve`, forked; it can be killed and started again. And those who call it."""

    def __init__(self, database, directory):
        self.issuer = TokenIssuer.at(directory / "issuer")
        self._port_file = directory / "port"
        values = {"DATABASE_URL": database.url, "JWKS_URL": self.issuer.jwks_file.as_uri(), "TOKEN_ISSUER": ISSUER}
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("EVENKEEL_", "OTEL_"))},
            **{f"EVENKEEL_POLICY_{name}": value for name, value in values.items()},
            "EVENKEEL_PORT_FILE": str(self._port_file),
        }
        self._process = Forked("services.policy.__main__:command_line", ["serve"], environment, directory / "log")
        self._channels = {}

    async def start(self):
        self._port_file.unlink(missing_ok=True)
        await asyncio.to_thread(self._process.start)
        async with asyncio.timeout(START_S_MAX):
            while not self._port_file.exists():  # noqa: ASYNC110 - another process writes it
                await asyncio.sleep(0.02)

    async def kill(self):
        await asyncio.to_thread(self._process.kill)

    async def close(self):
        """Close the channels; whoever still calls on one would be canceled instead of told."""
        for channel in self._channels.values():
            await channel.close()
        self._channels = {}

    def __call__(self, stub, subject, role):
        if subject not in self._channels:
            token = self.issuer.token(subject, [role], timedelta(hours=1))
            self._channels[subject] = connect(f"127.0.0.1:{self._port_file.read_text()}", token=lambda: token)
        return stub(self._channels[subject])


@pytest.fixture
async def process(policy_database, tmp_path):
    running = Process(policy_database, tmp_path)
    await running.start()
    kinds = {"firm": pb.PolicyNode.KIND_FIRM, "growth": pb.PolicyNode.KIND_MODEL, "income": pb.PolicyNode.KIND_MODEL}
    nodes = [
        pb.PolicyNode(node_id=each, kind=kind, parent_id="" if each == "firm" else "firm")
        for each, kind in kinds.items()
    ]
    nodes += [
        pb.PolicyNode(node_id=f"a{n}", kind=pb.PolicyNode.KIND_ACCOUNT, parent_id=("growth", "income")[n % 2])
        for n in range(8)
    ]
    await running(PolicyServiceStub, "eve", "platform_engineer").CreateNodes(
        pb.CreateNodesRequest(request_id=str(uuid4()), nodes=nodes)
    )
    yield running
    await running.kill()
    await running.close()


class Person:
    """Does one thing after another until the service is gone; remembers what was promised."""

    def __init__(self, process, random_, promised, counts):
        self.process, self.random, self.promised, self.counts = process, random_, promised, counts

    async def work(self):
        while True:
            try:
                await self.turn()
            except grpc.aio.AioRpcError as error:
                if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                    return
                # Of many who change the same rules at once most are told that somebody was faster.
                self.counts[error.code().name] += 1

    async def turn(self):
        author, approver = self.random.sample(["ann", "bob", "cy"], 2)
        node = self.random.choice(NODES)
        write = self.process(PolicyServiceStub, author + "-a", "policy_author")
        judge = self.process(PolicyServiceStub, approver, "policy_approver")
        await self.clear(node)
        document = both(targets(VTI="1"), risk(cash_ceiling=f"0.{self.random.randint(10, 99)}"))
        draft = pb.CreateChangeRequest(
            request_id=str(uuid4()), node_id=node, document=document_message(document), reason="because"
        )
        if self.random.random() < 0.3:
            rule = rollout_pb2.StopRule(metric=1, bound_bps=DecimalMessage(value="5"), window=1)
            draft.rollout.CopyFrom(rollout_pb2.RolloutPlan(share_bps=5_000, stop_rules=[rule]))
        change = (await write.CreateChange(draft, timeout=CALL_S_MAX)).change
        submitted = await write.SubmitChange(
            pb.SubmitChangeRequest(request_id=str(uuid4()), change_id=change.change_id, etag=change.etag),
            timeout=CALL_S_MAX,
        )
        approved = await judge.ApproveChange(
            pb.ApproveChangeRequest(
                request_id=str(uuid4()), change_id=change.change_id, version_hash=change.version_hash,
                etag=submitted.change.etag,
            ),
            timeout=CALL_S_MAX,
        )  # fmt: skip
        self.promised[change.change_id] = approved.change.version_hash
        self.counts["approved"] += 1
        if change.HasField("rollout"):
            await self.roll(change)
        if self.random.random() < 0.1:
            await self.process(StopServiceStub, "tess", "trader").CreateStop(
                stop_service.CreateStopRequest(request_id=str(uuid4()), node_id=node, reason="odd"), timeout=CALL_S_MAX
            )
            self.counts["stopped"] += 1

    async def clear(self, node):
        """Take back what somebody who was interrupted was rolling out."""
        rollouts = self.process(RolloutServiceStub, "rob", "policy_approver")
        under_way = await rollouts.ListRollouts(
            rollout_service.ListRolloutsRequest(node_id=node, open_only=True), timeout=CALL_S_MAX
        )
        for each in under_way.rollouts:
            await rollouts.RollBackRollout(
                rollout_service.RollBackRolloutRequest(
                    request_id=str(uuid4()), change_id=each.change_id, reason="somebody was interrupted"
                ),
                timeout=CALL_S_MAX,
            )
            self.counts["rolled back"] += 1

    async def roll(self, change):
        rollouts = self.process(RolloutServiceStub, "rob", "policy_approver")
        zero = DecimalMessage(value="0")
        tax = DecimalMessage(value=str(self.random.choice([1, 9])))
        comparison = rollout_service.ReportedComparison(
            change_id=change.change_id, run_id="r", account_id="a1", tax_bps=tax, cost_bps=zero, drift_bps=zero,
            turnover_bps=zero,
        )  # fmt: skip
        await self.process(RolloutServiceStub, "dee", "decision_service").ReportComparisons(
            rollout_service.ReportComparisonsRequest(request_id=str(uuid4()), comparisons=[comparison]),
            timeout=CALL_S_MAX,
        )
        for _ in range(2):
            now = await rollouts.GetRollout(
                rollout_service.GetRolloutRequest(change_id=change.change_id), timeout=CALL_S_MAX
            )
            if now.rollout.stage not in (rollout_pb2.ROLLOUT_STAGE_SHADOW, rollout_pb2.ROLLOUT_STAGE_CANARY):
                return
            await rollouts.AdvanceRollout(
                rollout_service.AdvanceRolloutRequest(
                    request_id=str(uuid4()), change_id=change.change_id, etag=now.rollout.etag, reason="well"
                ),
                timeout=CALL_S_MAX,
            )
            self.counts["advanced"] += 1


async def check(process, database, promised):
    """Check what must be true whatever was interrupted, by the tables and by the service."""
    connection = await asyncpg.connect(database.owner_url)
    try:
        wrong = await connection.fetch("""
            select change_id from policy.change
            where (decided in ('approved', 'rolling_out', 'rolled_back')) and (approver = author or approver is null)
            or (decided = 'approved') <> exists (
                select from policy.activation where activation.change_id = change.change_id and revoked_time is null
            )
            or (decided in ('rolling_out', 'rolled_back')) and not exists (
                select from policy.rollout
                where rollout.change_id = change.change_id and open = (decided = 'rolling_out')
            )
        """)
        assert wrong == []
        heads = await connection.fetch("""
            select node_id, count(*) from policy.activation as last where revoked_time is null and not exists (
                select from policy.activation as later
                where later.node_id = last.node_id and later.follows = last.sequence and later.revoked_time is null
            ) group by node_id
        """)
        assert all(row["count"] == 1 for row in heads)
        for change_id, version_hash in promised.items():
            kept = await connection.fetchrow(
                "select version_id, decided from policy.change where change_id = $1", change_id
            )
            assert kept["version_id"] == version_hash
            assert kept["decided"] in ("approved", "rolling_out", "rolled_back")
        told = await connection.fetchval("select count(*) from policy.outbox where kind = 'policy.change.approved'")
        decided = await connection.fetchval(
            "select count(*) from policy.change where decided in ('approved', 'rolling_out', 'rolled_back')"
        )
        assert told == decided
        positions = await connection.fetchrow("select count(*), coalesce(max(position), 0) from policy.notice")
        assert positions[0] == positions[1]
    finally:
        await connection.close()
    reading = process(PolicyServiceStub, "cora", "compliance_officer")
    seen = []
    async for part in reading.ResolvePolicies(pb.ResolvePoliciesRequest(), timeout=CALL_S_MAX):
        seen += part.account_ids
    assert seen == [f"a{n}" for n in range(8)]
    versions = (await reading.GetPolicyAsOf(pb.GetPolicyAsOfRequest(node_id="a1"), timeout=CALL_S_MAX)).versions
    assert len({each.node_id for each in versions}) == len(versions)


async def killed(process, database, kills, seed):
    """Kill the service `kills` times while three people work; return what they did and were told."""
    random_ = random.Random(seed)
    promised, counts = {}, Counter()
    for _ in range(kills):
        people = [Person(process, random.Random(random_.random()), promised, counts) for _ in range(3)]
        working = asyncio.gather(*(each.work() for each in people))
        wanted = counts["approved"] + random_.randint(1, 3)
        async with asyncio.timeout(WORK_S_MAX):
            while counts["approved"] < wanted:  # noqa: ASYNC110 - of three people whoever is first
                await asyncio.sleep(0.005)
        # Anywhere in what they do next.
        await asyncio.sleep(random_.uniform(0, 0.3))
        await process.kill()
        await working
        await process.close()
        await process.start()
        await check(process, database, promised)
        counts["kills"] += 1
    return counts


async def test_a_service_that_is_killed_leaves_one_version_in_force_and_approves_nothing_by_itself(
    process, policy_database
):
    counts = await killed(process, policy_database, kills=2, seed=7)

    assert counts["kills"] == 2
    assert counts["approved"] > 0


@pytest.mark.chaos
@pytest.mark.timeout(3600)
async def test_the_same_a_hundred_times(process, policy_database, capsys):
    counts = await killed(process, policy_database, kills=100, seed=11)

    with capsys.disabled():
        sys.stdout.write(f"\npolicy killed: {dict(counts)}\n")
    assert counts["approved"] > 100
