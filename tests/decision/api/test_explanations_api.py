"""PreviewPlan, ExplainPlan and ExplainNoTrade as callers see them: a real server with all interceptors."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import grpc
from google.type import money_pb2
from sqlalchemy import func, select

from evenkeel.decision.v1 import explanation_pb2 as explanation_pb
from evenkeel.decision.v1 import plan_service_pb2 as pb
from evenkeel.policy.v1 import policy_document_pb2 as document_pb
from services.decision.tables import runs as tables
from tests.decision.api.conftest import refused
from tests.decision.api.messages import amount, figure
from tests.decision.books import an_account, lot
from tests.decision.stages.world import a_policy, dollars, needs_trades, number, on_target


async def decided(running, *accounts):
    await running.world.ingest(*accounts)
    return await running.decided()


async def test_a_preview_is_the_plan_that_a_run_would_make_and_leaves_nothing_behind(running):
    await running.world.ingest(needs_trades("a1"))
    previewed = (await running.plans().PreviewPlan(pb.PreviewPlanRequest(account_id="a1"))).plans
    async with running.world.database.read() as connection:
        kept = (await connection.execute(select(func.count()).select_from(tables.plan))).scalar_one()
    run_id = await running.started()
    await running.world.decide_all()
    plan = (await running.plans().ListPlans(pb.ListPlansRequest(run_id=run_id))).plans[0]
    plan = (await running.plans().GetPlan(pb.GetPlanRequest(plan_id=plan.plan_id))).plan

    assert kept == 0
    (hypothetical,) = [each.plan for each in previewed]
    assert (hypothetical.state, hypothetical.plan_id, hypothetical.run_id) == (pb.Plan.STATE_PREVIEW, "", "")
    assert hypothetical.trades == plan.trades
    assert hypothetical.certificate == plan.certificate
    assert hypothetical.explanation == plan.explanation


async def test_scenarios_stand_side_by_side_with_what_they_change(running):
    await running.world.ingest(needs_trades("a1"))
    wider = document_pb.PolicyDocument(
        bands=document_pb.Bands(
            trigger=document_pb.Distance(absolute=number("0.5")),
            destination=document_pb.Distance(absolute=number("0.4")),
        )
    )
    scenarios = [
        explanation_pb.Scenario(name="as it is"),
        explanation_pb.Scenario(name="deposit", deposit=dollars(50_000)),
        explanation_pb.Scenario(name="wide bands", policy_document=wider.SerializeToString()),
        explanation_pb.Scenario(
            name="cheap", prices=[explanation_pb.HypotheticalPrice(instrument_id="VTI", price=number("95"))]
        ),
        explanation_pb.Scenario(name="leave VTI", untouched_instrument_ids=["VTI"]),
        explanation_pb.Scenario(name="withdrawal", withdrawal=dollars(10_000)),
    ]
    response = await running.plans().PreviewPlan(pb.PreviewPlanRequest(account_id="a1", scenarios=scenarios))
    plans = {each.name: each for each in response.plans}

    # 500 VTI at 190 and 1,000 of cash.
    assert amount(plans["as it is"].plan.explanation.account_value) == 96_000
    assert not plans["as it is"].HasField("beside_first")
    assert amount(plans["deposit"].plan.explanation.account_value) == 146_000
    assert amount(plans["cheap"].plan.explanation.account_value) == 48_500
    assert plans["wide bands"].plan.explanation.no_trade_reason == explanation_pb.NO_TRADE_REASON_WITHIN_BANDS
    assert "VTI" not in {trade.instrument_id for trade in plans["leave VTI"].plan.trades}
    assert amount(plans["withdrawal"].plan.explanation.account_value) == 86_000
    assert amount(plans["withdrawal"].plan.explanation.cash_after) >= 10_000
    beside = plans["leave VTI"].beside_first
    worse = figure(plans["leave VTI"].plan.certificate.primal_bps) + figure(
        plans["leave VTI"].plan.certificate.rounding_bps
    )
    worse -= figure(plans["as it is"].plan.certificate.primal_bps) + figure(
        plans["as it is"].plan.certificate.rounding_bps
    )
    assert abs(figure(beside.objective_bps) - worse) <= Decimal("0.00001")
    # Another account value is another objective.
    assert not plans["deposit"].beside_first.HasField("objective_bps")


async def test_a_whole_policy_takes_the_place_of_the_one_in_force(running):
    kind = document_pb.Restriction.KIND_NO_SELL
    barred = document_pb.Restriction(instrument_id="VTI", kind=kind, reason="The client asked.")
    running.world.policy.document = a_policy(restrictions=document_pb.Restrictions(items=[barred]))
    await running.world.ingest(needs_trades("a1"))
    # What a client takes back is not in the policy any more: there is nothing that would replace it.
    taken_back = a_policy()
    scenarios = [
        explanation_pb.Scenario(name="as it is"),
        explanation_pb.Scenario(name="over it", policy_document=taken_back),
        explanation_pb.Scenario(name="taken back", policy_document=taken_back, whole_policy=True),
    ]
    response = await running.plans().PreviewPlan(pb.PreviewPlanRequest(account_id="a1", scenarios=scenarios, keep=True))

    sold = [[trade.instrument_id for trade in each.plan.trades if trade.side == 2] for each in response.plans]
    assert sold == [[], [], ["VTI"]]
    assert response.plans[2].beside_first.sentence
    assert all(each.preview_id for each in response.plans)
    both = explanation_pb.Scenario(name="both", policy_document=taken_back, whole_policy=True, preset="tax-first")
    async with refused(grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID") as fields:
        await running.plans().PreviewPlan(pb.PreviewPlanRequest(account_id="a1", scenarios=[both]))
    assert set(fields) == {"scenarios[0].preset"}


async def test_a_transition_has_a_step_for_each_tax_year_within_its_budget(running):
    # 500 VTI at 190, bought for 60,000: 70 of gain a unit.
    await running.world.ingest(needs_trades("a1"))
    later = document_pb.YearlyGainBudget(tax_year=2024, amount=dollars(7_000))
    tax = document_pb.TaxSettings(
        jurisdiction="US", short_term_rate=number("0.408"), long_term_rate=number("0.238"),
        gain_budget=dollars(2_100), gain_budgets=[later],
    )  # fmt: skip
    running.world.policy.document = a_policy(tax=tax)

    meant = await running.plans().PreviewTransition(pb.PreviewTransitionRequest(account_id="a1", tax_years=3))
    at_once = document_pb.PolicyDocument(tax=document_pb.TaxSettings(gain_budget=dollars(50_000)))
    scenario = explanation_pb.Scenario(name="at once", policy_document=at_once.SerializeToString())
    other = await running.plans().PreviewTransition(
        pb.PreviewTransitionRequest(account_id="a1", tax_years=1, scenario=scenario)
    )

    assert [each.tax_year for each in meant.steps] == [2022, 2023, 2024]
    assert [amount(each.gain_budget) for each in meant.steps] == [2_100, 2_100, 7_000]
    for each in meant.steps:
        assert amount(each.gain_budget) - 1 < amount(each.realized_gain) <= amount(each.gain_budget)
        assert each.outcome == pb.Plan.OUTCOME_TRADE
    drifts = [figure(each.drift_after) for each in meant.steps]
    assert drifts == sorted(drifts, reverse=True)
    assert amount(meant.realized_gain) == sum(amount(each.realized_gain) for each in meant.steps)
    assert amount(meant.tax) == sum(amount(each.tax) for each in meant.steps) > 0
    assert f"USD {amount(meant.tax):,.2f} of tax" in meant.sentence
    assert amount(other.steps[0].realized_gain) > 7_000
    async with running.world.database.read() as connection:
        assert (await connection.execute(select(func.count()).select_from(tables.plan))).scalar_one() == 0


async def test_a_transition_of_an_account_that_is_held_is_refused(running):
    running.world.policy.document = a_policy(safety=document_pb.SafetyNets(paused=True))
    await running.world.ingest(needs_trades("a1"))

    async with refused(grpc.StatusCode.FAILED_PRECONDITION, "PLAN_STATE"):
        await running.plans().PreviewTransition(pb.PreviewTransitionRequest(account_id="a1", tax_years=2))
    async with refused(grpc.StatusCode.NOT_FOUND, "ACCOUNT_NOT_FOUND"):
        await running.plans().PreviewTransition(pb.PreviewTransitionRequest(account_id="nobody", tax_years=2))


async def test_philosophies_are_computed_on_the_same_inputs_in_one_call(running):
    await running.world.ingest(needs_trades("a1"))
    response = await running.plans().PreviewPlan(pb.PreviewPlanRequest(account_id="a1", philosophies=True))

    assert [each.name for each in response.plans] == [
        "policy",
        "balanced",
        "cost-first",
        "tax-first",
        "volatility-target",
    ]
    account_hashes = {each.plan.inputs.account_hash for each in response.plans}
    policies = {each.plan.inputs.policy_hash for each in response.plans}
    assert (len(account_hashes), len(policies)) == (1, 5)
    plans = {each.name: each.plan for each in response.plans}
    taxes = {name: amount(plan.explanation.tax) for name, plan in plans.items()}
    left = {name: figure(plan.explanation.tracking_error_after) for name, plan in plans.items()}
    assert taxes["tax-first"] <= taxes["balanced"] <= taxes["volatility-target"]
    assert left["volatility-target"] <= left["balanced"] <= left["tax-first"]


async def test_a_preview_says_what_can_be_withdrawn_at_most_and_what_tax_it_costs(running):
    await running.world.ingest(needs_trades("a1"))
    response = await running.plans().PreviewPlan(pb.PreviewPlanRequest(account_id="a1", largest_withdrawals=True))
    every_limit, without_gain = response.largest_withdrawals

    # 500 units at 190, bought for 60,000, and 1,000 in cash; nothing limits but the law.
    assert every_limit.limit == pb.LargestWithdrawal.LIMIT_POLICY
    assert amount(every_limit.bound) >= amount(every_limit.amount) > Decimal(95_000)
    assert amount(every_limit.tax) > 0
    assert every_limit.plan.state == pb.Plan.STATE_PREVIEW
    assert every_limit.sentence.startswith(f"At most USD {amount(every_limit.amount):,.2f} can be withdrawn")
    # Every unit has a gain: without one only the cash leaves.
    assert without_gain.limit == pb.LargestWithdrawal.LIMIT_NO_NET_GAIN
    assert Decimal(999) < amount(without_gain.amount) <= Decimal(1000)
    assert amount(without_gain.tax) == 0
    assert not (await running.plans().PreviewPlan(pb.PreviewPlanRequest(account_id="a1"))).largest_withdrawals


async def test_what_a_preview_cannot_mean_is_refused_by_field(running):
    await running.world.ingest(needs_trades("a1"))
    call = running.plans().PreviewPlan
    scenario = explanation_pb.Scenario
    euros = money_pb2.Money(currency_code="EUR", units=1)
    cases = {
        "scenarios[0].deposit": [scenario(name="a", deposit=dollars(-1))],
        "scenarios[1].name": [scenario(name="a"), scenario(name="a")],
        "scenarios[0].prices[0].price": [
            scenario(name="a", prices=[explanation_pb.HypotheticalPrice(instrument_id="VTI", price=number("0"))])
        ],
        "scenarios[0].untouched_instrument_ids[0]": [scenario(name="a", untouched_instrument_ids=["NOPE"])],
        "scenarios[0].deposit.currency_code": [scenario(name="a", deposit=euros)],
    }
    for field, scenarios in cases.items():
        async with refused(grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID") as fields:
            await call(pb.PreviewPlanRequest(account_id="a1", scenarios=scenarios))
        assert set(fields) == {field}
    async with refused(grpc.StatusCode.NOT_FOUND, "PRESET_NOT_FOUND"):
        await call(pb.PreviewPlanRequest(account_id="a1", scenarios=[scenario(name="a", preset="greed")]))
    async with refused(grpc.StatusCode.NOT_FOUND, "ACCOUNT_NOT_FOUND"):
        await call(pb.PreviewPlanRequest(account_id="nobody"))
    async with refused(grpc.StatusCode.PERMISSION_DENIED, "ROLE_MISSING"):
        await running.plans(role="trader").PreviewPlan(pb.PreviewPlanRequest(account_id="a1"))
    broken = scenario(name="broken", policy_document=b"\xff\xff")
    async with refused(grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID"):
        await call(pb.PreviewPlanRequest(account_id="a1", scenarios=[broken]))


async def test_a_plan_is_explained_by_figures_that_add_up_to_its_certificate(running):
    plan_id = (await decided(running, needs_trades("a1")))["a1"]
    told = await running.plans().ExplainPlan(pb.ExplainPlanRequest(plan_id=plan_id, what_if=True))

    value = amount(told.explanation.account_value)
    before, after = figure(told.objective_before.total_bps), figure(told.objective_after.total_bps)
    proof = told.certificate
    assert abs(before - figure(proof.idle_bps)) <= Decimal("0.00001")
    assert abs(after - figure(proof.primal_bps) - figure(proof.rounding_bps)) <= Decimal("0.00001")
    assert abs(amount(told.net_benefit) - (before - after) / 10_000 * value) <= Decimal("0.01")
    costs = [amount(each.spread) + amount(each.commission) + amount(each.impact) for each in told.trades]
    assert sum(costs) == amount(told.explanation.trading_cost)
    assert sum(amount(each.tax) for each in told.trades) == amount(told.explanation.tax)
    paid = figure(told.objective_after.cost_bps) + figure(told.objective_after.tax_bps)
    saved = before - after + paid
    assert abs(figure(told.break_even_years) - paid / saved) <= Decimal("0.001")
    assert [each.name for each in told.triggers] == ["DRIFT", "DRIFT"]
    for trade in told.trades:
        # The plan is the best there is, so no other is better by more than the gap.
        gap = figure(proof.gap_bps) + figure(proof.rounding_bps)
        assert figure(trade.resolved_without.objective_bps) >= -gap - Decimal("0.00001")
        assert trade.resolved_without.sentence
        assert trade.sentence


async def test_money_for_a_withdrawal_is_explained_beside_what_other_accounts_would_cost(running):
    running.world.policy.document = a_policy(
        {"VTI": "0.60", "BND": "0.39"},
        tax=document_pb.TaxSettings(jurisdiction="US", short_term_rate=number("0.30"), long_term_rate=number("0.20")),
    )
    account = replace(needs_trades("a1"), reserved_cash=Decimal(20_000))
    plan_id = (await decided(running, account))["a1"]
    told = await running.plans().ExplainPlan(pb.ExplainPlanRequest(plan_id=plan_id))

    assert amount(told.raised.amount) == 20_000
    assert amount(told.raised.tax) == amount(told.tax.tax)
    ira, roth = told.raised.elsewhere
    assert (ira.wrapper, amount(ira.tax), amount(ira.early_charge)) == ("traditional IRA", 6000, 2000)
    assert (roth.wrapper, amount(roth.tax)) == ("Roth IRA", 0)
    kept = next(each for each in told.lots if not each.sold)
    assert (kept.gift_source, amount(kept.avoided) > 0) == ("26 U.S.C. § 170(e)", True)


async def test_no_trade_is_explained_by_instrument_with_what_a_rebalance_would_bring(running):
    plans = await decided(running, on_target("a1"), needs_trades("a2"))
    told = await running.plans().ExplainNoTrade(pb.ExplainNoTradeRequest(account_id="a1"))
    listed = await running.plans().ListPlans(
        pb.ListPlansRequest(no_trade_reason=explanation_pb.NO_TRADE_REASON_WITHIN_BANDS)
    )

    assert told.plan_id == plans["a1"]
    assert told.reason == explanation_pb.NO_TRADE_REASON_WITHIN_BANDS
    assert {each.instrument_id for each in told.instruments} == {"VTI", "BND"}
    assert told.regardless.state == pb.Plan.STATE_PREVIEW
    assert [each.account_id for each in listed.plans] == ["a1"]
    traded = await running.plans().ListPlans(pb.ListPlansRequest(outcome=pb.Plan.OUTCOME_TRADE))
    assert [each.account_id for each in traded.plans] == ["a2"]
    async with refused(grpc.StatusCode.NOT_FOUND, "INSTRUMENT_UNKNOWN"):
        await running.plans().ExplainNoTrade(pb.ExplainNoTradeRequest(account_id="a1", instrument_id="AAPL"))
    async with refused(grpc.StatusCode.NOT_FOUND, "PLAN_NOT_FOUND"):
        await running.plans().ExplainNoTrade(pb.ExplainNoTradeRequest(account_id="a1", plan_id=plans["a2"]))


async def test_an_account_that_is_paused_or_refused_says_so_when_asked(running):
    running.world.policy.own = {
        "a1": a_policy(safety=document_pb.SafetyNets(paused=True)),
        "a2": a_policy({"VTI": "0.6", "AAPL": "0.38"}),
    }
    plans = await decided(running, needs_trades("a1"), needs_trades("a2"))
    paused = await running.plans().ExplainNoTrade(pb.ExplainNoTradeRequest(account_id="a1"))
    failed = await running.plans().ExplainNoTrade(pb.ExplainNoTradeRequest(account_id="a2"))

    assert (paused.reason, failed.reason) == (
        explanation_pb.NO_TRADE_REASON_PAUSED,
        explanation_pb.NO_TRADE_REASON_FAILED,
    )
    assert "pauses" in paused.sentence
    assert "0.99" in failed.sentence
    async with refused(grpc.StatusCode.FAILED_PRECONDITION, "PLAN_STATE"):
        await running.plans().ExplainPlan(pb.ExplainPlanRequest(plan_id=plans["a2"]))


async def test_a_kept_preview_states_its_error_once_a_plan_has_come(running):
    await running.world.ingest(needs_trades("a1"))
    narrower = document_pb.PolicyDocument(
        bands=document_pb.Bands(destination=document_pb.Distance(absolute=number("0.02")))
    )
    scenarios = [
        explanation_pb.Scenario(name="as it is"),
        explanation_pb.Scenario(name="narrower", policy_document=narrower.SerializeToString()),
        explanation_pb.Scenario(name="dearer", prices=[{"instrument_id": "VTI", "price": number(200)}]),
    ]
    request = pb.PreviewPlanRequest(account_id="a1", scenarios=scenarios, keep=True)
    first = (await running.plans().PreviewPlan(request)).plans
    again = (await running.plans().PreviewPlan(request)).plans
    assert [each.preview_id for each in first] == [each.preview_id for each in again]
    unkept = (await running.plans().PreviewPlan(pb.PreviewPlanRequest(account_id="a1"))).plans
    assert unkept[0].preview_id == ""

    waiting = await running.plans().ListPreviews(pb.ListPreviewsRequest(account_id="a1"))
    assert [each.name for each in waiting.previews] == ["dearer", "narrower", "as it is"]
    assert not any(each.plan_id or each.HasField("error") for each in waiting.previews)
    assert (waiting.measured_count, waiting.HasField("mean_absolute_error")) == (0, False)

    running.world.clock.advance(timedelta(seconds=1))
    run_id = await running.started()
    await running.world.decide_all()
    plan = await running.world.plan_of(run_id, "a1")

    told = await running.plans().ListPreviews(pb.ListPreviewsRequest(account_id="a1"))
    dearer, narrow, same = told.previews
    assert {each.plan_id for each in told.previews} == {plan.plan_id}
    # On the same inputs the production engine does the same.
    assert list(same.differing_inputs) == []
    assert same.decided == same.previewed
    assert (figure(same.error.turnover), amount(same.error.tax), amount(same.error.trading_cost)) == (0, 0, 0)
    # Otherwise the error has a cause.
    assert list(narrow.differing_inputs) == [pb.KeptPreview.INPUT_POLICY]
    assert figure(narrow.error.turnover) == figure(narrow.decided.turnover) - figure(narrow.previewed.turnover) > 0
    assert list(dearer.differing_inputs) == [pb.KeptPreview.INPUT_PRICES]
    errors = [abs(figure(each.error.turnover)) for each in told.previews]
    assert told.measured_count == 3
    assert figure(told.mean_absolute_error.turnover) == round(sum(errors) / 3, 8) > 0

    page = await running.plans().ListPreviews(pb.ListPreviewsRequest(account_id="a1", page_size=2))
    rest = await running.plans().ListPreviews(
        pb.ListPreviewsRequest(account_id="a1", page_size=2, page_token=page.next_page_token)
    )
    assert [each.name for each in (*page.previews, *rest.previews)] == ["dearer", "narrower", "as it is"]
    assert not (await running.plans().ListPreviews(pb.ListPreviewsRequest(account_id="a2"))).previews


async def test_gains_and_losses_of_one_plan_meet_before_they_are_taxed(running):
    """Lots alone show a credit of 106.50 where 139 are owed: the call tells the true tax, and each lot's part."""
    excluded = document_pb.Restriction.KIND_EXCLUDED
    running.world.policy.document = a_policy(
        {"AAPL": "0.99"},
        tax=document_pb.TaxSettings(jurisdiction="US", short_term_rate=number("0.30"), long_term_rate=number("0.20")),
        restrictions=document_pb.Restrictions(
            items=[
                document_pb.Restriction(instrument_id=each, kind=excluded, reason="the client wants none")
                for each in ("VTI", "BND")
            ]
        ),
    )
    account = (
        an_account("a1", cash=300)
        .holding("VTI", lot("gain", 50, 6350))
        .holding("BND", lot("loss", 100, 9655, acquired="2022-08-01"))
        .holding("AAPL", lot("other", 10, 1200))
    )
    plan_id = (await decided(running, account))["a1"]
    told = await running.plans().ExplainPlan(pb.ExplainPlanRequest(plan_id=plan_id))
    plan = (await running.plans().GetPlan(pb.GetPlanRequest(plan_id=plan_id))).plan

    assert (amount(told.tax.alone), amount(told.tax.tax)) == (Decimal("-106.50"), 139)
    assert amount(told.explanation.tax) == 139
    assert "139.00" in told.tax.sentence
    assert "26 U.S.C. § 1222" in told.tax.source
    # Plan, explanation, certificate and lots say one figure.
    sold = {each.lot_id: each for trade in plan.trades for each in trade.lots}
    assert sum(amount(each.tax) for each in sold.values()) == 139
    assert {lot_id: figure(each.rate) for lot_id, each in sold.items()} == {
        "gain": Decimal("0.2"),
        "loss": Decimal("0.2"),
    }
    value = amount(told.explanation.account_value)
    assert abs(figure(told.objective_after.tax_bps) - 139 / value * 10_000) <= Decimal("0.0001")
    reasons = {(each.lot_id, each.sold): each for each in told.lots}
    assert set(reasons) == {("gain", True), ("loss", True), ("other", False)}
    assert amount(reasons["loss", True].tax) == -491
    assert reasons["gain", True].character == explanation_pb.LotReason.CHARACTER_LONG
    assert reasons["other", False].source == "26 U.S.C. § 1222(3), (4)"
    # The loss that is realized is compared with waiting; gains are not.
    waiting = reasons["loss", True].waiting
    assert waiting.sentence in reasons["loss", True].sentence
    assert (waiting.years, waiting.source) == (1, "26 U.S.C. § 1091(a)")
    flat = waiting.outlooks[0]
    assert amount(flat.advantage) == amount(flat.taxes_waiting) - amount(flat.taxes_now) - amount(waiting.trading_cost)
    assert len(waiting.outlooks) == 3
    assert not any(each.HasField("waiting") for (_, sold), each in reasons.items() if amount(each.gain) >= 0)


