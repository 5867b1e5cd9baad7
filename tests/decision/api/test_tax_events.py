"""Gifts, deaths, mergers with money, policy's identical sets and pending orders, through the service."""

from datetime import date
from decimal import Decimal

import grpc
import pytest

from evenkeel.common.v1 import values_pb2 as common_pb
from evenkeel.decision.v1 import plan_service_pb2 as plan_pb
from evenkeel.decision.v1 import tax_service_pb2 as pb
from evenkeel.policy.v1 import policy_document_pb2 as document_pb
from services.decision.app.taxes import TaxApp
from services.decision.domain.tax.assessment.history import Owner
from services.decision.domain.tax.assessment.united_states import UnitedStatesYear
from services.decision.store.taxes import TaxSessions
from services.runtime.clock import SystemClock
from tests.decision.api.conftest import refused
from tests.decision.api.messages import book_requests
from tests.decision.api.test_tax_ledger import bought, day, ledger, record, sold, usd
from tests.decision.books import an_account, lot

BAD = grpc.StatusCode.INVALID_ARGUMENT
COMPLETE = {"complete": [{"account_id": each, "until_date": day("2024-12-31")} for each in ("a1", "spouse")]}


@pytest.fixture
async def taxes(service):
    book = an_account("a1", household_id="h").holding("VTI", lot("l1", 10, 1000, "2020-05-04")).holding("BND", units=7)
    spouse = an_account("spouse", household_id="h")
    ira = an_account("ira", tax_wrapper="TAX_WRAPPER_DEFERRED", household_id="h")
    await service.books().IngestBook(iter(book_requests((book, spouse, ira))))
    return service.taxes("platform_engineer", "eve")


def event(name, on, kind, account="a1", instrument="VTI", **what):
    units = {"quantity": {"value": str(what.pop("units"))}} if "units" in what else {}
    said = {} if account is None else {"account_id": account}
    return {"event_id": name, "instrument_id": instrument, "date": day(on), kind: {**units, **what}, **said}


def given(name, on, units, value, recipient, **more):
    return event(name, on, "given", units=units, value=usd(value), recipient=f"TAX_RECIPIENT_{recipient}", **more)


def received(name, on, units, value, giver, **more):
    return event(name, on, "received", units=units, value=usd(value), giver=f"TAX_GIVER_{giver}", **more)


def merger(name, on, paid=(), new="BND"):
    both = [{"money": usd(money), "new_value": usd(value)} for money, value in paid]
    into = {"new_instrument_id": new, "new_units": 1, "old_units": 1, "cost_part": {"value": "1"}, "paid": both}
    return event(name, on, "reorganized", account=None, **into)


def counted(response):
    return {tuple(each.disposal_ids): each.counted_gain.value for each in response.year.disposals}


async def test_gifts_inheritances_and_a_merger_with_money_are_kept_and_assessed(taxes):
    sent = record(
        bought("b1", "2020-03-02", 10, 1000),
        received("r1", "2022-05-02", 10, 3000, "ESTATE", giver_cost=usd(1)),
        received("r2", "2023-05-02", 10, 800, "PERSON", giver_cost=usd(1000), giver_date=day("2019-01-02")),
        given("g1", "2023-06-01", 5, 1500, "CHARITY", lot_ids=["b1"]),
        merger("m1", "2024-03-01", paid=((40, 110),)),
        **COMPLETE,
    )
    assert (await taxes.RecordTaxEvents(sent)).unsettled == []
    sent.request_id = record().request_id
    # Sent again, each is on record already: it reads back as it was written.
    assert (await taxes.RecordTaxEvents(sent)).known == 5

    response = await taxes.GetTaxLedger(ledger())
    # 5 that had cost 500 are worth 550 and bring 200: 250 were gained, 200 count. 10 at 3,000 lost and give 400 back.
    # 10 at 1,000, from somebody for whom they cost that, bring 400 and are worth 1,100: 500 were gained, 400 count.
    rows = {(each.description, each.gain.value) for each in response.year.form_rows if each.form == "8949"}
    assert rows == {("VTI money in a merger", gain) for gain in ("200", "0", "400")}
    costs = {each.lot_id: each.cost.value for each in response.year.remaining}
    assert {name: costs[name] for name in ("b1", "r1", "r2")} == {"b1": "500", "r1": "2600", "r2": "1000"}
    listed = (await taxes.ListTaxEvents(pb.ListTaxEventsRequest())).events
    by_id = {each.event.event_id: each.event for each in listed}
    assert by_id["r2"].received.giver_date.year == 2019
    assert by_id["g1"].given.recipient == pb.TAX_RECIPIENT_CHARITY
    assert by_id["m1"].reorganized.paid[0].new_value.units == 110


def taken(name, on, *paid, instrument="VTI"):
    return event(name, on, "redeemed", account=None, instrument=instrument, paid=list(paid))


