"""The book's half of decision as it is in production, in this process: server, interceptors, database and roles."""

from contextlib import asynccontextmanager
from datetime import timedelta

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from evenkeel.decision.v1.book_service_pb2_grpc import BookServiceStub, add_BookServiceServicer_to_server
from evenkeel.decision.v1.price_service_pb2_grpc import PriceServiceStub, add_PriceServiceServicer_to_server
from evenkeel.decision.v1.tax_service_pb2_grpc import TaxServiceStub, add_TaxServiceServicer_to_server
from evenkeel.decision.v1.year_end_service_pb2_grpc import YearEndServiceStub, add_YearEndServiceServicer_to_server
from services.decision.api.book import BookServicer
from services.decision.api.prices import PriceServicer
from services.decision.api.taxes import TaxServicer
from services.decision.api.year_ends import YearEndServicer
from services.decision.app.book import BookApp
from services.decision.app.prices import PriceApp
from services.decision.app.tax_laws import TaxLawApp
from services.decision.app.taxes import TaxApp
from services.decision.app.year_ends import YearEndApp
from services.decision.domain.tax.year_end_columns import year_end_table
from services.decision.domain.tax.year_ends import filed
from services.decision.store.book_sessions import BookSessions
from services.decision.store.tax_laws import TaxLawSessions
from services.decision.store.taxes import TaxSessions
from services.kernel.clock import FixedClock
from services.runtime.client import connect
from services.runtime.clock import SystemClock
from services.runtime.database import Database
from services.runtime.server import Server, Servicer
from tests.decision.api.running import serving
from tests.decision.books import MORNING
from tests.decision.memory import MemoryExecution, MemoryPlans
from tests.decision.stages.world import FakePolicy
from tools.local.issuer import ISSUER, TokenIssuer


class InThisProcess:
    async def year_ends(self, filing, filers):
        return filed(filing, filers)

    async def year_end_table(self, filing, filers):
        return year_end_table(filing, filers)


class Service:
    """A running service, and how one calls it."""

    def __init__(self, server, database, sessions, execution, plans, issuer, policy):
        self.server, self.database, self.sessions = server, database, sessions
        self.execution, self.plans, self.policy = execution, plans, policy
        self._issuer = issuer
        self._channels = []

    def _channel(self, subject, *roles):
        token = self._issuer.token(subject, roles, timedelta(minutes=5))
        channel = connect(f"127.0.0.1:{self.server.port}", token=lambda: token)
        self._channels.append(channel)
        return channel

    def books(self, role="platform_engineer", subject="eve"):
        return BookServiceStub(self._channel(subject, role))

    def prices(self, role="platform_engineer", subject="eve"):
        return PriceServiceStub(self._channel(subject, role))

    def taxes(self, role="advisor", subject="ann"):
        return TaxServiceStub(self._channel(subject, role))

    def year_ends(self, role="advisor", subject="ann"):
        return YearEndServiceStub(self._channel(subject, role))

    async def close(self):
        for channel in self._channels:
            await channel.close()


@asynccontextmanager
async def refused(code, reason):
    """The call within is refused so; gives its field violations, by field."""
    fields = {}
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        yield fields
    status = rpc_status.from_call(caught.value)
    assert status is not None, caught.value
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in status.details:
        for known in (info, bad):
            detail.Unpack(known)
    assert (caught.value.code(), info.reason) == (code, reason), caught.value
    fields.update({each.field: each.description for each in bad.field_violations})


@pytest.fixture
async def service(decision_database, tmp_path):
    issuer = TokenIssuer.at(tmp_path / "issuer")
    settings = decision_database.settings(jwks_url=issuer.jwks_file.as_uri(), token_issuer=ISSUER)
    database = Database(settings)
    market_clock = FixedClock(MORNING)
    execution, plans = MemoryExecution(), MemoryPlans()
    sessions = BookSessions(database, lambda _: plans)
    book = BookApp(sessions.view, sessions.ledger, execution, SystemClock(), market_clock)
    taxes = TaxSessions(database)
    policy = FakePolicy()
    tax = TaxApp(SystemClock(), market_clock, taxes.read, taxes.begin, policy)
    laws = TaxLawApp(SystemClock(), TaxLawSessions(database).begin)
    prices = PriceApp(sessions.prices, sessions.market, SystemClock(), market_clock)
    servicers = [
        Servicer("evenkeel.decision.v1.BookService", add_BookServiceServicer_to_server, BookServicer(book, database)),
        Servicer("evenkeel.decision.v1.PriceService", add_PriceServiceServicer_to_server, PriceServicer(prices)),
        Servicer("evenkeel.decision.v1.TaxService", add_TaxServiceServicer_to_server, TaxServicer(tax, laws)),
        Servicer(
            "evenkeel.decision.v1.YearEndService",
            add_YearEndServiceServicer_to_server,
            YearEndServicer(YearEndApp(SystemClock(), market_clock, taxes.read, policy, InThisProcess())),
        ),
    ]
    server = Server(settings, servicers=servicers, database=database, package="services.decision")
    await server.start()
    running = Service(server, database, sessions, execution, plans, issuer, policy)
    yield running
    await running.close()
    await server.drain()
    await database.close()


@pytest.fixture
async def running(decision_database, tmp_path):
    async with serving(decision_database, tmp_path) as started:
        yield started
