"""What a venue has told us about one order, folded into one state.

A venue reports events in whatever order the network likes: a fill may come before the acknowledgement, the same report
twice, a correction before the fill it corrects, a fill after our cancel. So the order is never "moved" from state to
state. It is a fold: each report leaves a fact (this fill lives, this cancel is pending), and the state is read from
all facts by the precedence of FIX 4.4, volume 7, appendix D. The fold never refuses a report, so none can be lost.

What always holds after every report:

- each report id counts once;
- `leaves_quantity` is quantity less filled, and 0 once the order is canceled, expired, rejected, done for day or
  suspended;
- the average price times the filled quantity is the sum of the live fills.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum
from typing import assert_never

ZERO = Decimal(0)

# Average prices are quotients; nine decimals is what `google.type.Money` can say.
AVERAGE_PRICE_QUANTUM = Decimal("0.000000001")


class OrderState(StrEnum):
    """Where an order is in its life: FIX's states, and three of our own before the venue has spoken."""

    PENDING = "PENDING"  # Durable here, not sent.
    SENDING = "SENDING"  # May be on its way.
    UNKNOWN = "UNKNOWN"  # Sent, the answer was lost: ask the venue, never send again before.
    PENDING_NEW = "PENDING_NEW"
    NEW = "NEW"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    DONE_FOR_DAY = "DONE_FOR_DAY"
    PENDING_CANCEL = "PENDING_CANCEL"
    PENDING_REPLACE = "PENDING_REPLACE"
    STOPPED = "STOPPED"
    SUSPENDED = "SUSPENDED"
    CALCULATED = "CALCULATED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    REJECTED = "REJECTED"


# FIX 4.4, volume 7, appendix D: the highest of all states that apply is the one to report.
PRECEDENCE: Mapping[OrderState, int] = {
    OrderState.PENDING_CANCEL: 12,
    OrderState.PENDING_REPLACE: 11,
    OrderState.DONE_FOR_DAY: 10,
    OrderState.CALCULATED: 9,
    OrderState.FILLED: 8,
    OrderState.STOPPED: 7,
    OrderState.SUSPENDED: 6,
    OrderState.CANCELED: 5,
    OrderState.EXPIRED: 5,
    OrderState.PARTIALLY_FILLED: 4,
    OrderState.NEW: 2,
    OrderState.REJECTED: 2,
    OrderState.PENDING_NEW: 2,
    # Ours: what we know only until the venue has said anything at all.
    OrderState.UNKNOWN: 1,
    OrderState.SENDING: 1,
    OrderState.PENDING: 0,
}

# In these, nothing more of the order can be filled.
NOTHING_LEAVES = frozenset(
    {
        OrderState.CANCELED,
        OrderState.EXPIRED,
        OrderState.REJECTED,
        OrderState.DONE_FOR_DAY,
        OrderState.SUSPENDED,
    }
)


@dataclass(frozen=True, slots=True)
class PendingNew:
    """The venue has the order and has not accepted it yet."""

    report_id: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """The venue works the order."""

    report_id: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The venue does not take the order; final."""

    report_id: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Filled:
    """A trade: so many units at this price. `fee` in the order's currency, zero or more."""

    report_id: str
    quantity: Decimal
    price: Decimal
    fee: Decimal = ZERO

    def __post_init__(self) -> None:
        if self.quantity <= 0 or self.price <= 0 or self.fee < 0:
            raise ValueError(f"a fill has a positive quantity and price and a fee of at least 0, was {self}")


@dataclass(frozen=True, slots=True)
class FillCorrected:
    """The fill reported as `corrects` was in truth this one."""

    report_id: str
    corrects: str
    quantity: Decimal
    price: Decimal
    fee: Decimal = ZERO

    def __post_init__(self) -> None:
        if self.quantity <= 0 or self.price <= 0 or self.fee < 0:
            raise ValueError(f"a corrected fill has a positive quantity and price and a fee of at least 0, was {self}")


@dataclass(frozen=True, slots=True)
class FillBusted:
    """The fill reported as `busts` never happened."""

    report_id: str
    busts: str


@dataclass(frozen=True, slots=True)
class CancelPending:
    """The venue looks at our request to cancel."""

    report_id: str
    request_id: str


@dataclass(frozen=True, slots=True)
class Canceled:
    """What was left is canceled: asked for or not, also what fill-or-kill and immediate-or-cancel leave."""

    report_id: str


@dataclass(frozen=True, slots=True)
class ReplacePending:
    """The venue looks at our request to change quantity or limit; until it answers, the order is as it was."""

    report_id: str
    request_id: str


@dataclass(frozen=True, slots=True)
class Replaced:
    """The order now has this quantity and limit. Less than is filled means: as much as is filled."""

    report_id: str
    request_id: str
    quantity: Decimal
    limit_price: Decimal | None = None


