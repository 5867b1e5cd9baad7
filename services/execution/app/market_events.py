"""What audit is told of the market, and of who stopped trading."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from services.execution.app.venue_port import MarketSetting, Sizes
from services.execution.domain.trading_state import Halt, ScopeKind
from services.execution.domain.words import ReferencePrice
from services.kernel.canonical import JsonValue, canonical_json, content_hash
from services.kernel.events import Event
from services.kernel.ids import InstrumentId


def prices_ingested(prices: Sequence[ReferencePrice], updated: int) -> Event:
    """Say that reference prices came, by the hash of what they say."""
    said: list[JsonValue] = [
        [each.instrument_id, each.price, each.currency] for each in sorted(prices, key=lambda each: each.instrument_id)
    ]
    data: dict[str, JsonValue] = {
        "sources": sorted({each.source for each in prices}),
        "as_of_time": max(each.as_of_time for each in prices),
        "instruments": len(prices),
        "updated": updated,
        "content_hash": content_hash(canonical_json(said)),
    }
    return Event("execution.prices.ingested", {}, data)


def volumes_ingested(volumes: Mapping[InstrumentId, Decimal], at: datetime, source: str) -> Event:
    """Say that the market's volumes came, by the hash of what they say."""
    said: list[JsonValue] = [[name, volumes[name]] for name in sorted(volumes)]
    data: dict[str, JsonValue] = {
        "source": source,
        "as_of_time": at,
        "instruments": len(volumes),
        "content_hash": content_hash(canonical_json(said)),
    }
    return Event("execution.volumes.ingested", {}, data)


def market_loaded(
    setting: MarketSetting, prices: Mapping[InstrumentId, Decimal], sizes: Mapping[InstrumentId, Sizes]
) -> Event:
    """Say that the market of a simulated venue was set, by the hash of its prices and sizes."""
    said: list[JsonValue] = [
        [name, prices[name], *((sizes[name].bid, sizes[name].ask) if name in sizes else ())] for name in sorted(prices)
    ]
    data: dict[str, JsonValue] = {
        "currency": setting.currency,
        "spread_bps": setting.spread_bps,
        "fee_bps": setting.fee_bps,
        "seed": Decimal(setting.seed),
        "fill_share_max": setting.fill_share_max,
        "market_time": setting.market_time,
        "instruments": len(prices),
        "content_hash": content_hash(canonical_json(said)),
    }
    return Event("execution.sandbox.market_loaded", {}, data)


def halted(halt: Halt, asked: Halt) -> Event:
    """Say that somebody `asked` for trading to be restricted, and what `state` that made or left: that of `halt`."""
    data: dict[str, JsonValue] = {
        "scope": halt.scope.kind,
        "subject_id": halt.scope.subject_id,
        "state": halt.state,
        "asked_state": asked.state,
        "why": asked.why,
    }
    return Event("execution.trading.halted", _scope_subjects(halt), data)


def resumed(halt: Halt, why: str) -> Event:
    """Say that a halt was lifted, and who had halted."""
    data: dict[str, JsonValue] = {
        "scope": halt.scope.kind,
        "subject_id": halt.scope.subject_id,
        "halted_by": halt.halted_by,
        "also_halted_by": list(halt.also_halted_by),
        "why": why,
    }
    return Event("execution.trading.resumed", _scope_subjects(halt), data)


def _scope_subjects(halt: Halt) -> dict[str, str]:
    match halt.scope.kind:
        case ScopeKind.ACCOUNT:
            return {"account": halt.scope.subject_id}
        case ScopeKind.INSTRUMENT:
            return {"instrument": halt.scope.subject_id}
        case ScopeKind.ALL | ScopeKind.VENUE:
            return {}
