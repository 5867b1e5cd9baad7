"""The years of many taxpayers in one call: each country's, and each refusal named for its taxpayer alone."""

import grpc
import pytest
from google.protobuf.json_format import ParseDict

from evenkeel.decision.v1 import tax_service_pb2 as pb
from tests.decision.api.conftest import refused
from tests.decision.api.messages import book_requests, price_request
from tests.decision.api.test_tax_ledger import US, bought, day, ledger, record, sold
from tests.decision.books import an_account, lot

BAD = grpc.StatusCode.INVALID_ARGUMENT
GB = {"united_kingdom": {"taxable_income": {"value": "60000"}}}
COMPLETE = {"complete": [{"account_id": each, "until_date": day("2024-12-31")} for each in ("a1", "a2", "a3")]}


@pytest.fixture
async def taxes(service):
    accounts = [an_account(name).holding("VTI", lot(f"l-{name}", 10, 1000, "2020-05-04")) for name in ("a1", "a3")]
    accounts.append(an_account("a2", currency="GBP"))
    await service.books().IngestBook(iter(book_requests(accounts)))
    return service.taxes("platform_engineer", "eve")


def taxpayer(name, *accounts, **law):
    owned = [{"account_id": each, "owner": "OWNER_TAXPAYER"} for each in accounts]
    return {"taxpayer_id": name, "accounts": owned, **(law or US)}


def years(*taxpayers, tax_year=2024):
    return ParseDict({"tax_year": tax_year, "taxpayers": list(taxpayers)}, pb.StreamTaxYearsRequest())


async def test_each_taxpayer_is_assessed_or_refused_and_the_others_go_on(service, taxes):
    await service.prices().IngestPrices(price_request(VTI="80"))
    await taxes.RecordTaxEvents(
        record(
            bought("b1", "2020-03-02", 10, 1000),
            sold("s1", "2024-06-03", 5, 2500),
            bought("b2", "2020-03-02", 10, {"currency_code": "GBP", "units": "100000"}, account="a2"),
            sold("s3", "2024-06-03", 5, 500, account="a3"),
            **COMPLETE,
        )
    )
    negative = {"united_states": {**US["united_states"], "state_rate": {"value": "2"}}}
    answered = [
        each
        async for each in taxes.StreamTaxYears(
            years(
                taxpayer("one", "a1"),
                taxpayer("two", "a2", **GB),
                taxpayer("short", "a3"),
                taxpayer("nobody", "a9"),
                taxpayer("rate", "a1", **negative),
                taxpayer("dollars", "a1", **GB),
            )
        )
    ]

    assert [each.taxpayer_id for each in answered] == ["one", "two", "short", "nobody", "rate", "dollars"]
    one, two = answered[0].year, answered[1].year
    # 2,000 of long-term gain at 15 % on 100,000 of income.
    assert (one.jurisdiction, one.lines[-1].amount.value, one.differences) == ("US", "300", 1)
    assert (two.jurisdiction, two.lines[-1].amount.value, two.law_version) == ("GB", "0", 0)
    assert float(two.open_loss.value) > 90_000
    assert {each.taxpayer_id: each.refused.reason for each in answered[2:]} == {
        "short": "TAX_HISTORY_INCOMPLETE", "nobody": "ACCOUNT_NOT_FOUND", "rate": "FIELD_INVALID",
        "dollars": "TAX_RATE_MISSING",
    }  # fmt: skip
    assert "VTI: 5 units sold on 2024-06-03" in answered[2].refused.description


async def test_a_year_without_rules_is_refused_for_each_and_a_taxpayer_twice_for_all(taxes):
    answered = [each async for each in taxes.StreamTaxYears(years(taxpayer("one", "a1"), tax_year=2090))]
    assert [each.refused.reason for each in answered] == ["JURISDICTION_UNKNOWN"]

    async with refused(BAD, "FIELD_INVALID") as fields:
        async for _ in taxes.StreamTaxYears(years(taxpayer("one", "a1"), taxpayer("one", "a2"))):
            pass
    assert fields == {"taxpayers[1].taxpayer_id": "must be unique, was 'one' again"}


async def test_each_input_that_cannot_be_is_named(taxes):
    """Before 1900, tomorrow, no rate: by reason, and where by field."""
    for wrong, reason, field in (
        (bought("old", "1899-12-31", 1, 1), "FIELD_INVALID", "events[0].date"),
        (bought("new", "2090-01-01", 1, 1), "FIELD_INVALID", "events[0].date"),
        (
            bought("eur", "2024-01-02", 1, {"currency_code": "EUR", "units": "1"}),
            "TAX_RATE_MISSING",
            "events[0].acquired.cost",
        ),
    ):
        async with refused(BAD, reason) as fields:
            await taxes.RecordTaxEvents(record(wrong))
        assert list(fields) == [field]


async def test_how_an_american_files_is_asked_of_each_taxpayer_alone(taxes):
    unknown = taxpayer("status", "a1", united_states={"ordinary_income": {"value": "1"}})
    answered = [each async for each in taxes.StreamTaxYears(years(unknown, taxpayer("one", "a1")))]

    assert answered[0].refused.reason == "TAXPAYER_UNKNOWN"
    assert answered[0].refused.description == "united_states.filing_status: must be a filing status, was 0"
    assert answered[1].year.lines[-1].name == "tax"
    async with refused(BAD, "TAXPAYER_UNKNOWN") as fields:
        await taxes.GetTaxLedger(ledger(united_states={}))
    assert fields == {"united_states.filing_status": "must be a filing status, was 0"}
