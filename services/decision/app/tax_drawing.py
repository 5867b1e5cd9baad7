"""What of the accounts lies in wrappers, for who asks from which to withdraw."""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction

from services.decision.app.tax_ports import Wish
from services.decision.domain.book import TaxWrapper
from services.decision.domain.problem import ZERO
from services.decision.domain.tax.assessment.history import Owner, cents
from services.decision.domain.tax.currencies import TaxCurrency
from services.decision.domain.tax.drawing import DrawingWish
from services.decision.domain.tax.ledger import LedgerAccount
from services.decision.domain.tax.wrappers import Wrapped


def drawing_wish(
    wish: Wish,
    accounts: Sequence[LedgerAccount],
    prices: Mapping[str, Decimal],
    day: date,
    exchange: TaxCurrency | None,
) -> DrawingWish | None:
    """Return what is asked about the taxpayer's own accounts; None where nobody asks.

    A wrapper is worth its cash and what has a price, as in the book; an overdrawn one is worth nothing.

    Args:
        wish: In the tax currency.
        accounts: All that matter.
        prices: Of one unit of each asset on the day, in the currency of the accounts that hold it.
        day: Whose rate counts.
        exchange: Turns amounts into the tax currency; None where every account is kept in it.

    Raises:
        CurrencyWithoutRate: The rate of the day is not known.
    """
    if wish.saver is None:
        return None
    wrapped: list[Wrapped] = []
    for each in sorted(accounts, key=lambda one: one.account_id):
        account = each.account
        if each.owner is not Owner.TAXPAYER or account.tax_wrapper is TaxWrapper.TAXABLE:
            continue
        units = account.units.items()
        held = sum((Fraction(count) * Fraction(prices[name]) for name, count in units if name in prices), Fraction(0))
        contributions, first_year = wish.paid_in.get(account.account_id, (ZERO, None))
        value = cents(max(held + Fraction(account.cash), Fraction(0)))
        if exchange is not None:
            value = exchange.amount(account.account_id, day, value)
        wrapped.append(Wrapped(account.account_id, account.tax_wrapper, value, contributions, first_year))
    return DrawingWish(wish.withdrawal, wish.saver, tuple(wrapped), wish.later_rate)
