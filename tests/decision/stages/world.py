"""A small world for the stages of a run: a real database and optimiser; policy and execution as fakes that can fail."""

import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.type import decimal_pb2, money_pb2
from sqlalchemy import select

from evenkeel.policy.v1 import policy_document_pb2 as document_pb
from services.decision.app.book import BookApp
from services.decision.app.changes import Changes
from services.decision.app.comparing import Reporting
from services.decision.app.deciding import Deciding
from services.decision.app.explaining import ExplainApp
from services.decision.app.following import Following
from services.decision.app.impact import ImpactApp
from services.decision.app.keeping import Keeping
from services.decision.app.pinning import Pinning
from services.decision.app.plans import PlanApp
from services.decision.app.ports.execution import ClosedOrder, OrderCost, Report
from services.decision.app.ports.plans import PlanFilter
from services.decision.app.ports.policy import EffectivePolicies, PolicyPreset
from services.decision.app.ports.solving import Solved
from services.decision.app.preview_errors import PreviewErrors
from services.decision.app.previewing import PreviewApp
from services.decision.app.prices import PriceApp
from services.decision.app.runs import RunApp, RunWish
from services.decision.app.submitting import Submitting
from services.decision.app.tax_standing import StandingApp
from services.decision.app.valuing import Valuing
from services.decision.clients.execution import GrpcExecution
from services.decision.clients.overlaying import overlaid_policy
from services.decision.clients.policy_document import read_policy
from services.decision.clients.solving import check
from services.decision.domain.columns import EPOCH, Numbers
from services.decision.domain.comparison import PolicySides
from services.decision.domain.decide import decide
from services.decision.domain.deciding import draft_plan
from services.decision.domain.not_traded import reasons_not_to_trade
from services.decision.domain.plan import LIVE_STATES, PlanState
from services.decision.domain.prices import HistoryColumns, PriceColumns
from services.decision.domain.risk_model import estimate
from services.decision.domain.transition import transition
from services.decision.domain.withdrawing import largest_withdrawals
from services.decision.store.book_sessions import BookSessions
from services.decision.store.previews import PreviewSessions
from services.decision.store.sessions import DecisionStore, PlansOfBooks
from services.decision.store.taxes import TaxSessions
from services.decision.store.values import ValueSessions
from services.kernel.canonical import content_hash
from services.kernel.clock import FixedClock
from services.kernel.errors import Invalid, NotFound, Unreachable
from services.kernel.ids import OrderId, RunId
from services.policy.api.documents import document_message
from services.policy.domain.presets import PRESETS
from services.runtime.database import Database
from tests.decision.books import CLOSE, MORNING, TRADE_DATE, a_header, an_account, an_allocation, columns, lot

PRICES = {"VTI": Decimal("190"), "BND": Decimal("72"), "AAPL": Decimal("130")}
START = datetime(2026, 11, 22, 12, tzinfo=UTC)
LEASE = timedelta(seconds=6)
ENGINE = "engine/1"


class DoesNotAnswer(Unreachable):
    reason = "PEER_UNREACHABLE"


class ChangeMissing(NotFound):
    reason = "POLICY_CHANGE_NOT_FOUND"


def number(value):
    return decimal_pb2.Decimal(value=str(value))


def dollars(amount):
    return money_pb2.Money(currency_code="USD", units=amount)


def a_policy(weights=None, **changes):
    """Return the bytes of a policy: 60 % VTI, 39 % BND, 1 % cash, unless said; `changes` set whole sections."""
    mix = weights or {"VTI": "0.6", "BND": "0.39"}
    sections = {
        "targets": document_pb.Targets(
            weights=[
                document_pb.TargetWeight(instrument_id=each, weight=number(weight)) for each, weight in mix.items()
            ],
            cash_weight=number("0.01"),
        ),
        "bands": document_pb.Bands(
            trigger=document_pb.Distance(absolute=number("0.02")),
            destination=document_pb.Distance(absolute=number("0.005")),
        ),
        "objective": document_pb.Objective(
            tracking_variance_price_bps=number(50000), band_excess_price_bps=number(1000)
        ),
        "tax": document_pb.TaxSettings(
            jurisdiction="US", short_term_rate=number("0.408"), long_term_rate=number("0.238")
        ),
        "execution": document_pb.ExecutionPreferences(aggregation_consent=True, venue_id="sandbox"),
        **changes,
    }
    return document_pb.PolicyDocument(**sections).SerializeToString(deterministic=True)


def needs_trades(account_id):
    """An account that is all VTI and must sell some of it."""
    return an_account(account_id, cash=1000).holding("VTI", lot(f"{account_id}-l1", 500, 60_000))


