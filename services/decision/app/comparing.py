"""Rollouts of policy: shows what accounts get under both sides, and tells policy, whose stop rules judge it.

The comparisons are made while a run decides (`deciding`) and are kept with its plans. Reporting goes on from the rows:
a report that is not acknowledged is sent again, and policy counts each account of a run once.
"""

import hashlib
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.decision.domain.comparison import Comparison, PolicySides
from services.kernel.clock import Clock
from services.kernel.errors import Fact
from services.kernel.ids import AccountId, RunId

# Policy takes 1,000 at once.
REPORTED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class KeptComparison:
    """A comparison, the run that made it, and its place among all."""

    number: int
    run_id: RunId
    comparison: Comparison
    decide_time: datetime


@dataclass(frozen=True, slots=True)
class ComparisonFilter:
    """Which comparisons are wanted; None for any."""

    run_id: RunId | None = None
    change_id: str | None = None
    account_id: AccountId | None = None


class Comparisons(Protocol):
    """Accounts that are decided under two policies."""

    async def pin(self, run_id: RunId, sides: Mapping[AccountId, PolicySides]) -> None:
        """Keep which accounts of a run are to be compared."""
        ...

    async def sides(self, run_id: RunId, account_ids: Sequence[AccountId]) -> Mapping[AccountId, PolicySides]:
        """Return those of `account_ids` that are to be compared in a run."""
        ...

    async def decided(self, run_id: RunId, found: Sequence[Comparison], at: datetime) -> None:
        """Keep what accounts of a run got under both policies."""
        ...

    async def unreported(self, limit: int) -> Sequence[KeptComparison]:
        """Return up to `limit` decided comparisons that policy does not know, the oldest first."""
        ...

    async def reported(self, kept: Sequence[KeptComparison], at: datetime) -> None:
        """Note that policy knows of comparisons."""
        ...

    async def newest(self, wanted: ComparisonFilter, before: int | None, limit: int) -> Sequence[KeptComparison]:
        """Return up to `limit` decided comparisons with numbers below `before`, newest first."""
        ...


class RolloutClient(Protocol):
    """The part of policy that judges rollouts."""

    async def report(self, request_id: str, found: Sequence[KeptComparison]) -> None:
        """Report comparisons. Safe to repeat.

        Raises:
            Unreachable: Policy does not answer.
        """
        ...


class Opened(Protocol):
    """A transaction in which comparisons can be reached."""

    @property
    def comparisons(self) -> Comparisons:
        """Return the comparisons."""
        ...


Open = Callable[[], AbstractAsyncContextManager[Opened]]


@dataclass(frozen=True, slots=True)
class ComparisonApp:
    """The use case of reading comparisons."""

    read: Open

    async def list_comparisons(
        self, wanted: ComparisonFilter, before: int | None, limit: int
    ) -> Sequence[KeptComparison]:
        """Return up to `limit` comparisons with numbers below `before`, newest first."""
        async with self.read() as session:
            return await session.comparisons.newest(wanted, before, limit)


@dataclass(frozen=True, slots=True)
class Reporting:
    """Tells policy what was compared."""

    read: Open
    begin: Open
    clock: Clock
    rollouts: RolloutClient

    async def step(self) -> bool:
        """Report what policy does not know, and return whether anything was; what policy refuses stays to be told."""
        async with self.read() as session:
            waiting = await session.comparisons.unreported(REPORTED_AT_ONCE)
        if not waiting:
            return False
        try:
            await self.rollouts.report(_request_id(waiting), waiting)
        except Fact:
            return False
        async with self.begin() as session:
            await session.comparisons.reported(waiting, self.clock.now())
        return True


def _request_id(waiting: Sequence[KeptComparison]) -> str:
    """Return the UUID that stands for a report: the same rows make the same request."""
    digest = hashlib.sha256(",".join(f"{each.run_id}/{each.number}" for each in waiting).encode()).digest()
    return str(uuid.UUID(bytes=digest[:16], version=4))
