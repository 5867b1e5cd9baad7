"""Why one instrument is not traded."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from services.decision.domain.problem import Side
from services.kernel.ids import InstrumentId


class Cause(StrEnum):
    """Why an instrument is not traded, the first that holds."""

    # It has its target weight, as near as its increment allows.
    ON_TARGET = "ON_TARGET"
    # It must not be traded that way.
    BARRED = "BARRED"
    # A trade to its target would be smaller than the smallest that may be made.
    BELOW_MINIMUM = "BELOW_MINIMUM"
    # Nothing asks for a rebalance of the account.
    NOT_TRIGGERED = "NOT_TRIGGERED"
    # The trade costs more than it is worth.
    NOT_WORTH_IT = "NOT_WORTH_IT"
    # A limit of the account stands in the way.
    LIMIT = "LIMIT"
    # It would be worth something, by itself at most what the certificate leaves open.
    WITHIN_GAP = "WITHIN_GAP"


@dataclass(frozen=True, slots=True)
class NotTraded:
    """Why one instrument is not traded, and what the better of its trades would be; amounts in currency.

    Attributes:
        side: Which way its target lies; None when it is there.
        value: Of the trade, zero when none can be made.
        deviation_benefit: How much less the mix's deviation would cost.
        cost: Spread, commission and impact.
        tax: Negative is a credit.
        net_benefit: deviation_benefit − cost − tax, as the policy weighs them.
    """

    instrument_id: InstrumentId
    cause: Cause
    weight: Decimal
    target_weight: Decimal
    trigger: Decimal
    side: Side | None
    value: Decimal
    deviation_benefit: Decimal
    cost: Decimal
    tax: Decimal
    net_benefit: Decimal
    sentence: str
