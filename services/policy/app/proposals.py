"""What somebody proposes: a node's new document, or an edit of one that is not submitted."""

from dataclasses import dataclass
from datetime import datetime

from services.kernel.errors import Invalid
from services.kernel.ids import ChangeId, PolicyNodeId
from services.policy.domain.document import Document
from services.policy.domain.rollout import RolloutPlan


@dataclass(frozen=True, slots=True)
class Proposal:
    """A change as its author writes it; `requested_time` None asks that it holds from its approval on."""

    change_id: ChangeId
    node_id: PolicyNodeId
    document: Document
    reason: str
    author: str
    requested_time: datetime | None = None
    rollout: RolloutPlan | None = None

    def __post_init__(self) -> None:
        """Refuse a rollout that is to begin at another time than with the approval."""
        check_rollout(self.rollout, self.requested_time)


@dataclass(frozen=True, slots=True)
class Edit:
    """What an author wants to be different; None leaves a part as it is.

    `clear_time` asks that the change holds from its approval on, `clear_rollout` that it reaches all accounts at once.
    """

    document: Document | None = None
    reason: str | None = None
    requested_time: datetime | None = None
    clear_time: bool = False
    rollout: RolloutPlan | None = None
    clear_rollout: bool = False


def check_rollout(rollout: RolloutPlan | None, requested_time: datetime | None) -> None:
    """Refuse a rollout that is to begin at another time than with the approval.

    Raises:
        Invalid: It is.
    """
    if rollout is not None and requested_time is not None:
        description = f"must be absent with a rollout, which begins with the approval, was {requested_time.isoformat()}"
        raise Invalid.of("effective_time", description)
