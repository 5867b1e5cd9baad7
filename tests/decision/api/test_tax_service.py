"""`TaxService`: each country's history is assessed through the running server, and what cannot be is named."""

import grpc
import pytest
from google.protobuf.json_format import ParseDict

from evenkeel.decision.v1 import tax_service_pb2 as pb
from tests.decision.api.conftest import refused

BAD = grpc.StatusCode.INVALID_ARGUMENT
TAXPAYERS = {
    "US": {"united_states": {"filing_status": "FILING_STATUS_SINGLE", "ordinary_income": {"value": "100000"}}},
    "GB": {"united_kingdom": {}},
    "CA": {"canada": {"marginal_rate": {"value": "0.4"}}},
    "DE": {"germany": {"assets": [{"asset": "ACME", "kind": "ASSET_KIND_SHARE"}]}},
}
CURRENCIES = {"US": "USD", "GB": "GBP", "CA": "CAD", "DE": "EUR"}


def a_request(country="GB", *, currency=None, **changes):
    """One purchase and one sale of ACME, 300 gained, in the country's currency."""
    money = {"currency_code": currency or CURRENCIES[country]}
    day = {"year": 2025, "month": 5, "day": 2}
    row = {"account_id": "A", "asset": "ACME", "quantity": {"value": "10"}}
    tree = {
        "tax_year": 2025,
        **TAXPAYERS[country],
        "accounts": [{"account_id": "A", "owner": "OWNER_TAXPAYER"}],
        "acquisitions": [
            {**row, "lot_id": "l1", "date": {"year": 2020, "month": 5, "day": 4}, "cost": {**money, "units": "1000"}}
        ],
        "disposals": [{**row, "disposal_id": "s1", "date": day, "proceeds": {**money, "units": "1300"}}],
    }
    return ParseDict(tree | changes, pb.PreviewTaxYearRequest())


@pytest.fixture
async def taxes(service):
    # In the loop that the channel belongs to.
    return service.taxes()


def amounts(response):
    return {line.name: line.amount.value for line in response.lines}


@pytest.mark.parametrize(
    ("country", "name", "tax"),
    [
        ("US", "net_long_term", "45"),
        ("GB", "gains", "0"),
        ("CA", "gains", "60"),
        ("DE", "gains_on_shares", "0"),
    ],
)
async def test_each_country_assesses_the_same_gain_by_its_own_rules(taxes, country, name, tax):
    response = await taxes.PreviewTaxYear(a_request(country))

    assert (response.jurisdiction, response.currency_code) == (country, CURRENCIES[country])
    assert amounts(response)[name] == "300"
    assert response.lines[-1].name == "tax"
    assert amounts(response)["tax"] == tax
    piece = response.disposals[0].pieces[0]
    assert (piece.gain.value, piece.counted_gain.value) == ("300", "300")
    assert piece.source


async def test_amounts_in_another_currency_are_taken_at_the_rate_of_their_own_day(taxes):
    rates = [
        {"date": {"year": 2020, "month": 5, "day": 4}, "currency_code": "USD", "rate": {"value": "0.8"}},
        {"date": {"year": 2025, "month": 5, "day": 2}, "currency_code": "USD", "rate": {"value": "0.75"}},
    ]

    response = await taxes.PreviewTaxYear(a_request("GB", currency="USD", exchange_rates=rates))

    assert (response.disposals[0].proceeds.value, response.disposals[0].pieces[0].cost.value) == ("975", "800")


async def test_an_amount_without_a_rate_for_its_day_is_refused(taxes):
    async with refused(BAD, "TAX_RATE_MISSING") as fields:
        await taxes.PreviewTaxYear(a_request("GB", currency="USD"))

    assert fields == {
        "acquisitions[0].cost": "must be in GBP or have an exchange rate for USD on 2020-05-04, was 1000 USD"
    }


async def test_a_year_without_rules_is_refused(taxes):
    async with refused(BAD, "JURISDICTION_UNKNOWN") as fields:
        await taxes.PreviewTaxYear(a_request("US", tax_year=1999))

    assert fields == {"tax_year": "must be 2018 to 2026 for US, was 1999"}


async def test_selling_what_was_never_bought_is_refused(taxes):
    async with refused(grpc.StatusCode.FAILED_PRECONDITION, "TAX_HISTORY_INCOMPLETE"):
        await taxes.PreviewTaxYear(a_request("DE", acquisitions=[]))


async def test_what_cannot_be_is_named_field_by_field_and_the_service_lives_on(taxes):
    request = a_request("GB")
    request.acquisitions[0].quantity.value = "0"
    request.disposals[0].account_id = "Z"
    request.disposals[0].date.year = 2099

    async with refused(BAD, "FIELD_INVALID") as fields:
        await taxes.PreviewTaxYear(request)

    assert fields["acquisitions[0].quantity"] == "must be above 0, was 0"
    assert fields["disposals[0].account_id"] == "must be one of the accounts given, was 'Z'"
    assert "was 2099-05-02" in fields["disposals[0].date"]
    assert (await taxes.PreviewTaxYear(a_request("GB"))).jurisdiction == "GB"


@pytest.mark.parametrize(
    ("country", "facts", "field", "says"),
    [
        (
            "US",
            {"united_states": {"filing_status": 1, "state_rate": {"value": "1.5"}}},
            "united_states.state_rate",
            "at most 1",
        ),
        ("GB", {"united_kingdom": {"taxable_income": {"value": "-1"}}}, "united_kingdom.taxable_income", "0 or more"),
        ("CA", {"canada": {"marginal_rate": {"value": "40"}}}, "canada.marginal_rate", "at most 1, was 40"),
        ("DE", {"germany": {"church_rate": {"value": "0.1"}}}, "germany.church_rate", "0, 0.08 or 0.09, was 0.1"),
    ],
)
async def test_facts_of_the_taxpayer_outside_their_range_are_refused(taxes, country, facts, field, says):
    async with refused(BAD, "FIELD_INVALID") as fields:
        await taxes.PreviewTaxYear(a_request(country, **facts))

    assert says in fields[field]


async def test_a_taxpayer_must_be_given(taxes):
    request = a_request("GB")
    request.ClearField("united_kingdom")

    async with refused(BAD, "FIELD_INVALID") as fields:
        await taxes.PreviewTaxYear(request)

    assert "taxpayer" in next(iter(fields))
