"""`TaxService` over the record: events are kept once, ledgers are derived from them, and audit hears of it."""

from datetime import date, timedelta
from uuid import uuid4

import grpc
import pytest
from google.protobuf.json_format import ParseDict
from sqlalchemy import select

from evenkeel.decision.v1 import tax_service_pb2 as pb
from services.decision.domain.tax.laws import LAWS
from tests.decision.api.conftest import refused
from tests.decision.api.messages import book_requests, price_request
from tests.decision.books import CLOSE, MORNING, a_header, an_account, lot

# Ledgers stand in the year of the market's clock.
THIS_YEAR = MORNING.year
BAD = grpc.StatusCode.INVALID_ARGUMENT
US = {"united_states": {"filing_status": "FILING_STATUS_SINGLE", "ordinary_income": {"value": "100000"}}}


def day(text):
    year, month, number = (int(each) for each in text.split("-"))
    return {"year": year, "month": month, "day": number}


def usd(amount):
    return {"currency_code": "USD", "units": str(amount)}


def bought(event, on, units, cost, instrument="VTI", account="a1", **more):
    what = {"quantity": {"value": str(units)}, "cost": cost if isinstance(cost, dict) else usd(cost), **more}
    return {"event_id": event, "account_id": account, "instrument_id": instrument, "date": day(on), "acquired": what}


def sold(event, on, units, proceeds, instrument="VTI", account="a1", **more):
    what = {"quantity": {"value": str(units)}, "proceeds": usd(proceeds), **more}
    return {"event_id": event, "account_id": account, "instrument_id": instrument, "date": day(on), "disposed": what}


def record(*events, **more):
    return ParseDict({"request_id": str(uuid4()), "events": list(events), **more}, pb.RecordTaxEventsRequest())


def ledger(year=2024, accounts=("a1",), **more):
    named = [{"account_id": each, "owner": "OWNER_TAXPAYER"} for each in accounts]
    return ParseDict({"accounts": named, "tax_year": year, **US, **more}, pb.GetTaxLedgerRequest())


COMPLETE = {"complete": [{"account_id": "a1", "until_date": day("2024-12-31")}]}


@pytest.fixture
async def taxes(service):
    """A service with a book: `a1` has a lot of VTI and units of BND whose cost nobody knows."""
    book = an_account("a1").holding("VTI", lot("l1", 10, 1000, "2020-05-04")).holding("BND", units=7)
    ira = an_account("ira", tax_wrapper="TAX_WRAPPER_DEFERRED")
    await service.books().IngestBook(iter(book_requests((book, ira))))
    return service.taxes("platform_engineer", "eve")


def amounts(response):
    return {line.name: line.amount.value for line in response.year.lines}


async def test_an_account_without_a_record_begins_as_its_snapshot_says(taxes):
    response = await taxes.GetTaxLedger(ledger())

    lots = {each.lot_id: (each.asset, each.quantity.value, each.cost.value) for each in response.year.remaining}
    assert lots["l1"] == ("VTI", "10", "1000")
    assert not response.differences
    (unknown,) = response.year.review
    assert "BND" in unknown
    assert "cost is unknown" in unknown


async def test_lots_of_two_accounts_may_have_the_same_id(service, taxes):
    """Ids of lots are unique in their account: a household's accounts may both have a lot `l1`."""
    both = [
        an_account("a1").holding("VTI", lot("l1", 10, 1000, "2020-05-04"), lot("l2", 10, 500, "2019-05-04")),
        an_account("a2").holding("VTI", lot("l1", 10, 3000, "2020-05-04"), lot("l2", 10, 2000, "2019-05-04")),
    ]
    later = a_header(as_of_time=CLOSE + timedelta(hours=1))
    await service.books().IngestBook(iter(book_requests(both, header=later)))
    await taxes.RecordTaxEvents(
        record(sold("s1", "2024-06-03", 5, 2500, account="a2", lot_ids=["l1"]),
               {"event_id": "t1", "account_id": "a1", "instrument_id": "VTI", "date": day("2024-06-04"),
                "transferred": {"quantity": {"value": "10"}, "to_account_id": "a2", "lot_ids": ["l1"]}},
               sold("s2", "2024-06-05", 15, 6000, account="a2", lot_ids=["l1"]))
    )  # fmt: skip

    year = (await taxes.GetTaxLedger(ledger(accounts=("a1", "a2")))).year
    # 5 of the own l1 at 1,500; then the other 5 of it, and the 10 that came at 1,000: together 2,500 of cost.
    assert {tuple(each.disposal_ids): each.counted_gain.value for each in year.disposals} == {
        ("s1",): "1000", ("s2",): "3500",
    }  # fmt: skip
    assert {(each.account_id, each.lot_id): each.cost.value for each in year.remaining} == {
        ("a1", "a1:l2"): "500", ("a2", "a2:l2"): "2000",
    }  # fmt: skip


