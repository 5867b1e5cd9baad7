"""RunService, PlanService and Operations as callers see them: a real server with all interceptors, over PostgreSQL."""

from datetime import timedelta

import grpc
from google.longrunning import operations_pb2
from google.protobuf.duration_pb2 import Duration

from evenkeel.decision.v1 import plan_service_pb2 as plan_pb
from evenkeel.decision.v1 import run_service_pb2 as run_pb
from services.runtime.wire import decimal_of, instant_message, money_of
from tests.decision.api.conftest import refused
from tests.decision.api.messages import a_request_id
from tests.decision.books import MORNING
from tests.decision.stages.world import needs_trades, on_target


async def test_a_run_is_an_operation_whose_response_is_the_run(running):
    await running.world.ingest(needs_trades("a1"), on_target("a2"))
    run_id = await running.started()
    going = await running.operations().GetOperation(operations_pb2.GetOperationRequest(name=f"operations/{run_id}"))

    await running.world.settle()
    await running.world.fill_all(run_id)
    await running.world.settle()
    done = await running.operations().WaitOperation(operations_pb2.WaitOperationRequest(name=f"operations/{run_id}"))

    metadata, response = run_pb.Run(), run_pb.Run()
    assert not going.done
    assert going.metadata.Unpack(metadata)
    assert metadata.state == run_pb.Run.STATE_DECIDING
    assert metadata.actor == "erin"
    assert done.done
    assert done.response.Unpack(response)
    assert response.state == run_pb.Run.STATE_DONE
    assert response.outcome_counts == {"TRADE": 1, "NO_TRADE": 1}
    assert response.plan_counts == {"DONE": 1, "IDLE": 1}
    assert set(response.stage_durations) == {"pin", "decide", "execute"}
    assert decimal_of(response.summary.drift_after, "") < decimal_of(response.summary.drift_before, "")
    assert money_of(response.summary.turnover, "").amount > 0
    assert response.trace_parent


async def test_a_repeated_start_is_the_same_run(running):
    await running.world.ingest(needs_trades("a1"))
    request = run_pb.StartRunRequest(request_id=a_request_id())

    first, again = await running.runs().StartRun(request), await running.runs().StartRun(request)
    other = await running.runs(subject="eve").StartRun(run_pb.StartRunRequest(request_id=a_request_id()))

    assert first.name == again.name != other.name
    listed = await running.runs().ListRuns(run_pb.ListRunsRequest(page_size=1))
    assert f"operations/{listed.runs[0].run_id}" == other.name
    rest = await running.runs().ListRuns(run_pb.ListRunsRequest(page_size=1, page_token=listed.next_page_token))
    assert f"operations/{rest.runs[0].run_id}" == first.name
    assert rest.next_page_token == ""


