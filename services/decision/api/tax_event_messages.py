"""Tax events as messages: read from what was sent, and shown as they are on record."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import assert_never

from google.type import money_pb2

from evenkeel.decision.v1 import tax_service_pb2 as pb
from services.decision.api.tax_messages import GIVERS, LOT_METHODS, RECIPIENTS, Exchange, cost_is_known, own_amount
from services.decision.domain.problem import ZERO
from services.decision.domain.tax.assessment.history import (
    EARLIEST_DATE,
    Acquisition,
    CostChange,
    Disposal,
    Dividend,
    Gift,
    Receipt,
    Reorganization,
    Split,
    Transfer,
)
from services.decision.domain.tax.assessment.rows import Redemption
from services.decision.domain.tax.events import Paid, RecordedEvent, Row, TaxEvent
from services.kernel.errors import FieldViolation, Invalid
from services.kernel.ids import AccountId
from services.kernel.money import Money
from services.runtime.wire import (
    date_message,
    date_of,
    decimal_message,
    decimal_of,
    instant_message,
    money_message,
    money_of,
)

# What happens to an asset, and so to every account.
_OF_ASSETS = ("split", "reorganized", "redeemed")
_TO = {recipient: value for value, recipient in RECIPIENTS.items()}
_FROM = {giver: value for value, giver in GIVERS.items()}
_METHODS = {method: value for value, method in LOT_METHODS.items() if value != pb.TAX_LOT_METHOD_UNSPECIFIED}


def accounts_named(request: pb.RecordTaxEventsRequest) -> frozenset[AccountId]:
    """Return every account that an event is of."""
    return frozenset(AccountId(each.account_id) for each in request.events if each.account_id)


def events_of(request: pb.RecordTaxEventsRequest, currencies: Mapping[AccountId, str]) -> tuple[TaxEvent, ...]:
    """Return the events of a request, amounts in the account's currency.

    Args:
        request: As it came.
        currencies: Of every account that the events name.

    Raises:
        Invalid: A date, number or amount is none, or an event of an asset names an account or the reverse.
        ExchangeRateMissing: An amount is in another currency, and its day has no rate.
    """
    exchange = {each: Exchange.of(request.exchange_rates, each) for each in {*currencies.values()}}
    events: list[TaxEvent] = []
    for index, each in enumerate(request.events):
        path = f"events[{index}]"
        named, of_asset = bool(each.account_id), each.WhichOneof("what") in _OF_ASSETS
        if named == of_asset:
            must = "must be empty, as it happens to every account" if of_asset else "must be given"
            violations = [FieldViolation(f"{path}.account_id", f"{must}, was {each.account_id!r}")]
            raise Invalid(f"{path}.account_id {must}", violations=violations)
        currency = currencies.get(AccountId(each.account_id), "")
        events.append(_Reading(each, path, exchange.get(currency)).event())
    return tuple(events)


@dataclass(frozen=True, slots=True)
class _Reading:
    """One event as it is read. `exchange` is None for an event of an asset."""

    said: pb.TaxEvent
    path: str
    exchange: Exchange | None

    def event(self) -> TaxEvent:
        said, day = self.said, date_of(self.said.date, f"{self.path}.date")
        place = day, said.account_id, said.instrument_id
        match said.WhichOneof("what"):
            case "acquired":
                came = said.acquired
                known = cost_is_known(came, f"{self.path}.acquired")
                return self._with(
                    day,
                    came.cost if known else None,
                    "acquired.cost",
                    lambda cost: Acquisition(
                        said.event_id, *place, self._positive(came, "acquired"), cost, known, came.reinvested
                    ),
                )
            case "disposed":
                went = said.disposed
                return self._with(
                    day,
                    went.proceeds,
                    "disposed.proceeds",
                    lambda proceeds: Disposal(
                        said.event_id,
                        *place,
                        self._positive(went, "disposed"),
                        proceeds,
                        tuple(went.lot_ids),
                        LOT_METHODS[went.lot_method],
                    ),
                )
            case "cost_changed":
                return self._with(
                    day,
                    said.cost_changed.amount,
                    "cost_changed.amount",
                    lambda amount: CostChange(*place, amount),
                    signed=True,
                )
            case "dividend":
                return self._with(
                    day, said.dividend.amount, "dividend.amount", lambda amount: Dividend(said.event_id, *place, amount)
                )
            case "given":
                gone = said.given
                gift = self._positive(gone, "given"), RECIPIENTS[gone.recipient], tuple(gone.lot_ids)
                return self._with(
                    day,
                    gone.value,
                    "given.value",
                    lambda value: Gift(said.event_id, *place, gift[0], value, gift[1], gift[2]),
                )
            case "received":
                return self._received(day)
            case "transferred":
                return self._transferred(day)
            case "split":
                row: Row = Split(day, said.instrument_id, said.split.new_units, said.split.old_units)
            case "redeemed":
                return TaxEvent(said.event_id, Redemption(day, said.instrument_id, ZERO), paid=self._taken())
            case "reorganized":
                return TaxEvent(said.event_id, self._reorganization(day), paid=self._paid())
            case _:
                raise self._invalid("what", "must be given, was absent")
        return TaxEvent(said.event_id, row)

    def _transferred(self, day: date) -> TaxEvent:
        said, moved = self.said, self.said.transferred
        quantity = self._positive(moved, "transferred")
        if moved.to_account_id == said.account_id:
            raise self._invalid("transferred.to_account_id", f"must be another, was {said.account_id!r}")
        row = Transfer(
            said.event_id, day, said.account_id, moved.to_account_id, said.instrument_id, quantity,
            tuple(moved.lot_ids),
        )  # fmt: skip
        if not moved.HasField("value"):
            return TaxEvent(said.event_id, row)
        return self._with(day, moved.value, "transferred.value", lambda value: replace(row, value=value))

    def _received(self, day: date) -> TaxEvent:
        said, came = self.said, self.said.received
        quantity, cost, since = self._positive(came, "received"), None, None
        if came.HasField("giver_cost") and self.exchange is not None:
            path = f"{self.path}.received.giver_cost"
            cost = own_amount(came.giver_cost, self.exchange.currency, path)
            if cost < 0:
                raise self._invalid("received.giver_cost", f"must be 0 or more, was {cost}")
        if came.HasField("giver_date"):
            since = date_of(came.giver_date, f"{self.path}.received.giver_date")
            if not EARLIEST_DATE <= since <= day:
                raise self._invalid("received.giver_date", f"must be from {EARLIEST_DATE} to {day}, was {since}")
        place = said.event_id, day, said.account_id, said.instrument_id, quantity
        return self._with(
            day, came.value, "received.value", lambda value: Receipt(*place, value, GIVERS[came.giver], cost, since)
        )

    def _paid(self) -> tuple[Paid, ...]:
        """Return what a merger paid, each currency once, both amounts of one currency and above 0."""
        found: list[Paid] = []
        for number, each in enumerate(self.said.reorganized.paid):
            name = f"reorganized.paid[{number}]"
            money, value = (
                money_of(getattr(each, part), f"{self.path}.{name}.{part}") for part in ("money", "new_value")
            )
            if money.amount <= 0 or value.amount <= 0:
                raise self._invalid(name, f"must be above 0, was {money} and {value}")
            if money.currency != value.currency or money.currency in {one.currency for one in found}:
                raise self._invalid(name, f"must be of one currency, each once, was {money} and {value}")
            found.append(Paid(money.currency, money.amount, value.amount))
        if found and decimal_of(self.said.reorganized.cost_part, f"{self.path}.reorganized.cost_part") != 1:
            raise self._invalid("reorganized.paid", "must be empty where the old units stay")
        return tuple(found)

    def _taken(self) -> tuple[Paid, ...]:
        """Return what a redemption paid for a unit, each currency once, 0 or more."""
        found: list[Paid] = []
        for number, each in enumerate(self.said.redeemed.paid):
            name = f"redeemed.paid[{number}]"
            money = money_of(each, f"{self.path}.{name}")
            if money.amount < 0:
                raise self._invalid(name, f"must be 0 or more, was {money}")
            if money.currency in {one.currency for one in found}:
                raise self._invalid(name, f"must be of each currency once, was {money}")
            found.append(Paid(money.currency, money.amount, ZERO))
        return tuple(found)

    def _reorganization(self, day: date) -> Reorganization:
        said, into = self.said, self.said.reorganized
        part = decimal_of(into.cost_part, f"{self.path}.reorganized.cost_part")
        if not 0 < part <= 1:
            raise self._invalid("reorganized.cost_part", f"must be above 0 and at most 1, was {part}")
        if into.new_instrument_id == said.instrument_id:
            raise self._invalid("reorganized.new_instrument_id", f"must be another, was {said.instrument_id!r}")
        return Reorganization(day, said.instrument_id, into.new_instrument_id, into.new_units, into.old_units, part)

    def _with(
        self,
        day: date,
        message: money_pb2.Money | None,
        name: str,
        row: Callable[[Decimal], Row],
        *,
        signed: bool = False,
    ) -> TaxEvent:
        """Return the event with its amount in the account's currency; without a message it is 0."""
        if message is None or self.exchange is None:
            return TaxEvent(self.said.event_id, row(ZERO))
        field = f"{self.path}.{name}"
        money = money_of(message, field)
        if money.amount < 0 and not signed:
            raise self._invalid(name, f"must be 0 or more, was {money}")
        rate = self.exchange.rate(money, day, field)
        if rate is None:
            return TaxEvent(self.said.event_id, row(money.amount))
        return TaxEvent(self.said.event_id, row(self.exchange.amount(message, day, field)), money, rate)

    def _positive(
        self,
        message: pb.TaxEvent.Acquired
        | pb.TaxEvent.Disposed
        | pb.TaxEvent.Transferred
        | pb.TaxEvent.Given
        | pb.TaxEvent.Received,
        name: str,
    ) -> Decimal:
        quantity = decimal_of(message.quantity, f"{self.path}.{name}.quantity")
        if quantity <= 0:
            raise self._invalid(f"{name}.quantity", f"must be above 0, was {quantity}")
        return quantity

    def _invalid(self, name: str, description: str) -> Invalid:
        return Invalid.of(f"{self.path}.{name}", description)


