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
from typing import assert_never

from services.execution.domain.order.reports import (
    Accepted,
    Canceled,
    CancelPending,
    ChangeRefused,
    Expired,
    FillBusted,
    FillCorrected,
    Filled,
    Paused,
    PendingNew,
    Refused,
    Replaced,
    ReplacePending,
    Report,
    Restated,
)
from services.execution.domain.order.states import NOTHING_LEAVES, PRECEDENCE, OrderState

ZERO = Decimal(0)

# Average prices are quotients; nine decimals is what `google.type.Money` can say.
AVERAGE_PRICE_QUANTUM = Decimal("0.000000001")


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
