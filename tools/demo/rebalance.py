"""The demo's main job, as its people would do it: rules, book and prices in, a run, a person's word, and the proof."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc.aio
from google.longrunning.operations_pb2 import Operation
from rich.console import Console

from evenkeel.decision.v1 import book_service_pb2 as book
from evenkeel.decision.v1 import plan_service_pb2 as plan
from evenkeel.decision.v1 import run_service_pb2 as run
from evenkeel.execution.v1 import execution_service_pb2 as execution
from tools.cli.runs import follow_run
from tools.cli.text import money
from tools.client.log import verify_log
from tools.client.profile import Profile
from tools.client.session import Evenkeel
from tools.client.values import amount
from tools.demo import scenario as steps
from tools.demo.broker import FixBroker
from tools.demo.reference import HOUSEHOLDS_ON_RECORD, put_on_record
from tools.demo.report import Outcome
from tools.demo.scenario import Scenario

# Largest page of a list.
PAGE = 1000
# Longest that an approved plan takes to be traded and booked, and how often it is looked at.
BOOKED_S_MAX = 60.0
ASK_EACH_S = 0.1

Stage = Callable[[str, str], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class People:
    """A connection for each person who takes part; the names are those of their tokens."""

    policy_author: Evenkeel
    policy_approver: Evenkeel
    platform_engineer: Evenkeel
    advisor: Evenkeel
    trader: Evenkeel
    compliance_officer: Evenkeel


@asynccontextmanager
async def people_of(profile: Profile) -> AsyncIterator[People]:
    """Connect everybody who takes part."""
    async with AsyncExitStack() as closing:
        yield People(
            *[await closing.enter_async_context(Evenkeel(profile, person)) for person in People.__annotations__]
        )


async def load(scenario: Scenario, people: People, stage: Stage, broker: FixBroker | None = None) -> None:
    """Write the rules, and send book and prices; to the broker as well, when there is one. Safe to repeat."""
    platform = people.platform_engineer
    with stage("policies", "Rules for the firm and two models, written by one person and approved by another"):
        await steps.load_tree(scenario, platform)
        await steps.load_policies(scenario, people.policy_author, people.policy_approver)
    with stage("ingest", f"Book with {scenario.lot_count:,} tax lots, three years of closes, and the market"):
        # Prices may name only instruments that the book has told.
        await steps.load_book(scenario, platform)
        await steps.load_prices(scenario, platform)
        await steps.open_market(scenario, platform)
        await put_on_record(scenario.clients[: 2 * HOUSEHOLDS_ON_RECORD], people.advisor)
        if broker is not None:
            await broker.open_market(scenario)


async def rebalance(
    scenario: Scenario,
    people: People,
    stage: Stage,
    console: Console,
    audit_file: Path,
    broker: FixBroker | None = None,
) -> Outcome:
    """Load the scenario, rebalance every account, and check what came out of it."""
    await load(scenario, people, stage, broker)
    await show_self_approval(scenario, people, console)
    with stage("rebalance", "Every account decided, certified, checked, traded and booked"):
        operation: Operation = await people.platform_engineer.runs.StartRun(
            run.StartRunRequest(request_id=scenario.request_id("run"))
        )
        started = run.Run()
        operation.metadata.Unpack(started)
        await follow_run(people.advisor, started.run_id)
    with stage("review", "A plan too large for the rules, read and approved by a person"):
        approved = await approve_held(scenario, people.advisor, started.run_id)
        await until_done(people.advisor, approved)
    with stage("prove", "Books compared to the cent, the whole audit log read and verified"):
        found = (await people.advisor.runs.GetRun(run.GetRunRequest(run_id=started.run_id))).run
        books = await people.advisor.books.GetReconciliation(book.GetReconciliationRequest(run_id=found.run_id))
        cost = await people.trader.execution.GetCostReport(execution.GetCostReportRequest(run_id=found.run_id))
        breaks = await people.trader.execution.ListBreaks(execution.ListBreaksRequest(page_size=PAGE))
        blocks = await all_blocks(people.trader, found.run_id)
        plans = await all_plans(people.advisor, found.run_id)
        explained = [approved, await most_tax_saved(people.advisor, plans, approved)]
        with audit_file.open("wb") as file:
            log = await verify_log(people.compliance_officer, _verifier_key(people), file)
    return Outcome(
        run=found,
        lots=scenario.lot_count,
        blocks=blocks,
        cost=cost,
        books=books,
        venue_breaks=len(breaks.breaks),
        log=log,
        plans=plans,
        explained=explained,
        approver=approved.approver,
    )


async def show_self_approval(scenario: Scenario, people: People, console: Console) -> None:
    """Let the author try to approve a change of their own, and show the refusal."""
    change = await steps.propose(
        scenario, people.policy_author, steps.PROGRAM, "direct_index.yaml", "A change that nobody else has read."
    )
    try:
        await steps.approve(scenario, people.policy_author, change)
    except grpc.aio.AioRpcError as refused:
        console.print(f"[green]✓[/] Its author cannot approve a change: [dim]{refused.details()}[/]", highlight=False)
    else:
        raise AssertionError("an author approved a change of their own")


async def approve_held(scenario: Scenario, advisor: Evenkeel, run_id: str) -> plan.Plan:
    """Approve the plan that waits for a person, and return it as it is then."""
    held = await advisor.plans.ListPlans(plan.ListPlansRequest(run_id=run_id, state=plan.Plan.STATE_HELD))
    if not held.plans:
        raise AssertionError("no plan waits for a person")
    waiting = (await advisor.plans.GetPlan(plan.GetPlanRequest(plan_id=held.plans[0].plan_id))).plan
    response = await advisor.plans.ApprovePlan(
        plan.ApprovePlanRequest(
            request_id=scenario.request_id("approve", waiting.plan_id),
            plan_id=waiting.plan_id,
            plan_hash=waiting.plan_hash,
            comment=f"Deposit confirmed with the client; {money(waiting.explanation.turnover)} is as discussed.",
        )
    )
    return response.plan


async def until_done(advisor: Evenkeel, approved: plan.Plan) -> None:
    """Return when every order of `approved` is closed and booked.

    Raises:
        TimeoutError: That takes longer than `BOOKED_S_MAX`.
    """
    async with asyncio.timeout(BOOKED_S_MAX):
        while True:
            found = await advisor.plans.GetPlan(plan.GetPlanRequest(plan_id=approved.plan_id))
            if found.plan.state == plan.Plan.STATE_DONE:
                return
            await asyncio.sleep(ASK_EACH_S)


async def most_tax_saved(advisor: Evenkeel, plans: Sequence[plan.Plan], other: plan.Plan) -> plan.Plan:
    """Return the plan, other than `other`, that saves most tax, with its trades."""
    best = max(
        (each for each in plans if each.plan_id != other.plan_id), key=lambda each: amount(each.explanation.tax_saved)
    )
    return (await advisor.plans.GetPlan(plan.GetPlanRequest(plan_id=best.plan_id))).plan


async def all_plans(advisor: Evenkeel, run_id: str) -> list[plan.Plan]:
    """Return every plan of the run, without trades."""
    plans: list[plan.Plan] = []
    token = ""
    while True:
        page = await advisor.plans.ListPlans(plan.ListPlansRequest(run_id=run_id, page_size=PAGE, page_token=token))
        plans += page.plans
        token = page.next_page_token
        if not token:
            return plans


async def all_blocks(trader: Evenkeel, run_id: str) -> list[execution.Block]:
    """Return every block with orders of the run."""
    blocks: list[execution.Block] = []
    token = ""
    while True:
        page = await trader.execution.ListBlocks(
            execution.ListBlocksRequest(run_id=run_id, page_size=PAGE, page_token=token)
        )
        blocks += page.blocks
        token = page.next_page_token
        if not token:
            return blocks


def _verifier_key(people: People) -> str:
    key = people.compliance_officer.profile.verifier_key
    if key is None:
        raise AssertionError("the profile has no verifier key")
    return key
