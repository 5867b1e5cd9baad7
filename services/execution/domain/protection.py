"""How much may a market buy pay? No more than was set aside for it.

Money is set aside for a buy at its reference price and a buffer, fees included. A market order has no limit of its own,
so a venue that fills it above that would overdraw the account. It therefore leaves as a limit order at a protective
price: what was set aside for a unit, less the fees. A price that runs away leaves it unfilled, and its plan expires.
"""

from collections.abc import Iterable
from decimal import ROUND_FLOOR, Decimal
from enum import StrEnum

BPS = Decimal(10_000)
CENT = Decimal("0.01")
# Below one dollar orders may be priced to a hundredth of a cent (SEC rule 612, 17 CFR 242.612).
SUB_DOLLAR = Decimal("0.0001")
ONE = Decimal(1)


class Protection(StrEnum):
    """Up to which price market buys may be filled."""

    SET_ASIDE = "SET_ASIDE"  # What was set aside for them.
    COLLAR = "COLLAR"  # The collar around the reference: an account may be overdrawn by so much.


def protective_price(
    reference: Decimal, unit_costs: Iterable[Decimal], *, by: Protection, collar_bps: Decimal, fee_bps: Decimal
) -> Decimal:
    """Return the most a market buy may pay for a unit, rounded down to what a price may be.

    Args:
        reference: Reference price when it is sent, above 0.
        unit_costs: What is set aside for a unit in each account that takes part, fees included; at least one.
        by: Which bound counts beside the collar.
        collar_bps: How far above the reference nobody pays, in basis points.
        fee_bps: The most that fees can be, in basis points of the price.
    """
    most = reference * (BPS + collar_bps) / BPS
    if by is Protection.SET_ASIDE:
        most = min(most, min(unit_costs) * BPS / (BPS + fee_bps))
    return most.quantize(CENT if most >= ONE else SUB_DOLLAR, rounding=ROUND_FLOOR)
