"""One contract for the store of the book: what holds over PostgreSQL holds over the fake."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import update

from services.decision.app.booking import PlannedAllocation, book_allocations
from services.decision.domain.asset_kinds import AssetKind
from services.decision.domain.book import PlannedLot, SnapshotCheck, accounts, booked, corrected
from services.decision.domain.book.gains import DayGain
from services.decision.domain.fund_years import FundYear
from services.decision.domain.identification import Identification
from services.decision.store.ledger import PostgresLedger
from services.decision.tables import book as tables
from services.kernel.errors import Conflict
from services.runtime.database import Database
from tests.decision.books import CLOSE, MORNING, TRADE_DATE, a_header, an_account, an_allocation, columns, lot
from tests.decision.memory import Memory


@pytest.fixture(params=["memory", "postgres"])
async def begin(request, service_database):
    if request.param == "memory":
        yield Memory().ledger
        return
    database = Database((await service_database("decision")).settings())

    @asynccontextmanager
    async def ledger():
        async with database.begin() as transaction:
            yield PostgresLedger(transaction)

    yield ledger
    await database.close()


TWO = (
    an_account("a1", cash="1000.50", household_id="h1", short_term_gain=-5, share_gain=-2).holding(
        "VTI", lot("l1", "10.5", 1000), lot("l2", 5, 700, "2022-12-20")
    ),
    an_account("a2", cash=-3, tax_wrapper="TAX_WRAPPER_DEFERRED")
    .holding("BND", units=7)
    .holding("BND", units=2, kind="HOLDING_LOCKED"),
)


async def ingest(ledger, *book, header=None, position=0):
    header = header or a_header()
    check = SnapshotCheck(header, max(MORNING, header.as_of_time))
    check.add(columns(*book))
    snapshot = check.snapshot(MORNING)
    await ledger.lock_stream()
    await ledger.add_snapshot(snapshot, header.instruments)
    await ledger.add_accounts(list(accounts(columns(*book), snapshot, position)))
    await ledger.open_accounts(snapshot, position)
    return snapshot


async def book_of(ledger, *ids, trades_since=date.max):
    return await ledger.accounts(ids, trades_since=trades_since)


def without_lots(account):
    return replace(account, positions=tuple(replace(each, lots=()) for each in account.positions))


async def test_an_account_is_read_as_the_snapshot_said_it(begin):
    async with begin() as ledger:
        snapshot = await ingest(ledger, *TWO, position=4)
    expected = list(accounts(columns(*TWO), snapshot, 4))

    async with begin() as ledger:
        assert await book_of(ledger, "a2", "a1", "a3") == expected
        assert await ledger.account_ids(None, 10) == ["a1", "a2"]
        assert await ledger.account_ids("a1", 10) == ["a2"]
        assert await ledger.account_ids_missing(["a2", "b", "a0"]) == ["a0", "b"]
        assert await ledger.listed("h1", None, 10) == [without_lots(expected[0])]
        assert [each.account_id for each in await ledger.listed(None, "a1", 10)] == ["a2"]
        assert await ledger.snapshot(snapshot.snapshot_id) == snapshot
        assert await ledger.snapshot("snapshot-of-nothing") is None


async def test_what_was_booked_moves_the_account_on_and_leaves_its_opening(begin):
    async with begin() as ledger:
        snapshot = await ingest(ledger, *TWO)
        [before] = await book_of(ledger, "a1")
        sale = an_allocation(1, "SELL", "VTI", 12, "1500.00", fees="0.10")
        lots = [PlannedLot("l1", Decimal("10.5")), PlannedLot("l2", Decimal("1.5"))]
        after, booking = booked(before, sale, lots, 0, kind=AssetKind.EQUITY_FUND)
        await ledger.save([after], [booking])
        await ledger.advance_stream(was=0, becomes=3)

    async with begin() as ledger:
        [now] = await book_of(ledger, "a1", trades_since=TRADE_DATE)
        [bare] = await book_of(ledger, "a1", trades_since=TRADE_DATE + timedelta(days=1))
        assert now == after
        assert (now.realized[-1].shares, now.realized[-1].exempt) == (0, booking.realized_gain * Decimal("0.3"))
        assert bare.recent_trades == ()
        assert await ledger.openings([now]) == [without_lots(before)]
        assert await ledger.openings([now], lots=True) == [before]
        assert await ledger.holdings(["a1", "a3"]) == [replace(without_lots(after), recent_trades=())]
        assert await ledger.of_snapshot(snapshot.snapshot_id, "a1") == before
        assert await ledger.of_snapshot(snapshot.snapshot_id, "a9") is None
        assert await ledger.units_sold([("p1", "VTI"), ("p1", "BND")]) == {("p1", "VTI"): 12}
        assert await ledger.states(["a1", "a9"]) == {"a1": (snapshot.snapshot_id, 1)}
        assert await ledger.stream_position() == 3


async def test_what_the_release_before_wrote_of_gains_is_read(service_database):
    """It keeps the sums of a calendar year and no days, also where this release has written some."""
    database = Database((await service_database("decision")).settings())
    table = tables.account
    async with database.begin() as transaction:
        ledger = PostgresLedger(transaction)
        await ingest(ledger, *TWO)
        book = update(table).values(last_trade_date=TRADE_DATE, long_term_gain=Decimal("7.5"), gain_year=2022)
        await transaction.connection.execute(book)
        [added] = await book_of(ledger, "a1")
        await transaction.connection.execute(
            update(table).values(gain_dates=[], gain_shorts=[], gain_longs=[], gain_shares=[])
        )
        [before] = await book_of(ledger, "a1")
        await transaction.connection.execute(update(table).values(gain_year=2023))
        [next_year] = await book_of(ledger, "a1")
    await database.close()

    assert added.realized == (DayGain(CLOSE.date(), -5, 0, -2), DayGain(TRADE_DATE, 0, Decimal("7.5")))
    assert before.realized == (DayGain(TRADE_DATE, -5, Decimal("7.5")),)
    assert next_year.realized == (DayGain(date(2023, 1, 1), -5, Decimal("7.5")),)


async def test_a_booking_comes_back_and_one_that_was_replaced_does_not_count(begin):
    async with begin() as ledger:
        await ingest(ledger, *TWO)
        [before] = await book_of(ledger, "a1")
        sale = an_allocation(1, "SELL", "VTI", 12, "1500.00", fees="0.10")
        right = replace(sale, position=2, quantity=Decimal(11), replaces=sale)
        after, first = booked(before, sale, [PlannedLot("l1", Decimal("10.5"))], 0)
        taxed = tuple(replace(each, taxed_before=Decimal(number)) for number, each in enumerate(first.sold_lots))
        first = replace(first, sold_lots=taxed)
        corrected_to, second = corrected(after, right, first)
        busted_to, third = corrected(
            corrected_to, replace(right, position=3, quantity=Decimal(0), value=Decimal(0), replaces=right), second
        )
        await ledger.save([corrected_to], [first, second])

    async with begin() as ledger:
        assert await ledger.bookings([]) == {}
        assert await ledger.bookings([1, 7]) == {1: first}
        assert await ledger.units_sold([("p1", "VTI")]) == {("p1", "VTI"): 11}
        [now] = await book_of(ledger, "a1", trades_since=TRADE_DATE)
        assert [each.realized_gain for each in now.recent_trades] == [second.realized_gain]
        assert await ledger.traded_cash({"a1": 0}) == {"a1": right.cash_change}
        assert await ledger.traded_cash({"a1": 1}) == {"a1": right.cash_change - sale.cash_change}
        await ledger.save([busted_to], [third])
        assert not (await ledger.units_sold([("p1", "VTI")])).get(("p1", "VTI"))
        [now] = await book_of(ledger, "a1", trades_since=TRADE_DATE)
        assert now.recent_trades == ()


async def test_a_stream_that_moved_meanwhile_is_a_conflict(begin):
    async with begin() as ledger:
        await ledger.advance_stream(was=0, becomes=3)

    with pytest.raises(Conflict):
        async with begin() as ledger:
            await ledger.advance_stream(was=0, becomes=4)


async def test_a_later_snapshot_or_a_later_trade_is_ahead_of_a_snapshot(begin):
    later = a_header(as_of_time=CLOSE + timedelta(days=1))
    async with begin() as ledger:
        first = await ingest(ledger, *TWO)
        second = await ingest(ledger, TWO[0], header=later)
        assert await ledger.ahead_of(second, CLOSE.date() + timedelta(days=1), 10) == []
        assert await ledger.ahead_of(first, CLOSE.date(), 10) == ["a1"]
        [now] = await book_of(ledger, "a2")
        bought = an_allocation(1, "BUY", "VTI", 1, 100, account_id="a2")
        after, booking = booked(now, bought, [], 0)
        await ledger.save([after], [booking])
        assert await ledger.ahead_of(first, CLOSE.date(), 10) == ["a1", "a2"]
        assert await ledger.ahead_of(first, TRADE_DATE, 10) == ["a1"]
        assert await ledger.ahead_of(first, CLOSE.date(), 1) == ["a1"]


async def test_a_new_snapshot_replaces_the_account_and_keeps_what_the_old_one_said(begin):
    later = a_header(as_of_time=CLOSE + timedelta(days=1))
    changed = an_account("a1", cash=7).holding("AAPL", lot("x", 1, 100))
    async with begin() as ledger:
        first = await ingest(ledger, *TWO)
        second = await ingest(ledger, changed, header=later, position=9)
        [now] = await book_of(ledger, "a1")
        old = await ledger.of_snapshot(first.snapshot_id, "a1")
        assert now == next(iter(accounts(columns(changed), second, 9)))
        assert (old.cash, old.household_id) == (Decimal("1000.50"), "h1")
        assert [each.snapshot_id for _, each in await ledger.snapshots(None, 10)] == [
            second.snapshot_id,
            first.snapshot_id,
        ]
        [(number, _), *_] = await ledger.snapshots(None, 1)
        assert [each.snapshot_id for _, each in await ledger.snapshots(number, 10)] == [first.snapshot_id]


async def test_an_instrument_is_what_the_latest_snapshot_says(begin):
    def with_increment(header, increment):
        return replace(header, instruments=[replace(header.instruments[0], quantity_increment=Decimal(increment))])

    late, early = a_header("VTI", as_of_time=CLOSE), a_header("VTI", as_of_time=CLOSE - timedelta(days=1))
    async with begin() as ledger:
        await ingest(ledger, an_account("a1"), header=with_increment(late, 1))
        await ingest(ledger, an_account("a2"), header=with_increment(early, "0.5"))
        found = await ledger.instruments(["VTI", "BND"])
        assert {each: known.quantity_increment for each, known in found.items()} == {"VTI": 1}


async def test_a_public_name_is_news_once_and_an_older_book_has_none(begin):
    vti, other = Identification(isin="US9229087690"), Identification(isin="US9229087690", full_name="All of them")
    told = []
    for said, at in (({"VTI": vti}, CLOSE), ({"VTI": vti}, CLOSE), ({"VTI": other}, MORNING), ({"VTI": vti}, CLOSE)):
        async with begin() as ledger:
            told.append(await ledger.identify(said, at))

    assert told == [{"VTI": vti}, {}, {"VTI": other}, {}]
    async with begin() as ledger:
        assert await ledger.identify({}, MORNING) == {}


async def test_what_raises_leaves_nothing(begin):
    async def ingest_and_fail():
        async with begin() as ledger:
            await ingest(ledger, *TWO)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await ingest_and_fail()

    async with begin() as ledger:
        assert await ledger.account_ids(None, 10) == []
        assert await ledger.snapshots(None, 10) == []


async def test_of_two_who_book_the_same_piece_one_does_and_the_other_passes_over_it(service_database):
    database = Database((await service_database("decision")).settings())
    allocation = an_allocation(1, "BUY", "VTI", 3, 300)

    async def book():
        async with database.begin() as transaction:
            ledger = PostgresLedger(transaction)
            return await book_allocations(ledger, [PlannedAllocation(allocation)], first_position=1, last_position=1)

    async with database.begin() as transaction:
        await ingest(PostgresLedger(transaction), *TWO)
    booked_by = await asyncio.gather(*(book() for _ in range(4)))
    async with database.begin() as transaction:
        [now] = await book_of(PostgresLedger(transaction), "a1")
    await database.close()

    assert sorted(map(len, booked_by)) == [0, 0, 0, 1]
    assert now.cash == Decimal("700.50")


async def test_years_of_funds_are_read_as_the_latest_book_says_them(begin):
    said = (
        FundYear("VTI", 2023, Decimal("100.10"), Decimal(110), Decimal("0.5")),
        FundYear("VTI", 2024, Decimal(110), Decimal(120)),
    )
    async with begin() as ledger:
        await ingest(ledger, *TWO, header=a_header(kinds={"VTI": AssetKind.OTHER_FUND}, fund_years=said))
    async with begin() as ledger:
        found = await ledger.instruments(["VTI", "BND"])
        assert found["VTI"].fund_years == said
        assert found["BND"].fund_years == ()
        later = a_header(kinds={"VTI": AssetKind.OTHER_FUND}, as_of_time=CLOSE + timedelta(hours=1))
        await ingest(ledger, *TWO, header=later)
        assert (await ledger.instruments(["VTI"]))["VTI"].fund_years == ()
