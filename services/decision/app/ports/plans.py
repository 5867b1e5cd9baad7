"""The plans, and the contents that they rest on, as Protocols."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Protocol

from services.decision.app.ports.execution import ApprovedPlan, ClosedOrder, Submission
from services.decision.domain.book import PlannedLot
from services.decision.domain.plan import NewPlan, Plan, PlanOutcome, PlanState
from services.decision.domain.problem import RecentTrade
from services.decision.domain.run import Run
from services.kernel.ids import AccountId, InstrumentId, OrderId, PlanId, RunId


class Contents(Protocol):
    """What plans rest on, by the hash of its bytes."""

    async def put(self, bodies: Mapping[str, bytes]) -> None:
        """Keep each body under its hash; what is there already stays."""
        ...

    async def get(self, hashes: Collection[str]) -> Mapping[str, bytes]:
        """Return the bodies that are there."""
        ...


@dataclass(frozen=True, slots=True)
class CostedOrder:
    """A closed order beside what its plan predicted for what was filled; the plan rests on `policy_hash`."""

    order_id: OrderId
    policy_hash: str
    value: Decimal
    spread: Decimal
    impact: Decimal
    trading: Decimal


@dataclass(frozen=True, slots=True)
class PlanFilter:
    """Which plans to list; None for all."""

    run_id: RunId | None = None
    account_id: AccountId | None = None
    state: PlanState | None = None
    outcome: PlanOutcome | None = None
    no_trade_reason: str = ""


class Plans(Protocol):
    """The plans."""

    async def add(self, run: Run, plans: Sequence[NewPlan], at: datetime) -> Collection[PlanId]:
        """Keep new plans and return those kept: all but those whose account has another live plan."""
        ...

    async def get(self, plan_id: PlanId) -> Plan | None:
        """Return a plan with its content."""
        ...

    async def lock(self, plan_id: PlanId) -> Plan | None:
        """Return a plan that nobody else changes before this transaction ends."""
        ...

    async def listed(self, which: PlanFilter, after: PlanId | None, limit: int) -> Sequence[Plan]:
        """Return plans after `after` by id, without content."""
        ...

    async def newest(self, account_id: AccountId) -> Plan | None:
        """Return an account's newest plan, with its content."""
        ...

    async def move(self, plan: Plan, was: PlanState) -> None:
        """Keep state, approver, refusal and update time of a plan.

        Raises:
            Conflict: Its state is not `was`.
        """
        ...

    async def live_accounts(self, account_ids: Collection[AccountId]) -> Collection[AccountId]:
        """Return those accounts that have a live plan."""
        ...

    async def live_trades(self, account_ids: Collection[AccountId]) -> Mapping[AccountId, tuple[RecentTrade, ...]]:
        """Return what the live plan of each account is about to trade; absent without one."""
        ...

    async def decided_dates(self, account_ids: Collection[AccountId]) -> Mapping[AccountId, date]:
        """Return the day that each account was decided for last, with trades or without; absent when never."""
        ...

    async def decided_accounts(self, account_ids: Collection[AccountId]) -> Mapping[AccountId, str]:
        """Return the hash of what each account was when it was decided last, as `decided_dates` sees it."""
        ...

    async def withdraw_unsent(self, run_id: RunId, at: datetime) -> Sequence[Plan]:
        """Withdraw the run's plans that are not being submitted, and return them without content."""
        ...

    async def expire(self, market_time: datetime, at: datetime, limit: int) -> Sequence[Plan]:
        """Expire plans that are too old and not being submitted, and return them without content."""
        ...

    async def approved(self, market_time: datetime, limit: int) -> Sequence[ApprovedPlan]:
        """Return approved plans of one run that is decided; nobody else gets them meanwhile."""
        ...

    async def submit(self, submission: Submission, at: datetime) -> None:
        """Keep a submission, and in each of its plans the bytes that travel."""
        ...

    async def claim_submission(self, now: datetime, until: datetime) -> Submission | None:
        """Take a submission that is not acknowledged, for nobody else until `until`, and count the attempt."""
        ...

    async def postpone(self, submission_id: str, until: datetime) -> None:
        """Let a submission wait until then."""
        ...

    async def split(self, submission: Submission, parts: Sequence[Submission], at: datetime) -> None:
        """Replace a submission by parts of it."""
        ...

    async def acknowledge(self, submission_id: str, refusals: Mapping[PlanId, str], at: datetime) -> Sequence[Plan]:
        """Close a submission: its plans are WORKING, or REFUSED with a refusal. Return those that moved."""
        ...

    async def worked(self, plan_ids: Collection[PlanId], at: datetime) -> Sequence[Plan]:
        """Move submitted plans that execution reports on to WORKING, and return those that moved."""
        ...

    async def planned_lots(
        self, plan_ids: Collection[PlanId]
    ) -> Mapping[PlanId, Mapping[InstrumentId, tuple[PlannedLot, ...]]]:
        """Return the lots that plans sell, by instrument, in the plan's order."""
        ...

    async def run_ids(self, plan_ids: Collection[PlanId]) -> Mapping[PlanId, RunId]:
        """Return the run of each plan; plans that do not exist are left out."""
        ...

    async def costed_orders(
        self, run_id: RunId | None, since: datetime | None, currency: str, limit: int
    ) -> Sequence[CostedOrder]:
        """Return closed orders that something was filled of, the newest `limit`, with what was predicted for them."""
        ...

    async def close_orders(self, orders: Sequence[ClosedOrder], at: datetime) -> Sequence[Plan]:
        """Count closed orders, each once, and return the plans that are DONE by it."""
        ...
