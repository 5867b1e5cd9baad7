"""Which fields conflict, and no more of them than it takes?

A set of fields conflicts if a rule finds the error in a document that sets nothing else. It is irreducible if no field
can be left out: then changing or clearing any one of them can make the error go away, and touching other fields
cannot. The deletion filter (Chinneck and Dravnieks 1991, "Locating minimal infeasible constraint sets in linear
programs") finds one: leave out each field in turn, for good whenever the rest still conflicts. Where clearing a field
can make things worse, one round is not enough; so rounds are repeated until nothing can be left out.
"""

from collections.abc import Callable, Collection, Sequence
from typing import TypeVar

T = TypeVar("T")


def irreducible(items: Sequence[T], conflict: Callable[[Collection[T]], bool]) -> tuple[T, ...]:
    """Return items that conflict and of which none can be left out, in the order given.

    Args:
        items: Conflict together.
        conflict: Says whether some items conflict.
    """
    kept = list(items)
    shorter = True
    while shorter:
        shorter = False
        for item in tuple(kept):
            rest = [each for each in kept if each is not item]
            if conflict(rest):
                kept, shorter = rest, True
    return tuple(kept)
