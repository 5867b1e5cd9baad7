"""Tax histories, from messages."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import TypeVar

from google.type import money_pb2

from evenkeel.decision.v1 import tax_service_pb2 as pb
from services.decision.domain.problem import ZERO
from services.decision.domain.tax.assessment.history import (
    Acquisition,
    CostChange,
    Disposal,
    Dividend,
    Gift,
    Giver,
    History,
    LotMethod,
    Owner,
    Receipt,
    Recipient,
    Reorganization,
    Split,
    TaxAccount,
    Transfer,
    cents,
)
from services.kernel.decimals import EXACT
from services.kernel.errors import FieldViolation, Invalid, Violations
from services.kernel.money import Money
from services.runtime.wire import date_of, decimal_of, money_of

Message = TypeVar("Message")
Row = TypeVar("Row")
OWNERS: Mapping[pb.TaxHistoryAccount.Owner.ValueType, Owner] = {
    pb.TaxHistoryAccount.OWNER_TAXPAYER: Owner.TAXPAYER,
    pb.TaxHistoryAccount.OWNER_AFFILIATED: Owner.AFFILIATED,
}
LOT_METHODS: Mapping[pb.TaxLotMethod.ValueType, LotMethod] = {
    pb.TAX_LOT_METHOD_UNSPECIFIED: LotMethod.FIRST_IN_FIRST_OUT,
    pb.TAX_LOT_METHOD_FIRST_IN_FIRST_OUT: LotMethod.FIRST_IN_FIRST_OUT,
    pb.TAX_LOT_METHOD_LAST_IN_FIRST_OUT: LotMethod.LAST_IN_FIRST_OUT,
    pb.TAX_LOT_METHOD_HIGHEST_COST: LotMethod.HIGHEST_COST,
    pb.TAX_LOT_METHOD_LOWEST_TAX: LotMethod.LOWEST_TAX,
    pb.TAX_LOT_METHOD_AVERAGE_COST: LotMethod.AVERAGE_COST,
}
RECIPIENTS: Mapping[pb.TaxRecipient.ValueType, Recipient] = {
    pb.TAX_RECIPIENT_PERSON: Recipient.PERSON,
    pb.TAX_RECIPIENT_SPOUSE: Recipient.SPOUSE,
    pb.TAX_RECIPIENT_CHARITY: Recipient.CHARITY,
    pb.TAX_RECIPIENT_HEIRS: Recipient.HEIRS,
}
GIVERS: Mapping[pb.TaxGiver.ValueType, Giver] = {
    pb.TAX_GIVER_PERSON: Giver.PERSON,
    pb.TAX_GIVER_SPOUSE: Giver.SPOUSE,
    pb.TAX_GIVER_ESTATE: Giver.ESTATE,
}
CURRENCIES = {"united_states": "USD", "united_kingdom": "GBP", "canada": "CAD", "germany": "EUR"}


class ExchangeRateMissing(Invalid):
    """An amount is in another currency, and its day has no rate."""

    reason = "TAX_RATE_MISSING"


def history_of(request: pb.PreviewTaxYearRequest) -> History:
    """Return the history, its amounts in the country's currency.

    Raises:
        Invalid: A date, number or amount is none.
        ExchangeRateMissing: An amount is in another currency, and its day has no rate.
    """
    exchange = Exchange.of(request.exchange_rates, CURRENCIES[request.WhichOneof("taxpayer") or ""])
    return History(
        accounts=tuple(TaxAccount(each.account_id, OWNERS[each.owner], each.sheltered) for each in request.accounts),
        acquisitions=_rows("acquisitions", request.acquisitions, lambda row, path: _acquisition(row, path, exchange)),
        disposals=_rows("disposals", request.disposals, lambda row, path: _disposal(row, path, exchange)),
        splits=_rows(
            "splits",
            request.splits,
            lambda row, path: Split(date_of(row.date, f"{path}.date"), row.asset, row.new_units, row.old_units),
        ),
        cost_changes=_rows("cost_changes", request.cost_changes, lambda row, path: _cost_change(row, path, exchange)),
        reorganizations=_rows(
            "reorganizations", request.reorganizations, lambda row, path: _reorganization(row, path, exchange)
        ),
        transfers=_rows("transfers", request.transfers, lambda row, path: _transfer(row, path, exchange)),
        identical=identical_of(request.identical),
        dividends=_rows("dividends", request.dividends, lambda row, path: _dividend(row, path, exchange)),
        gifts=_rows("gifts", request.gifts, lambda row, path: _gift(row, path, exchange)),
        receipts=_rows("receipts", request.receipts, lambda row, path: _receipt(row, path, exchange)),
    )


def identical_of(sets: Sequence[pb.IdenticalAssets]) -> Mapping[str, str]:
    """Return, by asset, the name of the set of identical assets that it is in.

    Raises:
        Invalid: An asset is in two sets.
    """
    named: dict[str, str] = {}
    found = Violations()
    for index, each in enumerate(sets):
        name = min(each.assets)
        for asset in each.assets:
            if named.setdefault(asset, name) != name:
                found.add(f"identical[{index}].assets", f"must be in one set, was {asset!r} in two")
    found.raise_if_any()
    return named


@dataclass(frozen=True, slots=True)
class Exchange:
    """Turns amounts into the currency in which tax is reckoned."""

    currency: str
    rates: Mapping[tuple[date, str], Decimal]

    @classmethod
    def of(cls, messages: Sequence[pb.TaxExchangeRate], currency: str) -> "Exchange":
        """Return the rates of a request, into `currency`.

        Raises:
            Invalid: A rate is not above 0, or a day has two for one currency.
        """
        rates: dict[tuple[date, str], Decimal] = {}
        found = Violations()
        for index, each in enumerate(messages):
            path = f"exchange_rates[{index}]"
            key = date_of(each.date, f"{path}.date"), each.currency_code
            rate = decimal_of(each.rate, f"{path}.rate")
            if rate <= 0:
                found.add(f"{path}.rate", f"must be above 0, was {rate}")
            if rates.setdefault(key, rate) != rate:
                found.add(path, f"must be one of its day and currency, was {key[0]} {key[1]} again with another rate")
        found.raise_if_any()
        return cls(currency, rates)

    def amount(self, message: money_pb2.Money, day: date, field: str) -> Decimal:
        """Return the amount in the currency: as it is, or at the day's rate in whole cents, half to even.

        Raises:
            ExchangeRateMissing: The day has no rate.
        """
        money = money_of(message, field)
        rate = self.rate(money, day, field)
        return money.amount if rate is None else cents(Fraction(money.amount) * Fraction(rate))

    def unit_amount(self, message: money_pb2.Money, day: date, field: str) -> Decimal:
        """Return an amount of one unit in the currency, exactly.

        Raises:
            ExchangeRateMissing: The day has no rate.
        """
        money = money_of(message, field)
        rate = self.rate(money, day, field)
        return money.amount if rate is None else EXACT.multiply(money.amount, rate)

    def rate(self, money: Money, day: date, field: str) -> Decimal | None:
        """Return the rate that turns `money` into the currency; None when it is in it.

        Raises:
            ExchangeRateMissing: The day has no rate.
        """
        if money.currency == self.currency:
            return None
        rate = self.rates.get((day, money.currency))
        if rate is None:
            said = f"must be in {self.currency} or have an exchange rate for {money.currency} on {day}"
            description = f"{said}, was {money}"
            raise ExchangeRateMissing.of(field, description)
        return rate


def _rows(name: str, messages: Sequence[Message], value: Callable[[Message, str], Row]) -> tuple[Row, ...]:
    return tuple(value(message, f"{name}[{index}]") for index, message in enumerate(messages))


def _acquisition(row: pb.TaxAcquisition, path: str, exchange: Exchange) -> Acquisition:
    day = date_of(row.date, f"{path}.date")
    return Acquisition(
        row.lot_id,
        day,
        row.account_id,
        row.asset,
        decimal_of(row.quantity, f"{path}.quantity"),
        exchange.amount(row.cost, day, f"{path}.cost") if cost_is_known(row, path) else ZERO,
        not row.cost_unknown,
        row.reinvested,
    )


def cost_is_known(row: pb.TaxAcquisition | pb.TaxEvent.Acquired, path: str) -> bool:
    """Return whether a row says what its units cost.

    Raises:
        Invalid: It says so, and also that nobody knows; or neither.
    """
    if row.HasField("cost") == row.cost_unknown:
        description = "must be given, or cost_unknown be set, and not both"
        violations = [FieldViolation(f"{path}.cost", description)]
        raise Invalid(f"{path}.cost: {description}", violations=violations)
    return not row.cost_unknown


def _reorganization(row: pb.TaxReorganization, path: str, exchange: Exchange) -> Reorganization:
    day = date_of(row.date, f"{path}.date")
    return Reorganization(
        day,
        row.asset,
        row.new_asset,
        row.new_units,
        row.old_units,
        decimal_of(row.cost_part, f"{path}.cost_part"),
        exchange.unit_amount(row.money, day, f"{path}.money") if row.HasField("money") else ZERO,
        exchange.unit_amount(row.new_value, day, f"{path}.new_value") if row.HasField("new_value") else None,
    )


def _gift(row: pb.TaxGift, path: str, exchange: Exchange) -> Gift:
    day = date_of(row.date, f"{path}.date")
    return Gift(
        row.gift_id,
        day,
        row.account_id,
        row.asset,
        decimal_of(row.quantity, f"{path}.quantity"),
        exchange.amount(row.value, day, f"{path}.value"),
        RECIPIENTS[row.recipient],
        tuple(row.lot_ids),
    )


def _receipt(row: pb.TaxReceipt, path: str, exchange: Exchange) -> Receipt:
    day = date_of(row.date, f"{path}.date")
    return Receipt(
        row.lot_id,
        day,
        row.account_id,
        row.asset,
        decimal_of(row.quantity, f"{path}.quantity"),
        exchange.amount(row.value, day, f"{path}.value"),
        GIVERS[row.giver],
        own_amount(row.giver_cost, exchange.currency, f"{path}.giver_cost") if row.HasField("giver_cost") else None,
        date_of(row.giver_date, f"{path}.giver_date") if row.HasField("giver_date") else None,
    )


def own_amount(message: money_pb2.Money, currency: str, field: str) -> Decimal:
    """Return an amount that must be in `currency` already: what somebody paid on days of their own.

    Raises:
        ExchangeRateMissing: It is in another.
    """
    money = money_of(message, field)
    if money.currency != currency:
        description = f"must be in {currency}, at the rates of the days on which it was paid, was {money}"
        raise ExchangeRateMissing.of(field, description)
    return money.amount


def _transfer(row: pb.TaxTransfer, path: str, exchange: Exchange) -> Transfer:
    day = date_of(row.date, f"{path}.date")
    return Transfer(
        row.transfer_id,
        day,
        row.account_id,
        row.to_account_id,
        row.asset,
        decimal_of(row.quantity, f"{path}.quantity"),
        tuple(row.lot_ids),
        exchange.amount(row.value, day, f"{path}.value") if row.HasField("value") else None,
    )


def _disposal(row: pb.TaxDisposal, path: str, exchange: Exchange) -> Disposal:
    day = date_of(row.date, f"{path}.date")
    return Disposal(
        row.disposal_id,
        day,
        row.account_id,
        row.asset,
        decimal_of(row.quantity, f"{path}.quantity"),
        exchange.amount(row.proceeds, day, f"{path}.proceeds"),
        tuple(row.lot_ids),
        LOT_METHODS[row.lot_method],
    )


def _cost_change(row: pb.TaxCostChange, path: str, exchange: Exchange) -> CostChange:
    day = date_of(row.date, f"{path}.date")
    return CostChange(day, row.account_id, row.asset, exchange.amount(row.amount, day, f"{path}.amount"))


def _dividend(row: pb.TaxDividend, path: str, exchange: Exchange) -> Dividend:
    day = date_of(row.date, f"{path}.date")
    return Dividend(row.dividend_id, day, row.account_id, row.asset, exchange.amount(row.amount, day, f"{path}.amount"))
