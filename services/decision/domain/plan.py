"""A plan: what one account should do, and where that is in its life.

What a plan says is a pure function of its inputs, which it names by hash; `plan_hash` covers both, and an approval
binds to it. What changes is only the plan's state, by the moves below, and each move is guarded in the database by the
state it starts from.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from services.decision.domain.decision import Decision
from services.decision.domain.outline import Outline
from services.decision.domain.problem import ZERO, RecentTrade, Side
from services.kernel.canonical import rfc3339
from services.kernel.errors import Conflict, Denied, NotFound, Rejected
from services.kernel.ids import AccountId, HouseholdId, InstrumentId, PlanId, PolicyHash, RunId


class PlanNotFound(NotFound):
    """No plan has this id."""

    reason = "PLAN_NOT_FOUND"


class PlanExpired(Rejected):
    """The prices behind the plan are too old to act on."""

    reason = "PLAN_EXPIRED"


class PlanStateForbids(Rejected):
    """The plan is not in a state that allows this."""

    reason = "PLAN_STATE"


class PlanLive(Rejected):
    """The account has another plan that is not final."""

    reason = "PLAN_LIVE"


class PlanUnsafe(Rejected):
    """An exact check of the plan failed; nothing was released."""

    reason = "PLAN_UNSAFE"


class PolicyNotInForce(Rejected):
    """No policy was in force for the account at the instant decided for."""

    reason = "POLICY_NOT_IN_FORCE"


class NothingDecided(Rejected):
    """The plan has no decision that could be explained: its inputs were refused, or the account is paused."""

    reason = "PLAN_STATE"


class ApprovalStale(Conflict):
    """The approval names another content than the plan has."""

    reason = "APPROVAL_STALE"


class SelfApproval(Denied):
    """The approver started the run."""

    reason = "SELF_APPROVAL"


class PlanState(StrEnum):
    """Where a plan is in its life."""

    # Waits for a person.
    HELD = "HELD"
    # Execution may act on it.
    APPROVED = "APPROVED"
    # Execution has it.
    WORKING = "WORKING"
    # Every order of it is closed and booked. Final, as are all below.
    DONE = "DONE"
    # Taken back before it was submitted.
    WITHDRAWN = "WITHDRAWN"
    # Its prices became too old before it was submitted.
    EXPIRED = "EXPIRED"
    # A newer snapshot replaced its account's book before it was submitted.
    SUPERSEDED = "SUPERSEDED"
    # Execution refused it.
    REFUSED = "REFUSED"
    # There is nothing to trade.
    IDLE = "IDLE"


# An account has at most one plan in these states.
LIVE_STATES = (PlanState.HELD, PlanState.APPROVED, PlanState.WORKING)


class PlanOutcome(StrEnum):
    """What the decision was."""

    TRADE = "TRADE"
    NO_TRADE = "NO_TRADE"
    # No trades satisfy the policy.
    INFEASIBLE = "INFEASIBLE"
    # The optimiser gave no certified answer in time.
    UNSOLVED = "UNSOLVED"
    # The account's inputs were refused, or an exact check failed.
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class HouseholdProof:
    """How good plans of a household are together, where some had to give way so that no loss is denied.

    Attributes:
        account_ids: Of the accounts that were decided together and have an answer.
        objective: What their objectives come to, in their currency; less is better.
        bound: No plans of theirs that deny no loss come to less.
        solves: Plans that were made for it.
        settled: Whether no plan denies another's loss; false where the accounts' laws know no bar that would do it.
    """

    account_ids: tuple[AccountId, ...]
    objective: Decimal
    bound: Decimal
    solves: int
    settled: bool = True


@dataclass(frozen=True, slots=True)
class PlanInputs:
    """Everything that a plan is a function of, by hash.

    Attributes:
        policy_hash: Of the effective policy; empty when none was in force.
        account_hash: Of the account's part of the book.
        instruments_hash: Of what was known of the instruments.
        engine: Name and version of engine and solver, and its options.
        household_trades: What other accounts of the household had traded lately, or were about to.
        event: What happened that asked for the decision; empty for nothing.
        looked_regardless: Decided although nothing was outside its band, because it was due.
        cash_flow: Money that came, negative for what went, since the account was decided last; 0 where nobody asks.
        household: What the accounts that were decided together come to; None where none had to give way.
    """

    policy_hash: PolicyHash
    policy_version_hashes: tuple[str, ...]
    account_hash: str
    snapshot_id: str
    price_set_id: str
    instruments_hash: str
    risk_model_hash: str
    engine: str
    as_of_time: datetime
    looked_regardless: bool = False
    event: str = ""
    household_trades: tuple[RecentTrade, ...] = ()
    cash_flow: Decimal = ZERO
    household: HouseholdProof | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no decision. `reason` is one of the contract's error reasons; `details` name field, value, limit."""

    reason: str
    message: str
    details: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReleasedTrade:
    """A trade as execution is asked for it. `held_quantity` is what the account had before."""

    instrument_id: InstrumentId
    side: Side
    quantity: Decimal
    quantity_increment: Decimal
    price: Decimal
    trading_cost: Decimal
    held_quantity: Decimal


