"""Tax histories and assessments as messages."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import TypeAlias, TypeVar

from google.type import date_pb2, decimal_pb2, money_pb2

from evenkeel.decision.v1 import tax_service_pb2 as pb
from services.decision.domain.problem import ZERO
from services.decision.domain.tax.assessment.canada import Canada
from services.decision.domain.tax.assessment.forms import FormRow, form_rows
from services.decision.domain.tax.assessment.germany import AssetKind, FundYear, Germany
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
    Treatment,
    cents,
)
from services.decision.domain.tax.assessment.marginal import marginals
from services.decision.domain.tax.assessment.results import (
    AssessedDisposal,
    AssessedDividend,
    Assessment,
    MatchRule,
    Piece,
    Remaining,
    TaxRules,
    Term,
)
from services.decision.domain.tax.assessment.united_kingdom import UnitedKingdom
from services.decision.domain.tax.assessment.united_states import UnitedStatesYear
from services.decision.domain.tax.assessment.us_years import FilingStatus
from services.kernel.decimals import EXACT
from services.kernel.errors import FieldViolation, Invalid, Violations
from services.kernel.money import Money
from services.runtime.wire import date_message, date_of, decimal_message, decimal_of, money_of

Message = TypeVar("Message")
Row = TypeVar("Row")
_Taxpayer: TypeAlias = pb.UnitedStatesTaxpayer | pb.UnitedKingdomTaxpayer | pb.CanadaTaxpayer | pb.GermanyTaxpayer

OWNERS: Mapping[pb.TaxHistoryAccount.Owner.ValueType, Owner] = {
    pb.TaxHistoryAccount.OWNER_TAXPAYER: Owner.TAXPAYER,
    pb.TaxHistoryAccount.OWNER_AFFILIATED: Owner.AFFILIATED,
}
_STATUSES: Mapping[pb.UnitedStatesTaxpayer.FilingStatus.ValueType, FilingStatus] = {
    pb.UnitedStatesTaxpayer.FILING_STATUS_SINGLE: FilingStatus.SINGLE,
    pb.UnitedStatesTaxpayer.FILING_STATUS_MARRIED_JOINT: FilingStatus.MARRIED_JOINT,
    pb.UnitedStatesTaxpayer.FILING_STATUS_MARRIED_SEPARATE: FilingStatus.MARRIED_SEPARATE,
    pb.UnitedStatesTaxpayer.FILING_STATUS_HEAD_OF_HOUSEHOLD: FilingStatus.HEAD_OF_HOUSEHOLD,
}
_KINDS: Mapping[pb.GermanyTaxpayer.AssetKind.ValueType, AssetKind] = {
    pb.GermanyTaxpayer.ASSET_KIND_SHARE: AssetKind.SHARE,
    pb.GermanyTaxpayer.ASSET_KIND_EQUITY_FUND: AssetKind.EQUITY_FUND,
    pb.GermanyTaxpayer.ASSET_KIND_MIXED_FUND: AssetKind.MIXED_FUND,
    pb.GermanyTaxpayer.ASSET_KIND_REAL_ESTATE_FUND: AssetKind.REAL_ESTATE_FUND,
    pb.GermanyTaxpayer.ASSET_KIND_FOREIGN_REAL_ESTATE_FUND: AssetKind.FOREIGN_REAL_ESTATE_FUND,
    pb.GermanyTaxpayer.ASSET_KIND_OTHER_FUND: AssetKind.OTHER_FUND,
    pb.GermanyTaxpayer.ASSET_KIND_OTHER: AssetKind.OTHER,
}
LOT_METHODS: Mapping[pb.TaxLotMethod.ValueType, LotMethod] = {
    pb.TAX_LOT_METHOD_UNSPECIFIED: LotMethod.FIRST_IN_FIRST_OUT,
    pb.TAX_LOT_METHOD_FIRST_IN_FIRST_OUT: LotMethod.FIRST_IN_FIRST_OUT,
    pb.TAX_LOT_METHOD_LAST_IN_FIRST_OUT: LotMethod.LAST_IN_FIRST_OUT,
    pb.TAX_LOT_METHOD_HIGHEST_COST: LotMethod.HIGHEST_COST,
    pb.TAX_LOT_METHOD_LOWEST_TAX: LotMethod.LOWEST_TAX,
    pb.TAX_LOT_METHOD_AVERAGE_COST: LotMethod.AVERAGE_COST,
}
_RULES: Mapping[MatchRule, pb.TaxPiece.Rule.ValueType] = {
    MatchRule.SAME_DAY: pb.TaxPiece.RULE_SAME_DAY,
    MatchRule.THIRTY_DAYS: pb.TaxPiece.RULE_THIRTY_DAYS,
    MatchRule.POOL: pb.TaxPiece.RULE_POOL,
    MatchRule.IDENTIFIED: pb.TaxPiece.RULE_IDENTIFIED,
    MatchRule.FIRST_IN_FIRST_OUT: pb.TaxPiece.RULE_FIRST_IN_FIRST_OUT,
    MatchRule.LAST_IN_FIRST_OUT: pb.TaxPiece.RULE_LAST_IN_FIRST_OUT,
    MatchRule.HIGHEST_COST: pb.TaxPiece.RULE_HIGHEST_COST,
    MatchRule.LOWEST_TAX: pb.TaxPiece.RULE_LOWEST_TAX,
    MatchRule.AVERAGE_COST: pb.TaxPiece.RULE_AVERAGE_COST,
    MatchRule.CAPITAL_RETURNED: pb.TaxPiece.RULE_CAPITAL_RETURNED,
    MatchRule.EXCHANGED: pb.TaxPiece.RULE_EXCHANGED,
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
TERMS: Mapping[Term, pb.TaxPiece.Term.ValueType] = {
    Term.ANY: pb.TaxPiece.TERM_ANY,
    Term.SHORT: pb.TaxPiece.TERM_SHORT,
    Term.LONG: pb.TaxPiece.TERM_LONG,
}
CURRENCIES = {"united_states": "USD", "united_kingdom": "GBP", "canada": "CAD", "germany": "EUR"}
# EStG § 51a Abs. 2b with the church tax laws of the states: none, Bavaria and Baden-Württemberg, the others.
_CHURCH_RATES = (ZERO, Decimal("0.08"), Decimal("0.09"))
_ONE = Decimal(1)


class ExchangeRateMissing(Invalid):
    """An amount is in another currency, and its day has no rate."""

    reason = "TAX_RATE_MISSING"


TaxpayerRequest: TypeAlias = (
    pb.PreviewTaxYearRequest | pb.GetTaxLedgerRequest | pb.CompareTaxActionsRequest | pb.TaxpayerAccounts
)


def rules_of(request: TaxpayerRequest) -> TaxRules:
    """Return the country's rules with what they must know of the taxpayer.

    Raises:
        Invalid: An amount is below 0, or a rate is no rate.
    """
    name = request.WhichOneof("taxpayer")
    given = _Facts(name or "taxpayer", Violations())
    rules: TaxRules
    match name:
        case "united_states":
            us = request.united_states
            rules = UnitedStatesYear(
                filing_status=_STATUSES[us.filing_status],
                ordinary_income=given.number(us, "ordinary_income", low=None),
                short_brought_forward=given.number(us, "short_brought_forward"),
                long_brought_forward=given.number(us, "long_brought_forward"),
                investment_income=given.number(us, "investment_income"),
                state_rate=given.number(us, "state_rate", high=_ONE),
            )
        case "united_kingdom":
            uk = request.united_kingdom
            rules = UnitedKingdom(
                taxable_income=given.number(uk, "taxable_income"),
                losses_brought_forward=given.number(uk, "losses_brought_forward"),
            )
        case "canada":
            ca = request.canada
            rules = Canada(
                marginal_rate=given.number(ca, "marginal_rate", high=_ONE),
                net_losses_brought_forward=given.number(ca, "net_losses_brought_forward"),
            )
        case "germany":
            rules = _germany(request.germany, given)
        case None:
            raise Invalid(
                "taxpayer: must be given", violations=[FieldViolation("taxpayer", "must be given, was absent")]
            )
    given.found.raise_if_any()
    return rules


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


def assessment_message(rules: TaxRules, assessment: Assessment, law_version: int) -> pb.PreviewTaxYearResponse:
    """Return the message of an assessment by `rules`, which are those of a version of the year's law."""
    return pb.PreviewTaxYearResponse(
        jurisdiction=assessment.jurisdiction,
        currency_code=assessment.currency,
        first_date=date_message(assessment.first_date),
        last_date=date_message(assessment.last_date),
        disposals=[_disposal_message(each) for each in assessment.of_year()],
        remaining=[_remaining_message(each) for each in assessment.remaining],
        lines=[
            pb.TaxLine(name=line.name, amount=decimal_message(line.amount), source=line.source)
            for line in assessment.lines
        ],
        permanently_lost=decimal_message(assessment.permanently_lost),
        review=assessment.review,
        form_rows=[_form_row_message(row) for row in form_rows(assessment)],
        marginals=[
            pb.TaxMarginal(
                term=TERMS[each.term],
                gain_rate=decimal_message(each.gain_rate),
                loss_rate=decimal_message(each.loss_rate),
            )
            for each in marginals(rules, assessment)
        ],
        dividends=[
            _dividend_message(each)
            for each in assessment.dividends
            if assessment.first_date <= each.dividend.day <= assessment.last_date
        ],
        law_version=law_version,
    )


