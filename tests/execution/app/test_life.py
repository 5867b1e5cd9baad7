"""A plan's life from submission to allocation, through the real ledger and the sandbox venue."""

from collections import Counter
from datetime import date, timedelta
from decimal import Decimal

from services.execution.app.intake import Status
from services.execution.app.records import AllocationRecord, LifeState
from services.execution.app.venue_port import MarketSetting
from services.execution.domain.words import Side
from tests.execution.builders import NOON, a_plan, a_trade

SELL = Side.SELL


async def test_a_plan_becomes_orders_blocks_fills_and_allocations(world):
    await world.market(VTI=100, BND=80, spread_bps=10, fee_bps=2)

    (result,) = await world.submit(a_plan(a_trade("VTI", quantity=10), a_trade("BND", SELL, 5, price=80)))
    await world.run()

    assert result.status is Status.ACCEPTED
    buy, sell = await world.order("VTI"), await world.order("BND")
    assert (buy.state, buy.filled, buy.filled_amount, buy.fees) == (
        LifeState.FILLED,
        10,
        Decimal("1000.50"),
        Decimal("0.20"),
    )
    assert (sell.state, sell.filled, sell.filled_amount, sell.fees) == (
        LifeState.FILLED,
        5,
        Decimal("399.80"),
        Decimal("0.08"),
    )
    reports = await world.reports()
    assert [each.position for each in reports] == [1, 2, 3, 4]
    assert await world.app.queries.list_breaks() == []


async def test_accounts_share_a_block_and_its_price(world):
    await world.market(VTI=100, spread_bps=7, fee_bps=1, share="0.3")
    plans = [a_plan(a_trade(quantity=n), plan=f"plan-{n}", account=f"acc-{n}") for n in (7, 11, 13)]

    await world.submit(*plans)
    await world.run()

    (detail,) = await world.blocks()
    assert len(detail.record.order.fills) >= 4
    assert {each.account_id: each.quantity for each in detail.allocations} == {"acc-7": 7, "acc-11": 11, "acc-13": 13}
    assert len({each.price for each in detail.allocations}) == 1
    assert sum(each.amount for each in detail.allocations) == detail.record.order.gross_amount.quantize(Decimal("0.01"))
    assert sum(each.fees for each in detail.allocations) == detail.record.order.fees


async def test_what_did_not_fill_is_given_up_when_the_plan_expires(world):
    await world.market(VTI=100)
    plan = a_plan(a_trade(quantity=10, price=97), limit_bps=100)
    await world.submit(plan)
    await world.run()
    assert (await world.order("VTI")).state is LifeState.WORKING

    world.market_clock.advance(plan.expire_time - world.market_clock.now())
    await world.run()

    order = await world.order("VTI")
    assert (order.state, order.filled, order.close_reason) == (LifeState.CANCELED, 0, "PLAN_EXPIRED")
    (detail,) = await world.blocks()
    assert detail.record.order.state == "CANCELED"


async def test_a_block_whose_plan_expired_before_it_was_sent_never_leaves(world):
    await world.market(VTI=100)
    plan = a_plan()
    await world.submit(plan)
    await world.app.forming.form_blocks()

    world.market_clock.advance(plan.expire_time - world.market_clock.now())
    assert await world.app.sending.send_blocks() == 0
    await world.run()

    assert await world.venue.mass_status() == []
    assert (await world.order("VTI")).close_reason == "PLAN_EXPIRED"


async def test_a_trade_is_of_the_day_on_which_the_venue_made_it(world):
    await world.market(VTI=100)
    await world.submit(a_plan(expire_time=NOON + timedelta(days=2)))
    await world.app.forming.form_blocks()
    world.market_clock.advance(timedelta(days=1))
    await world.market(at=world.market_clock.now(), VTI=100)
    await world.run()

    (detail,) = await world.blocks()
    (allocation,) = detail.allocations
    assert (allocation.trade_date, allocation.settlement_date) == (date(2022, 12, 29), date(2023, 1, 3))
    assert detail.record.trade_date == date(2022, 12, 29)


async def test_opposite_orders_of_clients_never_meet_here_and_each_is_filled_by_the_venue(world):
    await world.market(VTI=100, spread_bps=20)
    buy = a_plan(a_trade(quantity=10), plan="plan-b", account="acc-b", cash=2_000)
    await world.submit(buy, a_plan(a_trade("VTI", SELL, 10), plan="plan-s", account="acc-s"))
    await world.run()

    blocks = await world.blocks()
    assert {detail.record.block.terms.side: detail.record.order.filled_quantity for detail in blocks} == {
        Side.BUY: 10,
        SELL: 10,
    }
    bought, sold = await world.order("VTI", "acc-b"), await world.order("VTI", "acc-s")
    # Each pays its half of the spread to the venue, which a cross would have spared both.
    assert (bought.filled_amount, sold.filled_amount) == (Decimal(1001), Decimal(999))


