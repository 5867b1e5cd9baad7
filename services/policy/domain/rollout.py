"""How an approved change reaches the accounts below its node: nobody first, then a few, then all.

    shadow ──▶ canary ──▶ all          shadow, canary ──▶ rolled back

In *shadow* no account has the new version; in *canary* some have: a share chosen by a stable hash, or a named cohort.
In both, decision computes what accounts get under either version and reports the comparison. The stop rules are part of
the change and so were approved with it; one that is broken takes the rollout back by itself. *All* makes the version
the node's next, like any other approval.

Where a rollout is follows from its steps, which have two times like everything that governs: so for every instant, as
known at every instant, each account has exactly one version of the node, and history says which.
"""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from services.kernel.canonical import canonical_json
from services.kernel.decimals import plain
from services.kernel.ids import ChangeId, PolicyNodeId, PolicyVersionId
from services.policy.domain.errors import RolloutEvidenceMissing, RolloutState, SelfApproval, VersionConflict
from services.policy.domain.history import AsOf

# Who rolls back when a stop rule is broken.
STOP_RULE_ACTOR = "rule:stop"

SHARES = 10_000


class Stage(StrEnum):
    """How far a rollout is."""

    SHADOW = "shadow"
    CANARY = "canary"
    ALL = "all"
    ROLLED_BACK = "rolled_back"


OPEN = frozenset({Stage.SHADOW, Stage.CANARY})
_NEXT = {Stage.SHADOW: Stage.CANARY, Stage.CANARY: Stage.ALL}


class Metric(StrEnum):
    """What the new version does more of than the old; more is worse."""

    TAX = "tax"
    COST = "cost"
    DRIFT = "drift"
    TURNOVER = "turnover"
    FAILURES = "failures"


@dataclass(frozen=True, slots=True)
class StopRule:
    """The mean of `metric` over the newest `window` comparisons may be at most `bound_bps`, edge inside."""

    metric: Metric
    bound_bps: Decimal
    window: int


@dataclass(frozen=True, slots=True)
class Cohort:
    """A named set of accounts: those under one of `node_ids`."""

    name: str
    node_ids: tuple[PolicyNodeId, ...]


@dataclass(frozen=True, slots=True)
class RolloutPlan:
    """How a change reaches the accounts: by a share in basis points or a cohort, and what stops it."""

    stop_rules: tuple[StopRule, ...]
    share_bps: int | None = None
    cohort: Cohort | None = None

    def __post_init__(self) -> None:
        """Refuse a plan with no stop rule, and one whose canary is nobody or two things."""
        if not self.stop_rules:
            raise ValueError("a rollout states a stop rule beforehand")
        if (self.share_bps is None) == (self.cohort is None):
            raise ValueError("a canary is a share of the accounts or a cohort")


@dataclass(frozen=True, slots=True)
class Step:
    """That a rollout came to `stage`: for accounts from `effective_time` on, known from `recorded_time` on."""

    stage: Stage
    effective_time: datetime
    recorded_time: datetime
    actor: str
    reason: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """What one account gets under the new version more than under the old, in basis points of its value."""

    run_id: str
    account_id: PolicyNodeId
    tax_bps: Decimal
    cost_bps: Decimal
    drift_bps: Decimal
    turnover_bps: Decimal
    failed: bool

    def of(self, metric: Metric) -> Decimal:
        """Return the value of a metric."""
        match metric:
            case Metric.TAX:
                return self.tax_bps
            case Metric.COST:
                return self.cost_bps
            case Metric.DRIFT:
                return self.drift_bps
            case Metric.TURNOVER:
                return self.turnover_bps
            case Metric.FAILURES:
                return Decimal(SHARES) if self.failed else Decimal(0)


@dataclass(frozen=True, slots=True)
class Reading:
    """A stop rule and what it sees: `count` comparisons in its window, and their mean if there is one."""

    rule: StopRule
    count: int
    mean_bps: Decimal | None

    @property
    def full(self) -> bool:
        """Return whether the window is full."""
        return self.count >= self.rule.window

    @property
    def broken(self) -> bool:
        """Return whether the window is full and the mean beyond the bound."""
        return self.full and self.mean_bps is not None and self.mean_bps > self.rule.bound_bps

    @property
    def description(self) -> str:
        """Return what it sees as a sentence."""
        seen = "none" if self.mean_bps is None else plain(self.mean_bps.quantize(Decimal("0.0001")))
        return (
            f"mean {self.rule.metric} over {self.count} of {self.rule.window} comparisons is {seen} bps, at most "
            f"{plain(self.rule.bound_bps)} allowed"
        )


