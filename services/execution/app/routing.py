"""Where does a block go, and why? Told to audit with the block, so that its best execution can be judged from the log.

What counts for the choice is what was known then: which venues could take the order and why others could not, the quote
that was in force with its source and age, and what sending it was expected to cost. The choice itself is simple while
one venue is connected; the file says so rather than pretending there was a contest.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal
from typing import cast

from services.execution.app.records import BlockRecord
from services.execution.domain.impact import square_root_cost
from services.execution.domain.words import ReferencePrice
from services.kernel.canonical import JsonValue
from services.kernel.ids import VenueId

BPS = Decimal(10_000)
COST_QUANTUM = Decimal("0.0001")
ONE = Decimal(1)


@dataclass(frozen=True, slots=True)
class Routing:
    """The venue that orders go to, and those that they could go to in another deployment, with why they do not.

    `mic` is the venue's ISO 10383 code, empty when nobody said it. The rest is the market of the cost estimate: spread
    in basis points, units and standard deviation of a day's return.
    """

    connected: VenueId
    mic: str = ""
    others: Mapping[VenueId, str] = field(default_factory=dict)
    spread_bps: Decimal = Decimal(5)
    daily_volume: Decimal = Decimal(5_000_000)
    daily_volatility: Decimal = Decimal("0.0125")

    def told(self, record: BlockRecord, reference: ReferencePrice | None) -> dict[str, JsonValue]:
        """Return what audit is told of a new block: the quote, the candidates, the choice and its reason."""
        candidates: list[JsonValue] = [
            {
                "venue_id": self.connected,
                "mic": self.mic,
                "eligible": True,
                "expected_cost_bps": self.expected_cost_bps(record.block.quantity),
            }
        ]
        candidates += [{"venue_id": name, "eligible": False, "why": self.others[name]} for name in sorted(self.others)]
        return {
            "quote": None
            if reference is None
            else {
                "price": reference.price,
                "currency": reference.currency,
                "source": reference.source,
                "as_of_time": reference.as_of_time,
            },
            "candidates": candidates,
            "venue_reason": "the only venue that takes orders here",
            "algorithm": record.block.terms.algorithm,
            "time_in_force": record.block.terms.time_in_force,
        }

    def told_inside(self, record: BlockRecord, reference: ReferencePrice) -> dict[str, JsonValue]:
        """Return what audit is told of a new block that opposite clients fill: the same, and why it is not sent."""
        inside: JsonValue = {
            "venue_id": record.block.terms.venue_id,
            "mic": "",
            "eligible": True,
            "expected_cost_bps": Decimal(0),
        }
        told = self.told(record, reference)
        outside = cast(list[JsonValue], told["candidates"])
        reason = "both clients agreed, and at the middle price neither pays spread, impact or fee"
        return {**told, "candidates": [inside, *outside], "venue_reason": reason}

    def expected_cost_bps(self, quantity: Decimal) -> Decimal:
        """Return half the spread and the square-root law's impact of `quantity`, half-even to four decimals."""
        cost = square_root_cost(
            quantity,
            half_spread=self.spread_bps / 2 / BPS,
            daily_volume=self.daily_volume,
            daily_volatility=self.daily_volatility,
            factor=ONE,
        )
        return (cost * BPS).quantize(COST_QUANTUM, rounding=ROUND_HALF_EVEN)
