"""What becomes of versions, one after the other, for those who follow.

A follower remembers the position of the last notice it saw and asks for what came after it. Positions count from 1
without gaps, in the order in which things were decided, so nothing is missed and nothing comes twice.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from services.kernel.ids import ChangeId, PolicyNodeId, PolicyVersionId
from services.policy.domain.history import Activation


class NoticeKind(StrEnum):
    """What happened to a version."""

    SCHEDULED = "scheduled"
    ACTIVATED = "activated"
    WITHDRAWN = "withdrawn"
    SHADOWED = "shadowed"
    CANARIED = "canaried"
    ROLLED_BACK = "rolled_back"
    STOPPED = "stopped"
    LIFTED = "lifted"


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing that became of a version.

    Attributes:
        position: Its place among all notices.
        effective_time: From when on the version holds, or would have held.
        recorded_time: When it was decided or seen.
    """

    position: int
    kind: NoticeKind
    node_id: PolicyNodeId
    version_id: PolicyVersionId
    change_id: ChangeId
    effective_time: datetime
    recorded_time: datetime


def noticed_version(
    kind: NoticeKind,
    node_id: PolicyNodeId,
    version_id: PolicyVersionId,
    change_id: ChangeId,
    effective_time: datetime,
    *,
    last: int,
    at: datetime,
) -> Notice:
    """Return the notice about a version that is no activation: of a rollout or a stop."""
    return Notice(last + 1, kind, node_id, version_id, change_id, effective_time, at)


def noticed(kind: NoticeKind, activation: Activation, *, last: int, at: datetime) -> Notice:
    """Return the notice that follows the one at position `last`, 0 if there is none."""
    return Notice(
        position=last + 1,
        kind=kind,
        node_id=activation.node_id,
        version_id=activation.version_id,
        change_id=activation.change_id,
        effective_time=activation.effective_time,
        recorded_time=at,
    )
