"""Lots bought and sold in another currency, through the record: each amount at the rate of its own day."""

from datetime import date

import grpc
from google.protobuf.json_format import ParseDict

from evenkeel.decision.v1 import tax_service_pb2 as pb
from services.decision.domain.tax.laws import LAWS
from tests.decision.api.conftest import refused
from tests.decision.api.messages import book_requests
from tests.decision.api.test_tax_ledger import bought, day, ledger, record
from tests.decision.books import an_account, lot

# By country: the foreign currency, who is taxed, what the sale gains, and what is left costs.
COUNTRIES = {
    # The oldest lot: 2,250 less 800; 1,800 is left.
    "US": ("EUR", {"united_states": {"filing_status": "FILING_STATUS_SINGLE"}}, "1450", "1800"),
    "DE": ("USD", {"germany": {}}, "1450", "1800"),
    # Half of a pool of 2,600.
    "GB": ("USD", {"united_kingdom": {}}, "950", "1300"),
    "CA": ("USD", {"canada": {"marginal_rate": {"value": "0.4"}}}, "950", "1300"),
}
RATES = {"2021-03-01": "0.8", "2022-02-01": "0.9", "2022-05-03": "0.75"}


def money(amount, currency):
    return {"currency_code": currency, "units": str(amount)}


def sold(event, on, units, proceeds, account):
    what = {"quantity": {"value": str(units)}, "proceeds": proceeds}
    return {"event_id": event, "account_id": account, "instrument_id": "VTI", "date": day(on), "disposed": what}


def traded(country):
    foreign = COUNTRIES[country][0]
    return [
        bought(f"{country}-1", "2021-03-01", 10, money(1000, foreign), account=country),
        bought(f"{country}-2", "2022-02-01", 10, money(2000, foreign), account=country),
        sold(f"{country}-3", "2022-05-03", 10, money(3000, foreign), country),
    ]


def rates(*currencies, without=""):
    days = [each for each in RATES if each != without]
    return [
        {"date": day(each), "currency_code": currency, "rate": {"value": RATES[each]}}
        for currency in sorted(set(currencies))
        for each in days
    ]


async def booked(service):
    accounts = [an_account(code, currency=law.currency) for code, law in LAWS.items()]
    await service.books().IngestBook(iter(book_requests(accounts)))
    return service.taxes("platform_engineer", "eve")


async def test_every_country_keeps_lots_at_the_rate_of_their_day_from_the_record_to_form_and_plan(service):
    taxes = await booked(service)
    events = [event for country in COUNTRIES for event in traded(country)]
    complete = [{"account_id": each, "until_date": day("2022-12-26")} for each in COUNTRIES]
    said = rates(*(foreign for foreign, *_ in COUNTRIES.values()))
    done = await taxes.RecordTaxEvents(record(*events, exchange_rates=said, complete=complete))
    assert not done.unsettled

    years = {}
    taxpayers = [
        {"taxpayer_id": each, "accounts": [{"account_id": each, "owner": "OWNER_TAXPAYER"}], **COUNTRIES[each][1]}
        for each in COUNTRIES
    ]
    request = ParseDict({"tax_year": 2022, "taxpayers": taxpayers}, pb.StreamTaxYearsRequest())
    async for each in taxes.StreamTaxYears(request):
        years[each.taxpayer_id] = each.year
    for country, (_, taxpayer, gain, left) in COUNTRIES.items():
        asked = ledger(2022, (country,), **{"united_states": None, **taxpayer})
        found = await taxes.GetTaxLedger(asked)
        assert found.year.currency_code == LAWS[country].currency
        (disposal,) = found.year.disposals
        assert sum(int(piece.counted_gain.value) for piece in disposal.pieces) == int(gain)
        assert [each.cost.value for each in found.year.remaining] == [left]
        assert gain in {each.gain.value for each in found.year.form_rows}
        assert years[country].lines == found.year.lines
        # And so do plans.
        async with service.sessions.view() as view:
            (account,) = await view.books.accounts([country], trades_since=date.max)
        assert sum(account.gains(LAWS[country].planning.tax_year, 2022)) == int(gain)


async def test_a_day_without_a_rate_is_named_and_nothing_is_kept(service):
    taxes = await booked(service)
    for country, (foreign, *_) in COUNTRIES.items():
        async with refused(grpc.StatusCode.INVALID_ARGUMENT, "TAX_RATE_MISSING") as fields:
            missing = rates(foreign, without="2022-05-03")
            await taxes.RecordTaxEvents(record(*traded(country), exchange_rates=missing))
        assert list(fields) == ["events[2].disposed.proceeds"]
    assert not (await taxes.ListTaxEvents(pb.ListTaxEventsRequest())).events


async def test_an_account_in_another_currency_is_reckoned_at_the_rates_of_its_days(service):
    """A British taxpayer's account in dollars: all comes out in pounds; one sale was recorded in pounds itself."""
    dollars = an_account("a1", currency="USD").holding("BND", lot("old", 5, 500, "2020-06-01"))
    await service.books().IngestBook(iter(book_requests([dollars, an_account("a2", currency="USD")])))
    taxes = service.taxes("platform_engineer", "eve")
    await taxes.RecordTaxEvents(
        record(
            bought("b1", "2021-03-01", 10, money(1000, "USD"), account="a2"),
            sold("s1", "2022-05-03", 5, money(1500, "USD"), "a2"),
            sold("s2", "2022-05-03", 5, money(1125, "GBP"), "a2"),
            exchange_rates=[{"date": day("2022-05-03"), "currency_code": "GBP", "rate": {"value": "1.3"}}],
            complete=[{"account_id": "a2", "until_date": day("2022-12-26")}],
        )
    )

    def asked(*said):
        british = {"united_states": None, "united_kingdom": {}}
        return ledger(2022, ("a1", "a2"), exchange_rates=list(said), **british)

    known = rates("USD")
    opening = {"date": day("2020-06-01"), "currency_code": "USD", "rate": {"value": "0.7"}}
    found = await taxes.GetTaxLedger(asked(*known, opening))
    # 1,000 at 0.8; 1,500 at 0.75, and 1,125 pounds as they were sent; the snapshot's 500 at the rate of their own day.
    (disposal,) = found.year.disposals
    assert disposal.proceeds.value == "2250"
    assert sum(int(piece.counted_gain.value) for piece in disposal.pieces) == 1450
    assert [(each.asset, each.cost.value) for each in found.year.remaining] == [("BND", "350")]
    assert "1450" in {each.gain.value for each in found.year.form_rows}

    async with refused(grpc.StatusCode.INVALID_ARGUMENT, "TAX_RATE_MISSING") as fields:
        await taxes.GetTaxLedger(asked(*known))
    assert fields == {
        "account_id": "must be kept in GBP, or the rates of its days be known, was in USD: there is none of 2020-06-01"
    }
    async with refused(grpc.StatusCode.INVALID_ARGUMENT, "TAX_RATE_MISSING"):
        await taxes.GetTaxLedger(asked())
