"""What the use cases need from outside: a ledger, policy, and the trace of what they do; venues are in `venue_port`.

The ledger is one thing, because all of a transaction is written or none; its parts that stand alone are in `ledger_*`.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Protocol

from services.execution.app.ledger_breaks import BreakLedger
from services.execution.app.ledger_checks import CheckLedger
from services.execution.app.ledger_instructions import InstructionLedger
from services.execution.app.ledger_uncrosses import UncrossLedger
from services.execution.app.records import (
    AllocationId,
    AllocationRecord,
    BlockDetail,
    BlockRecord,
    LifeState,
    OrderRecord,
    PlanReport,
)
from services.execution.app.venue_port import VenueReport
from services.execution.domain.sequencing import Funding
from services.execution.domain.trading_state import Scope
from services.kernel.events import Event
from services.kernel.ids import AccountId, BlockId, InstrumentId, OrderId, PlanId, PolicyHash, RunId, VenueId

# Orders of a large change that are written while those behind them are decided.
ORDERS_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class OrderFilter:
    """Which orders to list; None means any."""

    plan_id: PlanId | None = None
    account_id: AccountId | None = None
    run_id: RunId | None = None
    state: LifeState | None = None


@dataclass(frozen=True, slots=True)
class Readiness:
    """What is ready to go into blocks, and since when."""

    count: int
    oldest_time: datetime
    newest_time: datetime


@dataclass(frozen=True, slots=True)
class PlacedPiece:
    """So much more of an order is in a block now."""

    order_id: OrderId
    quantity: Decimal
    block_id: BlockId


@dataclass(frozen=True, slots=True)
class Allocated:
    """What was shared out of a block, in all, in the currency that it was traded in."""

    quantity: Decimal
    amount: Decimal
    fees: Decimal


@dataclass(frozen=True, slots=True)
class Dangling:
    """That rows of a block name something that is not there: a `missing` block, order, plan, share or report."""

    block_id: BlockId
    missing: str
    named: str


@dataclass(frozen=True, slots=True)
class Benchmarks:
    """An order's fills beside what they would have moved at two prices of the market.

    `vwap_amount` is what the fills moved whose interval's average price is known, and `at_vwap` what they would have
    moved at it; `close_amount` and `at_close` the same of the last price of the day. `crossed_amount` is what was
    traded with other clients.
    """

    vwap_amount: Decimal = Decimal(0)
    at_vwap: Decimal = Decimal(0)
    close_amount: Decimal = Decimal(0)
    at_close: Decimal = Decimal(0)
    crossed_amount: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class ShortPlan:
    """A plan with buys that wait for money.

    `more_to_come`: some of its orders are under way or about to be, and may bring money or give some back.
    """

    plan_id: PlanId
    funding: Funding
    more_to_come: bool
    waiting: tuple[OrderRecord, ...]


class Ledger(CheckLedger, InstructionLedger, BreakLedger, UncrossLedger, Protocol):
    """Execution's record within one transaction: all of it is written, or none."""

    async def lock(self) -> None:
        """Wait until no other transaction changes orders or limits, and keep others waiting until this one ends."""
        ...

    async def pass_gate(self) -> None:
        """Wait until no halt is being written, and keep halts waiting until this transaction ends."""
        ...

    async def close_gate(self) -> None:
        """Wait until no order is being sent, and keep senders waiting until this transaction ends."""
        ...

    async def emit(self, *events: Event) -> None:
        """Tell audit, if the transaction commits."""
        ...

    async def hand_over(self) -> None:
        """Let what was written go on its way, while this process decides what comes next."""
        ...

    # Orders.

    async def add_orders(self, orders: Sequence[OrderRecord]) -> None:
        """Record new orders."""
        ...

    async def save_orders(self, orders: Sequence[OrderRecord]) -> None:
        """Record how orders changed."""
        ...

    async def place_orders(self, pieces: Sequence[PlacedPiece], now: datetime) -> None:
        """Record at `now` that so much more of orders is in blocks; each order is named once."""
        ...

    async def correct_orders(self, orders: Sequence[OrderRecord]) -> None:
        """Record how orders that were closed changed; what the stream of plan reports said of them stays said."""
        ...

    async def orders(self, order_ids: Collection[OrderId]) -> dict[OrderId, OrderRecord]:
        """Return orders by id; those not known are missing."""
        ...

    async def short_plans(self, plan_ids: Collection[PlanId]) -> list[ShortPlan]:
        """Return those of the plans that have buys waiting for money, by id, and how much there is."""
        ...

    async def awaited_orders(self, block_ids: Collection[BlockId]) -> dict[BlockId, set[OrderId]]:
        """Return the orders of each block whose plans have buys waiting for money; blocks without any are missing."""
        ...

    async def unchecked_orders(self, before: datetime, limit: int) -> list[OrderRecord]:
        """Return orders that could go into a block, and were not checked since `before`; oldest first.

        One that goes in parts only when a part of it is due and waits for the check.
        """
        ...

    async def scheduled_orders(self, due: datetime, limit: int) -> list[OrderRecord]:
        """Return orders that go in parts and of which the next is due by then, or that have no timetable yet, by id."""
        ...

    async def readiness(self, checked_since: datetime) -> Readiness | None:
        """Return what is ready to go into blocks and was checked since then; None when nothing is."""
        ...

    async def ready_orders(self, checked_since: datetime, limit: int) -> list[OrderRecord]:
        """Return orders that may go into a block and were checked since then, oldest first."""
        ...

    async def unsent_orders(self, scope: Scope | None, expired_at: datetime | None) -> list[OrderRecord]:
        """Return open orders with something not in a block: within a scope, or of plans that expired by then."""
        ...

    async def list_orders(self, which: OrderFilter, after: str, limit: int) -> list[OrderRecord]:
        """Return orders after an id, by id."""
        ...

    async def changed_orders(self, which: OrderFilter, since: datetime, after: str, limit: int) -> list[OrderRecord]:
        """Return orders that changed at `since` or later, after an id, by id."""
        ...

    async def closed_orders(self, run_id: RunId | None, after: OrderId, limit: int) -> list[OrderRecord]:
        """Return orders that are over after an id, by id."""
        ...

    # Blocks.

    async def participated(
        self, instrument_ids: Collection[InstrumentId], since: datetime
    ) -> dict[InstrumentId, Decimal]:
        """Return how much blocks of limited participation trade since then, at most, by the market's clock.

        What went into blocks since; of earlier ones what was filled since, and what is still open.
        """
        ...

    async def resting_blocks(self, venue_id: VenueId, before: datetime, limit: int) -> list[BlockId]:
        """Return blocks of limited participation, by id, that were formed before then and may still be filled.

        But for those that wait for an auction, and those that are to be canceled.
        """
        ...

    async def carries(self, account_ids: Collection[AccountId]) -> dict[AccountId, int]:
        """Return what earlier blocks left accounts short by; absent means 0."""
        ...

    async def add_carries(self, changes: Mapping[AccountId, int]) -> None:
        """Add to accounts' carries."""
        ...

    async def add_blocks(self, blocks: Sequence[BlockRecord]) -> None:
        """Record new blocks, before anything is sent."""
        ...

    async def save_blocks(self, blocks: Sequence[BlockRecord]) -> None:
        """Record how blocks changed, apart from their reports."""
        ...

    async def claim_blocks(self, venue_id: VenueId, attempt: str, now: datetime, limit: int) -> list[BlockId]:
        """Mark unsent blocks as being sent by `attempt`, sells first, and return their ids in that order."""
        ...

    async def claimed_blocks(self, attempt: str, block_ids: Collection[BlockId]) -> list[BlockRecord]:
        """Return and lock those blocks that `attempt` still holds, in the order of `block_ids`."""
        ...

    async def unresolved_blocks(self, venue_id: VenueId, before: datetime, limit: int) -> list[BlockRecord]:
        """Return and lock blocks whose send has had no answer since `before`; those locked by others are left out."""
        ...

    async def blocks_to_finish(self, venue_id: VenueId, limit: int) -> list[BlockRecord]:
        """Return and lock blocks that never reached the venue and never will: refused, or canceled before sending."""
        ...

    async def blocks_to_cancel(self, venue_id: VenueId, limit: int) -> list[BlockRecord]:
        """Return and lock blocks at the venue that we want canceled and have not asked to."""
        ...

    async def open_blocks(self, scope: Scope | None, expired_at: datetime | None) -> list[BlockRecord]:
        """Return and lock unfinished blocks: within a scope, or of plans that expired by then."""
        ...

    async def blocks_at(self, venue_id: VenueId, client_order_ids: Collection[str]) -> dict[str, BlockRecord]:
        """Return and lock blocks with all their reports, by the id the venue knows."""
        ...

    async def block(self, block_id: BlockId) -> BlockDetail | None:
        """Return a block with its reports and allocations."""
        ...

    async def blocks(self, block_ids: Collection[BlockId]) -> list[BlockRecord]:
        """Return and lock blocks with all their reports, by id."""
        ...

    async def legs(self, block_ids: Collection[BlockId]) -> dict[BlockId, list[BlockRecord]]:
        """Return the blocks that turn the money of others, with all their reports, by what they are for."""
        ...

    async def unconverted_blocks(self, venue_id: VenueId, before: datetime, turn: str, limit: int) -> list[BlockId]:
        """Return blocks that are over, whose money is not turned, and that have no leg that is open or from later.

        In an order that `turn` draws: those that cannot be turned for long do not keep others from their turn.
        """
        ...

    async def list_blocks(self, run_id: RunId | None, after: str, limit: int) -> list[BlockRecord]:
        """Return blocks after an id, by id, without their reports."""
        ...

    async def sent_blocks(self, venue_id: VenueId, after: str, limit: int) -> list[BlockRecord]:
        """Return blocks that may have reached the venue after a block id, by id, with their reports."""
        ...

    # What venues say, and what follows.

    async def cursor(self, venue_id: VenueId) -> int:
        """Return up to which position a venue's reports are recorded."""
        ...

    async def move_cursor(self, venue_id: VenueId, position: int) -> None:
        """Record up to which position a venue's reports are recorded."""
        ...

    async def add_reports(self, venue_id: VenueId, reports: Sequence[tuple[BlockId | None, VenueReport]]) -> None:
        """Record what a venue said; None for orders that are not ours."""
        ...

    async def add_allocations(self, allocations: Sequence[AllocationRecord]) -> None:
        """Record who got what."""
        ...

    async def allocations(self, block_ids: Collection[BlockId]) -> dict[BlockId, list[AllocationRecord]]:
        """Return the blocks' allocations that nothing replaced, by order and day; blocks without any are missing."""
        ...

    async def allocation_history(self, allocation_id: AllocationId) -> list[AllocationRecord]:
        """Return an allocation with all that it replaces and that replaced it, first to last; empty when unknown."""
        ...

    async def allocated(self, block_ids: Collection[BlockId]) -> dict[BlockId, Allocated]:
        """Return what was shared out of each of the blocks, as it counts now."""
        ...

    async def dangling(self, after: str, until: str | None) -> list[Dangling]:
        """Return what rows of blocks after an id and up to another name that is not there; None for all after."""
        ...

    async def benchmarks(self, order_ids: Collection[OrderId], bucket: timedelta) -> dict[OrderId, Benchmarks]:
        """Return what the orders' allocations would have cost at the market's prices; buckets are so long."""
        ...

    async def append_reports(
        self, contents: Sequence[AllocationRecord | OrderRecord], parents: Mapping[PlanId, str | None]
    ) -> None:
        """Put what happened at the end of the stream of plan reports, without a gap; `parents`: the plans' traces."""
        ...

    async def plan_reports(self, after: int, limit: int) -> list[PlanReport]:
        """Return the stream of plan reports after a position."""
        ...

    async def orders_by_state(self) -> dict[LifeState, int]:
        """Return how many orders are in each state."""
        ...


