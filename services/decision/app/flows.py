"""How much money came to accounts, or left them, since they were decided last?

Nobody tells decision of deposits and withdrawals: it sees cash. What cash there was when an account was decided last is
on record with its plan, and so is every trade that was booked since. What the two do not explain came from outside
(deposits, dividends, interest) or went there (withdrawals, fees).
"""

from collections.abc import Collection, Mapping
from decimal import Decimal

from services.decision.app.ports.sessions import Session
from services.decision.domain.book import AccountBook, account_from_content
from services.decision.domain.problem import ZERO
from services.kernel.decimals import EXACT
from services.kernel.ids import AccountId


async def cash_flows(
    session: Session, account_ids: Collection[AccountId], books: Mapping[AccountId, AccountBook]
) -> Mapping[AccountId, Decimal]:
    """Return what came, negative for what went, of each account that was decided before; of others nothing is known.

    Args:
        session: To read in.
        account_ids: The accounts asked about.
        books: Each as it is now.
    """
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
