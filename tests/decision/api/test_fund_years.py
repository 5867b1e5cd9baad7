"""Years of funds as the book tells them: kept, refused, and credited alike in a plan, its replay and the ledger."""

from decimal import Decimal
from fractions import Fraction
from uuid import uuid4

import grpc
import pytest
from google.protobuf.json_format import ParseDict

from evenkeel.decision.v1 import plan_service_pb2 as plan_pb
from evenkeel.decision.v1 import tax_service_pb2 as tax_pb
from evenkeel.policy.v1 import policy_document_pb2 as document_pb
from services.decision.domain.asset_kinds import AssetKind
from services.decision.domain.fund_years import FundYear
from services.decision.domain.tax.assessment.history import cents
from services.kernel.money import Money
from services.runtime.wire import date_message, decimal_of, money_message, money_of
from tests.decision.api.messages import book_requests
from tests.decision.api.running import serving
from tests.decision.books import MORNING, an_account, lot
from tests.decision.stages.world import a_policy, number

BAD = grpc.StatusCode.INVALID_ARGUMENT
YEARS = (FundYear("VTI", 2018, Decimal(100), Decimal(110)), FundYear("VTI", 2019, Decimal(75), Decimal(110)))


def told(*years, kind="ASSET_KIND_EQUITY_FUND"):
    requests = book_requests((an_account("a1"),))
    fund = next(each for each in requests[0].header.instruments if each.instrument_id == "VTI")
    fund.asset_kind = kind
    for year in years:
        ParseDict(year, fund.fund_years.add())
    return requests


def a_year(year=2023, first="100", last="110", **more):
    return {"year": year, "first_price": {"value": first}, "last_price": {"value": last}, **more}


async def test_years_of_a_fund_are_kept_with_the_book_and_may_be_told_again(service):
    said = (a_year(2024), a_year(2023, distributed={"value": "1.5"}))
    first = await service.books().IngestBook(iter(told(*said)))
    again = await service.books().IngestBook(iter(told(*said)))
    other = await service.books().IngestBook(iter(told(a_year(2024))))

    assert first.snapshot.snapshot_id == again.snapshot.snapshot_id != other.snapshot.snapshot_id
    async with service.sessions.view() as view:
        known = await view.books.instruments(["VTI", "BND"])
    assert known["VTI"].fund_years == (FundYear("VTI", 2024, Decimal(100), Decimal(110)),)
    assert known["BND"].fund_years == ()


@pytest.mark.parametrize(
    ("years", "kind", "field", "said"),
    [
        ([a_year(first="0")], "ASSET_KIND_EQUITY_FUND", "[0].first_price", "must be above 0, was 0"),
        ([a_year(last="-1")], "ASSET_KIND_EQUITY_FUND", "[0].last_price", "must be 0 or more, was -1"),
        (
            [a_year(distributed={"value": "-0.5"})],
            "ASSET_KIND_EQUITY_FUND",
            "[0].distributed",
            "must be 0 or more, was -0.5",
        ),
        ([a_year(), a_year()], "ASSET_KIND_EQUITY_FUND", "[1].year", "must be there once, was 2023 again"),
        ([a_year()], "ASSET_KIND_SHARE", "", "must be empty for what is no fund, was of SHARE"),
    ],
)
async def test_a_year_that_cannot_be_is_refused_by_its_field(service, years, kind, field, said):
    requests = told(*years, kind=kind)
    (row,) = (i for i, each in enumerate(requests[0].header.instruments) if each.instrument_id == "VTI")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await service.books().IngestBook(iter(requests))
    assert caught.value.code() is BAD
    assert f"header.instruments[{row}].fund_years{field}: {said}" in caught.value.details()


@pytest.fixture
async def running(decision_database, tmp_path):
    async with serving(decision_database, tmp_path, currency="EUR") as started:
        yield started


async def test_a_german_plan_reckons_the_gain_that_the_ledger_says_after_the_sale_and_replays(running):
    """InvStG § 18: 2018 100 · 0.87 % · 70 % = 0.609 a unit, 8/12 of it from May; 2019 75 · 0.52 % · 70 % = 0.273."""
    running.world.policy.document = a_policy(
        {"AAPL": "0.99"},
        tax=document_pb.TaxSettings(jurisdiction="DE", long_term_rate=number("0.26375")),
    )
    held = lot("l1", 200, 8000, "2018-05-02")
    account = an_account("a1", cash=500, currency="EUR").holding("VTI", held).holding("AAPL", lot("l2", 200, 26_000))
    await running.world.ingest(account, kinds={"VTI": AssetKind.EQUITY_FUND}, currency="EUR", fund_years=YEARS)
    plan, _ = await running.planned()
    (lot_sold,) = [each for trade in plan.trades for each in trade.lots if trade.instrument_id == "VTI"]
    units = decimal_of(lot_sold.quantity, "")
    assert 0 < units < 200

    day = date_message(MORNING.date())
    sale = tax_pb.RecordTaxEventsRequest(request_id=str(uuid4()))
    event = sale.events.add(event_id="s1", account_id="a1", instrument_id="VTI", date=day)
    event.disposed.quantity.CopyFrom(lot_sold.quantity)
    event.disposed.proceeds.CopyFrom(money_message(Money(units * 190, "EUR")))
    await running.taxes().RecordTaxEvents(sale)

    async def gain(**germany):
        asked = {"accounts": [{"account_id": "a1", "owner": "OWNER_TAXPAYER"}], "tax_year": 2022, "germany": germany}
        found = await running.taxes().GetTaxLedger(ParseDict(asked, tax_pb.GetTaxLedgerRequest()))
        ((piece,),) = (each.pieces for each in found.year.disposals)
        return decimal_of(piece.gain, "")

    # Of the lot of 200: 200 · 0.609 · 8/12 = 81.20 and 200 · 0.273 = 54.60, as much of it as is sold.
    assert money_of(lot_sold.gain, "").amount == await gain()
    assert await gain() == cents(Fraction(units) * (190 - Fraction(8000 + Decimal("135.80")) / 200))
    # What a request brings wins over what is kept, year by year.
    fund = {"asset": "VTI", "year": 2018, "first_price": {"value": "100"}, "last_price": {"value": "90"}}
    assert await gain(fund_years=[fund]) == cents(Fraction(units) * (190 - Fraction(8000 + Decimal("54.60")) / 200))

    # The book learns other years: the plan rests on what was known.
    await running.world.ingest(account, kinds={"VTI": AssetKind.EQUITY_FUND}, currency="EUR", fund_years=YEARS[:1])
    replay = await running.plans().ReplayPlan(plan_pb.ReplayPlanRequest(plan_id=plan.plan_id))
    assert replay.identical