@dataclass(frozen=True, slots=True)
class ChangeRefused:
    """The venue refuses a cancel or a replace; the order stays as it is."""

    report_id: str
    request_id: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Paused:
    """The order rests for now: done for day, suspended by a halt, stopped at a guaranteed price, being calculated."""

    report_id: str
    state: OrderState

    def __post_init__(self) -> None:
        resting = (OrderState.DONE_FOR_DAY, OrderState.SUSPENDED, OrderState.STOPPED, OrderState.CALCULATED)
        if self.state not in resting:
            raise ValueError(f"an order pauses as one of {', '.join(resting)}, was {self.state}")


@dataclass(frozen=True, slots=True)
class Restated:
    """The venue says how the order stands now, unasked: renewed for a new day, reinstated, reduced, or split.

    A stock split of `split_to` new for `split_from` old units restates what was filled as well.
    """

    report_id: str
    quantity: Decimal | None = None
    limit_price: Decimal | None = None
    split_to: int = 1
    split_from: int = 1


@dataclass(frozen=True, slots=True)
class Expired:
    """Its time in force is over; final."""

    report_id: str


Report = (
    PendingNew
    | Accepted
    | Refused
    | Filled
    | FillCorrected
    | FillBusted
    | CancelPending
    | Canceled
    | ReplacePending
    | Replaced
    | ChangeRefused
    | Paused
    | Restated
    | Expired
)


@dataclass(frozen=True, slots=True)
class LiveFill:
    """A fill that counts: neither busted nor corrected by a later report."""

    report_id: str
    quantity: Decimal
    price: Decimal
    fee: Decimal


@dataclass(frozen=True, slots=True)
class VenueOrder:
    """One order as the venue has it, from what the venue has reported so far."""

    quantity: Decimal
    limit_price: Decimal | None = None
    ours: OrderState = OrderState.PENDING
    fills: Mapping[str, LiveFill] = field(default_factory=dict)
    void: frozenset[str] = frozenset()
    seen: frozenset[str] = frozenset()
    acknowledged: OrderState | None = None
    ended: OrderState | None = None
    paused: OrderState | None = None
    cancels_pending: frozenset[str] = frozenset()
    replaces_pending: frozenset[str] = frozenset()
    changes_answered: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if self.quantity <= 0:
            raise ValueError(f"an order's quantity is positive, was {self.quantity}")

    @property
    def filled_quantity(self) -> Decimal:
        """Return the sum of the live fills' quantities."""
        return sum([fill.quantity for fill in self.fills.values()], ZERO)

    @property
    def gross_amount(self) -> Decimal:
        """Return the exact sum of quantity times price over the live fills, fees excluded."""
        return sum([fill.quantity * fill.price for fill in self.fills.values()], ZERO)

    @property
    def fees(self) -> Decimal:
        """Return the fees of the live fills."""
        return sum((f.fee for f in self.fills.values()), ZERO)

    @property
    def average_price(self) -> Decimal | None:
        """Return the average price of the live fills, half-even to nine decimals; None when nothing is filled."""
        filled = self.filled_quantity
        if filled == 0:
            return None
        return (self.gross_amount / filled).quantize(AVERAGE_PRICE_QUANTUM, rounding=ROUND_HALF_EVEN)

    @property
    def state(self) -> OrderState:
        """Return the state with the highest precedence among those that apply; of equals, what was learned last."""
        return max(reversed(self._states()), key=PRECEDENCE.__getitem__)

    @property
    def leaves_quantity(self) -> Decimal:
        """Return what may still be filled, 0 or more."""
        if any(state in NOTHING_LEAVES for state in (self.ended, self.paused)):
            return ZERO
        return max(self.quantity - self.filled_quantity, ZERO)

    @property
    def final(self) -> bool:
        """Return whether the venue is finished with the order, unless it corrects itself or we replace it."""
        return self.ended is not None or self.filled_quantity >= self.quantity

    @property
    def overfilled_quantity(self) -> Decimal:
        """Return how much more was filled than ordered; anything but 0 is a break to be shown."""
        return max(self.filled_quantity - self.quantity, ZERO)

    def _states(self) -> tuple[OrderState, ...]:
        filled = self.filled_quantity
        states = [self.ours]
        if self.acknowledged is not None:
            states.append(self.acknowledged)
        if self.ended is not None:
            states.append(self.ended)
        if self.paused is not None:
            states.append(self.paused)
        if filled >= self.quantity:
            states.append(OrderState.FILLED)
        elif filled > 0:
            states.append(OrderState.PARTIALLY_FILLED)
        # A change that is still pending when the order ends will only be told "too late".
        if self.ended is None and self.cancels_pending:
            states.append(OrderState.PENDING_CANCEL)
        if self.ended is None and self.replaces_pending:
            states.append(OrderState.PENDING_REPLACE)
        return tuple(states)


