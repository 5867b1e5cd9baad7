"""Transitions over several tax years as messages."""

from decimal import Decimal

from google.type import money_pb2

from evenkeel.decision.v1 import plan_service_pb2 as pb
from services.decision.api.plan_messages import OUTCOMES, weight_message
from services.decision.domain.transition import Transition, TransitionStep
from services.kernel.money import Money
from services.runtime.wire import date_message, money_message


def transition_message(meant: Transition) -> pb.PreviewTransitionResponse:
    """Return the message of a transition."""
    currency = meant.currency
    return pb.PreviewTransitionResponse(
        steps=[_step(each, currency) for each in meant.steps],
        sentence=meant.sentence,
        realized_gain=_money(meant.realized_gain, currency),
        tax=_money(meant.tax, currency),
        trading_cost=_money(meant.cost, currency),
    )


def _step(step: TransitionStep, currency: str) -> pb.TransitionStep:
    return pb.TransitionStep(
        step_date=date_message(step.step_date),
        tax_year=step.tax_year,
        outcome=OUTCOMES[step.outcome],
        bought_value=_money(step.bought_value, currency),
        sold_value=_money(step.sold_value, currency),
        realized_gain=_money(step.realized_gain, currency),
        gain_budget=None if step.gain_budget is None else _money(step.gain_budget, currency),
        tax=_money(step.tax, currency),
        trading_cost=_money(step.cost, currency),
        drift_after=weight_message(step.drift_after),
        tracking_error_after=weight_message(step.tracking_error_after),
    )


def _money(amount: Decimal, currency: str) -> money_pb2.Money:
    return money_message(Money(amount, currency).to_cents())