def on_target(account_id):
    """An account of 100,000 that has what it should."""
    return (
        an_account(account_id, cash=1000)
        .holding("VTI", lot(f"{account_id}-l1", "315.789", 60_000))
        .holding("BND", lot(f"{account_id}-l2", "541.667", 40_000))
    )


@dataclass
class FakePolicy:
    """Policy: every account has `document`, unless `own` says another; it may be down."""

    document: bytes = field(default_factory=a_policy)
    own: dict = field(default_factory=dict)
    without: set = field(default_factory=set)
    # The document that is rolled out, and who has it; in shadow nobody has.
    candidate: bytes | None = None
    canary: set = field(default_factory=set)
    reports: list = field(default_factory=list)
    # Changes by id: the accounts that each reaches, and the document that they would have; and as of when it was asked.
    changes: dict = field(default_factory=dict)
    supposed_as_of: list = field(default_factory=list)
    # What it was told that accounts are worth, by request; accounts of `without` it does not have.
    values: dict = field(default_factory=dict)
    down: bool = False
    calls: int = 0

    async def resolve(self, account_ids, effective_time):
        self.calls += 1
        if self.down:
            raise DoesNotAnswer("policy does not answer: connection refused")
        bodies = {each: self.own.get(each, self.document) for each in account_ids if each not in self.without}
        sides = {}
        if self.candidate is not None:
            both = {each: (content_hash(self.candidate), content_hash(body)) for each, body in bodies.items()}
            sides = {each: PolicySides("change-1", *hashes) for each, hashes in both.items()}
        incumbents = list(bodies.values())
        bodies |= dict.fromkeys(self.canary, self.candidate)
        documents = {content_hash(body): body for body in [*incumbents, *bodies.values()]}
        if self.candidate is not None:
            documents[content_hash(self.candidate)] = self.candidate
        return EffectivePolicies(
            documents=documents,
            version_hashes={name: (f"sha256:{name[-8:]}",) for name in documents},
            policy_of={each: content_hash(bodies[each]) if each in bodies else "" for each in account_ids},
            sides=sides,
        )

    async def supposing(self, change_id, account_ids, effective_time, known_time):
        if change_id not in self.changes:
            raise ChangeMissing(f"policy change {change_id} does not exist", change_id=change_id)
        self.supposed_as_of.append((effective_time, known_time))
        reached, document = self.changes[change_id]
        return await replace(
            self, own={**self.own, **dict.fromkeys(reached, document)}, candidate=None, canary=set()
        ).resolve(account_ids, effective_time)

    async def report(self, request_id, found):
        if self.down:
            raise DoesNotAnswer("policy does not answer: connection refused")
        self.reports.append((request_id, found))

    async def record(self, request_id, values):
        if self.down:
            raise DoesNotAnswer("policy does not answer: connection refused")
        self.values[request_id] = values
        return {each.account_id for each in values} & self.without

    def read(self, document):
        return read_policy(document)

    async def presets(self):
        if self.down:
            raise DoesNotAnswer("policy does not answer: connection refused")
        return [
            PolicyPreset(
                each.name,
                each.document.objective.philosophy or "",
                document_message(each.document).SerializeToString(),
            )
            for each in PRESETS
        ]

    def overlaid(self, document, over):
        return overlaid_policy(document, over)