def _form_row_message(row: FormRow) -> pb.TaxFormRow:
    return pb.TaxFormRow(
        form=row.form,
        part=row.part,
        description=row.description,
        acquired_date=_day(row.acquired_date),
        sold_date=_day(row.sold_date),
        proceeds=decimal_message(row.proceeds),
        cost=decimal_message(row.cost),
        code=row.code,
        adjustment=decimal_message(row.adjustment),
        gain=decimal_message(row.gain),
    )


def number_within(message: decimal_pb2.Decimal, name: str, low: Decimal | None, high: Decimal | None = None) -> Decimal:
    """Return a number that must be within `low` and `high`, both inside.

    Raises:
        Invalid: It is not.
    """
    value, found = decimal_of(message, name), Violations()
    _check_within(value, name, low, high, found)
    found.raise_if_any()
    return value


def _check_within(value: Decimal, name: str, low: Decimal | None, high: Decimal | None, found: Violations) -> None:
    if low is not None and value < low:
        found.add(name, f"must be {low} or more, was {value}")
    if high is not None and value > high:
        found.add(name, f"must be at most {high}, was {value}")


@dataclass(frozen=True, slots=True)
class _Facts:
    """Reads what is known of the taxpayer, and collects what is wrong with it."""

    path: str
    found: Violations

    def number(
        self, message: _Taxpayer, name: str, *, low: Decimal | None = ZERO, high: Decimal | None = None
    ) -> Decimal:
        """Return the number of a field, 0 when it is absent."""
        if not message.HasField(name):  # type: ignore[arg-type]  # one name for four messages
            return ZERO
        return self.within(getattr(message, name), name, low, high)

    def within(self, message: decimal_pb2.Decimal, name: str, low: Decimal | None, high: Decimal | None) -> Decimal:
        """Return the number of a message, and note when it is outside `low` and `high`, both inside."""
        value = decimal_of(message, f"{self.path}.{name}")
        _check_within(value, f"{self.path}.{name}", low, high, self.found)
        return value


