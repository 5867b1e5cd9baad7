"""`CompareTaxActions` through the service: giving, and from which accounts to withdraw."""

import grpc
import pytest
from google.protobuf.json_format import ParseDict

from evenkeel.decision.v1 import tax_service_pb2 as pb
from tests.decision.api.conftest import refused
from tests.decision.api.messages import book_requests, price_request
from tests.decision.books import an_account, lot

BAD = grpc.StatusCode.INVALID_ARGUMENT
US = {"united_states": {"filing_status": "FILING_STATUS_SINGLE", "ordinary_income": {"value": "100000"}}}
ACCOUNTS = ("a1", "ira", "roth")
BORN = {"year": 1960, "month": 1, "day": 1}


def number(value):
    return {"value": str(value)}


def comparison(**more):
    named = [{"account_id": each, "owner": "OWNER_TAXPAYER"} for each in ACCOUNTS]
    scenarios = [{"growth": number("0.05"), "years": 2}]
    return ParseDict({"accounts": named, **US, "scenarios": scenarios, **more}, pb.CompareTaxActionsRequest())


@pytest.fixture
async def taxes(service):
    """`a1` has a long-term lot with a gain, and money lies in an IRA and a Roth IRA."""
    taxed = an_account("a1").holding("VTI", lot("l1", 100, 5000, "2019-05-04"))
    ira = an_account("ira", tax_wrapper="TAX_WRAPPER_DEFERRED").holding("BND", units=100)
    roth = an_account("roth", tax_wrapper="TAX_WRAPPER_EXEMPT").holding("BND", units=50)
    await service.books().IngestBook(iter(book_requests((taxed, ira, roth))))
    await service.prices().IngestPrices(price_request(VTI="80", BND="72"))
    return service.taxes("platform_engineer", "eve")


async def test_giving_lots_is_compared_with_selling_and_giving_money(taxes):
    gift = {"amount": number(4000), "recipient": "TAX_RECIPIENT_CHARITY", "itemized": True}
    response = await taxes.CompareTaxActions(comparison(gift=gift))

    lots, money = response.givings
    assert (lots.way, money.way) == (pb.TaxGiving.WAY_GIVE_LOTS, pb.TaxGiving.WAY_SELL_AND_GIVE)
    assert [(each.lot_id, each.quantity.value) for each in lots.parcels] == [("l1", "50")]
    # Half of 3,000 of gain at 15 %; 4,000 deducted at the 24 % of the prices' year, 2022.
    assert (lots.tax.value, money.tax.value) == ("0", "225")
    assert (lots.deducted.value, lots.saved.value) == ("4000", "960")
    assert float(lots.projections[0].advantage.value) > 0
    assert "§ 170(e)" in lots.sentence


async def test_from_which_account_to_withdraw_is_compared_by_tax_now_and_after_tax(taxes):
    wrappers = {
        "birth_date": BORN,
        "accounts": [{"account_id": "roth", "contributions": number(1000), "first_year": 2010}],
        "later_rate": number("0.22"),
    }
    response = await taxes.CompareTaxActions(comparison(withdrawal=number(4000), wrappers=wrappers))

    found = {each.order: each for each in response.drawings}
    assert found.keys() == {1, 2, 3, 4, 5}
    (draw,) = found[pb.TaxDrawing.ORDER_DEFERRED_FIRST].draws
    assert (draw.account_id, draw.wrapper, draw.income.value, draw.charge.value) == (
        "ira",
        "traditional IRA",
        "4000",
        "0",
    )
    assert found[pb.TaxDrawing.ORDER_DEFERRED_FIRST].tax.value != "0"
    assert found[pb.TaxDrawing.ORDER_LEAST_TAX].tax.value == "0"
    after_tax = [float(each.projections[0].after_tax.value) for each in response.drawings]
    assert after_tax == sorted(after_tax, reverse=True)
    assert not response.review
    # The usual answer stands beside it.
    assert response.withdrawals