@dataclass
class FakeExecution:
    """Execution: takes plans once, fills every trade at its price, reports; it may be down or lose its answer."""

    signer: GrpcExecution
    down: bool = False
    answers_lost: int = 0
    refusals: dict = field(default_factory=dict)
    refuses_requests_with: set = field(default_factory=set)
    requests: list = field(default_factory=list)
    taken: dict = field(default_factory=dict)
    stream: list = field(default_factory=list)

    def signed(self, approved):
        return self.signer.signed(approved)

    async def submit(self, request_id, plans):
        if self.down:
            raise DoesNotAnswer("execution does not answer: connection refused")
        self.requests.append((request_id, [(each.plan_id, each.payload, each.signature) for each in plans]))
        for each in plans:
            if each.plan_id in self.refuses_requests_with:
                raise Invalid(f"plans: {each.plan_id} is broken")
        for each in plans:
            if each.plan_id not in self.refusals:
                self.taken[each.plan_id] = self.taken.get(each.plan_id, 0) + 1
        if self.answers_lost:
            self.answers_lost -= 1
            raise DoesNotAnswer("execution does not answer: deadline passed")
        return {each.plan_id: self.refusals[each.plan_id] for each in plans if each.plan_id in self.refusals}

    async def reports(self, after):
        if self.down:
            raise DoesNotAnswer("execution does not answer: connection refused")
        rest = [each for each in self.stream if each.position > after]
        for first in range(0, len(rest), 2):
            yield rest[first : first + 2]

    async def allocations(self, after):
        yield [each.allocation for each in self.stream if each.position > after and each.allocation is not None]

    # What trading costs where orders are filled, of what was predicted: of the spread, and of the impact.
    charges = None

    def _cost(self, trade, value):
        if self.charges is None:
            return None
        spread, impact = self.charges
        trading = spread * trade.cost.spread + impact * trade.cost.impact
        return OrderCost(trade.instrument_id, "USD", value, trading, Decimal(0))

    def fill(self, plan, trace_parent=None):
        """Report a fill and a closed order for every trade of a plan."""
        for trade in plan.content.decision.trades:
            order_id = OrderId(f"order-{plan.plan_id}-{trade.instrument_id}")
            position = len(self.stream) + 1
            value = (trade.quantity * trade.price).quantize(Decimal("0.01"))
            allocation = an_allocation(
                position,
                trade.side.value,
                trade.instrument_id,
                trade.quantity,
                value,
                account_id=plan.account_id,
                plan_id=plan.plan_id,
                order_id=order_id,
                trade_date=TRADE_DATE,
            )
            self.stream.append(Report(position, plan.plan_id, trace_parent, allocation=allocation))
            closed = ClosedOrder(order_id, plan.plan_id, "FILLED", trade.quantity, "", self._cost(trade, value))
            self.stream.append(Report(position + 1, plan.plan_id, trace_parent, closed=closed))


class InlineSolver:
    """Computes here; `broken` accounts make it fail as the optimiser might."""

    def __init__(self):
        self.decide = decide
        self.calls = 0
        # A test holds the solver here, to do something meanwhile.
        self.gate = None

    async def drafts(self, accounts, basis):
        self.calls += 1
        if self.gate is not None:
            await self.gate()
        return [self._solved(each, basis) for each in accounts]

    def _solved(self, account, basis):
        started_s = time.perf_counter()
        draft = draft_plan(account, basis, self.decide, check)
        return Solved(draft, time.perf_counter() - started_s)

    async def not_traded(self, account, basis):
        return reasons_not_to_trade(account, basis, self.decide)

    async def transition(self, account, basis, tax_years):
        return transition(account, basis, tax_years, self.decide, check)

    async def largest_withdrawals(self, account, basis):
        return largest_withdrawals(account, basis, [lambda inputs: draft_plan(inputs, basis, self.decide, check)])

    async def risk_model(self, history):
        return estimate(history.instrument_ids, history.units.T / 10.0**history.scale)


class _Span:
    def set_attribute(self, key, value):
        pass


class NoTracing:
    @contextmanager
    def continued(self, trace_parent, name, **attributes):
        yield _Span()

    @contextmanager
    def span(self, name, **attributes):
        yield _Span()


