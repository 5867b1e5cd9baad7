"""What governs, in memory: the newest edition, brought up to date before each answer.

Asking whether it still is the newest costs one short query, which also says what is on record of the clients that the
question is about; only what changed since is read. So an answer is as fresh as the database at the moment of the
question, whichever replica wrote, and a million accounts cost no query each.
"""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from services.kernel.ids import PolicyNodeId
from services.policy.app.client_ports import Glance
from services.policy.app.loading import load
from services.policy.app.ports import PolicyReader, Read
from services.policy.domain.history import AsOf
from services.policy.domain.index import PolicyIndex
from services.policy.domain.merge import Layer, Merges
from services.policy.domain.overlays import Overlays
from services.policy.domain.resolve import Lineage, Resolver


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

    async def warm(self) -> None:
        """Read what governs, so that the first who asks need not wait for it."""
        async with self._read() as policies:
            number = await policies.edition()
        await self._newest(number)

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
