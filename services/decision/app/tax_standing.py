"""Lets accounts whose whole history is on record stand where their ledger says, when it changes and when a year begins.

What an account realized in its tax year, and which unused losses it brought into it, is derived from the ledger of its
household and kept on its row, where plans find it. An event of the account that is recorded changes it at once. A new
tax year, a change of its law, and what happens to an instrument and so to every account change it before the account
is planned next (`domain/tax/due.py`). That is worked out anew from the record, so it may be done again at any time, by
anybody, or not be finished.

Of a large book each 1 January makes every account due. Policy is asked on each day once for all accounts of some
thousand that something left on it; then accounts are loaded, worked out and written by the hundred, in a transaction
each. A process that dies leaves those that it wrote, and the others due.
"""

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import date

from services.decision.app.book import AccountNotFound
from services.decision.app.policy_sets import PolicySets, SaidSets
from services.decision.app.ports.policy import PolicyDocuments
from services.decision.app.tax_loading import Loaded, families, loaded_each, named
from services.decision.app.tax_ports import TaxReading, TaxWriting
from services.decision.domain.tax.assessment.history import Owner
from services.decision.domain.tax.assessment.results import SoldMoreThanHeld
from services.decision.domain.tax.due import Tried, by_law, is_due
from services.decision.domain.tax.events import LEAVING, TaxEvent
from services.decision.domain.tax.laws import LAW_OF_CURRENCY, LawBook, law_book
from services.decision.domain.tax.ledger import Standing, standings
from services.kernel.errors import Conflict, Fact, Invalid, Unreachable
from services.kernel.ids import AccountId

# Accounts that are brought to a day in one transaction: booking waits for it.
TOGETHER_MAX = 100
# Accounts about which policy is asked together: days of sales are few thousand in all, and are asked about once each.
ASKED_MAX = 10_000
# How often an account is tried that is sold from while policy is asked about it.
ROUNDS_MAX = 5


@dataclass(frozen=True, slots=True)
class Stood:
    """What came of accounts that were to stand.

    Attributes:
        unsettled: Those of which no ledger can be made yet, with why not: what was recorded stays, as more of it may
            come.
        left: Those of whose sales or household policy was not asked, as they changed since: they are as they were.
    """

    unsettled: tuple[tuple[AccountId, Fact], ...] = ()
    left: tuple[AccountId, ...] = ()


