"""Tells policy what accounts are worth, so that approvals by assets know what a change reaches.

After each ingest of the book the accounts that it brought are told, and all accounts again when prices are a day newer
than what was told. What was told stands in a row for each account, written after policy has acknowledged it: a process
that dies tells some accounts again, with the same instant, which changes nothing.
"""

import hashlib
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from services.decision.app.ports.books import Books
from services.decision.app.prices import Prices
from services.decision.domain.book import AccountBook, SnapshotId, valued
from services.decision.domain.prices import PriceSet, PriceSetId
from services.decision.domain.problem import ZERO
from services.kernel.clock import Clock
from services.kernel.errors import Fact
from services.kernel.ids import AccountId
from services.kernel.money import Money

# Policy takes 10,000 at once.
TOLD_AT_ONCE = 2_000
# Values that are told anew although the book is the same: when the prices are this much newer.
TOLD_AGAIN = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class ToldValue:
    """What an account was worth, as of an instant, and the snapshot that it rested on then."""

    account_id: AccountId
    snapshot_id: SnapshotId
    value: Money
    as_of_time: datetime


class Told(Protocol):
    """Of which accounts policy knows the value."""

    async def newest(self) -> tuple[SnapshotId, PriceSetId] | None:
        """Return the newest snapshot of the book and the newest prices; None while one of them is missing."""
        ...

    async def untold(self, after: AccountId | None, before: datetime, limit: int) -> Sequence[AccountId]:
        """Return up to `limit` accounts after `after`, by id, that are to be told.

        Those of which another snapshot was told than the one that they rest on, or a value of before `before`.
        """
        ...

    async def keep(self, told: Sequence[ToldValue], at: datetime) -> None:
        """Keep that policy knows of values."""
        ...


@dataclass(frozen=True, slots=True)
class ValueSession:
    """One database transaction."""

    books: Books
    prices: Prices
    told: Told


class ValueClient(Protocol):
    """The part of policy that keeps what accounts are worth."""

    async def record(self, request_id: str, values: Sequence[ToldValue]) -> Collection[AccountId]:
        """Record values, and return the accounts that policy does not have. Safe to repeat.

        Raises:
            Unreachable: Policy does not answer.
        """
        ...


@dataclass(slots=True)
class Valuing:
    """Tells values, a part of the accounts at a step.

    Attributes:
        looking: The newest snapshot and prices when the present look at all accounts began.
        looked: The same of the last look that is over; None before the first.
        after: The account after which the present look goes on; None when it begins.
    """

    read: Callable[[], AbstractAsyncContextManager[ValueSession]]
    begin: Callable[[], AbstractAsyncContextManager[ValueSession]]
    clock: Clock
    policy: ValueClient
    looking: tuple[SnapshotId, PriceSetId] | None = field(default=None, init=False)
    looked: tuple[SnapshotId, PriceSetId] | None = field(default=None, init=False)
    after: AccountId | None = field(default=None, init=False)

    async def step(self) -> bool:
        """Tell what is to be told of the next accounts, and return whether there may be more."""
        async with self.read() as session:
            newest = await session.told.newest()
            if newest is None or newest == self.looked:
                return False
            if self.after is None:
                self.looking = newest
            prices = await session.prices.price_set(newest[1])
            if prices is None:
                raise RuntimeError(f"price set {newest[1]} is gone")
            account_ids = await session.told.untold(self.after, prices.as_of_time - TOLD_AGAIN, TOLD_AT_ONCE)
            accounts = await session.books.holdings(account_ids)
        values = list(_values(accounts, prices))
        try:
            missing = await self.policy.record(_request_id(values), values) if values else ()
        except Fact:
            # Policy does not answer, or refuses: the same accounts are told at the next step.
            return False
        async with self.begin() as session:
            # One that policy does not have may be there the next time.
            await session.told.keep([each for each in values if each.account_id not in missing], self.clock.now())
        more = len(account_ids) == TOLD_AT_ONCE
        self.after = account_ids[-1] if more else None
        if not more:
            # What came while we looked is looked at next.
            self.looked = self.looking
        return more


def _values(accounts: Sequence[AccountBook], prices: PriceSet) -> Iterator[ToldValue]:
    for account in accounts:
        value = valued(account, prices, None).value
        # A position without a price: nobody knows, and policy's rules ask then.
        if value is not None:
            at = max(account.as_of_time, prices.as_of_time)
            # What is owed makes no change reach less.
            yield ToldValue(account.account_id, account.snapshot_id, Money(max(value, ZERO), account.currency), at)


def _request_id(values: Sequence[ToldValue]) -> str:
    """Return the UUID that stands for what is told: the same values make the same request."""
    said = "\n".join(f"{each.account_id} {each.value} {each.as_of_time.isoformat()}" for each in values)
    return str(uuid.UUID(bytes=hashlib.sha256(said.encode()).digest()[:16], version=4))
