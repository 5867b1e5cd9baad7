"""What execution remembers: plans, orders, blocks, and who got what."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import NewType

from services.execution.app.ledger_uncrosses import Uncross
from services.execution.app.venue_port import InstructionState, VenueReport
from services.execution.domain.allocation import Share, Statement, Traded
from services.execution.domain.blocks import Block, Piece, Terms
from services.execution.domain.changed import maker
from services.execution.domain.order import OrderState, Report, VenueOrder, fold
from services.execution.domain.plan import Plan
from services.execution.domain.pretrade import Refusal
from services.kernel.ids import AccountId, BlockId, InstrumentId, OrderId, PlanId, PolicyHash, RunId, VenueId
from services.kernel.signing import Signature

ZERO = Decimal(0)

_piece = maker(Piece)


AllocationId = NewType("AllocationId", str)


class LifeState(StrEnum):
    """Where an account's order is in its life."""

    WAITING = "WAITING"
    READY = "READY"
    WORKING = "WORKING"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    REJECTED = "REJECTED"


CLOSED = frozenset({LifeState.FILLED, LifeState.CANCELED, LifeState.REJECTED})


class CloseReason(StrEnum):
    """Why an order ended with less than its quantity."""

    TRADING_HALTED = "TRADING_HALTED"
    PLAN_EXPIRED = "PLAN_EXPIRED"
    CUT_OFF = "CUT_OFF"
    CASH_INSUFFICIENT = "CASH_INSUFFICIENT"
    VENUE_CANCELED = "VENUE_CANCELED"
    VENUE_EXPIRED = "VENUE_EXPIRED"
    VENUE_REJECTED = "VENUE_REJECTED"
    FILL_BUSTED = "FILL_BUSTED"
    # Of a block alone: its orders go on.
    VOLUME_BUCKET_OVER = "VOLUME_BUCKET_OVER"


@dataclass(frozen=True, slots=True)
class PlanRecord:
    """A plan that was submitted, as it was signed, and what we said."""

    plan: Plan
    payload: bytes
    payload_hash: str
    signature: Signature
    refusals: tuple[Refusal, ...]
    trace_parent: str | None
    submit_time: datetime

    @property
    def accepted(self) -> bool:
        """Return whether the plan was taken."""
        return not self.refusals


@dataclass(frozen=True, slots=True)
class PlanBasis:
    """What a plan that was taken rests on: versions of its account's rules."""

    plan_id: PlanId
    account_id: AccountId
    policy_version_hashes: tuple[PolicyHash, ...]


@dataclass(frozen=True, slots=True)
class KnownPlan:
    """What we said to a plan that was submitted before."""

    plan_id: PlanId
    payload_hash: str
    refusals: tuple[Refusal, ...]


@dataclass(frozen=True, slots=True)
class Timetable:
    """When the parts of an order go, in the market's time: from `start` until `end`, and the next at `due`."""

    start: datetime
    end: datetime
    due: datetime