def sending(order: VenueOrder) -> VenueOrder:
    """Return the order as about to be sent: from here on it may be at the venue."""
    return replace(order, ours=OrderState.SENDING)


def outcome_unknown(order: VenueOrder) -> VenueOrder:
    """Return the order as sent with its answer lost; only the venue can tell."""
    return replace(order, ours=OrderState.UNKNOWN)


def not_at_venue(order: VenueOrder) -> VenueOrder:
    """Return the order as the venue says it never had it, so that it may be sent.

    Raises:
        ValueError: The venue has reported about this order before, so it cannot be unknown there.
    """
    if order.seen:
        raise ValueError(f"the venue denies an order it has reported {len(order.seen)} times about")
    return replace(order, ours=OrderState.PENDING)


def after(order: VenueOrder, report: Report) -> VenueOrder:
    """Return the order after one report of the venue; a report seen before changes nothing."""
    if report.report_id in order.seen:
        return order
    seen = order.seen | {report.report_id}
    match report:
        case Filled() | FillCorrected() | FillBusted():
            return _with_fill(order, report, seen)
        case PendingNew():
            return replace(order, seen=seen, acknowledged=order.acknowledged or OrderState.PENDING_NEW)
        case Accepted():
            return replace(order, seen=seen, acknowledged=OrderState.NEW)
        case Refused():
            return replace(order, seen=seen, ended=order.ended or OrderState.REJECTED)
        case CancelPending() | ReplacePending() | ChangeRefused() | Replaced():
            return _with_change(replace(order, seen=seen), report)
        case Canceled():
            return replace(order, seen=seen, ended=OrderState.CANCELED, paused=None)
        case Expired():
            return replace(order, seen=seen, ended=order.ended or OrderState.EXPIRED, paused=None)
        case Paused():
            return replace(order, seen=seen, paused=report.state)
        case Restated():
            return _restated(replace(order, seen=seen), report)
        case _:
            assert_never(report)


def fold(order: VenueOrder, reports: Iterable[Report]) -> VenueOrder:
    """Return the order after all `reports`, in their order."""
    for report in reports:
        order = after(order, report)
    return order


def _with_fill(order: VenueOrder, report: Filled | FillCorrected | FillBusted, seen: frozenset[str]) -> VenueOrder:
    fills = dict(order.fills)
    void = order.void
    match report:
        case Filled():
            pass
        case FillCorrected():
            void |= {report.corrects}
            fills.pop(report.corrects, None)
        case FillBusted():
            void |= {report.busts}
            fills.pop(report.busts, None)
        case _:
            assert_never(report)
    # A correction may overtake the report it corrects: what is void stays void when it arrives.
    if not isinstance(report, FillBusted) and report.report_id not in void:
        fills[report.report_id] = LiveFill(report.report_id, report.quantity, report.price, report.fee)
    return replace(order, seen=seen, fills=fills, void=void)


def _with_change(order: VenueOrder, report: CancelPending | ReplacePending | ChangeRefused | Replaced) -> VenueOrder:
    answered = report.request_id in order.changes_answered
    match report:
        case CancelPending():
            return order if answered else replace(order, cancels_pending=order.cancels_pending | {report.request_id})
        case ReplacePending():
            return order if answered else replace(order, replaces_pending=order.replaces_pending | {report.request_id})
        case ChangeRefused():
            return _answered(order, report.request_id)
        case Replaced():
            # Appendix D, C.3.b and c: a quantity at or below what is filled closes the order at what is filled.
            return replace(
                _answered(order, report.request_id),
                quantity=max(report.quantity, order.filled_quantity),
                limit_price=report.limit_price if report.limit_price is not None else order.limit_price,
            )
        case _:
            assert_never(report)


def _answered(order: VenueOrder, request_id: str) -> VenueOrder:
    return replace(
        order,
        cancels_pending=order.cancels_pending - {request_id},
        replaces_pending=order.replaces_pending - {request_id},
        changes_answered=order.changes_answered | {request_id},
    )


def _restated(order: VenueOrder, report: Restated) -> VenueOrder:
    quantity, fills = order.quantity, order.fills
    if report.split_to != report.split_from:
        to, of = Decimal(report.split_to), Decimal(report.split_from)
        quantity = quantity * to / of
        fills = {i: replace(f, quantity=f.quantity * to / of, price=f.price * of / to) for i, f in fills.items()}
    return replace(
        order,
        quantity=report.quantity if report.quantity is not None else quantity,
        limit_price=report.limit_price if report.limit_price is not None else order.limit_price,
        fills=fills,
        paused=None,
        acknowledged=OrderState.NEW,
    )
