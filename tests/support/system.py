"""The four services as processes, on real prices, and what must be true of them whatever happens."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import grpc.aio
from google.longrunning.operations_pb2 import Operation

from evenkeel.audit.v1 import audit_service_pb2 as audit
from evenkeel.common.v1.values_pb2 import SIDE_BUY
from evenkeel.decision.v1 import book_service_pb2 as book
from evenkeel.decision.v1 import plan_service_pb2 as plan
from evenkeel.decision.v1 import run_service_pb2 as run
from evenkeel.execution.v1 import execution_service_pb2 as execution
from tests.support.forked import forked
from tools.client.log import VerifiedLog, verify_log
from tools.client.profile import SERVICES
from tools.client.session import Evenkeel
from tools.client.values import amount, decimal, new_request_id
from tools.demo import scenario as steps
from tools.demo.reference import DESK
from tools.demo.scenario import MARKET_TIME, Scenario
from tools.local.stack import PEOPLE, LocalStack
from tools.local.traces import TraceReceiver

# Longest that a run of the tests' size may take on a busy machine.
RUN_S_MAX = 240.0
# Longest that an event may take to reach audit.
TOLD_S_MAX = 90.0
ASK_EACH_S = 0.1
PAGE = 1000
# Several shards even for a few accounts, so that a run can be stopped in between; and one process that computes,
# because each takes seconds to start.
SMALL = {
    "EVENKEEL_DECISION_SHARD_SIZE": "3",
    "EVENKEEL_DECISION_SOLVER_PROCESSES": "1",
    # Tests wait for what a cluster does in its own time.
    "EVENKEEL_DECISION_LEASE_S": "3",
    "EVENKEEL_EXECUTION_BLOCK_QUIET_S": "0.2",
    "EVENKEEL_EXECUTION_RESOLVE_AFTER_S": "0.5",
    # No test of a whole system reads its metrics; those of the people who watch a demo come every two seconds.
    "OTEL_METRIC_EXPORT_INTERVAL": "60000",
}


@dataclass(slots=True)
class System:
    """A running stack with a loaded scenario, and a connection for each person."""

    stack: LocalStack
    receiver: TraceReceiver
    scenario: Scenario
    people: dict[str, Evenkeel]
    # Positions and cash of each account before anything was traded.
    opening: dict[str, book.Account] = field(default_factory=dict)

    @property
    def platform(self) -> Evenkeel:
        """Who loads books and starts runs."""
        return self.people["platform_engineer"]

    @property
    def advisor(self) -> Evenkeel:
        """Who reads plans and approves those that wait."""
        return self.people["advisor"]

    async def whole(self) -> None:
        """Return when every service serves; start those that do not run."""
        for service in SERVICES:
            if not self.stack.running(service):
                self.stack.start(service)
        await asyncio.gather(*(self.stack.serving(service) for service in SERVICES))

    async def start_run(self, request_id: str | None = None, **request: Any) -> run.Run:
        """Start a run, over every account unless `account_ids` names some."""
        operation: Operation = await self.platform.runs.StartRun(
            run.StartRunRequest(request_id=request_id or new_request_id(), **request)
        )
        started = run.Run()
        assert operation.metadata.Unpack(started)
        return started

    async def run_when(self, run_id: str, condition: Callable[[run.Run], bool]) -> run.Run:
        """Return the run once `condition` is true of it, also over restarts of decision."""
        async with asyncio.timeout(RUN_S_MAX):
            while True:
                try:
                    found = (await self.advisor.runs.GetRun(run.GetRunRequest(run_id=run_id))).run
                except grpc.aio.AioRpcError as error:
                    if error.code() is not grpc.StatusCode.UNAVAILABLE:
                        raise
                else:
                    if condition(found):
                        return found
                await asyncio.sleep(ASK_EACH_S)

    async def finished(self, run_id: str) -> run.Run:
        """Return the run when it is done."""
        return await self.run_when(run_id, lambda found: found.state == run.Run.STATE_DONE)

    async def plans(self, run_id: str) -> list[plan.Plan]:
        """Return every plan of a run, without trades."""
        plans: list[plan.Plan] = []
        token = ""
        while True:
            page = await self.advisor.plans.ListPlans(
                plan.ListPlansRequest(run_id=run_id, page_size=PAGE, page_token=token)
            )
            plans += page.plans
            token = page.next_page_token
            if not token:
                return plans

    async def orders(self, run_id: str) -> list[execution.Order]:
        """Return every order of a run."""
        orders: list[execution.Order] = []
        token = ""
        while True:
            page = await self.advisor.execution.ListOrders(
                execution.ListOrdersRequest(run_id=run_id, page_size=PAGE, page_token=token)
            )
            orders += page.orders
            token = page.next_page_token
            if not token:
                return orders

    async def accounts(self, snapshot_id: str = "") -> dict[str, book.Account]:
        """Return every account with its positions and lots, as it is now or as a snapshot had it."""
        found = await asyncio.gather(
            *(
                self.advisor.books.GetAccount(
                    book.GetAccountRequest(account_id=client.account_id, snapshot_id=snapshot_id)
                )
                for client in self.scenario.clients
            )
        )
        return {each.account.account_id: each.account for each in found}

    async def reports(self) -> list[execution.PlanReport]:
        """Return everything execution has reported about plans."""
        reports: list[execution.PlanReport] = []
        async for batch in self.advisor.execution.StreamPlanReports(execution.StreamPlanReportsRequest()):
            reports += batch.reports
        return reports

    async def verified_log(self) -> VerifiedLog:
        """Return the audit log, recomputed from its entries against its signed checkpoint."""
        key = self.stack.profile.verifier_key
        assert key is not None
        return await verify_log(self.people["compliance_officer"], key)

    async def entries(self, **filters: Any) -> list[audit.Entry]:
        """Return the log's entries that match."""
        entries: list[audit.Entry] = []
        request = audit.StreamEntriesRequest(start_index=0, filter=audit.EntryFilter(**filters))
        async for batch in self.people["compliance_officer"].audit.StreamEntries(request):
            entries += batch.entries
        return entries

    async def told(self, kind: str, count: int, run_id: str) -> list[audit.Entry]:
        """Return the entries of `kind` about a run when there are `count` of them: the outbox ships by itself."""
        found: list[audit.Entry] = []
        try:
            async with asyncio.timeout(TOLD_S_MAX):
                while True:
                    found = await self.entries(kind=kind, subjects=[audit.Subject(kind="run", id=run_id)])
                    if len(found) >= count:
                        return found
                    await asyncio.sleep(ASK_EACH_S)
        except TimeoutError:
            raise AssertionError(f"audit has {len(found)} entries of {kind} about {run_id}, not {count}") from None


