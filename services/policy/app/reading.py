"""The use cases that say which rules apply."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias, assert_never

from services.kernel.clock import Clock
from services.kernel.errors import FieldViolation, Invalid
from services.kernel.ids import ChangeId, PolicyNodeId, PolicyVersionId
from services.policy.app.checking import existing, place_of
from services.policy.app.loading import load, resolver
from services.policy.app.ports import PolicyReader, Read
from services.policy.domain.changes import Change
from services.policy.domain.diff import Difference, differences
from services.policy.domain.document import EMPTY, FIELDS, Document
from services.policy.domain.errors import ChangeNotFound, NodeNotFound, PolicyNotInForce, VersionNotFound
from services.policy.domain.explain import Explanation, explain
from services.policy.domain.history import AsOf
from services.policy.domain.lint import Finding
from services.policy.domain.merge import Effective
from services.policy.domain.notices import Notice
from services.policy.domain.resolve import Applied, Resolver, first_unknown

Resolved = tuple[PolicyNodeId, Applied]


@dataclass(frozen=True, slots=True)
class VersionPoint:
    """The content of a version."""

    version_id: PolicyVersionId


@dataclass(frozen=True, slots=True)
class ChangePoint:
    """The content of a change, as it is now."""

    change_id: ChangeId


@dataclass(frozen=True, slots=True)
class NodePoint:
    """What a node's own version in force says, or what applies to it when `merged`."""

    node_id: PolicyNodeId
    as_of: AsOf
    merged: bool


Point: TypeAlias = VersionPoint | ChangePoint | NodePoint


@dataclass(frozen=True, slots=True)
class PolicyApp:
    """Which rules apply to whom, and since when."""

    read: Read
    market_clock: Clock

    async def applied(self, node_id: PolicyNodeId, as_of: AsOf) -> Applied:
        """Return what applies to a node as of an instant.

        Raises:
            NodeNotFound: It does not exist.
            PolicyNotInForce: Nothing was in force on its path.
        """
        async with self.read() as policies:
            found = (await resolver(policies, [node_id], as_of)).applied(node_id)
        if not found.effective.layers:
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
            lineage, layers = await load(policies, account_ids or None, as_of)
        if (unknown := first_unknown(account_ids, lineage)) is not None:
            raise NodeNotFound(f"policy node {unknown} does not exist", node_id=unknown)
        return Resolver(lineage, layers, as_of.valid_time).many(account_ids or lineage.account_ids, at_once)

    async def explain(self, node_id: PolicyNodeId, path: str, as_of: AsOf) -> Explanation:
        """Return why a node has its value of the field at `path`.

        Raises:
            Invalid: There is no such field.
            NodeNotFound: The node does not exist.
        """
        if FIELDS.get(path) is None:
            description = f"must be the path of a field, such as risk.cash_floor, was {path!r}"
            raise Invalid(f"field: {description}", violations=[FieldViolation("field", description)])
        async with self.read() as policies:
            return explain(await _merged(policies, node_id, as_of), path)

    async def differences(self, before: Point, after: Point) -> tuple[Difference, ...]:
        """Return what `after` says otherwise than `before`.

        Raises:
            NodeNotFound: A node does not exist.
            ChangeNotFound: A change does not exist.
            VersionNotFound: A version does not exist.
        """
        async with self.read() as policies:
            return differences(await _document(policies, before), await _document(policies, after))

    async def notices(self, after: int, limit: int) -> list[Notice]:
        """Return up to `limit` notices after the position `after`, in order."""
        async with self.read() as policies:
            return await policies.notices(after, limit)

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
            place = await place_of(policies, node_id, self.market_clock.now(), document)
        return place.findings(document)


async def _merged(policies: PolicyReader, node_id: PolicyNodeId, as_of: AsOf) -> Effective:
    return (await resolver(policies, [node_id], as_of)).effective(node_id)


async def _document(policies: PolicyReader, point: Point) -> Document:
    match point:
        case VersionPoint(version_id):
            brought = await policies.change_of_version(version_id)
            if brought is None:
                raise VersionNotFound(f"policy version {version_id} does not exist", version_hash=version_id)
            return brought.document
        case ChangePoint(change_id):
            change = await policies.change(change_id)
            if change is None:
                raise ChangeNotFound(f"policy change {change_id} does not exist", change_id=change_id)
            return change.document
        case NodePoint(node_id, as_of, merged=True):
            return (await resolver(policies, [node_id], as_of)).applied(node_id).plain.document
        case NodePoint(node_id, as_of):
            await existing(policies, node_id)
            layer = (await policies.layers([node_id], as_of)).get(node_id)
            return EMPTY if layer is None else layer.document
        case _:
            assert_never(point)
