"""What a policy may say beside targets and bands, in a whole run: what is held, what waits, what is left alone."""

from datetime import timedelta
from decimal import Decimal

import pytest

from evenkeel.policy.v1 import policy_document_pb2 as document_pb
from services.decision.domain.decision import TriggerKind
from services.decision.domain.plan import PlanOutcome, PlanState
from tests.decision.books import CLOSE, an_account, lot
from tests.decision.stages.world import a_policy, dollars, needs_trades, number, on_target

CONSENT = document_pb.ClientTerms(required_consents=["mandate"], missing_consents=["mandate"])


async def test_an_account_is_held_by_what_is_missing_or_beyond_belief(world):
    await world.ingest(*(needs_trades(each) for each in ("a1", "a2", "a3", "a4")))
    world.policy.own["a1"] = a_policy(client=CONSENT)
    world.policy.own["a2"] = a_policy(
        targets=document_pb.Targets(problem="models may not stand for themselves: m → m"),
        safety=document_pb.SafetyNets(paused=True),
    )
    world.policy.own["a3"] = a_policy(safety=document_pb.SafetyNets(pause_drift=number("0.3")))
    world.policy.own["a4"] = a_policy(
        triggers=document_pb.Triggers(net_benefit_minimum=dollars(1_000_000)),
        client=document_pb.ClientTerms(required_consents=["mandate"]),
    )

    done = await world.run_to_the_end()

    notes = {}
    for account_id in ("a1", "a2", "a3", "a4"):
        plan = await world.plan_of(done.run.run_id, account_id)
        assert (plan.outcome, plan.state) == (PlanOutcome.NO_TRADE, PlanState.IDLE)
        notes[account_id] = plan.content.note
    assert notes["a1"] == "The policy holds this account: no valid consent is on record: mandate."
    assert notes["a2"] == "The policy holds this account: models may not stand for themselves: m → m."
    assert "BND is 0.3900 away from its target, more than 0.3" in notes["a3"]
    assert world.execution.taken == {}


async def test_a_plan_waits_for_a_person_above_what_the_policy_lets_a_machine_do(world):
    await world.ingest(*(needs_trades(each) for each in ("a1", "a2", "a3", "a4", "a5")))
    world.policy.own["a1"] = a_policy(risk=document_pb.RiskLimits(volatility_limit=number("0.0001")))
    world.policy.own["a2"] = a_policy(
        cost=document_pb.CostSettings(spread_bps=number(100)),
        safety=document_pb.SafetyNets(review_cost_bps=number("0.5")),
    )
    world.policy.own["a3"] = a_policy(
        targets=document_pb.Targets(
            weights=[
                document_pb.TargetWeight(instrument_id=each, weight=number(weight))
                for each, weight in (("VTI", "0.6"), ("BND", "0.39"))
            ],
            cash_weight=number("0.01"),
            account_minimum=dollars(10_000_000),
        )
    )
    world.policy.own["a4"] = a_policy(
        risk=document_pb.RiskLimits(
            volatility_limit=number("9"), tail_loss_limit=number("0.9"), drawdown_limit=number("0.9")
        )
    )
    world.policy.own["a5"] = a_policy(
        risk=document_pb.RiskLimits(tail_loss_limit=number("0.0002"), drawdown_limit=number("0.0001"))
    )

    done = await world.run_to_the_end()

    reasons = {}
    for account_id in ("a1", "a2", "a3", "a4", "a5"):
        plan = await world.plan_of(done.run.run_id, account_id)
        reasons[account_id] = plan.review_reasons
        assert plan.state is (PlanState.DONE if account_id == "a4" else PlanState.HELD)
    assert reasons["a1"][0].startswith("volatility 0.")
    assert reasons["a1"][0].endswith("exceeds 0.0001")
    assert reasons["a2"][0].startswith("trading cost of ")
    assert reasons["a3"][0].startswith("the account's value of ")
    assert reasons["a3"][0].endswith(" is below 10000000 USD")
    assert reasons["a4"] == ()
    tail, fall = reasons["a5"]
    assert tail.startswith("the expected loss of 0.")
    assert tail.endswith("in the worst 5% of years after the plan exceeds 0.0002")
    assert fall.startswith("the largest fall of 0.")
    # Both are multiples of the same volatility.
    loss, drawdown = (float(next(each for each in words.split() if each.startswith("0."))) for words in (tail, fall))
    assert loss / drawdown == pytest.approx(2.0627 / 1.2533, rel=1e-2)


