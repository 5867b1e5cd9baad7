"""The execution service: what travels to it, what it reports, as a Protocol."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from services.decision.domain.book import Allocation
from services.decision.domain.plan import Plan, Release
from services.kernel.ids import InstrumentId, OrderId, PlanId, RunId


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
class ClosedOrder:
    """An order that execution closed."""

    order_id: OrderId
    plan_id: PlanId
    state: str
    filled_quantity: Decimal
    close_reason: str
    cost: OrderCost | None = None


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
