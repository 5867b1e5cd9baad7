"""Parts of a recorded plan, read without the rest: most of a plan is its explanation, which only people need."""

import json
from collections.abc import Mapping
from datetime import date
from decimal import Decimal

from services.decision.domain.book import PlannedLot
from services.decision.domain.decision import Character, TradeCost
from services.decision.domain.plan import Release
from services.decision.domain.problem import ZERO, LotId, RecentTrade, Side
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


def planned_purchases(content: bytes) -> Mapping[InstrumentId, Decimal]:
    """Return how many units of each instrument a plan buys."""
    decision = json.loads(content).get("decision") or {}
    return {
        InstrumentId(trade["instrument_id"]): Decimal(trade["quantity"])
        for trade in decision.get("trades", ())
        if Side(trade["side"]) is Side.BUY
    }


def trade_costs(content: bytes) -> Mapping[InstrumentId, tuple[Decimal, TradeCost]]:
    """Return the quantity of each trade of a plan, and what it was predicted to cost."""
    decision = json.loads(content).get("decision") or {}
    return {
        InstrumentId(trade["instrument_id"]): (
            Decimal(trade["quantity"]),
            TradeCost(*(Decimal(trade["cost"][part]) for part in ("spread", "commission", "impact"))),
        )
        for trade in decision.get("trades", ())
    }


def recent_trades(content: bytes, day: date) -> tuple[RecentTrade, ...]:
    """Return what a plan trades, as if on `day`; what a sale realizes is the sum of its lots' losses, or nothing."""
    decision = json.loads(content).get("decision") or {}
    return tuple(
        RecentTrade(
            InstrumentId(trade["instrument_id"]),
            Side(trade["side"]),
            day,
            sum((min(ZERO, Decimal(sale["gain"])) for sale in trade.get("lot_sales", ())), ZERO),
        )
        for trade in decision.get("trades", ())
    )
