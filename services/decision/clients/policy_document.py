"""Reads what a policy document says to decision."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

from google.protobuf.message import DecodeError, Message
from google.type import decimal_pb2, money_pb2

from evenkeel.policy.v1 import policy_document_pb2 as document_pb
from services.decision.domain.policy import (
    AGE_MAX_DEFAULT,
    PLAN_LIFE_DEFAULT,
    ClassLimit,
    Distance,
    ExecutionPreferences,
    FactorLimit,
    Policy,
    Restriction,
    RestrictionKind,
    SafetyNets,
    StressLimit,
    TargetLine,
    TaxSettings,
    cash_within,
    flattened,
)
from services.decision.domain.problem import ONE, ZERO, LotMethod
from services.decision.domain.tax.assessment.us_years import FilingStatus
from services.kernel.decimals import EXACT
from services.kernel.errors import Invalid
from services.kernel.ids import InstrumentId
from services.kernel.money import Money
from services.runtime.wire import decimal_of, instant_of, money_of

# Groups inside groups deeper than this are a mistake.
GROUP_DEPTH_MAX = 8


def read_policy(document: bytes) -> Policy:
    """Return what a serialized `PolicyDocument` says to decision.

    Raises:
        Invalid: It is no document, or says what cannot be.
    """
    try:
        said = document_pb.PolicyDocument.FromString(document)
    except DecodeError as error:
        raise Invalid.of("policy", "must be a serialized PolicyDocument") from error
    objective, cost, risk = said.objective, said.cost, said.risk
    lines = _lines(said.targets.weights, "targets.weights", 0)
    cash_weight = _number(said.targets, "cash_weight", "targets") or ZERO
    return Policy(
        weights=flattened(lines),
        cash_weight=EXACT.add(cash_weight, cash_within(lines)),
        trigger=_distance(said.bands.trigger, "bands.trigger"),
        destination=_distance(said.bands.destination, "bands.destination"),
        minimum_trade=_money(said.bands, "minimum_trade", "bands"),
        drift_triggers=said.triggers.drift if said.triggers.HasField("drift") else True,
        cash_drift=_number(said.triggers, "cash_drift", "triggers"),
        cash_flow_minimum=_money(said.triggers, "cash_flow_minimum", "triggers"),
        calendar_days=said.triggers.calendar_days or None,
        tracking_variance_price_bps=_number(objective, "tracking_variance_price_bps", "objective") or ZERO,
        band_excess_price_bps=_number(objective, "band_excess_price_bps", "objective") or ZERO,
        tax_importance=_or_one(_number(objective, "tax_importance", "objective")),
        cost_importance=_or_one(_number(objective, "cost_importance", "objective")),
        horizon_years=_or_one(_number(objective, "horizon_years", "objective")),
        tax=_tax(said.tax),
        spread_bps=_number(cost, "spread_bps", "cost") or ZERO,
        commission=_money(cost, "commission", "cost"),
        turnover_limit=_number(cost, "turnover_limit", "cost"),
        instrument_weight_limit=_number(risk, "instrument_weight_limit", "risk"),
        tracking_error_limit=_number(risk, "tracking_error_limit", "risk"),
        cash_floor=_number(risk, "cash_floor", "risk") or ZERO,
        cash_ceiling=_number(risk, "cash_ceiling", "risk"),
        restrictions=tuple(
            _restriction(item, f"restrictions.items[{row}]") for row, item in enumerate(said.restrictions.items)
        ),
        safety=_safety(said.safety),
        execution=_execution(said.execution),
        price_age_max=_seconds(said.data.price_age_max_s, AGE_MAX_DEFAULT),
        snapshot_age_max=_seconds(said.data.snapshot_age_max_s, AGE_MAX_DEFAULT),
        plan_life=_seconds(said.data.plan_life_s, PLAN_LIFE_DEFAULT),
        own_triggers={
            InstrumentId(line.instrument_id): _distance(line.trigger, f"targets.weights[{row}].trigger")
            for row, line in enumerate(said.targets.weights)
            if line.HasField("trigger")
        },
        own_destinations={
            InstrumentId(line.instrument_id): _distance(line.destination, f"targets.weights[{row}].destination")
            for row, line in enumerate(said.targets.weights)
            if line.HasField("destination")
        },
        net_benefit_minimum=_money(said.triggers, "net_benefit_minimum", "triggers"),
        account_minimum=_money(said.targets, "account_minimum", "targets"),
        volatility_limit=_number(risk, "volatility_limit", "risk"),
        tail_loss_limit=_number(risk, "tail_loss_limit", "risk"),
        drawdown_limit=_number(risk, "drawdown_limit", "risk"),
        risk_budget=_number(said.client, "risk_budget", "client"),
        issuer_weight_limit=_number(risk, "issuer_weight_limit", "risk"),
        class_limits=tuple(
            _class_limit(item, f"risk.class_limits[{row}]") for row, item in enumerate(risk.class_limits)
        ),
        identical=tuple(
            frozenset(InstrumentId(each) for each in equal.instrument_ids) for equal in said.eligibility.equivalences
        ),
        hold=_hold(said),
        minimum_hold_days=cost.minimum_hold_days,
        impact_coefficient=_or_one(_number(cost, "impact_coefficient", "cost")),
        spread_factor=_or_one(_number(cost, "spread_factor", "cost")),
        total_drift=_number(said.triggers, "total_drift", "triggers"),
        tracking_error_trigger=_number(said.triggers, "tracking_error", "triggers"),
        ladder_steps=said.bands.ladder_steps or None,
        ladder_days=said.bands.ladder_days or None,
        names_limit=risk.names_limit or None,
        minimum_position=_money(said.bands, "minimum_position", "bands"),
        leverage_limit=_number(risk, "leverage_limit", "risk"),
        factor_limits=tuple(
            _factor_limit(item, f"risk.factor_limits[{row}]") for row, item in enumerate(risk.factor_limits)
        ),
        stress_limits=tuple(
            _stress_limit(item, f"risk.stress_limits[{row}]") for row, item in enumerate(risk.stress_limits)
        ),
    )


def _lines(lines: Sequence[document_pb.TargetWeight], field: str, depth: int) -> tuple[TargetLine, ...]:
    if depth > GROUP_DEPTH_MAX:
        raise Invalid.of(field, f"must be at most {GROUP_DEPTH_MAX} groups deep")
    read: list[TargetLine] = []
    for row, line in enumerate(lines):
        at = f"{field}[{row}]"
        weight = decimal_of(line.weight, f"{at}.weight")
        item = line.WhichOneof("item")
        if item == "instrument_id":
            read.append(TargetLine(weight, instrument_id=InstrumentId(line.instrument_id)))
        elif item == "group":
            members = _lines(line.group.members, f"{at}.group.members", depth + 1)
            cash_weight = _number(line.group, "cash_weight", f"{at}.group") or ZERO
            read.append(TargetLine(weight, members=members, cash_weight=cash_weight))
        else:
            raise Invalid.of(at, f"must be an instrument or a group in an effective policy, was {item}")
    return tuple(read)


def _distance(said: document_pb.Distance, field: str) -> Distance:
    return Distance(
        absolute=_number(said, "absolute", field),
        relative=_number(said, "relative", field),
        smaller=said.combine == document_pb.Distance.COMBINE_SMALLER,
    )


def _factor_limit(said: document_pb.FactorLimit, field: str) -> FactorLimit:
    return FactorLimit(
        name=said.name,
        exposures={
            InstrumentId(each.instrument_id): decimal_of(each.exposure, f"{field}.exposures[{row}].exposure")
            for row, each in enumerate(said.exposures)
        },
        minimum=_number(said, "minimum", field),
        maximum=_number(said, "maximum", field),
    )


def _stress_limit(said: document_pb.StressLimit, field: str) -> StressLimit:
    changes = [(each, decimal_of(each.change, f"{field}.moves[{row}].change")) for row, each in enumerate(said.moves)]
    return StressLimit(
        name=said.name,
        changes={InstrumentId(each.instrument_id): change for each, change in changes if each.instrument_id},
        class_changes={each.asset_class: change for each, change in changes if each.asset_class},
        loss_limit=decimal_of(said.loss_limit, f"{field}.loss_limit"),
    )


def _class_limit(said: document_pb.ClassLimit, field: str) -> ClassLimit:
    return ClassLimit(
        said.asset_class,
        minimum=_number(said, "minimum", field) or ZERO,
        maximum=_or_one(_number(said, "maximum", field)),
    )


def _hold(said: document_pb.PolicyDocument) -> str | None:
    if said.client.missing_consents:
        return f"no valid consent is on record: {', '.join(said.client.missing_consents)}"
    return said.targets.problem or None


_FILING = {
    document_pb.FILING_STATUS_UNSPECIFIED: None,
    **{document_pb.FilingStatus.Value(f"FILING_STATUS_{each}"): each for each in FilingStatus},
}


def _tax(said: document_pb.TaxSettings) -> TaxSettings:
    method = document_pb.LotMethod.Name(said.lot_method).removeprefix("LOT_METHOD_")
    return TaxSettings(
        jurisdiction=said.jurisdiction or None,
        short_term_rate=_number(said, "short_term_rate", "tax"),
        long_term_rate=_number(said, "long_term_rate", "tax"),
        lot_method=LotMethod.LOWEST_TAX if method == "UNSPECIFIED" else LotMethod(method),
        harvest_losses=said.harvest_losses if said.HasField("harvest_losses") else True,
        harvest_minimum=_money(said, "harvest_minimum", "tax"),
        gain_budget=_money(said, "gain_budget", "tax"),
        defer_short_term_gains=said.defer_short_term_gains,
        gain_harvest_room=_money(said, "gain_harvest_room", "tax"),
        gain_harvest_importance=_or_one(_number(said, "gain_harvest_importance", "tax")),
        gain_budgets={
            each.tax_year: money_of(each.amount, f"tax.gain_budgets[{row}].amount")
            for row, each in enumerate(said.gain_budgets)
        },
        yearly_allowance=_money(said, "yearly_allowance", "tax"),
        taxable_income=_money(said, "taxable_income", "tax"),
        filing_status=_FILING[said.filing_status],
        state_rate=_number(said, "state_rate", "tax") or ZERO,
    )


def _restriction(said: document_pb.Restriction, field: str) -> Restriction:
    if not said.instrument_id:
        raise Invalid.of(f"{field}.instrument_id", "must be given in an effective policy, was empty")
    kind = document_pb.Restriction.Kind.Name(said.kind).removeprefix("KIND_")
    if kind == "UNSPECIFIED":
        raise Invalid.of(f"{field}.kind", "must be specified")
    return Restriction(
        instrument_id=InstrumentId(said.instrument_id),
        kind=RestrictionKind(kind),
        reason=said.reason,
        expire_time=instant_of(said.expire_time, f"{field}.expire_time") if said.HasField("expire_time") else None,
    )


def _safety(said: document_pb.SafetyNets) -> SafetyNets:
    return SafetyNets(
        review_turnover=_number(said, "review_turnover", "safety"),
        review_value=_money(said, "review_value", "safety"),
        review_gain=_money(said, "review_gain", "safety"),
        daily_orders_limit=said.daily_orders_limit if said.HasField("daily_orders_limit") else None,
        daily_value_limit=_money(said, "daily_value_limit", "safety"),
        paused=said.paused,
        review_cost_bps=_number(said, "review_cost_bps", "safety"),
        review_tax=_money(said, "review_tax", "safety"),
        pause_drift=_number(said, "pause_drift", "safety"),
    )


def _execution(said: document_pb.ExecutionPreferences) -> ExecutionPreferences:
    limited = said.order_kind == document_pb.ORDER_KIND_LIMIT
    return ExecutionPreferences(
        limit_distance_bps=_number(said, "limit_distance_bps", "execution") or ZERO if limited else None,
        aggregation_consent=said.aggregation_consent,
        venue_id=said.venue_id,
        schedule=document_pb.Schedule.Name(said.schedule).removeprefix("SCHEDULE_").replace("UNSPECIFIED", ""),
        participation_limit=_number(said, "participation_limit", "execution"),
        crossing_consent=said.crossing_consent,
    )


def _number(said: Message, name: str, field: str) -> Decimal | None:
    if not said.HasField(name):
        return None
    message: decimal_pb2.Decimal = getattr(said, name)
    return decimal_of(message, f"{field}.{name}")


def _money(said: Message, name: str, field: str) -> Money | None:
    if not said.HasField(name):
        return None
    message: money_pb2.Money = getattr(said, name)
    return money_of(message, f"{field}.{name}")


def _or_one(value: Decimal | None) -> Decimal:
    return ONE if value is None else value


def _seconds(seconds: int, otherwise: timedelta) -> timedelta:
    # The contract allows 1 or more, so 0 is absent.
    return timedelta(seconds=seconds) if seconds else otherwise
