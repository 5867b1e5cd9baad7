"""What a country's rules must know of a taxpayer, from messages."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TypeAlias

from google.type import decimal_pb2

from evenkeel.decision.v1 import tax_service_pb2 as pb
from evenkeel.decision.v1 import year_end_service_pb2 as year_end_pb
from services.decision.api.asset_kinds import ASSET_KINDS
from services.decision.domain.fund_years import FundYear
from services.decision.domain.problem import ZERO
from services.decision.domain.tax.assessment.canada import Canada
from services.decision.domain.tax.assessment.germany import Germany
from services.decision.domain.tax.assessment.results import (
    TaxRules,
)
from services.decision.domain.tax.assessment.united_kingdom import UnitedKingdom
from services.decision.domain.tax.assessment.united_states import UnitedStatesYear
from services.decision.domain.tax.assessment.us_years import FilingStatus
from services.decision.domain.tax.filing import TaxpayerUnknown
from services.kernel.errors import FieldViolation, Invalid, Violations
from services.runtime.wire import decimal_of

_Taxpayer: TypeAlias = pb.UnitedStatesTaxpayer | pb.UnitedKingdomTaxpayer | pb.CanadaTaxpayer | pb.GermanyTaxpayer
STATUSES: Mapping[pb.UnitedStatesTaxpayer.FilingStatus.ValueType, FilingStatus] = {
    pb.UnitedStatesTaxpayer.FILING_STATUS_SINGLE: FilingStatus.SINGLE,
    pb.UnitedStatesTaxpayer.FILING_STATUS_MARRIED_JOINT: FilingStatus.MARRIED_JOINT,
    pb.UnitedStatesTaxpayer.FILING_STATUS_MARRIED_SEPARATE: FilingStatus.MARRIED_SEPARATE,
    pb.UnitedStatesTaxpayer.FILING_STATUS_HEAD_OF_HOUSEHOLD: FilingStatus.HEAD_OF_HOUSEHOLD,
}
# EStG § 51a Abs. 2b with the church tax laws of the states: none, Bavaria and Baden-Württemberg, the others.
CHURCH_RATES = (ZERO, Decimal("0.08"), Decimal("0.09"))
_ONE = Decimal(1)
TaxpayerRequest: TypeAlias = (
    pb.PreviewTaxYearRequest | pb.GetTaxLedgerRequest | pb.CompareTaxActionsRequest | pb.TaxpayerAccounts
)


def rules_of(request: TaxpayerRequest) -> TaxRules:
    """Return the country's rules with what they must know of the taxpayer.

    Raises:
        TaxpayerUnknown: Nobody says how an American files.
        Invalid: An amount is below 0, or a rate is no rate.
    """
    name = request.WhichOneof("taxpayer")
    given = _Facts(name or "taxpayer", Violations())
    rules: TaxRules
    match name:
        case "united_states":
            us = request.united_states
            if us.filing_status not in STATUSES:
                path, description = f"{name}.filing_status", f"must be a filing status, was {us.filing_status}"
                raise TaxpayerUnknown.of(path, description)
            rules = UnitedStatesYear(
                filing_status=STATUSES[us.filing_status],
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
                scottish=uk.scottish_taxpayer,
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
    if church_rate not in CHURCH_RATES:
        given.found.add("germany.church_rate", f"must be 0, 0.08 or 0.09, was {church_rate}")
    return replace(
        _funds(message, given),
        joint=message.joint,
        church_rate=church_rate,
        share_losses_brought_forward=given.number(message, "share_losses_brought_forward"),
        other_losses_brought_forward=given.number(message, "other_losses_brought_forward"),
    )


def germany_of_assets(message: year_end_pb.GermanyTaxpayers) -> Germany:
    """Return Germany's rules with what the assets are, for a taxpayer of whom nothing is known.

    Raises:
        Invalid: A fund's year is given twice, or a price is not above 0.
    """
    given = _Facts("germany", Violations())
    rules = _funds(message, given)
    given.found.raise_if_any()
    return rules


def _funds(message: pb.GermanyTaxpayer | year_end_pb.GermanyTaxpayers, given: _Facts) -> Germany:
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
    return Germany(kinds={each.asset: ASSET_KINDS[each.kind] for each in message.assets}, fund_years=tuple(years))
