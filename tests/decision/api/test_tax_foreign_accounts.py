"""Accounts kept in another currency than their law's: each amount at the rate of its own day."""

from decimal import Decimal

import grpc
from google.protobuf.json_format import ParseDict

from evenkeel.decision.v1 import tax_service_pb2 as pb
from evenkeel.decision.v1 import year_end_service_pb2 as year_pb
from services.decision.domain.tax.laws import LAWS
from services.runtime.wire import decimals_of
from tests.decision.api.conftest import refused
from tests.decision.api.messages import book_requests, price_request
from tests.decision.api.test_tax_currencies import COUNTRIES, traded
from tests.decision.api.test_tax_ledger import day, ledger, record
from tests.decision.books import CLOSE, an_account, lot

# Rates that are not round, and that of the day of the prices.
DAYS = {"2021-03-01": "0.7183", "2022-02-01": "0.7411", "2022-05-03": "0.8007", "CLOSE": "0.8317"}
# By country: the accounts' currency, the sale's gain, what is left costs, and what selling it at 665.36 would lose.
# The sale brought 2,402.10; the lots cost 718.30 and 1,482.20.
ELSEWHERE = {
    # A section 104 pool of 2,200.50, half of it sold.
    "GB": ("USD", "1301.85", "1100.25", "434.89"),
    # The oldest lot of the depot.
    "DE": ("USD", "1683.8", "1482.2", "816.84"),
    "US": ("EUR", "1683.8", "1482.2", "816.84"),
}


def days_known(currency, without=""):
    days = {CLOSE.date().isoformat() if each == "CLOSE" else each: rate for each, rate in DAYS.items()}
    return [
        {"date": day(each), "currency_code": currency, "rate": {"value": rate}}
        for each, rate in days.items()
        if each != without
    ]


async def kept_elsewhere(service):
    """An account of each country that is kept in another currency, with a history in it, and prices of 80."""
    accounts = [an_account(each, currency=kept, household_id=each) for each, (kept, *_) in ELSEWHERE.items()]
    await service.books().IngestBook(iter(book_requests(accounts)))
    await service.prices().IngestPrices(price_request(VTI="80"))
    taxes = service.taxes("platform_engineer", "eve")
    events = [event for each in ELSEWHERE for event in traded(each)]
    complete = [{"account_id": each, "until_date": day("2022-12-26")} for each in ELSEWHERE]
    await taxes.RecordTaxEvents(record(*events, complete=complete))
    return taxes


def year_asked(country, kept):
    taxpayer = {"united_states": None, **COUNTRIES[country][1]}
    return ledger(2022, (country,), exchange_rates=days_known(kept), **taxpayer)


def owned(country):
    return [{"account_id": country, "owner": "OWNER_TAXPAYER"}]


async def test_years_of_accounts_in_another_currency_are_reckoned_at_the_rates_of_their_days(service):
    taxes = await kept_elsewhere(service)
    close = CLOSE.date().isoformat()

    def taxpayer(name, country, said):
        return {"taxpayer_id": name, "accounts": owned(country), **COUNTRIES[country][1], "exchange_rates": said}

    asked = [taxpayer(each, each, days_known(kept)) for each, (kept, *_) in ELSEWHERE.items()]
    asked += [
        taxpayer("day", "GB", days_known("USD", "2022-02-01")),
        taxpayer("prices", "GB", days_known("USD", close)),
        taxpayer("none", "GB", []),
        taxpayer("negative", "GB", [{**days_known("USD")[0], "rate": {"value": "-1"}}]),
    ]
    request = ParseDict({"tax_year": 2022, "taxpayers": asked}, pb.StreamTaxYearsRequest())
    found = {each.taxpayer_id: each async for each in taxes.StreamTaxYears(request)}
    for country, (kept, gain, left, loss) in ELSEWHERE.items():
        year = found[country].year
        assert (year.currency_code, year.open_loss.value) == (LAWS[country].currency, loss)
        exact = await taxes.GetTaxLedger(year_asked(country, kept))
        assert exact.year.lines == year.lines
        (disposal,) = exact.year.disposals
        assert sum(Decimal(piece.counted_gain.value) for piece in disposal.pieces) == Decimal(gain)
        assert [each.cost.value for each in exact.year.remaining] == [left]
    reasons = {name: (each.refused.reason, each.refused.description) for name, each in found.items()}
    assert reasons["day"] == (
        "TAX_RATE_MISSING",
        "account GB must be kept in GBP, or the rates of its days be known, was in USD: there is none of 2022-02-01",
    )
    assert reasons["prices"][0] == "TAX_RATE_MISSING"
    assert reasons["prices"][1].endswith(f"there is none of {close}")
    assert reasons["none"][0] == "TAX_RATE_MISSING"
    assert reasons["negative"] == ("FIELD_INVALID", "exchange_rates[0].rate: must be above 0, was -1")


