"""Plans by the law of other countries than the United States, in the currency in which each reckons its tax."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from google.type import money_pb2

from evenkeel.decision.v1 import explanation_pb2 as explanation_pb
from evenkeel.decision.v1 import plan_service_pb2 as pb
from evenkeel.policy.v1 import policy_document_pb2 as document_pb
from services.decision.domain.asset_kinds import AssetKind
from services.decision.domain.tax.laws import LAWS
from tests.decision.api.messages import amount, figure
from tests.decision.api.running import serving
from tests.decision.books import MORNING, an_account, lot
from tests.decision.stages.world import a_policy, needs_trades, number


def money(units, currency):
    return money_pb2.Money(currency_code=currency, units=units)


@pytest.fixture
def served(decision_database, tmp_path):
    """Serve in the currency of a country's law."""
    return lambda law: serving(decision_database, tmp_path, currency=LAWS[law].currency)


async def test_an_account_in_another_currency_than_its_law_is_refused_by_itself_and_the_others_are_planned(running):
    world = running.world
    british = document_pb.TaxSettings(jurisdiction="GB", long_term_rate=number("0.24"))
    world.policy.own["a1"] = world.policy.own["isa"] = a_policy(tax=british)
    sheltered = needs_trades("isa")
    await world.ingest(needs_trades("a1"), needs_trades("a2"), replace(sheltered, tax_wrapper="TAX_WRAPPER_EXEMPT"))
    previewed = (await running.plans().PreviewPlan(pb.PreviewPlanRequest(account_id="a1"))).plans[0].plan
    run_id = await running.started()
    await world.decide_all()
    plans = (await running.plans().ListPlans(pb.ListPlansRequest(run_id=run_id))).plans

    outcomes = {each.account_id: each.outcome for each in plans}
    assert outcomes == {"a1": pb.Plan.OUTCOME_FAILED, "a2": pb.Plan.OUTCOME_TRADE, "isa": pb.Plan.OUTCOME_TRADE}
    said = (
        "TAX_RATE_MISSING: account a1 is kept in USD and taxed in GB, in GBP: plans know no rates of its days\n"
        "account.currency: must be GBP, in which the tax of GB is reckoned, was USD"
    )
    assert next(each for each in plans if each.account_id == "a1").explanation.summary == said
    assert (previewed.outcome, previewed.explanation.summary) == (pb.Plan.OUTCOME_FAILED, said)


@pytest.mark.parametrize(
    ("lost_on_shares", "shares", "sold", "said"),
    [
        # The loss of the year is on shares and the gain is not: 1,050 of it are free, 7 units that gain 150 each.
        (-1500, (), 7, "a net loss of EUR 1,500.00 on shares and a net gain of EUR 1,050.00 on all else"),
        # Both are on shares, or neither is: a gain would use up the loss, which is worth as much in a later year.
        (-1500, ("VTI",), 0, "would make a share gain of EUR 30,000.00"),
        (0, (), 0, "would make a gain of EUR 30,000.00"),
    ],
)
async def test_losses_on_shares_meet_gains_on_shares_only_in_germany(served, lost_on_shares, shares, sold, said):
    """EStG § 20 Abs. 6 Satz 4: the plan knows the pot of what it sells, and of what was lost before."""
    async with served("DE") as running:
        running.world.policy.document = a_policy(
            {"VTI": "0.50", "AAPL": "0.49"},
            tax=document_pb.TaxSettings(
                jurisdiction="DE", long_term_rate=number("0.26375"), yearly_allowance=money(1050, "EUR")
            ),
            objective=document_pb.Objective(
                tracking_variance_price_bps=number(10_000), band_excess_price_bps=number(0)
            ),
        )
        account = (
            an_account("a1", currency="EUR", cash=300, long_term_gain=-1500, share_gain=lost_on_shares)
            .holding("VTI", lot("gain", 200, 8000))
            .holding("AAPL", lot("other", 200, 26_000))
        )
        await running.world.ingest(account, currency="EUR", shares=shares)
        plan = (await running.plans().PreviewPlan(pb.PreviewPlanRequest(account_id="a1"))).plans[0].plan
        _, told = await running.planned()

        assert sum(figure(lot.quantity) for trade in plan.trades for lot in trade.lots if lot.lot_id == "gain") == sold
        assert said in " ".join([told.tax.sentence, *(each.sentence for each in told.lots)])
        kinds = {each.character for each in told.lots if each.instrument_id == "VTI"}
        of_share, of_other = explanation_pb.LotReason.CHARACTER_SHARE, explanation_pb.LotReason.CHARACTER_ANY
        assert kinds == {of_share if shares else of_other}


@pytest.mark.parametrize(("kind", "sold"), [(AssetKind.EQUITY_FUND, 10), (AssetKind.OTHER_FUND, 7)])
async def test_what_of_a_funds_gain_is_exempt_in_germany_follows_from_its_kind(served, kind, sold):
    """InvStG § 20 Abs. 1: 1,050 are free, 7 units that gain 150 each, or 10 of which 30 % of the gain is exempt."""
    async with served("DE") as running:
        running.world.policy.document = a_policy(
            {"VTI": "0.50", "AAPL": "0.49"},
            tax=document_pb.TaxSettings(
                jurisdiction="DE", long_term_rate=number("0.26375"), yearly_allowance=money(1050, "EUR")
            ),
            objective=document_pb.Objective(
                tracking_variance_price_bps=number(10_000), band_excess_price_bps=number(0)
            ),
        )
        account = (
            an_account("a1", currency="EUR", cash=300)
            .holding("VTI", lot("gain", 200, 8000))
            .holding("AAPL", lot("other", 200, 26_000))
        )
        await running.world.ingest(account, currency="EUR", kinds={"VTI": kind})
        plan, told = await running.planned()
        (lot_sold,) = [each for trade in plan.trades for each in trade.lots]

        assert (figure(lot_sold.quantity), amount(lot_sold.tax)) == (sold, 0)
        assert amount(lot_sold.gain) == sold * 150
        # Absent where all of it counts.
        assert lot_sold.HasField("exempt_gain") == (kind is AssetKind.EQUITY_FUND)
        assert not lot_sold.HasField("exempt_gain") or amount(lot_sold.exempt_gain) == 450
        assert figure(told.tax.long_term_marginal_rate) == Decimal("0.26375")
        exempt = [each.sentence for each in told.lots if "of which 30.00 % are exempt" in each.sentence]
        assert bool(exempt) == (kind is AssetKind.EQUITY_FUND)


