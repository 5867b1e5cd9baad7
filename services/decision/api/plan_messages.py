"""Plans as messages: the contract's words for what the optimiser answered."""

from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Decimal

from google.type import decimal_pb2, money_pb2

from evenkeel.common.v1 import values_pb2
from evenkeel.decision.v1 import explanation_pb2 as explanation_pb
from evenkeel.decision.v1 import plan_service_pb2 as pb
from services.decision.app.calibrating import CostFit
from services.decision.domain import decision as domain
from services.decision.domain import outline as outlines
from services.decision.domain.outline import Outline
from services.decision.domain.plan import Draft, Plan, PlanContent, PlanInputs, PlanOutcome, PlanState
from services.decision.domain.problem import Side
from services.kernel.ids import InstrumentId
from services.kernel.money import Money
from services.runtime.wire import date_message, decimal_message, instant_message, money_message

STATES: Mapping[PlanState, pb.Plan.State.ValueType] = {
    PlanState.HELD: pb.Plan.STATE_HELD,
    PlanState.APPROVED: pb.Plan.STATE_APPROVED,
    PlanState.WORKING: pb.Plan.STATE_WORKING,
    PlanState.DONE: pb.Plan.STATE_DONE,
    PlanState.WITHDRAWN: pb.Plan.STATE_WITHDRAWN,
    PlanState.EXPIRED: pb.Plan.STATE_EXPIRED,
    PlanState.REFUSED: pb.Plan.STATE_REFUSED,
    PlanState.IDLE: pb.Plan.STATE_IDLE,
    PlanState.SUPERSEDED: pb.Plan.STATE_SUPERSEDED,
}
OUTCOMES: Mapping[PlanOutcome, pb.Plan.Outcome.ValueType] = {
    PlanOutcome.TRADE: pb.Plan.OUTCOME_TRADE,
    PlanOutcome.NO_TRADE: pb.Plan.OUTCOME_NO_TRADE,
    PlanOutcome.INFEASIBLE: pb.Plan.OUTCOME_INFEASIBLE,
    PlanOutcome.UNSOLVED: pb.Plan.OUTCOME_UNSOLVED,
    PlanOutcome.FAILED: pb.Plan.OUTCOME_FAILED,
}
SIDES = {Side.BUY: values_pb2.SIDE_BUY, Side.SELL: values_pb2.SIDE_SELL}

NO_TRADE_REASONS: Mapping[str, explanation_pb.NoTradeReason.ValueType] = {
    domain.NoTradeReason.WITHIN_BANDS.value: explanation_pb.NO_TRADE_REASON_WITHIN_BANDS,
    domain.NoTradeReason.NOT_WORTH_IT.value: explanation_pb.NO_TRADE_REASON_NOT_WORTH_IT,
    domain.NoTradeReason.BETWEEN_STEPS.value: explanation_pb.NO_TRADE_REASON_BETWEEN_STEPS,
    domain.NoTradeReason.BELOW_MINIMUM.value: explanation_pb.NO_TRADE_REASON_BELOW_MINIMUM,
    outlines.INFEASIBLE: explanation_pb.NO_TRADE_REASON_INFEASIBLE,
    outlines.UNSOLVED: explanation_pb.NO_TRADE_REASON_UNSOLVED,
    outlines.FAILED: explanation_pb.NO_TRADE_REASON_FAILED,
    outlines.PAUSED: explanation_pb.NO_TRADE_REASON_PAUSED,
}

_FALLBACKS = {
    domain.Fallback.NONE: pb.Certificate.FALLBACK_UNSPECIFIED,
    domain.Fallback.RELAXED: pb.Certificate.FALLBACK_RELAXED,
    domain.Fallback.HEURISTIC: pb.Certificate.FALLBACK_HEURISTIC,
    domain.Fallback.HOLD: pb.Certificate.FALLBACK_HOLD,
}

# What is shown of weights and basis points; the record has every digit.
_WEIGHT_STEP = Decimal("0.00000001")
_BPS_STEP = Decimal("0.000001")
_BPS_PER_ONE = Decimal(10_000)

# Limits that are about one instrument; the others are about the account or a group.
_OF_INSTRUMENT = frozenset(
    {domain.ConstraintKind.WEIGHT_MAX, domain.ConstraintKind.NO_BUY, domain.ConstraintKind.NO_SELL}
)


def state_of(state: pb.Plan.State.ValueType) -> PlanState | None:
    """Return the state that a filter asks for; None for any."""
    for ours, theirs in STATES.items():
        if theirs == state:
            return ours
    return None


