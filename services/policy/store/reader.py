"""What is kept, read in one transaction."""

from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Row,
    Select,
    func,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection

from services.kernel.ids import ChangeId, PolicyNodeId, PolicyVersionId
from services.policy.app.ports import ChangeFilter, NumberedChange, NumberedRollout, NumberedStop
from services.policy.domain.assets import Assets
from services.policy.domain.changes import Change, Decided
from services.policy.domain.history import Activation, AsOf
from services.policy.domain.index import Delta, NewNode
from services.policy.domain.merge import Layer
from services.policy.domain.notices import Notice
from services.policy.domain.resolve import Lineage
from services.policy.domain.rollout import Comparison, Rollout, Stage
from services.policy.domain.stops import Stop
from services.policy.domain.tree import Node, NodeKind
from services.policy.store import statements
from services.policy.store.clients import StoredClientReader
from services.policy.store.rows import (
    ACTIVATION_COLUMNS,
    COMPARISON_COLUMNS,
    NODE_COLUMNS,
    NOTICE_COLUMNS,
    STEP_COLUMNS,
    STOP_COLUMNS,
    activation_of,
    change_of,
    comparison_of,
    governing_of,
    layer_of,
    node_of,
    notice_of,
    rolling_out_of,
    rollout_of,
    stop_of,
)
from services.policy.tables import (
    account_value,
    activation,
    change,
    edition,
    node,
    notice,
    removed_node,
    rollout,
    rollout_comparison,
    rollout_step,
    stop,
    version,
)

# Rows of a delta that are in memory at once.
ROWS_AT_ONCE = 20_000

# Before the id of a model, among the fields that a version sets.
MODEL = "model:"


