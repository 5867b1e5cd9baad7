"""The facts that make policy refuse a request.

Each names a `reason` of `evenkeel.common.v1.ErrorReason`; its base class decides the gRPC code.
"""

from services.kernel.errors import Conflict, Denied, Duplicate, Invalid, NotFound, Rejected


class NodeNotFound(NotFound):
    """No policy node has this id."""

    reason = "POLICY_NODE_NOT_FOUND"


class NodeExists(Duplicate):
    """A policy node with this id exists."""

    reason = "POLICY_NODE_EXISTS"


class TreeInvalid(Rejected):
    """The node would be its own ancestor, or its kind does not fit under its parent's."""

    reason = "POLICY_TREE_INVALID"


class NodeHasChildren(Rejected):
    """The node still has children."""

    reason = "POLICY_NODE_HAS_CHILDREN"


class ChangeNotFound(NotFound):
    """No policy change has this id."""

    reason = "POLICY_CHANGE_NOT_FOUND"


class ChangeState(Rejected):
    """The change is not in a state that allows this."""

    reason = "POLICY_CHANGE_STATE"


class SelfApproval(Denied):
    """The approver wrote the change."""

    reason = "SELF_APPROVAL"


class ApprovalStale(Conflict):
    """The approval names another content than the change now has."""

    reason = "APPROVAL_STALE"


class VersionConflict(Conflict):
    """The node or the change moved on since the caller read it."""

    reason = "VERSION_CONFLICT"


class PolicyContradiction(Invalid):
    """The document contradicts itself or what it inherits."""

    reason = "POLICY_CONTRADICTION"


class GuardrailExceeded(Invalid):
    """A guardrail of an ancestor forbids the value."""

    reason = "GUARDRAIL_EXCEEDED"


class PolicyNotInForce(Rejected):
    """No policy was in force for the account at that instant."""

    reason = "POLICY_NOT_IN_FORCE"


class VersionNotFound(NotFound):
    """No policy version has this hash."""

    reason = "POLICY_VERSION_NOT_FOUND"


class ProfileNotFound(NotFound):
    """No profile is on record for the account, nor for anything above it."""

    reason = "PROFILE_NOT_FOUND"


class ClientNodeKind(Rejected):
    """The node stands for no client: neither an account nor, where that will do, a household."""

    reason = "CLIENT_NODE_KIND"


class RecordOrder(Rejected):
    """The record would rewrite the past, or come before one that takes effect later."""

    reason = "RECORD_ORDER"


class ConsentNotValid(Rejected):
    """There is no valid consent of this kind."""

    reason = "CONSENT_NOT_VALID"


class NotTheAuthor(Denied):
    """Only the author of a change may do this."""

    reason = "POLICY_CHANGE_AUTHOR"


class StopNotSafer(Invalid):
    """A stop would set what could loosen something."""

    reason = "STOP_NOT_SAFER"


class StopNotFound(NotFound):
    """No stop has this id."""

    reason = "STOP_NOT_FOUND"


class StopState(Rejected):
    """The stop is lifted already."""

    reason = "STOP_STATE"


class SelfResume(Denied):
    """Whoever stopped cannot be the one who lifts the stop."""

    reason = "SELF_RESUME"


class RolloutNotFound(NotFound):
    """The change has no rollout."""

    reason = "ROLLOUT_NOT_FOUND"


class RolloutState(Rejected):
    """The rollout is not in a stage that allows this."""

    reason = "ROLLOUT_STATE"


class RolloutOpen(Rejected):
    """The node has a rollout that is not final."""

    reason = "ROLLOUT_OPEN"


class RolloutsExceedLimit(Rejected):
    """More open rollouts can reach one node than can be judged together."""

    reason = "ROLLOUTS_EXCEED_LIMIT"


class RolloutEvidenceMissing(Rejected):
    """A stop rule has not seen enough comparisons, or is broken."""

    reason = "ROLLOUT_EVIDENCE_MISSING"


class ApprovedAlready(Rejected):
    """The person approved this content already."""

    reason = "APPROVED_ALREADY"
