"""Year-ends by rows and by accounts that are loaded: the same to the cent, over random books in PostgreSQL."""

import random
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from evenkeel.policy.v1 import policy_document_pb2 as document_pb
from services.decision.app.booking import PlannedAllocation, book_allocations
from services.decision.app.year_ends import Named, YearEndApp
from services.decision.domain.book import PlannedLot, SnapshotCheck, accounts
from services.decision.domain.instruments import Instrument
from services.decision.domain.problem import Side
from services.decision.domain.tax.assessment.history import Acquisition, Disposal, Owner, Split
from services.decision.domain.tax.assessment.united_states import UnitedStatesYear
from services.decision.domain.tax.assessment.us_years import FilingStatus
from services.decision.domain.tax.events import TaxEvent
from services.decision.domain.tax.filing import Filing
from services.decision.domain.tax.laws import law_book
from services.decision.domain.tax.year_end_columns import year_end_table
from services.decision.domain.tax.year_end_table import table_of
from services.decision.domain.tax.year_ends import filed
from services.decision.store.taxes import TaxSessions
from services.kernel.clock import FixedClock
from services.runtime.database import Database
from tests.decision.books import MORNING, a_header, an_account, an_allocation, columns, lot
from tests.decision.stages.world import FakePolicy, a_policy

YEAR_END = datetime(2023, 12, 29, 22, tzinfo=UTC)
YEAR, TODAY = 2023, YEAR_END.date()
# Two are identical, one has had a split, one costs less than a millionth, one has no price.
ASSETS = ("AAPL", "BND", "CHIP", "SPLT", "VOO", "VTI", "ZERO")
PRICES = {
    "AAPL": Decimal("131.25"), "BND": Decimal("71.5"), "SPLT": Decimal(12), "VOO": Decimal("351.01"),
    "VTI": Decimal("190.999999"), "ZERO": Decimal("0.0000004"),
}  # fmt: skip
IDENTICAL = {"VOO": "VTI"}
HOUSES = 54


class Rows:
    """Computes here what a computing process would, and counts whom columns said."""

    def __init__(self, by_rows=True):
        self.by_rows, self.said = by_rows, 0

    async def year_ends(self, filing, filers):
        return filed(filing, filers)

    async def year_end_table(self, filing, filers):
        table = year_end_table(filing, filers) if self.by_rows else table_of({})
        self.said += len(table.places)
        return table


@pytest.fixture
async def database(service_database):
    database = Database((await service_database("decision")).settings())
    yield database
    await database.close()


def a_household(chosen, number):
    """One to three accounts with lots of few units, some bought shortly before and some of the same day."""
    made = []
    for place in range(2 if number == 11 else chosen.randint(1, 3)):
        name = f"{number:03}-{place}"
        wrapper = "TAX_WRAPPER_DEFERRED" if place == 2 else "TAX_WRAPPER_TAXABLE"
        account = an_account(
            name, household_id=f"h{number:03}", tax_wrapper=wrapper, cash=10_000_000,
            currency="EUR" if number == 7 else "USD",
        )  # fmt: skip
        if number == 7:
            made.append(account)
            continue
        held = (
            chosen.sample(ASSETS, chosen.randint(0, 4))
            if number != 11 and chosen.random() < 0.3
            else ["BND", "VOO", "VTI"]
        )
        for asset in held:
            lots = [a_lot(chosen, f"{name}-{asset}-{each}") for each in range(chosen.randint(1, 7))]
            if number == 11:
                # One id in two accounts of a taxpayer.
                lots[0] = replace(lots[0], lot_id=f"twice-{asset}")
            account = account.holding(asset, *lots)
            if chosen.random() < 0.1:
                account = account.holding(asset, a_lot(chosen, f"{name}-{asset}-locked"), kind="HOLDING_LOCKED")
        if number in (13, 14):
            account = account.holding("AAPL", units=3, kind="HOLDING_LOCKED")
        made.append(account)
    return made


