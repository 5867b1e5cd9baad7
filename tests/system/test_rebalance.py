"""One rebalance through all four services: what it must leave behind."""

import re
from collections import Counter

import pytest

from evenkeel.audit.v1 import audit_service_pb2 as audit
from evenkeel.audit.v1 import report_service_pb2 as report
from evenkeel.decision.v1 import plan_service_pb2 as plan
from evenkeel.decision.v1 import run_service_pb2 as run
from evenkeel.execution.v1 import sandbox_service_pb2 as sandbox
from evenkeel.policy.v1 import policy_service_pb2 as policy
from services.audit.domain.merkle import leaf_hash, verify_inclusion
from services.runtime.wire import decimal_column, decimal_message, instant_message
from tests.support.keyboard import Keyboard
from tests.support.system import check_invariants
from tests.support.systems import TRADING, WHOLE_ACCOUNTS, on
from tools.client.values import amount, decimal, new_request_id
from tools.demo.prices import PRICE_DECIMALS
from tools.demo.reference import isin, put_on_record
from tools.demo.scenario import CURRENCY, DECISION_DAY, MARKET_TIME, SANDBOX_FEE_BPS, SANDBOX_SPREAD_BPS
from tools.local.stack import SERVICES
from tools.local.traces import Span

pytestmark = on(TRADING)

START_ID = new_request_id()
COST_PARAMETERS = ("spread_factor", "impact_coefficient")


@pytest.fixture(scope="module")
async def system(trading_system):
    await trading_system.whole()
    return trading_system


@pytest.fixture(scope="module")
def accounts(system) -> list[str]:
    return [client.account_id for client in system.scenario.clients[-WHOLE_ACCOUNTS:]]


@pytest.fixture(scope="module")
async def finished(system, accounts) -> run.Run:
    """A run at prices of the decision's day: all that trading costs is the spread, and that is half as much again."""
    prices = system.scenario.prices
    await system.platform.sandbox.LoadSandboxMarket(
        sandbox.LoadSandboxMarketRequest(
            request_id=new_request_id(),
            instrument_ids=prices.instrument_ids,
            prices=decimal_column([prices.close(each, DECISION_DAY) for each in prices.instrument_ids], PRICE_DECIMALS),
            currency=CURRENCY,
            spread_bps=decimal_message(SANDBOX_SPREAD_BPS * 3 / 2),
            fee_bps=decimal_message(SANDBOX_FEE_BPS),
            market_time=instant_message(MARKET_TIME),
        )
    )
    await put_on_record(system.scenario.clients[-WHOLE_ACCOUNTS:], system.advisor)
    started = await system.start_run(START_ID, account_ids=accounts)
    return await system.finished(started.run_id)


async def test_every_invariant_holds(system, finished, accounts):
    await check_invariants(system, finished, accounts)


async def test_no_background_work_ends_before_its_service(system, finished):
    for service in SERVICES:
        said = system.stack.log_file(service).read_text()
        assert "returned although nobody told it to end" not in said, service


async def test_drift_shrinks_and_every_plan_is_certified(system, finished):
    assert decimal(finished.summary.drift_after) < decimal(finished.summary.drift_before)
    for each in await system.plans(finished.run_id):
        if each.outcome == plan.Plan.OUTCOME_TRADE:
            proof = each.certificate
            assert decimal(proof.dual_bound_bps) <= decimal(proof.primal_bps) <= decimal(proof.idle_bps), each.plan_id
            assert decimal(proof.gap_bps) == decimal(proof.primal_bps) - decimal(proof.dual_bound_bps), each.plan_id


async def test_most_accounts_are_decided_in_columns_and_the_rest_say_so(system, finished):
    traded = [each for each in await system.plans(finished.run_id) if each.outcome == plan.Plan.OUTCOME_TRADE]

    solvers = Counter(each.certificate.solver.partition(" ")[0] for each in traded)
    assert solvers["COLUMNS"] > len(traded) / 2, solvers


@pytest.mark.parametrize(
    "name", ["order-memorandum", "mifid-orders", "mifid-transactions", "cat-linkage", "best-execution"]
)
async def test_every_field_that_a_rule_asks_of_orders_is_in_the_log(system, finished, name):
    orders = await system.orders(finished.run_id)
    await system.told("execution.order.closed", len(orders), finished.run_id)
    about = [audit.Subject(kind="run", id=finished.run_id)]
    asked = system.people["compliance_officer"].reports.GetReport(report.GetReportRequest(name=name, subjects=about))

    parts = [part async for part in asked]

    names = [each.name for each in parts[0].report.fields]
    rows = [dict(zip(names, row.values, strict=True)) for part in parts for row in part.rows]
    assert parts[-1].summary.missing == {}
    if "order_id" in names:
        assert {row["order_id"] for row in rows} == {order.order_id for order in orders}
    else:
        assert {row["isin"] for row in rows} == {
            isin(each.instrument_id) for each in orders if decimal(each.filled_quantity)
        }


async def test_starting_the_same_run_again_answers_the_first(system, finished, accounts):
    again = await system.start_run(START_ID, account_ids=accounts)

    assert again.run_id == finished.run_id


