"""What running and planning need of the outside, as Protocols.

A session is one database transaction: everything done through its ports happens together, or not at all.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Protocol

from services.decision.app.book import Books, Ledger
from services.decision.app.comparing import Comparisons
from services.decision.app.prices import Prices
from services.decision.app.tax_laws import TaxLaws
from services.decision.domain.batches import Batch, BatchAnswer
from services.decision.domain.book import Allocation, PlannedLot
from services.decision.domain.comparison import PolicySides
from services.decision.domain.deciding import AccountInputs, Basis
from services.decision.domain.decision import NotTraded
from services.decision.domain.outline import Totals
from services.decision.domain.plan import Draft, NewPlan, Plan, PlanOutcome, PlanState, Release
from services.decision.domain.policy import Policy
from services.decision.domain.prices import PriceHistory
from services.decision.domain.problem import RecentTrade, RiskModel
from services.decision.domain.run import Run, RunProgress, RunState, Shard
from services.decision.domain.transition import Transition
from services.kernel.events import Event
from services.kernel.ids import AccountId, InstrumentId, OrderId, PlanId, PolicyHash, RunId


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


class Contents(Protocol):
    """What plans rest on, by the hash of its bytes."""

    async def put(self, bodies: Mapping[str, bytes]) -> None:
        """Keep each body under its hash; what is there already stays."""
        ...

    async def get(self, hashes: Collection[str]) -> Mapping[str, bytes]:
        """Return the bodies that are there."""
        ...


@dataclass(frozen=True, slots=True)
class ApprovedPlan:
    """A plan, without its content, and what execution must know of it."""

    plan: Plan
    release: Release


@dataclass(frozen=True, slots=True)
class SignedPlan:
    """What travels to execution: bytes and a signature over them."""

    plan_id: PlanId
    payload: bytes
    key_id: str
    signature: bytes


@dataclass(frozen=True, slots=True)
class Submission:
    """Plans that are sent together. The id is the request id; the plans' bytes are stored with it."""

    submission_id: str
    run_id: RunId
    attempts: int
    trace_parent: str | None
    plans: tuple[SignedPlan, ...] = ()


@dataclass(frozen=True, slots=True)
class ClosedOrder:
    """An order that execution closed."""

    order_id: OrderId
    plan_id: PlanId
    state: str
    filled_quantity: Decimal
    close_reason: str
    cost: "OrderCost | None" = None


@dataclass(frozen=True, slots=True)
class OrderCost:
    """What an order cost that was filled, at least in part.

    `value` is what was filled at the price at arrival, `trading` what it cost from there on, negative for a gain.
    """

    instrument_id: InstrumentId
    currency: str
    value: Decimal
    trading: Decimal
    fees: Decimal


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


@dataclass(frozen=True, slots=True)
class Session:
    """One database transaction, to read in."""

    runs: Runs
    plans: Plans
    contents: Contents
    books: Books
    prices: Prices
    comparisons: Comparisons
    laws: TaxLaws


@dataclass(frozen=True, slots=True)
class WriteSession(Session):
    """One database transaction, to write in. `emit` tells audit of changes, if it commits."""

    ledger: Ledger
    emit: Callable[[Sequence[Event]], Awaitable[None]]


# Opens a transaction in which nothing is changed.
Read = Callable[[], AbstractAsyncContextManager[Session]]
# Opens a transaction that commits when the block ends and rolls back when it raises.
Begin = Callable[[], AbstractAsyncContextManager[WriteSession]]


@dataclass(frozen=True, slots=True)
class EffectivePolicies:
    """What policy answered: each different policy once, and the policy of each account; empty when none is in force."""

    documents: Mapping[PolicyHash, bytes]
    version_hashes: Mapping[PolicyHash, tuple[str, ...]]
    policy_of: Mapping[AccountId, PolicyHash]
    # The accounts under a rollout; both of their policies are among `documents`.
    sides: Mapping[AccountId, PolicySides] = field(default_factory=dict)


class PolicyDocuments(Protocol):
    """The policies of accounts, as the policy service answers."""

    async def resolve(self, account_ids: Sequence[AccountId], effective_time: datetime) -> EffectivePolicies:
        """Return the policies in force at `effective_time`, for each of the accounts.

        Raises:
            Unreachable: The service does not answer.
        """
        ...

    async def supposing(
        self, change_id: str, account_ids: Sequence[AccountId], effective_time: datetime, known_time: datetime | None
    ) -> EffectivePolicies:
        """Return the same as it was known at an instant, now for None, but as if a change governed its node.

        Raises:
            NotFound: There is no such change.
            Unreachable: The service does not answer.
        """
        ...

    def read(self, document: bytes) -> Policy:
        """Return what a document says.

        Raises:
            Invalid: It says what cannot be.
        """
        ...


