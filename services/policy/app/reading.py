"""The use cases that say which rules apply."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.kernel.clock import Clock
from services.kernel.ids import PolicyNodeId, PolicyVersionId
from services.policy.app.checking import place_of
from services.policy.app.ports import Read
from services.policy.domain.changes import Change
from services.policy.domain.document import Document
from services.policy.domain.errors import NodeNotFound, PolicyNotInForce, VersionNotFound
from services.policy.domain.history import AsOf
from services.policy.domain.lint import Finding
from services.policy.domain.merge import Effective
from services.policy.domain.resolve import Resolver, first_unknown
from services.policy.domain.tree import NodeKind

Resolved = tuple[PolicyNodeId, Effective]


@dataclass(frozen=True, slots=True)
class PolicyApp:
    """Which rules apply to whom, and since when."""

    read: Read
    market_clock: Clock

    async def effective(self, node_id: PolicyNodeId, as_of: AsOf) -> Effective:
        """Return what applies to a node as of an instant.

        Raises:
            NodeNotFound: It does not exist.
            PolicyNotInForce: Nothing was in force on its path.
        """
        async with self.read() as policies:
            path = {node.node_id: node.parent_id for node in await policies.ancestry([node_id])}
            layers = await policies.layers(list(path), as_of)
        found = Resolver(path, layers).effective(node_id)
        if not found.layers:
            known = "" if as_of.known_time is None else f", as known at {as_of.known_time.isoformat()}"
            raise PolicyNotInForce(
                f"no policy was in force for {node_id} at {as_of.valid_time.isoformat()}{known}", node_id=node_id
            )
        return found

    async def resolve(
        self, account_ids: Sequence[PolicyNodeId], as_of: AsOf, *, at_once: int
    ) -> Iterator[list[Resolved]]:
        """Return what applies to each account, in the order given, `at_once` at a time.

        Accounts for which nothing was in force have no layers. When no account is given, all are meant, by id.

        Raises:
            NodeNotFound: Names the first that does not exist.
        """
        async with self.read() as policies:
            nodes = await policies.ancestry(account_ids or None)
            parents = {node.node_id: node.parent_id for node in nodes}
            layers = await policies.layers(list(parents) if account_ids else None, as_of)
        if (unknown := first_unknown(account_ids, parents)) is not None:
            raise NodeNotFound(f"policy node {unknown} does not exist", node_id=unknown)
        wanted = account_ids or sorted(node.node_id for node in nodes if node.kind is NodeKind.ACCOUNT)
        return Resolver(parents, layers).many(wanted, at_once)

    async def in_force(self, version_ids: Collection[PolicyVersionId], at: datetime) -> set[PolicyVersionId]:
        """Return those of `version_ids` that govern their node at the business instant `at`."""
        async with self.read() as policies:
            return await policies.in_force(version_ids, AsOf(at))

    async def version(self, version_id: PolicyVersionId) -> Change:
        """Return the change that brought a content, or the newest that proposes it.

        Raises:
            VersionNotFound: Nobody ever proposed it.
        """
        async with self.read() as policies:
            change = await policies.change_of_version(version_id)
        if change is None:
            raise VersionNotFound(f"policy version {version_id} does not exist", version_hash=version_id)
        return change

    async def lint(self, node_id: PolicyNodeId, document: Document) -> tuple[Finding, ...]:
        """Return what is wrong or odd about a document for a node, errors first; nothing is written.

        Raises:
            NodeNotFound: The node does not exist.
        """
        async with self.read() as policies:
            place = await place_of(policies, node_id, self.market_clock.now())
        return place.findings(document)
