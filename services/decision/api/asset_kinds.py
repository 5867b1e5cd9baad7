"""What an asset is to tax laws that ask: words of the contract and of the domain."""

from collections.abc import Mapping

from evenkeel.decision.v1 import tax_service_pb2 as pb
from services.decision.domain.asset_kinds import AssetKind

ASSET_KINDS: Mapping[pb.GermanyTaxpayer.AssetKind.ValueType, AssetKind] = {
    pb.GermanyTaxpayer.ASSET_KIND_SHARE: AssetKind.SHARE,
    pb.GermanyTaxpayer.ASSET_KIND_EQUITY_FUND: AssetKind.EQUITY_FUND,
    pb.GermanyTaxpayer.ASSET_KIND_MIXED_FUND: AssetKind.MIXED_FUND,
    pb.GermanyTaxpayer.ASSET_KIND_REAL_ESTATE_FUND: AssetKind.REAL_ESTATE_FUND,
    pb.GermanyTaxpayer.ASSET_KIND_FOREIGN_REAL_ESTATE_FUND: AssetKind.FOREIGN_REAL_ESTATE_FUND,
    pb.GermanyTaxpayer.ASSET_KIND_OTHER_FUND: AssetKind.OTHER_FUND,
    pb.GermanyTaxpayer.ASSET_KIND_OTHER: AssetKind.OTHER,
}
