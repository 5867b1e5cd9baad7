"""A run: a rebalance of many accounts that survives any crash.

A run is pinned (policies, instruments and risk model are recorded), decided shard by shard, and executed. Shards are
leased to whoever decides them; the attempt number fences off a worker that lost its lease: its results are not taken.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from services.decision.domain.outline import NO_TOTALS, Totals
from services.decision.domain.plan import PlanOutcome
from services.kernel.errors import NotFound
from services.kernel.ids import AccountId, HouseholdId, RunId

# Of one outside call that keeps failing: 0.5 s, 1 s, 2 s, ... at most half a minute.
BACKOFF_FIRST = timedelta(seconds=0.5)
BACKOFF_MAX = timedelta(seconds=30)


class RunNotFound(NotFound):
    """No run has this id."""

    reason = "RUN_NOT_FOUND"


class RunState(StrEnum):
    """Where a run is in its life."""

    DECIDING = "DECIDING"
    EXECUTING = "EXECUTING"
    # Final, as is the next.
    DONE = "DONE"
    CANCELED = "CANCELED"


FINAL_STATES = (RunState.DONE, RunState.CANCELED)


@dataclass(frozen=True, slots=True)
class Run:
    """A rebalance of a set of accounts.

    Attributes:
        actor: Who started it.
        as_of_time: The business instant it decides for.
        instruments_hash: Of what was known of the instruments; None until it is pinned, like the risk model's.
        event: What happened that asks for it; empty for nothing.
        note: What it waits for; empty when for nothing.
        currency: Of its totals, and of every account it decides.
        pin_attempts: How often pinning was begun.
    """

    run_id: RunId
    state: RunState
    actor: str
    start_time: datetime
    as_of_time: datetime
    snapshot_id: str
    price_set_id: str
    price_history_id: str
    engine: str
    currency: str
    dry_run: bool
    account_count: int
    trace_parent: str | None
    end_time: datetime | None = None
    pinned_time: datetime | None = None
    decided_time: datetime | None = None
    instruments_hash: str | None = None
    risk_model_hash: str | None = None
    note: str = ""
    pin_attempts: int = 0
    event: str = ""

    @property
    def final(self) -> bool:
        """Whether nothing about it changes any more, but the plans that are still worked."""
        return self.state in FINAL_STATES

    def canceled(self, at: datetime) -> "Run":
        """Return the run canceled; a final run is returned as it is."""
        return self if self.final else replace(self, state=RunState.CANCELED, end_time=at, note="")


@dataclass(frozen=True, slots=True)
class RunProgress:
    """A run and how far it is."""

    run: Run
    decided_count: int = 0
    outcome_counts: Mapping[PlanOutcome, int] = field(default_factory=dict)
    plan_counts: Mapping[str, int] = field(default_factory=dict)
    totals: Totals = NO_TOTALS

    def stage_durations(self, now: datetime) -> Mapping[str, timedelta]:
        """Return the time spent by stage; a stage that is not over counts until `now`."""
        run = self.run
        ends = {"pin": run.pinned_time, "decide": run.decided_time, "execute": run.end_time}
        durations: dict[str, timedelta] = {}
        begin = run.start_time
        for stage, end in ends.items():
            over = end or run.end_time
            durations[stage] = max(timedelta(0), (over or now) - begin)
            if end is None:
                break
            begin = end
        return durations


@dataclass(frozen=True, slots=True)
class Shard:
    """Accounts of a run that are decided together. `attempt` fences: results of an earlier one are not taken."""

    run_id: RunId
    number: int
    attempt: int


def shards(
    account_ids: Sequence[AccountId], size: int, household_of: Mapping[AccountId, HouseholdId] | None = None
) -> Iterator[tuple[int, Sequence[AccountId]]]:
    """Yield numbered pieces of at most `size` accounts, in order; a household is never divided, however large.

    Args:
        account_ids: The accounts; those of a household move up to its first.
        size: 1 or more.
        household_of: Of those accounts that belong to one.
    """
    named = household_of or {}
    groups: dict[tuple[bool, str], list[AccountId]] = {}
    for each in account_ids:
        groups.setdefault((each in named, named.get(each, each)), []).append(each)
    number, piece = 0, list[AccountId]()
    for together in groups.values():
        if piece and len(piece) + len(together) > size:
            yield number, piece
            number, piece = number + 1, []
        piece += together
    if piece:
        yield number, piece


def backoff(attempts: int) -> timedelta:
    """Return how long to wait after `attempts` failures in a row, 1 or more."""
    doublings = min(attempts - 1, 10)
    return min(BACKOFF_MAX, BACKOFF_FIRST * (1 << doublings))