async def test_a_start_that_cannot_be_is_refused_and_names_field_value_and_limit(running):
    runs = running.runs()
    async with refused(grpc.StatusCode.NOT_FOUND, "PRICE_SET_NOT_FOUND"):
        await runs.StartRun(run_pb.StartRunRequest(request_id=a_request_id()))
    await running.world.ingest(needs_trades("a1"))
    async with refused(grpc.StatusCode.NOT_FOUND, "ACCOUNT_NOT_FOUND"):
        await runs.StartRun(run_pb.StartRunRequest(request_id=a_request_id(), account_ids=["nobody"]))
    async with refused(grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID") as fields:
        await runs.StartRun(run_pb.StartRunRequest(request_id=a_request_id(), account_ids=["a1", "a1"]))
    assert fields == {"account_ids[1]": "must be named once, was a1 again"}
    async with refused(grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID") as fields:
        late = instant_message(MORNING + timedelta(hours=1))
        await runs.StartRun(run_pb.StartRunRequest(request_id=a_request_id(), as_of_time=late))
    assert "must be at most 2022-12-28T14:30:00Z" in fields["as_of_time"]
    async with refused(grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID") as fields:
        await runs.StartRun(run_pb.StartRunRequest(request_id="one"))
    assert "request_id" in fields


async def test_who_may_not_is_refused(running):
    await running.world.ingest(needs_trades("a1"))
    run_id = await running.started()

    async with refused(grpc.StatusCode.PERMISSION_DENIED, "ROLE_MISSING"):
        await running.runs(role="advisor").StartRun(run_pb.StartRunRequest(request_id=a_request_id()))
    async with refused(grpc.StatusCode.PERMISSION_DENIED, "ROLE_MISSING"):
        await running.plans(role="trader").ApprovePlan(
            plan_pb.ApprovePlanRequest(request_id=a_request_id(), plan_id="p", plan_hash="h")
        )
    async with refused(grpc.StatusCode.PERMISSION_DENIED, "ROLE_MISSING"):
        await running.operations(role="advisor").CancelOperation(
            operations_pb2.CancelOperationRequest(name=f"operations/{run_id}")
        )


async def test_a_canceled_run_is_a_canceled_operation_that_cannot_be_deleted(running):
    await running.world.ingest(needs_trades("a1"))
    run_id = await running.started()
    name = f"operations/{run_id}"

    await running.operations().CancelOperation(operations_pb2.CancelOperationRequest(name=name))
    again = await running.runs().CancelRun(run_pb.CancelRunRequest(request_id=a_request_id(), run_id=run_id))

    assert again.run.state == run_pb.Run.STATE_CANCELED
    operation = await running.operations().GetOperation(operations_pb2.GetOperationRequest(name=name))
    assert operation.done
    assert operation.error.code == grpc.StatusCode.CANCELLED.value[0]
    async with refused(grpc.StatusCode.FAILED_PRECONDITION, "RUN_STATE"):
        await running.operations().DeleteOperation(operations_pb2.DeleteOperationRequest(name=name))


async def test_waiting_for_an_operation_ends_at_its_timeout(running):
    await running.world.ingest(needs_trades("a1"))
    name = f"operations/{await running.started()}"

    waited = await running.operations().WaitOperation(
        operations_pb2.WaitOperationRequest(name=name, timeout=Duration(nanos=1_000_000))
    )

    assert not waited.done
    async with refused(grpc.StatusCode.NOT_FOUND, "OPERATION_NOT_FOUND"):
        await running.operations().WaitOperation(operations_pb2.WaitOperationRequest(name="operations/none"))


async def test_a_watched_run_is_streamed_until_it_is_final(running):
    await running.world.ingest(needs_trades("a1"))
    run_id = await running.started()
    await running.world.settle()
    await running.world.fill_all(run_id)
    await running.world.settle()

    seen = [each.run.state async for each in running.runs().WatchRun(run_pb.WatchRunRequest(run_id=run_id))]

    assert seen == [run_pb.Run.STATE_DONE]
    async with refused(grpc.StatusCode.NOT_FOUND, "RUN_NOT_FOUND"):
        async for _ in running.runs().WatchRun(run_pb.WatchRunRequest(run_id="run-none")):
            pass


async def test_a_held_plan_is_shown_with_its_reasons_and_approved_by_another_person(running):
    held = await running.held_plan()
    shown = (await running.plans().GetPlan(plan_pb.GetPlanRequest(plan_id=held.plan_id))).plan

    assert shown.review_reasons
    assert held.trades == []
    assert [trade.instrument_id for trade in shown.trades] == sorted(trade.instrument_id for trade in shown.trades)
    assert shown.trades
    assert all(trade.sentence and trade.price.currency_code == "USD" for trade in shown.trades)
    assert any(trade.lots for trade in shown.trades)
    assert shown.explanation.summary
    assert shown.certificate.solver
    assert shown.inputs.policy_hash.startswith("sha256:")

    approve = plan_pb.ApprovePlanRequest(request_id=a_request_id(), plan_id=held.plan_id, plan_hash=shown.plan_hash)
    approved = (await running.plans().ApprovePlan(approve)).plan
    assert (approved.state, approved.approver) == (plan_pb.Plan.STATE_APPROVED, "ann")
    replay = await running.plans().ReplayPlan(plan_pb.ReplayPlanRequest(plan_id=held.plan_id))
    assert replay.identical
    assert replay.recorded_hash == replay.recomputed_hash == shown.plan_hash


async def test_an_approval_that_may_not_be_is_refused(running):
    held = await running.held_plan()

    def approval(**changes):
        fields = {"request_id": a_request_id(), "plan_id": held.plan_id, "plan_hash": held.plan_hash}
        return plan_pb.ApprovePlanRequest(**{**fields, **changes})

    async with refused(grpc.StatusCode.PERMISSION_DENIED, "SELF_APPROVAL"):
        await running.plans(subject="erin").ApprovePlan(approval())
    async with refused(grpc.StatusCode.ABORTED, "APPROVAL_STALE"):
        await running.plans().ApprovePlan(approval(plan_hash="sha256:another"))
    async with refused(grpc.StatusCode.NOT_FOUND, "PLAN_NOT_FOUND"):
        await running.plans().ApprovePlan(approval(plan_id="plan-none"))
    await running.plans().WithdrawPlan(
        plan_pb.WithdrawPlanRequest(request_id=a_request_id(), plan_id=held.plan_id, comment="no")
    )
    async with refused(grpc.StatusCode.FAILED_PRECONDITION, "PLAN_STATE"):
        await running.plans().ApprovePlan(approval())
    assert (await running.world.events("decision.plan.approved")) == []
