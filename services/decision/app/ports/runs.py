"""The runs of rebalances, their shards and what they are pinned to, as a Protocol."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from services.decision.domain.comparison import PolicySides
from services.decision.domain.outline import Totals
from services.decision.domain.plan import PlanOutcome
from services.decision.domain.run import Run, RunProgress, RunState, Shard
from services.kernel.ids import AccountId, PolicyHash, RunId


@dataclass(frozen=True, slots=True)
class Pins:
    """What a run is pinned to, besides the prices. `policy_of` has an empty hash where no policy is in force.

    `sides` has the accounts under a rollout.
    """

    instruments_hash: str
    risk_model_hash: str
    version_hashes: Mapping[PolicyHash, tuple[str, ...]]
    policy_of: Mapping[AccountId, PolicyHash]
    sides: Mapping[AccountId, PolicySides] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ShardAccount:
    """An account of a shard and the policy that it is decided by; an empty hash when none was in force."""

    account_id: AccountId
    policy_hash: PolicyHash
    version_hashes: tuple[str, ...]


class Runs(Protocol):
    """The runs and their shards."""

    async def add(self, run: Run, account_ids: Sequence[AccountId], shard_size: int) -> None:
        """Keep a new run, its accounts and its shards."""
        ...

    async def get(self, run_id: RunId) -> Run | None:
        """Return a run."""
        ...

    async def lock(self, run_id: RunId) -> Run | None:
        """Return a run that nobody else changes before this transaction ends."""
        ...

    async def progress(self, run_id: RunId) -> RunProgress | None:
        """Return a run and how far it is."""
        ...

    async def newest(self, before: int | None, limit: int) -> Sequence[tuple[int, RunProgress]]:
        """Return runs with their number, newest first, those before number `before`."""
        ...

    async def decided_by(self, as_of_time: datetime | None) -> Run | None:
        """Return the run that decided for the latest business instant up to this one, of all for None."""
        ...

    async def move(self, run: Run, was: RunState) -> None:
        """Keep state, end and note of a run.

        Raises:
            Conflict: Its state is not `was`.
        """
        ...

    async def note(self, run_id: RunId, note: str) -> None:
        """Say what a run waits for; empty when it goes on."""
        ...

    async def newest_snapshot_id(self) -> str:
        """Return the newest snapshot of the book; empty when there is none."""
        ...

    async def risk_model_hash(self, price_history_id: str, engine: str) -> str | None:
        """Return the risk model that an earlier run estimated from the same history with the same build."""
        ...

    async def claim_pin(self, now: datetime, until: datetime) -> Run | None:
        """Take the oldest run that is not pinned, for nobody else until `until`. `pin_attempts` fences."""
        ...

    async def hold_pin(self, run: Run, until: datetime) -> None:
        """Keep, or give back, the claim of `claim_pin`.

        Raises:
            Conflict: Somebody else claimed it since.
        """
        ...

    async def account_ids(self, run_id: RunId) -> Sequence[AccountId]:
        """Return the run's accounts, ascending."""
        ...

    async def pin(self, run: Run, pins: Pins, at: datetime) -> None:
        """Keep what a claimed run is pinned to.

        Raises:
            Conflict: Somebody else claimed it since, or it is canceled.
        """
        ...

    async def claim_shard(self, now: datetime, until: datetime) -> Shard | None:
        """Take the next shard of the oldest pinned run, for nobody else until `until`."""
        ...

    async def hold_shard(self, shard: Shard, until: datetime) -> None:
        """Keep the claim of `claim_shard`.

        Raises:
            Conflict: Somebody else claimed it since.
        """
        ...

    async def shard_accounts(self, shard: Shard) -> Sequence[ShardAccount]:
        """Return the shard's accounts, ascending."""
        ...

    async def complete_shard(
        self, shard: Shard, outcomes: Mapping[PlanOutcome, int], totals: Totals, at: datetime
    ) -> bool:
        """Keep what a claimed shard came to, and return whether it was the run's last.

        Raises:
            Conflict: Somebody else claimed it since.
        """
        ...

    async def executed(self, at: datetime) -> Sequence[Run]:
        """Move runs of which no plan is approved or worked any more to DONE, and return them."""
        ...