class World:
    """Everything the stages need. `restarted()` gives the stages as another process would have them."""

    def __init__(self, database: Database, shard_size=2, currency="USD"):
        self.database = database
        # The trace in which runs are started, and in which execution reports.
        self.trace_parent = None
        self.store = DecisionStore(database)
        self.clock = FixedClock(START)
        self.market_clock = FixedClock(MORNING)
        self.policy = FakePolicy()
        key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
        self.execution = FakeExecution(GrpcExecution(None, key, "decision-1"))
        self.solver = InlineSolver()
        self.changes = Changes()
        sessions = BookSessions(database, PlansOfBooks)
        self.books = BookApp(sessions.view, sessions.ledger, self.execution, self.clock, self.market_clock)
        self.prices = PriceApp(sessions.prices, sessions.market, self.clock, self.market_clock)
        self.runs = RunApp(
            self.store.begin,
            self.store.read,
            self.clock,
            self.market_clock,
            self.changes,
            ENGINE,
            currency,
            shard_size,
        )
        self.plans = PlanApp(
            self.store.begin,
            self.store.read,
            self.clock,
            self.market_clock,
            self.changes,
            self.solver,
            self.policy,
            ENGINE,
        )
        taxes = TaxSessions(database)
        self.standing = StandingApp(taxes.read, taxes.begin, self.policy)
        self.previews = PreviewApp(
            self.store.read, self.market_clock, self.solver, self.policy, ENGINE, currency, self.standing
        )
        self.impacts = ImpactApp(self.store.read, self.policy, self.solver)
        self.explanations = ExplainApp(self.store.read, self.solver, self.policy)
        kept = PreviewSessions(database)
        self.preview_errors = PreviewErrors(kept.read, kept.begin, self.clock)
        self.restarted()

    def restarted(self):
        """Make the stages anew: they keep nothing, all is in rows."""
        begin, read = self.store.begin, self.store.read
        tracing = NoTracing()
        self.pinning = Pinning(
            begin, read, self.clock, self.policy, self.solver, tracing, self.changes, LEASE, self.standing
        )
        self.deciding = Deciding(begin, read, self.clock, self.policy, self.solver, tracing, self.changes, LEASE)
        self.submitting = Submitting(begin, self.clock, self.market_clock, self.execution, tracing, self.changes, LEASE)
        self.following = Following(begin, read, self.clock, self.execution, tracing, self.changes)
        self.reporting = Reporting(read, begin, self.clock, self.policy)
        self.keeping = Keeping(begin, self.clock, self.market_clock, tracing, self.changes)
        values = ValueSessions(self.database)
        self.valuing = Valuing(values.read, values.begin, self.clock, self.policy)

    async def ingest(self, *accounts, prices=None, as_of=CLOSE, **said):
        header = a_header("VTI", "BND", "AAPL", as_of_time=as_of, **said)
        snapshot = await self.books.check_book(header, [columns(*accounts)])
        await self.books.record_book(snapshot, header, [columns(*accounts)])
        await self.ingest_prices(prices)
        days = [date(2022, 8, 1) + timedelta(days=each) for each in range(120)]
        random = np.random.default_rng(7)
        daily = random.normal(0, 0.005, (3, len(days))) + np.outer([1, 0.3, 1.2], random.normal(0, 0.01, len(days)))
        moves = daily.cumsum(axis=1)
        closes = np.rint(np.exp(moves) * 100_000).astype(int)
        await self.prices.ingest_history(
            HistoryColumns(
                "vendor-a",
                CLOSE,
                list(PRICES),
                [(each - EPOCH).days for each in days],
                Numbers(closes.ravel().tolist(), 3),
            )
        )

    async def ingest_prices(self, prices=None, as_of=CLOSE):
        quoted = prices or PRICES
        units = [int(price * 1000) for price in quoted.values()]
        return await self.prices.ingest_prices(
            PriceColumns("vendor-a", as_of, list(quoted), Numbers(units, 3)), None, ()
        )

    async def start(self, *account_ids, actor="erin", request_id="r-1", **wish):
        started = await self.runs.start_run(
            RunWish(account_ids, **wish), actor=actor, request_id=request_id, trace_parent=self.trace_parent
        )
        return started.run.run_id

    async def decide_all(self):
        await self.pinning.step()
        while await self.deciding.step():
            pass

    async def settle(self):
        """Take every step there is until nothing happens any more."""
        steps = (self.pinning.step, self.deciding.step, self.submitting.step, self.keeping.step)
        while any([await step() for step in steps]):
            pass

    async def run_to_the_end(self, *account_ids, **wish):
        run_id = await self.start(*account_ids, **wish)
        await self.settle()
        await self.fill_all(run_id)
        await self.settle()
        return await self.runs.get_run(run_id)

    async def fill_all(self, run_id):
        for plan in await self.plans_of(run_id):
            if plan.state is PlanState.WORKING:
                self.execution.fill(await self.plans.get_plan(plan.plan_id), self.trace_parent)
        await self.following.follow()

    async def all_plans(self):
        """Return every plan, by account."""
        return sorted(await self.plans.list_plans(PlanFilter(), None, 1000), key=lambda each: each.account_id)

    async def plans_of(self, run_id: RunId):
        return await self.plans.list_plans(PlanFilter(run_id=run_id), None, 1000)

    async def plan_of(self, run_id, account_id):
        (found,) = await self.plans.list_plans(PlanFilter(run_id=run_id, account_id=account_id), None, 10)
        return await self.plans.get_plan(found.plan_id)

    async def states(self, run_id):
        return Counter(each.state for each in await self.plans_of(run_id))

    async def events(self, prefix=""):
        """Return the kinds of all events, in order."""
        outbox = self.database.outbox
        async with self.database.read() as connection:
            rows = await connection.execute(select(outbox.c.kind).order_by(outbox.c.seq))
            return [each for each in rows.scalars() if each.startswith(prefix)]

    async def live_accounts_once(self):
        """Every account has at most one live plan."""
        live = [
            each.account_id
            for each in await self.plans.list_plans(PlanFilter(), None, 1000)
            if each.state in LIVE_STATES
        ]
        return len(live) == len(set(live))