async def test_a_merger_for_money_alone_is_each_accounts_sale_of_all_it_held(taxes):
    sent = record(
        bought("b1", "2020-03-02", 10, 1000),
        bought("b2", "2023-09-05", 4, 900),
        given("g1", "2023-10-02", 2, 300, "CHARITY", lot_ids=["b1"]),
        taken("cash-out", "2024-03-01", usd(210), {"currency_code": "CAD", "units": "280"}),
        **COMPLETE,
    )
    assert (await taxes.RecordTaxEvents(sent)).unsettled == []
    sent.request_id = record().request_id
    assert (await taxes.RecordTaxEvents(sent)).known == 4

    year = (await taxes.GetTaxLedger(ledger())).year
    rows = [each for each in year.form_rows if each.form == "8949"]
    # 4 bought for 900 lose 60 short-term, and 8 that had cost 800 gain 880 long-term: proceeds, cost, gain of each.
    assert [(each.part, each.description, each.proceeds.value, each.cost.value, each.gain.value) for each in rows] == [
        ("I (A)", "4 VTI", "840", "900", "-60"),
        ("II (D)", "8 VTI", "1680", "800", "880"),
    ]
    assert not [each for each in year.remaining if each.asset == "VTI"]
    kept = (await taxes.ListTaxEvents(pb.ListTaxEventsRequest())).events
    (shown,) = (each.event for each in kept if each.event.event_id == "cash-out")
    assert [(each.currency_code, each.units) for each in shown.redeemed.paid] == [("USD", 210), ("CAD", 280)]
    assert shown.account_id == ""


async def test_a_redemption_in_another_currency_is_named_and_a_withdrawn_one_counts_no_more(taxes):
    canadian = taken("cash-out", "2024-03-01", {"currency_code": "CAD", "units": "280"})
    done = await taxes.RecordTaxEvents(record(bought("b1", "2020-03-02", 10, 1000), canadian, **COMPLETE))
    assert {each.reason for each in done.unsettled} == {"TAX_RATE_MISSING"}
    async with refused(BAD, "TAX_RATE_MISSING") as fields:
        await taxes.GetTaxLedger(ledger())
    assert fields["redeemed.paid"] == "must say what was paid in USD, was in CAD"

    await taxes.RecordTaxEvents(record(withdrawn_event_ids=["cash-out"]))
    (left,) = (each for each in (await taxes.GetTaxLedger(ledger())).year.remaining if each.lot_id == "b1")
    assert left.quantity.value == "10"


async def test_a_merger_paid_in_a_currency_that_the_account_does_not_have_is_named(taxes):
    paid = {
        "paid": [{"money": {"currency_code": "CAD", "units": "1"}, "new_value": {"currency_code": "CAD", "units": "2"}}]
    }
    into = {"new_instrument_id": "BND", "new_units": 1, "old_units": 1, "cost_part": {"value": "1"}, **paid}
    done = await taxes.RecordTaxEvents(
        record(
            bought("b1", "2020-03-02", 10, 1000),
            event("m1", "2024-03-01", "reorganized", account=None, **into),
            **COMPLETE,
        )
    )
    assert {each.reason for each in done.unsettled} == {"TAX_RATE_MISSING"}
    async with refused(BAD, "TAX_RATE_MISSING") as fields:
        await taxes.GetTaxLedger(ledger())
    assert fields["reorganized.paid"] == "must say what was paid in USD, was in CAD"


async def test_what_the_law_does_not_know_is_said_for_the_account(taxes):
    into_ira = event("t1", "2024-03-01", "transferred", units=5, to_account_id="ira", value=usd(700))
    done = await taxes.RecordTaxEvents(record(bought("b1", "2020-03-02", 10, 1000), into_ira, **COMPLETE))

    assert {(each.account_id, each.reason) for each in done.unsettled} == {
        ("a1", "TAX_EVENT_NOT_COVERED"), ("spouse", "TAX_EVENT_NOT_COVERED"),
    }  # fmt: skip
    async with refused(BAD, "TAX_EVENT_NOT_COVERED") as fields:
        await taxes.GetTaxLedger(ledger(accounts=("a1", "ira")))
    assert "nothing but money goes into an IRA" in fields["transfers[0]"]


@pytest.mark.parametrize(
    ("wrong", "field", "description"),
    [
        (given("g", "2024-03-01", 0, 1, "PERSON"), "given.quantity", "must be above 0, was 0"),
        (given("g", "2024-03-01", 1, -1, "PERSON"), "given.value", "must be 0 or more, was -1 USD"),
        (received("r", "2024-03-01", 1, 1, "PERSON", giver_cost={"currency_code": "EUR", "units": "5"}),
         "received.giver_cost", "must be in USD, at the rates of the days on which it was paid, was 5 EUR"),
        (received("r", "2024-03-01", 1, 1, "PERSON", giver_date=day("2024-03-02")), "received.giver_date",
         "must be from 1900-01-01 to 2024-03-01, was 2024-03-02"),
        (taken("m", "2024-03-01", usd(-1)), "redeemed.paid[0]", "must be 0 or more, was -1 USD"),
        (taken("m", "2024-03-01", usd(1), usd(2)), "redeemed.paid[1]", "must be of each currency once, was 2 USD"),
        (merger("m", "2024-03-01", paid=((0, 5),)), "reorganized.paid[0]", "must be above 0, was 0 USD and 5 USD"),
        (merger("m", "2024-03-01", paid=((1, 5), (2, 5))), "reorganized.paid[1]",
         "must be of one currency, each once, was 2 USD and 5 USD"),
    ],
)  # fmt: skip
async def test_an_event_that_cannot_be_names_its_field(taxes, wrong, field, description):
    reason = "TAX_RATE_MISSING" if "giver_cost" in field else "FIELD_INVALID"
    async with refused(BAD, reason) as fields:
        await taxes.RecordTaxEvents(record(wrong))
    assert fields == {f"events[0].{field}": description}


