"""`YearEndService`: a mixed book by columns, each year as `GetTaxLedger` answers it, each refusal one taxpayer's."""

import random
from datetime import date, timedelta
from decimal import Decimal

import grpc
import pytest
from google.protobuf.json_format import ParseDict

from evenkeel.decision.v1 import tax_service_pb2 as tax_pb
from evenkeel.decision.v1 import year_end_service_pb2 as pb
from services.decision.app.year_ends import TOGETHER_MAX
from services.runtime.wire import dates_of, decimals_of, words_of
from tests.decision.api.conftest import refused
from tests.decision.api.messages import book_requests, price_request
from tests.decision.api.test_tax_ledger import bought, day, record, sold, usd
from tests.decision.books import an_account, lot

BAD = grpc.StatusCode.INVALID_ARGUMENT
LAWS = {
    "US": ("united_states", "USD", {"filing_status": "FILING_STATUS_SINGLE", "ordinary_income": {"value": "100000"}}),
    "GB": ("united_kingdom", "GBP", {"taxable_income": {"value": "60000"}}),
    "CA": ("canada", "CAD", {"marginal_rate": {"value": "0.4"}}),
    "DE": ("germany", "EUR", {"church_rate": {"value": "0.09"}}),
}
COLUMNS = {
    "united_states": lambda count: {
        "filing_statuses": ["FILING_STATUS_SINGLE"] * count, "ordinary_incomes": {"units": [100_000] * count},
    },
    "united_kingdom": lambda count: {"taxable_incomes": {"units": [60_000] * count}},
    "canada": lambda count: {"marginal_rates": {"units": [4] * count, "scale": 1}},
    "germany": lambda count: {"church_rates": {"units": [9] * count, "scale": 2}},
}  # fmt: skip


def header(**more):
    return ParseDict({"header": {"tax_year": 2024, **more}}, pb.StreamYearEndsRequest())


def households(country, *names, **more):
    law = LAWS[country][0]
    named = {"taxpayer_ids": [f"t-{each}" for each in names], "household_ids": list(names)}
    return ParseDict({"taxpayers": {**named, law: COLUMNS[law](len(names)), **more}}, pb.StreamYearEndsRequest())


def ledger(country, accounts):
    law, _, facts = LAWS[country]
    owned = [{"account_id": each, "owner": "OWNER_TAXPAYER"} for each in accounts]
    return ParseDict({"accounts": owned, "tax_year": 2024, law: facts}, tax_pb.GetTaxLedgerRequest())


def lines(answer):
    """Return each taxpayer's lines: name to amount."""
    amounts = {each.name: decimals_of(each.amounts, each.name) for each in answer.lines}
    return {
        taxpayer_id: {name: values[row] for name, values in amounts.items()}
        for row, taxpayer_id in enumerate(answer.taxpayer_ids)
    }


def traded(chosen, account, currency):
    """Return events of an account: buys, and sales of what is there, near enough to deny losses; some name a lot."""
    events, held, at = [], 0, date(2023, 6, 1)
    for number in range(9):
        at += timedelta(days=chosen.choice((10, 20, 30, 150)))
        on = min(at, date(2024, 12, 30)).isoformat()
        units, money = chosen.randint(1, 20), {**usd(chosen.randint(500, 4000)), "currency_code": currency}
        name = f"{account}-{number}"
        if held > 1 and chosen.random() < 0.5:
            units = min(units, held - 1)
            sale = sold(name, on, units, 1, account=account)
            sale["disposed"]["proceeds"] = money
            if chosen.random() < 0.5:
                sale["disposed"]["lot_ids"] = [events[0]["event_id"]]
            events.append(sale)
            held -= units
        else:
            events.append(bought(name, on, units, money, account=account))
            held += units
    return events


PLAIN = (
    an_account("plain", household_id="plain").holding("VTI", lot("p1", 10, 2000, "2020-05-04")).holding("BND", units=7)
)


