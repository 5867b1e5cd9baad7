"""Loads what ledgers are derived from: accounts, what is on record about them, and identical instruments."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from services.decision.app.book import AccountNotFound
from services.decision.app.policy_sets import DatedSets
from services.decision.app.ports.books import Books
from services.decision.app.tax_ports import TaxRecords
from services.decision.domain.asset_kinds import AssetKind
from services.decision.domain.book import AccountBook
from services.decision.domain.book.account import exchange_day
from services.decision.domain.fund_years import FundYear
from services.decision.domain.problem import Side
from services.decision.domain.tax.assessment.history import History, Owner, Reorganization
from services.decision.domain.tax.currencies import DayRates, TaxCurrency, tax_currency
from services.decision.domain.tax.events import LEAVING, TaxEvent
from services.decision.domain.tax.laws import Law
from services.decision.domain.tax.ledger import LedgerAccount, known_until, ledger_history
from services.kernel.clock import Clock
from services.kernel.ids import AccountId, InstrumentId


def recordable_until(clock: Clock, market_clock: Clock) -> date:
    """Return the last day that may be on record: nothing later has happened by either clock."""
    return max(clock.now().date(), exchange_day(market_clock.now()))


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a ledger is derived from.

    Attributes:
        accounts: With what is on record about them, by id; one or more.
        events: Those that count, of the accounts and of every asset that they had or that became of one.
        identical: By instrument, the set of identical instruments that it is in.
        kinds: What instruments are to the law.
        fund_years: Of funds, for Germany's advance lump sums.
    """

    accounts: Sequence[LedgerAccount]
    events: Sequence[TaxEvent]
    identical: Mapping[str, str]
    kinds: Mapping[str, AssetKind]
    fund_years: tuple[FundYear, ...]

    @property
    def account_ids(self) -> Sequence[AccountId]:
        """The accounts, ascending."""
        return [each.account.account_id for each in self.accounts]

    @property
    def currency(self) -> str:
        """In which the first of them is kept."""
        return self.accounts[0].account.currency

    @property
    def sale_days(self) -> set[date]:
        """The days on which something left one of the accounts: a loss is judged by the sets of its day."""
        sold = {each.trade_date for row in self.accounts for each in row.trades if each.side is Side.SELL}
        return sold | {each.row.day for each in self.events if isinstance(each.row, LEAVING)}

    def exchange(self, law: Law, rates: DayRates | None) -> TaxCurrency | None:
        """Return what turns amounts of the accounts into the law's currency, as `tax_currency` does.

        Raises:
            CurrencyWithoutRate: An account is kept in another currency than the law's, and there are no rates.
        """
        return tax_currency(law, {each.account_id: each.account.currency for each in self.accounts}, rates)

    def history(self, named_sets: DatedSets, law: Law, today: date, rates: DayRates | None = None) -> History:
        """Return the checked history of the accounts.

        Args:
            named_sets: Further sets of identical instruments that policies named, each from its day on.
            law: By which they are taxed.
            today: Nothing later has happened.
            rates: Of days and currencies into the law's; none when None.

        Raises:
            CurrencyWithoutRate: An account is kept in another currency than the law's, and the rate of a day is not
                known.
            PaidInAnotherCurrency: A merger or redemption paid money, and not in the accounts' currency.
            Invalid: A value of it cannot be.
        """
        exchange = self.exchange(law, rates)
        settled = law.by_settlement
        history = ledger_history(
            self.accounts, self.events, self.identical, named_sets, settled=settled, exchange=exchange
        )
        return history.checked(known_until(self.accounts, today, settled=settled))


async def loaded(
    books: Books, records: TaxRecords, owners: Mapping[AccountId, Owner], identical: Mapping[str, str]
) -> Loaded:
    """Return what the ledger of accounts is derived from; `identical` beside what the book says.

    Raises:
        AccountNotFound: The book does not have one.
    """
    (found,) = await loaded_each(books, records, [owners])
    if isinstance(found, AccountNotFound):
        raise found
    return replace(found, identical={**found.identical, **identical})


