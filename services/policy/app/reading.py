"""The use cases that say which rules apply."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeAlias, assert_never

from services.kernel.clock import Clock
from services.kernel.errors import Invalid
from services.kernel.ids import ChangeId, PolicyNodeId, PolicyVersionId
from services.policy.app.checking import existing, existing_change, place_of
from services.policy.app.editions import Editions, Known
from services.policy.app.loading import load
from services.policy.app.ports import Read
from services.policy.app.supposing import Supposed
from services.policy.domain.changes import Change
from services.policy.domain.diff import Difference, differences
from services.policy.domain.document import EMPTY, FIELDS, Document
from services.policy.domain.errors import NodeNotFound, PolicyNotInForce, VersionNotFound
from services.policy.domain.explain import Explanation, explain
from services.policy.domain.history import AsOf
from services.policy.domain.lint import Finding
from services.policy.domain.merge import Layer, Origin
from services.policy.domain.notices import Notice
from services.policy.domain.resolve import Applied, Resolver, Sides, first_unknown
from services.policy.domain.stops import Stop


@dataclass(frozen=True, slots=True)
class Resolved:
    """Accounts and what applies to each, in the same order; both sides of rollouts where somebody asked for them."""

    account_ids: Sequence[PolicyNodeId]
    applied: Sequence[Applied]
    sides: Sequence[tuple[PolicyNodeId, Sides]] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """An account whose rules are others than those it was asked about, or forbid trading."""

    account_id: PolicyNodeId
    paused: bool
    version_ids: tuple[PolicyVersionId, ...]
    description: str


@dataclass(frozen=True, slots=True)
class PathVersions:
    """What governed a node's path: versions root first, those of them that came by a rollout, and stops."""

    layers: Sequence[Layer]
    by_rollout: Sequence[PolicyVersionId]
    stops: Sequence[Stop]


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
    editions: Editions
    market_clock: Clock
    # Whose holders may approve changes.
    approver_roles: frozenset[str]

    async def applied(self, node_id: PolicyNodeId, as_of: AsOf) -> Applied:
        """Return what applies to a node as of an instant.

        Raises:
            NodeNotFound: It does not exist.
            PolicyNotInForce: Nothing was in force on its path.
        """
        found = await self.editions.applied(node_id, as_of)
        if not found.effective.layers:
            known = "" if as_of.known_time is None else f", as known at {as_of.known_time.isoformat()}"
            raise PolicyNotInForce(
                f"no policy was in force for {node_id} at {as_of.valid_time.isoformat()}{known}", node_id=node_id
            )
        return found

    async def resolve(
        self,
        account_ids: Sequence[PolicyNodeId],
        as_of: AsOf,
        *,
        at_once: int,
        with_sides: bool = False,
        supposing: ChangeId | None = None,
        allow_missing: bool = False,
    ) -> AsyncIterator[Resolved]:
        """Yield what applies to each account, in the order given, `at_once` at a time.

        Accounts for which nothing was in force have no layers. When no account is given, all are meant, by id.
        With `supposing`, it is what would apply if that change governed its node, whatever its state. With
        `allow_missing`, accounts that do not exist are left out.

        Raises:
            NodeNotFound: Names the first that does not exist.
            ChangeNotFound: There is no such change.
        """
        async with self.read() as policies:
            newest = await self.editions.known(policies)
            known: Known | Supposed = newest
            if supposing is not None:
                known = Supposed(newest, await existing_change(policies, supposing))
            lineage, layers = await load(known, account_ids or None, as_of)
            overlays = known.overlays(as_of)
            clients = await policies.clients(lineage.parents.keys() if account_ids else None, as_of)
        wanted = account_ids or lineage.account_ids
        if allow_missing:
            wanted = [each for each in wanted if each in lineage.parents]
        elif (unknown := first_unknown(account_ids, lineage)) is not None:
            raise NodeNotFound(f"policy node {unknown} does not exist", node_id=unknown)
        resolving = Resolver(lineage, layers, as_of.valid_time, overlays, clients)
        for found in resolving.many(wanted, at_once):
            sides = []
            if with_sides:
                both = ((account_id, resolving.sides(account_id)) for account_id, _ in found)
                sides = [(account_id, each) for account_id, each in both if each is not None]
            yield Resolved([account_id for account_id, _ in found], [applied for _, applied in found], sides)
            # Others are served in between.
            await asyncio.sleep(0)

    async def path_versions(self, node_id: PolicyNodeId, as_of: AsOf) -> PathVersions:
        """Return what governed the path of a node as of an instant.

        Raises:
            NodeNotFound: It does not exist.
        """
        async with self.read() as policies:
            known = await self.editions.known(policies)
            overlays = known.overlays(as_of)
        effective = (await self._resolver([node_id], as_of)).effective(node_id)
        stops = [stop for held in overlays.stops.values() for stop in held]
        stopped = {stop.version_id for stop in stops}
        layers = [each for each in effective.layers if each.origin is Origin.VERSION]
        here = {layer.version_id for layer in layers}
        return PathVersions(
            [each for each in layers if each.version_id not in stopped],
            [each.layer.version_id for each in overlays.candidates.values() if each.layer.version_id in here],
            [stop for stop in stops if stop.version_id in here],
        )

    async def verdicts(
        self,
        asked: Mapping[PolicyNodeId, Collection[PolicyVersionId]],
        at: datetime,
        hashes: Mapping[PolicyNodeId, str],
        hash_of: Callable[[Applied], str],
    ) -> list[Verdict]:
        """Return the accounts whose rules at the business instant `at` are others than asked about, or pause them.

        Args:
            asked: The versions by which each account was planned for.
            at: The instant.
            hashes: The effective policy by which it was, for accounts of which it is known.
            hash_of: Names what applies to a node as `hashes` does.
        """
        resolving = await self._resolver(list(asked), AsOf(at))
        found: list[Verdict] = []
        named = _Named(hash_of)
        for account_id, versions in asked.items():
            try:
                applied = resolving.applied(account_id)
            except NodeNotFound as error:
                found.append(Verdict(account_id, False, (), error.message))
                continue
            governing = applied.version_ids
            if applied.plain.document.safety.paused:
                found.append(Verdict(account_id, True, governing, f"trading of {account_id} is paused by policy"))
            elif lacking := applied.plain.document.client.missing_consents:
                words = f"{account_id} has no valid consent on record: {', '.join(lacking)}"
                found.append(Verdict(account_id, True, governing, words))
            elif set(governing) != set(versions):
                said = [f"{each} does not govern it" for each in sorted(set(versions) - set(governing))]
                said += [f"{each} governs it, too" for each in sorted(set(governing) - set(versions))]
                found.append(Verdict(account_id, False, governing, f"of {account_id}: {', '.join(said)}"))
            elif account_id in hashes and named.of(applied) != hashes[account_id]:
                words = f"what is on record of {account_id}, or holds by the day, changed since it was planned for"
                found.append(Verdict(account_id, False, governing, words))
        return found

    async def explain(self, node_id: PolicyNodeId, path: str, as_of: AsOf) -> Explanation:
        """Return why a node has its value of the field at `path`.

        Raises:
            Invalid: There is no such field.
            NodeNotFound: The node does not exist.
        """
        if FIELDS.get(path) is None:
            description = f"must be the path of a field, such as risk.cash_floor, was {path!r}"
            raise Invalid.of("field", description)
        found = await self.editions.applied(node_id, as_of)
        return explain(found.effective, path, found.plain)

    async def differences(self, before: Point, after: Point) -> tuple[Difference, ...]:
        """Return what `after` says otherwise than `before`.

        Raises:
            NodeNotFound: A node does not exist.
            ChangeNotFound: A change does not exist.
            VersionNotFound: A version does not exist.
        """
        return differences(await self._document(before), await self._document(after))

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
        return replace(place, approver_roles=self.approver_roles).findings(document)

    async def _resolver(self, node_ids: Sequence[PolicyNodeId], as_of: AsOf) -> Resolver:
        return await self.editions.resolver(node_ids, as_of)

    async def _document(self, point: Point) -> Document:
        match point:
            case VersionPoint(version_id):
                return (await self.version(version_id)).document
            case ChangePoint(change_id):
                async with self.read() as policies:
                    return (await existing_change(policies, change_id)).document
            case NodePoint(node_id, as_of, merged=True):
                return (await self.editions.applied(node_id, as_of)).plain.document
            case NodePoint(node_id, as_of):
                async with self.read() as policies:
                    await existing(policies, node_id)
                    layer = (await policies.layers([node_id], as_of)).get(node_id)
                return EMPTY if layer is None else layer.document
            case _:
                assert_never(point)


class _Named:
    """Names what applies to accounts; what one resolver gives to many is named once."""

    def __init__(self, hash_of: Callable[[Applied], str]) -> None:
        self._hash_of = hash_of
        self._known: dict[tuple[str, ...], str] = {}

    def of(self, applied: Applied) -> str:
        if applied.key not in self._known:
            self._known[applied.key] = self._hash_of(applied)
        return self._known[applied.key]