async def test_what_an_issuer_may_weigh_is_kept_by_the_plan(world):
    await world.ingest(needs_trades("a1"))
    world.policy.own["a1"] = a_policy(
        {"VTI": "0.5", "BND": "0.49"},
        risk=document_pb.RiskLimits(issuer_weight_limit=number("0.3")),
    )

    done = await world.run_to_the_end()

    plan = await world.plan_of(done.run.run_id, "a1")
    after = {each.instrument_id: each.weight_after for each in plan.content.decision.explanation.trades}
    # VTI is above the limit and may fall; BND's issuer is bought up to it and no further.
    assert plan.state is PlanState.DONE
    assert Decimal("0.29") < after["BND"] <= Decimal("0.3")


def asked_by(plan):
    return {each.kind for each in plan.content.decision.explanation.triggers}


async def test_money_that_came_asks_for_a_look_and_what_trades_moved_does_not(world):
    world.policy.document = a_policy(
        bands=document_pb.Bands(trigger=document_pb.Distance(absolute=number("0.2"))),
        triggers=document_pb.Triggers(cash_flow_minimum=dollars(5_000)),
    )
    accounts = (on_target("a1"), on_target("a2"), needs_trades("a3"))
    await world.ingest(*accounts)
    first = await world.run_to_the_end(request_id="r-1")
    assert (await world.plan_of(first.run.run_id, "a3")).state is PlanState.DONE
    assert (await world.plan_of(first.run.run_id, "a1")).inputs.cash_flow == 0

    # What a3 traded moved its cash, and nothing else did.
    world.market_clock.advance(timedelta(minutes=1))
    second = await world.run_to_the_end(request_id="r-2")
    assert (await world.plan_of(second.run.run_id, "a3")).inputs.cash_flow == 0

    later = CLOSE + timedelta(hours=1)
    richer = (an_account("a1", cash=6_000), an_account("a2", cash=5_999))
    held = (("VTI", "315.789", 60_000), ("BND", "541.667", 40_000))
    for name, units, basis in held:
        richer = [each.holding(name, lot(f"{each.account_id}-{name}", units, basis)) for each in richer]
    await world.ingest(*richer, as_of=later)
    third = await world.run_to_the_end("a1", "a2", request_id="r-3")

    deposit = await world.plan_of(third.run.run_id, "a1")
    assert deposit.inputs.cash_flow == 5_000
    assert TriggerKind.CASH_FLOW in asked_by(deposit)
    assert asked_by(await world.plan_of(third.run.run_id, "a2")) == set()
    # The flow is part of what the plan is a function of.
    assert (await world.plans.replay_plan(deposit.plan_id)).identical


@pytest.mark.parametrize(
    ("method", "first"),
    [
        (document_pb.LOT_METHOD_LOWEST_TAX, "middle"),
        (document_pb.LOT_METHOD_FIRST_IN_FIRST_OUT, "oldest"),
        (document_pb.LOT_METHOD_HIGHEST_COST, "newest"),
    ],
)
async def test_a_sale_takes_lots_as_the_policy_says(world, method, first):
    # A unit is worth 190. The newest cost most, and its short-term gain is taxed more than the middle one's.
    lots = (
        lot("oldest", 200, 200 * 100, "2015-01-02"),
        lot("middle", 200, 200 * 179, "2016-01-02"),
        lot("newest", 200, 200 * 180, "2022-10-03"),
    )
    await world.ingest(an_account("a1", cash=1000).holding("VTI", *lots))
    world.policy.document = a_policy(
        tax=document_pb.TaxSettings(
            jurisdiction="US", short_term_rate=number("0.408"), long_term_rate=number("0.238"), lot_method=method
        )
    )

    done = await world.run_to_the_end()

    (sale,) = [each for each in (await world.plan_of(done.run.run_id, "a1")).content.decision.trades if each.lot_sales]
    sold = {each.lot_id: each.quantity for each in sale.lot_sales}
    assert sold[first] == min(sale.quantity, 200)


