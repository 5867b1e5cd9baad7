"""Runs the year-ends of many households: loads them by the hundred, and lets each be assessed or said why not."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import date, datetime

from services.decision.app.book import Books
from services.decision.app.policy_sets import DatedSets, PolicySets
from services.decision.app.ports.policy import PolicyDocuments
from services.decision.app.ports.solving import YearEndSolver
from services.decision.app.prices import PriceSetNotFound
from services.decision.app.tax_loading import Loaded, loaded_each, recordable_until
from services.decision.app.tax_ports import TaxReading
from services.decision.domain.book.account import exchange_day
from services.decision.domain.prices import PriceSetId
from services.decision.domain.tax.assessment.history import Owner
from services.decision.domain.tax.assessment.results import TaxRules
from services.decision.domain.tax.currencies import DayRates
from services.decision.domain.tax.filing import Filed, Filer, Filing, TaxpayerUnknown
from services.decision.domain.tax.laws import law_book
from services.kernel.clock import Clock
from services.kernel.errors import Fact, FieldViolation
from services.kernel.ids import AccountId, HouseholdId

# Taxpayers whose accounts are in memory together.
TOGETHER_MAX = 100
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
    """A taxpayer, its accounts, and what came of it."""

    taxpayer_id: str
    account_ids: Sequence[AccountId]
    filed: Filed


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

    async def answered(self, filing: Filing, named: Sequence[Named]) -> Sequence[Answered]:
        """Return the year-end of each of at most `TOGETHER_MAX` taxpayers, in order, or why there is none.

        Raises:
            Unreachable: Policy, whose sets of identical instruments are needed, does not answer.
        """
        async with self.read() as session:
            owners = await _owners(session.books, named)
            loaded = await loaded_each(session.books, session.records, owners)
        sets = await self._sets(loaded)
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
        return [
            Answered(
                each.taxpayer_id, sorted(owners[place]), Filed(refused[place]) if place in refused else done[place]
            )
            for place, each in enumerate(named)
        ]

    async def _sets(self, loaded: Sequence[Loaded | Fact]) -> Sequence[DatedSets]:
        """Return the sets of identical instruments that policies name, of each taxpayer's own days of sale."""
        of_each: list[tuple[Collection[AccountId], Collection[date]]] = []
        of_days: dict[date, set[AccountId]] = {}
        for each in loaded:
            if not isinstance(each, Loaded):
                of_each.append(((), ()))
                continue
            account_ids = [row.account.account_id for row in each.accounts]
            days = each.sale_days
            of_each.append((account_ids, days))
            for day in days:
                of_days.setdefault(day, set()).update(account_ids)
        asked = PolicySets(self.policy, (), of_days)
        return [await asked.of(account_ids, days) for account_ids, days in of_each]

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


def _nobody(named: Named) -> TaxpayerUnknown:
    if named.household_id is None:
        field, description = "account_ids", "must name an account, or the taxpayer a household"
    else:
        field, description = "household_ids", f"must be a household with accounts, was {named.household_id}"
    message = f"taxpayer {named.taxpayer_id}: {field} {description}"
    return TaxpayerUnknown(message, violations=[FieldViolation(field, description)])