async def loaded_each(
    books: Books, records: TaxRecords, each_owners: Sequence[Mapping[AccountId, Owner]]
) -> Sequence[Loaded | AccountNotFound]:
    """Return what each of many ledgers is derived from, in order; a few queries, however many they are."""
    ids = sorted({name for owners in each_owners for name in owners})
    accounts = {each.account_id: each for each in await books.accounts(ids, trades_since=date.max)}
    until = await records.complete_until(ids)
    trades = await records.trades(ids)
    # Who rests on the snapshot alone is as it was there, and who has a whole history began with nothing.
    booked = [each for each in accounts.values() if each.booked_position != each.opening_position]
    openings = {each.account_id: each for each in await books.openings(booked, lots=True)}
    events: dict[str | None, list[TaxEvent]] = {}
    for event in await records.counting(ids):
        events.setdefault(event.account_id, []).append(event)
    of_all = _OfAll(events.pop(None, []))
    names = {InstrumentId(each.row.asset) for some in (*events.values(), of_all.events) for each in some}
    names |= {each.instrument_id for account in accounts.values() for each in account.positions}
    names |= {each.instrument_id for some in trades.values() for each in some}
    instruments = {str(name): each for name, each in (await books.instruments(names)).items()}
    everywhere = {name: instruments[name] for name in sorted(of_all.by_asset) if name in instruments}
    found: list[Loaded | AccountNotFound] = []
    for owners in each_owners:
        missing = sorted(owners.keys() - accounts.keys())
        if missing:
            found.append(AccountNotFound(f"account {missing[0]} does not exist", account_id=missing[0]))
            continue
        rows = [
            LedgerAccount(
                accounts[name],
                owners[name],
                openings.get(name, accounts[name]),
                until.get(name),
                tuple(trades.get(name, ())),
            )
            for name in sorted(owners)
        ]
        own = [event for name in owners for event in events.get(name, ())]
        used = {event.row.asset for event in own}
        used |= {str(each.instrument_id) for row in rows for each in row.trades}
        used |= {str(each.instrument_id) for row in rows for each in (*row.account.positions, *row.opening.positions)}
        ordered = sorted((*own, *of_all.concerning(used)), key=lambda each: (each.row.day, each.event_id))
        # Sets may meet in an instrument that none of the accounts had.
        known = everywhere | {name: instruments[name] for name in used if name in instruments}
        identical = {name: each.identity_set for name, each in known.items() if each.identity_set != name}
        kinds = {name: each.asset_kind for name, each in known.items()}
        years = tuple(year for name in sorted(known) for year in known[name].fund_years)
        found.append(Loaded(rows, ordered, identical, kinds, years))
    return found


class _OfAll:
    """What happened to instruments, and so to every account."""

    def __init__(self, events: Sequence[TaxEvent]) -> None:
        """Find events by their instrument."""
        self.events = events
        self.by_asset: dict[str, list[TaxEvent]] = {}
        for event in events:
            self.by_asset.setdefault(event.row.asset, []).append(event)

    def concerning(self, assets: Collection[str]) -> Sequence[TaxEvent]:
        """Return what happened to the assets and to what became of them: of a long record, most concerns others."""
        found: list[TaxEvent] = []
        waiting, seen = [*assets], set(assets)
        while waiting:
            of_asset = self.by_asset.get(waiting.pop(), ())
            found += of_asset
            became = {event.row.new_asset for event in of_asset if isinstance(event.row, Reorganization)} - seen
            waiting += became
            seen |= became
        return found


async def families(books: Books, account_ids: Collection[AccountId]) -> Sequence[Sequence[AccountId]]:
    """Return the accounts that exist in groups, by their first, each with all accounts of its household, ascending.

    One without a household is a group of its own.
    """
    households = await books.households(account_ids)
    members = await books.members({each for each in households.values() if each is not None})
    groups: dict[str, Sequence[AccountId]] = {}
    for account_id, household_id in sorted(households.items()):
        if household_id is None:
            groups[f"account {account_id}"] = [account_id]
        else:
            groups.setdefault(f"household {household_id}", members[household_id])
    return list(groups.values())


def named(events: Iterable[TaxEvent]) -> set[AccountId]:
    """Return the accounts that events name."""
    return {AccountId(each.account_id) for each in events if each.account_id is not None}


def check_found(wanted: Iterable[AccountId], found: Sequence[AccountBook]) -> None:
    """Refuse accounts that the book does not have.

    Raises:
        AccountNotFound: One was wanted and not found.
    """
    missing = sorted(set(wanted) - {each.account_id for each in found})
    if missing:
        raise AccountNotFound(f"account {missing[0]} does not exist", account_id=missing[0])