async def test_year_ends_of_accounts_in_another_currency_are_those_of_the_ledger(service):
    taxes = await kept_elsewhere(service)

    def taxpayers(country, said):
        columns = {"united_states": {"filing_statuses": ["FILING_STATUS_SINGLE"]}}
        law = next(iter(COUNTRIES[country][1]))
        named = {"taxpayer_ids": [f"t-{country}"], "household_ids": [country], law: columns.get(law, {})}
        return ParseDict({"taxpayers": {**named, "exchange_rates": said}}, year_pb.StreamYearEndsRequest())

    first = ParseDict({"header": {"tax_year": 2022}}, year_pb.StreamYearEndsRequest())
    known = [taxpayers(each, days_known(kept)) for each, (kept, *_) in ELSEWHERE.items()]
    missing = taxpayers("GB", days_known("USD", "2021-03-01"))
    *answers, refusal = [each async for each in service.year_ends().StreamYearEnds(iter([first, *known, missing]))]
    for (country, (kept, _, _, loss)), answer in zip(ELSEWHERE.items(), answers, strict=True):
        assert (answer.currency_code, list(answer.refusals), list(answer.compiled)) == (
            LAWS[country].currency, [], [False]
        )  # fmt: skip
        assert [str(each) for each in decimals_of(answer.losses.losses, "losses")] == [loss]
        exact = await taxes.GetTaxLedger(year_asked(country, kept))
        assert {each.name: decimals_of(each.amounts, each.name)[0] for each in answer.lines} == {
            each.name: Decimal(each.amount.value) for each in exact.year.lines
        }
    assert [each.reason for each in refusal.refusals] == ["TAX_RATE_MISSING"]
    assert "account GB" in refusal.refusals[0].description
    assert "2021-03-01" in refusal.refusals[0].description

    cannot_be = taxpayers("GB", [{**days_known("USD")[0], "rate": {"value": "0"}}])
    async with refused(grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID") as fields:
        async for _ in service.year_ends().StreamYearEnds(iter([first, cannot_be])):
            pass
    assert fields == {"exchange_rates[0].rate": "must be above 0, was 0"}


async def test_actions_of_accounts_in_another_currency_are_compared_in_the_laws(service):
    taxes = await kept_elsewhere(service)

    def asked(country, said):
        scenarios = [{"growth": {"value": "0.05"}, "years": 2}]
        what = {"accounts": owned(country), "scenarios": scenarios, "exchange_rates": said, **COUNTRIES[country][1]}
        return ParseDict(what, pb.CompareTaxActionsRequest())

    for country, (kept, _, left, loss) in ELSEWHERE.items():
        found = await taxes.CompareTaxActions(asked(country, days_known(kept)))
        assert found.currency_code == LAWS[country].currency
        ((parcel, gain),) = [(each.parcel, each.gain.value) for each in found.parcels]
        assert (parcel.cost.value, parcel.value.value, gain) == (left, "665.36", f"-{loss}")
    close = CLOSE.date().isoformat()
    for without in ("2021-03-01", close):
        async with refused(grpc.StatusCode.INVALID_ARGUMENT, "TAX_RATE_MISSING") as fields:
            await taxes.CompareTaxActions(asked("GB", days_known("USD", without)))
        assert fields["account_id"].endswith(f"was in USD: there is none of {without}")


async def test_a_wrapper_in_another_currency_is_worth_what_the_day_says(service):
    """Cash of 1,000 and 100 units at 72 are 8,200 dollars, and 6,819.94 pounds."""
    sipp = an_account("sipp", currency="USD", tax_wrapper="TAX_WRAPPER_DEFERRED").holding("BND", units=100)
    taxed = an_account("GB", currency="USD").holding("VTI", lot("l1", 100, 1000, "2021-03-01"))
    await service.books().IngestBook(iter(book_requests([taxed, sipp])))
    await service.prices().IngestPrices(price_request(VTI="80", BND="72"))
    found = await service.taxes().CompareTaxActions(
        ParseDict(
            {
                "accounts": [*owned("GB"), *owned("sipp")],
                "scenarios": [{"growth": {"value": "0.05"}, "years": 2}],
                "withdrawal": {"value": "9000"},
                "wrappers": {"birth_date": {"year": 1960, "month": 1, "day": 1}},
                "exchange_rates": days_known("USD"),
                **COUNTRIES["GB"][1],
            },
            pb.CompareTaxActionsRequest(),
        )
    )
    (deferred,) = [each for each in found.drawings if each.order == pb.TaxDrawing.ORDER_DEFERRED_FIRST]
    assert {each.account_id: each.amount.value for each in deferred.draws} == {"sipp": "6819.94"}
