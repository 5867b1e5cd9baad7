"""What is kept, read in one transaction."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, ScalarSelect, Select, Text, and_, any_, func, literal, or_, select, union
from sqlalchemy.dialects.postgresql import ARRAY, distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection

from services.kernel.ids import ChangeId, PolicyNodeId, PolicyVersionId
from services.policy.app.ports import ChangeFilter, NumberedChange
from services.policy.domain.changes import Change, Decided, State
from services.policy.domain.history import Activation, AsOf
from services.policy.domain.merge import Layer
from services.policy.domain.notices import Notice
from services.policy.domain.resolve import Lineage
from services.policy.domain.tree import Node, NodeKind
from services.policy.store.rows import (
    ACTIVATION_COLUMNS,
    NODE_COLUMNS,
    NOTICE_COLUMNS,
    activation_of,
    change_of,
    layer_of,
    node_of,
    notice_of,
)
from services.policy.tables import activation, change, node, notice, version

# Before the id of a model, among the fields that a version sets.
MODEL = "model:"


class StoredReader:
    """Reads; see `app.ports.PolicyReader`."""

    def __init__(self, connection: AsyncConnection) -> None:
        """Read through `connection`, which is in a transaction."""
        self._connection = connection

    async def node(self, node_id: PolicyNodeId) -> Node | None:
        """Return the node, or None."""
        row = (await self._connection.execute(select(*NODE_COLUMNS).where(node.c.node_id == node_id))).one_or_none()
        return None if row is None else node_of(row)

    async def ancestry(self, node_ids: Collection[PolicyNodeId] | None) -> list[Node]:
        """Return those of `node_ids` that exist and everything above them, in any order; all nodes for None."""
        return [node_of(row) for row in await self._connection.execute(_paths(NODE_COLUMNS, node_ids))]

    async def lineage(self, node_ids: Collection[PolicyNodeId] | None) -> Lineage:
        """Return the paths of those of `node_ids` that exist; of all nodes for None."""
        query = _paths((node.c.node_id, node.c.parent_id, node.c.kind), node_ids)
        parents: dict[PolicyNodeId, PolicyNodeId | None] = {}
        account_ids: list[PolicyNodeId] = []
        account = NodeKind.ACCOUNT.value
        for node_id, parent_id, kind in await self._connection.execute(query):
            parents[node_id] = parent_id
            if kind == account:
                account_ids.append(node_id)
        account_ids.sort()
        return Lineage(parents, account_ids)

    async def children_count(self, node_id: PolicyNodeId) -> int:
        """Return how many nodes stand directly under `node_id`."""
        query = select(func.count()).select_from(node).where(node.c.parent_id == node_id)
        return int((await self._connection.execute(query)).scalar_one())

    async def nodes(
        self, *, parent_id: PolicyNodeId | None, kind: NodeKind | None, after: PolicyNodeId | None, limit: int
    ) -> list[Node]:
        """Return up to `limit` nodes after the id `after`, by id; only children of `parent_id`, only of `kind`."""
        query = select(*NODE_COLUMNS).order_by(node.c.node_id).limit(limit)
        if parent_id is not None:
            query = query.where(node.c.parent_id == parent_id)
        if kind is not None:
            query = query.where(node.c.kind == kind.value)
        if after is not None:
            query = query.where(node.c.node_id > after)
        return [node_of(row) for row in await self._connection.execute(query)]

    async def layers(self, node_ids: Collection[PolicyNodeId] | None, as_of: AsOf) -> dict[PolicyNodeId, Layer]:
        """Return the versions in force as of an instant, by node; of all nodes for None."""
        query = (
            select(
                activation.c.node_id,
                activation.c.version_id,
                activation.c.change_id,
                activation.c.effective_time,
                activation.c.recorded_time,
                version.c.document,
                change.c.author,
                change.c.approver,
                change.c.reason,
            )
            .ext(distinct_on(activation.c.node_id))
            .join(version, version.c.version_id == activation.c.version_id)
            .join(change, change.c.change_id == activation.c.change_id)
            .where(_governs(as_of))
            .order_by(activation.c.node_id, activation.c.effective_time.desc())
        )
        if node_ids is not None:
            query = query.where(_among(activation.c.node_id, node_ids))
        rows = await self._connection.execute(query)
        return {found.node_id: found for found in map(layer_of, rows)}

    async def governed(self, node_id: PolicyNodeId) -> list[PolicyNodeId]:
        """Return the nodes for which a version was ever approved, among the node, those above it and those below it."""
        above = _paths((node.c.node_id, node.c.parent_id), [node_id]).subquery()
        below = select(node.c.node_id).where(node.c.node_id == node_id).cte("below", recursive=True)
        below = below.union_all(select(node.c.node_id).join(below, node.c.parent_id == below.c.node_id))
        concerned = union(select(above.c.node_id), select(below.c.node_id)).subquery()
        approved = select(activation.c.node_id).where(activation.c.sequence == 1)
        query = approved.where(activation.c.node_id.in_(select(concerned.c.node_id))).order_by(activation.c.node_id)
        return [PolicyNodeId(found) for found in (await self._connection.execute(query)).scalars()]

    async def model_references(self) -> list[tuple[PolicyNodeId, PolicyNodeId]]:
        """Return which nodes refer to which models in a version that was ever approved and not revoked, in order."""
        said = (
            select(activation.c.node_id, func.unnest(version.c.fields).label("field"))
            .join(version, version.c.version_id == activation.c.version_id)
            .where(activation.c.revoked_time.is_(None))
            .subquery()
        )
        query = select(said.c.node_id, said.c.field).distinct().where(said.c.field.startswith(MODEL))
        rows = await self._connection.execute(query.order_by(said.c.node_id, said.c.field))
        return [(PolicyNodeId(node_id), PolicyNodeId(found.removeprefix(MODEL))) for node_id, found in rows]

    async def scheduled_times(self, node_ids: Collection[PolicyNodeId], after: datetime) -> list[datetime]:
        """Return the instants after `after` at which versions of `node_ids` take effect, each once, in order."""
        query = (
            select(activation.c.effective_time)
            .distinct()
            .where(
                _among(activation.c.node_id, node_ids),
                activation.c.effective_time > after,
                activation.c.revoked_time.is_(None),
            )
            .order_by(activation.c.effective_time)
        )
        return list((await self._connection.execute(query)).scalars())

    async def history(self, node_id: PolicyNodeId) -> list[Activation]:
        """Return all activations of the node, in the order in which they were recorded."""
        query = select(*ACTIVATION_COLUMNS).where(activation.c.node_id == node_id).order_by(activation.c.sequence)
        return [activation_of(row) for row in await self._connection.execute(query)]

    async def change(self, change_id: ChangeId) -> Change | None:
        """Return the change, or None."""
        row = (await self._connection.execute(_changes().where(change.c.change_id == change_id))).one_or_none()
        return None if row is None else change_of(row)

    async def changes(self, wanted: ChangeFilter, *, before: int | None, limit: int) -> list[NumberedChange]:
        """Return up to `limit` changes with numbers below `before`, newest first."""
        query = _changes().order_by(change.c.number.desc()).limit(limit)
        if wanted.node_id is not None:
            query = query.where(change.c.node_id == wanted.node_id)
        if wanted.author is not None:
            query = query.where(change.c.author == wanted.author)
        if wanted.approver is not None:
            query = query.where(change.c.approver == wanted.approver)
        if wanted.field is not None:
            query = query.where(version.c.fields.contains([wanted.field]))
        if wanted.created_from is not None:
            query = query.where(change.c.created_time >= wanted.created_from)
        if wanted.created_before is not None:
            query = query.where(change.c.created_time < wanted.created_before)
        if wanted.state is not None:
            query = query.where(_in_state(wanted.state, wanted.market_time))
        if before is not None:
            query = query.where(change.c.number < before)
        return [NumberedChange(row.number, change_of(row)) for row in await self._connection.execute(query)]

    async def change_of_version(self, version_id: PolicyVersionId) -> Change | None:
        """Return the newest approved change that brought this content, or the newest that proposes it; None if none."""
        approved_first = (change.c.decided == Decided.APPROVED.value).desc()
        query = _changes().where(change.c.version_id == version_id).order_by(approved_first, change.c.number.desc())
        row = (await self._connection.execute(query.limit(1))).one_or_none()
        return None if row is None else change_of(row)

    async def notices(self, after: int, limit: int) -> list[Notice]:
        """Return up to `limit` notices after the position `after`, in order."""
        query = select(*NOTICE_COLUMNS).where(notice.c.position > after).order_by(notice.c.position).limit(limit)
        return [notice_of(row) for row in await self._connection.execute(query)]

    async def in_force(self, version_ids: Collection[PolicyVersionId], as_of: AsOf) -> set[PolicyVersionId]:
        """Return those of `version_ids` that govern their node as of an instant."""
        concerned = select(activation.c.node_id).where(_among(activation.c.version_id, version_ids))
        governing = (
            select(activation.c.node_id, activation.c.version_id)
            .ext(distinct_on(activation.c.node_id))
            .where(activation.c.node_id.in_(concerned), _governs(as_of))
            .order_by(activation.c.node_id, activation.c.effective_time.desc())
            .subquery()
        )
        query = select(governing.c.version_id).where(_among(governing.c.version_id, version_ids))
        return {PolicyVersionId(found) for found in (await self._connection.execute(query)).scalars()}


def _paths(
    columns: tuple[ColumnElement[Any], ...], node_ids: Collection[PolicyNodeId] | None
) -> Select[*tuple[Any, ...]]:
    """Select `node_ids` and everything above them; everything for None. The columns hold id and parent."""
    if node_ids is None:
        return select(*columns)
    path = select(*columns).where(_among(node.c.node_id, node_ids)).cte("path", recursive=True)
    return select(path.union(select(*columns).join(path, node.c.node_id == path.c.parent_id)))


def _superseded_time() -> ScalarSelect[datetime]:
    """Select since when a later version governs the node of a change; null while none is approved."""
    mine = activation.alias("mine")
    later = activation.alias("later")
    return (
        select(later.c.effective_time)
        .join(mine, and_(mine.c.node_id == later.c.node_id, mine.c.sequence == later.c.follows))
        .where(mine.c.change_id == change.c.change_id, mine.c.revoked_time.is_(None), later.c.revoked_time.is_(None))
        .correlate(change)
        .scalar_subquery()
    )


def _in_state(state: State, market_time: datetime | None) -> ColumnElement[bool]:
    """Return the condition that a change is in `state`, as `Change.state` says it."""
    match state:
        case State.SCHEDULED:
            return change.c.effective_time > market_time
        case State.ACTIVE:
            later = _superseded_time()
            return and_(change.c.effective_time <= market_time, or_(later.is_(None), later > market_time))
        case State.SUPERSEDED:
            return and_(change.c.effective_time <= market_time, _superseded_time() <= market_time)
        case _:
            return change.c.decided == state.value


def _changes() -> Select[*tuple[object, ...]]:
    """Select changes with their content, and since when a later version governs the node."""
    return select(
        change.c.number,
        change.c.change_id,
        change.c.node_id,
        change.c.base_version_id,
        change.c.version_id,
        change.c.reason,
        change.c.requested_time,
        change.c.decided,
        change.c.revision,
        change.c.author,
        change.c.created_time,
        change.c.approver,
        change.c.approver_comment,
        change.c.decided_time,
        change.c.effective_time,
        version.c.document,
        _superseded_time().label("superseded_time"),
    ).join(version, version.c.version_id == change.c.version_id)


def _governs(as_of: AsOf) -> ColumnElement[bool]:
    """Return the condition that an activation took effect and counted, as `Activation.known` says it."""
    took_effect = activation.c.effective_time <= as_of.valid_time
    if as_of.known_time is None:
        return and_(took_effect, activation.c.revoked_time.is_(None))
    return and_(
        took_effect,
        activation.c.recorded_time <= as_of.known_time,
        or_(activation.c.revoked_time.is_(None), activation.c.revoked_time > as_of.known_time),
    )


def _among(column: ColumnElement[str], wanted: Collection[str]) -> ColumnElement[bool]:
    # One array parameter: however many are wanted, it is one statement that is prepared once.
    return column == any_(literal(list(wanted), ARRAY(Text)))