@pytest.fixture
async def plain(service):
    """One account that rests on its snapshot, and prices."""
    await service.books().IngestBook(iter(book_requests([PLAIN, an_account("alone")])))
    await service.prices().IngestPrices(price_request(VTI="80"))
    return service


@pytest.fixture
async def book(service):
    """Three households of two accounts in each country, all with a whole history, beside the plain one."""
    chosen = random.Random(3)
    accounts, events, complete = [], [], []
    for country, (_, currency, _) in LAWS.items():
        for house in ("h1", "h2", "h3"):
            for place in "ab":
                name = f"{country}-{house}-{place}"
                accounts.append(an_account(name, currency=currency, household_id=f"{country}-{house}"))
                events += traded(chosen, name, currency)
                complete.append({"account_id": name, "until_date": day("2024-12-31")})
    await service.books().IngestBook(iter(book_requests([*accounts, PLAIN])))
    done = await service.taxes("platform_engineer", "eve").RecordTaxEvents(record(*events, complete=complete))
    assert not done.unsettled
    return service


async def asked(service, *requests):
    return [each async for each in service.year_ends().StreamYearEnds(iter(requests))]


async def test_each_year_of_a_mixed_book_is_the_ledgers_to_the_cent_and_us_households_go_by_columns(book):
    names = {country: [f"{country}-{house}" for house in ("h1", "h2", "h3")] for country in LAWS}
    answers = await asked(book, header(), *(households(country, *those) for country, those in names.items()))

    assert [each.jurisdiction for each in answers] == list(LAWS)
    assert [(each.taxpayers_done, each.accounts_done) for each in answers] == [(3, 6), (6, 12), (9, 18), (12, 24)]
    taxes, denied = book.taxes(), Decimal(0)
    for answer in answers:
        assert list(answer.compiled) == [answer.jurisdiction == "US"] * 3
        assert (answer.currency_code, list(answer.refusals)) == (LAWS[answer.jurisdiction][1], [])
        got = lines(answer)
        for house in names[answer.jurisdiction]:
            exact = await taxes.GetTaxLedger(ledger(answer.jurisdiction, [f"{house}-a", f"{house}-b"]))
            expected = {line.name: Decimal(line.amount.value) for line in exact.year.lines}
            assert got[f"t-{house}"] == expected
            denied += expected.get("wash_sales_disallowed", 0)
    assert denied > 0


async def test_losses_windows_savings_and_what_to_review_come_as_columns(plain):
    (answer,) = await asked(plain, header(tax_year=2022), households("US", "plain"))

    losses = answer.losses
    # At 80 on 27 December 2022, ten units that cost 2,000 lose 1,200; what cost nothing loses nothing.
    assert (list(losses.taxpayers), list(losses.lot_ids)) == ([0], ["p1"])
    assert words_of(losses.account_ids, "") + words_of(losses.instrument_ids, "") == ["plain", "VTI"]
    assert decimals_of(losses.quantities, "") + decimals_of(losses.losses, "") == [10, 1200]
    assert [str(each) for each in dates_of(losses.free_dates, "")] == ["2022-12-27"]
    assert decimals_of(answer.harvest_savings, "") == [Decimal(288)]
    assert [(each.taxpayer, "BND" in each.sentence) for each in answer.reviews] == [(0, True)]
    assert (list(answer.differences), list(answer.compiled)) == ([0], [True])


