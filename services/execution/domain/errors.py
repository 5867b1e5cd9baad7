"""What can go wrong here, each with the reason callers branch on."""

from services.kernel.errors import Denied, Invalid, NotFound, Rejected, Unreachable


class OrderNotFound(NotFound):
    """No order has this id."""

    reason = "ORDER_NOT_FOUND"


class BlockNotFound(NotFound):
    """No block has this id."""

    reason = "BLOCK_NOT_FOUND"


class BreakNotFound(NotFound):
    """No break has this id."""

    reason = "BREAK_NOT_FOUND"


class BreakResolved(Rejected):
    """The break is resolved already."""

    reason = "BREAK_RESOLVED"


class StatementOutdated(Rejected):
    """The custodian spoke of a later day already."""

    reason = "STATEMENT_OUTDATED"


class AllocationNotFound(NotFound):
    """No allocation has this id."""

    reason = "ALLOCATION_NOT_FOUND"


class PlanNotFound(NotFound):
    """No plan with this id was submitted."""

    reason = "PLAN_NOT_FOUND"


class HaltNotFound(NotFound):
    """Nothing is halted in this scope."""

    reason = "HALT_NOT_FOUND"


class SelfResume(Denied):
    """Whoever halted cannot resume: a person who did not must."""

    reason = "SELF_RESUME"


class BlockNotCrossed(Rejected):
    """The block was sent to a venue, so there is no cross to undo."""

    reason = "BLOCK_NOT_CROSSED"


class UncrossNotFound(NotFound):
    """Nobody asked for this cross to be undone."""

    reason = "UNCROSS_NOT_FOUND"


class SelfUncross(Denied):
    """Who asked for a cross to be undone cannot approve it: another person must."""

    reason = "SELF_UNCROSS"


class FillNotFound(NotFound):
    """No fill was reported under this id."""

    reason = "FILL_NOT_FOUND"


class FillInvalid(Invalid):
    """A fill cannot be busted or corrected like that."""

    reason = "FILL_INVALID"


class InstructionNotFound(NotFound):
    """No allocation instruction has this id."""

    reason = "INSTRUCTION_NOT_FOUND"


class InstructionNotRejected(Rejected):
    """Only an allocation instruction that the venue rejected is told again, and once."""

    reason = "INSTRUCTION_NOT_REJECTED"


class FixSessionNotFound(NotFound):
    """No FIX session has this name."""

    reason = "FIX_SESSION_NOT_FOUND"


class FixResetNotFound(NotFound):
    """No reset of a FIX session has this id."""

    reason = "FIX_RESET_NOT_FOUND"


class SelfReset(Denied):
    """Who asked for a reset cannot approve it: another person must."""

    reason = "SELF_RESET"


class VenueUnreachable(Unreachable):
    """The venue does not answer."""

    reason = "VENUE_UNREACHABLE"


class MarketInvalid(Invalid):
    """Prices, of reference or for the sandbox venue, cannot be right."""

    reason = "PRICES_INVALID"


class PolicyUnverified(Unreachable):
    """Whether a policy is in force could not be asked recently enough."""

    reason = "POLICY_UNVERIFIED"
