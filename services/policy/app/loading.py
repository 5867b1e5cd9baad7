"""Loads what resolving takes: paths of nodes, the versions in force on them, and the same of the models in them."""

from collections.abc import Collection, Iterable

from services.kernel.ids import PolicyNodeId
from services.policy.app.ports import PolicyReader
from services.policy.domain.document import Document, models_in
from services.policy.domain.history import AsOf
from services.policy.domain.merge import Layer
from services.policy.domain.resolve import Lineage, Resolver


async def load(
    policies: PolicyReader, node_ids: Collection[PolicyNodeId] | None, as_of: AsOf
) -> tuple[Lineage, dict[PolicyNodeId, Layer]]:
    """Return the lineage of nodes, all for None, and the versions in force on it and on the paths of their models."""
    lineage = await policies.lineage(node_ids)
    layers = await policies.layers(None if node_ids is None else lineage.parents.keys(), as_of)
    if node_ids is None:
        return lineage, layers
    parents = dict(lineage.parents)
    await add_models(policies, parents, layers, (layer.document for layer in layers.values()), as_of)
    return Lineage(parents, lineage.account_ids), layers


async def add_models(
    policies: PolicyReader,
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


async def resolver(policies: PolicyReader, node_ids: Collection[PolicyNodeId], as_of: AsOf) -> Resolver:
    """Return what knows what applies to `node_ids`, everything above them, and their models."""
    return Resolver(*await load(policies, node_ids, as_of), as_of.valid_time)


def models_of(documents: Iterable[Document]) -> set[PolicyNodeId]:
    """Return the models that documents refer to."""
    return {each for document in documents for each in models_in(document)}
