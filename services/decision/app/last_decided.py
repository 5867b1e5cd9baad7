"""What asks beside weights and cash: that an account was not decided for long, and money that came or went since.

Nobody tells decision of deposits and withdrawals: it sees cash. What cash there was when an account was decided last is
on record with its plan, and so is every trade that was booked since. What the two do not explain came from outside
(deposits, dividends, interest) or went there (withdrawals, fees).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from services.decision.app.ports.sessions import Session
from services.decision.domain.account_problem import is_due
from services.decision.domain.book import AccountBook, account_from_content
from services.decision.domain.deciding import AccountInputs
from services.decision.domain.problem import ZERO
from services.kernel.decimals import EXACT
from services.kernel.ids import AccountId


@dataclass(frozen=True, slots=True)
class LastDecided:
    """When an account was decided last, None for never, and the money that came since, negative for what went."""

    on: date | None = None
    cash_flow: Decimal = ZERO


NEVER = LastDecided()


async def last_decided(
    session: Session, books: Mapping[AccountId, AccountBook], looking: Collection[AccountId]
) -> Mapping[AccountId, LastDecided]:
    """Return of each account that was decided before when that was, and of those `looking` at flows the flow.

    Args:
        session: To read in.
        books: Each account as it is now.
        looking: Accounts whose policy asks about money that came or went; of others it is 0.
    """
    days = await session.plans.decided_dates(books.keys())
    flows = await _cash_flows(session, looking, books)
    return {each: LastDecided(day, flows.get(each, ZERO)) for each, day in days.items()}


def asked_since(inputs: AccountInputs, last: LastDecided, today: date) -> AccountInputs:
    """Return inputs that know whether the account is due, and what flowed if their policy asks about it."""
    if inputs.policy is None:
        return inputs
    looks = inputs.policy.cash_flow_minimum is not None
    return replace(
        inputs,
        looked_regardless=is_due(inputs.policy, last.on, today),
        cash_flow=last.cash_flow if looks else ZERO,
    )


async def _cash_flows(
    session: Session, account_ids: Collection[AccountId], books: Mapping[AccountId, AccountBook]
) -> Mapping[AccountId, Decimal]:
    if not account_ids:
        return {}
    hashes = await session.plans.decided_accounts(account_ids)
    bodies = await session.contents.get(set(hashes.values()))
    earlier = {each: account_from_content(bodies[named]) for each, named in hashes.items()}
    traded = await session.books.traded_cash({each: account.booked_position for each, account in earlier.items()})
    return {
        each: EXACT.subtract(EXACT.subtract(books[each].cash, account.cash), traded.get(each, ZERO))
        for each, account in earlier.items()
    }
