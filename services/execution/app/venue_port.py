"""A venue as the use cases see it, whatever protocol it speaks.

The words are those of FIX 4.4, volume 4 (orders) and volume 5 (allocations), without the protocol: an order keeps the
name we gave it, however often the venue renames it; what the venue says comes as one stream without a gap, each report
once, whichever way it came; what it has comes as a view. An adapter maps and decides nothing.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from services.execution.domain.order import Report
from services.execution.domain.words import OrderType, Side, TimeInForce
from services.kernel.ids import AccountId, InstrumentId, VenueId


@dataclass(frozen=True, slots=True)
class Intent:
    """An order for a venue. The same `client_order_id` is the same order, however often it arrives.

    `increment` is the smallest quantity it may be filled in, `currency` what is paid in: of a pair the one that is not
    dealt (`domain/currencies`). `settlement_date` is None where it is the market's usual one.
    """

    client_order_id: str
    instrument_id: InstrumentId
    side: Side
    quantity: Decimal
    increment: Decimal
    order_type: OrderType
    limit_price: Decimal | None
    time_in_force: TimeInForce
    currency: str
    settlement_date: date | None = None


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The venue has the order."""


@dataclass(frozen=True, slots=True)
class NotTaken:
    """The venue does not take the order, and never will."""

    why: str


@dataclass(frozen=True, slots=True)
class OutcomeUnknown:
    """The answer was lost: the venue may or may not have the order."""

    why: str


SubmitOutcome = Acknowledged | NotTaken | OutcomeUnknown


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a venue can do.

    `repeats_harmlessly`: a venue that gets one client order id twice makes one order of it; where it is not, the
    adapter sends each once. `replace_keeps_id`: a replaced order keeps its name at the venue; where it does not, the
    adapter follows the chain of names, and reports still carry the first. `query_settles_s`: this long after a send,
    "unknown order" means that it will never arrive. `books_allocations`: who got what is instructed there.
    `trades_currencies`: pairs of currencies are instruments there (`EUR/USD`), and either of the two may be dealt.
    """

    order_types: frozenset[OrderType]
    times_in_force: frozenset[TimeInForce]
    quantity_decimals: int
    repeats_harmlessly: bool
    replace_keeps_id: bool
    query_settles_s: float
    books_allocations: bool = False
    trades_currencies: bool = False


@dataclass(frozen=True, slots=True)
class VenueReport:
    """What a venue said about one of our orders, at its place in the venue's stream.

    `client_order_id` is the name under which the order was submitted. `drop_copy`: it came as a copy, and the report
    itself has not come; when it does, it is known and says nothing new.
    """

    position: int
    client_order_id: str
    report: Report
    time: datetime
    drop_copy: bool = False


@dataclass(frozen=True, slots=True)
class VenueView:
    """An order as the venue has it.

    `gross_amount` may be off by `amount_tolerance` either way, where the venue says only a rounded average price.
    `gross_amount` and `fees` are None where the venue says no sum.
    """

    client_order_id: str
    quantity: Decimal
    filled_quantity: Decimal
    gross_amount: Decimal | None
    fees: Decimal | None
    open: bool
    amount_tolerance: Decimal = Decimal(0)


class InstructionState(StrEnum):
    """Where an allocation instruction is in its life; FIX 4.4, AllocStatus <87>."""

    PENDING = "PENDING"  # Written down, and not sent.
    SENT = "SENT"  # May be on its way.
    RECEIVED = "RECEIVED"  # There, and not looked at yet.
    ACCEPTED = "ACCEPTED"
    REJECTED = "REJECTED"


@dataclass(frozen=True, slots=True)
class AllocationShare:
    """An account's part of what is allocated, above 0, and its part of the fees, zero or more."""

    account_id: AccountId
    quantity: Decimal
    fees: Decimal


