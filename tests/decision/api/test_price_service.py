"""`PriceService`: prices that can be are kept once, others are named and leave nothing."""

from datetime import timedelta
from decimal import Decimal

import grpc

from evenkeel.common.v1.columns_pb2 import DateColumn, DecimalColumn
from evenkeel.common.v1.values_pb2 import Provenance
from evenkeel.decision.v1 import price_service_pb2 as pb
from services.runtime.wire import decimal_message, instant_message
from tests.decision.api.conftest import refused
from tests.decision.api.messages import a_request_id, book_requests, price_request
from tests.decision.books import CLOSE, an_account

BAD = grpc.StatusCode.INVALID_ARGUMENT


async def with_book(service):
    await service.books().IngestBook(iter(book_requests((an_account(),))))
    return service.prices()


async def newest(prices, price_set_id=""):
    return (await prices.GetPriceSet(pb.GetPriceSetRequest(price_set_id=price_set_id))).price_set


async def test_prices_are_read_back_and_the_newest_is_the_one_asked_for_by_nobody(service):
    prices = await with_book(service)
    first = await prices.IngestPrices(price_request(VTI="191.505", BND="72"))
    second = await prices.IngestPrices(price_request(VTI="192", as_of_time=CLOSE + timedelta(hours=1)))

    assert (await newest(prices)).price_set_id == second.price_set_id
    found = await newest(prices, first.price_set_id)
    assert list(found.instrument_ids) == ["BND", "VTI"]
    assert found.prices == DecimalColumn(units=[72000, 191505], scale=3)
    assert found.provenance.content_hash.startswith("sha256:")
    assert not found.HasField("bids")


async def test_the_same_prices_twice_are_one_set(service):
    prices = await with_book(service)
    first = await prices.IngestPrices(price_request(VTI="191.505"))
    again = await prices.IngestPrices(price_request(VTI="191.505"))

    assert again.price_set_id == first.price_set_id


async def test_there_is_no_set_before_the_first(service):
    async with refused(grpc.StatusCode.NOT_FOUND, "PRICE_SET_NOT_FOUND"):
        await newest(service.prices())


async def test_wrong_prices_are_named_and_not_kept(service):
    prices = await with_book(service)
    request = price_request(VTI="-1", BND="0")

    async with refused(BAD, "PRICES_INVALID") as fields:
        await prices.IngestPrices(request)
    assert fields == {
        "price_set.prices.units[0]": "must be above 0, was -1 (VTI)",
        "price_set.prices.units[1]": "must be above 0, was 0 (BND)",
    }
    async with refused(BAD, "INSTRUMENT_UNKNOWN") as fields:
        await prices.IngestPrices(price_request(TSLA="1"))
    assert fields.keys() == {"price_set.instrument_ids[0]"}
    request = price_request(VTI="1")
    request.price_set.provenance.ClearField("as_of_time")
    async with refused(BAD, "FIELD_INVALID") as fields:
        await prices.IngestPrices(request)
    assert fields.keys() == {"price_set.provenance.as_of_time"}
    async with refused(grpc.StatusCode.NOT_FOUND, "PRICE_SET_NOT_FOUND"):
        await newest(prices)


async def test_a_jump_is_refused_until_it_is_confirmed(service):
    prices = await with_book(service)
    await prices.IngestPrices(price_request(VTI="100", as_of_time=CLOSE - timedelta(days=1)))
    request = price_request(VTI="160")
    request.jump_limit.CopyFrom(decimal_message(Decimal("0.5")))

    async with refused(BAD, "PRICES_INVALID") as fields:
        await prices.IngestPrices(request)
    assert fields.keys() == {"price_set.prices.units[0]"}
    request.confirmed_instrument_ids.append("VTI")
    request.request_id = a_request_id()
    await prices.IngestPrices(request)


async def test_a_history_is_kept_and_a_wrong_one_is_not(service):
    prices = service.prices()
    request = pb.IngestPriceHistoryRequest(
        request_id=a_request_id(),
        provenance=Provenance(source="vendor-a", as_of_time=instant_message(CLOSE)),
        instrument_ids=["VTI", "BND"],
        dates=DateColumn(days=range(19_000, 19_060)),
        closes=DecimalColumn(units=range(1, 121), scale=4),
    )
    kept = await prices.IngestPriceHistory(request)
    async with service.sessions.prices() as store:
        found = await store.history(None)
    assert (found.price_history_id, found.units.tolist()[1][0]) == (kept.price_history_id, 61)

    request.closes.units[3] = 0
    request.request_id = a_request_id()
    async with refused(BAD, "PRICES_INVALID") as fields:
        await prices.IngestPriceHistory(request)
    assert fields.keys() == {"closes.units[3]"}


async def test_an_advisor_may_not_write_prices(service):
    async with refused(grpc.StatusCode.PERMISSION_DENIED, "ROLE_MISSING"):
        await service.prices("advisor").IngestPrices(price_request(VTI="1"))