@dataclass(frozen=True, slots=True)
class Release:
    """What execution must know besides the decision.

    Attributes:
        available_cash: Buys may use it before any sale is filled.
        cash_shortfall: Missing to the cash that must be there: sales fill it up before buys use what they bring.
    """

    household_id: HouseholdId | None
    custodian: str
    currency: str
    available_cash: Decimal
    trades: tuple[ReleasedTrade, ...]
    aggregation_consent: bool = False
    limit_distance_bps: Decimal | None = None
    venue_id: str = ""
    cash_shortfall: Decimal = ZERO
    schedule: str = ""
    participation_limit: Decimal | None = None
    crossing_consent: bool = False


@dataclass(frozen=True, slots=True)
class PlanContent:
    """What a plan says; recorded once and never changed.

    Attributes:
        decision: What the optimiser answered; None when it was not asked or gave no answer.
        failure: Why there is none.
        note: What people should know besides, for instance that the policy pauses the account.
        currency: Of all amounts.
        tax_saved: Estimated tax of selling the same first-in first-out, less the plan's.
        release: For execution; None without trades.
        targets: Target weights that were decided for.
    """

    currency: str
    decision: Decision | None = None
    failure: Failure | None = None
    note: str = ""
    tax_saved: Decimal = ZERO
    release: Release | None = None
    targets: Mapping[InstrumentId, Decimal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Draft:
    """A plan that was decided and is not recorded yet.

    Attributes:
        recorded_content: `content`, as it is recorded; made where the plan is.
        outline: `content` in short.
        expire_time: From then on it must not be acted on.
    """

    account_id: AccountId
    outcome: PlanOutcome
    inputs: PlanInputs
    content: PlanContent
    recorded_content: bytes
    outline: Outline
    plan_hash: str
    review_reasons: tuple[str, ...]
    expire_time: datetime


@dataclass(frozen=True, slots=True)
class NewPlan:
    """A draft that becomes a plan."""

    plan_id: PlanId
    draft: Draft
    state: PlanState
    approver: str


@dataclass(frozen=True, slots=True)
class Plan:
    """A recorded plan. `content` is None in lists, which show the outline."""

    plan_id: PlanId
    run_id: RunId
    account_id: AccountId
    state: PlanState
    outcome: PlanOutcome
    inputs: PlanInputs
    plan_hash: str
    review_reasons: tuple[str, ...]
    approver: str
    refusal: str
    create_time: datetime
    expire_time: datetime
    update_time: datetime
    outline: Outline
    content: PlanContent | None = None
    # The submission it is part of: from then on execution may have it.
    submission_id: str | None = None

    @property
    def subjects(self) -> dict[str, str]:
        """Ids of whom an event about the plan concerns."""
        subjects = {"plan": str(self.plan_id), "run": str(self.run_id), "account": str(self.account_id)}
        if self.inputs.snapshot_id:
            subjects["snapshot"] = self.inputs.snapshot_id
        if self.inputs.policy_version_hashes:
            # Of the versions on the path, the nearest to the account.
            subjects["policy_version"] = self.inputs.policy_version_hashes[-1]
        return subjects

    def approved(self, *, approver: str, starter: str, plan_hash: str, at: datetime, market_time: datetime) -> "Plan":
        """Return the plan approved by a person; an approved plan is returned as it is.

        Args:
            approver: Who approves.
            starter: Who started the plan's run.
            plan_hash: Of the content that the approver read.
            at: The present instant, as recorded.
            market_time: The market's present instant.

        Raises:
            SelfApproval: The approver started the run.
            ApprovalStale: `plan_hash` is another.
            PlanStateForbids: The plan does not wait for a person.
            PlanExpired: It is too old.
        """
        if approver == starter:
            raise SelfApproval(
                f"{approver} started run {self.run_id} and cannot approve its plans", plan_id=self.plan_id
            )
        if plan_hash != self.plan_hash:
            raise ApprovalStale(
                f"plan {self.plan_id} has hash {self.plan_hash}, the approval names {plan_hash}", plan_id=self.plan_id
            )
        if self.state in (PlanState.APPROVED, PlanState.WORKING, PlanState.DONE):
            return self
        if self.state is PlanState.EXPIRED or (self.state is PlanState.HELD and market_time >= self.expire_time):
            raise PlanExpired(f"plan {self.plan_id} expired at {rfc3339(self.expire_time)}", plan_id=self.plan_id)
        self._must_be(PlanState.HELD)
        return replace(self, state=PlanState.APPROVED, approver=approver, update_time=at)

    def withdrawn(self, at: datetime) -> "Plan":
        """Return the plan taken back; a withdrawn plan is returned as it is.

        Raises:
            PlanStateForbids: It is final, or execution may have it.
        """
        if self.state is PlanState.WITHDRAWN:
            return self
        self._must_be(PlanState.HELD, PlanState.APPROVED)
        if self.submission_id is not None:
            raise PlanStateForbids(f"plan {self.plan_id} is being submitted", plan_id=self.plan_id, state=self.state)
        return replace(self, state=PlanState.WITHDRAWN, update_time=at)

    def _must_be(self, *states: PlanState) -> None:
        if self.state not in states:
            allowed = " or ".join(states)
            raise PlanStateForbids(
                f"plan {self.plan_id} must be {allowed}, was {self.state}", plan_id=self.plan_id, state=self.state
            )


def first_state(draft: Draft, *, dry_run: bool) -> PlanState:
    """Return the state in which a decided plan begins its life."""
    if draft.outcome is not PlanOutcome.TRADE:
        return PlanState.IDLE
    if dry_run:
        return PlanState.WITHDRAWN
    return PlanState.HELD if draft.review_reasons else PlanState.APPROVED