async def test_a_recorded_history_makes_lots_forms_and_what_was_carried(taxes):
    done = await taxes.RecordTaxEvents(
        record(
            bought("b1", "2022-03-01", 20, 4000),
            sold("s1", "2023-06-01", 10, 500, lot_ids=["b1"]),
            bought("b2", "2024-03-01", 10, 900),
            sold("s2", "2024-03-20", 10, 600, lot_ids=["b1"]),
            bought("n1", "2024-05-01", 7, 700, instrument="BND"),
            **COMPLETE,
        )
    )
    assert (done.recorded, done.known) == (5, 0)

    response = await taxes.GetTaxLedger(ledger())
    # 1,500 lost in 2023 all of it deducted then; in 2024 the purchase of b2 washes the loss of 1,400.
    assert [each.amount.value for each in response.brought_forward] == ["0", "0"]
    assert amounts(response)["wash_sales_disallowed"] == "1400"
    row = next(each for each in response.year.form_rows if each.form == "8949")
    assert (row.code, row.adjustment.value, row.gain.value) == ("W", "1400", "0")
    costs = {each.lot_id: each.cost.value for each in response.year.remaining}
    assert costs == {"b2": "2300", "n1": "700"}
    assert [each.term for each in response.year.marginals] == [pb.TaxPiece.TERM_SHORT, pb.TaxPiece.TERM_LONG]
    # 10 of VTI by the record and by the book.
    assert not response.differences


async def test_plans_reckon_with_the_gains_and_the_unused_losses_of_the_ledger(service, taxes):
    done = await taxes.RecordTaxEvents(
        record(
            bought("b1", "2019-03-01", 10, 200_000),
            sold("s1", "2019-06-01", 10, 2000),
            bought("b2", f"{THIS_YEAR}-01-02", 10, 1000),
            sold("s2", f"{THIS_YEAR}-01-05", 5, 800),
            **COMPLETE,
        )
    )
    assert not done.unsettled

    async with service.sessions.view() as view:
        (account,) = await view.books.accounts(["a1"], trades_since=date.max)
    # 198,000 lost in 2019, of which 3,000 a year were taken off other income since.
    assert account.carried(THIS_YEAR) == (198_000 - 3000 * (THIS_YEAR - 2019), 0)
    assert account.gains(LAWS["US"].planning.tax_year, THIS_YEAR) == (300, 0)
    # The next snapshot says what it says of gains, and nothing of what is carried.
    later = a_header(as_of_time=CLOSE + timedelta(hours=1))
    await service.books().IngestBook(iter(book_requests((an_account("a1"),), header=later)))
    async with service.sessions.view() as view:
        (account,) = await view.books.accounts(["a1"], trades_since=date.max)
    assert account.carried(THIS_YEAR) == (198_000 - 3000 * (THIS_YEAR - 2019), 0)


async def test_an_account_of_which_no_ledger_can_be_made_is_named(taxes):
    done = await taxes.RecordTaxEvents(record(sold("s1", "2022-03-01", 1, 100), **COMPLETE))

    (unsettled,) = done.unsettled
    assert (unsettled.account_id, unsettled.reason) == ("a1", "TAX_HISTORY_INCOMPLETE")


async def test_losses_of_earlier_years_are_brought_forward(taxes):
    await taxes.RecordTaxEvents(
        record(bought("b1", "2022-03-01", 10, 12000), sold("s1", "2022-06-01", 10, 2000), **COMPLETE)
    )

    response = await taxes.GetTaxLedger(ledger())
    # 10,000 lost in 2022, 3,000 of it deducted in 2022 and in 2023.
    assert {each.name: each.amount.value for each in response.brought_forward} == {
        "short_term_carried_forward": "4000",
        "long_term_carried_forward": "0",
    }
    assert {each.instrument_id: each.ledger_quantity.value for each in response.differences} == {"BND": "0", "VTI": "0"}


async def test_corporate_actions_happen_to_every_account_and_only_after_its_snapshot(taxes):
    split = {"event_id": "c1", "instrument_id": "VTI", "split": {"new_units": 2, "old_units": 1}}
    await taxes.RecordTaxEvents(record({**split, "date": day("2022-03-01")}))

    before = await taxes.GetTaxLedger(ledger())
    assert {each.asset: each.quantity.value for each in before.year.remaining} == {"VTI": "10", "BND": "7"}
    await taxes.RecordTaxEvents(
        record({**split, "event_id": "c2", "date": day("2025-11-03")}),
    )
    after = await taxes.GetTaxLedger(ledger(2025))
    assert {each.asset: each.quantity.value for each in after.year.remaining} == {"VTI": "20", "BND": "7"}
    assert [each.ledger_quantity.value for each in after.differences] == ["20"]


