"""What a venue may say about an order."""

from dataclasses import dataclass
from decimal import Decimal

from services.execution.domain.order.states import OrderState

ZERO = Decimal(0)


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