class StoredReader(StoredClientReader):
    """Reads; see `app.ports.PolicyReader`."""

    def __init__(self, connection: AsyncConnection) -> None:
        """Read through `connection`, which is in a transaction."""
        super().__init__(connection)

    async def node(self, node_id: PolicyNodeId) -> Node | None:
        """Return the node, or None."""
        row = (await self._connection.execute(select(*NODE_COLUMNS).where(node.c.node_id == node_id))).one_or_none()
        return None if row is None else node_of(row)

    async def ancestry(self, node_ids: Collection[PolicyNodeId] | None) -> list[Node]:
        """Return those of `node_ids` that exist and everything above them, in any order; all nodes for None."""
        query = statements.paths(NODE_COLUMNS, of_all=node_ids is None)
        return [node_of(row) for row in await self._connection.execute(query, statements.asked(node_ids))]

    async def lineage(self, node_ids: Collection[PolicyNodeId] | None) -> Lineage:
        """Return the paths of those of `node_ids` that exist; of all nodes for None."""
        query = statements.paths((node.c.node_id, node.c.parent_id, node.c.kind), of_all=node_ids is None)
        parents: dict[PolicyNodeId, PolicyNodeId | None] = {}
        account_ids: list[PolicyNodeId] = []
        account = NodeKind.ACCOUNT.value
        for node_id, parent_id, kind in await self._connection.execute(query, statements.asked(node_ids)):
            parents[node_id] = parent_id
            if kind == account:
                account_ids.append(node_id)
        account_ids.sort()
        return Lineage(parents, account_ids)

    async def edition(self) -> int:
        """Return how often what governs has changed."""
        return int((await self._connection.execute(select(edition.c.number))).scalar_one())

    async def deltas(self, since: int) -> AsyncIterator[Delta]:
        """Yield, in parts, what became different since an edition; everything for -1.

        To be called first in its transaction, so that the parts are of one instant.
        """
        await self._connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        to = await self.edition()
        removed = select(removed_node.c.node_id).where(removed_node.c.edition > since)
        gone = [] if since < 0 else list((await self._connection.execute(removed)).scalars())
        yield Delta(to, removed=map(PolicyNodeId, gone))
        nodes = (
            select(node.c.node_id, node.c.parent_id, node.c.kind)
            .where(node.c.edition > since)
            .order_by(node.c.edition, node.c.number)
        )
        async for rows in self._partitions(nodes):
            yield Delta(to, nodes=[NewNode(row.node_id, row.parent_id, NodeKind(row.kind)) for row in rows])
        governing = (
            select(*ACTIVATION_COLUMNS, version.c.document, change.c.author, change.c.approver, change.c.reason)
            .join(version, version.c.version_id == activation.c.version_id)
            .join(change, change.c.change_id == activation.c.change_id)
            .where(activation.c.edition > since)
        )
        async for rows in self._partitions(governing):
            yield Delta(to, governing=map(governing_of, rows))
        stops = await self._connection.execute(select(*STOP_COLUMNS).where(stop.c.edition > since))
        rollouts = (await self._connection.execute(statements.rollouts().where(rollout.c.edition > since))).all()
        steps = await self._steps(rollouts)
        yield Delta(
            to,
            stops=[stop_of(row) for row in stops],
            rollouts=[rolling_out_of(row, steps[row.change_id]) for row in rollouts],
        )

    async def account_count(self, node_id: PolicyNodeId) -> int:
        """Return how many accounts are at and under `node_id`."""
        below = select(node.c.node_id, node.c.kind).where(node.c.node_id == node_id).cte("below", recursive=True)
        below = below.union_all(select(node.c.node_id, node.c.kind).join(below, node.c.parent_id == below.c.node_id))
        query = select(func.count()).select_from(below).where(below.c.kind == NodeKind.ACCOUNT.value)
        return int((await self._connection.execute(query)).scalar_one())

    async def assets(self, node_id: PolicyNodeId) -> Assets:
        """Return what the accounts at and under `node_id` are worth, by the values recorded last."""
        below = select(node.c.node_id, node.c.kind).where(node.c.node_id == node_id).cte("below", recursive=True)
        below = below.union_all(select(node.c.node_id, node.c.kind).join(below, node.c.parent_id == below.c.node_id))
        said = account_value.c
        query = (
            select(said.currency, func.sum(said.amount), func.count(), func.min(said.as_of_time))
            .select_from(below.outerjoin(account_value, said.account_id == below.c.node_id))
            .where(below.c.kind == NodeKind.ACCOUNT.value)
            .group_by(said.currency)
        )
        rows = (await self._connection.execute(query)).all()
        return Assets(
            by_currency={currency: amount for currency, amount, _, _ in rows if currency is not None},
            unknown_count=sum(count for currency, _, count, _ in rows if currency is None),
            oldest_time=min((oldest for currency, _, _, oldest in rows if currency is not None), default=None),
        )

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
        query = statements.layers(of_all=node_ids is None, as_known_now=as_of.known_time is None)
        said = {**statements.asked(node_ids), **statements.instants(as_of)}
        rows = await self._connection.execute(query, said)
        return {found.node_id: found for found in map(layer_of, rows)}

    async def governed(self, node_id: PolicyNodeId) -> list[PolicyNodeId]:
        """Return the nodes for which a version was ever approved, among the node, those above it and those below it."""
        found = await self._connection.execute(statements.governed(), statements.asked([node_id]))
        return [PolicyNodeId(each) for each in found.scalars()]

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
                statements.among(activation.c.node_id, node_ids),
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
        query = statements.changes().where(change.c.change_id == change_id)
        row = (await self._connection.execute(query)).one_or_none()
        return None if row is None else change_of(row)

    async def changes(self, wanted: ChangeFilter, *, before: int | None, limit: int) -> list[NumberedChange]:
        """Return up to `limit` changes with numbers below `before`, newest first."""
        query = statements.changes().order_by(change.c.number.desc()).limit(limit)
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
            query = query.where(statements.in_state(wanted.state, wanted.market_time))
        if before is not None:
            query = query.where(change.c.number < before)
        return [NumberedChange(row.number, change_of(row)) for row in await self._connection.execute(query)]

    async def change_of_version(self, version_id: PolicyVersionId) -> Change | None:
        """Return the newest approved change that brought this content, or the newest that proposes it; None if none."""
        approved_first = (change.c.decided == Decided.APPROVED.value).desc()
        query = (
            statements.changes()
            .where(change.c.version_id == version_id)
            .order_by(approved_first, change.c.number.desc())
        )
        row = (await self._connection.execute(query.limit(1))).one_or_none()
        return None if row is None else change_of(row)

    async def notices(self, after: int, limit: int) -> list[Notice]:
        """Return up to `limit` notices after the position `after`, in order."""
        query = select(*NOTICE_COLUMNS).where(notice.c.position > after).order_by(notice.c.position).limit(limit)
        return [notice_of(row) for row in await self._connection.execute(query)]

    async def stop(self, stop_id: ChangeId) -> Stop | None:
        """Return the stop, or None."""
        row = (await self._connection.execute(select(*STOP_COLUMNS).where(stop.c.stop_id == stop_id))).one_or_none()
        return None if row is None else stop_of(row)

    async def stops(
        self, *, node_id: PolicyNodeId | None, holding_only: bool, before: int | None, limit: int
    ) -> list[NumberedStop]:
        """Return up to `limit` stops with numbers below `before`, newest first."""
        query = select(stop.c.number, *STOP_COLUMNS).order_by(stop.c.number.desc()).limit(limit)
        if node_id is not None:
            query = query.where(stop.c.node_id == node_id)
        if holding_only:
            query = query.where(stop.c.lifter.is_(None))
        if before is not None:
            query = query.where(stop.c.number < before)
        return [NumberedStop(row.number, stop_of(row)) for row in await self._connection.execute(query)]

    async def rollout(self, change_id: ChangeId) -> Rollout | None:
        """Return the rollout of a change, or None."""
        rows = (await self._connection.execute(statements.rollouts().where(rollout.c.change_id == change_id))).all()
        steps = await self._steps(rows)
        return rollout_of(rows[0], steps[change_id]) if rows else None

    async def rollouts(
        self, *, node_id: PolicyNodeId | None, open_only: bool, before: int | None, limit: int
    ) -> list[NumberedRollout]:
        """Return up to `limit` rollouts with numbers below `before`, newest first."""
        query = statements.rollouts().order_by(rollout.c.number.desc()).limit(limit)
        if node_id is not None:
            query = query.where(rollout.c.node_id == node_id)
        if open_only:
            query = query.where(rollout.c.open)
        if before is not None:
            query = query.where(rollout.c.number < before)
        rows = (await self._connection.execute(query)).all()
        steps = await self._steps(rows)
        return [NumberedRollout(row.number, rollout_of(row, steps[row.change_id])) for row in rows]

    async def comparisons(self, change_id: ChangeId, limit: int) -> list[Comparison]:
        """Return up to `limit` comparisons of a rollout, newest first."""
        query = (
            select(*COMPARISON_COLUMNS)
            .where(rollout_comparison.c.change_id == change_id)
            .order_by(rollout_comparison.c.number.desc())
            .limit(limit)
        )
        return [comparison_of(row) for row in await self._connection.execute(query)]

    async def comparison_count(self, change_id: ChangeId) -> int:
        """Return how many comparisons of a rollout were reported."""
        query = select(func.count()).select_from(rollout_comparison).where(rollout_comparison.c.change_id == change_id)
        return int((await self._connection.execute(query)).scalar_one())

    async def in_force(self, version_ids: Collection[PolicyVersionId], as_of: AsOf) -> set[PolicyVersionId]:
        """Return those of `version_ids` that govern their node as of an instant.

        For some accounts at least: a rollout's version counts while some have it, and a stop's while it holds.
        """
        concerned = select(activation.c.node_id).where(statements.among(activation.c.version_id, version_ids))
        governing = (
            select(activation.c.node_id, activation.c.version_id)
            .ext(distinct_on(activation.c.node_id))
            .where(activation.c.node_id.in_(concerned), statements.governs(as_known_now=as_of.known_time is None))
            .order_by(activation.c.node_id, activation.c.effective_time.desc())
            .subquery()
        )
        query = select(governing.c.version_id).where(statements.among(governing.c.version_id, version_ids))
        found = {
            PolicyVersionId(each)
            for each in (await self._connection.execute(query, statements.instants(as_of))).scalars()
        }
        if len(found) == len(set(version_ids)):
            return found
        stops = await self._connection.execute(
            select(*STOP_COLUMNS).where(statements.among(stop.c.version_id, version_ids))
        )
        found |= {each.version_id for each in map(stop_of, stops) if each.holds(as_of)}
        rows = (
            await self._connection.execute(
                statements.rollouts().where(statements.among(rollout.c.version_id, version_ids))
            )
        ).all()
        steps = await self._steps(rows)
        rollouts = (rollout_of(row, steps[row.change_id]) for row in rows)
        return found | {each.version_id for each in rollouts if each.stage_at(as_of) is Stage.CANARY}

    async def _steps(self, rollouts: Iterable[Row[Any]]) -> dict[str, list[Row[Any]]]:
        found: dict[str, list[Row[Any]]] = {row.change_id: [] for row in rollouts}
        if found:
            query = select(*STEP_COLUMNS).where(statements.among(rollout_step.c.change_id, found.keys()))
            for row in await self._connection.execute(query.order_by(rollout_step.c.sequence)):
                found[row.change_id].append(row)
        return found

    async def _partitions(self, query: Select[*tuple[Any, ...]]) -> AsyncIterator[Sequence[Row[Any]]]:
        async with self._connection.stream(query) as rows:
            async for part in rows.partitions(ROWS_AT_ONCE):
                yield part
