"""What is kept, changed in one transaction."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, exc, func, insert, select, text, update
from sqlalchemy.dialects import postgresql

from services.kernel.events import Event
from services.kernel.ids import ChangeId, PolicyNodeId
from services.policy.domain.assets import AccountValue
from services.policy.domain.changes import Change
from services.policy.domain.content import canonical_bytes
from services.policy.domain.document import Document, models_in
from services.policy.domain.errors import NodeExists, NodeNotFound, RolloutOpen, VersionConflict
from services.policy.domain.history import Activation
from services.policy.domain.notices import Notice
from services.policy.domain.rollout import OPEN, Comparison, Rollout
from services.policy.domain.stops import Stop
from services.policy.domain.tree import Node
from services.policy.store.clients import StoredClientWriter
from services.policy.store.reader import MODEL, StoredReader
from services.policy.store.rows import ACTIVATION_COLUMNS, activation_of, plain_approvals, plain_plan
from services.policy.tables import (
    account_value,
    activation,
    change,
    node,
    notice,
    rollout,
    rollout_comparison,
    rollout_step,
    stop,
    version,
)
from services.runtime.database import Transaction

_UNIQUE_VIOLATION = "23505"
_FOREIGN_KEY_VIOLATION = "23503"

# The advisory lock under which it is decided what is in force: "policy" as 64 bits.
_DECIDING = 0x706F6C696379


class StoredWriter(StoredReader, StoredClientWriter):
    """Reads and writes; see `app.ports.PolicyWriter`."""

    def __init__(self, transaction: Transaction) -> None:
        """Write in `transaction`."""
        super().__init__(transaction.connection)
        self._transaction = transaction

    async def decide_alone(self) -> None:
        """Wait until nobody else decides what is in force, and keep it so until the transaction ends."""
        await self._connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _DECIDING})

    async def change(self, change_id: ChangeId) -> Change | None:
        """Return the change, or None; nobody else changes it until the transaction ends."""
        locked = select(change.c.change_id).where(change.c.change_id == change_id).with_for_update()
        await self._connection.execute(locked)
        return await super().change(change_id)

    async def stop(self, stop_id: ChangeId) -> Stop | None:
        """Return the stop, or None; nobody else lifts it until the transaction ends."""
        await self._connection.execute(select(stop.c.stop_id).where(stop.c.stop_id == stop_id).with_for_update())
        return await super().stop(stop_id)

    async def rollout(self, change_id: ChangeId) -> Rollout | None:
        """Return the rollout of a change, or None; nobody else moves it until the transaction ends."""
        locked = select(rollout.c.change_id).where(rollout.c.change_id == change_id).with_for_update()
        await self._connection.execute(locked)
        return await super().rollout(change_id)

    async def add_nodes(self, nodes: Sequence[Node]) -> None:
        """Add nodes, parents before their children.

        Raises:
            NodeExists: An id was taken by another transaction.
            NodeNotFound: A parent was deleted by another transaction.
        """
        rows = [
            {
                "node_id": each.node_id,
                "parent_id": each.parent_id,
                "kind": each.kind.value,
                "display_name": each.display_name,
                "created_time": each.created_time,
            }
            for each in nodes
        ]
        try:
            await self._connection.execute(insert(node), rows)
        except exc.IntegrityError as error:
            match _state(error):
                case state if state == _UNIQUE_VIOLATION:
                    raise NodeExists("a policy node of the request was created by another one just now") from error
                case state if state == _FOREIGN_KEY_VIOLATION:
                    raise NodeNotFound("the parent of a policy node was deleted just now") from error
            raise

    async def delete_node(self, node_id: PolicyNodeId) -> None:
        """Delete a node to which nothing refers."""
        await self._connection.execute(delete(node).where(node.c.node_id == node_id))

    async def record_values(self, values: Sequence[AccountValue]) -> int:
        """Keep values that are not older than what is kept of their account, and return how many were kept."""
        added = postgresql.insert(account_value)
        newer = {name: added.excluded[name] for name in ("amount", "currency", "author", "as_of_time", "recorded_time")}
        statement = added.on_conflict_do_update(
            index_elements=["account_id"],
            set_=newer,
            where=account_value.c.as_of_time <= added.excluded.as_of_time,
        ).returning(account_value.c.account_id)
        # In one order everywhere, so that two callers wait for each other and do not lock up.
        rows = [
            {
                "account_id": each.account_id,
                "amount": each.value.amount,
                "currency": each.value.currency,
                "author": each.author,
                "as_of_time": each.as_of_time,
                "recorded_time": each.recorded_time,
            }
            for each in sorted(values, key=lambda value: value.account_id)
        ]
        return len((await self._connection.execute(statement, rows)).all())

    async def add_change(self, change_: Change) -> None:
        """Add a new change and its content."""
        await self._add_version(change_)
        await self._connection.execute(insert(change).values(change_id=change_.change_id, **_row(change_)))

    async def replace_change(self, change_: Change) -> None:
        """Replace a change by its next revision, and add its content.

        Raises:
            VersionConflict: It is no longer at the revision before.
        """
        await self._add_version(change_)
        replaced = await self._connection.execute(
            update(change)
            .where(change.c.change_id == change_.change_id, change.c.revision == change_.revision - 1)
            .values(**_row(change_))
        )
        if replaced.rowcount != 1:
            raise VersionConflict(
                f"change {change_.change_id} is no longer at revision {change_.revision - 1}",
                change_id=change_.change_id,
            )

    async def replace_approvals(self, change_: Change) -> None:
        """Replace the approvals of a change, which stays at its revision.

        Raises:
            VersionConflict: It is no longer at that revision.
        """
        replaced = await self._connection.execute(
            update(change)
            .where(change.c.change_id == change_.change_id, change.c.revision == change_.revision)
            .values(approvals=plain_approvals(change_.approvals))
        )
        if replaced.rowcount != 1:
            raise VersionConflict(
                f"change {change_.change_id} is no longer at revision {change_.revision}", change_id=change_.change_id
            )

    async def add_stop(self, added: Stop) -> None:
        """Add a new stop."""
        await self._connection.execute(
            insert(stop).values(
                stop_id=added.stop_id,
                node_id=added.node_id,
                version_id=added.version_id,
                document=canonical_bytes(added.document).decode(),
                reason=added.reason,
                actor=added.actor,
                effective_time=added.effective_time,
                recorded_time=added.recorded_time,
                lift_reason="",
            )
        )

    async def lift(self, lifted: Stop) -> None:
        """Keep that a stop was lifted."""
        await self._connection.execute(
            update(stop)
            .where(stop.c.stop_id == lifted.stop_id, stop.c.lifter.is_(None))
            .values(
                lifter=lifted.lifter,
                lift_reason=lifted.lift_reason,
                lift_time=lifted.lift_time,
                lift_recorded_time=lifted.lift_recorded_time,
            )
        )

    async def add_rollout(self, added: Rollout) -> None:
        """Add a new rollout.

        Raises:
            RolloutOpen: Its node has another that is not final.
        """
        row = {
            "change_id": added.change_id,
            "node_id": added.node_id,
            "version_id": added.version_id,
            "open": added.stage in OPEN,
        }
        try:
            await self._connection.execute(insert(rollout).values(row))
        except exc.IntegrityError as error:
            if _state(error) != _UNIQUE_VIOLATION:
                raise
            raise RolloutOpen(f"{added.node_id} has a rollout that is not final", node_id=added.node_id) from error
        await self._add_last_step(added)

    async def add_step(self, moved: Rollout) -> None:
        """Add the last step of a rollout.

        Raises:
            VersionConflict: Another one was added first.
        """
        await self._connection.execute(
            update(rollout).where(rollout.c.change_id == moved.change_id).values(open=moved.stage in OPEN)
        )
        await self._add_last_step(moved)

    async def add_comparisons(self, change_id: ChangeId, found: Sequence[Comparison]) -> int:
        """Add comparisons of a rollout, and return how many were not known before."""
        rows = [
            {
                "change_id": change_id,
                "run_id": each.run_id,
                "account_id": each.account_id,
                "tax_bps": each.tax_bps,
                "cost_bps": each.cost_bps,
                "drift_bps": each.drift_bps,
                "turnover_bps": each.turnover_bps,
                "failed": each.failed,
            }
            for each in found
        ]
        added = postgresql.insert(rollout_comparison).values(rows).on_conflict_do_nothing()
        return int((await self._connection.execute(added)).rowcount)

    async def _add_last_step(self, moved: Rollout) -> None:
        step = moved.steps[-1]
        row = {
            "change_id": moved.change_id,
            "sequence": len(moved.steps),
            "stage": step.stage.value,
            "effective_time": step.effective_time,
            "recorded_time": step.recorded_time,
            "actor": step.actor,
            "reason": step.reason,
        }
        try:
            await self._connection.execute(insert(rollout_step).values(row))
        except exc.IntegrityError as error:
            if _state(error) != _UNIQUE_VIOLATION:
                raise
            raise VersionConflict(
                f"the rollout of {moved.change_id} took another step meanwhile", change_id=moved.change_id
            ) from error

    async def add_activation(self, added: Activation, *, announced: bool) -> None:
        """Add an activation that continues its node's chain.

        Raises:
            VersionConflict: Another one continued it first.
        """
        follows_effective_time = (
            select(activation.c.effective_time)
            .where(activation.c.node_id == added.node_id, activation.c.sequence == added.follows)
            .scalar_subquery()
        )
        row = {
            "node_id": added.node_id,
            "sequence": added.sequence,
            "follows": added.follows,
            "follows_effective_time": follows_effective_time,
            "version_id": added.version_id,
            "change_id": added.change_id,
            "effective_time": added.effective_time,
            "recorded_time": added.recorded_time,
            "announced_time": added.recorded_time if announced else None,
        }
        try:
            await self._connection.execute(insert(activation).values(row))
        except exc.IntegrityError as error:
            if _state(error) != _UNIQUE_VIOLATION:
                raise
            raise VersionConflict(
                f"another version of {added.node_id} was approved before {added.version_id}", node_id=added.node_id
            ) from error

    async def revoke(self, change_id: ChangeId, at: datetime) -> None:
        """Take back the activation of a change, which has not taken effect."""
        await self._connection.execute(
            update(activation).where(activation.c.change_id == change_id).values(revoked_time=at)
        )

    async def last_position(self) -> int:
        """Return the position of the last notice, 0 if there is none; stays so for whoever decides alone."""
        last = await self._connection.execute(select(func.coalesce(func.max(notice.c.position), 0)))
        return int(last.scalar_one())

    async def add_notice(self, added: Notice) -> None:
        """Add a notice at the next position."""
        row = {
            "position": added.position,
            "kind": added.kind.value,
            "node_id": added.node_id,
            "version_id": added.version_id,
            "change_id": added.change_id,
            "effective_time": added.effective_time,
            "recorded_time": added.recorded_time,
        }
        await self._connection.execute(insert(notice).values(row))

    async def due(self, market_time: datetime, limit: int) -> list[Activation]:
        """Return up to `limit` activations that took effect and were not announced, the oldest first."""
        query = (
            select(*ACTIVATION_COLUMNS)
            .where(
                activation.c.effective_time <= market_time,
                activation.c.announced_time.is_(None),
                activation.c.revoked_time.is_(None),
            )
            .order_by(activation.c.effective_time, activation.c.node_id)
            .limit(limit)
        )
        return [activation_of(row) for row in await self._connection.execute(query)]

    async def announced(self, told: Activation, at: datetime) -> None:
        """Note that the activation was announced."""
        await self._connection.execute(
            update(activation)
            .where(activation.c.node_id == told.node_id, activation.c.sequence == told.sequence)
            .values(announced_time=at)
        )

    async def emit(self, *events: Event) -> None:
        """Tell of what happens in this transaction."""
        await self._transaction.emit(*events)

    async def _add_version(self, proposed: Change) -> None:
        content = canonical_bytes(proposed.document).decode()
        await self._connection.execute(
            postgresql.insert(version)
            .values(
                version_id=proposed.version_id,
                node_id=proposed.node_id,
                document=content,
                fields=sorted(fields_of(proposed.document)),
            )
            .on_conflict_do_nothing()
        )


def fields_of(document: Document) -> set[str]:
    """Return the fields that a document sets, the sections they are in, and the models it refers to."""
    return {*document.paths(), *(f"{MODEL}{each}" for each in models_in(document))}


def _row(of: Change) -> dict[str, object]:
    return {
        "node_id": of.node_id,
        "base_version_id": of.base_version_id,
        "version_id": of.version_id,
        "reason": of.reason,
        "requested_time": of.requested_time,
        "decided": of.decided.value,
        "revision": of.revision,
        "author": of.author,
        "created_time": of.created_time,
        "approver": of.approver,
        "approver_comment": of.approver_comment,
        "decided_time": of.decided_time,
        "effective_time": of.effective_time,
        "rollout": plain_plan(of.rollout),
        "approvals": plain_approvals(of.approvals),
        "account_count": of.account_count,
    }


def _state(error: exc.IntegrityError) -> str | None:
    return getattr(error.orig, "sqlstate", None)
