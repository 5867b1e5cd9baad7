"""What happened to accounts' lots, as it is kept: one event at a time, each in a form that is its name's content.

The rows are those of a tax history; a split or a reorganization happens to every account, everything else to one.
"""

import json
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import TypeAlias, assert_never

from services.decision.domain.problem import ZERO
from services.decision.domain.tax.assessment.history import (
    Acquisition,
    CostChange,
    Disposal,
    Dividend,
    Gift,
    Giver,
    LotMethod,
    Receipt,
    Recipient,
    Reorganization,
    Split,
    Transfer,
)
from services.decision.domain.tax.assessment.rows import Redemption
from services.kernel.canonical import JsonValue, canonical_json
from services.kernel.errors import Duplicate, FieldViolation, Invalid, NotFound
from services.kernel.money import Money

Row: TypeAlias = (
    Acquisition | Disposal | Transfer | CostChange | Dividend | Split | Reorganization | Redemption | Gift | Receipt
)
# By these, units leave an account.
LEAVING = Disposal | Gift | Redemption | Transfer


class TaxEventDiffers(Duplicate):
    """The id belongs to another event."""

    reason = "TAX_EVENT_DIFFERS"


class PaidInAnotherCurrency(Invalid):
    """A merger or redemption paid money, and nobody said how much in the account's currency."""

    reason = "TAX_RATE_MISSING"


class TaxEventNotFound(NotFound):
    """No event with that id is on record."""

    reason = "TAX_EVENT_NOT_FOUND"


@dataclass(frozen=True, slots=True)
class Paid:
    """What was paid for an old unit, and what a new one was worth (0 where none came), in one currency."""

    currency: str
    money: Decimal
    new_value: Decimal


@dataclass(frozen=True, slots=True)
class TaxEvent:
    """One event. Amounts of `row` are in the account's currency; those of a merger or redemption are in `paid`.

    Attributes:
        sent_amount: The amount as it was sent, when it was in another currency.
        exchange_rate: What turned it into the account's currency.
    """

    event_id: str
    row: Row
    sent_amount: Money | None = None
    exchange_rate: Decimal | None = None
    paid: tuple[Paid, ...] = ()

    def row_in(self, currency: str) -> Row:
        """Return the row with its amounts in a currency.

        Raises:
            PaidInAnotherCurrency: A merger or redemption paid money, and not in that currency.
        """
        if not isinstance(self.row, Reorganization | Redemption) or not self.paid:
            return self.row
        for each in self.paid:
            if each.currency == currency:
                if isinstance(self.row, Redemption):
                    return replace(self.row, money=each.money)
                return replace(self.row, money=each.money, new_value=each.new_value)
        name = "redeemed" if isinstance(self.row, Redemption) else "reorganized"
        description = f"must say what was paid in {currency}, was in {', '.join(each.currency for each in self.paid)}"
        raise PaidInAnotherCurrency(
            f"event {self.event_id} {description}", violations=[FieldViolation(f"{name}.paid", description)]
        )

    @property
    def account_id(self) -> str | None:
        """The account that it happened to; None when it happened to all."""
        return None if isinstance(self.row, Split | Reorganization | Redemption) else self.row.account_id

    @property
    def kind(self) -> str:
        """What happened, in one word."""
        return kind_of(type(self.row))

    def content(self) -> bytes:
        """Return the event as canonical JSON; equal events have equal bytes."""
        sent: JsonValue = None if self.sent_amount is None else [self.sent_amount.amount, self.sent_amount.currency]
        said: dict[str, JsonValue] = {"row": _content(self.row), "sent": sent, "rate": self.exchange_rate}
        if self.paid:
            said["paid"] = [[each.currency, each.money, each.new_value] for each in self.paid]
        return canonical_json(said)


def kind_of(row: type[Row]) -> str:
    """Return the kind of events of such a row."""
    return row.__name__.upper()


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
        tuple(Paid(currency, Decimal(money), Decimal(value)) for currency, money, value in fields.get("paid", ())),
    )


def _content(row: Row) -> JsonValue:
    match row:
        case Acquisition():
            return [row.day, row.account_id, row.asset, row.quantity, row.cost, row.cost_known, row.reinvested]
        case Disposal():
            said: list[JsonValue] = [row.day, row.account_id, row.asset, row.quantity, row.proceeds]
            return [*said, list(row.lot_ids), row.method.value]
        case Transfer():
            moved: list[JsonValue] = [row.day, row.account_id, row.to_account_id, row.asset, row.quantity]
            worth: list[JsonValue] = [] if row.value is None else [row.value]
            return [*moved, list(row.lot_ids), *worth]
        case Gift():
            gone: list[JsonValue] = [row.day, row.account_id, row.asset, row.quantity, row.value]
            return [*gone, row.recipient.value, list(row.lot_ids)]
        case Receipt():
            came: list[JsonValue] = [row.day, row.account_id, row.asset, row.quantity, row.value]
            return [*came, row.giver.value, row.giver_cost, row.giver_date]
        case CostChange():
            return [row.day, row.account_id, row.asset, row.amount]
        case Dividend():
            return [row.day, row.account_id, row.asset, row.amount]
        case Split():
            return [row.day, row.asset, row.new_units, row.old_units]
        case Redemption():
            return [row.day, row.asset]
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
            account_id, to_account_id, asset, quantity, lot_ids, *worth = rest
            moved = event_id, day, account_id, to_account_id, asset, Decimal(quantity), tuple(lot_ids)
            return Transfer(*moved, Decimal(worth[0]) if worth else None)
        case "GIFT":
            account_id, asset, quantity, value, recipient, lot_ids = rest
            gone = event_id, day, account_id, asset, Decimal(quantity), Decimal(value)
            return Gift(*gone, Recipient(recipient), tuple(lot_ids))
        case "RECEIPT":
            account_id, asset, quantity, value, giver, cost, since = rest
            came = event_id, day, account_id, asset, Decimal(quantity), Decimal(value), Giver(giver)
            # Both are null where nobody knows.
            giver_cost = Decimal(cost) if cost else None
            return Receipt(*came, giver_cost, date.fromisoformat(since) if since else None)
        case "COSTCHANGE":
            account_id, asset, amount = rest
            return CostChange(day, account_id, asset, Decimal(amount))
        case "DIVIDEND":
            account_id, asset, amount = rest
            return Dividend(event_id, day, account_id, asset, Decimal(amount))
        case "SPLIT":
            return Split(day, rest[0], int(rest[1]), int(rest[2]))
        case "REDEMPTION":
            # What was paid is in the event's `paid`.
            return Redemption(day, rest[0], ZERO)
        case "REORGANIZATION":
            return Reorganization(day, rest[0], rest[1], int(rest[2]), int(rest[3]), Decimal(rest[4]))
        case _:
            raise ValueError(f"no event is a {kind}")