def a_lot(chosen, name):
    on = chosen.choice((date(2021, 6, 1), date(2022, 12, 20), date(2020, 2, 29)))
    on = min(on + timedelta(days=chosen.choice((0, 0, 1, 30, 300))), date(2022, 12, 27))
    return lot(
        name, Decimal(chosen.randint(1, 20_000_000)).scaleb(-6), Decimal(chosen.randint(0, 900_000)).scaleb(-2), str(on)
    )


async def fill(chosen, sessions):
    houses = [a_household(chosen, number) for number in range(HOUSES)]
    book = [account for house in houses for account in house]
    sets = {each: IDENTICAL.get(each, each) for each in ASSETS}
    instruments = [Instrument(each, "USD", Decimal("0.000001"), "equity", "", name) for each, name in sets.items()]
    header = replace(a_header(), instruments=instruments)
    check = SnapshotCheck(header, MORNING)
    check.add(columns(*book, unit_scale=6))
    snapshot = check.snapshot(MORNING)
    async with sessions.begin() as writing:
        ledger = writing.books
        await ledger.lock_stream()
        await ledger.add_snapshot(snapshot, header.instruments)
        await ledger.add_accounts(list(accounts(columns(*book, unit_scale=6), snapshot, 0)))
        await ledger.open_accounts(snapshot, 0)
    async with sessions.begin() as writing:
        allocations = list(trades(chosen, book))
        await book_allocations(writing.books, allocations, first_position=1, last_position=len(allocations))
    async with sessions.begin() as writing:
        await writing.records.add(events(), MORNING)
        await writing.records.complete({"004-0": date(2023, 6, 30)})


def trades(chosen, book):
    """Purchases and sales of the year, near enough to wash, some of the same day in two accounts; some name lots."""
    day = date(2022, 12, 28)
    traded = [each for each in book if each.currency == "USD" and each.account_id[:3] not in ("020", "021", "022")]
    position = 8
    for _ in range(350):
        position += chosen.choice((1, 1, 2))
        day = min(day + timedelta(days=chosen.choice((0, 0, 1, 2, 3))), date(2023, 12, 28))
        account = chosen.choice(traded)
        asset = chosen.choice(("VTI", "VTI", "VOO", "BND"))
        lots = [each for holding in account.holdings if holding.instrument_id == asset for each in holding.lots]
        there = sum((each.quantity for each in lots), Decimal(0))
        sells = chosen.random() < 0.6 and bool(there)
        units = Decimal(chosen.randint(1, 900_000)).scaleb(-6)
        if sells and chosen.random() < 0.01:
            # More than there is.
            units = there + 100
        value = (units * PRICES[asset] * chosen.randint(80, 110) / 100).quantize(Decimal("0.01"))
        allocation = an_allocation(
            position, Side.SELL if sells else Side.BUY, asset, units, value, account_id=account.account_id,
            fees=Decimal(chosen.randint(0, 300)).scaleb(-2), plan_id=f"p{position}", trade_date=day,
            settlement_date=day + timedelta(days=2),
        )  # fmt: skip
        named = chosen.sample(lots, 1) if sells and chosen.random() < 0.5 else []
        planned = tuple(PlannedLot(each.lot_id, min(units, each.quantity)) for each in named)
        yield PlannedAllocation(allocation, planned)


def events():
    units, money = Decimal(3), Decimal(100)
    return [
        TaxEvent("split", Split(date(2023, 5, 1), "SPLT", 2, 1)),
        TaxEvent("own", Acquisition("own", date(2023, 2, 1), "003-0", "VTI", units, money)),
        TaxEvent("gone", Disposal("gone", date(2023, 3, 1), "003-0", "VTI", units, money)),
        TaxEvent("first", Acquisition("first", date(2022, 3, 1), "004-0", "VTI", units, money)),
    ]


