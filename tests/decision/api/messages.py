"""The builders' accounts and prices as messages, and what messages say as numbers."""

from dataclasses import fields
from decimal import Decimal
from uuid import uuid4

from evenkeel.common.v1.columns_pb2 import DateColumn, DecimalColumn
from evenkeel.common.v1.values_pb2 import Provenance
from evenkeel.decision.v1 import book_service_pb2 as pb
from evenkeel.decision.v1 import price_service_pb2
from services.decision.domain.columns import Numbers
from services.runtime.wire import decimal_column, decimal_message, decimal_of, instant_message, money_of, word_column
from tests.decision.books import CLOSE, a_header, columns

PLAIN = {"account_ids", "position_accounts", "lot_positions", "lot_ids"}


def a_request_id():
    return str(uuid4())


def amount(message):
    return money_of(message, "").amount


def figure(message):
    return decimal_of(message, "")


def header_message(header):
    return pb.SnapshotHeader(
        provenance=Provenance(source=header.source, as_of_time=instant_message(header.as_of_time)),
        instruments=[
            pb.Instrument(
                instrument_id=each.instrument_id,
                currency=each.currency,
                asset_class=each.asset_class,
                quantity_increment=decimal_message(each.quantity_increment),
                tradable=each.tradable,
                asset_kind=f"ASSET_KIND_{each.asset_kind}",
            )
            for each in header.instruments
        ],
    )


def part_message(*accounts):
    part = pb.BookPart()
    book = columns(*accounts)
    for each in fields(book):
        value = getattr(book, each.name)
        if each.name in PLAIN:
            getattr(part, each.name).extend(value)
        elif isinstance(value, Numbers):
            getattr(part, each.name).CopyFrom(DecimalColumn(units=value.units, scale=value.scale))
        elif each.name == "lot_acquired_dates":
            part.lot_acquired_dates.CopyFrom(DateColumn(days=value))
        else:
            getattr(part, each.name).CopyFrom(word_column(value))
    return part


def book_requests(*parts, header=None, request_id=None):
    """Return the messages of `IngestBook`; each part is a tuple of accounts or a `BookPart`."""
    request_id = request_id or a_request_id()
    first = pb.IngestBookRequest(request_id=request_id, header=header_message(header or a_header()))
    rest = [part if isinstance(part, pb.BookPart) else part_message(*part) for part in parts]
    return [first, *(pb.IngestBookRequest(request_id=request_id, part=part) for part in rest)]


def price_request(*, as_of_time=CLOSE, **prices):
    """Return the message of `IngestPrices`: `price_request(VTI="191.50")`."""
    return price_service_pb2.IngestPricesRequest(
        request_id=a_request_id(),
        price_set=price_service_pb2.PriceSet(
            provenance=Provenance(source="vendor-a", as_of_time=instant_message(as_of_time)),
            instrument_ids=list(prices),
            prices=decimal_column((Decimal(price) for price in prices.values()), 3),
        ),
    )
