"""The use cases of the book over fakes of their ports."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from services.decision.app.book import AccountNotFound, BookApp, SnapshotNotFound, SnapshotOutdated
from services.decision.app.booking import PlannedAllocation, book_allocations
from services.decision.domain.asset_kinds import AssetKind
from services.decision.domain.book import Break, PlannedLot
from services.decision.domain.fund_years import FundYear
from services.decision.domain.identification import Identification
from services.decision.domain.run import RunNotFound
from services.kernel.clock import FixedClock
from services.kernel.errors import Conflict
from tests.decision.books import CLOSE, MORNING, a_header, an_account, an_allocation, columns, lot
from tests.decision.memory import Memory, MemoryExecution, MemoryPlans

ONE = an_account("a1", cash=1000, household_id="h1").holding("VTI", lot("l1", 10, 1000), lot("l2", 10, 3000))
TWO = an_account("a2", cash=500)


@pytest.fixture
def memory():
    return Memory(MemoryPlans(runs={"run-1": ["a2"]}))


def an_app(memory, *reported):
    evening = FixedClock(MORNING + timedelta(hours=8))
    return BookApp(memory.view, memory.ledger, MemoryExecution(reported), FixedClock(MORNING), evening)


async def ingest(memory, *book, **header):
    app, head, parts = an_app(memory), a_header(**header), [columns(each) for each in book]
    return await app.record_book(await app.check_book(head, parts), head, parts)


async def book(memory, *allocations, first=1, last=None, lots=()):
    async with memory.ledger() as ledger:
        planned = [PlannedAllocation(each, tuple(lots)) for each in allocations]
        return await book_allocations(
            ledger, planned, first_position=first, last_position=last or allocations[-1].position
        )


def kinds(memory):
    return [each.kind for each in memory.state.events]


BUY = an_allocation(1, "BUY", "BND", 2, 150, fees=1)
SALE = an_allocation(3, "SELL", "VTI", 12, 1800)


async def test_audit_is_told_by_which_public_names_an_instrument_goes_when_that_is_news(memory):
    known = Identification(isin="US9229087690", cfi="CEOGES", full_name="Total Stock Market ETF")
    app, parts = an_app(memory), [columns(ONE)]
    for source in ("bank", "other-bank"):
        head = replace(a_header(source=source), identifications={"VTI": known})
        await app.record_book(await app.check_book(head, parts), head, parts)

    assert kinds(memory).count("decision.instrument.identified") == 1
    told = memory.state.events[1]
    assert (told.subjects["instrument"], told.data["isin"], told.data["cfi"]) == ("VTI", known.isin, known.cfi)


async def test_a_snapshot_is_recorded_with_its_event_and_only_once(memory):
    first = await ingest(memory, ONE, TWO)
    again = await ingest(memory, TWO, ONE)

    assert again == first
    assert kinds(memory) == ["decision.book.ingested"]
    assert memory.state.events[0].subjects == {"snapshot": first.snapshot_id}


async def test_lump_sums_that_were_taxed_are_kept_with_a_sale_and_go_with_it(memory):
    """InvStG § 18, § 19: by the years that the book tells, and the base rates that were approved since the release."""
    years = (FundYear("VTI", 2019, Decimal(100), Decimal(110)), FundYear("VTI", 2021, Decimal(100), Decimal(110)))
    euros = an_account("a1", currency="EUR", cash=0).holding("VTI", lot("l1", 10, 1000, "2018-06-01"))
    await ingest(memory, euros, kinds={"VTI": AssetKind.OTHER_FUND}, currency="EUR", fund_years=years)
    memory.state.approved_amounts["DE 2021"] = {"base_rate": Decimal("0.01")}
    sale = replace(SALE, position=1, quantity=Decimal(10), currency="EUR")
    (booking,) = await book(memory, sale)

    # 10 · 100 · 70 % at 0.52 % of 2019 and at 1 % of 2021, which the release knows with a negative base rate.
    assert [each.taxed_before for each in booking.sold_lots] == [Decimal("3.64") + 7]
    assert [each.exempt for each in memory.state.accounts["a1"].realized] == [Decimal("10.64")]
    bust = replace(sale, position=2, quantity=Decimal(0), value=Decimal(0), fees=Decimal(0), replaces=sale)
    await book(memory, bust, first=2)
    assert memory.state.accounts["a1"].realized == ()


async def test_recording_content_again_does_not_undo_what_was_booked(memory):
    await ingest(memory, ONE, TWO)
    await book(memory, BUY)
    await ingest(memory, ONE, TWO)

    assert memory.state.accounts["a1"].units == {"VTI": 20, "BND": 2}


async def test_a_snapshot_older_than_the_account_or_its_last_trade_is_outdated(memory):
    await ingest(memory, ONE)
    with pytest.raises(SnapshotOutdated) as caught:
        await ingest(memory, TWO, ONE, as_of_time=CLOSE - timedelta(hours=1))
    assert caught.value.facts["account_ids"] == "a1"
    assert memory.state.accounts.keys() == {"a1"}

    await book(memory, BUY)
    with pytest.raises(SnapshotOutdated):
        await ingest(memory, TWO, ONE, as_of_time=CLOSE + timedelta(hours=1))
    await ingest(memory, TWO, ONE, as_of_time=CLOSE + timedelta(days=1))
    assert memory.state.accounts["a1"].opening_position == 1


@pytest.mark.parametrize(
    "as_of_time",
    [
        # The evening before the trade, in New York; the same day in Greenwich.
        datetime(2022, 12, 28, 0, 30, tzinfo=UTC),
        # The morning of the trade, and the last instant at which there may be another.
        datetime(2022, 12, 28, 13, 0, tzinfo=UTC),
        datetime(2022, 12, 28, 20, 59, 59, tzinfo=UTC),
    ],
)
async def test_a_snapshot_that_may_lack_a_trade_cannot_take_it_away(memory, as_of_time):
    await ingest(memory, ONE)
    await book(memory, BUY)
    before = memory.state.accounts["a1"]

    with pytest.raises(SnapshotOutdated):
        await ingest(memory, ONE, as_of_time=as_of_time)
    assert memory.state.accounts["a1"] == before


async def test_a_piece_of_the_stream_is_booked_once(memory):
    await ingest(memory, ONE, TWO)
    lots = [PlannedLot("l2", Decimal(10)), PlannedLot("l1", Decimal(2))]

    first = await book(memory, BUY, SALE, last=4, lots=lots)
    again = await book(memory, BUY, SALE, last=4, lots=lots)
    later = await book(memory, SALE, an_allocation(5, "BUY", "VTI", 1, 100), first=3)

    assert [len(each) for each in (first, again, later)] == [2, 0, 1]
    account = memory.state.accounts["a1"]
    assert account.cash == 1000 - 151 + 1800 - 100
    assert account.units == {"BND": 2, "VTI": 9}
    assert [each.lot_id for each in first[1].sold_lots] == ["l2", "l1"]
    assert (memory.state.position, account.booked_position) == (5, 5)
    assert kinds(memory)[1:] == ["decision.account.booked"] * 3
    assert memory.state.events[1].subjects == {
        "account": "a1",
        "household": "h1",
        "plan": "p1",
        "order": "order-p1-BND",
        "block": "block-BND",
        "instrument": "BND",
        "snapshot": account.snapshot_id,
    }


async def test_a_sale_in_two_pieces_takes_the_lots_of_one(memory):
    await ingest(memory, ONE)
    lots = [PlannedLot("l2", Decimal(10)), PlannedLot("l1", Decimal(2))]

    await book(memory, an_allocation(1, "SELL", "VTI", 4, 600), lots=lots)
    [second] = await book(memory, an_allocation(2, "SELL", "VTI", 8, 1200), first=2, lots=lots)

    assert [(each.lot_id, each.quantity) for each in second.sold_lots] == [("l2", 6), ("l1", 2)]


async def test_a_gap_in_the_stream_books_nothing(memory):
    await ingest(memory, TWO)

    with pytest.raises(Conflict):
        await book(memory, an_allocation(2, "BUY", "VTI", 1, 1, account_id="a2"), first=2)
    assert memory.state.position == 0
    assert memory.state.accounts["a2"].cash == 500


@pytest.mark.parametrize(
    ("strange", "reason"),
    [
        (an_allocation(1, "BUY", "VTI", 1, 100, currency="EUR"), "CURRENCY_MISMATCH"),
        (an_allocation(1, "BUY", "VTI", 1, 100, account_id="a9"), "ACCOUNT_NOT_FOUND"),
    ],
)
async def test_one_allocation_that_cannot_be_booked_does_not_keep_the_others_from_it(memory, strange, reason):
    await ingest(memory, ONE, TWO)

    [booking] = await book(memory, strange, an_allocation(2, "BUY", "VTI", 1, 100, account_id="a2"))

    assert booking.allocation.position == 2
    assert memory.state.position == 2
    assert memory.state.accounts["a2"].cash == 400
    refused = next(each for each in memory.state.events if each.kind == "decision.allocation.refused")
    assert (refused.data["reason"], refused.data["position"], refused.subjects["account"]) == (
        reason,
        1,
        strange.account_id,
    )


async def test_an_allocation_in_another_currency_is_a_break_of_its_own(memory):
    await ingest(memory, ONE, TWO)
    strange = an_allocation(1, "BUY", "VTI", 3, 300, currency="EUR")
    await book(memory, strange)

    found = await an_app(memory, strange).reconcile(None)

    assert found.breaks == [Break("a1", "VTI", Decimal(0), Decimal(3), "CURRENCY_MISMATCH")]


async def test_a_fill_that_is_told_after_a_book_that_has_it_counts_once(memory):
    await ingest(memory, ONE, as_of_time=CLOSE + timedelta(days=1))
    late = replace(BUY, position=1)

    [booking] = await book(memory, late)

    assert booking.contained
    account = memory.state.accounts["a1"]
    assert (account.cash, account.units, account.booked_position) == (1000, {"VTI": 20}, 1)
    assert memory.state.events[-1].data["contained"] is True
    assert (await an_app(memory, late).reconcile(None)).breaks == []
    # One of the next day is news.
    await book(memory, replace(BUY, position=2, trade_date=BUY.trade_date + timedelta(days=1)), first=2)
    assert memory.state.accounts["a1"].units == {"VTI": 20, "BND": 2}


async def test_a_correction_takes_the_place_of_what_was_booked(memory):
    await ingest(memory, ONE)
    right = replace(SALE, position=4, replaces=SALE, quantity=Decimal(11), value=Decimal(1700))
    await book(memory, BUY, SALE, right)
    busted = replace(right, position=5, replaces=right, quantity=Decimal(0), value=Decimal(0))
    reported = (BUY, SALE, right)

    account = memory.state.accounts["a1"]
    assert (account.cash, account.units) == (1000 - 151 + 1700, {"BND": 2, "VTI": 9})
    assert (await an_app(memory, *reported).reconcile(None)).breaks == []
    assert memory.state.events[-1].data["replaces_position"] == 3
    async with memory.ledger() as ledger:
        assert await ledger.units_sold({(SALE.plan_id, "VTI")}) == {(SALE.plan_id, "VTI"): 11}

    await book(memory, busted, first=5)
    account = memory.state.accounts["a1"]
    assert (account.cash, account.units) == (1000 - 151, {"BND": 2, "VTI": 20})
    assert (await an_app(memory, *reported, busted).reconcile(None)).breaks == []


async def test_positions_without_an_allocation_count_as_booked(memory):
    assert await book(memory, first=1, last=3) == []
    assert memory.state.position == 3


async def test_the_book_reconciles_with_what_execution_reports(memory):
    await ingest(memory, ONE, TWO)
    await book(memory, BUY, SALE)

    found = await an_app(memory, BUY, SALE).reconcile(None)

    assert (found.account_count, found.allocation_count, found.breaks) == (2, 2, [])
    assert found.cash_before == {"USD": 1500}
    assert found.cash_after == {"USD": 1500 - 151 + 1800}


async def test_what_is_reported_and_not_booked_or_booked_otherwise_is_a_break(memory):
    await ingest(memory, ONE, TWO)
    await book(memory, BUY)
    other = an_allocation(1, "BUY", "BND", 3, 150, fees=1)

    found = await an_app(memory, other, SALE).reconcile(None)

    assert found.breaks == [
        Break("a1", None, Decimal(849), Decimal(2649)),
        Break("a1", "BND", Decimal(2), Decimal(3)),
        Break("a1", "VTI", Decimal(20), Decimal(8)),
    ]


async def test_what_a_new_snapshot_contains_is_not_counted_again(memory):
    await ingest(memory, ONE, TWO)
    await book(memory, BUY)
    await ingest(memory, an_account("a1", cash=849).holding("BND", units=2), as_of_time=CLOSE + timedelta(days=1))

    found = await an_app(memory, BUY).reconcile(None)

    assert (found.allocation_count, found.breaks) == (0, [])


async def test_a_run_reconciles_by_itself(memory):
    await ingest(memory, ONE, TWO)

    assert (await an_app(memory).reconcile("run-1")).cash_before == {"USD": 500}
    with pytest.raises(RunNotFound):
        await an_app(memory).reconcile("run-2")


async def test_an_account_is_shown_as_it_is_and_as_a_snapshot_had_it(memory):
    snapshot = await ingest(memory, ONE)
    await book(memory, BUY)
    memory.plans.targets["a1"] = {"BND": Decimal(1)}

    now = await an_app(memory).get_account("a1", None)
    then = await an_app(memory).get_account("a1", snapshot.snapshot_id)

    assert (now.account.units, then.account.units) == ({"BND": 2, "VTI": 20}, {"VTI": 20})
    assert now.targets == {"BND": 1}
    assert now.valuation.value is None
    with pytest.raises(AccountNotFound):
        await an_app(memory).get_account("a2", None)
    with pytest.raises(AccountNotFound):
        await an_app(memory).get_account("a2", snapshot.snapshot_id)
    with pytest.raises(SnapshotNotFound):
        await an_app(memory).get_account("a1", "snapshot-2")