async def test_an_american_plan_sells_up_to_the_edge_of_the_bracket_without_tax(running):
    """26 U.S.C. § 1(h)(1), 2022, single: 41,675 at 0 %, so 1,500 of long-term gain are left of 40,175 of income."""
    account = (
        an_account("a1", cash=300).holding("VTI", lot("gain", 200, 8000)).holding("AAPL", lot("other", 200, 26_000))
    )
    await running.world.ingest(account)

    def income_of(income):
        return a_policy(
            {"VTI": "0.50", "AAPL": "0.49"},
            tax=document_pb.TaxSettings(
                jurisdiction="US", taxable_income=dollars(income), filing_status="FILING_STATUS_SINGLE"
            ),
            objective=document_pb.Objective(tracking_variance_price_bps=number(8_000), band_excess_price_bps=number(0)),
        )

    sold, tax = await running.sold_under(income_of(40_175))
    assert (sold, amount(tax.tax)) == (10, 0)
    assert figure(tax.long_term_marginal_rate) == Decimal("0.15")
    sold, tax = await running.sold_under(income_of(0))
    assert sold > 10
    assert (amount(tax.tax), figure(tax.long_term_marginal_rate)) == (0, 0)


async def test_a_limit_on_names_is_previewed_decided_and_explained(running):
    account = an_account("a1", cash=5_000).holding("VTI", lot("l1", 200, 30_000)).holding("BND", lot("l2", 400, 30_000))
    account = account.holding("AAPL", lot("l3", 100, 12_000))
    mix = {"VTI": "0.5", "BND": "0.34", "AAPL": "0.15"}
    running.world.policy.document = a_policy(mix, risk=document_pb.RiskLimits(names_limit=2))
    three = document_pb.PolicyDocument(risk=document_pb.RiskLimits(names_limit=3))
    one_of_three = document_pb.PolicyDocument(
        risk=document_pb.RiskLimits(names_limit=1), cost=document_pb.CostSettings(turnover_limit=number("0.1"))
    )
    plan_id = (await decided(running, account))["a1"]
    scenarios = [
        explanation_pb.Scenario(name="as it is"),
        explanation_pb.Scenario(name="one more", policy_document=three.SerializeToString()),
        explanation_pb.Scenario(name="one", policy_document=one_of_three.SerializeToString()),
    ]
    previewed = (await running.plans().PreviewPlan(pb.PreviewPlanRequest(account_id="a1", scenarios=scenarios))).plans
    told = await running.plans().ExplainPlan(pb.ExplainPlanRequest(plan_id=plan_id))

    two, room, conflict = [each.plan for each in previewed]
    assert {trade.instrument_id: trade.quantity.value for trade in two.trades}["AAPL"] == "100"
    (limit,) = [each for each in told.explanation.binding_constraints if each.name == "NAMES"]
    assert limit.limit.value == "2"
    assert limit.sentence.startswith("At most 2 instruments are held. One more would be worth up to ")
    (sold,) = [each for each in told.trades if each.instrument_id == "AAPL"]
    assert sold.required_by == "NAMES"
    assert "AAPL" not in {trade.instrument_id for trade in room.trades if trade.quantity.value == "100"}
    assert conflict.outcome == pb.Plan.OUTCOME_INFEASIBLE
    said = conflict.explanation.summary
    assert "At most 1 instrument may be held; At most 10.00 % of the account may be traded" in said
    assert "the most instruments that may be held, 1, would have to give way by " in said