async def test_plans_replay_byte_for_byte(system, finished):
    for each in (await system.plans(finished.run_id))[:5]:
        replayed = await system.advisor.plans.ReplayPlan(plan.ReplayPlanRequest(plan_id=each.plan_id))

        assert replayed.identical, each.plan_id
        assert replayed.recorded_hash == each.plan_hash


async def test_every_sentence_of_a_trade_speaks_of_its_instrument_and_sold_lots_sum_to_it(system, finished):
    traded = [each for each in await system.plans(finished.run_id) if each.outcome == plan.Plan.OUTCOME_TRADE]
    whole = (await system.advisor.plans.GetPlan(plan.GetPlanRequest(plan_id=traded[0].plan_id))).plan

    assert whole.explanation.summary
    for trade in whole.trades:
        assert trade.instrument_id in trade.sentence
        if trade.lots:
            assert sum(decimal(lot.quantity) for lot in trade.lots) == decimal(trade.quantity)
            assert sum(amount(lot.tax) for lot in trade.lots) == amount(trade.tax)


async def test_the_large_plan_waits_for_a_person_other_than_who_started_the_run(system, finished):
    held = [each for each in await system.plans(finished.run_id) if each.state == plan.Plan.STATE_HELD]

    assert [each.account_id for each in held] == [system.scenario.clients[-1].account_id]
    assert held[0].review_reasons


async def test_anyone_can_check_that_an_entry_is_in_the_log(system, finished):
    entries = await system.told("decision.plan.decided", WHOLE_ACCOUNTS, finished.run_id)
    officer = system.people["compliance_officer"].audit
    proof = await officer.GetInclusionProof(audit.GetInclusionProofRequest(index=entries[0].index))

    assert leaf_hash(entries[0].body) == proof.leaf_hash
    verify_inclusion(
        index=proof.index,
        size=proof.checkpoint.size,
        leaf=proof.leaf_hash,
        proof=list(proof.hashes),
        root=proof.checkpoint.root_hash,
    )


async def test_a_rebalance_is_one_trace_through_all_four_services_to_the_audit_entry(system, finished):
    trace_id = finished.trace_parent.split("-")[1]
    await system.told("decision.plan.done", 1, finished.run_id)

    def names(spans: list[Span]) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for span in spans:
            found.setdefault(span.service, set()).add(span.name)
        return found

    await system.receiver.wait_for(
        lambda received: (
            {"evenkeel-policy", "evenkeel-decision", "evenkeel-execution", "evenkeel-audit"}
            <= set(names(received.trace(trace_id)))
        ),
        within_s=30,
    )
    spans = system.receiver.trace(trace_id)
    by_id = {span.span_id: span for span in spans}
    edges = {(by_id[span.parent_id].service, span.service) for span in spans if span.parent_id in by_id}

    assert {
        ("evenkeel-decision", "evenkeel-policy"),
        ("evenkeel-decision", "evenkeel-execution"),
        ("evenkeel-decision", "evenkeel-audit"),
        ("evenkeel-execution", "evenkeel-audit"),
    } <= edges
    entries = await system.entries(trace_id=trace_id)
    kinds = {entry.event.kind for entry in entries}
    assert {"decision.run.started", "decision.plan.decided", "execution.order.allocated"} <= kinds


async def test_no_span_carries_an_account_in_its_name(system, finished):
    accounts = {client.account_id for client in system.scenario.clients}

    assert not [span.name for span in system.receiver.spans if any(account in span.name for account in accounts)]


async def test_what_trading_cost_is_fitted_proposed_approved_by_another_and_decided_with(system, finished, accounts):
    profile = system.stack.directory / "profile.toml"
    system.stack.profile.save(profile)
    evenkeel = Keyboard(system.stack.directory, {"EVENKEEL_PROFILE": str(profile)})
    fit = (await evenkeel("--json", "calibrate", "--run", finished.run_id)).json
    assert abs(float(fit["spread_factor"]["value"]) - 1.5) < 0.2

    proposed = await evenkeel("calibrate", "--run", finished.run_id, "--node", "firm")
    assert proposed.code == 0, proposed.err
    approval = re.search(r"evenkeel (policy approve \S+ \S+ --etag \S+)", proposed.out).group(1).split()
    assert "ROLE_MISSING" in (await evenkeel("--as", "policy_author", *approval)).err
    assert await cost_model(system, accounts[0]) == {}
    approved = await evenkeel(*approval)
    assert approved.code == 0, approved.err

    assert await cost_model(system, accounts[0]) == {name: fit[name]["value"] for name in COST_PARAMETERS}
    again = await system.start_run(account_ids=[accounts[0]], dry_run=True)
    await system.finished(again.run_id)
    (now,) = await system.plans(again.run_id)
    (before,) = [each for each in await system.plans(finished.run_id) if each.account_id == accounts[0]]
    assert now.inputs.policy_hash != before.inputs.policy_hash
    replayed = await system.advisor.plans.ReplayPlan(plan.ReplayPlanRequest(plan_id=before.plan_id))
    assert replayed.identical


async def cost_model(system, account_id) -> dict[str, str]:
    found = await system.advisor.policy.GetEffectivePolicy(policy.GetEffectivePolicyRequest(node_id=account_id))
    cost = found.document.cost
    return {name: getattr(cost, name).value for name in COST_PARAMETERS if cost.HasField(name)}
