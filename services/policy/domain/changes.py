"""How a rule changes: one person writes, another approves what was written.

    draft ──▶ submitted ──▶ approved: scheduled ──▶ active ──▶ superseded
      ▲           │  │  │                              ▲
      └── edit ───┘  │  └──▶ approved: rolling out ────┴──▶ rolled back
                     └──▶ rejected          draft, submitted, scheduled ──▶ withdrawn

A person decides the first part; time decides the second. So what is stored is what people decided, and whether an
approved change is scheduled, active or superseded follows from the clock and from what came after it.

Three rules have no exception. Only the author edits, submits or withdraws a change. Whoever decides about it is not its
author. An approval names the content that was read: any edit makes the change a draft again, under another hash, and
voids the approvals it had. How many it takes is said by `approvals`; until they are there, it stays submitted.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from services.kernel.ids import ChangeId, PolicyNodeId, PolicyVersionId
from services.policy.domain.approvals import Approval
from services.policy.domain.content import version_id
from services.policy.domain.document import Document
from services.policy.domain.errors import (
    ApprovalStale,
    ApprovedAlready,
    ChangeState,
    NotTheAuthor,
    SelfApproval,
    VersionConflict,
)
from services.policy.domain.rollout import RolloutPlan


class Decided(StrEnum):
    """What people decided about a change so far."""

    DRAFT = "draft"
    SUBMITTED = "submitted"
    APPROVED = "approved"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    ROLLING_OUT = "rolling_out"
    ROLLED_BACK = "rolled_back"


class State(StrEnum):
    """Where a change is in its life at an instant."""

    DRAFT = "draft"
    SUBMITTED = "submitted"
    SCHEDULED = "scheduled"
    ACTIVE = "active"
    SUPERSEDED = "superseded"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    ROLLING_OUT = "rolling_out"
    ROLLED_BACK = "rolled_back"


@dataclass(frozen=True, slots=True)
class Change:
    """A proposal to replace the document of a node.

    Guarantees: author and approver differ; approved at most once, and then its content never changes.

    Attributes:
        base_version_id: The newest approved version of the node when this content was written; None if there was none.
        requested_time: From when on it shall hold; None for "from the approval on".
        revision: 1, and one more after each step; an approval that is not the last one needed is no step.
        rollout: How it reaches the accounts; all at once when None.
        approvals: Of the present content, oldest first.
        account_count: How many accounts it reached when it was submitted; None before.
        approver: Who approved or rejected it, of several the last; None while nobody did.
        decided_time: When that was recorded.
        effective_time: From when on it holds; set by the approval.
        superseded_time: From when on a later version of the node holds; None while none is approved.
    """

    change_id: ChangeId
    node_id: PolicyNodeId
    base_version_id: PolicyVersionId | None
    document: Document
    version_id: PolicyVersionId
    reason: str
    requested_time: datetime | None
    decided: Decided
    revision: int
    author: str
    created_time: datetime
    rollout: RolloutPlan | None = None
    approvals: tuple[Approval, ...] = ()
    account_count: int | None = None
    approver: str | None = None
    approver_comment: str = ""
    decided_time: datetime | None = None
    effective_time: datetime | None = None
    superseded_time: datetime | None = None

    def __post_init__(self) -> None:
        """Refuse an approver who is the author, whatever the code above believes."""
        for by in (self.approver, *(each.approver for each in self.approvals)):
            if by is not None:
                self._require_other(by)
        if (self.decided is Decided.APPROVED) != (self.effective_time is not None):
            raise ValueError(f"a change has an effective time once it is approved, {self.change_id} is {self.decided}")
        if self.rollout is not None and self.requested_time is not None:
            raise ValueError(f"a rollout begins with the approval, {self.change_id} asks for {self.requested_time}")

    @property
    def etag(self) -> str:
        """Return what changes whenever the change does."""
        return f"{self.change_id}.{self.revision}"

    def state(self, market_time: datetime) -> State:
        """Return where the change is in its life at the business instant `market_time`."""
        if self.effective_time is None:
            return State(self.decided.value)
        if market_time < self.effective_time:
            return State.SCHEDULED
        if self.superseded_time is not None and self.superseded_time <= market_time:
            return State.SUPERSEDED
        return State.ACTIVE

    def edited(
        self,
        by: str,
        *,
        document: Document,
        reason: str,
        requested_time: datetime | None,
        rollout: RolloutPlan | None,
        base_version_id: PolicyVersionId | None,
        market_time: datetime,
    ) -> "Change":
        """Return the change with another content, a draft that nobody has approved.

        Raises:
            NotTheAuthor: `by` did not write it.
            ChangeState: It is decided.
        """
        self._require_author(by)
        self._require("edited", State.DRAFT, State.SUBMITTED, market_time=market_time)
        return replace(
            self,
            document=document,
            version_id=version_id(self.node_id, document),
            reason=reason,
            requested_time=requested_time,
            rollout=rollout,
            approvals=(),
            account_count=None,
            base_version_id=base_version_id,
            decided=Decided.DRAFT,
            revision=self.revision + 1,
        )

    def submitted(self, by: str, market_time: datetime, account_count: int) -> "Change":
        """Return the change as it waits for an approver, which reaches `account_count` accounts.

        Raises:
            NotTheAuthor: `by` did not write it.
            ChangeState: It is no draft.
        """
        self._require_author(by)
        self._require("submitted", State.DRAFT, market_time=market_time)
        return replace(self, decided=Decided.SUBMITTED, revision=self.revision + 1, account_count=account_count)

    def withdrawn(self, by: str, market_time: datetime) -> "Change":
        """Return the change as its author took it back, before it was in force.

        Raises:
            NotTheAuthor: `by` did not write it.
            ChangeState: It is in force, or came to nothing before.
        """
        self._require_author(by)
        self._require("withdrawn", State.DRAFT, State.SUBMITTED, State.SCHEDULED, market_time=market_time)
        return replace(self, decided=Decided.WITHDRAWN, revision=self.revision + 1, effective_time=None)

    def supported(
        self,
        by: str,
        read: PolicyVersionId,
        *,
        roles: frozenset[str] = frozenset(),
        comment: str,
        at: datetime,
        market_time: datetime,
        first: bool,
    ) -> "Change":
        """Return the change with one more approval; others may still be missing.

        Args:
            by: The approver.
            read: Name of the content that the approver read.
            roles: What the approver is.
            comment: What the approver says.
            at: The real instant of the approval.
            market_time: The business instant of the approval.
            first: Whether nothing was ever approved for the node; only then may it hold since before now.

        Raises:
            SelfApproval: `by` wrote it.
            ChangeState: It does not wait for approval, or would rewrite history.
            ApprovalStale: Its content is not the one that was read.
            ApprovedAlready: `by` approved it before.
        """
        self._require_other(by)
        self._require("approved", State.SUBMITTED, market_time=market_time)
        if read != self.version_id:
            raise ApprovalStale(
                f"the approval is for content {read}, change {self.change_id} now has {self.version_id}",
                change_id=self.change_id,
                approved_version_hash=read,
                version_hash=self.version_id,
            )
        if any(each.approver == by for each in self.approvals):
            raise ApprovedAlready(
                f"{by} approved change {self.change_id} already; it needs other people", change_id=self.change_id
            )
        if self.requested_time is not None and self.requested_time < market_time and not first:
            raise ChangeState(
                f"change {self.change_id} was to hold from {self.requested_time.isoformat()}, it is "
                f"{market_time.isoformat()} now and history is not rewritten; edit its effective time",
                change_id=self.change_id,
            )
        return replace(self, approvals=(*self.approvals, Approval(by, tuple(sorted(roles)), comment, at)))

    def approved(self, market_time: datetime) -> "Change":
        """Return the change as approved by everybody who has to; the last approval decides.

        It holds from `market_time` on, a business instant, if no other time was requested; with a rollout it begins to
        reach accounts then.
        """
        last = self.approvals[-1]
        return replace(
            self,
            decided=Decided.APPROVED if self.rollout is None else Decided.ROLLING_OUT,
            revision=self.revision + 1,
            approver=last.approver,
            approver_comment=last.comment,
            decided_time=last.recorded_time,
            effective_time=None if self.rollout is not None else self.requested_time or market_time,
        )

    def rolled_out(self, effective_time: datetime) -> "Change":
        """Return the change as its rollout reached every account at the business instant `effective_time`."""
        return replace(self, decided=Decided.APPROVED, revision=self.revision + 1, effective_time=effective_time)

    def rolled_back(self) -> "Change":
        """Return the change as its rollout was taken back."""
        return replace(self, decided=Decided.ROLLED_BACK, revision=self.revision + 1)

    def rejected(self, by: str, *, comment: str, at: datetime, market_time: datetime) -> "Change":
        """Return the change as refused by an approver.

        Raises:
            SelfApproval: `by` wrote it.
            ChangeState: It does not wait for approval.
        """
        self._require_other(by)
        self._require("rejected", State.SUBMITTED, market_time=market_time)
        return replace(
            self,
            decided=Decided.REJECTED,
            revision=self.revision + 1,
            approver=by,
            approver_comment=comment,
            decided_time=at,
        )

    def check_etag(self, etag: str) -> None:
        """Refuse to act on another version of the change than the caller read.

        Raises:
            VersionConflict: `etag` is not that of this version; both are named.
        """
        if etag != self.etag:
            raise VersionConflict(
                f"change {self.change_id} is at {self.etag}, the request was for {etag}",
                change_id=self.change_id,
                etag=self.etag,
                requested_etag=etag,
            )

    def check_base(self, newest: PolicyVersionId | None) -> None:
        """Refuse to go on when another version of the node was approved since this content was written.

        Raises:
            VersionConflict: `newest`, the newest approved version, is not the one this was written for; both are named.
        """
        if newest != self.base_version_id:
            raise VersionConflict(
                f"change {self.change_id} was written for version {self.base_version_id} of {self.node_id}, the newest "
                f"is {newest}; edit the change to take it into account",
                change_id=self.change_id,
                base_version_hash=self.base_version_id,
                newest_version_hash=newest,
            )

    def _require(self, step: str, *states: State, market_time: datetime) -> None:
        state = self.state(market_time)
        if state not in states:
            raise ChangeState(
                f"change {self.change_id} is {state}, it can be {step} only as {' or '.join(states)}",
                change_id=self.change_id,
                state=state.value,
            )

    def _require_author(self, by: str) -> None:
        if by != self.author:
            raise NotTheAuthor(f"{self.author} wrote change {self.change_id}, not {by}", change_id=self.change_id)

    def _require_other(self, by: str) -> None:
        if by == self.author:
            raise SelfApproval(
                f"{by} wrote change {self.change_id} and cannot decide about it", change_id=self.change_id
            )


def drafted(
    change_id: ChangeId,
    node_id: PolicyNodeId,
    document: Document,
    *,
    base_version_id: PolicyVersionId | None,
    reason: str,
    requested_time: datetime | None,
    author: str,
    at: datetime,
    rollout: RolloutPlan | None = None,
) -> Change:
    """Return a new change, a draft."""
    return Change(
        change_id=change_id,
        node_id=node_id,
        base_version_id=base_version_id,
        document=document,
        version_id=version_id(node_id, document),
        reason=reason,
        requested_time=requested_time,
        decided=Decided.DRAFT,
        revision=1,
        author=author,
        created_time=at,
        rollout=rollout,
    )
