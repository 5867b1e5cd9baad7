"""Where does a block go, and why? Told to audit with the block, so that its best execution can be judged from the log.

What counts for the choice is what was known then: which venues could take the order and why others could not, the quote
that was in force with its source and age, and what sending it was expected to cost, by which model and from what. The
choice itself is simple while one venue is connected; the file says so rather than pretending there was a contest.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import cast

from services.execution.app.records import BlockRecord
from services.execution.domain.currencies import dealt_currency
from services.execution.domain.expected_cost import INSIDE, CostRule, DayVolume, ExpectedCost
from services.execution.domain.words import ReferencePrice
from services.kernel.canonical import JsonValue
from services.kernel.ids import InstrumentId, VenueId


@dataclass(frozen=True, slots=True)
class Routing:
    """The venue that orders go to, and those that they could go to in another deployment, with why they do not.

    `mic` is the venue's ISO 10383 code, empty when nobody said it. `costs` says how the estimate is made.
    """

    connected: VenueId
    mic: str = ""
    others: Mapping[VenueId, str] = field(default_factory=dict)
    costs: CostRule = field(default_factory=CostRule)

    def told(
        self,
        record: BlockRecord,
        reference: ReferencePrice | None,
        volumes: Mapping[InstrumentId, DayVolume],
        days: Decimal,
    ) -> dict[str, JsonValue]:
        """Return what audit is told of a new block: the quote, the candidates, the choice and its reason.

        `volumes` are those of a day, by instrument where they are known; `days` is how long the block trades.
        """
        expected = self._expected(record, volumes, days)
        candidates: list[JsonValue] = [_candidate(self.connected, self.mic, expected)]
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

    def told_inside(
        self,
        record: BlockRecord,
        reference: ReferencePrice,
        volumes: Mapping[InstrumentId, DayVolume],
        days: Decimal,
    ) -> dict[str, JsonValue]:
        """Return what audit is told of a new block that opposite clients fill: the same, and why it is not sent."""
        inside = _candidate(record.block.terms.venue_id, "", INSIDE)
        told = self.told(record, reference, volumes, days)
        outside = cast(list[JsonValue], told["candidates"])
        reason = "both clients agreed, and at the middle price neither pays spread, impact or fee"
        return {**told, "candidates": [inside, *outside], "venue_reason": reason}

    def _expected(self, record: BlockRecord, volumes: Mapping[InstrumentId, DayVolume], days: Decimal) -> ExpectedCost:
        terms = record.block.terms
        if dealt_currency(terms.instrument_id, terms.currency) is not None:
            return self.costs.of_pair()
        return self.costs.of_shares(record.block.quantity, volumes.get(terms.instrument_id), days)


def _candidate(venue_id: VenueId, mic: str, expected: ExpectedCost) -> JsonValue:
    return {
        "venue_id": venue_id,
        "mic": mic,
        "eligible": True,
        "expected_cost_bps": expected.bps,
        "cost_model": {"model": expected.model, **expected.inputs},
    }
