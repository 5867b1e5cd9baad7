"""What the reader asks, as statements.

One that is the same for every question is written once, as writing it takes longer than running it; what differs are
its parameters. The nodes asked about are one array: however many they are, the statement is prepared once.
"""

from collections.abc import Collection
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    DateTime,
    ScalarSelect,
    Select,
    Text,
    and_,
    any_,
    bindparam,
    literal,
    or_,
    select,
    union,
)
from sqlalchemy.dialects.postgresql import ARRAY, distinct_on

from services.kernel.ids import PolicyNodeId
from services.policy.domain.changes import State
from services.policy.domain.history import AsOf
from services.policy.tables import activation, change, node, rollout, version

# The parameter that holds the nodes asked about.
_NODE_IDS = "node_ids"


@cache
def rollouts() -> Select[*tuple[Any, ...]]:
    """Select rollouts with who wrote, approved and why, the plan and the content."""
    return (
        select(
            rollout.c.change_id,
            rollout.c.number,
            rollout.c.node_id,
            rollout.c.version_id,
            change.c.author,
            change.c.approver,
            change.c.reason,
            change.c.rollout,
            version.c.document,
        )
        .join(change, change.c.change_id == rollout.c.change_id)
        .join(version, version.c.version_id == rollout.c.version_id)
    )


def asked(node_ids: Collection[PolicyNodeId] | None) -> dict[str, object]:
    """Return what is said to a statement about `node_ids`; nothing to one about all nodes."""
    return {} if node_ids is None else {_NODE_IDS: list(node_ids)}


def instants(as_of: AsOf) -> dict[str, object]:
    """Return what is said to a statement about an instant."""
    return {"valid_time": as_of.valid_time, "known_time": as_of.known_time}


def _is_asked(column: ColumnElement[str]) -> ColumnElement[bool]:
    return column == any_(bindparam(_NODE_IDS, type_=ARRAY(Text)))


@cache
def paths(columns: tuple[ColumnElement[Any], ...], *, of_all: bool = False) -> Select[*tuple[Any, ...]]:
    """Select the nodes asked about and everything above them, or all nodes. The columns hold id and parent."""
    if of_all:
        return select(*columns)
    path = select(*columns).where(_is_asked(node.c.node_id)).cte("path", recursive=True)
    return select(path.union(select(*columns).join(path, node.c.node_id == path.c.parent_id)))


@cache
def governed() -> Select[*tuple[Any, ...]]:
    """Select those of the nodes asked about, and of all above and below them, that were ever governed, in order."""
    above = paths((node.c.node_id, node.c.parent_id)).subquery()
    below = select(node.c.node_id).where(_is_asked(node.c.node_id)).cte("below", recursive=True)
    below = below.union_all(select(node.c.node_id).join(below, node.c.parent_id == below.c.node_id))
    concerned = union(select(above.c.node_id), select(below.c.node_id)).subquery()
    approved = select(activation.c.node_id).where(activation.c.sequence == 1)
    return approved.where(activation.c.node_id.in_(select(concerned.c.node_id))).order_by(activation.c.node_id)


@cache
def layers(*, of_all: bool, as_known_now: bool) -> Select[*tuple[Any, ...]]:
    """Select the versions in force at `valid_time`, as known now or at `known_time`, of those asked about, or all."""
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
        .where(governs(as_known_now=as_known_now))
        .order_by(activation.c.node_id, activation.c.effective_time.desc())
    )
    return query if of_all else query.where(_is_asked(activation.c.node_id))


@cache
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


def in_state(state: State, market_time: datetime | None) -> ColumnElement[bool]:
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


@cache
def changes() -> Select[*tuple[object, ...]]:
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
        change.c.rollout,
        change.c.approvals,
        change.c.account_count,
        version.c.document,
        _superseded_time().label("superseded_time"),
    ).join(version, version.c.version_id == change.c.version_id)


def governs(*, as_known_now: bool) -> ColumnElement[bool]:
    """Return the condition that an activation took effect and counted, as `Activation.known` says it."""
    took_effect = activation.c.effective_time <= bindparam("valid_time")
    if as_known_now:
        return and_(took_effect, activation.c.revoked_time.is_(None))
    known_time = bindparam("known_time", type_=DateTime(timezone=True))
    return and_(
        took_effect,
        activation.c.recorded_time <= known_time,
        or_(activation.c.revoked_time.is_(None), activation.c.revoked_time > known_time),
    )


def among(column: ColumnElement[str], wanted: Collection[str]) -> ColumnElement[bool]:
    """Return the condition that a column is one of the values `wanted`, as one parameter."""
    return column == any_(literal(list(wanted), ARRAY(Text)))
