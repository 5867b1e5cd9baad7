"""Anybody tries anything, in any order, while time passes: what is in force stays governed."""

import asyncio
from datetime import timedelta
from decimal import Decimal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from services.kernel.clock import FixedClock
from services.kernel.errors import Fact
from services.kernel.ids import ChangeId, PolicyNodeId
from services.policy.app import ChangeApp, Editions, PolicyApp, TreeApp
from services.policy.app.proposals import Edit, Proposal
from services.policy.app.tree import NewNode
from services.policy.domain.changes import Decided, State
from services.policy.domain.history import AsOf
from services.policy.domain.lint import Severity, lint_merged
from services.policy.domain.tree import NodeKind
from tests.policy.builders import NOON, both, guarded, risk
from tests.policy.memory_store import MemoryStore

NODES = ["firm", "growth", "a1", "a2"]
PEOPLE = st.sampled_from(["ann", "bob", "cy"])
FRACTIONS = st.integers(0, 5).map(lambda n: str(Decimal(n) / 10))


@st.composite
def rules(draw):
    """Draw a document about cash: floor, ceiling, and perhaps a guardrail for the floor below."""
    said = [risk(cash_floor=draw(FRACTIONS))] if draw(st.booleans()) else []
    said += [risk(cash_ceiling=draw(FRACTIONS))] if draw(st.booleans()) else []
    said += [guarded("risk.cash_floor", maximum=draw(FRACTIONS))] if draw(st.integers(0, 3)) == 0 else []
    return both(*said)


APPROVERS = frozenset({"policy_approver"})


class Governance(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        # Making one takes longer than most of what is run on it.
        self.loop = asyncio.Runner()
        self.store = MemoryStore()
        self.clock, self.market_clock = FixedClock(NOON), FixedClock(NOON)
        self.changes = ChangeApp(self.store.read, self.store.begin, self.clock, self.market_clock, APPROVERS)
        editions = Editions(self.store.read, self.store.glance)
        self.policies = PolicyApp(self.store.read, editions, self.market_clock, APPROVERS)
        self.ids = []
        self.read = {}
        self.known = {}

    def teardown(self):
        self.loop.close()

    @initialize()
    def plant(self):
        tree = TreeApp(self.store.read, self.store.begin, self.clock)
        kinds = [NodeKind.FIRM, NodeKind.MODEL, NodeKind.ACCOUNT, NodeKind.ACCOUNT]
        parents = [None, "firm", "growth", "growth"]
        self.loop.run(tree.create_nodes([NewNode(*each, "") for each in zip(NODES, kinds, parents, strict=True)]))

    def attempt(self, step):
        """Try a step that may be refused; a refusal leaves everything as it was."""
        before = self.store.kept
        try:
            return self.loop.run(step)
        except Fact:
            assert self.store.kept is before
            return None

    def some(self, data):
        return self.ids[data % len(self.ids)] if self.ids else ChangeId("none")

    @rule(node=st.sampled_from(NODES), document=rules(), who=PEOPLE, hours=st.none() | st.integers(0, 30))
    def drafts(self, node, document, who, hours):
        when = None if hours is None else self.market_clock.now() + timedelta(hours=hours)
        change_id = ChangeId(f"change-{len(self.ids)}")
        proposal = Proposal(change_id, PolicyNodeId(node), document, "because", who, when)
        if self.attempt(self.changes.create_change(proposal)) is not None:
            self.ids.append(change_id)

    @rule(which=st.integers(0, 99), document=rules(), who=PEOPLE)
    def edits(self, which, document, who):
        change = self.attempt(self.changes.get_change(self.some(which)))
        if change is not None:
            self.attempt(self.changes.edit_change(change.change_id, Edit(document=document), etag=change.etag, by=who))

    @rule(which=st.integers(0, 99))
    def submits(self, which):
        change = self.attempt(self.changes.get_change(self.some(which)))
        if change is not None:
            self.attempt(self.changes.submit_change(change.change_id, etag=change.etag, by=change.author))

    @rule(which=st.integers(0, 99), who=PEOPLE)
    def reads(self, which, who):
        change = self.attempt(self.changes.get_change(self.some(which)))
        if change is not None:
            self.read[who, change.change_id] = change.version_id

    @rule(which=st.integers(0, 99), who=PEOPLE)
    def approves(self, which, who):
        change_id = self.some(which)
        if (who, change_id) in self.read:
            self.attempt(self.changes.approve_change(change_id, self.read[who, change_id], comment="", by=who))

    @rule(which=st.integers(0, 99), who=PEOPLE)
    def withdraws(self, which, who):
        self.attempt(self.changes.withdraw_change(self.some(which), by=who))

    @rule(hours=st.integers(1, 20))
    def time_passes(self, hours):
        self.clock.advance(timedelta(hours=hours))
        self.market_clock.advance(timedelta(hours=hours))

    @rule()
    def versions_are_announced(self):
        self.attempt(self.changes.announce_due())

    @invariant()
    def what_is_in_force_was_read_and_approved_by_another(self):
        for change in self.store.kept.changes.values():
            if change.decided is Decided.APPROVED:
                assert change.approver != change.author
                assert self.read[change.approver, change.change_id] == change.version_id

    @invariant()
    def one_version_governs_a_node_and_its_change_is_active(self):
        now = self.market_clock.now()

        async def look():
            async with self.store.read() as policies:
                layers = await policies.layers(None, AsOf(now))
                shown = [await policies.change(change_id) for change_id in self.store.kept.changes]
            return layers, shown

        layers, shown = self.loop.run(look())
        for node in NODES:
            active = [c.change_id for c in shown if c.node_id == node and c.state(now) is State.ACTIVE]
            assert active == ([layers[node].change_id] if node in layers else [])

    @invariant()
    def every_effective_policy_works_and_keeps_its_guardrails(self):
        now = self.market_clock.now()

        async def resolve():
            asked = [PolicyNodeId(node) for node in NODES]
            return [one async for part in self.policies.resolve(asked, AsOf(now), at_once=9) for one in part.applied]

        for applied in self.loop.run(resolve()):
            found = applied.effective
            assert [f for f in lint_merged(found.document, now) if f.severity is Severity.ERROR] == []
            (source,) = found.sources.get("risk.cash_floor", (None,))
            for layer in found.layers[: found.layers.index(source)] if source is not None else ():
                for guardrail in layer.document.guardrails:
                    assert guardrail.maximum >= found.document.risk.cash_floor

    @invariant()
    def what_was_known_stays_known(self):
        now, known = self.market_clock.now(), self.clock.now()

        async def versions(valid_time, known_time):
            async with self.store.read() as policies:
                layers = await policies.layers(None, AsOf(valid_time, known_time))
            return {node: layer.version_id for node, layer in layers.items()}

        earlier = known - timedelta(microseconds=1)
        for (valid_time, known_time), found in self.known.items():
            assert self.loop.run(versions(valid_time, known_time)) == found
        self.known[now, earlier] = self.loop.run(versions(now, earlier))

    @invariant()
    def notices_count_without_gaps(self):
        positions = [notice.position for notice in self.store.kept.notices]
        assert positions == list(range(1, len(positions) + 1))


TestGovernance = Governance.TestCase
TestGovernance.settings = settings(max_examples=25, stateful_step_count=40)