@asynccontextmanager
async def running_system(
    directory: Path, accounts: int, seed: int = 7, engine: str = "kernel"
) -> AsyncIterator[System]:
    """Start everything in `directory`, load the demo's firm with `accounts` clients, and stop it at the end."""
    async with AsyncExitStack() as closing:
        receiver = await closing.enter_async_context(TraceReceiver(directory / "traces.jsonl"))
        stack = LocalStack(
            directory,
            durable=False,
            market_time=MARKET_TIME,
            otlp_endpoint=receiver.endpoint,
            environment={**SMALL, **DESK, "EVENKEEL_DECISION_ENGINE": engine},
            launch=forked,
        )
        await closing.enter_async_context(stack)
        scenario = Scenario.build(accounts, seed)
        people = {
            person: await closing.enter_async_context(Evenkeel(stack.profile, person)) for person in sorted(PEOPLE)
        }
        system = System(stack, receiver, scenario, people)
        await steps.load_tree(scenario, system.platform)
        await steps.load_policies(scenario, people["policy_author"], people["policy_approver"])
        await steps.load_book(scenario, system.platform)
        await steps.load_prices(scenario, system.platform)
        await steps.open_market(scenario, system.platform)
        system.opening = await system.accounts()
        yield system


def a_token(system: System, subject: str, *roles: str) -> str:
    """Return a bearer token that the system's issuer signed."""
    return system.stack.issuer.token(subject, roles, timedelta(minutes=10))


