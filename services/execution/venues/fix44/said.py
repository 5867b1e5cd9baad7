"""What a broker can say about our orders: the values that `hearing.py` makes of FIX messages."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from services.execution.app.venue_port import InstructionView
from services.execution.domain.order import ChangeRefused, OrderState, Report
from services.execution.venues.fix44.words import ORD_STATUSES

# OrdStatus <39> of an order that can still be filled.
_OPEN = frozenset("01679ABE")


class Standing(NamedTuple):
    """How an order stands, as an execution report says beside what happened.

    `average_price` is None where it does not tell what was paid, `fees` where it says no sum.
    """

    state: OrderState
    quantity: Decimal
    filled_quantity: Decimal
    leaves_quantity: Decimal
    average_price: Decimal | None
    fees: Decimal | None

    @property
    def open(self) -> bool:
        """Return whether more of it may be filled."""
        return ORD_STATUSES[self.state] in _OPEN


class OrderSaid(NamedTuple):
    """An ExecutionReport <8>.

    `report` is None where it only tells how the order stands, and where it refuses a name that is taken. `standing` is
    None where the broker does not know the order. `status_request` and `mass_request` name the question that it
    answers; `last` says that the answer ends here.
    """

    name: str
    original_name: str | None
    order_id: str
    report: Report | None
    standing: Standing | None
    time: datetime
    drop_copy: bool = False
    status_request: str | None = None
    mass_request: str | None = None
    last: bool = False


@dataclass(frozen=True, slots=True)
class ChangeSaid:
    """An OrderCancelReject <9>: the change `request_id` of the order called `original_name` is refused.

    `order_known`: whether the broker knows the order.
    """

    request_id: str
    original_name: str
    report: ChangeRefused
    order_known: bool
    time: datetime


@dataclass(frozen=True, slots=True)
class ListSaid:
    """A ListStatus <N>: which orders of a list were taken; of those not taken, why."""

    list_id: str
    taken: tuple[str, ...]
    refused: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class AllocationSaid:
    """An AllocationInstructionAck <P> or AllocationReport <AS>."""

    allocation_id: str
    view: InstructionView


@dataclass(frozen=True, slots=True)
class RequestRefused:
    """A BusinessMessageReject <j> or Reject <3>: what we sent under a number was not understood, or not wanted."""

    number: int | None
    reference: str | None
    kind: str | None
    why: str


Said = OrderSaid | ChangeSaid | ListSaid | AllocationSaid | RequestRefused