def _germany(message: pb.GermanyTaxpayer, given: _Facts) -> Germany:
    church_rate = given.number(message, "church_rate")
    if church_rate not in _CHURCH_RATES:
        given.found.add("germany.church_rate", f"must be 0, 0.08 or 0.09, was {church_rate}")
    years: list[FundYear] = []
    known: set[tuple[str, int]] = set()
    for index, each in enumerate(message.fund_years):
        path = f"fund_years[{index}]"
        first = given.within(each.first_price, f"{path}.first_price", ZERO, None)
        last = given.within(each.last_price, f"{path}.last_price", ZERO, None)
        distributed = ZERO
        if each.HasField("distributed"):
            distributed = given.within(each.distributed, f"{path}.distributed", ZERO, None)
        if first == 0:
            given.found.add(f"germany.{path}.first_price", "must be above 0, was 0")
        if (each.asset, each.year) in known:
            given.found.add(f"germany.{path}", f"must be one of its asset and year, was {each.asset} {each.year} again")
        known.add((each.asset, each.year))
        years.append(FundYear(each.asset, each.year, first, last, distributed))
    return Germany(
        kinds={each.asset: _KINDS[each.kind] for each in message.assets},
        fund_years=tuple(years),
        joint=message.joint,
        church_rate=church_rate,
        share_losses_brought_forward=given.number(message, "share_losses_brought_forward"),
        other_losses_brought_forward=given.number(message, "other_losses_brought_forward"),
    )


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
            raise ExchangeRateMissing(f"{field}: {description}", violations=[FieldViolation(field, description)])
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
        raise ExchangeRateMissing(f"{field}: {description}", violations=[FieldViolation(field, description)])
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


def _dividend_message(each: AssessedDividend) -> pb.AssessedDividend:
    return pb.AssessedDividend(
        dividend_id=each.dividend.dividend_id,
        date=date_message(each.dividend.day),
        asset=each.dividend.asset,
        amount=decimal_message(each.dividend.amount),
        qualified=decimal_message(each.qualified),
        held_days=each.held_days,
    )


def _disposal_message(each: AssessedDisposal) -> pb.AssessedDisposal:
    return pb.AssessedDisposal(
        disposal_ids=each.disposal_ids,
        date=date_message(each.day),
        asset=each.asset,
        quantity=decimal_message(each.quantity),
        proceeds=decimal_message(each.proceeds),
        counted_gain=decimal_message(each.counted_gain),
        pieces=[_piece_message(piece) for piece in each.pieces],
    )


def _piece_message(piece: Piece) -> pb.TaxPiece:
    return pb.TaxPiece(
        rule=_RULES[piece.rule],
        source=piece.source,
        quantity=decimal_message(piece.quantity),
        proceeds=decimal_message(piece.proceeds),
        cost=decimal_message(piece.cost),
        gain=decimal_message(piece.gain),
        disallowed_loss=decimal_message(piece.disallowed_loss),
        exempt_gain=decimal_message(piece.exempt_gain),
        counted_gain=decimal_message(piece.counted_gain),
        term=TERMS[piece.term],
        acquired_date=_day(piece.acquired_date),
        held_from_date=_day(piece.held_from_date),
        lot_id=piece.lot_id or "",
        note=piece.note,
        at_cost=piece.treatment is Treatment.AT_COST,
    )


def _remaining_message(each: Remaining) -> pb.TaxRemaining:
    return pb.TaxRemaining(
        account_id=each.account_id or "",
        asset=each.asset,
        lot_id=each.lot_id or "",
        quantity=decimal_message(each.quantity),
        cost=decimal_message(each.cost),
        acquired_date=_day(each.acquired_date),
        held_from_date=_day(each.held_from_date),
    )


def _day(value: date | None) -> date_pb2.Date | None:
    return None if value is None else date_message(value)
