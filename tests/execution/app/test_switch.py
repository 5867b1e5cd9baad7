"""The switch: after its acknowledgement not one new order leaves."""

import asyncio
from datetime import timedelta
from decimal import Decimal

import pytest

from services.execution.app.records import LifeState
from services.execution.domain.errors import SelfResume
from services.execution.domain.trading_state import EVERYTHING, Scope, ScopeKind, TradingState
from services.execution.domain.words import Side
from tests.execution.builders import a_plan, a_trade

VTI = Scope(ScopeKind.INSTRUMENT, "VTI")
HALTED, REDUCING = TradingState.HALTED, TradingState.REDUCING


async def halt(world, scope=EVERYTHING, state=HALTED, by="ruth"):
    return await world.app.trading.halt(scope, state, by=by, why="storm")


async def test_what_was_not_sent_is_given_up(world):
    await world.market(VTI=100)
    await world.submit(a_plan())
    await halt(world)
    await world.run()

    order = await world.order("VTI")
    assert (order.state, order.close_reason) == (LifeState.CANCELED, "TRADING_HALTED")
    assert await world.venue.mass_status() == []


async def test_blocks_that_were_formed_and_not_sent_never_leave(world):
    await world.market(VTI=100)
    await world.submit(a_plan())
    assert await world.app.forming.form_blocks() == 1
    assert (await halt(world)).canceling_blocks == 1
    await world.run()

    assert (await world.order("VTI")).close_reason == "TRADING_HALTED"
    assert await world.venue.mass_status() == []


async def test_what_is_at_the_venue_is_canceled_and_what_was_filled_counts(world):
    await world.market(VTI=100, share="0.4")
    await world.submit(a_plan(a_trade(quantity=10)))
    await world.app.forming.form_blocks()
    await world.app.sending.send_blocks()
    await world.app.fills.apply_reports()
    before = (await world.blocks())[0].record.order.filled_quantity
    assert 0 < before < 10

    await halt(world)
    await world.app.sending.cancel_blocks()
    await world.run()

    order = await world.order("VTI")
    assert (order.state, order.filled, order.close_reason) == (LifeState.CANCELED, before, "TRADING_HALTED")
    assert [each.open for each in await world.venue.mass_status()] == [False]


async def test_an_instrument_that_is_halted_leaves_the_others_alone(world):
    await world.market(VTI=100, BND=80)
    await world.submit(a_plan(a_trade("VTI", quantity=1), a_trade("BND", quantity=1, price=80)))
    await halt(world, VTI)
    await world.run()

    assert (await world.order("VTI")).state is LifeState.CANCELED
    assert (await world.order("BND")).state is LifeState.FILLED


async def test_an_account_that_is_halted_leaves_the_others_of_its_block_alone(world):
    await world.market(VTI=100)
    await world.submit(*(a_plan(plan=f"plan-{n}", account=f"acc-{n}") for n in range(3)))
    await world.app.forming.form_blocks()
    await halt(world, Scope(ScopeKind.ACCOUNT, "acc-1"))
    await world.run()

    states = {order.account_id: order.state for order in await world.orders()}
    assert states == {"acc-0": LifeState.FILLED, "acc-1": LifeState.CANCELED, "acc-2": LifeState.FILLED}


async def test_reducing_lets_sells_go_and_buys_not(world):
    await world.market(VTI=100, BND=80)
    await world.submit(a_plan(a_trade("VTI", quantity=1), a_trade("BND", Side.SELL, 5, price=80)))
    await world.app.forming.form_blocks()
    await halt(world, state=REDUCING)
    await world.run()

    assert (await world.order("VTI")).close_reason == "TRADING_HALTED"
    assert (await world.order("BND")).state is LifeState.FILLED


async def test_a_buy_whose_sell_was_halted_is_given_up(world):
    await world.market(VTI=100, BND=80)
    await world.submit(a_plan(a_trade("VTI", quantity=4), a_trade("BND", Side.SELL, 5, price=80), cash=0))
    await halt(world, Scope(ScopeKind.INSTRUMENT, "BND"))
    await world.run()

    assert (await world.order("BND")).close_reason == "TRADING_HALTED"
    assert (await world.order("VTI")).close_reason == "CASH_INSUFFICIENT"


@pytest.mark.parametrize("sent", [False, True])
async def test_a_block_canceled_for_a_halt_that_is_over_goes_again(world, sent):
    await world.market(VTI=100)
    await world.submit(a_plan(a_trade(price=97), limit_bps=100))
    await world.app.forming.form_blocks()
    if sent:
        await world.app.sending.send_blocks()
    await halt(world)
    await world.app.trading.resume(EVERYTHING, by="omar", why="over")
    if sent:
        await world.app.sending.cancel_blocks()
    await world.run()
    await world.market(VTI=97)
    await world.run()

    order = await world.order("VTI")
    assert (order.state, order.filled) == (LifeState.FILLED, 10)
    assert sorted(detail.record.order.filled_quantity for detail in await world.blocks()) == [0, 10]


