"""`evenkeel.decision.v1.PriceService`: message → values → use case → message."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import grpc.aio

from evenkeel.common.v1 import columns_pb2, values_pb2
from evenkeel.decision.v1 import price_service_pb2 as pb
from evenkeel.decision.v1.price_service_pb2_grpc import PriceServiceServicer
from services.decision.api.book_messages import numbers_of
from services.decision.app.prices import PriceApp
from services.decision.domain.prices import HistoryColumns, PriceColumns, PriceSet, PriceSetId
from services.kernel.errors import Invalid
from services.runtime.wire import decimal_column, decimal_of, instant_message, instant_of

_Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True, slots=True)
class PriceServicer(PriceServiceServicer):
    """Answers callers of market data."""

    app: PriceApp

    async def IngestPrices(self, request: pb.IngestPricesRequest, context: _Context) -> pb.IngestPricesResponse:
        price_set_id = await self.app.ingest_prices(
            _price_columns(request.price_set),
            decimal_of(request.jump_limit, "jump_limit") if request.HasField("jump_limit") else None,
            frozenset(request.confirmed_instrument_ids),
        )
        return pb.IngestPricesResponse(price_set_id=price_set_id)

    async def IngestPriceHistory(
        self, request: pb.IngestPriceHistoryRequest, context: _Context
    ) -> pb.IngestPriceHistoryResponse:
        price_history_id = await self.app.ingest_history(
            HistoryColumns(
                source=request.provenance.source,
                as_of_time=_as_of(request.provenance, "provenance"),
                instrument_ids=list(request.instrument_ids),
                days=list(request.dates.days),
                closes=numbers_of(request.closes),
            )
        )
        return pb.IngestPriceHistoryResponse(price_history_id=price_history_id)

    async def GetPriceSet(self, request: pb.GetPriceSetRequest, context: _Context) -> pb.GetPriceSetResponse:
        found = await self.app.get_price_set(PriceSetId(request.price_set_id) if request.price_set_id else None)
        return pb.GetPriceSetResponse(price_set=_price_set_message(found))


def _price_columns(message: pb.PriceSet) -> PriceColumns:
    return PriceColumns(
        source=message.provenance.source,
        as_of_time=_as_of(message.provenance, "price_set.provenance"),
        instrument_ids=list(message.instrument_ids),
        prices=numbers_of(message.prices),
        bids=numbers_of(message.bids) if message.HasField("bids") else None,
        asks=numbers_of(message.asks) if message.HasField("asks") else None,
        average_daily_volumes=(
            numbers_of(message.average_daily_volumes) if message.HasField("average_daily_volumes") else None
        ),
    )


def _as_of(provenance: values_pb2.Provenance, field: str) -> datetime:
    if not provenance.HasField("as_of_time"):
        raise Invalid.of(f"{field}.as_of_time", "must be given")
    return instant_of(provenance.as_of_time, f"{field}.as_of_time")


def _price_set_message(price_set: PriceSet) -> pb.PriceSet:
    quotes = list(price_set.quotes.values())
    return pb.PriceSet(
        price_set_id=price_set.price_set_id,
        provenance=values_pb2.Provenance(
            source=price_set.source,
            as_of_time=instant_message(price_set.as_of_time),
            content_hash=price_set.content_hash,
        ),
        instrument_ids=list(price_set.quotes),
        prices=_column([quote.price for quote in quotes]),
        bids=_column([quote.bid for quote in quotes]),
        asks=_column([quote.ask for quote in quotes]),
        average_daily_volumes=_column([quote.average_daily_volume for quote in quotes]),
        record_time=instant_message(price_set.record_time),
    )


def _column(values: Sequence[Decimal | None]) -> columns_pb2.DecimalColumn | None:
    """Return the column at the least scale that holds every value; None when the source did not give it."""
    given = [value for value in values if value is not None]
    if len(given) < len(values):
        return None
    return decimal_column(given, max((_places(value) for value in given), default=0))


def _places(value: Decimal) -> int:
    exponent = value.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0
