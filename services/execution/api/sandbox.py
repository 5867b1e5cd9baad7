"""`evenkeel.execution.v1.SandboxService`: runs the sandbox venue."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeAlias

import grpc.aio

from evenkeel.execution.v1 import sandbox_service_pb2 as pb
from evenkeel.execution.v1.sandbox_service_pb2_grpc import SandboxServiceServicer
from services.execution.api.servicer import check_columns, check_rows
from services.execution.app.bell import Bell
from services.execution.app.trading import Trading
from services.execution.app.venue_port import MarketSetting, Sizes
from services.execution.domain.errors import MarketInvalid
from services.kernel.errors import Violations
from services.kernel.ids import InstrumentId
from services.runtime.wire import decimal_of, decimals_of, instant_of

_Context = grpc.aio.ServicerContext[Any, Any]

LoadMarket: TypeAlias = Callable[
    [MarketSetting, Mapping[InstrumentId, Decimal], Mapping[InstrumentId, Sizes]], Awaitable[int]
]


@dataclass(frozen=True, slots=True)
class SandboxServicer(SandboxServiceServicer):
    """Answers callers who run the sandbox venue."""

    load_market: LoadMarket
    trading: Trading
    work: Bell

    async def LoadSandboxMarket(
        self, request: pb.LoadSandboxMarketRequest, context: _Context
    ) -> pb.LoadSandboxMarketResponse:
        wrong = Violations()
        check_columns(list(request.instrument_ids), len(request.prices.units), "prices", wrong)
        if request.HasField("bid_sizes") or request.HasField("ask_sizes"):
            check_rows(len(request.instrument_ids), len(request.bid_sizes.units), "bid_sizes", wrong)
            check_rows(len(request.instrument_ids), len(request.ask_sizes.units), "ask_sizes", wrong)
        wrong.raise_if_any(MarketInvalid)
        share = Decimal(1)
        if request.HasField("fill_share_max"):
            share = decimal_of(request.fill_share_max, "fill_share_max")
        setting = MarketSetting(
            currency=request.currency,
            spread_bps=decimal_of(request.spread_bps, "spread_bps"),
            fee_bps=decimal_of(request.fee_bps, "fee_bps"),
            seed=request.seed,
            fill_share_max=share,
            market_time=instant_of(request.market_time, "market_time"),
        )
        names = [InstrumentId(each) for each in request.instrument_ids]
        prices = dict(zip(names, decimals_of(request.prices, "prices"), strict=True))
        bids, asks = decimals_of(request.bid_sizes, "bid_sizes"), decimals_of(request.ask_sizes, "ask_sizes")
        sizes = {name: Sizes(bid, ask) for name, bid, ask in zip(names, bids, asks, strict=False)}
        count = await self.load_market(setting, prices, sizes)
        await self.trading.market_loaded(setting, prices, sizes)
        self.work.ring()
        return pb.LoadSandboxMarketResponse(instrument_count=count)
