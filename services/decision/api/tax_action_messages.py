"""What a taxpayer could do, as messages."""

from collections.abc import Mapping
from decimal import Decimal

from evenkeel.decision.v1 import tax_service_pb2 as pb
from services.decision.api.assessment_messages import TERMS
from services.decision.api.tax_giving_messages import (
    conversion_message,
    drawing_message,
    gift_of,
    giving_message,
    later_rate_of,
    paid_in_of,
    projection_message,
    saver_of,
)
from services.decision.api.taxpayer_messages import number_within
from services.decision.app.tax_ports import Comparison, Wish
from services.decision.domain.prices import PriceSetId
from services.decision.domain.problem import ZERO
from services.decision.domain.tax.actions import Action, ActionKind, Choice, Deferral, Withdrawal
from services.decision.domain.tax.projection import Scenario
from services.decision.domain.tax.reentry import Reentry
from services.decision.domain.tax.replacements import Replacement
from services.decision.domain.tax.situation import Explained, Parcel
from services.runtime.wire import date_message, decimal_message

# The long-run volatility of broad equity markets, as yearly volatilities are quoted.
VOLATILITY_DEFAULT = Decimal("0.16")
_LOWEST_GROWTH, _HIGHEST_GROWTH = Decimal("-0.99"), Decimal(2)

_KINDS: Mapping[ActionKind, pb.TaxAction.Kind.ValueType] = {
    ActionKind.WAIT: pb.TaxAction.KIND_WAIT,
    ActionKind.HARVEST_LOSSES: pb.TaxAction.KIND_HARVEST_LOSSES,
    ActionKind.HARVEST_GAINS: pb.TaxAction.KIND_HARVEST_GAINS,
}
_CHOICES: Mapping[Choice, pb.TaxWithdrawal.Choice.ValueType] = {
    Choice.LEAST_TAX: pb.TaxWithdrawal.CHOICE_LEAST_TAX,
    Choice.FIRST_IN_FIRST_OUT: pb.TaxWithdrawal.CHOICE_FIRST_IN_FIRST_OUT,
    Choice.HIGHEST_COST: pb.TaxWithdrawal.CHOICE_HIGHEST_COST,
    Choice.PROPORTIONAL: pb.TaxWithdrawal.CHOICE_PROPORTIONAL,
}


def wish_of(request: pb.CompareTaxActionsRequest) -> Wish:
    """Return what is asked.

    Raises:
        Invalid: A number is none, or outside its bounds.
    """
    return Wish(
        price_set_id=PriceSetId(request.price_set_id) if request.price_set_id else None,
        scenarios=tuple(
            Scenario(
                number_within(each.growth, f"scenarios[{index}].growth", _LOWEST_GROWTH, _HIGHEST_GROWTH), each.years
            )
            for index, each in enumerate(request.scenarios)
        ),
        volatility=(
            number_within(request.volatility, "volatility", ZERO, Decimal(2))
            if request.HasField("volatility")
            else VOLATILITY_DEFAULT
        ),
        minimum=(
            number_within(request.harvest_minimum, "harvest_minimum", ZERO)
            if request.HasField("harvest_minimum")
            else ZERO
        ),
        withdrawal=number_within(request.withdrawal, "withdrawal", ZERO) if request.HasField("withdrawal") else ZERO,
        tax_limit=(
            number_within(request.withdrawal_tax_limit, "withdrawal_tax_limit", ZERO)
            if request.HasField("withdrawal_tax_limit")
            else None
        ),
        gift=gift_of(request),
        saver=saver_of(request),
        paid_in=paid_in_of(request),
        later_rate=later_rate_of(request),
    )


def comparison_message(found: Comparison) -> pb.CompareTaxActionsResponse:
    """Return the message of a comparison."""
    compared, told = found.compared, found.compared.drawings
    return pb.CompareTaxActionsResponse(
        as_of_date=date_message(found.today),
        currency_code=found.currency,
        parcels=[_explained(each) for each in compared.parcels],
        actions=[_action(each) for each in compared.actions],
        deferrals=[_deferral(each) for each in compared.deferrals],
        gifts=[_explained(each) for each in compared.gifts],
        withdrawals=[_withdrawal(each) for each in compared.withdrawals],
        most_withdrawable=decimal_message(compared.most_withdrawable),
        replacements=[_replacement(each) for each in found.replacements],
        reentries=[_reentry(each) for each in compared.reentries],
        largest_withdrawal=None if compared.within_limit is None else _withdrawal(compared.within_limit),
        givings=[giving_message(each, _parcel) for each in compared.givings],
        drawings=[] if told is None else [drawing_message(each, found.country, _parcel) for each in told.ways],
        review=() if told is None else told.review,
        conversions=[conversion_message(each) for each in compared.conversions],
    )


def _parcel(each: Parcel) -> pb.TaxParcel:
    return pb.TaxParcel(
        account_id=each.account_id,
        instrument_id=each.asset,
        lot_id=each.lot_id or "",
        quantity=decimal_message(each.quantity),
        cost=decimal_message(each.cost),
        value=decimal_message(each.value),
        acquired_date=None if each.acquired_date is None else date_message(each.acquired_date),
        long_from_date=None if each.long_from is None else date_message(each.long_from),
    )


def _explained(each: Explained) -> pb.ExplainedParcel:
    return pb.ExplainedParcel(
        parcel=_parcel(each.parcel),
        gain=decimal_message(each.parcel.gain),
        term=TERMS[each.term],
        tax=decimal_message(each.tax),
        rate=decimal_message(each.rate),
        disallowed_loss=decimal_message(each.disallowed_loss),
        free_date=None if each.free_date is None else date_message(each.free_date),
        source=each.source,
        sentence=each.sentence,
    )


def _action(each: Action) -> pb.TaxAction:
    return pb.TaxAction(
        kind=_KINDS[each.kind],
        parcels=[_parcel(parcel) for parcel in each.parcels],
        tax=decimal_message(each.tax),
        cost=decimal_message(each.cost),
        waiting_value=decimal_message(each.waiting_value),
        projections=[projection_message(*one) for one in zip(each.projected, each.advantage, strict=True)],
        break_even_cost_bps=decimal_message(each.break_even_cost_bps),
        worth_it=each.worth_it,
        sentence=each.sentence,
    )


def _deferral(each: Deferral) -> pb.TaxDeferral:
    return pb.TaxDeferral(
        parcel=_parcel(each.parcel),
        days=each.days,
        saved=decimal_message(each.saved),
        break_even_fall=decimal_message(each.break_even_fall),
        risk_price=decimal_message(each.risk_price),
    )


def _withdrawal(each: Withdrawal) -> pb.TaxWithdrawal:
    return pb.TaxWithdrawal(
        choice=_CHOICES[each.choice],
        parcels=[_parcel(parcel) for parcel in each.parcels],
        raised=decimal_message(each.raised),
        tax=decimal_message(each.tax),
    )


def _reentry(each: Reentry) -> pb.TaxReentry:
    rise = each.break_even_rise
    return pb.TaxReentry(
        instrument_id=each.asset,
        saved=decimal_message(each.saved),
        open_date=date_message(each.open_date),
        long_date=None if each.long_date is None else date_message(each.long_date),
        break_even_rise=None if rise is None else decimal_message(rise),
        sentence=each.sentence,
    )


def _replacement(each: Replacement) -> pb.TaxReplacement:
    return pb.TaxReplacement(
        instrument_id=each.asset,
        instead_id=each.instead,
        tracking_error=decimal_message(each.tracking_error),
        spread_bps=decimal_message(each.spread_bps),
    )
