"""Rows of the tables, as values of the domain."""

from functools import lru_cache

from sqlalchemy import Row

from services.kernel.ids import ChangeId, PolicyNodeId, PolicyVersionId
from services.policy.domain.changes import Change, Decided
from services.policy.domain.content import document_from_bytes
from services.policy.domain.document import Document
from services.policy.domain.history import Activation
from services.policy.domain.merge import Layer
from services.policy.domain.notices import Notice, NoticeKind
from services.policy.domain.tree import Node, NodeKind
from services.policy.tables import activation, node, notice

NODE_COLUMNS = (node.c.node_id, node.c.parent_id, node.c.kind, node.c.display_name, node.c.created_time)

ACTIVATION_COLUMNS = (
    activation.c.node_id,
    activation.c.sequence,
    activation.c.follows,
    activation.c.version_id,
    activation.c.change_id,
    activation.c.effective_time,
    activation.c.recorded_time,
    activation.c.revoked_time,
)

NOTICE_COLUMNS = (
    notice.c.position,
    notice.c.kind,
    notice.c.node_id,
    notice.c.version_id,
    notice.c.change_id,
    notice.c.effective_time,
    notice.c.recorded_time,
)

# Contents are immutable and few are used at any time; parsing one costs more than fetching it.
_DOCUMENTS_KEPT = 4096


def node_of(row: Row[*tuple[object, ...]]) -> Node:
    """Return the node in a row of `NODE_COLUMNS`."""
    parent_id = None if row.parent_id is None else PolicyNodeId(row.parent_id)
    return Node(PolicyNodeId(row.node_id), NodeKind(row.kind), parent_id, row.display_name, row.created_time)


def activation_of(row: Row[*tuple[object, ...]]) -> Activation:
    """Return the activation in a row of `ACTIVATION_COLUMNS`."""
    return Activation(
        node_id=PolicyNodeId(row.node_id),
        sequence=row.sequence,
        follows=row.follows,
        version_id=PolicyVersionId(row.version_id),
        change_id=ChangeId(row.change_id),
        effective_time=row.effective_time,
        recorded_time=row.recorded_time,
        revoked_time=row.revoked_time,
    )


def notice_of(row: Row[*tuple[object, ...]]) -> Notice:
    """Return the notice in a row of `NOTICE_COLUMNS`."""
    return Notice(
        position=row.position,
        kind=NoticeKind(row.kind),
        node_id=PolicyNodeId(row.node_id),
        version_id=PolicyVersionId(row.version_id),
        change_id=ChangeId(row.change_id),
        effective_time=row.effective_time,
        recorded_time=row.recorded_time,
    )


def layer_of(row: Row[*tuple[object, ...]]) -> Layer:
    """Return the version in force in a row of activation, version and change."""
    return Layer(
        node_id=PolicyNodeId(row.node_id),
        version_id=PolicyVersionId(row.version_id),
        document=document_of(row.document),
        change_id=ChangeId(row.change_id),
        author=row.author,
        approver=row.approver,
        reason=row.reason,
        effective_time=row.effective_time,
        approved_time=row.recorded_time,
    )


def change_of(row: Row[*tuple[object, ...]]) -> Change:
    """Return the change in a row of change, version and the time at which a later version took over."""
    return Change(
        change_id=ChangeId(row.change_id),
        node_id=PolicyNodeId(row.node_id),
        base_version_id=None if row.base_version_id is None else PolicyVersionId(row.base_version_id),
        document=document_of(row.document),
        version_id=PolicyVersionId(row.version_id),
        reason=row.reason,
        requested_time=row.requested_time,
        decided=Decided(row.decided),
        revision=row.revision,
        author=row.author,
        created_time=row.created_time,
        approver=row.approver,
        approver_comment=row.approver_comment,
        decided_time=row.decided_time,
        effective_time=row.effective_time,
        superseded_time=row.superseded_time,
    )


@lru_cache(maxsize=_DOCUMENTS_KEPT)
def document_of(text: str) -> Document:
    """Return the document whose canonical text is `text`."""
    return document_from_bytes(text)