Begin = Callable[[], AbstractAsyncContextManager[Ledger]]


@dataclass(frozen=True, slots=True)
class PolicyVerdict:
    """What policy has against acting for an account: its rules are others by now, or pause it."""

    paused: bool
    description: str


class Policies(Protocol):
    """Asks policy which versions are in force, and whether they still are an account's."""

    async def verdicts(
        self,
        accounts: Mapping[AccountId, Collection[PolicyHash]],
        at: datetime,
        effective: Mapping[AccountId, PolicyHash],
    ) -> Mapping[AccountId, PolicyVerdict]:
        """Return those accounts whose rules at `at` are not the given versions, or pause trading.

        Where `effective` names the policy that a plan rests on, that must be the same, too: it also changes with what
        is on record of the client.

        Raises:
            Unreachable: Policy does not answer.
        """
        ...

    async def in_force(self, hashes: Collection[PolicyHash], at: datetime) -> frozenset[PolicyHash]:
        """Return those of `hashes` that are in force at `at`.

        Raises:
            Unreachable: Policy does not answer.
        """
        ...


class Trace(Protocol):
    """Ties what is done to the trace in which it was ordered."""

    def continued(
        self, trace_parent: str | None, name: str, *, also: Sequence[str] = (), **attributes: str | int
    ) -> AbstractContextManager[object]:
        """Do the work within as a span of the trace `trace_parent`."""
        ...

    def parent(self) -> str | None:
        """Return the present trace context, to be stored with a row."""
        ...
