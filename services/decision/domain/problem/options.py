"""How an account is decided: which engine solves, and what asks for it besides the account itself."""

from dataclasses import dataclass
from enum import StrEnum


class Engine(StrEnum):
    """What solves the convex problem."""

    # cvxpy and Clarabel: the definition.
    REFERENCE = "REFERENCE"
    # The compiled kernel; the reference model where the kernel does not reach the optimum.
    KERNEL = "KERNEL"
    # Many accounts at once, compiled from columns to columns; the kernel for an account that does not fit those.
    COLUMNS = "COLUMNS"


@dataclass(frozen=True, slots=True)
class DecideOptions:
    """How to decide; part of what a plan's hash covers.

    Attributes:
        ignore_triggers: Decide even if nothing is outside its trigger: a person asked, a preview, or the calendar.
        engine: What solves; the kernel is a hundred times as fast once it is compiled.
        event: What happened that asks for a rebalance, in words; empty for nothing.
        due: It is the calendar that asks.
        iterations_max: The reference solver's limit. A count, not a time, so that the same inputs give the same plan.
    """

    ignore_triggers: bool = False
    engine: Engine = Engine.REFERENCE
    iterations_max: int = 200
    event: str = ""
    due: bool = False
