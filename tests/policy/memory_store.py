"""A store of policies in memory. The contract test shows that it behaves as the one in PostgreSQL."""

import asyncio
import copy
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, fields, replace

from services.policy.app.ports import NumberedChange, NumberedRollout, NumberedStop
from services.policy.domain.assets import Assets
from services.policy.domain.changes import Decided
from services.policy.domain.clients import Clients
from services.policy.domain.content import canonical_bytes
from services.policy.domain.document import models_in
from services.policy.domain.errors import NodeExists, NodeNotFound, RolloutOpen, VersionConflict
from services.policy.domain.history import in_force
from services.policy.domain.index import Delta, Governing, NewNode, RollingOut
from services.policy.domain.merge import Layer
from services.policy.domain.personal import valid_kinds
from services.policy.domain.resolve import Lineage
from services.policy.domain.rollout import OPEN, Stage
from services.policy.domain.tree import NodeKind


@dataclass
class Kept:
    nodes: dict = field(default_factory=dict)
    changes: dict = field(default_factory=dict)
    numbers: dict = field(default_factory=dict)
    activations: list = field(default_factory=list)
    announced: set = field(default_factory=set)
    notices: list = field(default_factory=list)
    profiles: list = field(default_factory=list)
    consents: list = field(default_factory=list)
    preferences: list = field(default_factory=list)
    looks: dict = field(default_factory=dict)
    values: dict = field(default_factory=dict)
    events: list = field(default_factory=list)
    stops: dict = field(default_factory=dict)
    rollouts: dict = field(default_factory=dict)
    comparisons: dict = field(default_factory=dict)
    removed: list = field(default_factory=list)
    edition: int = 0

    def copied(self):
        # What is kept is immutable, so the containers are all there is to copy.
        return Kept(**{each.name: copy.copy(getattr(self, each.name)) for each in fields(self)})


class MemoryStore:
    """Transactions one after the other; one that fails leaves no trace."""

    def __init__(self):
        self.kept = Kept()
        self._alone = asyncio.Lock()

    @asynccontextmanager
    async def read(self):
        yield MemoryPolicies(self.kept)

    async def glance(self, node_ids, as_of):
        policies = MemoryPolicies(self.kept)
        return await policies.edition(), await policies.clients(node_ids, as_of)

    @asynccontextmanager
    async def begin(self):
        async with self._alone:
            changed = self.kept.copied()
            yield MemoryPolicies(changed)
            if _governs(changed) != _governs(self.kept):
                changed.edition += 1
            self.kept = changed


def _governs(kept):
    return kept.nodes, kept.activations, kept.stops, kept.rollouts