@dataclass(frozen=True, slots=True)
class AllocationInstruction:
    """Who got what of an order. The same `allocation_id` is the same instruction, however often it arrives.

    `replaces` names the instruction that this one takes the place of, after a bust or a correction; without shares, it
    only takes the other back. The shares sum to `quantity`.
    """

    allocation_id: str
    replaces: str | None
    client_order_id: str
    instrument_id: InstrumentId
    side: Side
    currency: str
    quantity: Decimal
    average_price: Decimal
    trade_date: date
    settlement_date: date
    shares: tuple[AllocationShare, ...]

    def __post_init__(self) -> None:
        total = sum((each.quantity for each in self.shares), Decimal(0))
        if total != self.quantity or any(each.quantity <= 0 for each in self.shares):
            raise ValueError(f"shares are positive and sum to {self.quantity}, was {total}")


@dataclass(frozen=True, slots=True)
class InstructionView:
    """What became of an allocation instruction; `why` when it was rejected."""

    state: InstructionState
    why: str = ""


@dataclass(frozen=True, slots=True)
class MarketSetting:
    """The market that a simulated venue fills against.

    `fill_share_max` is the largest part of an order in one execution, above 0 to 1.
    """

    currency: str
    spread_bps: Decimal
    fee_bps: Decimal
    seed: int
    fill_share_max: Decimal
    market_time: datetime


@dataclass(frozen=True, slots=True)
class Sizes:
    """Units that a simulated market buys (`bid`) and sells (`ask`) at its quote until the next one, 0 or more."""

    bid: Decimal
    ask: Decimal

    def offered_to(self, side: Side) -> Decimal:
        """Return how much an order of `side` can have."""
        return self.ask if side is Side.BUY else self.bid

    def less(self, side: Side, quantity: Decimal) -> "Sizes":
        """Return what is left after an order of `side` took `quantity`."""
        if side is Side.BUY:
            return Sizes(self.bid, self.ask - quantity)
        return Sizes(self.bid - quantity, self.ask)


@dataclass(frozen=True, slots=True)
class Quote:
    """What a simulated market offers in an instrument: the middle price, and what is left, None for any amount."""

    middle: Decimal
    sizes: Sizes | None = None


class VenuePort(Protocol):
    """A place where orders are executed.

    An adapter maps a venue's protocol to this; it decides nothing. Calls other than `submit` raise `VenueUnreachable`
    when the venue does not answer.
    """

    @property
    def venue_id(self) -> VenueId:
        """Return the venue's name."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """Return what the venue can do."""
        ...

    @property
    def ready(self) -> bool:
        """Return whether orders can be sent now; while not, they are better kept."""
        ...

    async def submit(self, intents: Sequence[Intent]) -> Sequence[SubmitOutcome]:
        """Send orders, in this order, and return what became of each.

        Never raises for what the network does: a lost answer is an outcome.
        """
        ...

    async def cancel(self, client_order_id: str, request_id: str) -> None:
        """Ask the venue to cancel what is left of an order; the answer comes as a report.

        The same `request_id` is the same request, however often it is made.
        """
        ...

    async def replace(
        self, client_order_id: str, request_id: str, quantity: Decimal, limit_price: Decimal | None
    ) -> None:
        """Ask the venue to change an order's quantity and limit; the answer comes as a report.

        `quantity` is all of the order, what is filled included. A fill that crosses the request counts on the order as
        it was. The same `request_id` is the same request, however often it is made.
        """
        ...

    async def query(self, client_order_id: str) -> VenueView | None:
        """Return an order as the venue has it; None when the venue does not know it.

        None is a promise: `query_settles_s` after the order was submitted it is not there, and no earlier submission
        of it can still arrive. It may then be submitted again.
        """
        ...

    async def mass_status(self) -> Sequence[VenueView]:
        """Return all orders that the venue has from us, by client order id.

        After the connection was lost it is what the venue has now, never what it had before.
        """
        ...

    async def reports(self, after: int, limit: int) -> Sequence[VenueReport]:
        """Return what the venue said after position `after`, in its order, without a gap."""
        ...

    async def instruct(self, instructions: Sequence[AllocationInstruction]) -> None:
        """Tell the venue who got what of each order; `instructions` tells what became of it.

        Only where `books_allocations`. Some may have left when it raises: telling all again is harmless.
        """
        ...

    async def instructions(self, allocation_ids: Collection[str]) -> Mapping[str, InstructionView]:
        """Return what became of instructions; those that never left are missing."""
        ...
