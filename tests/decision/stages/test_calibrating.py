"""What trades did cost changes the cost model: fitted to closed orders, in force by a policy, and pinned with it."""

from decimal import Decimal

import pytest

from evenkeel.policy.v1 import policy_document_pb2 as document_pb
from services.decision.app.calibrating import CostsTooFew
from tests.decision.stages.world import a_policy, needs_trades, number

CLIENTS = 16
COSTS = document_pb.CostSettings(spread_bps=number(20))


async def rebalanced(world, cost, request_id, clients=CLIENTS):
    names = [f"{request_id}-{n}" for n in range(clients)]
    await world.ingest(*(needs_trades(name) for name in names))
    world.policy.document = a_policy(cost=cost)
    return (await world.run_to_the_end(*names, request_id=request_id)).run.run_id


async def test_parameters_are_fitted_to_closed_orders_and_plans_keep_those_they_were_decided_with(world):
    # The market takes half of the spread that was predicted.
    world.execution.charges = (Decimal("0.5"), Decimal(1))
    first = await rebalanced(world, COSTS, "r-1")

    fit = await world.plans.calibrate_costs(first, None, "USD")

    assert fit.order_count >= 2 * CLIENTS
    assert abs(fit.realised - fit.predicted / 2) < Decimal("0.01")
    found = fit.calibration
    assert found.parameters.spread_factor == Decimal("0.5")
    assert found.error_after_bps < Decimal("0.1") < found.error_before_bps

    # In force: a policy says it, and the next plans are predicted by it.
    learned = document_pb.CostSettings(spread_bps=number(20), spread_factor=number(found.parameters.spread_factor))
    world.execution.charges = (Decimal(1), Decimal(1))
    second = await rebalanced(world, learned, "r-2")
    again = await world.plans.calibrate_costs(second, None, "USD")
    assert again.calibration.parameters.spread_factor == Decimal("0.5")
    assert abs(again.realised - again.predicted) < Decimal("0.01")
    for run_id, account in ((first, "r-1-0"), (second, "r-2-0")):
        plan = await world.plan_of(run_id, account)
        assert (await world.plans.replay_plan(plan.plan_id)).identical


async def test_few_orders_say_nothing(world):
    world.execution.charges = (Decimal(1), Decimal(1))
    await rebalanced(world, COSTS, "r-1", clients=2)

    with pytest.raises(CostsTooFew, match="at least 30 closed orders in USD are needed, were 4"):
        await world.plans.calibrate_costs(None, None, "USD")
    with pytest.raises(CostsTooFew, match="were 0"):
        await world.plans.calibrate_costs(None, None, "EUR")
