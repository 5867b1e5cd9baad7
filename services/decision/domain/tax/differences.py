"""Where do a ledger and the book not say the same of what an account holds?"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction

from services.decision.domain.problem import ZERO
from services.decision.domain.tax.assessment.history import History
from services.decision.domain.tax.ledger import LedgerAccount
from services.decision.domain.tax.redeeming import units_held


@dataclass(frozen=True, slots=True)
class Difference:
    """Units of one instrument in one account that the ledger and the book do not agree on."""

    account_id: str
    asset: str
    ledger: Decimal
    book: Decimal


def differences(accounts: Sequence[LedgerAccount], history: History) -> tuple[Difference, ...]:
    """Return where the units of the ledger are not those of the book, by account and asset."""
    held = units_held(history)
    booked = {
        (each.account_id, str(instrument_id)): units
        for each in accounts
        for instrument_id, units in each.account.units.items()
    }
    found: list[Difference] = []
    for account_id, asset in sorted({*held, *booked}):
        ledger = history.quantity_on(asset, date.max, held.get((account_id, asset), Fraction(0)))
        book = booked.get((account_id, asset), ZERO)
        if ledger != book:
            found.append(Difference(account_id, asset, ledger, book))
    return tuple(found)
