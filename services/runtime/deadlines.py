"""How long a call may take, and what is left of it for the calls it makes."""

from services.kernel.errors import Fact
from services.runtime.context import remaining_s

# Kept back for our own answer when we call on: what we call must give up before our caller does.
MARGIN_S = 0.05


class DeadlinePassed(Fact):
    """The time that the caller gave is over. What was done is unknown to them: repeat with the same request id."""

    reason = "DEADLINE_PASSED"


def downstream_timeout_s(own_s: float) -> float:
    """Return how long a call we make may take: `own_s`, or what is left of the call being served.

    Raises:
        DeadlinePassed: Nothing is left.
    """
    left_s = remaining_s() - MARGIN_S
    if left_s <= 0:
        raise DeadlinePassed("the deadline of the call passed before another service could be asked")
    return min(own_s, left_s)