def taxed(**said):
    settings = document_pb.TaxSettings(
        jurisdiction="US", short_term_rate=number("0.408"), long_term_rate=number("0.15"), **said
    )
    return a_policy(tax=settings)


def sold_of(plan):
    return [sale for trade in plan.content.decision.trades for sale in trade.lot_sales]


async def test_gains_are_harvested_up_to_the_room_without_tax(world):
    # A unit is worth 190.
    lots = (lot("dear", 250, 250 * 189, "2015-01-02"), lot("cheap", 250, 250 * 90, "2015-01-02"))
    names = ("plain", "harvests", "used", "short")
    await world.ingest(
        *(an_account(each, cash=1000).holding("VTI", *lots) for each in names[:2]),
        an_account("used", cash=1000, long_term_gain=6_000).holding("VTI", *lots),
        an_account("short", cash=1000).holding("VTI", lot("young", 500, 500 * 90, "2022-10-03")),
    )
    room = taxed(gain_harvest_room=dollars(6_000))
    world.policy.own = {"plain": taxed(), **dict.fromkeys(names[1:], room)}
    run_id = await world.start()
    await world.decide_all()
    plain, harvests, used, short = [await world.plan_of(run_id, each) for each in names]

    # Left to itself a sale takes what is dear; within the room it takes what is cheap, and no tax falls due.
    assert {sale.lot_id for sale in sold_of(plain)} == {"dear"}
    assert plain.content.decision.explanation.summary.tax_realized > 0
    assert "cheap" in {sale.lot_id for sale in sold_of(harvests)}
    said = harvests.content.decision.explanation.summary
    assert Decimal(5_800) < said.gain_long <= Decimal(6_000)
    assert said.tax_realized == 0
    (sale,) = [each for each in harvests.content.decision.explanation.trades if each.side == "SELL"]
    assert "in this year's room without tax, it saves USD " in sale.sentence
    # Gains of the year have used the room up: as if there were none.
    assert {each.lot_id for each in sold_of(used)} == {"dear"}
    assert used.content.decision.explanation.summary.tax_realized > 0
    # What is short-term is taxed as ever, and stays within the room too.
    assert short.content.decision.explanation.summary.tax_realized > 0
    assert short.content.decision.explanation.summary.gain_short <= 6_000
    for plan in (harvests, short):
        assert (await world.plans.replay_plan(plan.plan_id)).identical_content


async def test_a_year_may_have_a_gain_budget_of_its_own(world):
    budgets = [document_pb.YearlyGainBudget(tax_year=each, amount=dollars(each - 2_020)) for each in (2022, 2023)]
    await world.ingest(*(needs_trades(each) for each in ("a1", "a2")))
    # The world's prices are of 2022.
    world.policy.own = {
        "a1": taxed(gain_budget=dollars(500), gain_budgets=budgets),
        "a2": taxed(gain_budget=dollars(500), gain_budgets=budgets[1:]),
    }
    run_id = await world.start()
    await world.decide_all()

    gains = [sum(sale.gain for sale in sold_of(await world.plan_of(run_id, each))) for each in ("a1", "a2")]
    assert gains[0] <= 2
    assert 400 < gains[1] <= 500


