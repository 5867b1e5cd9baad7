"""What is the largest amount, to the cent, that something still has room for?

Room shrinks as the amount grows, in a curve of few straight pieces that bends down: it is what a linear program leaves
over. Halving to the cent takes some thirty questions, each a problem of its own. Here the line through the last amount
that has room and the first known one that has none says where to ask next (regula falsi), both ends are kept, and the
end that stays put twice counts half (Dowell and Jarratt 1971, "A modified regula falsi method for computing the root of
an equation", BIT 11, as the Illinois method), so that both ends move. Where that is slow, halves are taken.
"""

from collections.abc import Callable
from decimal import ROUND_FLOOR, Decimal
from math import isinf

from services.decision.domain.decision import CENT
from services.decision.domain.problem import ZERO

# So many questions must halve what is open between both ends; else the next one halves it.
PATIENCE = 3


def last_amount(room: Callable[[Decimal], float], most: Decimal) -> Decimal:
    """Return the largest amount of whole cents, from 0 to `most`, that has room; 0 when none has.

    Args:
        room: Of an amount, in money, 0 or more where there is some and −∞ where there is nothing to speak of; where an
            amount has none, no larger one has.
        most: In whole cents, 0 or more.
    """
    above = room(most)
    if above >= 0:
        return most
    low, high, below = ZERO, most, room(ZERO)
    if below < 0:
        return ZERO
    # What is paid out takes its own amount from the room, more or less: a first guess where no line can be drawn.
    guess = low + Decimal(below) if isinf(above) else _between(low, below, high, above)
    # How often the same end moved in a row, + the lower one; and how much was open when it was halved last.
    moved, width, slow = 0, high - low, 0
    while high - low > CENT:
        guess = min(max(guess.quantize(CENT, ROUND_FLOOR), low + CENT), high - CENT)
        found = room(guess)
        slow += 1
        if found >= 0:
            # Where no line can be drawn, it is the room that is to shrink.
            slow = 0 if isinf(above) and found <= below / 2 else slow
            above = above / 2 if moved > 0 else above
            low, below, moved = guess, found, max(moved, 0) + 1
        else:
            below = below / 2 if moved < 0 else below
            high, above, moved = guess, found, min(moved, 0) - 1
        if high - low <= width / 2:
            width, slow = high - low, 0
        if slow >= PATIENCE or isinf(found) or (isinf(above) and low + Decimal(below) >= high):
            guess, slow = (low + high) / 2, 0
        elif isinf(above):
            guess = low + Decimal(below)
        else:
            guess = _between(low, below, high, above)
    return low


def _between(low: Decimal, below: float, high: Decimal, above: float) -> Decimal:
    """Return where the line from `below`, at `low`, to `above`, at `high`, is at zero."""
    return low + (high - low) * Decimal(below) / (Decimal(below) - Decimal(above))
