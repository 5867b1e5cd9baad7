"""Keeps what happened to accounts' lots, and works out what a history comes to under the tax law of a country."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import date, datetime

from services.decision.app.policy_sets import PolicySets
from services.decision.app.ports.policy import PolicyDocuments
from services.decision.app.prices import PriceSetNotFound
from services.decision.app.tax_drawing import drawing_wish
from services.decision.app.tax_loading import check_found, loaded, named, recordable_until
from services.decision.app.tax_ports import (
    Assessed,
    Comparison,
    EventFilter,
    Ledger,
    Recorded,
    Taxpayer,
    TaxReading,
    TaxWriting,
    TaxYear,
    Wish,
)
from services.decision.app.tax_standing import StandingApp
from services.decision.domain.book.account import exchange_day
from services.decision.domain.prices import PriceSetId
from services.decision.domain.tax.actions import Terms, compare
from services.decision.domain.tax.assessment.history import (
    EARLIEST_DATE,
    History,
    Owner,
)
from services.decision.domain.tax.assessment.results import TaxRules
from services.decision.domain.tax.currencies import DayRates
from services.decision.domain.tax.differences import differences
from services.decision.domain.tax.due import concerned
from services.decision.domain.tax.events import RecordedEvent, TaxEvent, TaxEventDiffers, TaxEventNotFound
from services.decision.domain.tax.laws import LAWS, law_book
from services.decision.domain.tax.ledger import (
    pending_effects,
)
from services.decision.domain.tax.replacements import replacements
from services.decision.domain.tax.situation import Situation, tax_year_of
from services.kernel.clock import Clock
from services.kernel.errors import Fact, Violations
from services.kernel.events import Event
from services.kernel.ids import AccountId, InstrumentId

# An event is at most 60 KiB; the record itself keeps every row.
EVENTS_TOLD_MAX = 400


@dataclass(frozen=True, slots=True)
class TaxApp:
    """Keeps events and assesses histories.

    Attributes:
        clock: The computer's, also beside a market that is replayed: it says when something was recorded.
        market_clock: The market's: ledgers stand on its day.
    """

    clock: Clock
    market_clock: Clock
    read: Callable[[], AbstractAsyncContextManager[TaxReading]]
    begin: Callable[[], AbstractAsyncContextManager[TaxWriting]]
    policy: PolicyDocuments

    @property
    def standing(self) -> StandingApp:
        """Lets accounts stand where their ledger says."""
        return StandingApp(self.read, self.begin, self.policy)

    def today(self) -> date:
        """Return the day of the market."""
        return exchange_day(self.market_clock.now())

    async def preview_year(
        self, rules: TaxRules, history: History, tax_year: int, law_time: datetime | None = None
    ) -> Assessed:
        """Return what `history` comes to in `tax_year` by `rules`, as approved at `law_time`, or as they are now.

        Raises:
            Invalid: A value of the history cannot be.
            EventNotCovered: The law does not know an event.
            TaxYearUnknown: There are no rules for that year.
            SoldMoreThanHeld: The history sells what it never bought.
        """
        until = recordable_until(self.clock, self.market_clock)
        async with self.read() as session:
            book = law_book(await session.laws.versions(), law_time)
        in_force = book.under(rules)
        assessment = await asyncio.to_thread(lambda: in_force.assess(history.checked(until), tax_year))
        return Assessed(in_force, assessment, book.version(rules.code, tax_year))

    async def currencies(self, account_ids: Collection[AccountId]) -> Mapping[AccountId, str]:
        """Return the currency of each account.

        Raises:
            AccountNotFound: The book does not have one.
        """
        async with self.read() as session:
            found = await session.books.holdings(account_ids)
        check_found(account_ids, found)
        return {each.account_id: each.currency for each in found}

    async def record(
        self, events: Sequence[TaxEvent], complete: Mapping[AccountId, date], withdrawn: Collection[str]
    ) -> Recorded:
        """Keep events, all or nothing. Those on record already, the same in everything, are passed over.

        Raises:
            Invalid: A value cannot be.
            TaxEventDiffers: An id belongs to another event.
            TaxEventNotFound: An event to withdraw is not on record.
        """
        now = self.clock.now()
        standing = self.standing
        named_sets = await standing.sets_to_stand_by(events, complete, withdrawn)
        async with self.begin() as session:
            await self._check(session, events, complete, recordable_until(self.clock, self.market_clock))
            known = await session.records.get([*(each.event_id for each in events), *withdrawn])
            for each in events:
                other = known.get(each.event_id)
                if other is not None and (other.event.kind, other.event.content()) != (each.kind, each.content()):
                    raise TaxEventDiffers(
                        f"event {each.event_id} is on record as another: a {other.event.kind} "
                        f"of {other.event.row.asset} on {other.event.row.day}",
                        event_id=each.event_id,
                    )
            missing = sorted(set(withdrawn) - known.keys())
            if missing:
                raise TaxEventNotFound(f"event {missing[0]} is not on record", event_id=missing[0])
            fresh = [each for each in events if each.event_id not in known]
            await session.records.add(fresh, now)
            gone = await session.records.withdraw(withdrawn, now)
            await session.records.complete(complete)
            ended = [known[each].event for each in withdrawn if known[each].withdraw_time is None]
            touched = {*named(events), *named(ended), *complete}
            if instruments := concerned((*fresh, *ended), await session.records.counting(())):
                await session.records.outdate_holders(instruments)
            stood = await standing.stand(session, touched, named_sets, self.today())
            # They changed while policy was asked: they stand before they are planned next.
            await session.records.outdate(stood.left)
            await session.emit(_told(fresh, complete, ended))
        return Recorded(len(fresh), len(events) - len(fresh), gone, stood.unsettled)

    async def _check(
        self, session: TaxWriting, events: Sequence[TaxEvent], complete: Mapping[AccountId, date], today: date
    ) -> None:
        """Refuse what cannot be by itself; whether more is sold than was bought shows only in the whole ledger."""
        found = Violations()
        named = {AccountId(each.account_id) for each in events if each.account_id is not None} | complete.keys()
        unknown = set(await session.books.account_ids_missing(named))
        instruments = {InstrumentId(each.row.asset) for each in events}
        known = await session.books.instruments(instruments)
        seen: set[str] = set()
        for index, each in enumerate(events):
            path = f"events[{index}]"
            if each.event_id in seen:
                found.add(f"{path}.event_id", f"must be unique, was {each.event_id!r} again")
            seen.add(each.event_id)
            if each.account_id in unknown:
                found.add(f"{path}.account_id", f"must be an account of the book, was {each.account_id!r}")
            if each.row.asset not in known:
                found.add(f"{path}.instrument_id", f"must be an instrument of the book, was {each.row.asset!r}")
            if not EARLIEST_DATE <= each.row.day <= today:
                found.add(f"{path}.date", f"must be from {EARLIEST_DATE} to {today}, was {each.row.day}")
        until = await session.records.complete_until(complete.keys())
        for index, (account_id, day) in enumerate(complete.items()):
            path = f"complete[{index}]"
            if account_id in unknown:
                found.add(f"{path}.account_id", f"must be an account of the book, was {account_id!r}")
            if not EARLIEST_DATE <= day <= today:
                found.add(f"{path}.until_date", f"must be from {EARLIEST_DATE} to {today}, was {day}")
            elif account_id in until and day < until[account_id]:
                found.add(
                    f"{path}.until_date", f"must not be before {until[account_id]}, which is on record, was {day}"
                )
        found.raise_if_any()

    async def list_events(
        self, which: EventFilter, after: tuple[date, str] | None, limit: int
    ) -> Sequence[RecordedEvent]:
        """Return events on record by day and id, those after `after`."""
        async with self.read() as session:
            return await session.records.listed(which, after, limit)

    async def ledger(
        self,
        owners: Mapping[AccountId, Owner],
        rules: TaxRules,
        tax_year: int,
        identical: Mapping[str, str],
        law_time: datetime | None = None,
        policy_sets: PolicySets | None = None,
        rates: DayRates | None = None,
    ) -> Ledger:
        """Return the ledger of a taxpayer's accounts, and the year assessed from it.

        Args:
            owners: Every account that matters, and whose it is.
            rules: With what is known of the taxpayer.
            tax_year: The year in which it begins.
            identical: By instrument, its set of identical ones, besides what the book and policies say.
            law_time: By the law as it was approved then; as it is now when None.
            policy_sets: Of these accounts and others; asked for when None.
            rates: For accounts that are kept in another currency than the law's, by day and currency.

        Raises:
            AccountNotFound: The book does not have an account.
            Unreachable: Policy, whose sets are needed, does not answer.
            Invalid: The record contradicts itself, a rate is missing, or there are no rules for the year.
            SoldMoreThanHeld: The record sells what was never bought.
        """
        async with self.read() as session:
            known = await loaded(session.books, session.records, owners, identical)
            pending = await session.records.pending(owners.keys())
            book = law_book(await session.laws.versions(), law_time)
        today, until = self.today(), recordable_until(self.clock, self.market_clock)
        asked = policy_sets or PolicySets(self.policy, sorted(owners))
        named_sets = await asked.of(owners, known.sale_days)

        def assessed() -> Ledger:
            in_force = book.under(rules).with_kinds(known.kinds).with_fund_years(known.fund_years)
            history = in_force.settled(known.history(named_sets, LAWS[rules.code], until, rates))
            carried, assessment = in_force.carried_and_assessed(history, tax_year)
            return Ledger(
                history,
                carried,
                assessment,
                carried.brought_forward(),
                differences(known.accounts, history),
                pending_effects(carried, history, tax_year, today, pending),
                book.version(rules.code, tax_year),
                known.exchange(LAWS[rules.code], rates),
            )

        return await asyncio.to_thread(assessed)

    async def years(
        self,
        taxpayers: Sequence[Taxpayer],
        tax_year: int,
        price_set_id: PriceSetId | None,
        law_time: datetime | None = None,
    ) -> AsyncIterator[tuple[Taxpayer, TaxYear | Fact]]:
        """Yield each taxpayer's year as it is done, in order; or why there is none, and the others go on.

        Raises:
            PriceSetNotFound: There are no such prices.
        """
        async with self.read() as session:
            found = await session.prices.price_set(price_set_id)
        if found is None and price_set_id is not None:
            raise PriceSetNotFound(f"price set {price_set_id} does not exist", price_set_id=price_set_id)
        quotes = {} if found is None else found.quotes
        prices = {str(instrument_id): quote.price for instrument_id, quote in quotes.items()}
        day = self.today() if found is None else exchange_day(found.as_of_time)
        policy_sets = PolicySets(self.policy, sorted({name for each in taxpayers for name in each.owners}))
        for each in taxpayers:
            try:
                ledger = await self.ledger(each.owners, each.rules, tax_year, {}, law_time, policy_sets, each.rates)
                worth = prices if ledger.exchange is None else ledger.exchange.prices(prices, day, ledger.history)
            except Fact as fact:
                yield each, fact
                continue
            situation = Situation(ledger.history, ledger.rules, tax_year, day, worth).knowing(ledger.assessment)
            yield each, TaxYear(ledger, *await asyncio.to_thread(situation.open_losses))

    async def compare(
        self,
        owners: Mapping[AccountId, Owner],
        rules: TaxRules,
        identical: Mapping[str, str],
        wish: Wish,
        rates: DayRates | None = None,
    ) -> Comparison:
        """Return what a taxpayer could do on the day of a price set, compared by what is left after tax.

        Args:
            owners: Every account that matters, and whose it is.
            rules: With what is known of the taxpayer.
            identical: By instrument, its set of identical ones, besides what the book and policies say.
            wish: What is asked; in the law's currency.
            rates: For accounts that are kept in another currency than the law's, by day and currency.

        Raises:
            AccountNotFound: The book does not have an account.
            PriceSetNotFound: There are no such prices.
            Invalid: The record contradicts itself, a rate is missing, or there are no rules for the year.
            SoldMoreThanHeld: The record sells what was never bought.
        """
        async with self.read() as session:
            known = await loaded(session.books, session.records, owners, identical)
            pending = await session.records.pending(owners.keys())
            book = law_book(await session.laws.versions())
            found = await session.prices.price_set(wish.price_set_id)
            if found is None:
                said = f"price set {wish.price_set_id} does not exist" if wish.price_set_id else "there are no prices"
                raise PriceSetNotFound(said, price_set_id=wish.price_set_id or "")
            closes = await session.prices.history(None)
            instruments = await session.books.instruments(frozenset(found.quotes))
        today = exchange_day(found.as_of_time)
        prices = {str(instrument_id): quote.price for instrument_id, quote in found.quotes.items()}
        spreads = {str(name): quote.spread_bps for name, quote in found.quotes.items() if quote.spread_bps is not None}

        asked = PolicySets(self.policy, sorted(owners))
        named_sets = await asked.of(owners, {*known.sale_days, today})

        def compared() -> Comparison:
            in_force = book.under(rules).with_kinds(known.kinds).with_fund_years(known.fund_years)
            recorded = known.history(
                named_sets, LAWS[rules.code], recordable_until(self.clock, self.market_clock), rates
            )
            history = in_force.settled(recorded)
            year = tax_year_of(rules, today)
            # What was recorded of later days is not known on the day of the prices.
            then = history.until(today)
            exchange = known.exchange(LAWS[rules.code], rates)
            worth = prices if exchange is None else exchange.prices(prices, today, then)
            carried, assessment = in_force.carried_and_assessed(then, year)
            situation = Situation(then, carried, year, today, worth).knowing(assessment).with_pending(pending)
            terms = Terms(
                wish.scenarios,
                spreads,
                wish.volatility,
                wish.minimum,
                wish.withdrawal,
                wish.tax_limit,
                wish.gift,
                drawing_wish(wish, known.accounts, prices, today, exchange),
            )
            made = compare(situation, terms)
            sold = {parcel.asset for action in made.actions for parcel in action.parcels if parcel.gain < 0}
            barred = {history.identity(each.parcel.asset) for each in made.parcels if each.parcel.gain < 0}
            instead = () if closes is None else replacements(sold, instruments, closes, spreads, barred)
            return Comparison(rules.code, today, situation.assessment.currency, made, instead)

        return await asyncio.to_thread(compared)


def _told(
    events: Sequence[TaxEvent], complete: Mapping[AccountId, date], withdrawn: Sequence[TaxEvent]
) -> Sequence[Event]:
    """Return what audit is told: one event for each account, and for each asset that something happened to."""
    about: dict[tuple[str, str], tuple[list[str], list[str]]] = {("account", each): ([], []) for each in complete}
    for place, rows in enumerate((events, withdrawn)):
        for row in rows:
            subject = ("instrument", row.row.asset) if row.account_id is None else ("account", row.account_id)
            about.setdefault(subject, ([], []))[place].append(row.event_id)
    return [
        Event(
            kind="decision.tax.recorded",
            subjects={kind: subject_id},
            data={
                "events": recorded[:EVENTS_TOLD_MAX],
                "event_count": len(recorded),
                "withdrawn": ended[:EVENTS_TOLD_MAX],
                "withdrawn_count": len(ended),
                "complete_until": complete.get(AccountId(subject_id)) if kind == "account" else None,
            },
        )
        for (kind, subject_id), (recorded, ended) in sorted(about.items())
    ]
