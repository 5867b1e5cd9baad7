"""Lets accounts whose whole history is on record stand where their ledger says, when it changes and when a year begins.

What an account realized in its tax year, and which unused losses it brought into it, is derived from the ledger of its
household and kept on its row, where plans find it. An event of the account that is recorded changes it at once. A new
tax year, a change of its law, and what happens to an instrument and so to every account change it before the account
is planned next (`domain/tax/due.py`). That is worked out anew from the record, so it may be done again at any time, by
anybody, or not be finished.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import date

from services.decision.app.policy_sets import DatedSets, PolicySets
from services.decision.app.ports.policy import PolicyDocuments
from services.decision.app.tax_loading import loaded, named, sale_days, with_households
from services.decision.app.tax_ports import TaxReading, TaxWriting
from services.decision.domain.tax.assessment.history import Owner
from services.decision.domain.tax.assessment.results import SoldMoreThanHeld
from services.decision.domain.tax.due import Tried, by_law, is_due
from services.decision.domain.tax.events import TaxEvent
from services.decision.domain.tax.laws import LAW_OF_CURRENCY, LawBook, law_book
from services.decision.domain.tax.ledger import standings
from services.kernel.errors import Fact, Invalid, Unreachable
from services.kernel.ids import AccountId

# Accounts that are brought to a day in one transaction: booking waits for it.
TOGETHER_MAX = 100


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
        """
        due = await self._due(account_ids, day)
        for first in range(0, len(due), TOGETHER_MAX):
            # Those of a household before are done with it.
            some = await self._due(due[first : first + TOGETHER_MAX], day) if first else due[:TOGETHER_MAX]
            sets = await self.sets_to_stand_by((), dict.fromkeys(some, day), ())
            if isinstance(sets, Unreachable):
                raise sets
            async with self.begin() as session:
                await self.stand(session, some, sets, day)

    async def _due(self, account_ids: Collection[AccountId], day: date) -> Sequence[AccountId]:
        async with self.read() as session:
            known = await session.records.tried(account_ids)
            book = law_book(await session.laws.versions() if known else ())
        return sorted(name for name, tried in known.items() if _is_due(tried, book, day))

    async def sets_to_stand_by(
        self, events: Sequence[TaxEvent], complete: Mapping[AccountId, date], withdrawn: Collection[str]
    ) -> DatedSets | Fact:
        """Return the sets that the policies of all accounts concerned named, or why they cannot be known now.

        Policy is asked before the transaction begins that whatever changes accounts waits for.
        """
        async with self.read() as session:
            ended = [each.event for each in (await session.records.get(withdrawn)).values()]
            touched = {*named(events), *named(ended), *complete}
            until = await session.records.complete_until(touched)
            if not until and not complete:
                return ()
            held = await session.books.holdings({*until, *complete})
            groups = await with_households(session.books, [each.account_id for each in held])
            account_ids = sorted({each.account_id for group in groups for each in group})
            known = [*events, *await session.records.counting(account_ids)]
            trades = await session.records.trades(account_ids)
        try:
            return await PolicySets(self.policy, account_ids).of(account_ids, sale_days(known, trades))
        except (Unreachable, Invalid) as fact:
            return fact

    async def stand(
        self, session: TaxWriting, account_ids: Collection[AccountId], named_sets: DatedSets | Fact, day: date
    ) -> tuple[tuple[AccountId, Fact], ...]:
        """Let accounts whose whole history is on record stand where the ledger says on a day, and their households too.

        Returns:
            Those asked for of which no ledger can be made yet, with why not: what was recorded stays, as more of it may
            come.
        """
        until = await session.records.complete_until(account_ids)
        if not until:
            return ()
        unsettled: list[tuple[AccountId, Fact]] = []
        if isinstance(named_sets, Fact):
            if isinstance(named_sets, Unreachable):
                await session.records.outdate(until.keys())
            return tuple((each, named_sets) for each in sorted(until))
        book = law_book(await session.laws.versions())
        tries: dict[AccountId, str] = {}
        # Whatever changes accounts takes turns with booking.
        await session.books.lock_stream()
        groups = await with_households(session.books, until.keys())
        complete = await session.records.complete_until([each.account_id for group in groups for each in group])
        for group in groups:
            law = LAW_OF_CURRENCY.get(group[0].currency)
            if law is None:
                continue
            tries |= {each.account_id: by_law(law, book, day) for each in group if each.account_id in complete}
            owners = {each.account_id: Owner.TAXPAYER for each in group}
            known = await loaded(session.books, session.records, owners, {})
            try:
                # What is on record was checked when it was recorded; of later days `standings` knows nothing yet.
                history = known.history(named_sets, law, date.max)
                found = await asyncio.to_thread(
                    standings, known.accounts, history, law, book, day, known.kinds, known.fund_years
                )
            except (Invalid, SoldMoreThanHeld) as fact:
                unsettled += [(each.account_id, fact) for each in group if each.account_id in until]
                continue
            await session.records.stand([each for each in found if each.account_id in complete])
        await session.records.remember(tries, day)
        return tuple(unsettled)


def _is_due(tried: Tried, book: LawBook, day: date) -> bool:
    law = LAW_OF_CURRENCY.get(tried.currency)
    if law is None:
        return False
    return is_due(tried, law.planning.tax_year(day), by_law(law, book, day), day)