async def test_buys_wait_for_the_proceeds_of_sells(world):
    await world.market(VTI=100, BND=100, share="0.5")
    await world.submit(a_plan(a_trade("BND", SELL, 100), a_trade("VTI", quantity=98), cash=100))
    assert (await world.order("VTI")).state is LifeState.WAITING

    await world.run()

    assert (await world.order("VTI")).state is LifeState.FILLED
    sides = Counter(detail.record.block.terms.side for detail in await world.blocks())
    assert sides[SELL] == 1
    assert sides[Side.BUY] >= 1


async def test_a_buy_that_money_does_not_cover_is_cut_and_never_overdraws(world):
    await world.market(VTI=104, BND=100)
    await world.prices(VTI=100)
    plan = a_plan(a_trade("BND", SELL, 100), a_trade("VTI", quantity=100, price=100), cash=0)
    await world.market(VTI=104, BND=96)
    await world.submit(plan)
    await world.run()

    buy, sell = await world.order("VTI"), await world.order("BND")
    assert buy.state is LifeState.CANCELED
    assert buy.close_reason == "CASH_INSUFFICIENT"
    assert buy.filled_amount <= sell.filled_amount
    assert buy.filled == 92


async def test_what_is_missing_to_the_cash_floor_is_filled_up_before_a_buy_uses_anything(make_memory_world):
    world = await make_memory_world()
    await world.market(VTI=100, BND=100)
    plan = a_plan(
        a_trade("BND", SELL, 100), a_trade("VTI", quantity=70, price=100), cash=0, cash_shortfall=Decimal(2500)
    )
    await world.submit(plan)
    await world.run()

    buy, sell = await world.order("VTI"), await world.order("BND")
    assert (sell.filled, buy.filled) == (100, 70)
    assert sell.filled_amount - sell.fees - buy.filled_amount - buy.fees >= 2500


async def test_every_order_and_allocation_is_told_to_audit_once(world):
    await world.market(VTI=100, BND=80)
    await world.submit(*(a_plan(a_trade(quantity=3), plan=f"plan-{n}", account=f"acc-{n}") for n in range(5)))
    await world.run()

    kinds = Counter(kind for kind, _, _ in await world.events())
    assert kinds["execution.plan.accepted"] == 5
    assert kinds["execution.block.formed"] == 1
    assert kinds["execution.block.sent"] == 1
    assert kinds["execution.block.finished"] == 1
    assert kinds["execution.order.allocated"] == 5
    assert kinds["execution.order.closed"] == 5


async def test_the_stream_tells_each_thing_once_in_commit_order(world):
    await world.market(VTI=100)
    for number in range(3):
        await world.submit(a_plan(a_trade(quantity=number + 1), plan=f"plan-{number}", account=f"acc-{number}"))
        await world.run()

    reports = await world.reports()
    assert [each.position for each in reports] == list(range(1, 7))
    kinds = [isinstance(each.content, AllocationRecord) for each in reports]
    assert kinds == [True, False] * 3
    assert await world.app.queries.plan_reports(4, 1) == reports[4:5]


async def test_a_market_buy_never_costs_more_than_what_was_set_aside_and_waits_when_the_price_ran_away(make_world):
    world = await make_world(buy_protection="SET_ASIDE", cost_buffer_bps=50, fee_bps_max=10)
    await world.market(VTI=100, BND=100)
    # The venue's prices have run away from ours by more than the buffer for one, by less for the other.
    setting = MarketSetting("USD", Decimal(0), Decimal(10), 1, Decimal(1), NOON)
    await world.venue.load_market(setting, {"VTI": Decimal("100.45"), "BND": Decimal("100.30")})
    await world.submit(a_plan(a_trade(quantity=50), a_trade("BND", quantity=49), cash=10_000))
    await world.run()

    dear, bought = await world.order("VTI"), await world.order("BND")
    assert (dear.state, dear.filled) == (LifeState.WORKING, 0)
    assert bought.filled == 49
    assert bought.filled_amount + bought.fees <= 49 * bought.unit_cost_max
    formed = {s["instrument"]: data for kind, s, data in await world.events() if kind == "execution.block.formed"}
    assert Decimal(formed["VTI"]["protection_price"]) == Decimal("100.39")