@dataclass(frozen=True, slots=True)
class OrderRecord:
    """An account's order.

    Of its `quantity`, `released` may be sent, `placed` is in blocks, `ended` was in blocks that are finished, and
    `filled` was got. `settling_amount` is what a sell brought for certain from a block that is not finished, fees
    deducted. `check_time` is when what may be sent passed the checks; None when it has to, before it goes into a block.
    `final_price` is what the unfilled rest of a closed order is reckoned at; None where there is no rest, and before.
    `crossing_client` is whose order it is where it may meet opposite orders of other clients, and None where it may
    not.
    """

    order_id: OrderId
    plan_id: PlanId
    run_id: RunId
    account_id: AccountId
    terms: Terms
    may_aggregate: bool
    quantity: Decimal
    rank: int
    decision_price: Decimal
    predicted_cost: Decimal
    unit_cost_max: Decimal
    expire_time: datetime
    create_time: datetime
    update_time: datetime
    trace_parent: str | None
    released: Decimal = ZERO
    placed: Decimal = ZERO
    ended: Decimal = ZERO
    filled: Decimal = ZERO
    filled_amount: Decimal = ZERO
    fees: Decimal = ZERO
    settling_amount: Decimal = ZERO
    arrival_amount: Decimal = ZERO
    final_price: Decimal | None = None
    close_reason: str = ""
    block_id: BlockId | None = None
    check_time: datetime | None = None
    schedule: "Timetable | None" = None
    crossing_client: str | None = None

    @property
    def instrument_id(self) -> InstrumentId:
        """Return which instrument is traded."""
        return self.terms.instrument_id

    @property
    def ready(self) -> Decimal:
        """Return what may go into a block now."""
        return ZERO if self.close_reason else self.released - self.placed

    @property
    def in_flight(self) -> Decimal:
        """Return what is in blocks that are not finished."""
        return self.placed - self.ended

    @property
    def waiting(self) -> Decimal:
        """Return what is not released."""
        return ZERO if self.close_reason else self.quantity - self.released

    @property
    def state(self) -> LifeState:
        """Return where the order is in its life."""
        if self.in_flight > 0:
            return LifeState.WORKING
        if self.filled == self.quantity:
            return LifeState.FILLED
        if self.close_reason:
            refused = self.close_reason.startswith(CloseReason.VENUE_REJECTED) and self.filled == 0
            return LifeState.REJECTED if refused else LifeState.CANCELED
        return LifeState.READY if self.ready > 0 else LifeState.WAITING

    @property
    def closed(self) -> bool:
        """Return whether nothing more will happen to it."""
        return self.state in CLOSED

    def piece(self) -> Piece:
        """Return what of the order is ready to be sent."""
        return self.part(self.ready)

    def part(self, quantity: Decimal) -> Piece:
        """Return so much of the order as a piece of a block."""
        return _piece(
            self.order_id, self.account_id, self.terms, quantity, self.placed, self.may_aggregate, self.block_id
        )


@dataclass(frozen=True, slots=True)
class BlockRecord:
    """A block, what we did with it, and everything the venue said about it.

    `trade_date` is the exchange's date of the last fill; before there is one, of the block itself. `market_time` is
    when it was formed, by the market's clock. `protection_price` is the most that market buys pay, and the worst rate
    of a leg. `attempt` names the attempt to send that holds it. `cancel_reason` says why we want it canceled;
    `cancel_sent` whether the venue was asked. `allocated` says that its fills are shared out: then the block is
    finished. `times` says when the venue made each report. `crossed_block_id` is the block on the other side, where it
    was filled inside and never sent. `arrival_rate` is what a unit of the traded currency cost in the accounts' own
    when it was formed, None where that is the same; `leg_of` the block whose fills this one turns into the accounts'
    currency; `unconverted` says that it is over and that its own money is still to be turned.
    """

    block: Block
    trade_date: date
    arrival_price: Decimal
    expire_time: datetime
    create_time: datetime
    update_time: datetime
    market_time: datetime | None = None
    protection_price: Decimal | None = None
    trace_parents: tuple[str, ...] = ()
    ours: OrderState = OrderState.PENDING
    attempt: str = ""
    reject_reason: str = ""
    cancel_reason: str = ""
    cancel_sent: bool = False
    allocated: bool = False
    reports: tuple[Report, ...] = ()
    times: Mapping[str, datetime] = field(default_factory=dict)
    summary: "BlockSummary | None" = field(default=None, compare=False)
    crossed_block_id: BlockId | None = None
    arrival_rate: Decimal | None = None
    leg_of: BlockId | None = None
    unconverted: bool = False

    def heard(self, said: Sequence[VenueReport]) -> "BlockRecord":
        """Return the block with more that the venue said, none of which it knew."""
        return replace(
            self,
            reports=self.reports + tuple(each.report for each in said),
            times={**self.times, **{each.report.report_id: each.time for each in said}},
        )

    @property
    def block_id(self) -> BlockId:
        """Return the block's id."""
        return self.block.block_id

    @property
    def statement(self) -> Statement:
        """Return how its fills are shared."""
        return self.block.statement

    @property
    def order(self) -> VenueOrder:
        """Return the order at the venue, as its reports make it."""
        start = VenueOrder(self.block.quantity, self.block.terms.limit_price, ours=self.ours)
        return fold(start, self.reports)


