"""Signed plans as they arrive, and what became of them."""

from decimal import Decimal

from google.protobuf.message import DecodeError

from evenkeel.common.v1 import values_pb2
from evenkeel.decision.v1 import signed_plan_pb2 as signed
from evenkeel.execution.v1 import execution_service_pb2 as pb
from services.execution.app.intake import Result, Status, Submission
from services.execution.domain.plan import Plan, Preferences, Trade
from services.execution.domain.pretrade import Refusal
from services.execution.domain.words import Algorithm, Side
from services.kernel.errors import FieldViolation, Invalid
from services.kernel.ids import AccountId, HouseholdId, InstrumentId, PlanId, PolicyHash, RunId, VenueId
from services.kernel.signing import Signature
from services.runtime.interceptors.validation import Validation
from services.runtime.wire import decimal_of, instant_of, money_of

SIDES = {values_pb2.SIDE_BUY: Side.BUY, values_pb2.SIDE_SELL: Side.SELL}

_Schedule = signed.TradePreferences.Schedule
ALGORITHMS = {
    _Schedule.SCHEDULE_UNSPECIFIED: Algorithm.IMMEDIATE,
    _Schedule.SCHEDULE_IMMEDIATE: Algorithm.IMMEDIATE,
    _Schedule.SCHEDULE_TIME_WEIGHTED: Algorithm.TIME_WEIGHTED,
    _Schedule.SCHEDULE_VOLUME_WEIGHTED: Algorithm.VOLUME_WEIGHTED,
    _Schedule.SCHEDULE_PARTICIPATION: Algorithm.PARTICIPATION,
    _Schedule.SCHEDULE_IMPLEMENTATION_SHORTFALL: Algorithm.IMPLEMENTATION_SHORTFALL,
    _Schedule.SCHEDULE_OPEN_AUCTION: Algorithm.OPEN_AUCTION,
    _Schedule.SCHEDULE_CLOSE_AUCTION: Algorithm.CLOSE_AUCTION,
}

_STATUSES = {
    Status.ACCEPTED: pb.SubmitPlanResult.STATUS_ACCEPTED,
    Status.DUPLICATE: pb.SubmitPlanResult.STATUS_DUPLICATE,
    Status.REFUSED: pb.SubmitPlanResult.STATUS_REFUSED,
}


class PlanReader:
    """Reads signed plans; what a payload may say is declared in its contract."""

    def __init__(self) -> None:
        """Compile the contract's rules once."""
        self._contract = Validation()

    def submission_of(self, message: signed.SignedPlan) -> Submission:
        """Return a plan as it arrived; one that cannot be read says why."""
        signature = Signature(message.signature.key_id, message.signature.value)
        try:
            payload = signed.PlanPayload.FromString(message.payload)
            self._contract.check(payload)
            return Submission(message.payload, signature, plan_of(payload))
        except DecodeError:
            return Submission(message.payload, signature, None, "payload must be a PlanPayload, was something else")
        except Invalid as error:
            return Submission(message.payload, signature, None, error.message)


def plan_of(payload: signed.PlanPayload) -> Plan:
    """Return the plan that a payload says.

    Raises:
        Invalid: A number or instant in it is none, or a currency differs from the plan's.
    """
    cash = money_of(payload.available_cash, "available_cash")
    _check_currency(cash.currency, payload.currency, "available_cash")
    shortfall = Decimal(0)
    if payload.HasField("cash_shortfall"):
        missing = money_of(payload.cash_shortfall, "cash_shortfall")
        _check_currency(missing.currency, payload.currency, "cash_shortfall")
        shortfall = missing.amount
    return Plan(
        plan_id=PlanId(payload.plan_id),
        plan_hash=payload.plan_hash,
        run_id=RunId(payload.run_id),
        account_id=AccountId(payload.account_id),
        household_id=HouseholdId(payload.household_id) if payload.household_id else None,
        custodian=payload.custodian,
        currency=payload.currency,
        available_cash=cash.amount,
        cash_shortfall=shortfall,
        policy_version_hashes=tuple(PolicyHash(each) for each in payload.policy_version_hashes),
        policy_hash=PolicyHash(payload.policy_hash),
        approver=payload.approver,
        expire_time=instant_of(payload.expire_time, "expire_time"),
        trades=tuple(_trade(rank, each, payload.currency) for rank, each in enumerate(payload.trades)),
        preferences=_preferences(payload.preferences),
    )


def _trade(rank: int, message: signed.PlannedTrade, currency: str) -> Trade:
    field = f"trades[{rank}]"
    price = money_of(message.price, f"{field}.price")
    cost = money_of(message.trading_cost, f"{field}.trading_cost")
    _check_currency(price.currency, currency, f"{field}.price")
    _check_currency(cost.currency, currency, f"{field}.trading_cost")
    return Trade(
        instrument_id=InstrumentId(message.instrument_id),
        side=SIDES[message.side],
        quantity=decimal_of(message.quantity, f"{field}.quantity"),
        increment=decimal_of(message.quantity_increment, f"{field}.quantity_increment"),
        price=price.amount,
        trading_cost=cost.amount,
        held_quantity=decimal_of(message.held_quantity, f"{field}.held_quantity"),
        rank=rank,
    )


def _preferences(message: signed.TradePreferences) -> Preferences:
    distance = None
    if message.HasField("limit_distance_bps"):
        distance = decimal_of(message.limit_distance_bps, "preferences.limit_distance_bps")
    return Preferences(
        aggregation_consent=message.aggregation_consent,
        crossing_consent=message.crossing_consent,
        limit_distance_bps=distance,
        venue_id=VenueId(message.venue_id) if message.venue_id else None,
        algorithm=ALGORITHMS[message.schedule],
        participation_limit=decimal_of(message.participation_limit, "preferences.participation_limit")
        if message.HasField("participation_limit")
        else None,
    )


def _check_currency(currency: str, expected: str, field: str) -> None:
    if currency != expected:
        description = f"must be in the plan's currency {expected}, was {currency}"
        raise Invalid(f"{field}: {description}", violations=[FieldViolation(field, description)])


def result_message(result: Result) -> pb.SubmitPlanResult:
    """Return the message that says what became of a plan."""
    return pb.SubmitPlanResult(
        plan_id=result.plan_id,
        status=_STATUSES[result.status],
        refusals=[_refusal_message(each) for each in result.refusals],
    )


def _refusal_message(refusal: Refusal) -> pb.Refusal:
    return pb.Refusal(reason=refusal.reason, description=refusal.description, instrument_id=refusal.instrument_id or "")
