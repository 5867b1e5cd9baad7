"""Accounts of one household, decided in one run and after each other: no loss of one is denied by another."""

from datetime import date, timedelta

from services.decision.domain.plan import PlanState
from services.decision.domain.problem import Side
from tests.decision.books import CLOSE, an_account, lot


def sells_at_a_loss(account_id, household="h1", basis=200_000):
    """All VTI, dearly bought: some of it is sold, at a loss."""
    return an_account(account_id, cash=1000, household_id=household).holding("VTI", lot(f"{account_id}-l", 500, basis))


def buys(account_id, household="h1", **words):
    """All cash: VTI and BND are bought."""
    return an_account(account_id, cash=words.pop("cash", 50_000), household_id=household, **words)


def trades(plan, side):
    decision = plan.content.decision
    return {each.instrument_id for each in decision.trades if each.side is side}


async def decided(world, *accounts, request_id="r-1"):
    await world.ingest(*accounts)
    run_id = await world.start(request_id=request_id)
    await world.decide_all()
    return [await world.plan_of(run_id, each.account_id) for each in accounts]


async def test_alone_one_sells_at_a_loss_and_the_other_buys(world):
    seller, buyer = await decided(world, sells_at_a_loss("a1", household=""), buys("a2", household=""))

    assert "VTI" in trades(seller, Side.SELL)
    assert "VTI" in trades(buyer, Side.BUY)


async def test_in_a_household_what_one_sells_at_a_loss_no_other_buys(world):
    # Each shard has two accounts, and the household is in one of them all the same.
    first, _, last = await decided(world, sells_at_a_loss("a1"), buys("a2", household=""), buys("a3"))

    both = "VTI" in trades(first, Side.SELL) and "VTI" in trades(last, Side.BUY)
    assert not both
    assert first.inputs.household_trades or last.inputs.household_trades
    for plan in (first, last):
        assert (await world.plans.replay_plan(plan.plan_id)).identical_content


async def test_the_household_gives_up_what_costs_it_less(world):
    # A large loss against a purchase of a few hundred, and a loss of a few dollars against a large purchase.
    seller, buyer = await decided(world, sells_at_a_loss("a1"), buys("a2", cash=900))
    small, large = await decided(
        world, sells_at_a_loss("b1", "h2", basis="95_010"), buys("b2", "h2", cash=900_000), request_id="r-2"
    )

    assert "VTI" in trades(seller, Side.SELL)
    assert "VTI" not in trades(buyer, Side.BUY)
    assert "VTI" not in trades(small, Side.SELL)
    assert "VTI" in trades(large, Side.BUY)


async def test_a_pension_that_buys_denies_the_loss_too(world):
    seller, pension = await decided(
        world, sells_at_a_loss("a1", basis="95_010"), buys("a2", tax_wrapper="TAX_WRAPPER_DEFERRED", cash=900_000)
    )

    assert "VTI" not in trades(seller, Side.SELL)
    assert "VTI" in trades(pension, Side.BUY)


async def test_what_a_live_plan_of_one_is_about_to_sell_at_a_loss_a_later_run_does_not_buy_for_another(world):
    await world.ingest(sells_at_a_loss("a1"), buys("a2"))
    first = await world.start("a1")
    await world.decide_all()
    second = await world.start("a2", request_id="r-2")
    await world.decide_all()
    seller, buyer = await world.plan_of(first, "a1"), await world.plan_of(second, "a2")

    assert seller.state is PlanState.APPROVED
    assert "VTI" in trades(seller, Side.SELL)
    assert "VTI" not in trades(buyer, Side.BUY)
    assert any("wash sale" in each.sentence for each in buyer.content.decision.explanation.binding)


async def test_what_one_bought_lately_keeps_the_loss_of_another(world):
    lately = (CLOSE.date() - timedelta(days=10)).isoformat()
    owner = an_account("a2", cash=1000, household_id="h1").holding("VTI", lot("a2-l", 3, 570, acquired=lately))
    seller, _ = await decided(world, sells_at_a_loss("a1"), owner)

    assert "VTI" not in trades(seller, Side.SELL)
    assert date.fromisoformat(lately) in {each.trade_date for each in seller.inputs.household_trades}
