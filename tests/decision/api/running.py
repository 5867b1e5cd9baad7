"""RunService, PlanService and Operations of a running service, over PostgreSQL, with fakes of policy and execution."""

from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from google.longrunning.operations_pb2_grpc import OperationsStub, add_OperationsServicer_to_server

from evenkeel.decision.v1 import plan_service_pb2 as plan_pb
from evenkeel.decision.v1 import run_service_pb2 as run_pb
from evenkeel.decision.v1.batch_service_pb2_grpc import BatchServiceStub
from evenkeel.decision.v1.plan_service_pb2_grpc import PlanServiceStub, add_PlanServiceServicer_to_server
from evenkeel.decision.v1.run_service_pb2_grpc import RunServiceStub, add_RunServiceServicer_to_server
from evenkeel.decision.v1.tax_service_pb2_grpc import TaxServiceStub, add_TaxServiceServicer_to_server
from evenkeel.policy.v1 import policy_document_pb2 as document_pb
from services.decision.api.batches import NAME as BATCHES
from services.decision.api.batches import BatchServicer, add_batch_servicer
from services.decision.api.operations import PERMISSIONS, RunOperations
from services.decision.api.plans import PlanServicer
from services.decision.api.runs import RunServicer
from services.decision.api.taxes import TaxServicer
from services.decision.app.batches import BatchApp
from services.decision.app.comparing import ComparisonApp
from services.decision.app.tax_laws import TaxLawApp
from services.decision.app.taxes import TaxApp
from services.decision.domain.bulk.batch_check import check as check_batch
from services.decision.domain.bulk.batching import decide_batch
from services.decision.store.tax_laws import TaxLawSessions
from services.decision.store.taxes import TaxSessions
from services.runtime.client import connect
from services.runtime.database import Database
from services.runtime.server import Server, Servicer
from tests.decision.api.messages import a_request_id, figure
from tests.decision.stages.world import World, a_policy, dollars, needs_trades, on_target
from tests.support.telemetry import record
from tools.local.issuer import ISSUER, TokenIssuer


class InThisProcess:
    """Decides batches where the test runs, as a computing process does."""

    async def batch(self, batch):
        check_batch(batch)
        return decide_batch(batch)


@dataclass
class Running:
    """A running service, and how one calls it."""

    server: Server
    world: World
    issuer: TokenIssuer
    channels: list

    def _channel(self, subject, role):
        token = self.issuer.token(subject, [role], timedelta(minutes=5))
        channel = connect(f"127.0.0.1:{self.server.port}", token=lambda: token)
        self.channels.append(channel)
        return channel

    def runs(self, subject="erin", role="platform_engineer"):
        return RunServiceStub(self._channel(subject, role))

    def plans(self, subject="ann", role="advisor"):
        return PlanServiceStub(self._channel(subject, role))

    def batches(self, subject="ann", role="advisor"):
        return BatchServiceStub(self._channel(subject, role))

    def operations(self, subject="erin", role="platform_engineer"):
        return OperationsStub(self._channel(subject, role))

    def taxes(self, subject="eve", role="platform_engineer"):
        return TaxServiceStub(self._channel(subject, role))

    async def started(self, *account_ids, **fields):
        operation = await self.runs().StartRun(
            run_pb.StartRunRequest(request_id=a_request_id(), account_ids=account_ids, **fields)
        )
        return operation.name.removeprefix("operations/")

    async def decided(self):
        """Return the ids of the plans of a run of all accounts, by account."""
        run_id = await self.started()
        await self.world.decide_all()
        return {each.account_id: each.plan_id for each in await self.world.plans_of(run_id)}

    async def planned(self):
        """Return the plan that a run makes of the only account, and what is told of it."""
        (plan_id,) = (await self.decided()).values()
        plan = (await self.plans().GetPlan(plan_pb.GetPlanRequest(plan_id=plan_id))).plan
        return plan, await self.plans().ExplainPlan(plan_pb.ExplainPlanRequest(plan_id=plan_id))

    async def sold_under(self, document):
        """Return how many units a plan by a policy sells, and what its tax comes to; the plan is withdrawn then."""
        self.world.policy.document = document
        plan, told = await self.planned()
        await self.world.plans.withdraw_plan(plan.plan_id, "another policy")
        return sum(figure(each.quantity) for trade in plan.trades for each in trade.lots), told.tax

    async def held_plan(self):
        """Return the plan of a run that waits for a person."""
        await self.world.ingest(needs_trades("a1"), on_target("a2"))
        self.world.policy.document = a_policy(safety=document_pb.SafetyNets(review_value=dollars(1)))
        run_id = await self.started()
        await self.world.settle()
        plans = await self.plans().ListPlans(plan_pb.ListPlansRequest(run_id=run_id, state=plan_pb.Plan.STATE_HELD))
        return plans.plans[0]


@asynccontextmanager
async def serving(decision_database, tmp_path, currency="USD"):
    """Serve within the block."""
    record()
    issuer = TokenIssuer.at(tmp_path / "issuer")
    settings = decision_database.settings(jwks_url=issuer.jwks_file.as_uri(), token_issuer=ISSUER, database_pool_size=8)
    database = Database(settings)
    world, taxes = World(database, currency=currency), TaxSessions(database)
    servicers = [
        Servicer(
            "evenkeel.decision.v1.RunService",
            add_RunServiceServicer_to_server,
            RunServicer(world.runs, ComparisonApp(world.store.read), world.impacts),
        ),
        Servicer(
            "evenkeel.decision.v1.PlanService",
            add_PlanServiceServicer_to_server,
            PlanServicer(world.plans, world.previews, world.explanations, world.preview_errors),
        ),
        Servicer(
            "evenkeel.decision.v1.TaxService",
            add_TaxServiceServicer_to_server,
            TaxServicer(
                TaxApp(world.clock, world.market_clock, taxes.read, taxes.begin, world.policy),
                TaxLawApp(world.clock, TaxLawSessions(database).begin),
            ),
        ),
        Servicer(BATCHES, add_batch_servicer, BatchServicer(BatchApp(InThisProcess(), "columns/1"))),
        Servicer(
            "google.longrunning.Operations", add_OperationsServicer_to_server, RunOperations(world.runs), PERMISSIONS
        ),
    ]
    server = Server(settings, servicers=servicers, database=database, package="services.decision")
    await server.start()
    started = Running(server, world, issuer, [])
    yield started
    for channel in started.channels:
        await channel.close()
    await server.drain()
    await database.close()
