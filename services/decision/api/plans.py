"""`evenkeel.decision.v1.PlanService`: message → values → use case → message."""

from dataclasses import dataclass
from typing import Any

import grpc.aio

from evenkeel.decision.v1 import plan_service_pb2 as pb
from evenkeel.decision.v1.plan_service_pb2_grpc import PlanServiceServicer
from services.decision.api.callers import subject
from services.decision.api.explanation_messages import (
    explained_message,
    not_traded_message,
    previewed_message,
    scenario_of,
    wish_of,
)
from services.decision.api.plan_messages import (
    calibration_message,
    no_trade_reason_of,
    outcome_of,
    plan_message,
    state_of,
)
from services.decision.api.preview_messages import previews_message, withdrawal_message
from services.decision.api.transition_messages import transition_message
from services.decision.app.explaining import ExplainApp
from services.decision.app.plans import PlanApp
from services.decision.app.ports.plans import PlanFilter
from services.decision.app.preview_errors import PreviewErrors
from services.decision.app.previewing import PreviewApp
from services.decision.domain.prices import PriceSetId
from services.kernel.ids import AccountId, InstrumentId, PlanId, RunId
from services.runtime.paging import cut, read_page
from services.runtime.wire import instant_of

PAGE_DEFAULT = 100
PAGE_MAX = 1_000
PREVIEWS_DEFAULT = 20
PREVIEWS_MAX = 100

_Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True, slots=True)
class PlanServicer(PlanServiceServicer):
    """Answers callers of plans."""

    app: PlanApp
    previews: PreviewApp
    explanations: ExplainApp
    errors: PreviewErrors

    async def GetPlan(self, request: pb.GetPlanRequest, context: _Context) -> pb.GetPlanResponse:
        return pb.GetPlanResponse(plan=plan_message(await self.app.get_plan(PlanId(request.plan_id))))

    async def ListPlans(self, request: pb.ListPlansRequest, context: _Context) -> pb.ListPlansResponse:
        page = read_page(request, default=PAGE_DEFAULT, most=PAGE_MAX)
        which = PlanFilter(
            run_id=RunId(request.run_id) if request.run_id else None,
            account_id=AccountId(request.account_id) if request.account_id else None,
            state=state_of(request.state),
            outcome=outcome_of(request.outcome),
            no_trade_reason=no_trade_reason_of(request.no_trade_reason),
        )
        after = None if page.after is None else PlanId(str(page.after[0]))
        found = await self.app.list_plans(which, after, page.size + 1)
        shown, token = cut(found, page, lambda plan: (plan.plan_id,))
        return pb.ListPlansResponse(plans=[plan_message(each) for each in shown], next_page_token=token)

    async def GetCostCalibration(
        self, request: pb.GetCostCalibrationRequest, context: _Context
    ) -> pb.GetCostCalibrationResponse:
        since = instant_of(request.close_time_min, "close_time_min") if request.HasField("close_time_min") else None
        fit = await self.app.calibrate_costs(RunId(request.run_id) if request.run_id else None, since, request.currency)
        return calibration_message(fit, request.currency)

    async def ApprovePlan(self, request: pb.ApprovePlanRequest, context: _Context) -> pb.ApprovePlanResponse:
        approved = await self.app.approve_plan(
            PlanId(request.plan_id), plan_hash=request.plan_hash, approver=subject(), comment=request.comment
        )
        return pb.ApprovePlanResponse(plan=plan_message(approved))

    async def WithdrawPlan(self, request: pb.WithdrawPlanRequest, context: _Context) -> pb.WithdrawPlanResponse:
        withdrawn = await self.app.withdraw_plan(PlanId(request.plan_id), request.comment)
        return pb.WithdrawPlanResponse(plan=plan_message(withdrawn))

    async def ReplayPlan(self, request: pb.ReplayPlanRequest, context: _Context) -> pb.ReplayPlanResponse:
        replay = await self.app.replay_plan(PlanId(request.plan_id))
        return pb.ReplayPlanResponse(
            identical=replay.identical,
            recorded_hash=replay.recorded_hash,
            recomputed_hash=replay.recomputed_hash,
            engine=replay.engine,
            recorded_engine=replay.recorded_engine,
            identical_content=replay.identical_content,
            recorded_content_hash=replay.recorded_content_hash,
            recomputed_content_hash=replay.recomputed_content_hash,
            sentence=replay.sentence,
        )

    async def PreviewPlan(self, request: pb.PreviewPlanRequest, context: _Context) -> pb.PreviewPlanResponse:
        previewed, withdrawals = await self.previews.preview(wish_of(request))
        plans = [previewed_message(each) for each in previewed]
        if request.keep:
            ids = await self.errors.keep(AccountId(request.account_id), previewed)
            for plan, preview_id in zip(plans, ids, strict=True):
                plan.preview_id = preview_id
        return pb.PreviewPlanResponse(plans=plans, largest_withdrawals=map(withdrawal_message, withdrawals))

    async def PreviewTransition(
        self, request: pb.PreviewTransitionRequest, context: _Context
    ) -> pb.PreviewTransitionResponse:
        meant = await self.previews.transition(
            AccountId(request.account_id),
            PriceSetId(request.price_set_id) if request.price_set_id else None,
            scenario_of(request.scenario) if request.HasField("scenario") else None,
            request.tax_years,
        )
        return transition_message(meant)

    async def ListPreviews(self, request: pb.ListPreviewsRequest, context: _Context) -> pb.ListPreviewsResponse:
        page = read_page(request, default=PREVIEWS_DEFAULT, most=PREVIEWS_MAX)
        before = None if page.after is None else int(page.after[0])
        found = await self.errors.list_previews(AccountId(request.account_id), before, page.size + 1)
        shown, token = cut(found, page, lambda each: (each[0],))
        return previews_message([measured for _, measured in shown], token)

    async def ExplainPlan(self, request: pb.ExplainPlanRequest, context: _Context) -> pb.ExplainPlanResponse:
        return explained_message(
            await self.explanations.explain_plan(PlanId(request.plan_id), what_ifs=request.what_if)
        )

    async def ExplainNoTrade(self, request: pb.ExplainNoTradeRequest, context: _Context) -> pb.ExplainNoTradeResponse:
        explained = await self.explanations.explain_no_trade(
            AccountId(request.account_id),
            PlanId(request.plan_id) if request.plan_id else None,
            InstrumentId(request.instrument_id) if request.instrument_id else None,
        )
        return not_traded_message(explained)
