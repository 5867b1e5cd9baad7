"""What did trading cost, and why? Perold's implementation shortfall, in four parts that sum exactly.

A portfolio on paper trades at the decision price, at once and free. The real one waits until the order reaches the
market (delay), moves the price and crosses the spread (trading), leaves something undone (opportunity), and pays fees
(A. F. Perold, "The Implementation Shortfall: Paper versus Reality", 1988).

With side s (+1 buy, -1 sell), ordered X, filled F at prices p with quantities q, decision price d, arrival price a, and
price c when the rest was given up:

    delay        s * F * (a - d)
    trading      s * sum((p - a) * q)
    opportunity  s * (X - F) * (c - d)
    shortfall    delay + trading + opportunity + fees, over X * d
"""

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

from services.execution.domain.words import Side

BPS = Decimal(10_000)

# Shortfall is shown in basis points to this many decimals.
BPS_QUANTUM = Decimal("0.0001")


@dataclass(frozen=True, slots=True)
class Execution:
    """What is known of one order or block when it is over.

    `gross_amount` is what the fills moved, `arrival_amount` what they would have moved at the price on arrival.
    """

    side: Side
    ordered_quantity: Decimal
    filled_quantity: Decimal
    gross_amount: Decimal
    decision_price: Decimal
    arrival_amount: Decimal
    final_price: Decimal
    fees: Decimal

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises:
            ValueError: A price is not positive, or more was filled than ordered, or nothing was ordered.
        """
        if not 0 <= self.filled_quantity <= self.ordered_quantity or self.ordered_quantity == 0:
            raise ValueError(f"filled must be 0 to {self.ordered_quantity} ordered, was {self.filled_quantity}")
        for price in (self.decision_price, self.final_price):
            if price <= 0:
                raise ValueError(f"a price is positive, was {price}")


@dataclass(frozen=True, slots=True)
class Shortfall:
    """The cost of an order by its causes: amounts in the order's currency, positive when they cost."""

    delay: Decimal
    trading: Decimal
    opportunity: Decimal
    fees: Decimal
    paper_amount: Decimal

    @property
    def total(self) -> Decimal:
        """Return the whole shortfall: exactly the sum of its parts."""
        return self.delay + self.trading + self.opportunity + self.fees

    @property
    def total_bps(self) -> Decimal:
        """Return the shortfall in basis points of what the order was worth on paper, half-even to four decimals."""
        return (self.total * BPS / self.paper_amount).quantize(BPS_QUANTUM, rounding=ROUND_HALF_EVEN)


def implementation_shortfall(execution: Execution) -> Shortfall:
    """Return what `execution` cost against trading at once, free, at the decision price."""
    sign = 1 if execution.side is Side.BUY else -1
    filled, left = execution.filled_quantity, execution.ordered_quantity - execution.filled_quantity
    return Shortfall(
        delay=sign * (execution.arrival_amount - filled * execution.decision_price),
        trading=sign * (execution.gross_amount - execution.arrival_amount),
        opportunity=sign * left * (execution.final_price - execution.decision_price),
        fees=execution.fees,
        paper_amount=execution.ordered_quantity * execution.decision_price,
    )
