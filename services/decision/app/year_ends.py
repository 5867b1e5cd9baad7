"""Runs the year-ends of many households: reads some hundred at a time, and lets each be assessed or said why not."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import date, datetime

from services.decision.app.policy_sets import DatedSets, PolicySets
from services.decision.app.ports.books import Books
from services.decision.app.ports.policy import PolicyDocuments
from services.decision.app.ports.solving import YearEndSolver
from services.decision.app.prices import PriceSetNotFound
from services.decision.app.tax_loading import Loaded, loaded_each, recordable_until
from services.decision.app.tax_ports import RowsRead, TaxReading, TaxRows
from services.decision.domain.book.account import exchange_day
from services.decision.domain.prices import PriceSetId
from services.decision.domain.tax.account_rows import RowFilers
from services.decision.domain.tax.assessment.history import Owner
from services.decision.domain.tax.assessment.results import TaxRules
from services.decision.domain.tax.assessment.united_states import UnitedStatesYear
from services.decision.domain.tax.currencies import DayRates
from services.decision.domain.tax.filing import Filed, Filer, Filing, TaxpayerUnknown
from services.decision.domain.tax.laws import law_book
from services.decision.domain.tax.year_end import YearEnd
from services.decision.domain.tax.year_end_table import YearEndTable, joined, table_of
from services.kernel.clock import Clock
from services.kernel.errors import Fact, FieldViolation
from services.kernel.ids import AccountId, HouseholdId

# Taxpayers whose accounts are in memory together as rows, and as values: these are some thirty times as large.
TOGETHER_MAX = 500
LOADED_MAX = 100
# Taxpayers of this law may go by rows.
_BY_ROWS = UnitedStatesYear
# Accounts listed at once when the book is gone through for those that nobody named.
LISTED_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class Named:
    """A taxpayer as the caller names it.

    Attributes:
        household_id: Its accounts are the taxpayer's own, but for those that `owners` says another thing of.
        owners: Accounts that are named, and whose they are.
        rules: With what is known of the taxpayer, or why that cannot be read.
        rates: For accounts that are kept in another currency than the law's, by day and currency.
    """

    taxpayer_id: str
    household_id: HouseholdId | None
    owners: Mapping[AccountId, Owner]
    rules: TaxRules | Fact
    rates: DayRates


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of some taxpayers.

    Attributes:
        named: In the order asked.
        account_ids: Of each of them.
        table: Of those who could be assessed, by their place among `named`.
        refused: Why the others could not, by their place.
    """

    named: Sequence[Named]
    account_ids: Sequence[Sequence[AccountId]]
    table: YearEndTable
    refused: Mapping[int, Fact]


