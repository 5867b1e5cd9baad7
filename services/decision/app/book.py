"""Keeps the book: takes snapshots in, shows accounts, and reconciles."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from services.decision.app.events import plan_moved
from services.decision.app.ports.books import Allocations, Books, Ledger, RunAccounts, Targets
from services.decision.app.prices import Prices
from services.decision.domain.book import (
    AccountBook,
    BookColumns,
    Expected,
    Reconciliation,
    Snapshot,
    SnapshotCheck,
    SnapshotHeader,
    SnapshotId,
    Valuation,
    accounts,
    day_covered,
    valued,
)
from services.decision.domain.identification import Identification
from services.decision.domain.run import RunNotFound
from services.decision.domain.tax.laws import LAW_OF_CURRENCY
from services.kernel.clock import Clock
from services.kernel.errors import NotFound, Rejected
from services.kernel.events import Event
from services.kernel.ids import AccountId, HouseholdId, InstrumentId, RunId

# Accounts are read this many at a time where all are looked at; the event loop has others to serve in between.
ACCOUNTS_AT_ONCE = 500
# An error names this many accounts.
ACCOUNTS_NAMED_MAX = 20


class AccountNotFound(NotFound):
    """No account has this id."""

    reason = "ACCOUNT_NOT_FOUND"


class SnapshotNotFound(NotFound):
    """No snapshot has this id."""

    reason = "SNAPSHOT_NOT_FOUND"


class SnapshotOutdated(Rejected):
    """The snapshot is older than what an account has."""

    reason = "SNAPSHOT_STALE"


@dataclass(frozen=True, slots=True)
class View:
    """What may be read together, in one transaction."""

    books: Books
    prices: Prices
    targets: Targets
    runs: RunAccounts


@dataclass(frozen=True, slots=True)
class AccountView:
    """An account, its value, what it should hold, and its net short-term and long-term gain of the tax year.

    `targets` is None without a plan.
    """

    account: AccountBook
    valuation: Valuation
    targets: Mapping[InstrumentId, Decimal] | None
    gains: tuple[Decimal, Decimal]


@dataclass(frozen=True, slots=True)
class BookApp:
    """The use cases of the book."""

    read: Callable[[], AbstractAsyncContextManager[View]]
    begin: Callable[[], AbstractAsyncContextManager[Ledger]]
    execution: Allocations
    clock: Clock
    market_clock: Clock

    async def check_book(self, header: SnapshotHeader, parts: Iterable[BookColumns]) -> Snapshot:
        """Return the snapshot that header and parts make. Nothing is written.

        Raises:
            BookInvalid: It contradicts itself.
            InstrumentUnknown: It names instruments that the header does not list.
        """
        # In a thread: a large book takes seconds, and the event loop has others to serve.
        return await asyncio.to_thread(_checked, header, parts, self.market_clock.now(), self.clock.now())

    async def record_book(self, snapshot: Snapshot, header: SnapshotHeader, parts: Iterable[BookColumns]) -> Snapshot:
        """Record a snapshot that `check_book` made of the same header and parts, all or nothing.

        Idempotent: the same content is the same snapshot, and recording it again changes nothing.

        Raises:
            SnapshotOutdated: An account has something later.
        """
        async with self.begin() as ledger:
            # What execution reported until now is in the snapshot; what it reports later is booked on top.
            position = await ledger.lock_stream()
            known = await ledger.snapshot(snapshot.snapshot_id)
            if known is not None:
                return known
            await ledger.add_snapshot(snapshot, header.instruments)
            rest = iter(parts)
            while opened := await asyncio.to_thread(_opened, rest, snapshot, position):
                await ledger.add_accounts(opened)
            ahead = await ledger.ahead_of(snapshot, day_covered(snapshot.as_of_time), ACCOUNTS_NAMED_MAX)
            if ahead:
                named = ", ".join(ahead)
                instant = snapshot.as_of_time.isoformat()
                raise SnapshotOutdated(f"accounts have what is later than {instant}: {named}", account_ids=named)
            await ledger.open_accounts(snapshot, position)
            # They were decided on what is replaced now. Those that execution has go on, and are booked on top.
            superseded = await ledger.supersede_plans(snapshot, self.clock.now())
            identified = await ledger.identify(header.identifications, snapshot.as_of_time)
            await ledger.emit(
                [
                    _book_ingested(snapshot, position),
                    *(plan_moved(each, f"snapshot {snapshot.snapshot_id} replaced the book") for each in superseded),
                    *(_instrument_identified(snapshot, each, said) for each, said in sorted(identified.items())),
                ]
            )
        return snapshot

    async def get_account(self, account_id: AccountId, snapshot_id: SnapshotId | None) -> AccountView:
        """Return an account as it is now, or as a snapshot had it, at the newest prices.

        Raises:
            AccountNotFound: There is no such account, or the snapshot does not have it.
            SnapshotNotFound: There is no such snapshot.
        """
        async with self.read() as view:
            if snapshot_id is None:
                found = await view.books.accounts([account_id], trades_since=date.max)
                account = found[0] if found else None
            else:
                if await view.books.snapshot(snapshot_id) is None:
                    raise _no_snapshot(snapshot_id)
                account = await view.books.of_snapshot(snapshot_id, account_id)
            if account is None:
                raise AccountNotFound(f"account {account_id} does not exist", account_id=account_id)
            day = self._today() if snapshot_id is None else account.as_of_time.date()
            return (await _views(view, [account], day))[0]

    async def list_accounts(
        self, household_id: HouseholdId | None, after: AccountId | None, limit: int
    ) -> Sequence[AccountView]:
        """Return accounts after `after` by id, of the household or of all, at the newest prices."""
        async with self.read() as view:
            return await _views(view, await view.books.listed(household_id, after, limit), self._today())

    async def get_snapshot(self, snapshot_id: SnapshotId) -> Snapshot:
        """Return a snapshot.

        Raises:
            SnapshotNotFound: There is none with this id.
        """
        async with self.read() as view:
            snapshot = await view.books.snapshot(snapshot_id)
        if snapshot is None:
            raise _no_snapshot(snapshot_id)
        return snapshot

    async def list_snapshots(self, before: int | None, limit: int) -> Sequence[tuple[int, Snapshot]]:
        """Return snapshots with their number, newest first, those before number `before`."""
        async with self.read() as view:
            return await view.books.snapshots(before, limit)

    def _today(self) -> date:
        return self.market_clock.now().date()

    async def reconcile(self, run_id: RunId | None) -> Reconciliation:
        """Compare the accounts of a run, or all, with what snapshots and execution make of them.

        What execution reported and is not booked yet differs, and is shown.

        Raises:
            RunNotFound: There is no such run.
            Unreachable: Execution does not answer.
        """
        expected = Expected()
        current: list[AccountBook] = []
        async with self.read() as view:
            async for account_ids in _batches(view, run_id):
                found = await view.books.holdings(account_ids)
                for opening in await view.books.openings(found):
                    expected.open(opening)
                current += found
        async for allocations in self.execution.allocations(expected.first_position):
            for allocation in allocations:
                expected.add(allocation)
        return expected.compared(current)


def _checked(header: SnapshotHeader, parts: Iterable[BookColumns], now: datetime, record_time: datetime) -> Snapshot:
    check = SnapshotCheck(header, now)
    for columns in parts:
        check.add(columns)
    return check.snapshot(record_time)


def _opened(parts: Iterable[BookColumns], snapshot: Snapshot, position: int) -> list[AccountBook]:
    """Return the accounts of the next part that has some; none after the last."""
    for columns in parts:
        opened = list(accounts(columns, snapshot, position))
        if opened:
            return opened
    return []


async def _views(view: View, found: Sequence[AccountBook], day: date) -> list[AccountView]:
    """Return the accounts with their gains of the tax year in which `day` is."""
    prices = await view.prices.price_set(None)
    targets = await view.targets.target_weights([account.account_id for account in found])
    return [
        AccountView(
            account,
            valued(account, prices, targets.get(account.account_id)),
            targets.get(account.account_id),
            _gains(account, day),
        )
        for account in found
    ]


def _gains(account: AccountBook, day: date) -> tuple[Decimal, Decimal]:
    law = LAW_OF_CURRENCY.get(account.currency)
    tax_year = law.planning.tax_year if law is not None else _calendar_year
    return account.gains(tax_year, tax_year(day))


def _calendar_year(day: date) -> int:
    return day.year


async def _batches(view: View, run_id: RunId | None) -> AsyncIterator[Sequence[AccountId]]:
    if run_id is None:
        after: AccountId | None = None
        while account_ids := await view.books.account_ids(after, ACCOUNTS_AT_ONCE):
            yield account_ids
            after = account_ids[-1]
        return
    of_run = await view.runs.run_account_ids(run_id)
    if of_run is None:
        raise RunNotFound(f"run {run_id} does not exist", run_id=run_id)
    for start in range(0, len(of_run), ACCOUNTS_AT_ONCE):
        yield of_run[start : start + ACCOUNTS_AT_ONCE]


def _no_snapshot(snapshot_id: SnapshotId) -> SnapshotNotFound:
    return SnapshotNotFound(f"snapshot {snapshot_id} does not exist", snapshot_id=snapshot_id)


def _book_ingested(snapshot: Snapshot, position: int) -> Event:
    return Event(
        kind="decision.book.ingested",
        subjects={"snapshot": str(snapshot.snapshot_id)},
        data={
            "source": snapshot.source,
            "as_of_time": snapshot.as_of_time,
            "content_hash": snapshot.content_hash,
            "account_count": snapshot.account_count,
            "position_count": snapshot.position_count,
            "lot_count": snapshot.lot_count,
            "opening_position": position,
        },
    )


def _instrument_identified(snapshot: Snapshot, instrument_id: InstrumentId, said: Identification) -> Event:
    return Event(
        kind="decision.instrument.identified",
        subjects={"instrument": str(instrument_id), "snapshot": str(snapshot.snapshot_id)},
        data={"isin": said.isin, "cfi": said.cfi, "full_name": said.full_name, "as_of_time": snapshot.as_of_time},
    )