def readings(rules: Sequence[StopRule], newest_first: Sequence[Comparison]) -> tuple[Reading, ...]:
    """Return what each rule sees in the comparisons of a rollout, newest first."""
    found: list[Reading] = []
    for rule in rules:
        seen = [comparison.of(rule.metric) for comparison in newest_first[: rule.window]]
        mean = sum(seen, Decimal(0)) / len(seen) if seen else None
        found.append(Reading(rule, len(seen), mean))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Rollout:
    """The rollout of one change.

    Guarantees: `steps` only grow, and end with `ALL` or `ROLLED_BACK`.

    Attributes:
        change_id: The change, whose only rollout this is.
        author: Who wrote the change.
        steps: Oldest first; the first is `SHADOW`.
    """

    change_id: ChangeId
    node_id: PolicyNodeId
    version_id: PolicyVersionId
    author: str
    plan: RolloutPlan
    steps: tuple[Step, ...]

    @property
    def stage(self) -> Stage:
        """Return the stage it came to last."""
        return self.steps[-1].stage

    @property
    def etag(self) -> str:
        """Return what changes whenever the rollout does."""
        return f"{self.change_id}.rollout.{len(self.steps)}"

    def stage_at(self, as_of: AsOf) -> Stage | None:
        """Return the stage at an instant, as known at an instant; None before it began."""
        found: Stage | None = None
        for step in self.steps:
            known = as_of.known_time is None or step.recorded_time <= as_of.known_time
            if known and step.effective_time <= as_of.valid_time:
                found = step.stage
        return found

    def in_canary(self, unit_id: PolicyNodeId, path: Collection[PolicyNodeId]) -> bool:
        """Return whether an account has the new version in the canary stage; the same at every instant.

        Args:
            unit_id: Its household, or the account itself where it has none: what is decided together stays together.
            path: The nodes from the root to the account.
        """
        if self.plan.cohort is not None:
            return any(node_id in path for node_id in self.plan.cohort.node_ids)
        return share_of(self.change_id, unit_id) < (self.plan.share_bps or 0)

    def advanced(
        self, by: str, *, reason: str, at: datetime, market_time: datetime, seen: Sequence[Reading]
    ) -> "Rollout":
        """Return the rollout in its next stage.

        Raises:
            SelfApproval: `by` wrote the change.
            RolloutState: It is final.
            RolloutEvidenceMissing: A stop rule has not seen a full window, or is broken.
        """
        if by == self.author:
            raise SelfApproval(f"{by} wrote change {self.change_id} and cannot advance it", change_id=self.change_id)
        self._require_open("advance")
        for reading in seen:
            if not reading.full or reading.broken:
                raise RolloutEvidenceMissing(
                    f"the rollout of {self.change_id} cannot advance: {reading.description}", change_id=self.change_id
                )
        return self._stepped(_NEXT[self.stage], by, reason, at, market_time)

    def rolled_back(self, by: str, *, reason: str, at: datetime, market_time: datetime) -> "Rollout":
        """Return the rollout taken back.

        Raises:
            RolloutState: It is final.
        """
        self._require_open("be rolled back")
        return self._stepped(Stage.ROLLED_BACK, by, reason, at, market_time)

    def check_etag(self, etag: str) -> None:
        """Refuse to act on another state of the rollout than the caller read.

        Raises:
            VersionConflict: `etag` is not its etag; both are named.
        """
        if etag != self.etag:
            raise VersionConflict(
                f"the rollout is at {self.etag}, the request was for {etag}", etag=self.etag, requested_etag=etag
            )

    def _require_open(self, step: str) -> None:
        if self.stage not in OPEN:
            raise RolloutState(
                f"the rollout of {self.change_id} is {self.stage} and cannot {step}", change_id=self.change_id
            )

    def _stepped(self, stage: Stage, by: str, reason: str, at: datetime, market_time: datetime) -> "Rollout":
        # Clocks that were set back must not let a step take effect before the one that it follows.
        effective_time = max(market_time, self.steps[-1].effective_time)
        return replace(self, steps=(*self.steps, Step(stage, effective_time, at, by, reason)))


def begun(
    change_id: ChangeId,
    node_id: PolicyNodeId,
    version_id: PolicyVersionId,
    plan: RolloutPlan,
    *,
    author: str,
    by: str,
    at: datetime,
    market_time: datetime,
) -> Rollout:
    """Return the rollout that `by`'s approval begins, in shadow."""
    first = Step(Stage.SHADOW, market_time, at, by, "approved")
    return Rollout(change_id, node_id, version_id, author, plan, (first,))


def share_of(change_id: ChangeId, unit_id: PolicyNodeId) -> int:
    """Return where a unit falls among 10,000 shares of a rollout: uniform, and the same for ever.

    The first 8 bytes of SHA-256 over both names, modulo 10,000; the bias of the modulo is below 1e-15.
    """
    digest = hashlib.sha256(canonical_json([change_id, unit_id])).digest()
    return int.from_bytes(digest[:8], "big") % SHARES
