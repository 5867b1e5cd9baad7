"""Giving, raising money from all accounts, and converting wrappers, as messages."""

from collections.abc import Callable, Mapping
from decimal import Decimal

from evenkeel.decision.v1 import tax_service_pb2 as pb
from services.decision.api.tax_messages import RECIPIENTS
from services.decision.api.taxpayer_messages import number_within
from services.decision.domain.problem import ZERO
from services.decision.domain.tax.assessment.history import EARLIEST_DATE
from services.decision.domain.tax.converting import SOURCE as CONVERSION_SOURCE
from services.decision.domain.tax.converting import Conversion
from services.decision.domain.tax.drawing import Drawing, Order
from services.decision.domain.tax.giving import GiftWay, GiftWish, Giving
from services.decision.domain.tax.projection import Projected
from services.decision.domain.tax.situation import Parcel
from services.decision.domain.tax.wrappers import Drawn, Saver, wrapper_law
from services.kernel.errors import Invalid, Violations
from services.kernel.ids import AccountId
from services.runtime.wire import date_of, decimal_message

_ONE = Decimal(1)
_WAYS: Mapping[GiftWay, pb.TaxGiving.Way.ValueType] = {
    GiftWay.GIVE_LOTS: pb.TaxGiving.WAY_GIVE_LOTS,
    GiftWay.SELL_AND_GIVE: pb.TaxGiving.WAY_SELL_AND_GIVE,
}
_ORDERS: Mapping[Order, pb.TaxDrawing.Order.ValueType] = {
    Order.LEAST_TAX: pb.TaxDrawing.ORDER_LEAST_TAX,
    Order.TAXED_FIRST: pb.TaxDrawing.ORDER_TAXED_FIRST,
    Order.DEFERRED_FIRST: pb.TaxDrawing.ORDER_DEFERRED_FIRST,
    Order.EXEMPT_FIRST: pb.TaxDrawing.ORDER_EXEMPT_FIRST,
    Order.PROPORTIONAL: pb.TaxDrawing.ORDER_PROPORTIONAL,
}


def gift_of(request: pb.CompareTaxActionsRequest) -> GiftWish | None:
    """Return what is to be given.

    Raises:
        Invalid: A number is none, or outside its bounds.
    """
    if not request.HasField("gift"):
        return None
    said = request.gift
    amount = number_within(said.amount, "gift.amount", ZERO)
    if amount == 0:
        raise Invalid.of("gift.amount", "must be above 0, was 0")
    has_gross = said.HasField("adjusted_gross_income")
    return GiftWish(
        amount,
        RECIPIENTS[said.recipient],
        number_within(said.adjusted_gross_income, "gift.adjusted_gross_income", ZERO) if has_gross else None,
        said.itemized,
        number_within(said.receiver_rate, "gift.receiver_rate", ZERO, _ONE) if said.HasField("receiver_rate") else ZERO,
    )


def saver_of(request: pb.CompareTaxActionsRequest) -> Saver | None:
    """Return whose wrappers the accounts are; None where nobody asks.

    Raises:
        Invalid: A date or number is none, or outside its bounds.
    """
    if not request.HasField("wrappers"):
        return None
    said = request.wrappers
    born = date_of(said.birth_date, "wrappers.birth_date") if said.HasField("birth_date") else None
    if born is not None and born < EARLIEST_DATE:
        raise Invalid.of("wrappers.birth_date", f"must be {EARLIEST_DATE} or later, was {born}")
    has_used = said.HasField("tax_free_used")
    return Saver(born, number_within(said.tax_free_used, "wrappers.tax_free_used", ZERO) if has_used else ZERO)