async def test_a_broken_taxpayer_is_refused_with_its_reason_and_the_others_go_on(book):
    await book.taxes("platform_engineer", "eve").RecordTaxEvents(
        record(sold("over", "2024-12-30", 900, 1, account="US-h2-a"))
    )
    facts = {
        "taxpayer_ids": ["ok", "status", "rate", "nobody", "empty", "short", "gone", "twice", "euro"],
        "household_ids": ["plain", "plain", "plain", "no such", "", "US-h2", "", "", "DE-h1"],
        "account_taxpayers": [6, 7, 7],
        "account_ids": ["no such", "plain", "plain"],
        "united_states": {
            "filing_statuses": [1, 0, 1, 1, 1, 1, 1, 1, 1],
            "state_rates": {"units": [0, 0, 2, 0, 0, 0, 0, 0, 0]},
        },
    }
    (answer,) = await asked(book, header(), ParseDict({"taxpayers": facts}, pb.StreamYearEndsRequest()))

    assert list(answer.taxpayer_ids) == ["ok"]
    assert {each.taxpayer_id: each.reason for each in answer.refusals} == {
        "status": "TAXPAYER_UNKNOWN", "nobody": "TAXPAYER_UNKNOWN", "empty": "TAXPAYER_UNKNOWN",
        "rate": "FIELD_INVALID", "twice": "FIELD_INVALID", "short": "TAX_HISTORY_INCOMPLETE",
        "gone": "ACCOUNT_NOT_FOUND", "euro": "TAX_RATE_MISSING",
    }  # fmt: skip
    by_name = {each.taxpayer_id: each for each in answer.refusals}
    assert by_name["status"].field == "united_states.filing_statuses[1]"
    assert "must be a filing status, was 0" in by_name["status"].description
    assert (by_name["gone"].account_id, by_name["euro"].account_id) == ("no such", "DE-h1-a")
    assert "must be at most 1, was 2" in by_name["rate"].description
    assert answer.taxpayers_done == 9


async def test_a_year_without_rules_is_refused_for_each_taxpayer(plain):
    answers = await asked(plain, header(tax_year=2090), households("US", "plain"), households("DE", "plain", "other"))

    reasons = [each.reason for answer in answers for each in answer.refusals]
    assert reasons == ["JURISDICTION_UNKNOWN", "JURISDICTION_UNKNOWN", "TAXPAYER_UNKNOWN"]
    assert [list(answer.taxpayer_ids) for answer in answers] == [[], []]


async def test_accounts_of_a_whole_country_that_nobody_named_are_told_at_the_end(plain):
    *_, last = await asked(plain, header(whole_jurisdictions=["US"]), households("US", "plain"))

    assert [(each.account_id, each.reason) for each in last.refusals] == [("alone", "TAXPAYER_UNKNOWN")]


async def test_many_taxpayers_are_answered_some_hundred_at_a_time(plain):
    count = TOGETHER_MAX + 30
    names = [f"t{number}" for number in range(count)]
    owned = {"account_taxpayers": list(range(count)), "account_ids": ["alone"] * count}
    facts = {"taxpayer_ids": names, **owned, "united_states": COLUMNS["united_states"](count)}
    answers = await asked(plain, header(), ParseDict({"taxpayers": facts}, pb.StreamYearEndsRequest()))

    assert [each.taxpayers_done for each in answers] == [TOGETHER_MAX, count]
    assert [name for each in answers for name in each.taxpayer_ids] == names


@pytest.mark.parametrize(
    ("requests", "fields"),
    [
        ([], {"header": "must be the first message, was absent"}),
        ([households("US", "plain")], {"header": "must be the first message, was absent"}),
        ([header(), header()], {"header": "must be the first message only, was sent again"}),
        (
            [header(whole_jurisdictions=["FR"])],
            {"header.whole_jurisdictions[0]": "must be one of CA, DE, GB, US, was 'FR'"},
        ),
        (
            [header(), households("US", "plain", united_states={"ordinary_incomes": {"units": [1, 2]}})],
            {"united_states.ordinary_incomes": "must have one row for each of 1 taxpayers, had 2"},
        ),
        (
            [header(), households("US", "plain", account_taxpayers=[1], account_ids=["plain"])],
            {"account_taxpayers[0]": "must be 0 to 0, was 1"},
        ),
    ],
)
async def test_what_all_share_must_be_right(service, requests, fields):
    async with refused(BAD, "FIELD_INVALID") as found:
        await asked(service, *requests)

    assert found == fields


async def test_prices_that_are_named_must_be_there(service):
    async with refused(grpc.StatusCode.NOT_FOUND, "PRICE_SET_NOT_FOUND"):
        await asked(service, header(price_set_id="none"))