async def test_short_term_gains_wait_unless_the_account_is_riskier_than_its_client_may_be(world):
    lots = (lot("long", 50, 50 * 180, "2015-01-02"), lot("short", 450, 450 * 189, "2022-10-03"))
    await world.ingest(*(an_account(each, cash=1000).holding("VTI", *lots) for each in ("a1", "a2")))
    waits = document_pb.TaxSettings(
        jurisdiction="US",
        short_term_rate=number("0.408"),
        long_term_rate=number("0.238"),
        defer_short_term_gains=True,
    )
    for account_id, budget in (("a1", "0.9"), ("a2", "0.001")):
        client = document_pb.ClientTerms(risk_budget=number(budget))
        world.policy.own[account_id] = a_policy(tax=waits, client=client)

    done = await world.run_to_the_end()

    sold = {}
    for account_id in ("a1", "a2"):
        plan = await world.plan_of(done.run.run_id, account_id)
        sold[account_id] = {
            sale.lot_id: sale.quantity for trade in plan.content.decision.trades for sale in trade.lot_sales
        }
    # What else there is to sell goes; the rest waits for new money, or for its day.
    assert sold["a1"] == {"long": 50}
    assert sold["a2"]["short"] > 0


async def test_factors_leverage_and_a_minimum_hold_of_the_policy_are_kept_through_a_run(world):
    risk = document_pb.RiskLimits(
        factor_limits=[
            document_pb.FactorLimit(
                name="duration",
                exposures=[document_pb.FactorExposure(instrument_id="BND", exposure=number(6))],
                maximum=number("0.9"),
            )
        ],
        leverage_limit=number(1),
    )
    await world.ingest(needs_trades("a1"), needs_trades("a2"))
    world.policy.own["a1"] = a_policy(risk=risk)
    # The lots of this world were bought within the last years.
    world.policy.own["a2"] = a_policy(cost=document_pb.CostSettings(minimum_hold_days=3660))
    run_id = await world.start()
    await world.decide_all()
    limited, held = [await world.plan_of(run_id, each) for each in ("a1", "a2")]

    weights = {each.instrument_id: each.weight_after for each in limited.content.decision.explanation.trades}
    assert 6 * weights["BND"] <= Decimal("0.9")
    assert "FACTOR_MAX" in {each.kind for each in limited.content.decision.explanation.binding}
    assert "VTI" not in {trade.instrument_id for trade in held.content.decision.trades}


async def test_the_most_names_and_the_least_position_of_the_policy_are_kept_through_a_run(world):
    await world.ingest(an_account("a1", cash=100_000), needs_trades("a2"), an_account("a3", cash=5_000))
    world.policy.document = a_policy(
        risk=document_pb.RiskLimits(names_limit=1),
        bands=document_pb.Bands(minimum_position=dollars(2500), trigger=document_pb.Distance(absolute=number("0.02"))),
    )
    run_id = await world.start()
    await world.decide_all()
    one, kept, small = [await world.plan_of(run_id, each) for each in ("a1", "a2", "a3")]

    assert [trade.instrument_id for trade in one.content.decision.trades] == ["VTI"]
    (binding,) = [each for each in one.content.decision.explanation.binding if each.kind == "NAMES"]
    assert binding.sentence.startswith("At most 1 instrument is held. One more would be worth up to ")
    assert "BND" not in {trade.instrument_id for trade in kept.content.decision.trades}
    # 60 % of it would do; 39 % is too little to be held.
    assert [trade.instrument_id for trade in small.content.decision.trades] == ["VTI"]
    assert small.content.decision.trades[0].value >= 2500
    for plan in (one, kept, small):
        assert (await world.plans.replay_plan(plan.plan_id)).identical_content