async def test_a_recorded_dividend_is_qualified_by_how_long_its_units_were_held(taxes):
    dividend = {"event_id": "d1", "account_id": "a1", "instrument_id": "VTI", "date": day("2024-06-03")}
    await taxes.RecordTaxEvents(
        record(bought("b1", "2022-03-01", 10, 1000), {**dividend, "dividend": {"amount": usd(50)}}, **COMPLETE)
    )

    (found,) = (await taxes.GetTaxLedger(ledger())).year.dividends
    assert (found.qualified.value, found.held_days) == ("50", 121)
    listed = (await taxes.ListTaxEvents(pb.ListTaxEventsRequest(account_id="a1"))).events
    assert listed[-1].event.dividend.amount.units == 50


async def test_a_foreign_amount_is_kept_beside_what_it_came_to(taxes):
    rates = [{"date": day("2022-03-01"), "currency_code": "EUR", "rate": {"value": "1.1"}}]
    euros = {"currency_code": "EUR", "units": "100"}
    async with refused(BAD, "TAX_RATE_MISSING") as fields:
        await taxes.RecordTaxEvents(record(bought("b1", "2022-03-01", 10, euros)))
    assert "events[0].acquired.cost" in fields
    await taxes.RecordTaxEvents(record(bought("b1", "2022-03-01", 10, euros), exchange_rates=rates))

    (kept,) = (await taxes.ListTaxEvents(pb.ListTaxEventsRequest(account_id="a1"))).events
    assert (kept.event.acquired.cost.units, kept.event.acquired.cost.currency_code) == (110, "USD")
    assert (kept.sent_amount.units, kept.exchange_rate.value) == (100, "1.1")


async def test_an_event_is_kept_once_and_another_under_its_id_is_refused(taxes):
    await taxes.RecordTaxEvents(record(bought("b1", "2022-03-01", 10, 1000)))

    again = await taxes.RecordTaxEvents(record(bought("b1", "2022-03-01", 10, 1000)))
    assert (again.recorded, again.known) == (0, 1)
    async with refused(grpc.StatusCode.ALREADY_EXISTS, "TAX_EVENT_DIFFERS"):
        await taxes.RecordTaxEvents(record(bought("b1", "2022-03-01", 11, 1000)))


async def test_a_withdrawn_event_counts_no_more_and_stays_on_record(taxes):
    await taxes.RecordTaxEvents(record(bought("b1", "2022-03-01", 10, 1000), **COMPLETE))
    done = await taxes.RecordTaxEvents(record(withdrawn_event_ids=["b1"]))
    assert done.withdrawn == 1

    assert not (await taxes.GetTaxLedger(ledger())).year.remaining
    (kept,) = (await taxes.ListTaxEvents(pb.ListTaxEventsRequest())).events
    assert kept.HasField("withdraw_time")
    async with refused(grpc.StatusCode.NOT_FOUND, "TAX_EVENT_NOT_FOUND"):
        await taxes.RecordTaxEvents(record(withdrawn_event_ids=["b2"]))


async def test_a_repeat_gets_the_first_answer_and_audit_hears_once(service, taxes):
    request = record(bought("b1", "2022-03-01", 10, 1000))
    first, second = [await taxes.RecordTaxEvents(request) for _ in range(2)]
    assert first == second
    assert first.recorded == 1

    async with service.database.read() as connection:
        outbox = service.database.outbox
        rows = await connection.execute(select(outbox.c.subjects).where(outbox.c.kind == "decision.tax.recorded"))
        assert [row.subjects for row in rows] == [{"account": "a1"}]


async def test_events_are_listed_by_day_in_pages(taxes):
    days = ("2022-03-01", "2021-03-01", "2023-03-01")
    await taxes.RecordTaxEvents(record(*(bought(f"b{n}", on, 1, 1) for n, on in enumerate(days))))

    listed, token = [], ""
    while True:
        page = await taxes.ListTaxEvents(pb.ListTaxEventsRequest(account_id="a1", page_size=2, page_token=token))
        listed += [each.event.event_id for each in page.events]
        token = page.next_page_token
        if not token:
            break
    assert listed == ["b1", "b0", "b2"]


