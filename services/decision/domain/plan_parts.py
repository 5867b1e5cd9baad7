"""Parts of a recorded plan, read without the rest: most of a plan is its explanation, which only people need."""

import json
from collections.abc import Mapping
from decimal import Decimal

from services.decision.domain.book import PlannedLot
from services.decision.domain.decision import Character
from services.decision.domain.plan import Release
from services.decision.domain.problem import LotId
from services.decision.domain.recorded import read_value
from services.kernel.ids import InstrumentId


def read_release(content: bytes) -> Release:
    """Return what execution is asked for.

    Raises:
        ValueError: The plan has no trades.
    """
    said = json.loads(content).get("release")
    if said is None:
        raise ValueError("a plan without trades has nothing to release")
    release: Release = read_value(Release, said)
    return release


def planned_lots(content: bytes) -> Mapping[InstrumentId, tuple[PlannedLot, ...]]:
    """Return the lots that a plan sells, by instrument, in the plan's order."""
    decision = json.loads(content).get("decision") or {}
    return {
        InstrumentId(trade["instrument_id"]): tuple(
            PlannedLot(LotId(sale["lot_id"]), Decimal(sale["quantity"]), sale.get("character") == Character.POOLED)
            for sale in trade.get("lot_sales", ())
        )
        for trade in decision.get("trades", ())
    }