def paid_in_of(request: pb.CompareTaxActionsRequest) -> Mapping[AccountId, tuple[Decimal, int | None]]:
    """Return what was paid into accounts in wrappers from taxed income, and in which tax year first.

    Raises:
        Invalid: A number is below 0, an account comes twice, or is none of the taxpayer's in the request.
    """
    own = {each.account_id for each in request.accounts if each.owner == pb.TaxHistoryAccount.OWNER_TAXPAYER}
    made: dict[AccountId, tuple[Decimal, int | None]] = {}
    found = Violations()
    for index, each in enumerate(request.wrappers.accounts):
        path = f"wrappers.accounts[{index}]"
        if each.account_id not in own:
            found.add(f"{path}.account_id", f"must be one of the taxpayer's accounts, was {each.account_id!r}")
        if each.account_id in made:
            found.add(f"{path}.account_id", f"must be unique, was {each.account_id!r} again")
        has_any = each.HasField("contributions")
        contributions = number_within(each.contributions, f"{path}.contributions", ZERO) if has_any else ZERO
        made[AccountId(each.account_id)] = contributions, each.first_year or None
    found.raise_if_any()
    return made


def later_rate_of(request: pb.CompareTaxActionsRequest) -> Decimal | None:
    """Return the rate of the tax on what leaves wrappers at the end; None where nobody said.

    Raises:
        Invalid: It is no rate.
    """
    if not request.wrappers.HasField("later_rate"):
        return None
    return number_within(request.wrappers.later_rate, "wrappers.later_rate", ZERO, _ONE)


def projection_message(one: Projected, advantage: Decimal) -> pb.TaxProjection:
    """Return the message of what is left in a scenario."""
    return pb.TaxProjection(
        scenario=pb.TaxScenario(growth=decimal_message(one.scenario.growth), years=one.scenario.years),
        value=decimal_message(one.value),
        taxes=decimal_message(one.taxes),
        after_tax=decimal_message(one.after_tax),
        advantage=decimal_message(advantage),
    )


def giving_message(each: Giving, parcel: Callable[[Parcel], pb.TaxParcel]) -> pb.TaxGiving:
    """Return the message of a way to give."""
    return pb.TaxGiving(
        way=_WAYS[each.way],
        parcels=[parcel(one) for one in each.parcels],
        value=decimal_message(each.value),
        tax=decimal_message(each.tax),
        deducted=decimal_message(each.deducted),
        deduction_carried=decimal_message(each.carried),
        saved=decimal_message(each.saved),
        reportable=decimal_message(each.reportable),
        projections=[projection_message(*one) for one in zip(each.projected, each.advantage, strict=True)],
        received=[decimal_message(one) for one in each.received],
        source=each.source,
        sentence=each.sentence,
    )


def drawing_message(each: Drawing, code: str, parcel: Callable[[Parcel], pb.TaxParcel]) -> pb.TaxDrawing:
    """Return the message of a way to raise money; `code` is the country."""
    return pb.TaxDrawing(
        order=_ORDERS[each.order],
        draws=[_draw(one, code) for one in each.drawn],
        parcels=[parcel(one) for one in each.parcels],
        raised=decimal_message(each.raised),
        income=decimal_message(each.income),
        tax=decimal_message(each.tax),
        projections=[projection_message(*one) for one in zip(each.projected, each.advantage, strict=True)],
        sentence=each.sentence,
    )


def conversion_message(each: Conversion) -> pb.TaxConversion:
    """Return the message of what a conversion would come to."""
    return pb.TaxConversion(
        account_id=each.account_id,
        into_account_id=each.into,
        amount=decimal_message(each.amount),
        income=decimal_message(each.income),
        tax=decimal_message(each.tax),
        projections=[projection_message(*one) for one in zip(each.projected, each.advantage, strict=True)],
        source=CONVERSION_SOURCE,
        sentence=each.sentence,
    )


def _draw(each: Drawn, code: str) -> pb.TaxDraw:
    law = wrapper_law(code, each.wrapped.kind)
    return pb.TaxDraw(
        account_id=each.wrapped.account_id,
        wrapper="" if law is None else law.name,
        amount=decimal_message(each.amount),
        income=decimal_message(each.income),
        charge=decimal_message(each.charge),
        source=each.source,
    )
