"""What to hold instead of what is sold at a loss: alike in price, cheap to trade, and not the same to the law."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from services.decision.domain.instruments import Instrument
from services.decision.domain.prices import PriceHistory
from services.kernel.ids import InstrumentId

TRADING_DAYS = 252
# So many are shown for each instrument, and so many days of prices are asked of both.
SHOWN_MAX = 3
DAYS_MIN = 60


@dataclass(frozen=True, slots=True)
class Replacement:
    """Something to hold instead. `tracking_error`: yearly, of the difference of daily log returns, to four places."""

    asset: str
    instead: str
    tracking_error: Decimal
    spread_bps: Decimal


def replacements(
    sold: Collection[str],
    instruments: Mapping[InstrumentId, Instrument],
    history: PriceHistory,
    spreads_bps: Mapping[str, Decimal],
    barred: Collection[str],
) -> tuple[Replacement, ...]:
    """Return what is nearest to each instrument sold, by tracking error, then spread, then id.

    Args:
        sold: What is sold at a loss.
        instruments: Those that may be held; only the same asset class is looked at.
        history: Prices to measure by.
        spreads_bps: Full spreads; what has none is 0.
        barred: Identity sets that may not be bought: their purchase would deny a loss.
    """
    rows = {instrument_id: row for row, instrument_id in enumerate(history.instrument_ids)}
    returns = np.diff(np.log(history.units.astype(np.float64)), axis=1)
    if returns.shape[1] < DAYS_MIN:
        return ()
    found: list[Replacement] = []
    for asset in sorted(sold):
        own = instruments.get(InstrumentId(asset))
        if own is None or own.instrument_id not in rows:
            continue
        near: list[Replacement] = []
        for other in instruments.values():
            alike = other.asset_class == own.asset_class and other.currency == own.currency and other.tradable
            same = other.identity_set == own.identity_set or other.identity_set in barred
            if not alike or same or other.instrument_id not in rows or other.instrument_id in sold:
                continue
            apart = returns[rows[own.instrument_id]] - returns[rows[other.instrument_id]]
            error = round(float(apart.std(ddof=1)) * math.sqrt(TRADING_DAYS) * 10_000)
            spread = spreads_bps.get(other.instrument_id, Decimal(0))
            near.append(Replacement(asset, other.instrument_id, Decimal(error).scaleb(-4), spread))
        near.sort(key=lambda each: (each.tracking_error, each.spread_bps, each.instead))
        found += near[:SHOWN_MAX]
    return tuple(found)
