"""Is the book what its snapshots and the allocations that execution reports make of it?

The expected state is added up here without the book's own bookings: opening units and cash, plus and minus what
execution says. So a booking that was lost, doubled or wrong is a difference, to the cent and the increment.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from services.decision.domain.book.account import AccountBook, day_covered
from services.decision.domain.book.booking import CURRENCY_MISMATCH, Allocation
from services.decision.domain.problem import ZERO, Side
from services.kernel.ids import AccountId, InstrumentId


@dataclass(frozen=True, slots=True)
class Break:
    """A difference between the book and what it should be. `instrument_id` is None for cash.

    `reason` is empty for a difference; else it says why an allocation was not booked at all, whose units are expected.
    """

    account_id: AccountId
    instrument_id: InstrumentId | None
    booked: Decimal
    expected: Decimal
    reason: str = ""


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
    _currency: dict[AccountId, str] = field(default_factory=dict)
    _unbooked: list[Break] = field(default_factory=list)
    _covered: dict[AccountId, date] = field(default_factory=dict)
    _cash: dict[AccountId, Decimal] = field(default_factory=dict)
    _units: dict[AccountId, dict[InstrumentId, Decimal]] = field(default_factory=dict)
    _cash_before: dict[str, Decimal] = field(default_factory=dict)
    _allocation_count: int = 0

    def open(self, account: AccountBook) -> None:
        """Begin with `account`, as its snapshot had it."""
        self._opening[account.account_id] = account.opening_position
        self._covered[account.account_id] = day_covered(account.as_of_time)
        self._currency[account.account_id] = account.currency
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
        if allocation.replaces is None and allocation.trade_date <= self._covered[account_id]:
            return
        self._allocation_count += 1
        if allocation.currency != self._currency[account_id]:
            self._unbooked.append(
                Break(account_id, allocation.instrument_id, ZERO, allocation.quantity, CURRENCY_MISMATCH)
            )
            return
        self._count(allocation, 1)
        if allocation.replaces is not None:
            self._count(allocation.replaces, -1)

    def _count(self, allocation: Allocation, times: int) -> None:
        self._cash[allocation.account_id] += times * allocation.cash_change
        units = self._units[allocation.account_id]
        sign = times if allocation.side is Side.BUY else -times
        units[allocation.instrument_id] = units.get(allocation.instrument_id, ZERO) + sign * allocation.quantity

    def compared(self, accounts: Iterable[AccountBook]) -> Reconciliation:
        """Return how the book's `accounts`, the ones opened, differ."""
        breaks: list[Break] = list(self._unbooked)
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
            breaks=sorted(breaks, key=lambda each: (each.account_id, each.instrument_id or "", each.reason)),
            cash_before=self._cash_before,
            cash_after=cash_after,
        )
