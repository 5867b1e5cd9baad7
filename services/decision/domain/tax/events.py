"""What happened to accounts' lots, as it is kept: one event at a time, each in a form that is its name's content.

The rows are those of a tax history; a split or a reorganization happens to every account, everything else to one.
"""

import json
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import TypeAlias, assert_never

from services.decision.domain.tax.assessment.history import (
    Acquisition,
    CostChange,
    Disposal,
    Dividend,
    LotMethod,
    Reorganization,
    Split,
    Transfer,
)
from services.kernel.canonical import JsonValue, canonical_json
from services.kernel.errors import Duplicate, NotFound
from services.kernel.money import Money

Row: TypeAlias = Acquisition | Disposal | Transfer | CostChange | Dividend | Split | Reorganization


class TaxEventDiffers(Duplicate):
    """The id belongs to another event."""

    reason = "TAX_EVENT_DIFFERS"


class TaxEventNotFound(NotFound):
    """No event with that id is on record."""

    reason = "TAX_EVENT_NOT_FOUND"


@dataclass(frozen=True, slots=True)
class TaxEvent:
    """One event. Amounts of `row` are in the account's currency.

    Attributes:
        sent_amount: The amount as it was sent, when it was in another currency.
        exchange_rate: What turned it into the account's currency.
    """

    event_id: str
    row: Row
    sent_amount: Money | None = None
    exchange_rate: Decimal | None = None

    @property
    def account_id(self) -> str | None:
        """The account that it happened to; None when it happened to all."""
        return None if isinstance(self.row, Split | Reorganization) else self.row.account_id

    @property
    def kind(self) -> str:
        """What happened, in one word."""
        return type(self.row).__name__.upper()

    def content(self) -> bytes:
        """Return the event as canonical JSON; equal events have equal bytes."""
        sent: JsonValue = None if self.sent_amount is None else [self.sent_amount.amount, self.sent_amount.currency]
        return canonical_json({"row": _content(self.row), "sent": sent, "rate": self.exchange_rate})


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """An event on record. `withdraw_time` is None while it counts."""

    event: TaxEvent
    record_time: datetime
    withdraw_time: datetime | None = None


def event_from_content(event_id: str, kind: str, content: bytes) -> TaxEvent:
    """Return the event whose `TaxEvent.content` is `content`, which we wrote ourselves."""
    fields = json.loads(content)
    sent, rate = fields["sent"], fields["rate"]
    return TaxEvent(
        event_id,
        _row(event_id, kind, fields["row"]),
        None if sent is None else Money(Decimal(sent[0]), sent[1]),
        None if rate is None else Decimal(rate),
    )


def _content(row: Row) -> JsonValue:
    match row:
        case Acquisition():
            return [row.day, row.account_id, row.asset, row.quantity, row.cost, row.cost_known, row.reinvested]
        case Disposal():
            said: list[JsonValue] = [row.day, row.account_id, row.asset, row.quantity, row.proceeds]
            return [*said, list(row.lot_ids), row.method.value]
        case Transfer():
            return [row.day, row.account_id, row.to_account_id, row.asset, row.quantity, list(row.lot_ids)]
        case CostChange():
            return [row.day, row.account_id, row.asset, row.amount]
        case Dividend():
            return [row.day, row.account_id, row.asset, row.amount]
        case Split():
            return [row.day, row.asset, row.new_units, row.old_units]
        case Reorganization():
            return [row.day, row.asset, row.new_asset, row.new_units, row.old_units, row.cost_part]
        case _:
            assert_never(row)


def _row(event_id: str, kind: str, said: list[str]) -> Row:
    day, rest = date.fromisoformat(said[0]), said[1:]
    match kind:
        case "ACQUISITION":
            account_id, asset, quantity, cost, known, reinvested = rest
            amounts = Decimal(quantity), Decimal(cost)
            return Acquisition(event_id, day, account_id, asset, *amounts, bool(known), bool(reinvested))
        case "DISPOSAL":
            account_id, asset, quantity, proceeds, lot_ids, method = rest
            amounts = Decimal(quantity), Decimal(proceeds)
            return Disposal(event_id, day, account_id, asset, *amounts, tuple(lot_ids), LotMethod(method))
        case "TRANSFER":
            account_id, to_account_id, asset, quantity, lot_ids = rest
            return Transfer(event_id, day, account_id, to_account_id, asset, Decimal(quantity), tuple(lot_ids))
        case "COSTCHANGE":
            account_id, asset, amount = rest
            return CostChange(day, account_id, asset, Decimal(amount))
        case "DIVIDEND":
            account_id, asset, amount = rest
            return Dividend(event_id, day, account_id, asset, Decimal(amount))
        case "SPLIT":
            return Split(day, rest[0], int(rest[1]), int(rest[2]))
        case "REORGANIZATION":
            return Reorganization(day, rest[0], rest[1], int(rest[2]), int(rest[3]), Decimal(rest[4]))
        case _:
            raise ValueError(f"no event is a {kind}")