@pytest.mark.parametrize(
    ("event", "field"),
    [
        (bought("b1", "1899-12-31", 1, 1), "events[0].date"),
        (bought("b1", "2099-12-31", 1, 1), "events[0].date"),
        (bought("b1", "2022-03-01", 0, 1), "events[0].acquired.quantity"),
        (bought("b1", "2022-03-01", 1, -1), "events[0].acquired.cost"),
        (bought("b1", "2022-03-01", 1, 1, cost_unknown=True), "events[0].acquired.cost"),
        (bought("b1", "2022-03-01", 1, 1, instrument="NONE"), "events[0].instrument_id"),
        (bought("b1", "2022-03-01", 1, 1, account=""), "events[0].account_id"),
    ],
)
async def test_an_event_that_cannot_be_is_refused_by_name_and_nothing_is_kept(taxes, event, field):
    async with refused(BAD, "FIELD_INVALID") as fields:
        await taxes.RecordTaxEvents(record(event))

    assert list(fields) == [field]
    assert not (await taxes.ListTaxEvents(pb.ListTaxEventsRequest())).events


async def test_what_was_never_bought_is_refused_when_the_ledger_is_asked_for(taxes):
    await taxes.RecordTaxEvents(record(sold("s1", "2022-03-01", 1, 100), **COMPLETE))

    async with refused(grpc.StatusCode.FAILED_PRECONDITION, "TAX_HISTORY_INCOMPLETE"):
        await taxes.GetTaxLedger(ledger())


async def test_an_unknown_account_a_complete_day_that_goes_back_and_an_unknown_year_are_refused(taxes):
    async with refused(grpc.StatusCode.NOT_FOUND, "ACCOUNT_NOT_FOUND"):
        await taxes.GetTaxLedger(ledger(accounts=("a9",)))
    async with refused(BAD, "JURISDICTION_UNKNOWN"):
        await taxes.GetTaxLedger(ledger(1999))
    await taxes.RecordTaxEvents(record(**COMPLETE))
    async with refused(BAD, "FIELD_INVALID") as fields:
        await taxes.RecordTaxEvents(record(complete=[{"account_id": "a1", "until_date": day("2024-12-30")}]))
    assert list(fields) == ["complete[0].until_date"]


def comparison(**more):
    scenarios = [{"growth": {"value": "0.05"}, "years": 2}]
    named = [{"account_id": "a1", "owner": "OWNER_TAXPAYER"}]
    return ParseDict({"accounts": named, **US, "scenarios": scenarios, **more}, pb.CompareTaxActionsRequest())


async def test_what_could_be_done_is_compared_at_the_newest_prices(service, taxes):
    async with refused(grpc.StatusCode.NOT_FOUND, "PRICE_SET_NOT_FOUND"):
        await taxes.CompareTaxActions(comparison())
    await service.prices().IngestPrices(price_request(VTI="80", BND="72"))

    response = await taxes.CompareTaxActions(comparison(withdrawal={"value": "400"}))
    explained = {each.parcel.instrument_id: each for each in response.parcels}
    assert explained["VTI"].gain.value == "-200"
    assert "long-term loss of 200" in explained["VTI"].sentence
    assert "Its cost is unknown" in explained["BND"].sentence
    assert [each.kind for each in response.actions] == [pb.TaxAction.KIND_WAIT, pb.TaxAction.KIND_HARVEST_LOSSES]
    assert next(each.raised.value for each in response.withdrawals) == "400"
    assert response.most_withdrawable.value


async def test_what_was_recorded_of_days_after_the_prices_is_not_known_yet(service, taxes):
    await service.prices().IngestPrices(price_request(VTI="80", BND="72"))
    await taxes.RecordTaxEvents(record(bought("later", "2023-01-03", 5, 500), sold("gone", "2023-01-04", 5, 600)))

    response = await taxes.CompareTaxActions(comparison())
    assert [each.parcel.lot_id for each in response.parcels if each.parcel.instrument_id == "VTI"] == ["l1"]


async def test_a_comparison_that_cannot_be_is_refused_by_name(taxes):
    for more, field in (
        ({"scenarios": []}, "scenarios"),
        ({"scenarios": [{"growth": {"value": "-1"}, "years": 1}]}, "scenarios[0].growth"),
        ({"withdrawal": {"value": "-1"}}, "withdrawal"),
        ({"volatility": {"value": "3"}}, "volatility"),
    ):
        async with refused(BAD, "FIELD_INVALID") as fields:
            await taxes.CompareTaxActions(comparison(**more))
        assert list(fields) == [field]


async def test_whoever_may_only_read_cannot_record(service, taxes):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await service.taxes("advisor", "ann").RecordTaxEvents(record(bought("b1", "2022-03-01", 1, 1)))
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