async def check_invariants(system: System, finished: run.Run, account_ids: Sequence[str]) -> None:
    """Assert what must be true after a run over `account_ids`, whatever was killed during it (docs/architecture.md).

    No other run may be under way: money and units are counted over everything that the system ever did.
    """
    plans = await system.plans(finished.run_id)
    orders = await system.orders(finished.run_id)
    reports = await system.reports()
    _every_account_has_one_outcome(account_ids, finished, plans)
    _orders_are_closed_and_within_what_was_asked(orders)
    await _money_and_units_are_conserved(system, reports)
    books = await system.advisor.books.GetReconciliation(book.GetReconciliationRequest(run_id=finished.run_id))
    assert list(books.breaks) == []
    breaks = await system.advisor.execution.ListBreaks(execution.ListBreaksRequest())
    assert list(breaks.breaks) == []
    await _every_change_has_one_entry(system, finished, plans, orders, reports)
    await system.verified_log()


def _every_account_has_one_outcome(account_ids: Sequence[str], finished: run.Run, plans: list[plan.Plan]) -> None:
    assert Counter(each.account_id for each in plans) == Counter(account_ids)
    assert sum(finished.outcome_counts.values()) == finished.account_count == len(plans)
    final = {plan.Plan.STATE_DONE, plan.Plan.STATE_IDLE, plan.Plan.STATE_HELD}
    assert {each.state for each in plans} <= final
    assert finished.outcome_counts["TRADE"] > 0


def _orders_are_closed_and_within_what_was_asked(orders: list[execution.Order]) -> None:
    assert orders
    for order in orders:
        assert order.state in (execution.Order.STATE_FILLED, execution.Order.STATE_CANCELED), order
        assert 0 <= decimal(order.filled_quantity) <= decimal(order.quantity)


async def _money_and_units_are_conserved(system: System, reports: list[execution.PlanReport]) -> None:
    assert [report.position for report in reports] == list(range(1, len(reports) + 1))
    cash = {name: amount(account.cash) for name, account in system.opening.items()}
    units = {name: _units(account) for name, account in system.opening.items()}
    for report in reports:
        if report.WhichOneof("content") != "allocation":
            continue
        part = report.allocation
        sign = 1 if part.side == SIDE_BUY else -1
        units[part.account_id][part.instrument_id] += sign * decimal(part.quantity)
        cash[part.account_id] -= sign * amount(part.value) + amount(part.fees)
    now = await system.accounts()
    assert {name: amount(account.cash) for name, account in now.items()} == cash
    assert {name: _held(_units(account)) for name, account in now.items()} == {
        name: _held(held) for name, held in units.items()
    }
    for account in now.values():
        assert amount(account.cash) >= 0
        for position in account.positions:
            assert sum((decimal(lot.quantity) for lot in position.lots), Decimal(0)) == decimal(position.quantity)


async def _every_change_has_one_entry(
    system: System,
    finished: run.Run,
    plans: list[plan.Plan],
    orders: list[execution.Order],
    reports: list[execution.PlanReport],
) -> None:
    sent = {order.plan_id for order in orders}
    allocations = sum(report.WhichOneof("content") == "allocation" and report.plan_id in sent for report in reports)
    expected = {
        "decision.run.started": 1,
        "decision.plan.decided": len(plans),
        "execution.plan.accepted": len(sent),
        "decision.plan.submitted": len(sent),
        "execution.order.allocated": allocations,
        "decision.account.booked": allocations,
        "execution.order.accepted": len(orders),
        "execution.order.closed": len(orders),
        "decision.plan.done": len(sent),
    }
    for kind, count in expected.items():
        entries = await system.told(kind, count, finished.run_id)
        assert len(entries) == count, kind


def _units(account: book.Account) -> dict[str, Decimal]:
    units: dict[str, Decimal] = defaultdict(Decimal)
    for position in account.positions:
        units[position.instrument_id] += decimal(position.quantity)
    return units


def _held(units: dict[str, Decimal]) -> dict[str, Decimal]:
    return {instrument_id: quantity for instrument_id, quantity in units.items() if quantity}