def a_policy(*sets):
    document = document_pb.PolicyDocument()
    for name, instruments in sets:
        document.eligibility.equivalences.add(name=name, instrument_ids=instruments)
    return document.SerializeToString()


async def test_a_loss_is_judged_by_the_sets_that_policy_named_on_the_day_of_the_sale(service, taxes, monkeypatch):
    asked = service.policy.resolve

    async def resolve(account_ids, effective_time):
        late = effective_time.date() >= date(2024, 5, 1)
        service.policy.document = a_policy(*[("index", ["VTI", "BND"])] * late)
        return await asked(account_ids, effective_time)

    monkeypatch.setattr(service.policy, "resolve", resolve)
    await taxes.RecordTaxEvents(
        record(
            bought("b1", "2022-03-01", 20, 4000),
            sold("s1", "2024-03-01", 10, 1500),
            bought("n1", "2024-03-05", 10, 900, instrument="BND"),
            sold("s2", "2024-06-03", 10, 1500),
            bought("n2", "2024-06-10", 4, 400, instrument="BND", account="spouse"),
            **COMPLETE,
        )
    )
    response = await taxes.GetTaxLedger(ledger(accounts=("a1", "spouse")))

    # In March they were not identical; in June the spouse's 4 replace 4 of 10.
    assert counted(response) == {("s1",): "-500", ("s2",): "-300"}
    (sets,) = response.identical
    assert (sets.from_date.month, [list(each.assets) for each in sets.sets]) == (6, [["BND", "VTI"]])

    service.policy.down = True
    async with refused(grpc.StatusCode.UNAVAILABLE, "PEER_UNREACHABLE"):
        await taxes.GetTaxLedger(ledger(accounts=("a1", "spouse")))
    # What happened is kept all the same, and the accounts' standing waits.
    done = await taxes.RecordTaxEvents(record(bought("late", "2024-07-01", 1, 100)))
    assert (done.recorded, {each.reason for each in done.unsettled}) == (1, {"PEER_UNREACHABLE"})


async def test_reinvested_dividends_a_spouse_and_an_ira_deny_losses_through_the_record(taxes):
    await taxes.RecordTaxEvents(
        record(
            bought("b1", "2022-03-01", 30, 6000),
            sold("s1", "2024-03-01", 10, 1500),
            bought("div", "2024-03-15", 1, 150, reinvested=True),
            sold("s2", "2024-06-03", 10, 1500),
            bought("sp", "2024-06-20", 2, 300, account="spouse"),
            sold("s3", "2024-09-03", 10, 1500),
            bought("ir", "2024-09-20", 3, 450, account="ira"),
            complete=[{"account_id": each, "until_date": day("2024-12-31")} for each in ("a1", "spouse", "ira")],
        )
    )
    response = await taxes.GetTaxLedger(ledger(accounts=("a1", "spouse", "ira")))

    # 500 were lost each time: 1, 2 and 3 of 10 were replaced, the last in the IRA, where the loss is gone for good.
    assert counted(response) == {("s1",): "-450", ("s2",): "-400", ("s3",): "-350"}
    assert response.year.permanently_lost.value == "150"
    costs = {each.lot_id: each.cost.value for each in response.year.remaining}
    assert costs == {"div": "200", "sp": "400", "ir": "450"}


async def test_a_plan_s_purchases_are_on_their_way_until_they_are_booked(running):
    held = await running.held_plan()
    plan = (await running.plans().GetPlan(plan_pb.GetPlanRequest(plan_id=held.plan_id))).plan
    sessions = TaxSessions(running.world.database)
    taxes = TaxApp(SystemClock(), running.world.market_clock, sessions.read, sessions.begin, running.world.policy)

    found = await taxes.ledger({"a1": Owner.TAXPAYER}, UnitedStatesYear(), 2024, {})
    buys = {
        trade.instrument_id: Decimal(trade.quantity.value) for trade in plan.trades if trade.side == common_pb.SIDE_BUY
    }
    assert buys
    assert {each.purchase.instrument_id: each.purchase.quantity for each in found.pending} == buys
    assert {each.disallowed_loss for each in found.pending} == {0}
