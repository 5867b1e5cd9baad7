"""Loads what resolving takes: paths of nodes, the versions in force on them, and the same of the models in them."""

from collections.abc import Collection, Iterable, Mapping
from typing import Protocol

from services.kernel.ids import PolicyNodeId
from services.policy.app.ports import PolicyReader
from services.policy.domain.document import Document, models_in
from services.policy.domain.history import AsOf
from services.policy.domain.merge import Layer
from services.policy.domain.overlays import NO_OVERLAYS
from services.policy.domain.resolve import Lineage, Resolver


class Governing(Protocol):
    """Says who stands under whom and which versions are in force: the database, or what is known of it."""

    async def lineage(self, node_ids: Collection[PolicyNodeId] | None) -> Lineage:
        """Return the paths of those of `node_ids` that exist; of all nodes for None."""
        ...

    async def layers(self, node_ids: Collection[PolicyNodeId] | None, as_of: AsOf) -> Mapping[PolicyNodeId, Layer]:
        """Return the versions in force as of an instant, by node; of all nodes for None."""
        ...


async def load(
    policies: Governing, node_ids: Collection[PolicyNodeId] | None, as_of: AsOf
) -> tuple[Lineage, Mapping[PolicyNodeId, Layer]]:
    """Return the lineage of nodes, all for None, and the versions in force on it and on the paths of their models."""
    lineage = await policies.lineage(node_ids)
    layers = await policies.layers(None if node_ids is None else lineage.parents.keys(), as_of)
    if node_ids is None:
        return lineage, layers
    parents, layers = dict(lineage.parents), dict(layers)
    await add_models(policies, parents, layers, (layer.document for layer in layers.values()), as_of)
    return Lineage(parents, lineage.account_ids), layers


async def add_models(
    policies: Governing,
    parents: dict[PolicyNodeId, PolicyNodeId | None],
    layers: dict[PolicyNodeId, Layer],
    documents: Iterable[Document],
    as_of: AsOf,
) -> None:
    """Add the paths, and the versions in force on them, of every model that `documents` lead to."""
    waiting = models_of(documents) - parents.keys()
    while waiting:
        found = await policies.lineage(waiting)
        new = found.parents.keys() - parents.keys()
        parents.update(found.parents)
        more = await policies.layers(new, as_of)
        layers.update(more)
        # A model that does not exist is not asked for again.
        known = parents.keys() | waiting
        waiting = models_of(layer.document for layer in more.values()) - known


async def resolver_inside(policies: PolicyReader, node_ids: Collection[PolicyNodeId], as_of: AsOf) -> Resolver:
    """Return the same out of the database, for a transaction that writes, without rollouts under way and stops.

    A client's wishes are judged by what governs apart from both: candidates may be gone tomorrow, and stops lifted.
    """
    lineage, layers = await load(policies, node_ids, as_of)
    clients = await policies.clients(lineage.parents.keys(), as_of)
    return Resolver(lineage, layers, as_of.valid_time, NO_OVERLAYS, clients)


def models_of(documents: Iterable[Document]) -> set[PolicyNodeId]:
    """Return the models that documents refer to."""
    return {each for document in documents for each in models_in(document)}
