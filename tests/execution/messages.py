"""Plans as decision would write them."""

from evenkeel.common.v1 import values_pb2
from evenkeel.decision.v1 import signed_plan_pb2 as signed
from services.execution.api.plans import ALGORITHMS
from services.execution.domain.words import Side
from services.kernel.money import Money
from services.runtime.wire import decimal_message, instant_message, money_message

SCHEDULES = {algorithm: number for number, algorithm in ALGORITHMS.items() if number}
SIDES = {Side.BUY: values_pb2.SIDE_BUY, Side.SELL: values_pb2.SIDE_SELL}


def payload_message(plan):
    def money(amount):
        return money_message(Money(amount, plan.currency))

    preferences = signed.TradePreferences(
        aggregation_consent=plan.preferences.aggregation_consent,
        crossing_consent=plan.preferences.crossing_consent,
        venue_id=plan.preferences.venue_id or "",
        schedule=SCHEDULES[plan.preferences.algorithm],
    )
    if plan.preferences.participation_limit is not None:
        preferences.participation_limit.CopyFrom(decimal_message(plan.preferences.participation_limit))
    if plan.preferences.limit_distance_bps is not None:
        preferences.limit_distance_bps.CopyFrom(decimal_message(plan.preferences.limit_distance_bps))
    return signed.PlanPayload(
        plan_id=plan.plan_id,
        plan_hash=plan.plan_hash,
        run_id=plan.run_id,
        account_id=plan.account_id,
        household_id=plan.household_id or "",
        custodian=plan.custodian,
        currency=plan.currency,
        available_cash=money(plan.available_cash),
        cash_shortfall=money(plan.cash_shortfall),
        policy_version_hashes=plan.policy_version_hashes,
        policy_hash=plan.policy_hash,
        approver=plan.approver,
        expire_time=instant_message(plan.expire_time),
        trades=[
            signed.PlannedTrade(
                instrument_id=trade.instrument_id,
                side=SIDES[trade.side],
                quantity=decimal_message(trade.quantity),
                quantity_increment=decimal_message(trade.increment),
                price=money(trade.price),
                trading_cost=money(trade.trading_cost),
                held_quantity=decimal_message(trade.held_quantity),
            )
            for trade in plan.trades
        ],
        preferences=preferences,
    )