class MemoryPolicies:
    def __init__(self, kept):
        self._kept = kept

    async def node(self, node_id):
        return self._kept.nodes.get(node_id)

    async def ancestry(self, node_ids):
        if node_ids is None:
            return list(self._kept.nodes.values())
        found = {}
        for node_id in node_ids:
            node = self._kept.nodes.get(node_id)
            while node is not None:
                found[node.node_id] = node
                node = self._kept.nodes.get(node.parent_id)
        return list(found.values())

    async def lineage(self, node_ids):
        nodes = await self.ancestry(node_ids)
        accounts = sorted(node.node_id for node in nodes if node.kind is NodeKind.ACCOUNT)
        return Lineage({node.node_id: node.parent_id for node in nodes}, accounts)

    async def edition(self):
        return self._kept.edition

    async def deltas(self, since):
        # Everything again: whoever has it already must not mind.
        nodes = [NewNode(each.node_id, each.parent_id, each.kind) for each in self._kept.nodes.values()]
        yield Delta(self._kept.edition, nodes=nodes, removed=[] if since < 0 else self._kept.removed)
        yield Delta(self._kept.edition, governing=[self._governing(each) for each in self._kept.activations])
        rollouts = [self._rolling_out(each) for each in self._kept.rollouts.values()]
        yield Delta(self._kept.edition, stops=list(self._kept.stops.values()), rollouts=rollouts)

    async def assets(self, node_id):
        accounts = await self.accounts_below(node_id)
        known = [self._kept.values[each] for each in accounts if each in self._kept.values]
        sums = {}
        for each in known:
            sums[each.value.currency] = sums.get(each.value.currency, 0) + each.value.amount
        oldest = min((each.as_of_time for each in known), default=None)
        return Assets(sums, len(accounts) - len(known), oldest)

    async def record_values(self, values):
        newer = [
            each
            for each in values
            if each.account_id not in self._kept.values
            or self._kept.values[each.account_id].as_of_time <= each.as_of_time
        ]
        self._kept.values |= {each.account_id: each for each in newer}
        return len(newer)

    async def account_count(self, node_id):
        accounts = [node for node in self._kept.nodes.values() if node.kind is NodeKind.ACCOUNT]
        paths = [{node.node_id for node in await self.ancestry([each.node_id])} for each in accounts]
        return sum(node_id in path for path in paths)

    async def stop(self, stop_id):
        return self._kept.stops.get(stop_id)

    async def stops(self, *, node_id, holding_only, before, limit):
        found = [
            NumberedStop(number, each)
            for number, each in enumerate(self._kept.stops.values(), 1)
            if node_id in (None, each.node_id) and not (holding_only and each.lifter)
        ]
        return [each for each in reversed(found) if before is None or each.number < before][:limit]

    async def rollout(self, change_id):
        return self._kept.rollouts.get(change_id)

    async def rollouts(self, *, node_id, open_only, before, limit):
        found = [
            NumberedRollout(number, each)
            for number, each in enumerate(self._kept.rollouts.values(), 1)
            if node_id in (None, each.node_id) and not (open_only and each.stage not in OPEN)
        ]
        return [each for each in reversed(found) if before is None or each.number < before][:limit]

    async def comparisons(self, change_id, limit):
        found = [each for (name, *_), each in self._kept.comparisons.items() if name == change_id]
        return found[::-1][:limit]

    async def comparison_count(self, change_id):
        return len(await self.comparisons(change_id, len(self._kept.comparisons)))

    async def replace_approvals(self, change):
        if self._kept.changes[change.change_id].revision != change.revision:
            raise VersionConflict("another revision")
        self._kept.changes[change.change_id] = change

    async def add_stop(self, stop):
        self._kept.stops[stop.stop_id] = stop

    async def lift(self, stop):
        self._kept.stops[stop.stop_id] = stop

    async def add_rollout(self, rollout):
        if any(each.node_id == rollout.node_id and each.stage in OPEN for each in self._kept.rollouts.values()):
            raise RolloutOpen("another is open")
        self._kept.rollouts[rollout.change_id] = rollout

    async def add_step(self, rollout):
        if len(self._kept.rollouts[rollout.change_id].steps) != len(rollout.steps) - 1:
            raise VersionConflict("another step")
        self._kept.rollouts[rollout.change_id] = rollout

    async def add_comparisons(self, change_id, found):
        known = len(self._kept.comparisons)
        for each in found:
            self._kept.comparisons.setdefault((change_id, each.run_id, each.account_id), each)
        return len(self._kept.comparisons) - known

    async def children_count(self, node_id):
        return sum(1 for node in self._kept.nodes.values() if node.parent_id == node_id)

    async def nodes(self, *, parent_id, kind, after, limit):
        found = [
            node
            for node_id, node in sorted(self._kept.nodes.items())
            if parent_id in (None, node.parent_id) and kind in (None, node.kind) and (after is None or node_id > after)
        ]
        return found[:limit]

    async def layers(self, node_ids, as_of):
        found = {}
        for node_id in {a.node_id for a in self._kept.activations}:
            activation = in_force(await self.history(node_id), as_of)
            if activation is not None and (node_ids is None or node_id in node_ids):
                found[node_id] = self._layer(activation)
        return found

    async def governed(self, node_id):
        above = {node.node_id for node in await self.ancestry([node_id])}
        found = []
        for governed in {a.node_id for a in self._kept.activations}:
            path = {node.node_id for node in await self.ancestry([governed])}
            if governed in above or node_id in path:
                found.append(governed)
        return sorted(found)

    async def model_references(self):
        standing = [a for a in self._kept.activations if a.revoked_time is None]
        return sorted(
            {(a.node_id, model) for a in standing for model in models_in(self._kept.changes[a.change_id].document)}
        )

    async def scheduled_times(self, node_ids, after):
        return sorted(
            {
                a.effective_time
                for a in self._kept.activations
                if a.node_id in node_ids and a.effective_time > after and a.revoked_time is None
            }
        )

    async def history(self, node_id):
        return sorted((a for a in self._kept.activations if a.node_id == node_id), key=lambda a: a.sequence)

    async def change(self, change_id):
        change = self._kept.changes.get(change_id)
        return None if change is None else self._shown(change)

    async def changes(self, wanted, *, before, limit):
        found = [
            NumberedChange(self._kept.numbers[change.change_id], self._shown(change))
            for change in self._kept.changes.values()
            if wanted.node_id in (None, change.node_id)
            and wanted.author in (None, change.author)
            and wanted.approver in (None, change.approver)
            and (wanted.state is None or self._shown(change).state(wanted.market_time) is wanted.state)
            and (wanted.field is None or wanted.field in change.document.paths())
            and (wanted.created_from is None or change.created_time >= wanted.created_from)
            and (wanted.created_before is None or change.created_time < wanted.created_before)
        ]
        newest_first = sorted(found, key=lambda each: -each.number)
        return [each for each in newest_first if before is None or each.number < before][:limit]

    async def change_of_version(self, version_id):
        found = [change for change in self._kept.changes.values() if change.version_id == version_id]
        newest = sorted(found, key=lambda c: (c.decided is Decided.APPROVED, self._kept.numbers[c.change_id]))
        return self._shown(newest[-1]) if newest else None

    async def notices(self, after, limit):
        return [notice for notice in self._kept.notices if notice.position > after][:limit]

    async def last_position(self):
        return len(self._kept.notices)

    async def add_notice(self, notice):
        self._kept.notices.append(notice)

    async def in_force(self, version_ids, as_of):
        found = {layer.version_id for layer in (await self.layers(None, as_of)).values()}
        found |= {stop.version_id for stop in self._kept.stops.values() if stop.holds(as_of)}
        found |= {each.version_id for each in self._kept.rollouts.values() if each.stage_at(as_of) is Stage.CANARY}
        return found & set(version_ids)

    async def decide_alone(self):
        pass

    async def add_nodes(self, nodes):
        for node in nodes:
            if node.node_id in self._kept.nodes:
                raise NodeExists("exists")
            if node.parent_id is not None and node.parent_id not in self._kept.nodes:
                raise NodeNotFound("no parent")
            self._kept.nodes[node.node_id] = node

    async def delete_node(self, node_id):
        del self._kept.nodes[node_id]
        self._kept.removed.append(node_id)

    async def add_change(self, change):
        self._kept.numbers[change.change_id] = len(self._kept.numbers) + 1
        self._kept.changes[change.change_id] = change

    async def replace_change(self, change):
        if self._kept.changes[change.change_id].revision != change.revision - 1:
            raise VersionConflict("another revision")
        self._kept.changes[change.change_id] = change

    async def add_activation(self, activation, *, announced):
        for other in await self.history(activation.node_id):
            if other.sequence == activation.sequence:
                raise VersionConflict("another activation has this sequence")
            if other.follows == activation.follows and other.revoked_time is None:
                raise VersionConflict("another activation follows")
        self._kept.activations.append(activation)
        if announced:
            self._kept.announced.add(activation.change_id)

    async def revoke(self, change_id, at):
        self._kept.activations = [
            replace(a, revoked_time=at) if a.change_id == change_id else a for a in self._kept.activations
        ]

    async def due(self, market_time, limit):
        found = [
            a
            for a in self._kept.activations
            if a.effective_time <= market_time and a.revoked_time is None and a.change_id not in self._kept.announced
        ]
        return sorted(found, key=lambda a: (a.effective_time, a.node_id))[:limit]

    async def announced(self, activation, at):
        self._kept.announced.add(activation.change_id)

    async def clients(self, node_ids, as_of):
        asked = (lambda _: True) if node_ids is None else set(node_ids).__contains__
        profiles = {r.node_id: r for r in _holding(self._kept.profiles, as_of) if asked(r.node_id)}
        chosen = {r.account_id: r for r in _holding(self._kept.preferences, as_of) if asked(r.account_id)}
        consents = {}
        for each in _holding(self._kept.consents, as_of):
            consents.setdefault(each.node_id, []).append(each)
        kinds = {node_id: valid_kinds(records, as_of.valid_time) for node_id, records in consents.items()}
        return Clients(profiles, {each: some for each, some in kinds.items() if some and asked(each)}, chosen)

    async def profile_history(self, node_id):
        return [record for record in self._kept.profiles if record.node_id == node_id]

    async def consent_history(self, node_id):
        return [record for record in self._kept.consents if record.node_id == node_id]

    async def preference_history(self, account_id):
        return [record for record in self._kept.preferences if record.account_id == account_id]

    async def accounts_below(self, node_id):
        accounts = [each for each, node in self._kept.nodes.items() if node.kind is NodeKind.ACCOUNT]
        return sorted([a for a in accounts if node_id in {node.node_id for node in await self.ancestry([a])}])

    async def add_profile(self, record):
        _next_in(await self.profile_history(record.node_id), record)
        self._kept.profiles.append(record)

    async def add_consent(self, record):
        _next_in(await self.consent_history(record.node_id), record)
        self._kept.consents.append(record)

    async def add_preferences(self, record):
        _next_in(await self.preference_history(record.account_id), record)
        self._kept.preferences.append(record)

    async def look_at(self, node_id, at):
        self._kept.looks[node_id] = at

    async def to_look_at(self, market_time, limit):
        due = [(node_id, at) for node_id, at in self._kept.looks.items() if at <= market_time]
        return sorted(due, key=lambda each: (each[1], each[0]))[:limit]

    async def emit(self, *events):
        self._kept.events.extend(events)

    def _governing(self, activation):
        change = self._kept.changes[activation.change_id]
        text = canonical_bytes(change.document).decode()
        return Governing(activation, change.author, change.approver, change.reason, text)

    def _rolling_out(self, rollout):
        change = self._kept.changes[rollout.change_id]
        return RollingOut(rollout, change.approver, change.reason, canonical_bytes(change.document).decode())

    def _layer(self, activation):
        change = self._kept.changes[activation.change_id]
        return Layer(
            activation.node_id,
            activation.version_id,
            change.document,
            change.change_id,
            change.author,
            change.approver,
            change.reason,
            activation.effective_time,
            activation.recorded_time,
        )

    def _shown(self, change):
        standing = [a for a in self._kept.activations if a.node_id == change.node_id and a.revoked_time is None]
        mine = next((a for a in standing if a.change_id == change.change_id), None)
        later = None if mine is None else next((a for a in standing if a.follows == mine.sequence), None)
        return replace(change, superseded_time=None if later is None else later.effective_time)


def _holding(records, as_of):
    """Return the records that hold as of an instant; of one owner, the one that counts comes last."""
    known = [r for r in records if as_of.known_time is None or r.recorded_time <= as_of.known_time]
    holding = [r for r in known if r.effective_time <= as_of.valid_time]
    return sorted(holding, key=lambda r: (r.effective_time, r.sequence))


def _next_in(history, record):
    if any(other.sequence == record.sequence for other in history):
        raise VersionConflict("another record was added first")
