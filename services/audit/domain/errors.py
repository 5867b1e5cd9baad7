"""What audit refuses, and why."""

from services.kernel.errors import Corrupt, Denied, Invalid, NotFound, Overloaded, Rejected, Unreachable


class EventTooLarge(Invalid):
    """The event does not fit into an entry."""

    reason = "EVENT_TOO_LARGE"


class EntryNotFound(NotFound):
    """No entry has this index or this event's id."""

    reason = "ENTRY_NOT_FOUND"


class TreeSizeUnknown(NotFound):
    """The log has no checkpoint of this size."""

    reason = "TREE_SIZE_UNKNOWN"


class LogBackpressure(Overloaded):
    """More events wait for the log than it may hold in memory."""

    reason = "LOG_BACKPRESSURE"


class LogWriterElsewhere(Unreachable):
    """Another process holds the log, or this one lost it a moment ago."""

    reason = "LOG_WRITER_ELSEWHERE"


class LogRootMismatch(Corrupt):
    """What is stored does not hash to what was signed."""

    reason = "LOG_ROOT_MISMATCH"


class ProducerForeign(Denied):
    """The event says that another service than its sender produced it."""

    reason = "ROLE_MISSING"


class LogUnknown(NotFound):
    """There is no log of this name."""

    reason = "LOG_UNKNOWN"


class LogReserved(Denied):
    """Only the audit service itself writes to this log."""

    reason = "LOG_RESERVED"


class EntryDisposed(NotFound):
    """The entry was destroyed when its time was over; its hash is still in the tree."""

    reason = "ENTRY_DISPOSED"


class ProposalNotFound(NotFound):
    """No proposal has this id."""

    reason = "PROPOSAL_NOT_FOUND"


class ProposalState(Rejected):
    """The proposal was decided before, or another about the same thing is open."""

    reason = "PROPOSAL_STATE"


class SelfApproval(Denied):
    """Who proposes does not decide."""

    reason = "SELF_APPROVAL"


class HoldNotFound(NotFound):
    """No legal hold has this id."""

    reason = "HOLD_NOT_FOUND"


class HoldReleased(Rejected):
    """The hold was released before."""

    reason = "HOLD_RELEASED"


class HoldStands(Rejected):
    """A legal hold covers what was to be destroyed."""

    reason = "HOLD_STANDS"


class RetentionRunning(Rejected):
    """Something that was to be destroyed must still be kept."""

    reason = "RETENTION_RUNNING"


class RangeNotDisposable(Rejected):
    """Entries are destroyed by whole partitions that are full."""

    reason = "RANGE_NOT_DISPOSABLE"


class SubjectKeyNotFound(NotFound):
    """The log has no personal data of this subject, or its key is destroyed."""

    reason = "SUBJECT_KEY_NOT_FOUND"


class ReportUnknown(NotFound):
    """No report has this name."""

    reason = "REPORT_UNKNOWN"


class SubjectUnknown(NotFound):
    """Nothing is recorded about this subject."""

    reason = "SUBJECT_UNKNOWN"


class LogBehindWitness(Corrupt):
    """A witness has seen entries that this log does not have; signing on would fork it."""

    reason = "LOG_BEHIND_WITNESS"


class WitnessSilent(Unreachable):
    """A witness does not answer."""

    reason = "WITNESS_SILENT"


class LogUnwitnessed(NotFound):
    """Not enough witnesses have seen any checkpoint of the log yet."""

    reason = "LOG_UNWITNESSED"