async def test_no_plan_loses_more_in_a_stress_than_the_policy_allows(world):
    def crash(limit, *moves):
        stress = document_pb.StressLimit(name="2008", moves=moves, loss_limit=number(limit), source="a source")
        return a_policy(risk=document_pb.RiskLimits(stress_limits=[stress]))

    half = document_pb.StressMove(instrument_id="VTI", change=number("-0.5"))
    equity = document_pb.StressMove(asset_class="equity", change=number("-0.5"))
    bonds_too = document_pb.StressMove(instrument_id="BND", change=number("-0.1"))
    await world.ingest(an_account("a1", cash=100_000), an_account("a2", cash=100_000), needs_trades("a3"))
    world.policy.own = {
        "a1": crash("0.25", half),
        "a2": crash("0.2", equity, bonds_too),
        # Almost all in what halves, and most of it may not be sold.
        "a3": document_pb.PolicyDocument.FromString(crash("0.2", half)),
    }
    world.policy.own["a3"].cost.turnover_limit.value = "0.2"
    world.policy.own["a3"] = world.policy.own["a3"].SerializeToString(deterministic=True)
    run_id = await world.start()
    await world.decide_all()
    one, classed, beyond = [await world.plan_of(run_id, each) for each in ("a1", "a2", "a3")]

    def weights(plan):
        return {each.instrument_id: each.weight_after for each in plan.content.decision.explanation.trades}

    assert Decimal("0.24") < weights(one)["VTI"] / 2 <= Decimal("0.25")
    (binding,) = [each for each in one.content.decision.explanation.binding if each.kind == "STRESS_LOSS"]
    assert binding.sentence.startswith("In the stress 2008 the account loses at most 25.00 %.")
    said = weights(classed)
    assert Decimal("0.19") < said["VTI"] / 2 + said["BND"] / 10 <= Decimal("0.2")
    assert one.review_reasons == classed.review_reasons == ()
    # It is made better, and a person must look.
    assert weights(beyond)["VTI"] < Decimal("0.95")
    (reason,) = beyond.review_reasons
    assert "in the stress 2008 after the plan exceeds 0.2" in reason
    assert (await world.plans.replay_plan(one.plan_id)).identical_content


async def test_a_ladder_of_the_policy_makes_one_step_a_run_and_waits_between_them(world):
    await world.ingest(needs_trades("a1"))
    world.policy.document = a_policy(
        bands=document_pb.Bands(
            trigger=document_pb.Distance(absolute=number("0.02")),
            destination=document_pb.Distance(absolute=number("0.005")),
            ladder_steps=3,
            ladder_days=7,
        )
    )
    first = (await world.run_to_the_end()).run.run_id
    second = (await world.run_to_the_end(request_id="r-2")).run.run_id
    step, waits = [await world.plan_of(each, "a1") for each in (first, second)]

    assert len(step.content.decision.explanation.ladder) == 2
    assert step.state is PlanState.DONE
    assert waits.outline.no_trade_reason == "BETWEEN_STEPS"
    assert (await world.plans.replay_plan(step.plan_id)).identical_content


async def test_an_event_asks_for_accounts_inside_their_bands_and_the_plan_names_it(world):
    await world.ingest(on_target("a1"))
    run_id = (await world.run_to_the_end(event="merger of AAA and BBB")).run.run_id
    plan = await world.plan_of(run_id, "a1")

    assert [each.kind for each in plan.content.decision.explanation.triggers] == [TriggerKind.EVENT]
    assert (await world.runs.get_run(run_id)).run.event == "merger of AAA and BBB"
    assert (await world.plans.replay_plan(plan.plan_id)).identical_content


async def test_only_a_taxable_account_agrees_to_crossing_whatever_its_policy_says(world):
    agreed = document_pb.ExecutionPreferences(aggregation_consent=True, crossing_consent=True)
    deferred = an_account("a3", cash=1000, tax_wrapper="TAX_WRAPPER_DEFERRED")
    await world.ingest(needs_trades("a1"), needs_trades("a2"), deferred.holding("VTI", lot("a3-l1", 500, 60_000)))
    world.policy.own["a1"] = world.policy.own["a3"] = a_policy(execution=agreed)

    done = await world.run_to_the_end()

    plans = {each: await world.plan_of(done.run.run_id, each) for each in ("a1", "a2", "a3")}
    assert {name: plan.content.release.crossing_consent for name, plan in plans.items()} == {
        "a1": True,
        "a2": False,
        "a3": False,
    }
