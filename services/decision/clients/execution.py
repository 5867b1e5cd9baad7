"""Asks execution to work plans, and hears what becomes of them."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

import grpc.aio

from evenkeel.common.v1 import values_pb2
from evenkeel.decision.v1 import signed_plan_pb2
from evenkeel.execution.v1 import execution_service_pb2 as pb
from evenkeel.execution.v1.execution_service_pb2_grpc import ExecutionServiceStub
from services.decision.app.ports.execution import ApprovedPlan, ClosedOrder, OrderCost, Report, SignedPlan
from services.decision.clients.peers import facts_of
from services.decision.domain.book import Allocation
from services.decision.domain.plan import ReleasedTrade
from services.decision.domain.problem import Side
from services.kernel.errors import FieldViolation, Invalid
from services.kernel.ids import AccountId, BlockId, InstrumentId, OrderId, PlanId
from services.kernel.money import Money
from services.kernel.signing import PrivateKey, sign
from services.runtime.wire import date_of, decimal_message, decimal_of, instant_message, money_message, money_of

_Schedule = signed_plan_pb2.TradePreferences.Schedule
_SIDES = {Side.BUY: values_pb2.SIDE_BUY, Side.SELL: values_pb2.SIDE_SELL}
_TAKEN = (pb.SubmitPlanResult.STATUS_ACCEPTED, pb.SubmitPlanResult.STATUS_DUPLICATE)


@dataclass(frozen=True, slots=True)
class GrpcExecution:
    """The execution service over gRPC. Plans are signed with `key`, which it knows as `key_id`."""

    channel: grpc.aio.Channel
    key: PrivateKey
    key_id: str

    def signed(self, approved: ApprovedPlan) -> SignedPlan:
        """Return what travels for a plan; the same plan gives the same bytes."""
        payload = _payload(approved).SerializeToString(deterministic=True)
        signature = sign(self.key, payload, self.key_id)
        return SignedPlan(approved.plan.plan_id, payload, signature.key_id, signature.value)

    async def submit(self, request_id: str, plans: Sequence[SignedPlan]) -> Mapping[PlanId, str]:
        """Submit plans and return why execution refused those that it did not take. Safe to repeat."""
        request = pb.SubmitPlansRequest(
            request_id=request_id,
            plans=[
                signed_plan_pb2.SignedPlan(
                    payload=plan.payload,
                    signature=values_pb2.Signature(key_id=plan.key_id, value=plan.signature),
                )
                for plan in plans
            ],
        )
        with facts_of("execution"):
            response = await ExecutionServiceStub(self.channel).SubmitPlans(request)
        if len(response.results) != len(plans):
            description = f"must be one for each of {len(plans)} plans, were {len(response.results)}"
            raise Invalid(f"execution's results {description}", violations=[FieldViolation("results", description)])
        return {
            plan.plan_id: "; ".join(f"{each.reason}: {each.description}" for each in result.refusals) or "no reason"
            for plan, result in zip(plans, response.results, strict=True)
            if result.status not in _TAKEN
        }

    async def reports(self, after: int) -> AsyncIterator[Sequence[Report]]:
        """Yield what happens to plans, after a position, as it happens."""
        async for batch in self._stream(after, follow=True):
            yield batch

    async def allocations(self, after: int) -> AsyncIterator[Sequence[Allocation]]:
        """Yield every allocation after a position of the stream, ascending, until its present end."""
        async for batch in self._stream(after, follow=False):
            yield [report.allocation for report in batch if report.allocation is not None]

    async def _stream(self, after: int, *, follow: bool) -> AsyncIterator[Sequence[Report]]:
        request = pb.StreamPlanReportsRequest(after_position=after, follow=follow)
        with facts_of("execution"):
            async for response in ExecutionServiceStub(self.channel).StreamPlanReports(request):
                if response.reports:
                    yield [_report(report) for report in response.reports]


def _payload(approved: ApprovedPlan) -> signed_plan_pb2.PlanPayload:
    plan, release = approved.plan, approved.release
    preferences = signed_plan_pb2.TradePreferences(
        aggregation_consent=release.aggregation_consent,
        crossing_consent=release.crossing_consent,
        venue_id=release.venue_id,
        schedule=_Schedule.Value(f"SCHEDULE_{release.schedule or 'UNSPECIFIED'}"),
    )
    if release.participation_limit is not None:
        preferences.participation_limit.CopyFrom(decimal_message(release.participation_limit))
    if release.limit_distance_bps is not None:
        preferences.limit_distance_bps.CopyFrom(decimal_message(release.limit_distance_bps))
    return signed_plan_pb2.PlanPayload(
        plan_id=plan.plan_id,
        plan_hash=plan.plan_hash,
        run_id=plan.run_id,
        account_id=plan.account_id,
        household_id=release.household_id or "",
        custodian=release.custodian,
        currency=release.currency,
        available_cash=money_message(Money(release.available_cash, release.currency)),
        cash_shortfall=money_message(Money(release.cash_shortfall, release.currency)),
        policy_version_hashes=plan.inputs.policy_version_hashes,
        policy_hash=plan.inputs.policy_hash,
        approver=plan.approver,
        expire_time=instant_message(plan.expire_time),
        trades=[_trade(trade, release.currency) for trade in release.trades],
        preferences=preferences,
    )


def _trade(trade: ReleasedTrade, currency: str) -> signed_plan_pb2.PlannedTrade:
    return signed_plan_pb2.PlannedTrade(
        instrument_id=trade.instrument_id,
        side=_SIDES[trade.side],
        quantity=decimal_message(trade.quantity),
        quantity_increment=decimal_message(trade.quantity_increment),
        price=money_message(Money(trade.price, currency)),
        trading_cost=money_message(Money(trade.trading_cost, currency).to_cents()),
        held_quantity=decimal_message(trade.held_quantity),
    )


def _report(said: pb.PlanReport) -> Report:
    position, plan_id = int(said.position), PlanId(said.plan_id)
    trace_parent = said.trace_parent or None
    match said.WhichOneof("content"):
        case "allocation":
            return Report(position, plan_id, trace_parent, allocation=_allocation(said.allocation, position))
        case "correction":
            told = said.correction
            replaced = _allocation(told.replaced, int(told.replaced_position))
            allocation = replace(_allocation(told.allocation, position), replaces=replaced)
            return Report(position, plan_id, trace_parent, allocation=allocation)
        case "closed_order":
            return Report(position, plan_id, trace_parent, closed=_closed(said.closed_order))
        case _:
            # A kind of report that a newer execution knows: its position counts, and it changes nothing here.
            return Report(position, plan_id, trace_parent)


def _allocation(said: pb.Allocation, position: int) -> Allocation:
    value, fees = money_of(said.value, "value"), money_of(said.fees, "fees")
    return Allocation(
        position=position,
        order_id=OrderId(said.order_id),
        block_id=BlockId(said.block_id),
        account_id=AccountId(said.account_id),
        plan_id=PlanId(said.plan_id),
        instrument_id=InstrumentId(said.instrument_id),
        side=_side(said.side),
        quantity=decimal_of(said.quantity, "quantity"),
        price=money_of(said.price, "price").amount,
        value=value.amount,
        fees=fees.amount,
        currency=value.currency,
        trade_date=date_of(said.trade_date, "trade_date"),
        settlement_date=date_of(said.settlement_date, "settlement_date"),
    )


def _closed(said: pb.Order) -> ClosedOrder:
    return ClosedOrder(
        order_id=OrderId(said.order_id),
        plan_id=PlanId(said.plan_id),
        state=pb.Order.State.Name(said.state).removeprefix("STATE_"),
        filled_quantity=decimal_of(said.filled_quantity, "filled_quantity")
        if said.filled_quantity.value
        else Decimal(0),
        close_reason=said.close_reason,
        cost=_cost(said) if said.HasField("cost") and said.cost.arrival_value.currency_code else None,
    )


def _cost(said: pb.Order) -> OrderCost:
    value = money_of(said.cost.arrival_value, "cost.arrival_value")
    return OrderCost(
        instrument_id=InstrumentId(said.instrument_id),
        currency=value.currency,
        value=value.amount,
        trading=money_of(said.cost.trading, "cost.trading").amount,
        fees=money_of(said.cost.fees, "cost.fees").amount,
    )


def _side(said: values_pb2.Side.ValueType) -> Side:
    for side, number in _SIDES.items():
        if number == said:
            return side
    raise Invalid("side must be buy or sell", violations=[FieldViolation("side", f"must be 1 or 2, was {said}")])
