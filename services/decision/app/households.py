"""Decides the accounts of a household together, as far as one's trades touch another's taxes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date

from services.decision.app.ports.sessions import Session
from services.decision.app.ports.solving import Solved, Solver
from services.decision.domain.book import AccountBook
from services.decision.domain.deciding import AccountInputs, Basis
from services.decision.domain.household import barred, cost_of, opposed, trades_elsewhere
from services.decision.domain.problem import RecentTrade
from services.kernel.ids import AccountId, HouseholdId, InstrumentId

# Conflicts that are settled within one household; more are left to the accounts' own rules, in the order of their ids.
SETTLED_MAX = 20


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
    members: list[AccountInputs], drafts: list[Solved], basis: Basis, solver: Solver
) -> tuple[list[AccountInputs], list[Solved]]:
    day = basis.as_of_time.date()

    def identity(instrument_id: InstrumentId) -> str:
        known = basis.market.instruments.get(instrument_id)
        return instrument_id if known is None or known.identity_set is None else known.identity_set

    for _ in range(SETTLED_MAX):
        pairs = [(each, solved.draft) for each, solved in zip(members, drafts, strict=True)]
        found = opposed(pairs, identity, day)
        if found is None:
            break
        ways = []
        for buyers in (True, False):
            changed = barred(found, members, day, buyers=buyers)
            again = await solver.drafts(list(changed.values()), basis)
            ours, theirs = list(members), list(drafts)
            for place, account, draft in zip(changed, changed.values(), again, strict=True):
                ours[place], theirs[place] = account, draft
            left = opposed([(a, d.draft) for a, d in zip(ours, theirs, strict=True)], identity, day)
            cost = cost_of([each.draft for each in theirs])
            ways.append((left == found, cost is None, cost or 0, ours, theirs))
        _, _, _, members, drafts = min(ways, key=lambda way: way[:3])
    return members, drafts


def with_household(inputs: AccountInputs, trades: tuple[RecentTrade, ...]) -> AccountInputs:
    """Return inputs that know what the household's other accounts traded."""
    return replace(inputs, household_trades=trades) if trades else inputs
