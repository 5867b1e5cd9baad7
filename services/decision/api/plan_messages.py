"""Plans as messages: the contract's words for what the optimiser answered."""

from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Decimal

from google.type import decimal_pb2

from evenkeel.common.v1 import values_pb2
from evenkeel.decision.v1 import plan_service_pb2 as pb
from services.decision.domain import decision as domain
from services.decision.domain.outline import Outline
from services.decision.domain.plan import Plan, PlanInputs, PlanOutcome, PlanState
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
}
_OUTCOMES: Mapping[PlanOutcome, pb.Plan.Outcome.ValueType] = {
    PlanOutcome.TRADE: pb.Plan.OUTCOME_TRADE,
    PlanOutcome.NO_TRADE: pb.Plan.OUTCOME_NO_TRADE,
    PlanOutcome.INFEASIBLE: pb.Plan.OUTCOME_INFEASIBLE,
    PlanOutcome.UNSOLVED: pb.Plan.OUTCOME_UNSOLVED,
    PlanOutcome.FAILED: pb.Plan.OUTCOME_FAILED,
}
_SIDES = {Side.BUY: values_pb2.SIDE_BUY, Side.SELL: values_pb2.SIDE_SELL}

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


def plan_message(plan: Plan) -> pb.Plan:
    """Return the message of a plan; without content it has no trades and no binding constraints."""
    message = pb.Plan(
        plan_id=plan.plan_id,
        account_id=plan.account_id,
        run_id=plan.run_id,
        state=STATES[plan.state],
        outcome=_OUTCOMES[plan.outcome],
        inputs=_inputs(plan.inputs),
        explanation=_explanation(plan.outline),
        plan_hash=plan.plan_hash,
        review_reasons=plan.review_reasons,
        approver=plan.approver,
        refusal=plan.refusal,
        create_time=instant_message(plan.create_time),
        expire_time=instant_message(plan.expire_time),
        update_time=instant_message(plan.update_time),
    )
    if plan.outline.certificate is not None:
        message.certificate.CopyFrom(_certificate(plan.outline.certificate))
    decision = None if plan.content is None else plan.content.decision
    if decision is not None:
        explained, currency = decision.explanation, plan.outline.currency
        reasons = {each.instrument_id: each for each in explained.trades}
        trades = sorted(decision.trades, key=lambda trade: trade.instrument_id)
        value = explained.summary.mix_value
        message.trades.extend(_trade(each, reasons.get(each.instrument_id), value, currency) for each in trades)
        message.explanation.binding_constraints.extend(_binding(each) for each in explained.binding)
    return message


def _inputs(inputs: PlanInputs) -> pb.PlanInputs:
    return pb.PlanInputs(
        policy_hash=inputs.policy_hash,
        policy_version_hashes=inputs.policy_version_hashes,
        account_hash=inputs.account_hash,
        snapshot_id=inputs.snapshot_id,
        price_set_id=inputs.price_set_id,
        risk_model_hash=inputs.risk_model_hash,
        engine=inputs.engine,
        as_of_time=instant_message(inputs.as_of_time),
    )


def _trade(trade: domain.Trade, why: domain.TradeReason | None, account_value: Decimal, currency: str) -> pb.Trade:
    def money(amount: Decimal) -> Money:
        return Money(amount, currency).to_cents()

    message = pb.Trade(
        instrument_id=trade.instrument_id,
        side=_SIDES[trade.side],
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
            )
            for sale in trade.lot_sales
        ],
    )
    if why is not None:
        message.weight_before.CopyFrom(_weight(why.weight_before))
        message.weight_after.CopyFrom(_weight(why.weight_after))
        message.target_weight.CopyFrom(_weight(why.target_weight))
        message.sentence = f"{why.sentence} {why.without}".strip()
        message.net_benefit_bps.CopyFrom(_bps(why.net_benefit / account_value * _BPS_PER_ONE))
    return message


def _certificate(certificate: domain.Certificate) -> pb.Certificate:
    return pb.Certificate(
        primal_bps=_bps(certificate.dual_bps + certificate.convex_gap_bps),
        dual_bound_bps=_bps(certificate.dual_bps),
        gap_bps=_bps(certificate.convex_gap_bps),
        rounding_bps=_bps(certificate.gap_bps - certificate.convex_gap_bps),
        idle_bps=_bps(certificate.hold_bps),
        solver=f"{certificate.solver} {certificate.solver_version}".strip(),
        solver_state=certificate.status,
    )


def _explanation(outline: Outline) -> pb.Explanation:
    message = pb.Explanation(trigger=outline.trigger, summary=outline.sentence)
    summary = outline.summary
    if summary is None:
        return message

    def money(amount: Decimal) -> Money:
        return Money(amount, outline.currency).to_cents()

    message.drift_before.CopyFrom(_weight(summary.drift_before))
    message.drift_after.CopyFrom(_weight(summary.drift_after))
    message.tracking_error_before.CopyFrom(_weight(summary.tracking_error_before_bps / _BPS_PER_ONE))
    message.tracking_error_after.CopyFrom(_weight(summary.tracking_error_after_bps / _BPS_PER_ONE))
    message.account_value.CopyFrom(money_message(money(summary.mix_value)))
    message.turnover.CopyFrom(money_message(money(summary.bought_value + summary.sold_value)))
    message.trading_cost.CopyFrom(money_message(money(summary.cost)))
    message.tax.CopyFrom(money_message(money(summary.tax_realized - summary.tax_saved)))
    message.tax_saved.CopyFrom(money_message(money(outline.tax_saved)))
    message.realised_gain.CopyFrom(money_message(money(summary.gain_short + summary.gain_long)))
    message.cash_after.CopyFrom(money_message(money(summary.cash_after)))
    return message


def _binding(binding: domain.BindingConstraint) -> pb.BindingConstraint:
    return pb.BindingConstraint(
        name=binding.kind.value,
        instrument_id=InstrumentId(binding.subject) if binding.kind in _OF_INSTRUMENT else "",
        limit=_weight(binding.limit),
        price_bps=_bps(binding.price * _BPS_PER_ONE),
        sentence=binding.sentence,
    )


def _weight(value: Decimal) -> decimal_pb2.Decimal:
    return decimal_message(value.quantize(_WEIGHT_STEP, ROUND_HALF_EVEN))


def _bps(value: Decimal) -> decimal_pb2.Decimal:
    return decimal_message(value.quantize(_BPS_STEP, ROUND_HALF_EVEN))
