"""The execution service, serving: a real server with every interceptor, over PostgreSQL, its workers at work."""

from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace
from uuid import uuid4

import grpc
import pytest
from google.rpc import error_details_pb2
from google.type.decimal_pb2 import Decimal as DecimalMessage
from grpc_status import rpc_status

from evenkeel.common.v1.values_pb2 import Provenance
from evenkeel.execution.v1 import execution_service_pb2 as pb
from evenkeel.execution.v1 import sandbox_service_pb2 as sandbox
from evenkeel.execution.v1.execution_service_pb2_grpc import ExecutionServiceStub
from evenkeel.execution.v1.sandbox_service_pb2_grpc import SandboxServiceStub
from services.execution.main import build
from services.kernel.clock import FixedClock
from services.runtime.client import connect
from services.runtime.clock import SystemClock
from services.runtime.database import Database
from services.runtime.server import Server
from services.runtime.wire import decimal_column, instant_message
from tests.execution.builders import NOON
from tests.execution.world import FakePolicies, settings_for, signed, signed_plan
from tools.local.issuer import ISSUER, TokenIssuer

ROLES = {
    "decision": "decision_service",
    "engineer": "platform_engineer",
    "trader": "trader",
    "risk": "risk_officer",
    "author": "policy_author",
    # A person who holds two, against all advice.
    "both": "trader risk_officer",
}


class Running:
    """The service that runs, and who calls it."""

    def __init__(self, server, database, issuer, port, policies, built):
        self.server = server
        self.database = database
        self.policies = policies
        self.built = built
        self._issuer = issuer
        self.address = f"127.0.0.1:{port}"
        self._channels = {}

    def token(self, who, roles):
        return self._issuer.token(who, roles, timedelta(hours=1))

    def channel(self, who):
        if who not in self._channels:
            token = self.token(who, ROLES[who.partition("-")[0]].split())
            self._channels[who] = connect(self.address, token=lambda: token, call_s=60.0)
        return self._channels[who]

    def as_(self, who):
        return ExecutionServiceStub(self.channel(who))

    async def market(self, spread_bps="0", fee_bps="0", share=None, at=NOON, bids=None, asks=None, **prices):
        await self.ingest(at=at, **prices)
        request = sandbox.LoadSandboxMarketRequest(
            request_id=str(uuid4()),
            instrument_ids=list(prices),
            prices=decimal_column([Decimal(str(price)) for price in prices.values()], 2),
            currency="USD",
            spread_bps=DecimalMessage(value=spread_bps),
            fee_bps=DecimalMessage(value=fee_bps),
            seed=1,
            market_time=instant_message(at),
        )
        if share is not None:
            request.fill_share_max.value = share
        for column, sizes in ((request.bid_sizes, bids), (request.ask_sizes, asks)):
            if sizes is not None:
                column.CopyFrom(decimal_column([Decimal(size) for size in sizes], 0))
        return await SandboxServiceStub(self.channel("engineer")).LoadSandboxMarket(request)

    async def ingest(self, at=NOON, **prices):
        return await self.as_("engineer").IngestReferencePrices(ingest_request(at, **prices))

    async def submit(self, *plans, who="decision", request=None):
        return await self.as_(who).SubmitPlans(request or submit_request(*plans))

    async def reports(self, until=lambda reports: False, after=0):
        """Follow the stream until `until` says that it is enough, or, without following, return what there is."""
        got = []
        stream = self.as_("decision").StreamPlanReports(
            pb.StreamPlanReportsRequest(after_position=after, follow=True), timeout=90
        )
        async for batch in stream:
            got.extend(batch.reports)
            if until(got):
                stream.cancel()
                break
        return got

    async def closed(self, orders):
        """Wait until so many orders are closed, and return all reports."""
        return await self.reports(
            lambda got: sum(each.WhichOneof("content") == "closed_order" for each in got) >= orders
        )

    async def end(self):
        for channel in self._channels.values():
            await channel.close()
        await self.server.drain()
        await self.database.close()


def ingest_request(at=NOON, **prices):
    return pb.IngestReferencePricesRequest(
        request_id=str(uuid4()),
        provenance=Provenance(source="vendor-a", as_of_time=instant_message(at)),
        instrument_ids=list(prices),
        prices=decimal_column([Decimal(str(price)) for price in prices.values()], 2),
        currency="USD",
    )


def submit_request(*plans):
    return pb.SubmitPlansRequest(request_id=str(uuid4()), plans=[signed_plan(*signed(plan)) for plan in plans])


@asynccontextmanager
async def starting(execution_database, folder):
    """Start the service over a database; again for another process over the same one."""
    issuer = TokenIssuer.at(folder / "issuer")
    running = []

    async def one(market_time=NOON, **changed):
        values = execution_database.settings(
            jwks_url=issuer.jwks_file.as_uri(), token_issuer=ISSUER, health_period_s=0.05, drain_s=5
        ).model_dump(exclude_unset=True)
        settings = settings_for(
            values, folder / "keys", **{"database_pool_size": 8, "look_s": 0.1, "resolve_after_s": 0.2, **changed}
        )
        database, policies = Database(settings), FakePolicies()
        built = build(settings, database, policies, clock=SystemClock(), market_clock=FixedClock(market_time))
        server = Server(
            settings,
            servicers=built.servicers,
            database=database,
            package="services.execution",
            workers=built.workers,
        )
        running.append(Running(server, database, issuer, await server.start(), policies, built))
        return running[-1]

    yield one
    for each in running:
        await each.end()


@pytest.fixture
async def start(execution_database, tmp_path):
    """Start the service: `await start(order_amount_max=100)`; again for another process over the same database."""
    async with starting(execution_database, tmp_path) as one:
        yield one


@pytest.fixture
async def execution(start):
    return await start()


async def refused(call):
    """Await `call`, which must be refused, and return code, reason and violations by field."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    status = rpc_status.from_call(caught.value)
    for detail in status.details if status else ():
        for known in (info, bad):
            detail.Unpack(known)
    return SimpleNamespace(
        code=caught.value.code(),
        reason=info.reason,
        message=caught.value.details(),
        fields={each.field: each.description for each in bad.field_violations},
    )