@dataclass(frozen=True, slots=True)
class YearEndApp:
    """Assesses the years of many taxpayers. `clock` is the computer's, `market_clock` that of a market's replay too."""

    clock: Clock
    market_clock: Clock
    read: Callable[[], AbstractAsyncContextManager[TaxReading]]
    policy: PolicyDocuments
    solver: YearEndSolver

    async def filing(self, tax_year: int, price_set_id: PriceSetId | None, law_time: datetime | None) -> Filing:
        """Return what a run rests on: the newest prices when `price_set_id` is None, the law of now for `law_time`.

        Raises:
            PriceSetNotFound: There are no such prices.
        """
        async with self.read() as session:
            found = await session.prices.price_set(price_set_id)
            law = law_book(await session.laws.versions(), law_time)
        if found is None and price_set_id is not None:
            raise PriceSetNotFound(f"price set {price_set_id} does not exist", price_set_id=price_set_id)
        quotes = {} if found is None else found.quotes
        until = recordable_until(self.clock, self.market_clock)
        day = exchange_day(self.market_clock.now() if found is None else found.as_of_time)
        return Filing(tax_year, day, until, {str(name): quote.price for name, quote in quotes.items()}, law)

    async def answered(self, filing: Filing, named: Sequence[Named]) -> Answered:
        """Return the year-end of each of at most `TOGETHER_MAX` taxpayers of one country, or why there is none.

        Whose accounts columns can say goes by rows of the book; who is left is loaded, by the hundred.

        Raises:
            Unreachable: Policy, whose sets of identical instruments are needed, does not answer.
        """
        async with self.read() as session:
            owners = await _owners(session.books, named)
            read = await _rows_of(session.rows, named, owners)
        table = await self._by_rows(filing, named, owners, *read)
        done = set(table.places.tolist())
        left = [place for place in range(len(named)) if place not in done]
        refused: dict[int, Fact] = {}
        ends: dict[int, tuple[YearEnd, int]] = {}
        for begin in range(0, len(left), LOADED_MAX):
            some = left[begin : begin + LOADED_MAX]
            filed = await self._loaded(filing, [named[place] for place in some], [owners[place] for place in some])
            for place, each in zip(some, filed, strict=True):
                if isinstance(each.outcome, Fact):
                    refused[place] = each.outcome
                else:
                    ends[place] = each.outcome, each.differences
        account_ids = [sorted(each) for each in owners]
        return Answered(named, account_ids, joined(table, table_of(ends)), refused)

    async def _by_rows(
        self,
        filing: Filing,
        named: Sequence[Named],
        owners: Sequence[Mapping[AccountId, Owner]],
        read: RowsRead,
        identical: Mapping[str, str],
        happened: frozenset[str],
    ) -> YearEndTable:
        """Return the year-ends of those whom columns can say."""
        rows = {name: row for row, name in enumerate(read.rows.account_ids) if read.rows.plain[row]}
        places = [place for place, each in enumerate(named) if _in_rows(each, owners[place], rows)]
        if not places:
            return table_of({})
        sets = await self._sets([(owners[place], _sale_days(read, owners[place])) for place in places])
        # What policies name beside the book is not among the columns.
        places = [place for place, each in zip(places, sets, strict=True) if not each]
        owned = [(row, name) for row, place in enumerate(places) for name in sorted(owners[place])]
        filers = RowFilers(
            places=places,
            rules=[each.rules for each in (named[place] for place in places) if isinstance(each.rules, _BY_ROWS)],
            owned_taxpayers=[row for row, _ in owned],
            owned_accounts=[rows[name] for _, name in owned],
            affiliated=[owners[places[row]][name] is not Owner.TAXPAYER for row, name in owned],
            rows=read.rows,
            identical=identical,
            happened=happened,
        )
        return await self.solver.year_end_table(filing, filers)

    async def _loaded(
        self, filing: Filing, named: Sequence[Named], owners: Sequence[Mapping[AccountId, Owner]]
    ) -> Sequence[Filed]:
        """Return what came of taxpayers whose accounts are loaded, in order."""
        async with self.read() as session:
            loaded = await loaded_each(session.books, session.records, owners)
        sets = await self._sets(
            [
                ([row.account.account_id for row in each.accounts], each.sale_days)
                if isinstance(each, Loaded)
                else ((), ())
                for each in loaded
            ]
        )
        refused: dict[int, Fact] = {}
        filers: dict[int, Filer] = {}
        for place, (each, known) in enumerate(zip(named, loaded, strict=True)):
            if isinstance(each.rules, Fact):
                refused[place] = each.rules
            elif not owners[place]:
                refused[place] = _nobody(each)
            elif not isinstance(known, Loaded):
                refused[place] = known
            else:
                filers[place] = Filer(
                    each.rules,
                    known.accounts,
                    known.events,
                    known.identical,
                    sets[place],
                    known.kinds,
                    each.rates,
                    known.fund_years,
                )
        done = dict(zip(filers, await self.solver.year_ends(filing, [*filers.values()]), strict=True))
        return [Filed(refused[place]) if place in refused else done[place] for place in range(len(named))]

    async def _sets(self, of_each: Sequence[tuple[Collection[AccountId], Collection[date]]]) -> Sequence[DatedSets]:
        """Return the sets of identical instruments that the policies of each taxpayer's accounts name on its days."""
        of_days: dict[date, set[AccountId]] = {}
        for account_ids, days in of_each:
            for day in days:
                of_days.setdefault(day, set()).update(account_ids)
        asked = PolicySets(self.policy, (), of_days)
        return [await asked.of(account_ids, days) if days else () for account_ids, days in of_each]

    async def accounts(self, after: AccountId | None) -> Sequence[tuple[AccountId, str]]:
        """Return the next accounts of the book after one, by id, each with its currency; none at the end."""
        async with self.read() as session:
            found = await session.books.listed(None, after, LISTED_AT_ONCE)
        return [(each.account_id, each.currency) for each in found]


async def _owners(books: Books, named: Sequence[Named]) -> Sequence[Mapping[AccountId, Owner]]:
    members = await books.members({each.household_id for each in named if each.household_id is not None})
    found: list[Mapping[AccountId, Owner]] = []
    for each in named:
        household = () if each.household_id is None else members.get(each.household_id, ())
        found.append({**dict.fromkeys(household, Owner.TAXPAYER), **each.owners})
    return found


async def _rows_of(
    book: TaxRows, named: Sequence[Named], owners: Sequence[Mapping[AccountId, Owner]]
) -> tuple[RowsRead, Mapping[str, str], frozenset[str]]:
    """Return the rows of the accounts of taxpayers who may go by rows, and what the book says of instruments."""
    wanted = {
        name
        for each, of in zip(named, owners, strict=True)
        if isinstance(each.rules, _BY_ROWS)
        for name in of
    }  # fmt: skip
    read = await book.rows(wanted)
    return (read, await book.identical(), await book.happened()) if wanted else (read, {}, frozenset())


def _in_rows(named: Named, owners: Collection[AccountId], rows: Mapping[str, int]) -> bool:
    return isinstance(named.rules, _BY_ROWS) and bool(owners) and all(name in rows for name in owners)


def _sale_days(read: RowsRead, account_ids: Collection[AccountId]) -> set[date]:
    return {day for name in account_ids for day in read.sale_days.get(name, ())}


def _nobody(named: Named) -> TaxpayerUnknown:
    if named.household_id is None:
        field, description = "account_ids", "must name an account, or the taxpayer a household"
    else:
        field, description = "household_ids", f"must be a household with accounts, was {named.household_id}"
    message = f"taxpayer {named.taxpayer_id}: {field} {description}"
    return TaxpayerUnknown(message, violations=[FieldViolation(field, description)])