@dataclass(frozen=True, slots=True)
class BlockSummary:
    """A block at a glance: kept beside the reports, so that lists need not fold them."""

    state: OrderState
    filled_quantity: Decimal
    average_price: Decimal | None
    fees: Decimal


def summary_of(record: BlockRecord) -> BlockSummary:
    """Return the block at a glance."""
    order = record.order
    return BlockSummary(order.state, order.filled_quantity, order.average_price, order.fees)


@dataclass(frozen=True, slots=True)
class AllocationRecord:
    """An account's part of a block's fills of one day. Never changes.

    What a correction or bust made of it is another one, of the next `revision`, that `replaces` it: with the whole new
    quantity and amounts, which are 0 when nothing is left. Money is in the account's currency; `traded` says what it
    was in the currency in which it was traded, where that is another.
    """

    allocation_id: AllocationId
    order_id: OrderId
    block_id: BlockId
    account_id: AccountId
    plan_id: PlanId
    terms: Terms
    quantity: Decimal
    price: Decimal
    amount: Decimal
    fees: Decimal
    trade_date: date
    settlement_date: date
    create_time: datetime
    revision: int = 0
    replaces: AllocationId | None = None
    traded: Traded | None = None


@dataclass(frozen=True, slots=True)
class Correction:
    """An allocation that replaces another, and at which place of the stream that was told."""

    allocation: AllocationRecord
    replaced: AllocationRecord
    replaced_position: int


@dataclass(frozen=True, slots=True)
class AllocationDetail:
    """An allocation with all that it replaces and that replaced it, first to last, and what the statement said."""

    history: tuple[AllocationRecord, ...]
    statement: Statement
    share: Share


@dataclass(frozen=True, slots=True)
class InstructionRecord:
    """That the venue is told who got what of a block on a day, and what it said to that; `why` when it rejected it.

    `replaces` names the instruction that this one takes the place of: after a correction or a bust, or because the
    venue rejected it. `trade_date` is None where an earlier build wrote it down, for all days together.
    """

    allocation_id: str
    block_id: BlockId
    venue_id: VenueId
    client_order_id: str
    create_time: datetime
    update_time: datetime
    trade_date: date | None
    replaces: str | None = None
    state: InstructionState = InstructionState.PENDING
    why: str = ""


@dataclass(frozen=True, slots=True)
class PlanReport:
    """Something that happened to a plan, at its place in the stream: an allocation, its correction, a closed order."""

    position: int
    plan_id: PlanId
    account_id: AccountId
    trace_parent: str | None
    content: AllocationRecord | Correction | OrderRecord


@dataclass(frozen=True, slots=True)
class VenueBreak:
    """A difference between our record and the venue's."""

    block_id: BlockId | None
    client_order_id: str
    kind: str
    ours: str
    venues: str


class Party(StrEnum):
    """Whose record differs from ours."""

    VENUE = "VENUE"
    CUSTODIAN = "CUSTODIAN"


@dataclass(frozen=True, slots=True)
class Break:
    """A difference that is kept until it is gone or somebody has settled it.

    `source` is the venue or custodian. It was found at `find_time` and seen last at `see_time`. Who settled it is
    `resolver`, empty when both sides agreed again by themselves. `trade_date` is that of a custodian's trade.
    `settle_day` is of which day the custodian had spoken last when a person settled a difference in positions or cash.
    """

    break_id: str
    party: Party
    source: str
    kind: str
    account_id: AccountId | None
    instrument_id: InstrumentId | None
    block_id: BlockId | None
    client_order_id: str
    ours: str
    theirs: str
    find_time: datetime
    see_time: datetime
    owner: str = ""
    resolve_time: datetime | None = None
    resolver: str = ""
    note: str = ""
    trade_date: date | None = None
    settle_day: date | None = None


@dataclass(frozen=True, slots=True)
class BlockDetail:
    """A block with what each order got, as it counts now, and what the venue was told of it, oldest first.

    `uncross` is the wish to undo it, where it was crossed.
    """

    record: BlockRecord
    allocations: tuple[AllocationRecord, ...]
    instructions: tuple[InstructionRecord, ...] = ()
    uncross: Uncross | None = None
