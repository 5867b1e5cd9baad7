"""What audit refuses, and why."""

from services.kernel.errors import Corrupt, Denied, Invalid, NotFound, Overloaded, Unreachable


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
