"""What an instrument is to a tax law that asks: Germany's does.

Sources: EStG § 20 Abs. 2 Satz 1 Nr. 1, Abs. 6 Satz 4 (shares); InvStG § 2 Abs. 6 to 9 (funds). Receipts for shares
count as shares: BMF letter of 22 December 2009, IV C 1 - S 2252/08/10004. ISO 10962: `ES`, `EP`, `EC` and `EF` are
shares, `ED` receipts for them.
"""

from enum import StrEnum

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


def kind_by_classification(cfi: str) -> AssetKind:
    """Return the kind that an ISO 10962 classification tells: a share, else `OTHER`, as it knows no kinds of funds."""
    return AssetKind.SHARE if cfi[:2] in _SHARES else AssetKind.OTHER