async def test_an_owner_whose_age_nobody_told_is_named(taxes):
    response = await taxes.CompareTaxActions(comparison(withdrawal=number(4000), wrappers={}))

    assert [each.partition(":")[0] for each in response.review] == ["account ira", "account roth"]
    ira = next(each for each in response.drawings if each.order == pb.TaxDrawing.ORDER_DEFERRED_FIRST)
    assert ira.draws[0].charge.value == "400"


REFUSED = [
    ({"gift": {"amount": number(0), "recipient": "TAX_RECIPIENT_CHARITY"}}, "gift.amount"),
    ({"gift": {"amount": number(1), "recipient": "TAX_RECIPIENT_SPOUSE"}}, "gift.recipient"),
    ({"gift": {"amount": number(1), "recipient": "TAX_RECIPIENT_PERSON", "receiver_rate": number(2)}},
     "gift.receiver_rate"),
    ({"wrappers": {"birth_date": {"year": 1899, "month": 1, "day": 1}}}, "wrappers.birth_date"),
    ({"wrappers": {"later_rate": number("1.5")}}, "wrappers.later_rate"),
    ({"wrappers": {"tax_free_used": number(-1)}}, "wrappers.tax_free_used"),
    ({"wrappers": {"accounts": [{"account_id": "other"}]}}, "wrappers.accounts[0].account_id"),
    ({"wrappers": {"accounts": [{"account_id": "ira", "contributions": number(-1)}]}},
     "wrappers.accounts[0].contributions"),
]  # fmt: skip


async def test_what_cannot_be_is_refused_by_name(taxes):
    for more, field in REFUSED:
        async with refused(BAD, "FIELD_INVALID") as fields:
            await taxes.CompareTaxActions(comparison(**more))
        assert list(fields) == [field]


async def test_turning_an_ira_into_a_roth_ira_is_compared_with_leaving_it(taxes):
    wrappers = {
        "birth_date": BORN,
        "accounts": [{"account_id": "roth", "contributions": number(1000), "first_year": 2010}],
        "later_rate": number("0.32"),
    }
    response = await taxes.CompareTaxActions(comparison(wrappers=wrappers))

    # 100 of BND at 72 and 1,000 of cash end within the bracket of 24 % of the prices' year, 2022.
    (one,) = response.conversions
    assert (one.account_id, one.into_account_id) == ("ira", "roth")
    assert (one.amount.value, one.income.value, one.tax.value) == ("8200", "8200", "1968")
    # Grown by 5 % twice: 32 % of 9,040.50 later, or 1,968 grown to 2,169.72.
    assert one.projections[0].advantage.value == "723.24"
    assert one.source == "26 U.S.C. § 408A(d)(3)(A)"
    # Nobody asked for money.
    assert not response.drawings


async def test_a_scottish_pension_is_taxed_at_scotlands_rates(service):
    pension = an_account("sipp", currency="GBP", tax_wrapper="TAX_WRAPPER_DEFERRED", cash=10_000)
    await service.books().IngestBook(iter(book_requests((pension,))))
    await service.prices().IngestPrices(price_request(VTI="80"))
    taxes = service.taxes("platform_engineer", "eve")
    tree = {
        "accounts": [{"account_id": "sipp", "owner": "OWNER_TAXPAYER"}],
        "scenarios": [{"growth": number("0"), "years": 1}],
        "withdrawal": number(4000),
        "wrappers": {"birth_date": BORN},
    }
    for scottish, tax in ((False, "600"), (True, "1011.6")):
        uk = {"taxable_income": number(30_000), "scottish_taxpayer": scottish}
        request = ParseDict({**tree, "united_kingdom": uk}, pb.CompareTaxActionsRequest())
        response = await taxes.CompareTaxActions(request)
        # A quarter is free. 3,000 at 20 %; in Scotland 1,092 at 21 and 1,908 at 41 %.
        assert {each.tax.value for each in response.drawings} == {tax}