def outcome_of(outcome: pb.Plan.Outcome.ValueType) -> PlanOutcome | None:
    """Return the outcome that a filter asks for; None for any."""
    return next((ours for ours, theirs in OUTCOMES.items() if theirs == outcome), None)


def no_trade_reason_of(reason: explanation_pb.NoTradeReason.ValueType) -> str:
    """Return the reason that a filter asks for; empty for any."""
    return next((ours for ours, theirs in NO_TRADE_REASONS.items() if theirs == reason), "")


def plan_message(plan: Plan) -> pb.Plan:
    """Return the message of a plan; without content it has no trades and no binding constraints."""
    message = pb.Plan(
        plan_id=plan.plan_id,
        account_id=plan.account_id,
        run_id=plan.run_id,
        state=STATES[plan.state],
        outcome=OUTCOMES[plan.outcome],
        inputs=_inputs(plan.inputs, plan.outline.currency),
        explanation=_explanation(plan.outline),
        plan_hash=plan.plan_hash,
        review_reasons=plan.review_reasons,
        approver=plan.approver,
        refusal=plan.refusal,
        create_time=instant_message(plan.create_time),
        expire_time=instant_message(plan.expire_time),
        update_time=instant_message(plan.update_time),
    )
    _tell(message, plan.outline, plan.content)
    return message


def draft_message(draft: Draft) -> pb.Plan:
    """Return the message of a hypothetical plan."""
    message = pb.Plan(
        account_id=draft.account_id,
        state=pb.Plan.STATE_PREVIEW,
        outcome=OUTCOMES[draft.outcome],
        inputs=_inputs(draft.inputs, draft.outline.currency),
        explanation=_explanation(draft.outline),
        plan_hash=draft.plan_hash,
        review_reasons=draft.review_reasons,
    )
    _tell(message, draft.outline, draft.content)
    return message


def _tell(message: pb.Plan, outline: Outline, content: PlanContent | None) -> None:
    """Add what was decided to the message of a plan."""
    if outline.certificate is not None:
        message.certificate.CopyFrom(_certificate(outline.certificate))
    decision = None if content is None else content.decision
    if decision is None:
        return
    explained, currency = decision.explanation, outline.currency
    reasons = {each.instrument_id: each for each in explained.trades}
    trades = sorted(decision.trades, key=lambda trade: trade.instrument_id)
    value = explained.summary.mix_value
    message.trades.extend(_trade(each, reasons.get(each.instrument_id), value, currency) for each in trades)
    message.explanation.binding_constraints.extend(binding_message(each) for each in explained.binding)
    message.explanation.conflicting_constraints.extend(binding_message(each) for each in explained.conflicting)
    message.explanation.ladder.extend(_step(each, currency) for each in explained.ladder)


def _step(step: domain.LadderStep, currency: str) -> explanation_pb.LadderStep:
    def money(amount: Decimal) -> money_pb2.Money:
        return money_message(Money(amount, currency).to_cents())

    return explanation_pb.LadderStep(
        step_date=date_message(step.step_date),
        bought=money(step.bought_value),
        sold=money(step.sold_value),
        trading_cost=money(step.cost),
        tax=money(step.tax),
        drift_after=weight_message(step.drift_after),
    )


def _inputs(inputs: PlanInputs, currency: str) -> pb.PlanInputs:
    message = pb.PlanInputs(
        policy_hash=inputs.policy_hash,
        policy_version_hashes=inputs.policy_version_hashes,
        account_hash=inputs.account_hash,
        snapshot_id=inputs.snapshot_id,
        price_set_id=inputs.price_set_id,
        risk_model_hash=inputs.risk_model_hash,
        engine=inputs.engine,
        as_of_time=instant_message(inputs.as_of_time),
    )
    if inputs.household is not None:
        proof = inputs.household
        message.household.CopyFrom(
            pb.HouseholdProof(
                account_ids=proof.account_ids,
                objective=money_message(Money(proof.objective, currency)),
                bound=money_message(Money(proof.bound, currency)),
                solve_count=proof.solves,
                settled=proof.settled,
            )
        )
    return message


