"""What every account of a run sees: the prices, the instruments, and which law is known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from services.decision.domain.instruments import Instrument
from services.decision.domain.prices import PriceSet
from services.kernel.ids import InstrumentId


@dataclass(frozen=True, slots=True)
class Market:
    """What every account of a run sees: the prices, and what is known of the instruments.

    Attributes:
        reviewed_years: By country, the tax years whose law was reviewed since this release was made.
        amounts: Of law, by name, of each tax year of which others were approved than the release has, as `GB 2027`.
    """

    prices: PriceSet
    instruments: Mapping[InstrumentId, Instrument]
    reviewed_years: Mapping[str, Sequence[int]] = field(default_factory=dict)
    amounts: Mapping[str, Mapping[str, Decimal]] = field(default_factory=dict)