@dataclass(frozen=True, slots=True)
class StandingApp:
    """Derives where accounts stand."""

    read: Callable[[], AbstractAsyncContextManager[TaxReading]]
    begin: Callable[[], AbstractAsyncContextManager[TaxWriting]]
    policy: PolicyDocuments

    async def bring_to(self, account_ids: Collection[AccountId], day: date) -> None:
        """Let those accounts stand on `day` whose standing depends on what has changed. Safe to repeat.

        An account of which no ledger can be made stays as it is, and is tried again once a day.

        Raises:
            Unreachable: Policy, whose sets are needed, does not answer.
            Conflict: An account changed each time before it stood.
        """
        async with self.read() as session:
            due = await _due(session, account_ids, day)
        for first in range(0, len(due), ASKED_MAX):
            waiting: Sequence[AccountId] = due[first : first + ASKED_MAX]
            for _ in range(ROUNDS_MAX):
                waiting = await self._brought(waiting, day)
                if not waiting:
                    break
            else:
                raise Conflict(f"account {waiting[0]} changes faster than it can be brought to {day}")

    async def _brought(self, account_ids: Sequence[AccountId], day: date) -> Sequence[AccountId]:
        """Let accounts stand on the day that are due, and return those that changed while policy was asked."""
        sets = await self._sets(account_ids, {})
        if isinstance(sets, Unreachable):
            raise sets
        left: list[AccountId] = []
        for first in range(0, len(account_ids), TOGETHER_MAX):
            async with self.begin() as session:
                await session.books.lock_stream()
                # Those of a household before are done with it, or others did it meanwhile.
                due = await _due(session, account_ids[first : first + TOGETHER_MAX], day)
                left += (await self.stand(session, due, sets, day)).left
        return left

    async def sets_to_stand_by(
        self, events: Sequence[TaxEvent], complete: Mapping[AccountId, date], withdrawn: Collection[str]
    ) -> SaidSets | Unreachable:
        """Return the sets that the policies of all accounts concerned named, or why they cannot be known now.

        Policy is asked before the transaction begins that whatever changes accounts waits for.
        """
        async with self.read() as session:
            ended = [each.event for each in (await session.records.get(withdrawn)).values()]
            touched = {*named(events), *named(ended), *complete}
            until = await session.records.complete_until(touched)
        if not until and not complete:
            return SaidSets({}, {})
        days: dict[AccountId | None, set[date]] = {}
        for each in events:
            if isinstance(each.row, LEAVING):
                account_id = None if each.account_id is None else AccountId(each.account_id)
                days.setdefault(account_id, set()).add(each.row.day)
        return await self._sets({*until, *complete}, days)

    async def _sets(
        self, account_ids: Collection[AccountId], more: Mapping[AccountId | None, AbstractSet[date]]
    ) -> SaidSets | Unreachable:
        """Return what policies of the accounts and their households name on the days of their sales, and on `more`."""
        async with self.read() as session:
            groups = await families(session.books, account_ids)
            sold = await session.records.sale_days([name for group in groups for name in group])
        of_days: dict[date, set[AccountId]] = {}
        for group in groups:
            for day in {day for name in (*group, None) for days in (sold, more) for day in days.get(name, ())}:
                of_days.setdefault(day, set()).update(group)
        try:
            return await PolicySets(self.policy, (), of_days).every()
        except Unreachable as fact:
            return fact

    async def stand(
        self, session: TaxWriting, account_ids: Collection[AccountId], sets: SaidSets | Unreachable, day: date
    ) -> Stood:
        """Let accounts whose whole history is on record stand where the ledger says on a day, and their households too.

        Args:
            session: Nothing else changes accounts before it ends.
            account_ids: Those asked for; what is said of others of their households is not told.
            sets: As `sets_to_stand_by` said.
            day: Until which the year so far is.
        """
        until = await session.records.complete_until(account_ids)
        if not until:
            return Stood()
        if isinstance(sets, Unreachable):
            await session.records.outdate(until.keys())
            return Stood(unsettled=tuple((each, sets) for each in sorted(until)))
        book = law_book(await session.laws.versions())
        # Whatever changes accounts takes turns with booking.
        await session.books.lock_stream()
        unsettled: list[tuple[AccountId, Fact]] = []
        left: list[AccountId] = []
        for groups in _together(await families(session.books, until.keys())):
            names = [name for group in groups for name in group]
            complete = await session.records.complete_until(names)
            found = await loaded_each(
                session.books, session.records, [dict.fromkeys(group, Owner.TAXPAYER) for group in groups]
            )
            asked: list[Loaded] = []
            for known in found:
                if isinstance(known, AccountNotFound):
                    raise known
                if sets.know(known.account_ids, known.sale_days):
                    asked.append(known)
                else:
                    left += [name for name in known.account_ids if name in until]
            outcomes = await asyncio.to_thread(_outcomes, asked, sets, book, day)
            tries: dict[AccountId, str] = {}
            standing: list[Standing] = []
            for each, outcome in zip(asked, outcomes, strict=True):
                law = LAW_OF_CURRENCY.get(each.currency)
                if law is None:
                    continue
                tries |= {name: by_law(law, book, day) for name in each.account_ids if name in complete}
                if isinstance(outcome, Fact):
                    unsettled += [(name, outcome) for name in each.account_ids if name in until]
                else:
                    standing += [stood for stood in outcome if stood.account_id in complete]
            await session.records.stand(standing)
            await session.records.remember(tries, day)
        return Stood(tuple(unsettled), tuple(left))


def _together(groups: Sequence[Sequence[AccountId]]) -> Iterator[Sequence[Sequence[AccountId]]]:
    """Yield households, as many at once as are loaded together."""
    some: list[Sequence[AccountId]] = []
    count = 0
    for group in groups:
        if some and count + len(group) > TOGETHER_MAX:
            yield some
            some, count = [], 0
        some.append(group)
        count += len(group)
    if some:
        yield some


def _outcomes(
    households: Sequence[Loaded], sets: SaidSets, book: LawBook, day: date
) -> Sequence[tuple[Standing, ...] | Fact]:
    """Return where the accounts of each household stand, or why no ledger of it can be made; the others go on."""
    return [_outcome(each, sets, book, day) for each in households]


def _outcome(known: Loaded, sets: SaidSets, book: LawBook, day: date) -> tuple[Standing, ...] | Fact:
    law = LAW_OF_CURRENCY.get(known.currency)
    if law is None:
        return ()
    try:
        # What is on record was checked when it was recorded; of later days `standings` knows nothing yet.
        history = known.history(sets.of(known.account_ids, known.sale_days), law, date.max)
        return standings(known.accounts, history, law, book, day, known.kinds, known.fund_years)
    except (Invalid, SoldMoreThanHeld) as fact:
        return fact


async def _due(session: TaxReading | TaxWriting, account_ids: Collection[AccountId], day: date) -> Sequence[AccountId]:
    known = await session.records.tried(account_ids)
    book = law_book(await session.laws.versions() if known else ())
    return sorted(name for name, tried in known.items() if _is_due(tried, book, day))


def _is_due(tried: Tried, book: LawBook, day: date) -> bool:
    law = LAW_OF_CURRENCY.get(tried.currency)
    if law is None:
        return False
    return is_due(tried, law.planning.tax_year(day), by_law(law, book, day), day)