def recorded_message(recorded: RecordedEvent, currency: str) -> pb.RecordedTaxEvent:
    """Return the message of an event on record; amounts are in `currency`."""
    event = recorded.event
    message = pb.RecordedTaxEvent(
        event=_event_message(event, currency), record_time=instant_message(recorded.record_time)
    )
    if event.sent_amount is not None and event.exchange_rate is not None:
        message.sent_amount.CopyFrom(money_message(event.sent_amount))
        message.exchange_rate.CopyFrom(decimal_message(event.exchange_rate))
    if recorded.withdraw_time is not None:
        message.withdraw_time.CopyFrom(instant_message(recorded.withdraw_time))
    return message


def _event_message(event: TaxEvent, currency: str) -> pb.TaxEvent:
    row = event.row
    message = pb.TaxEvent(
        event_id=event.event_id,
        account_id=event.account_id or "",
        instrument_id=row.asset,
        date=date_message(row.day),
    )
    match row:
        case Acquisition():
            message.acquired.quantity.CopyFrom(decimal_message(row.quantity))
            if row.cost_known:
                message.acquired.cost.CopyFrom(money_message(Money(row.cost, currency)))
            message.acquired.cost_unknown = not row.cost_known
            message.acquired.reinvested = row.reinvested
        case Disposal():
            message.disposed.quantity.CopyFrom(decimal_message(row.quantity))
            message.disposed.proceeds.CopyFrom(money_message(Money(row.proceeds, currency)))
            message.disposed.lot_ids.extend(row.lot_ids)
            message.disposed.lot_method = _METHODS[row.method]
        case Transfer():
            message.transferred.to_account_id = row.to_account_id
            message.transferred.quantity.CopyFrom(decimal_message(row.quantity))
            message.transferred.lot_ids.extend(row.lot_ids)
            if row.value is not None:
                message.transferred.value.CopyFrom(money_message(Money(row.value, currency)))
        case Gift():
            message.given.quantity.CopyFrom(decimal_message(row.quantity))
            message.given.value.CopyFrom(money_message(Money(row.value, currency)))
            message.given.recipient = _TO[row.recipient]
            message.given.lot_ids.extend(row.lot_ids)
        case Receipt():
            came = message.received
            came.quantity.CopyFrom(decimal_message(row.quantity))
            came.value.CopyFrom(money_message(Money(row.value, currency)))
            came.giver = _FROM[row.giver]
            if row.giver_cost is not None:
                came.giver_cost.CopyFrom(money_message(Money(row.giver_cost, currency)))
            if row.giver_date is not None:
                came.giver_date.CopyFrom(date_message(row.giver_date))
        case CostChange():
            message.cost_changed.amount.CopyFrom(money_message(Money(row.amount, currency)))
        case Dividend():
            message.dividend.amount.CopyFrom(money_message(Money(row.amount, currency)))
        case Split() | Redemption() | Reorganization():
            _put_of_asset(message, row, event.paid)
    return message


def _put_of_asset(message: pb.TaxEvent, row: Split | Redemption | Reorganization, paid: Sequence[Paid]) -> None:
    """Put what happened to an asset into the message of its event."""
    match row:
        case Split():
            message.split.new_units, message.split.old_units = row.new_units, row.old_units
        case Redemption():
            message.redeemed.paid.extend(money_message(Money(each.money, each.currency)) for each in paid)
        case Reorganization():
            into = message.reorganized
            into.new_instrument_id, into.new_units, into.old_units = row.new_asset, row.new_units, row.old_units
            into.cost_part.CopyFrom(decimal_message(row.cost_part))
            for each in paid:
                into.paid.add(
                    money=money_message(Money(each.money, each.currency)),
                    new_value=money_message(Money(each.new_value, each.currency)),
                )
        case _:
            assert_never(row)