def _trade(trade: domain.Trade, why: domain.TradeReason | None, account_value: Decimal, currency: str) -> pb.Trade:
    def money(amount: Decimal) -> Money:
        return Money(amount, currency).to_cents()

    message = pb.Trade(
        instrument_id=trade.instrument_id,
        side=SIDES[trade.side],
        quantity=decimal_message(trade.quantity),
        price=money_message(Money(trade.price, currency)),
        value=money_message(money(trade.value)),
        trading_cost=money_message(money(trade.cost.total)),
        tax=money_message(money(trade.tax)),
        lots=[
            pb.TradeLot(
                lot_id=sale.lot_id,
                quantity=decimal_message(sale.quantity),
                acquired_date=date_message(sale.acquired_date),
                gain=money_message(money(sale.gain)),
                long_term=sale.character is domain.Character.LONG,
                tax=money_message(money(sale.tax)),
                rate=decimal_message(sale.rate),
                exempt_gain=money_message(money(sale.exempt_gain)) if sale.exempt_gain else None,
            )
            for sale in trade.lot_sales
        ],
    )
    if why is not None:
        message.weight_before.CopyFrom(weight_message(why.weight_before))
        message.weight_after.CopyFrom(weight_message(why.weight_after))
        message.target_weight.CopyFrom(weight_message(why.target_weight))
        message.sentence = f"{why.sentence} {why.without}".strip()
        message.net_benefit_bps.CopyFrom(bps_message(why.net_benefit / account_value * _BPS_PER_ONE))
    return message


def _certificate(certificate: domain.Certificate) -> pb.Certificate:
    return pb.Certificate(
        primal_bps=bps_message(certificate.dual_bps + certificate.convex_gap_bps),
        dual_bound_bps=bps_message(certificate.dual_bps),
        gap_bps=bps_message(certificate.convex_gap_bps),
        rounding_bps=bps_message(certificate.gap_bps - certificate.convex_gap_bps),
        idle_bps=bps_message(certificate.hold_bps),
        solver=f"{certificate.solver} {certificate.solver_version}".strip(),
        solver_state=certificate.status,
        fallback=_FALLBACKS[certificate.fallback],
    )


def _explanation(outline: Outline) -> pb.Explanation:
    message = pb.Explanation(
        trigger=outline.trigger,
        summary=outline.sentence,
        no_trade_reason=NO_TRADE_REASONS.get(outline.no_trade_reason, explanation_pb.NO_TRADE_REASON_UNSPECIFIED),
    )
    summary = outline.summary
    if summary is None:
        return message

    def money(amount: Decimal) -> Money:
        return Money(amount, outline.currency).to_cents()

    message.drift_before.CopyFrom(weight_message(summary.drift_before))
    message.drift_after.CopyFrom(weight_message(summary.drift_after))
    message.tracking_error_before.CopyFrom(weight_message(summary.tracking_error_before_bps / _BPS_PER_ONE))
    message.tracking_error_after.CopyFrom(weight_message(summary.tracking_error_after_bps / _BPS_PER_ONE))
    message.account_value.CopyFrom(money_message(money(summary.mix_value)))
    message.turnover.CopyFrom(money_message(money(summary.bought_value + summary.sold_value)))
    message.trading_cost.CopyFrom(money_message(money(summary.cost)))
    message.tax.CopyFrom(money_message(money(summary.tax_realized - summary.tax_saved)))
    message.tax_saved.CopyFrom(money_message(money(outline.tax_saved)))
    message.realised_gain.CopyFrom(money_message(money(summary.gain_short + summary.gain_long)))
    message.cash_after.CopyFrom(money_message(money(summary.cash_after)))
    return message


def binding_message(binding: domain.BindingConstraint) -> pb.BindingConstraint:
    """Return the message of a limit that holds a plan back."""
    return pb.BindingConstraint(
        name=binding.kind.value,
        instrument_id=InstrumentId(binding.subject) if binding.kind in _OF_INSTRUMENT else "",
        limit=weight_message(binding.limit),
        price_bps=bps_message(binding.price * _BPS_PER_ONE),
        sentence=binding.sentence,
    )


def weight_message(value: Decimal) -> decimal_pb2.Decimal:
    """Return a weight as it is shown."""
    return decimal_message(value.quantize(_WEIGHT_STEP, ROUND_HALF_EVEN))


def bps_message(value: Decimal) -> decimal_pb2.Decimal:
    """Return basis points as they are shown."""
    return decimal_message(value.quantize(_BPS_STEP, ROUND_HALF_EVEN))


def calibration_message(fit: CostFit, currency: str) -> pb.GetCostCalibrationResponse:
    """Return the message of what orders cost, and of the parameters that fit; amounts in cents, half to even."""

    def shown(amount: Decimal) -> money_pb2.Money:
        return money_message(Money(amount, currency).to_cents())

    found = fit.calibration
    return pb.GetCostCalibrationResponse(
        order_count=fit.order_count,
        traded_value=shown(fit.value),
        predicted_cost=shown(fit.predicted),
        realized_cost=shown(fit.realised),
        spread_factor=decimal_message(found.parameters.spread_factor),
        impact_coefficient=decimal_message(found.parameters.impact_coefficient),
        error_before_bps=decimal_message(found.error_before_bps),
        error_after_bps=decimal_message(found.error_after_bps),
    )
