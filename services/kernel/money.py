"""Money: an exact amount in one currency.

Two currencies never meet by accident, and nothing is rounded unless a rule is named.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

from services.kernel.decimals import EXACT

CENT = Decimal("0.01")

_CURRENCY = re.compile(r"[A-Z]{3}")


class CurrencyMismatch(ValueError):
    """Two amounts in different currencies were added, subtracted or compared. A mistake of ours, never of a caller."""


def in_cents(amount: Decimal) -> Decimal:
    """Return an amount of money rounded half-even to the cent."""
    return amount.quantize(CENT, rounding=ROUND_HALF_EVEN)


@dataclass(frozen=True, slots=True)
class Money:
    """An exact amount in one currency (ISO 4217 code)."""

    amount: Decimal
    currency: str

    def __post_init__(self) -> None:
        """Refuse what is not money.

        Raises:
            TypeError: `amount` is not a `Decimal`.
            ValueError: `amount` is not finite, or `currency` is not three capital letters.
        """
        if not isinstance(self.amount, Decimal):
            raise TypeError(f"amount must be a Decimal, was {type(self.amount).__name__}")
        if not self.amount.is_finite():
            raise ValueError(f"amount must be finite, was {self.amount}")
        if not _CURRENCY.fullmatch(self.currency):
            raise ValueError(f"currency must be three capital letters, was {self.currency!r}")

    @classmethod
    def zero(cls, currency: str) -> "Money":
        """Return nothing, in `currency`."""
        return cls(Decimal(0), currency)

    @classmethod
    def total(cls, amounts: Iterable["Money"], currency: str) -> "Money":
        """Return the exact sum of `amounts`; nothing sums to zero.

        Raises:
            CurrencyMismatch: An amount is not in `currency`.
        """
        result = cls.zero(currency)
        for each in amounts:
            result = result + each
        return result

    def __add__(self, other: "Money") -> "Money":
        """Return the exact sum."""
        self._check_currency(other)
        return Money(EXACT.add(self.amount, other.amount), self.currency)

    def __sub__(self, other: "Money") -> "Money":
        """Return the exact difference."""
        self._check_currency(other)
        return Money(EXACT.subtract(self.amount, other.amount), self.currency)

    def __neg__(self) -> "Money":
        """Return the opposite amount."""
        return Money(self.amount.copy_negate(), self.currency)

    def __mul__(self, factor: Decimal | int) -> "Money":
        """Return the exact product, unrounded."""
        return Money(EXACT.multiply(self.amount, Decimal(factor)), self.currency)

    __rmul__ = __mul__

    def __lt__(self, other: "Money") -> bool:
        """Return whether this is less than `other`."""
        self._check_currency(other)
        return self.amount < other.amount

    def __le__(self, other: "Money") -> bool:
        """Return whether this is at most `other`."""
        self._check_currency(other)
        return self.amount <= other.amount

    def __gt__(self, other: "Money") -> bool:
        """Return whether this is more than `other`."""
        self._check_currency(other)
        return self.amount > other.amount

    def __ge__(self, other: "Money") -> bool:
        """Return whether this is at least `other`."""
        self._check_currency(other)
        return self.amount >= other.amount

    def __str__(self) -> str:
        """Return amount and currency, as in `12.50 USD`."""
        return f"{self.amount:f} {self.currency}"

    def to_cents(self) -> "Money":
        """Return this rounded to hundredths, half to even (banker's rounding: no drift over many amounts)."""
        cents = self.amount.quantize(CENT, rounding=ROUND_HALF_EVEN, context=_ROUNDING)
        return Money(cents, self.currency)

    def _check_currency(self, other: "Money") -> None:
        if self.currency != other.currency:
            raise CurrencyMismatch(f"{self} and {other} are in different currencies")


# `EXACT` without the trap on rounding: here rounding is what was asked for.
_ROUNDING = EXACT.copy()
_ROUNDING.clear_traps()
