"""The answer for one account.

Plain exact data: no floats, stable order, so that the same inputs give the same bytes.
"""

from dataclasses import dataclass
from enum import StrEnum

from services.decision.domain.decision.certificate import Certificate
from services.decision.domain.decision.reasons import Explanation
from services.decision.domain.decision.trades import Trade


class Outcome(StrEnum):
    """What became of an account."""

    TRADE = "TRADE"
    NO_TRADE = "NO_TRADE"
    # No trades satisfy the limits; the explanation names those that conflict and the cheapest way out.
    INFEASIBLE = "INFEASIBLE"
    # The solver gave no usable answer; nothing is traded, and the certificate says what it said.
    FALLBACK_HOLD = "FALLBACK_HOLD"


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer for one account. `trades` is empty unless the outcome is TRADE; sells first, then by instrument id."""

    outcome: Outcome
    trades: tuple[Trade, ...]
    certificate: Certificate
    explanation: Explanation
