"""What governs, in memory: the newest edition, brought up to date before each answer.

Asking whether it still is the newest costs one short query, which also says what is on record of the clients that the
question is about; only what changed since is read. So an answer is as fresh as the database at the moment of the
question, whichever replica wrote, and a million accounts cost no query each.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from services.kernel.ids import PolicyNodeId
from services.policy.app.client_ports import Glance
from services.policy.app.loading import load
from services.policy.app.ports import PolicyReader, Read
from services.policy.domain.clients import Clients
from services.policy.domain.history import AsOf
from services.policy.domain.index import Governing, PolicyIndex
from services.policy.domain.merge import Layer, Merges
from services.policy.domain.overlays import Overlays
from services.policy.domain.resolve import Applied, Lineage, Resolver

# Answers about single nodes that are remembered, those used last; one takes some 10 kB, most of it shared.
APPLIED_KEPT = 4_096


@dataclass(frozen=True, slots=True)
class Known:
    """What resolving needs, out of an edition."""

    index: PolicyIndex

    async def lineage(self, node_ids: Collection[PolicyNodeId] | None) -> Lineage:
        """Return the paths of those of `node_ids` that exist; of all nodes for None."""
        return self.index.lineage(node_ids)

    async def layers(self, node_ids: Collection[PolicyNodeId] | None, as_of: AsOf) -> Mapping[PolicyNodeId, Layer]:
        """Return the versions in force as of an instant, by node; of all nodes for None."""
        everything = self.index.layers(as_of)
        if node_ids is None:
            return everything
        found = ((node_id, everything.get(node_id)) for node_id in node_ids)
        return {node_id: layer for node_id, layer in found if layer is not None}

    def overlays(self, as_of: AsOf) -> Overlays:
        """Return the rollouts under way and the stops that hold as of an instant."""
        return self.index.overlays(as_of)


class Editions:
    """Keeps the newest edition that was asked for."""

    def __init__(self, read: Read, glance: Glance) -> None:
        """Know nothing yet.

        Args:
            read: Opens a transaction to read in.
            glance: Asks what must be asked before each answer.
        """
        self._read = read
        self._glance = glance
        self._index = PolicyIndex()
        self._merges = Merges()
        # By what governs the path, by identity, which no other can take: it is kept with the answer.
        self._applied: OrderedDict[tuple[int, ...], tuple[tuple[Governing, ...], Applied]] = OrderedDict()
        self._reading = asyncio.Lock()

    async def known(self, policies: PolicyReader) -> Known:
        """Return what governs as of now, for a transaction in which `policies` reads."""
        return Known(await self._newest(await policies.edition()))

    async def resolver(self, node_ids: Collection[PolicyNodeId], as_of: AsOf) -> Resolver:
        """Return what knows what applies to `node_ids`, everything above them, and their models."""
        known = Known(self._index)
        lineage, layers = await load(known, node_ids, as_of)
        number, clients = await self._glance(lineage.parents.keys(), as_of)
        if number != known.index.edition:
            known = Known(await self._newest(number))
            lineage, layers = await load(known, node_ids, as_of)
            _, clients = await self._glance(lineage.parents.keys(), as_of)
        return Resolver(lineage, layers, as_of.valid_time, known.overlays(as_of), clients, self._merges.below)

    async def applied(self, node_id: PolicyNodeId, as_of: AsOf) -> Applied:
        """Return what applies to a node; the same object while the same versions, and nothing else, say so.

        Raises:
            NodeNotFound: It does not exist.
        """
        index = self._index
        path = index.path(node_id)
        number, clients = await self._glance(path, as_of)
        if number != index.edition or not path:
            return (await self.resolver([node_id], as_of)).applied(node_id)
        overlays = index.overlays(as_of)
        if clients or overlays:
            return await self._resolved(index, node_id, as_of, overlays, clients)
        governing = index.layers(as_of).governing(path)
        key = tuple(map(id, governing))
        known = self._applied.get(key)
        if known is not None:
            self._applied.move_to_end(key)
            return known[1]
        found = await self._resolved(index, node_id, as_of, overlays, clients)
        if found.lasting:
            self._applied[key] = (governing, found)
            if len(self._applied) > APPLIED_KEPT:
                self._applied.popitem(last=False)
        return found

    async def warm(self) -> None:
        """Read what governs, so that the first who asks need not wait for it."""
        async with self._read() as policies:
            number = await policies.edition()
        await self._newest(number)

    async def _resolved(
        self, index: PolicyIndex, node_id: PolicyNodeId, as_of: AsOf, overlays: Overlays, clients: Clients
    ) -> Applied:
        lineage, layers = await load(Known(index), [node_id], as_of)
        return Resolver(lineage, layers, as_of.valid_time, overlays, clients, self._merges.below).applied(node_id)

    async def _newest(self, number: int) -> PolicyIndex:
        if number == self._index.edition:
            return self._index
        async with self._reading:
            # Meanwhile somebody else may have read this edition, or a newer one.
            if number != self._index.edition:
                # A database that was restored from a backup may be behind what we know.
                index = self._index if self._index.edition < number else PolicyIndex()
                async with self._read() as policies:
                    async for delta in policies.deltas(index.edition):
                        index = index.advanced(delta)
                self._index = index
            return self._index