async def test_a_british_plan_sells_up_to_the_edge_of_the_basic_rate_band(served):
    """TCGA 1992 s. 1I: income of 36,200 leaves 1,500 of the band of 2022/23, 10 units that gain 150 each, at 10 %."""
    async with served("GB") as running:
        world = running.world
        account = (
            an_account("a1", currency="GBP", cash=300)
            .holding("VTI", lot("gain", 200, 8000))
            .holding("AAPL", lot("other", 200, 26_000))
        )
        await world.ingest(account, currency="GBP")

        def income_of(income):
            return a_policy(
                {"VTI": "0.50", "AAPL": "0.49"},
                tax=document_pb.TaxSettings(jurisdiction="GB", taxable_income=money(income, "GBP")),
                objective=document_pb.Objective(
                    tracking_variance_price_bps=number(800_000), band_excess_price_bps=number(0)
                ),
            )

        sold, tax = await running.sold_under(income_of(36_200))
        assert (sold, amount(tax.tax)) == (10, 150)
        assert figure(tax.long_term_marginal_rate) == Decimal("0.20")
        sold, tax = await running.sold_under(income_of(0))
        assert sold > 10
        assert figure(tax.long_term_marginal_rate) == Decimal("0.10")
        assert (await running.sold_under(income_of(60_000)))[0] < 10


async def test_a_plan_of_january_knows_what_was_realized_since_april_where_the_tax_year_began_then(served):
    """TCGA 1992 s. 1K: 3,000 of the year to 5 April are free; a sale of December has used 1,500 of them."""
    async with served("GB") as running:
        world = running.world
        world.policy.document = a_policy(
            {"VTI": "0.50", "AAPL": "0.49"},
            tax=document_pb.TaxSettings(
                jurisdiction="GB", long_term_rate=number("0.24"), yearly_allowance=money(3000, "GBP")
            ),
            objective=document_pb.Objective(
                tracking_variance_price_bps=number(10_000), band_excess_price_bps=number(0)
            ),
            data=document_pb.DataRequirements(snapshot_age_max_s=90 * 86_400),
        )
        await world.ingest(
            an_account("a1", currency="GBP", cash=300, short_term_gain=150, long_term_gain=1350)
            .holding("VTI", lot("gain", 200, 8000))
            .holding("AAPL", lot("other", 200, 26_000)),
            currency="GBP",
        )

        async def sold_on(as_of):
            world.market_clock.advance(as_of - world.market_clock.now())
            await world.ingest_prices(as_of=as_of)
            plan = (await running.plans().PreviewPlan(pb.PreviewPlanRequest(account_id="a1"))).plans[0].plan
            return sum(figure(lot.quantity) for trade in plan.trades for lot in trade.lots)

        # A unit gains 150.
        assert await sold_on(MORNING + timedelta(days=35)) == 10
        assert await sold_on(MORNING + timedelta(days=80)) == 10


@pytest.mark.parametrize(
    ("law", "rate", "allowance", "sold", "source"),
    [
        # TCGA 1992 s. 1K: the first 3,000 are free, 20 units that gain 150 each.
        ("GB", "0.24", 3000, 20, "TCGA 1992 s. 1(3), s. 1K"),
        # EStG § 20 Abs. 9: 1,050 are free, 7 units.
        ("DE", "0.26375", 1050, 7, "EStG § 20 Abs. 6, Abs. 9"),
        # ITA s. 38: half of every gain counts, so nothing is free, whatever the policy says.
        ("CA", "0.24", 3000, 0, ""),
    ],
)
async def test_a_plan_sells_up_to_the_edge_of_what_is_free_in_its_country(served, law, rate, allowance, sold, source):
    """One unit more would not be worth its tax, one less would leave what is free unused."""
    async with served(law) as running:
        running.world.policy.document = a_policy(
            {"VTI": "0.50", "AAPL": "0.49"},
            tax=document_pb.TaxSettings(
                jurisdiction=law, long_term_rate=number(rate), yearly_allowance=money(allowance, LAWS[law].currency)
            ),
            objective=document_pb.Objective(
                tracking_variance_price_bps=number(10_000), band_excess_price_bps=number(0)
            ),
        )
        account = (
            an_account("a1", currency=LAWS[law].currency, cash=300)
            .holding("VTI", lot("gain", 200, 8000))
            .holding("AAPL", lot("other", 200, 26_000))
        )
        await running.world.ingest(account, currency=LAWS[law].currency)
        plan_id = (await running.decided())["a1"]
        plan = (await running.plans().GetPlan(pb.GetPlanRequest(plan_id=plan_id))).plan
        told = await running.plans().ExplainPlan(pb.ExplainPlanRequest(plan_id=plan_id))

        assert sum(figure(lot.quantity) for trade in plan.trades for lot in trade.lots if lot.lot_id == "gain") == sold
        assert amount(told.explanation.tax) == 0
        assert told.tax.source == source
        if sold:
            assert figure(told.tax.long_term_marginal_rate) == Decimal(rate)
