"""What was in force, and what did we know of it?

Two times matter. *Valid* time is business time: from its effective time on, a version governs its node. *Known* time is
when the approval was recorded. Both questions have one answer: "which version governed this node on 3 March" and "which
one did we believe on 5 March would govern it".

The activations of a node form one chain: each takes effect strictly after the one before it, and governs until the next
takes effect. So at every instant at most one version governs a node, and exactly one from the first activation on.
An activation that has not taken effect yet can be revoked; it then counts only for those who ask what was known before.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from services.kernel.ids import ChangeId, PolicyNodeId, PolicyVersionId
from services.policy.domain.errors import VersionConflict


@dataclass(frozen=True, slots=True)
class AsOf:
    """An instant of business time, as seen with the knowledge of an instant of real time.

    Attributes:
        valid_time: What governs at this instant; an activation at exactly this instant counts.
        known_time: What was recorded up to this instant, the instant itself included; None for all we know.
    """

    valid_time: datetime
    known_time: datetime | None = None

    def __post_init__(self) -> None:
        """Refuse instants without a time zone."""
        if self.valid_time.tzinfo is None or (self.known_time is not None and self.known_time.tzinfo is None):
            raise ValueError("instants carry a time zone")


@dataclass(frozen=True, slots=True)
class Activation:
    """The fact that a version governs a node from an instant on.

    Guarantees: unique by node and sequence; takes effect after the activation that it follows.

    Attributes:
        sequence: 1 for a node's first activation, then counting, revoked ones included.
        follows: Sequence of the one that governs until this takes effect; None if nothing does.
        effective_time: From this instant on, itself included.
        recorded_time: When the approval was recorded.
        revoked_time: When it was recorded that it never takes effect; None if it stands.
    """

    node_id: PolicyNodeId
    sequence: int
    follows: int | None
    version_id: PolicyVersionId
    change_id: ChangeId
    effective_time: datetime
    recorded_time: datetime
    revoked_time: datetime | None = None

    def known(self, known_time: datetime | None) -> bool:
        """Return whether somebody with the knowledge of `known_time` counts on this activation."""
        if known_time is None:
            return self.revoked_time is None
        return self.recorded_time <= known_time and (self.revoked_time is None or self.revoked_time > known_time)

    def revoked(self, at: datetime) -> "Activation":
        """Return the activation as taken back at the real instant `at`, before it took effect."""
        return replace(self, revoked_time=at)


def in_force(history: Sequence[Activation], as_of: AsOf) -> Activation | None:
    """Return the activation of one node that governs it, or None before its first.

    Args:
        history: All activations of one node, in any order.
        as_of: The instants asked about.
    """
    candidates = [a for a in history if a.effective_time <= as_of.valid_time and a.known(as_of.known_time)]
    return max(candidates, key=lambda a: a.effective_time, default=None)


def newest(history: Sequence[Activation]) -> Activation | None:
    """Return the last activation of one node that stands, whether in force or yet to come."""
    return max((a for a in history if a.revoked_time is None), key=lambda a: a.effective_time, default=None)


def following(
    history: Sequence[Activation],
    *,
    node_id: PolicyNodeId,
    version_id: PolicyVersionId,
    change_id: ChangeId,
    effective_time: datetime,
    recorded_time: datetime,
) -> Activation:
    """Return the activation that continues `history`, all activations of one node.

    Raises:
        VersionConflict: One that stands takes effect at or after `effective_time`.
    """
    last = newest(history)
    if last is not None and last.effective_time >= effective_time:
        raise VersionConflict(
            f"version {last.version_id} of {node_id} takes effect at {last.effective_time.isoformat()}, so version "
            f"{version_id} must take effect later, not at {effective_time.isoformat()}",
            node_id=node_id,
            version_id=last.version_id,
            refused_version_id=version_id,
        )
    sequence = max((a.sequence for a in history), default=0) + 1
    follows = last.sequence if last is not None else None
    return Activation(node_id, sequence, follows, version_id, change_id, effective_time, recorded_time)
