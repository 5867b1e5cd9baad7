"""Decides the accounts of a household together, as far as one's trades touch another's taxes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date

from services.decision.app.ports.sessions import Session
from services.decision.app.ports.solving import Solved, Solver
from services.decision.domain.book import AccountBook
from services.decision.domain.deciding import AccountInputs, Basis
from services.decision.domain.household import trades_elsewhere
from services.decision.domain.household_search import Searched, search
from services.decision.domain.plan import Draft
from services.decision.domain.problem import RecentTrade
from services.kernel.ids import AccountId, HouseholdId, InstrumentId


async def household_trades(
    session: Session, books: Mapping[AccountId, AccountBook], since: date
) -> Mapping[AccountId, tuple[RecentTrade, ...]]:
    """Return, for each account, what the other accounts of its household traded since, or are about to."""
    named = {each.household_id for each in books.values() if each.household_id is not None}
    if not named:
        return {}
    members = await session.books.members(named)
    ids = sorted({each for of_household in members.values() for each in of_household})
    accounts = {each.account_id: each for each in await session.books.accounts(ids, trades_since=since)}
    planned = await session.plans.live_trades(ids)
    told = {each: trades_elsewhere(account, planned.get(each, ()), since) for each, account in accounts.items()}
    return {
        account_id: tuple(
            trade
            for other in members.get(book.household_id, ())
            if other != account_id
            for trade in told.get(other, ())
        )
        for account_id, book in books.items()
        if book.household_id is not None
    }


async def settled(
    inputs: Sequence[AccountInputs], solved: Sequence[Solved], basis: Basis, solver: Solver
) -> tuple[list[AccountInputs], list[Solved]]:
    """Return inputs and drafts, in order, in which no account of a household denies another's loss."""
    inputs, solved = list(inputs), list(solved)
    households: dict[HouseholdId, list[int]] = {}
    for place, each in enumerate(inputs):
        if each.account.household_id is not None:
            households.setdefault(each.account.household_id, []).append(place)
    for places in households.values():
        if len(places) < 2:
            continue
        ours, drafts = [inputs[each] for each in places], [solved[each] for each in places]
        ours, drafts = await _settled(ours, drafts, basis, solver)
        for place, account, draft in zip(places, ours, drafts, strict=True):
            inputs[place], solved[place] = account, draft
    return inputs, solved


async def _settled(
    members: list[AccountInputs], solved: list[Solved], basis: Basis, solver: Solver
) -> tuple[list[AccountInputs], list[Solved]]:
    def identity(instrument_id: InstrumentId) -> str:
        known = basis.market.instruments.get(instrument_id)
        return instrument_id if known is None or known.identity_set is None else known.identity_set

    searching = search(members, [each.draft for each in solved], identity, basis.as_of_time.date())
    again: Sequence[Draft] | None = None
    while True:
        try:
            wanted = next(searching) if again is None else searching.send(again)
        except StopIteration as ended:
            found: Searched = ended.value
            kept = zip(solved, found.drafts, strict=True)
            return list(found.members), [replace(each, draft=draft) for each, draft in kept]
        again = [each.draft for each in await solver.drafts(wanted, basis)]


def with_household(inputs: AccountInputs, trades: tuple[RecentTrade, ...]) -> AccountInputs:
    """Return inputs that know what the household's other accounts traded."""
    return replace(inputs, household_trades=trades) if trades else inputs
