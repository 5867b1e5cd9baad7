"""What are accounts worth, as far as policy was told?"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from services.kernel.ids import PolicyNodeId
from services.kernel.money import Money


@dataclass(frozen=True, slots=True)
class AccountValue:
    """What an account was worth at an instant, as `author` said."""

    account_id: PolicyNodeId
    value: Money
    as_of_time: datetime
    recorded_time: datetime
    author: str


@dataclass(frozen=True, slots=True)
class Assets:
    """What the accounts at and under a node are worth together.

    Attributes:
        by_currency: Sums of the values recorded last.
        unknown_count: Accounts of which no value was ever recorded.
        oldest_time: When the oldest of the values was true; None without any.
    """

    by_currency: Mapping[str, Decimal] = field(default_factory=dict)
    unknown_count: int = 0
    oldest_time: datetime | None = None

    def may_reach(self, least: Money) -> bool:
        """Return whether they are worth `least` or more, or nobody can say that they are not."""
        other = any(currency != least.currency and amount > 0 for currency, amount in self.by_currency.items())
        return bool(self.unknown_count) or other or self.by_currency.get(least.currency, Decimal(0)) >= least.amount