async def test_the_cost_of_an_order_in_two_blocks_counts_each_from_its_own_arrival(world):
    await world.market(VTI=100, share="0.3")
    await world.submit(a_plan(a_trade(quantity=10)))
    await world.app.forming.form_blocks()
    await world.app.sending.send_blocks()
    await world.app.fills.apply_reports()
    (first,) = await world.blocks()
    early = first.record.order.filled_quantity
    assert 0 < early < 10
    await halt(world)
    await world.app.trading.resume(EVERYTHING, by="omar", why="over")
    await world.app.sending.cancel_blocks()
    await world.app.fills.apply_reports()
    world.market_clock.advance(timedelta(minutes=1))
    await world.market(at=world.market_clock.now(), VTI="100.000000007")
    await world.run()

    (cost,) = await world.app.queries.cost_report(None)
    late = (10 - early) * Decimal("100.000000007")
    cents = Decimal("0.01")
    assert (await world.order("VTI")).arrival_amount == early * 100 + late
    assert (cost.delay, cost.trading, cost.opportunity) == (0, 0, 0)
    assert all(part == part.quantize(cents) for part in (cost.delay, cost.trading, cost.fees, cost.predicted))


async def test_money_of_a_buy_that_was_given_up_is_free_for_the_others(world):
    await world.market(VTI=100, BND=100, VEA=101)
    trades = a_trade("VTI", quantity=10), a_trade("VEA", quantity=11, price=101), a_trade("BND", Side.SELL, 6)
    await world.submit(a_plan(*trades, cash=1_010 + 505))
    assert (await world.order("VEA")).released == 0
    await halt(world, VTI)
    await world.run()

    assert (await world.order("VTI")).close_reason == "TRADING_HALTED"
    assert (await world.order("VEA")).filled == 11


async def test_a_halt_replaces_one_of_the_same_scope_and_keeps_who_asked_for_that(world):
    await halt(world, state=REDUCING, by="ruth")
    await halt(world, state=HALTED, by="omar")

    (found,) = (await world.app.trading.restrictions([])).halts
    assert (found.state, found.halted_by, found.also_halted_by) == (HALTED, "omar", ("ruth",))


@pytest.mark.parametrize("last", [HALTED, REDUCING])
@pytest.mark.parametrize("first", [HALTED, REDUCING])
async def test_nobody_who_halted_resumes_whoever_halted_last_and_however_strictly(world, first, last):
    await halt(world, VTI, state=first, by="ruth")
    await halt(world, VTI, state=last, by="omar")
    await halt(world, VTI, state=last, by="omar")

    for by in ("ruth", "omar"):
        with pytest.raises(SelfResume, match=f"^{by} halted INSTRUMENT VTI, and so did"):
            await world.app.trading.resume(VTI, by=by, why="enough")
    await world.app.trading.resume(VTI, by="tess", why="over")
    assert (await world.app.trading.restrictions([])).halts == []

    # Once resumed, who halted before is a second person for who halts next.
    await halt(world, VTI, by="tess")
    await world.app.trading.resume(VTI, by="ruth", why="over")


@pytest.mark.parametrize("by", ["ruth", "omar"])
async def test_a_halt_loosens_none_that_is_stricter(world, by):
    await halt(world, state=HALTED, by="ruth")

    kept = (await halt(world, state=REDUCING, by=by)).halt

    assert (kept.state, kept.halted_by) == (HALTED, "ruth")
    assert (await world.app.trading.restrictions([])).halts == [kept]
    with pytest.raises(SelfResume):
        await world.app.trading.resume(EVERYTHING, by="ruth", why="enough")


async def test_both_sides_of_the_switch_are_told_to_audit(world):
    await halt(world, VTI, by="ruth")
    await world.app.trading.resume(VTI, by="omar", why="over")

    told = [(kind, subjects, data.get("halted_by")) for kind, subjects, data in await world.events()]
    assert told == [
        ("execution.trading.halted", {"instrument": "VTI"}, None),
        ("execution.trading.resumed", {"instrument": "VTI"}, "ruth"),
    ]


async def test_audit_is_told_of_all_who_halted(world):
    await halt(world, VTI, by="ruth")
    await halt(world, VTI, state=REDUCING, by="omar")
    await halt(world, VTI, state=REDUCING, by="omar")
    await world.app.trading.resume(VTI, by="tess", why="over")

    first, second, resumed = [data for _, _, data in await world.events()]
    assert (first["state"], first["asked_state"]) == ("HALTED", "HALTED")
    assert (second["state"], second["asked_state"]) == ("HALTED", "REDUCING")
    assert (resumed["halted_by"], resumed["also_halted_by"]) == ("ruth", ["omar"])


@pytest.mark.parametrize("delay_ms", [0, 5, 20, 60])
async def test_after_the_acknowledgement_nothing_leaves_while_sends_are_under_way(make_postgres_world, delay_ms):
    world = await make_postgres_world()
    await world.market(**{f"I{n}": 100 for n in range(30)})
    await world.submit(*(a_plan(a_trade(f"I{n}", quantity=1), plan=f"p-{n}", account=f"a-{n}") for n in range(30)))
    await world.app.forming.form_blocks()

    async def halt_soon():
        await asyncio.sleep(delay_ms / 1000)
        await halt(world)
        return len(await world.venue.mass_status())

    at_acknowledgement, _ = await asyncio.gather(halt_soon(), world.app.sending.send_blocks())
    world.clock.advance(timedelta(seconds=10))
    await world.run()

    assert len(await world.venue.mass_status()) == at_acknowledgement
    assert all(order.closed for order in await world.orders())
