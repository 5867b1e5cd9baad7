"""What an instrument is to a tax law that asks: Germany's does.

Sources: EStG § 20 Abs. 2 Satz 1 Nr. 1, Abs. 6 Satz 4 (shares); InvStG § 2 Abs. 6 to 9 (funds), § 20 Abs. 1 to 3 (of
which a part is exempt), § 21 (of losses the same part). Receipts for shares
count as shares: BMF letter of 22 December 2009, IV C 1 - S 2252/08/10004. ISO 10962: `ES`, `EP`, `EC` and `EF` are
shares, `ED` receipts for them.
"""

from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum

from services.kernel.decimals import EXACT
from services.kernel.money import CENT

# The first two letters of an ISO 10962 classification.
_SHARES = frozenset({"ES", "EP", "EC", "EF", "ED"})


class AssetKind(StrEnum):
    """What an asset is to the tax; funds by what they must hold."""

    SHARE = "SHARE"
    EQUITY_FUND = "EQUITY_FUND"
    MIXED_FUND = "MIXED_FUND"
    REAL_ESTATE_FUND = "REAL_ESTATE_FUND"
    FOREIGN_REAL_ESTATE_FUND = "FOREIGN_REAL_ESTATE_FUND"
    OTHER_FUND = "OTHER_FUND"
    # Bonds, certificates and the like; and what nobody said the kind of.
    OTHER = "OTHER"


# InvStG § 20 Abs. 1, 2, 3: the part of income and of gains that private investors do not tax.
EXEMPT_PART: dict[AssetKind, Decimal] = {
    AssetKind.EQUITY_FUND: Decimal("0.30"),
    AssetKind.MIXED_FUND: Decimal("0.15"),
    AssetKind.REAL_ESTATE_FUND: Decimal("0.60"),
    AssetKind.FOREIGN_REAL_ESTATE_FUND: Decimal("0.80"),
}
FUNDS = frozenset({*EXEMPT_PART, AssetKind.OTHER_FUND})


def exempt_part(kind: AssetKind) -> Decimal:
    """Return the part of a gain or a loss on an asset that Germany does not tax, 0 to 1."""
    return EXEMPT_PART.get(kind, Decimal(0))


def exempt_of(gain: Decimal, part: Decimal) -> Decimal:
    """Return what of a gain or loss is exempt where `part` of it is, half-even to the cent."""
    return EXACT.multiply(gain, part).quantize(CENT, rounding=ROUND_HALF_EVEN) + 0


def kind_by_classification(cfi: str) -> AssetKind:
    """Return the kind that an ISO 10962 classification tells: a share, else `OTHER`, as it knows no kinds of funds."""
    return AssetKind.SHARE if cfi[:2] in _SHARES else AssetKind.OTHER
