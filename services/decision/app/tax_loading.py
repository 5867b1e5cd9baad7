"""Loads what ledgers are derived from: accounts, what is on record about them, and identical instruments."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date

from services.decision.app.book import AccountNotFound, Books
from services.decision.app.tax_ports import TaxRecords
from services.decision.domain.book import AccountBook, SnapshotId
from services.decision.domain.problem import Side
from services.decision.domain.tax.assessment.history import (
    Disposal,
    Gift,
    Owner,
    Transfer,
)
from services.decision.domain.tax.assessment.rows import Redemption
from services.decision.domain.tax.events import TaxEvent
from services.decision.domain.tax.ledger import (
    BookedTrade,
    LedgerAccount,
)
from services.kernel.ids import AccountId, InstrumentId

# More accounts than a household has.
HOUSEHOLD_MAX = 1_000


async def loaded(
    books: Books, records: TaxRecords, owners: Mapping[AccountId, Owner], identical: Mapping[str, str]
) -> tuple[Sequence[LedgerAccount], Sequence[TaxEvent], Mapping[str, str]]:
    """Return accounts with what is on record about them, the events that count, and the sets of identical instruments.

    Raises:
        AccountNotFound: The book does not have one.
    """
    found = await books.accounts(owners.keys(), trades_since=date.max)
    check_found(owners.keys(), found)
    until = await records.complete_until(owners.keys())
    trades = await records.trades(owners.keys())
    events = await records.counting(owners.keys())
    accounts = [
        LedgerAccount(
            account,
            owners[account.account_id],
            await opening(books, account),
            until.get(account.account_id),
            tuple(trades.get(account.account_id, ())),
        )
        for account in found
    ]
    names = {InstrumentId(each.row.asset) for each in events}
    names |= {each.instrument_id for account in found for each in account.positions}
    names |= {each.instrument_id for booked in trades.values() for each in booked}
    instruments = await books.instruments(names)
    sets = {str(name): each.identity_set for name, each in instruments.items() if each.identity_set != name}
    return accounts, events, {**sets, **identical}


def sale_days(events: Iterable[TaxEvent], trades: Mapping[AccountId, Sequence[BookedTrade]]) -> set[date]:
    """Return the days on which something left an account: a loss is judged by the sets of its day."""
    left = {each.row.day for each in events if isinstance(each.row, Disposal | Gift | Redemption | Transfer)}
    return left | {each.trade_date for booked in trades.values() for each in booked if each.side is Side.SELL}


def days_of(accounts: Sequence[LedgerAccount], events: Sequence[TaxEvent]) -> set[date]:
    """Return the days on which something left one of the accounts."""
    return sale_days(events, {each.account.account_id: each.trades for each in accounts})


async def with_households(books: Books, account_ids: Collection[AccountId]) -> Sequence[Sequence[AccountBook]]:
    """Return the accounts in groups, each with all accounts of its household; one without is a group of its own."""
    groups: dict[str, Sequence[AccountBook]] = {}
    for account in await books.holdings(account_ids):
        household = account.household_id
        name = f"household {household}" if household is not None else f"account {account.account_id}"
        if name not in groups:
            alone = household is None
            groups[name] = [account] if alone else await books.listed(household, None, HOUSEHOLD_MAX)
    return list(groups.values())


def named(events: Iterable[TaxEvent]) -> set[AccountId]:
    """Return the accounts that events name."""
    return {AccountId(each.account_id) for each in events if each.account_id is not None}


async def opening(books: Books, account: AccountBook) -> AccountBook:
    """Return an account as its snapshot had it.

    Raises:
        AccountNotFound: It has no snapshot.
    """
    begin = await books.of_snapshot(SnapshotId(account.snapshot_id), account.account_id)
    if begin is None:
        raise AccountNotFound(f"account {account.account_id} has no snapshot", account_id=account.account_id)
    return begin


def check_found(wanted: Iterable[AccountId], found: Sequence[AccountBook]) -> None:
    """Refuse accounts that the book does not have.

    Raises:
        AccountNotFound: One was wanted and not found.
    """
    missing = sorted(set(wanted) - {each.account_id for each in found})
    if missing:
        raise AccountNotFound(f"account {missing[0]} does not exist", account_id=missing[0])