class PolicyClient(PolicyDocuments, Protocol):
    """The policy service."""

    async def presets(self) -> Sequence["PolicyPreset"]:
        """Return the published rules and philosophies, by name.

        Raises:
            Unreachable: The service does not answer.
        """
        ...

    def overlaid(self, document: bytes, over: bytes) -> bytes:
        """Return `document` with the fields that `over` sets in place of its own, lists as a whole.

        Raises:
            Invalid: One of both is no document.
        """
        ...


@dataclass(frozen=True, slots=True)
class PolicyPreset:
    """A part of a policy document with a name; `philosophy` is that of its objective, empty when it has none."""

    name: str
    philosophy: str
    document: bytes


@dataclass(frozen=True, slots=True)
class Report:
    """Something that happened to a plan: an allocation, or an order that ended."""

    position: int
    plan_id: PlanId
    trace_parent: str | None
    allocation: Allocation | None = None
    closed: ClosedOrder | None = None


class ExecutionClient(Protocol):
    """The execution service."""

    def signed(self, approved: ApprovedPlan) -> SignedPlan:
        """Return what travels for a plan; the same plan gives the same bytes."""
        ...

    async def submit(self, request_id: str, plans: Sequence[SignedPlan]) -> Mapping[PlanId, str]:
        """Submit plans and return why execution refused those that it did not take. Safe to repeat.

        Raises:
            Unreachable: The service does not answer; whether it took them is unknown.
            Invalid: It refuses the request as a whole.
        """
        ...

    def reports(self, after: int) -> AsyncIterator[Sequence[Report]]:
        """Yield what happens to plans, after a position, as it happens.

        Raises:
            Unreachable: The service does not answer.
        """
        ...


@dataclass(frozen=True, slots=True)
class Solved:
    """A draft, and how long it took."""

    draft: Draft
    duration_s: float


class Solver(Protocol):
    """Computes outside of the event loop."""

    async def not_traded(self, account: AccountInputs, basis: Basis) -> Sequence[NotTraded]:
        """Return why each instrument that the account's plan leaves alone is not traded.

        Raises:
            Fact: The inputs are refused.
        """
        ...

    async def drafts(self, accounts: Sequence[AccountInputs], basis: Basis) -> Sequence[Solved]:
        """Return the plan of each account, in order; one that takes too long is UNSOLVED."""
        ...

    async def transition(self, account: AccountInputs, basis: Basis, tax_years: int) -> Transition:
        """Return how an account gets to its target over tax years.

        Raises:
            Fact: The inputs are refused, or nothing is decided about the account.
        """
        ...

    async def risk_model(self, history: PriceHistory) -> RiskModel:
        """Return the risk model that a price history tells."""
        ...


class BatchSolver(Protocol):
    """Decides batches outside of the event loop."""

    async def batch(self, batch: Batch) -> BatchAnswer:
        """Return a plan for each account of a batch, or what is wrong with it.

        Raises:
            BatchInvalid: What its accounts share is wrong.
            Unreachable: No answer came.
        """
        ...


class Spanned(Protocol):
    """A span of a trace."""

    def set_attribute(self, key: str, value: str | float) -> None:
        """Say something about it."""
        ...


class Tracing(Protocol):
    """Makes work a span of a trace. `__` in an attribute's name stands for a dot."""

    def continued(
        self, trace_parent: str | None, name: str, **attributes: str | float
    ) -> AbstractContextManager[Spanned]:
        """Open a span called `name` in the trace that ordered the work."""
        ...

    def span(self, name: str, **attributes: str | float) -> AbstractContextManager[Spanned]:
        """Open a span called `name` inside the present one."""
        ...


class Changes:
    """Tells those who wait, in this process, that something changed; what other replicas change is seen by looking."""

    def __init__(self) -> None:
        """Nobody waits yet."""
        self._changed = asyncio.Event()
        self._work = asyncio.Event()

    def tell(self, *, work: bool = True) -> None:
        """Wake everybody who watches a run; and, if there may be `work` for another stage, those who do it."""
        self._changed.set()
        self._changed = asyncio.Event()
        if work:
            self._work.set()
            self._work = asyncio.Event()

    async def wait(self, seconds: float) -> None:
        """Wait for the next change, or for `seconds`."""
        await _wait(self._changed, seconds)

    async def wait_for_work(self, seconds: float) -> bool:
        """Wait until there may be work, or for `seconds`; return whether there may be."""
        return await _wait(self._work, seconds)


async def _wait(event: asyncio.Event, seconds: float) -> bool:
    try:
        return await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