def taxpayers(chosen):
    for number in range(HOUSES):
        income, short, investment = (
            Decimal(chosen.randint(0, most)).scaleb(-2) for most in (60_000_000, 90_000, 9_000_000)
        )
        rate = Decimal(chosen.randint(0, 1330)).scaleb(-4 if number != 31 else -6)
        rules = UnitedStatesYear(chosen.choice(tuple(FilingStatus)), income, short, Decimal(0), investment, rate)
        owners = {f"{number - 1:03}-0": Owner.AFFILIATED} if number % 9 == 1 else {}
        yield Named(f"t{number}", f"h{number:03}" if number != 50 else None, owners, rules, {})
    yield Named("nobody", "no such", {}, UnitedStatesYear(), {})
    yield Named("gone", None, {"no such": Owner.TAXPAYER}, UnitedStatesYear(), {})


def an_app(database, solver, policy):
    clock = FixedClock(YEAR_END)
    return YearEndApp(clock, clock, TaxSessions(database).read, policy, solver)


def said(answered):
    """Return everything that the columns say of each taxpayer, as values."""
    table = answered.table
    found = {answered.named[place].taxpayer_id: [row, [], [], []] for row, place in enumerate(table.places.tolist())}
    names = [*found]
    for column, lines in (
        (table.losses, zip(
            names_of(table.losses.accounts), names_of(table.losses.assets), table.losses.lots,
            numbers_of(table.losses.units), numbers_of(table.losses.losses), table.losses.free_days.tolist(),
            strict=True,
        )),
        (table.windows, zip(names_of(table.windows.assets), table.windows.open_days.tolist(), strict=True)),
    ):  # fmt: skip
        for row, line in zip(column.rows.tolist(), lines, strict=True):
            found[names[row]][1 if column is table.losses else 2].append(line)
    for row, sentence in table.reviews:
        found[names[row]][3].append(sentence)
    columns_of = [numbers_of(column) for column in (*table.amounts, table.permanently_lost, table.savings)]
    for name, each in found.items():
        amounts = [column[each[0]] for column in columns_of]
        found[name] = [
            dict(zip(table.lines, amounts, strict=False)),
            amounts,
            int(table.differences[each[0]]),
            *each[1:],
        ]
    refused = {
        answered.named[place].taxpayer_id: (fact.reason, fact.message) for place, fact in answered.refused.items()
    }
    return found, refused


def names_of(words):
    return [words.words[index] for index in words.indexes.tolist()]


def numbers_of(scaled):
    return [Decimal(each).scaleb(-scaled.places) for each in scaled.units.tolist()]


@pytest.mark.parametrize("seed", [1, 2])
async def test_rows_and_loaded_accounts_come_to_the_same_for_every_taxpayer_of_a_random_book(database, seed):
    chosen = random.Random(seed)
    await fill(chosen, TaxSessions(database))
    same = document_pb.EquivalenceSet(instrument_ids=["BND", "VTI"])
    policy = FakePolicy(own={"005-0": a_policy(eligibility=document_pb.Eligibility(equivalences=[same]))})
    filing = Filing(YEAR, TODAY, TODAY, PRICES, law_book(()))
    named = list(taxpayers(chosen))
    rows, loading = Rows(), Rows(by_rows=False)

    fast = await an_app(database, rows, policy).answered(filing, named)
    slow = await an_app(database, loading, policy).answered(filing, named)

    assert said(fast) == said(slow)
    assert (loading.said, rows.said > HOUSES // 2) == (0, True)
    everything, refused = said(fast)
    assert len(everything) + len(refused) == len(named)
    assert {"nobody", "gone", "t7", "t50"} <= refused.keys()
    # One id in two accounts is no reason to refuse anybody.
    assert "t11" in everything
    # Losses, some of which wait; windows; what is to be reviewed; wash sales; where ledger and book differ.
    assert any(line[-1] for each in everything.values() for line in each[3])
    assert any(each[4] for each in everything.values())
    assert any(each[5] for each in everything.values())
    assert any(amount for each in everything.values() for name, amount in each[0].items() if "wash" in name[0])
