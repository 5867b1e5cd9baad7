"""How good a plan provably is, and what answered where the solver gave no optimum."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum


class Fallback(StrEnum):
    """What answered when the solver gave no optimum, from the best to the last."""

    # The solver's own optimum.
    NONE = "NONE"
    # The solver at a tolerance a thousand times as wide.
    RELAXED = "RELAXED"
    # A rule of thumb: toward the targets, as far as limits allow.
    HEURISTIC = "HEURISTIC"
    # Nothing is traded.
    HOLD = "HOLD"


@dataclass(frozen=True, slots=True)
class Certificate:
    """How far the plan can at most be from the best, checked by code that is not the solver.

    All values are basis points of the account's mix value. The bound holds for every plan within the limits,
    whichever one way each instrument goes, whole shares and minimum trades or not.

    Attributes:
        primal_bps: Objective of the released trades, exactly as rounded.
        dual_bps: No plan can be below this.
        gap_bps: primal − dual: what rounding, minimum trades, chosen directions and the solver cost together, at most.
        hold_bps: Objective of doing nothing.
        convex_gap_bps: The same gap before rounding, with the chosen directions: the solver's own part.
        status: The solver's own word.
        options: What it was run with.
        fallback: What answered instead of the solver's optimum.
    """

    primal_bps: Decimal
    dual_bps: Decimal
    gap_bps: Decimal
    hold_bps: Decimal
    convex_gap_bps: Decimal
    solver: str
    solver_version: str
    status: str
    options: Mapping[str, str] = field(default_factory=dict)
    fallback: Fallback = Fallback.NONE
