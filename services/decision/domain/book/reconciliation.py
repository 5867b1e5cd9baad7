"""Is the book what its snapshots and the allocations that execution reports make of it?

The expected state is added up here without the book's own bookings: opening units and cash, plus and minus what
execution says. So a booking that was lost, doubled or wrong is a difference, to the cent and the increment.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from services.decision.domain.book.account import AccountBook
from services.decision.domain.book.booking import Allocation
from services.decision.domain.problem import ZERO, Side
from services.kernel.ids import AccountId, InstrumentId


@dataclass(frozen=True, slots=True)
class Break:
    """A difference between the book and what it should be. `instrument_id` is None for cash."""

    account_id: AccountId
    instrument_id: InstrumentId | None
    booked: Decimal
    expected: Decimal


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What was compared and what differs. Breaks are in order of account, then cash, then instruments.

    The cash totals are of all accounts compared, by currency.
    """

    account_count: int
    allocation_count: int
    breaks: Sequence[Break]
    cash_before: dict[str, Decimal]
    cash_after: dict[str, Decimal]


@dataclass(slots=True)
class Expected:
    """What accounts should have: what they began with, and what execution reported since."""

    _opening: dict[AccountId, int] = field(default_factory=dict)
    _cash: dict[AccountId, Decimal] = field(default_factory=dict)
    _units: dict[AccountId, dict[InstrumentId, Decimal]] = field(default_factory=dict)
    _cash_before: dict[str, Decimal] = field(default_factory=dict)
    _allocation_count: int = 0

    def open(self, account: AccountBook) -> None:
        """Begin with `account`, as its snapshot had it."""
        self._opening[account.account_id] = account.opening_position
        self._cash[account.account_id] = account.cash
        self._units[account.account_id] = account.units
        self._cash_before[account.currency] = self._cash_before.get(account.currency, ZERO) + account.cash

    @property
    def first_position(self) -> int:
        """Position after which allocations matter."""
        return min(self._opening.values(), default=0)

    def add(self, allocation: Allocation) -> None:
        """Count what execution reports, if it is of one of the accounts and not in its snapshot already."""
        account_id = allocation.account_id
        opening = self._opening.get(account_id)
        if opening is None or allocation.position <= opening:
            return
        self._allocation_count += 1
        self._cash[account_id] += allocation.cash_change
        units = self._units[account_id]
        sign = 1 if allocation.side is Side.BUY else -1
        units[allocation.instrument_id] = units.get(allocation.instrument_id, ZERO) + sign * allocation.quantity

    def compared(self, accounts: Iterable[AccountBook]) -> Reconciliation:
        """Return how the book's `accounts`, the ones opened, differ."""
        breaks: list[Break] = []
        cash_after: dict[str, Decimal] = {}
        for account in sorted(accounts, key=lambda each: each.account_id):
            cash_after[account.currency] = cash_after.get(account.currency, ZERO) + account.cash
            if account.cash != self._cash[account.account_id]:
                breaks.append(Break(account.account_id, None, account.cash, self._cash[account.account_id]))
            booked, expected = account.units, self._units[account.account_id]
            for instrument_id in sorted({*booked, *expected}):
                has, should = booked.get(instrument_id, ZERO), expected.get(instrument_id, ZERO)
                if has != should:
                    breaks.append(Break(account.account_id, instrument_id, has, should))
        return Reconciliation(
            account_count=len(self._opening),
            allocation_count=self._allocation_count,
            breaks=breaks,
            cash_before=self._cash_before,
            cash_after=cash_after,
        )
