"""An account in dollars trades in euros: its fills size the legs that turn them, and it is told dollars."""

from datetime import timedelta
from decimal import Decimal
from itertools import pairwise

import pytest

from services.execution.app import fills
from services.execution.app.records import Correction, LifeState
from services.execution.domain.currencies import turn_over
from services.execution.domain.pretrade import Reason
from services.execution.domain.trading_state import EVERYTHING, Scope, ScopeKind, TradingState
from services.execution.domain.words import Side
from services.kernel.money import in_cents
from tests.execution.builders import NOON, a_plan, a_trade
from tests.execution.world import Killed

PAIR = "EUR/USD"


async def abroad(world, *, rate="1.2", share=1, fee_bps=1, spread_bps=0, at=NOON, **prices):
    """SAP trades in euros; a euro costs `rate` dollars."""
    market = {"share": share, "fee_bps": fee_bps, "spread_bps": spread_bps, "at": at}
    await world.market(currency="EUR", **market, **(prices or {"SAP": 100}))
    await world.market(currency="USD", **market, **{"VTI": 50, PAIR: rate})


def a_buyer(quantity=10, number=1, **plan):
    trade = a_trade("SAP", quantity=quantity, price=120)
    return a_plan(trade, plan=f"plan-{number}", account=f"acc-{number}", **{"cash": 100_000, **plan})


def a_seller(quantity=10, number=1, *trades, **plan):
    sale = a_trade("SAP", side=Side.SELL, quantity=quantity, price=120)
    return a_plan(sale, *trades, plan=f"plan-{number}", account=f"acc-{number}", **plan)


async def legs(world):
    return [each.record for each in await world.blocks() if each.record.leg_of is not None]


async def parents(world):
    return [each for each in await world.blocks() if each.record.block.terms.account_currency is not None]


async def test_a_buy_abroad_is_filled_there_then_paid_by_a_leg_of_exactly_what_it_cost(world):
    await abroad(world)
    await world.submit(a_buyer(10, 1), a_buyer(20, 2))
    await world.run()
    (parent,), (leg,) = await parents(world), await legs(world)
    orders = {order.account_id: order for order in await world.orders()}

    # 30 units at 100 € and 1 bp of fee: 3,000.30 €.
    assert (parent.record.block.terms.currency, parent.record.order.gross_amount) == ("EUR", 3000)
    assert (leg.block.terms.instrument_id, leg.block.terms.side, leg.block.quantity) == (
        PAIR,
        Side.BUY,
        Decimal("3000.30"),
    )
    assert {order.state for order in orders.values()} == {LifeState.FILLED}
    paid = sum(order.filled_amount + order.fees for order in orders.values())
    assert paid == leg.order.gross_amount + leg.order.fees == Decimal("3000.30") * Decimal("1.2") + Decimal("0.36")
    for each in parent.allocations:
        assert each.traded.amount == each.quantity * 100
        assert each.amount == each.quantity * 120
    assert [each.content.account_id for each in await world.reports()] == ["acc-1", "acc-2"] * 2
    assert await world.app.queries.list_breaks() == []


async def test_until_its_money_is_turned_the_order_is_at_work_and_decision_is_told_nothing(world):
    await abroad(world)
    await world.submit(a_buyer())
    await world.app.forming.form_blocks()
    await world.app.sending.send_blocks()
    await world.app.fills.apply_reports()

    assert (await world.order("SAP")).state is LifeState.WORKING
    assert await world.reports() == []
    (leg,) = await legs(world)
    assert leg.order.filled_quantity == 0


async def test_a_sale_abroad_brings_dollars_that_set_a_buy_free(world):
    await abroad(world)
    await world.submit(a_seller(10, 1, a_trade("VTI", quantity=20, price=50), cash=0))
    await world.app.forming.form_blocks()
    await world.app.sending.send_blocks()
    await world.app.fills.apply_reports()
    assert (await world.order("VTI")).state is LifeState.WAITING

    await world.run()

    sale, buy = await world.order("SAP"), await world.order("VTI")
    # 999.90 € at 1.2 less a basis point.
    assert sale.filled_amount - sale.fees == Decimal("1199.88") - Decimal("0.12")
    assert (sale.filled_amount, buy.state) == (1200, LifeState.FILLED)


async def test_a_leg_that_is_filled_in_part_or_refused_is_followed_by_another(world):
    await abroad(world, share="0.3")
    await world.submit(a_buyer())
    while not await legs(world):
        await world.app.step()
        world.clock.advance(timedelta(milliseconds=10))
    await world.app.sending.send_blocks()
    (leg,) = await legs(world)
    # Somebody at the venue ends it.
    await world.venue.cancel(leg.block.client_order_id, "by-hand")
    await world.app.fills.apply_reports()
    assert [each.order.final for each in await legs(world)] == [True]

    world.clock.advance(timedelta(seconds=6))
    await world.run()

    done = await legs(world)
    (parent,) = await parents(world)
    assert len(done) == 2
    assert sum(each.order.filled_quantity for each in done) == Decimal("1000.10")
    assert (await world.order("SAP")).state is LifeState.FILLED
    assert parent.record.unconverted is False


async def test_nothing_is_turned_while_that_is_halted(world):
    await abroad(world)
    await world.submit(a_buyer())
    await world.app.forming.form_blocks()
    await world.app.sending.send_blocks()
    await world.app.trading.halt(Scope(ScopeKind.INSTRUMENT, PAIR), TradingState.HALTED, by="ruth", why="storm")
    await world.run()
    assert await legs(world) == []

    await world.app.trading.resume(Scope(ScopeKind.INSTRUMENT, PAIR), by="omar", why="calm")
    await world.run()

    assert (await world.order("SAP")).state is LifeState.FILLED


async def test_a_leg_needs_a_fresh_rate_and_takes_none_beyond_the_collar(world):
    await abroad(world, at=NOON - timedelta(hours=23))
    await world.submit(a_buyer())
    await world.app.forming.form_blocks()
    await world.app.sending.send_blocks()
    # The rate is of yesterday when the fills come.
    world.market_clock.advance(timedelta(hours=2))
    await world.app.fills.apply_reports()
    assert await legs(world) == []

    # It is known again, and the venue's is beyond the collar of 5 %.
    await world.market(at=NOON, **{PAIR: "1.27"})
    await world.prices(at=NOON + timedelta(hours=2), **{PAIR: "1.2"})
    await world.run()
    (leg,) = await legs(world)
    assert (leg.protection_price, leg.order.filled_quantity) == (Decimal("1.26"), 0)

    await world.market(at=NOON, **{PAIR: "1.26"})
    await world.run()

    assert (await world.order("SAP")).filled_amount == 1260


async def test_what_was_filled_before_a_halt_of_all_is_not_canceled_by_it(world):
    await abroad(world)
    await world.submit(a_buyer())
    await world.app.forming.form_blocks()
    await world.app.sending.send_blocks()
    await world.app.fills.apply_reports()
    await world.app.trading.halt(EVERYTHING, TradingState.HALTED, by="ruth", why="storm")
    await world.run()
    (parent,) = await parents(world)
    assert (parent.record.cancel_reason, (await world.order("SAP")).state) == ("", LifeState.WORKING)

    await world.app.trading.resume(EVERYTHING, by="omar", why="calm")
    world.clock.advance(timedelta(seconds=6))
    await world.run()

    assert (await world.order("SAP")).state is LifeState.FILLED


async def test_a_bust_sells_the_money_again_and_takes_everything_back(world):
    await abroad(world, fee_bps=0)
    await world.submit(a_buyer())
    await world.run()
    (parent,) = await parents(world)
    world.market_clock.advance(timedelta(seconds=1))
    await world.market(at=NOON + timedelta(seconds=1), **{PAIR: "1.1"})
    await world.venue.bust_fill(next(iter(parent.record.order.fills)))
    await world.run()

    assert [
        (leg.block.terms.side, leg.block.quantity) for leg in sorted(await legs(world), key=lambda leg: leg.create_time)
    ] == [
        (Side.BUY, 1000),
        (Side.SELL, 1000),
    ]
    order = await world.order("SAP")
    assert (order.filled, order.filled_amount, order.fees) == (0, 0, 0)
    corrections = [each.content for each in await world.reports() if isinstance(each.content, Correction)]
    assert [(each.allocation.quantity, each.allocation.amount) for each in corrections] == [(0, 0)]
    told = [data for kind, _, data in await world.events() if kind == "execution.block.conversion_difference"]
    # The rate fell by 0.1 between the two: the firm's 100 dollars.
    assert [(Decimal(each["amount"]), each["currency"]) for each in told] == [(100, "USD")]


async def test_a_limit_is_turned_by_the_rate_in_the_accounts_favor(world):
    await abroad(world, rate="1.1999")
    await world.submit(a_buyer(limit_bps=10))
    await world.app.forming.form_blocks()
    (parent,) = await parents(world)

    # 120.12 $ are 100.1083 €.
    assert parent.record.block.terms.limit_price == Decimal("100.10")


async def test_costs_are_in_the_accounts_currency_and_count_the_rate(world):
    await abroad(world, spread_bps=20, fee_bps=0)
    await world.submit(a_buyer())
    await world.run()
    (line,) = await world.app.queries.cost_report(None)

    # 10 at 100.10 €, each at 1.2012 $, beside 1,200 $ when it was decided and when it left.
    assert (line.currency, line.delay, line.trading) == ("USD", 0, Decimal("2.40"))


async def test_without_a_rate_or_with_an_old_one_it_is_refused(world):
    await world.market(currency="EUR", SAP=100)
    (refused,) = await world.submit(a_buyer())
    assert [each.reason for each in refused.refusals] == [Reason.REFERENCE_STALE]
    assert "no price is known for EUR/USD" in refused.refusals[0].description

    await world.market(at=NOON - timedelta(days=2), **{PAIR: "1.2"})
    (refused,) = await world.submit(a_buyer(number=2))

    assert [each.reason for each in refused.refusals] == [Reason.REFERENCE_STALE]


async def test_the_venue_is_told_shares_in_its_own_currency(world):
    await abroad(world, fee_bps=10)
    await world.submit(a_buyer())
    await world.run()
    (parent,) = await parents(world)

    assert [each.state for each in parent.instructions] == ["ACCEPTED"]
    formed = {data.get("leg_of") for kind, _, data in await world.events() if kind == "execution.block.formed"}
    assert formed == {None, parent.record.block_id}
    (told,) = [data for kind, _, data in await world.events() if kind == "execution.order.allocated"]
    assert (told["currency"], told["traded"]["currency"], Decimal(told["traded"]["fees"])) == ("USD", "EUR", 1)


def a_european(*trades, cash=100_000, number=1, **plan):
    """An account in euros; only EUR/USD is quoted."""
    return a_plan(*trades, plan=f"plan-{number}", account=f"acc-{number}", currency="EUR", cash=cash, **plan)


async def test_an_account_in_euros_is_served_by_the_pair_that_is_quoted_turned_over(world):
    await abroad(world, rate="1.25", fee_bps=10)
    await world.submit(a_european(a_trade("VTI", quantity=7, price=40)))
    await world.run()
    (parent,), (leg,) = await parents(world), await legs(world)
    order = await world.order("VTI")

    # 350 $ and 10 bp of fee are bought to the cent; they cost 280.28 € and 10 bp.
    terms = leg.block.terms
    assert (terms.instrument_id, terms.side, terms.currency, leg.block.quantity) == (
        PAIR,
        Side.BUY,
        "EUR",
        Decimal("350.35"),
    )
    assert (leg.order.gross_amount, leg.order.fees) == (Decimal("280.28"), Decimal("0.28"))
    assert (order.state, order.filled_amount + order.fees) == (LifeState.FILLED, Decimal("280.56"))
    (told,) = parent.allocations
    assert (told.traded.amount, told.traded.fees, told.amount) == (350, Decimal("0.35"), Decimal("280.00"))
    assert await world.app.queries.list_breaks() == []


@pytest.mark.parametrize("rate", ["1.23457", "0.99991", "151.357"])
async def test_by_whatever_rate_the_dollars_are_all_there_and_the_euros_are_what_they_cost(world, rate):
    await abroad(world, rate=rate, fee_bps=3, share="0.3")
    price = (50 / Decimal(rate)).quantize(Decimal("0.0001"))
    await world.submit(
        a_european(a_trade("VTI", quantity=13, price=price), number=1),
        a_european(a_trade("VTI", quantity=8, price=price), number=2),
        a_european(a_trade("VTI", Side.SELL, 5, price), number=3, cash=0),
    )
    await world.run()

    by_side = {each.record.block.terms.side: each.record.order for each in await parents(world)}
    bought, sold = by_side[Side.BUY], by_side[Side.SELL]
    turned = {leg.block.terms.side: leg.order for leg in await legs(world)}
    assert turned[Side.BUY].filled_quantity == bought.gross_amount + bought.fees
    assert turned[Side.SELL].filled_quantity == sold.gross_amount - sold.fees
    orders = {order.account_id: order for order in await world.orders()}
    assert {order.state for order in orders.values()} == {LifeState.FILLED}
    paid = sum(orders[name].filled_amount + orders[name].fees for name in ("acc-1", "acc-2"))
    leg = turned[Side.BUY]
    assert paid == in_cents(leg.gross_amount) + leg.fees
    got = orders["acc-3"].filled_amount - orders["acc-3"].fees
    assert got == in_cents(turned[Side.SELL].gross_amount) - turned[Side.SELL].fees
    assert await world.app.queries.list_breaks() == []


async def test_turned_over_it_takes_no_rate_beyond_the_collar(world):
    await abroad(world, rate="1.25", fee_bps=0)
    await world.submit(a_european(a_trade("VTI", quantity=10, price=40)))
    await world.app.forming.form_blocks()
    await world.app.sending.send_blocks()
    # Dollars are dear at the venue: 1.19 for a euro, and the collar of 5 % ends at 1.25 / 1.05.
    await world.market(at=NOON, **{PAIR: "1.19"})
    await world.prices(at=NOON, **{PAIR: "1.25"})
    await world.run()
    (leg,) = await legs(world)
    assert (leg.protection_price, leg.order.filled_quantity) == (turn_over(Decimal("1.19048")), 0)

    await world.market(at=NOON, **{PAIR: "1.1905"})
    await world.run()

    # 500 $ at 1.1905.
    assert (await world.order("VTI")).filled_amount == Decimal("419.99")


@pytest.mark.parametrize(
    "limit",
    [
        {"account_day_orders_max": 3},
        {"household_day_orders_max": 3},
        {"firm_day_orders_max": 3},
        {"venue_day_orders_max": 3},
        {"instrument_day_orders_max": 1},
        {"account_day_amount_max": 3600},
        {"household_day_amount_max": 3600},
        {"firm_day_amount_max": 3600},
        {"account_day_turnover_max": 1199},
        {"household_day_turnover_max": 1199},
        {"firm_day_turnover_max": 1199},
    ],
    ids=lambda limit: next(iter(limit)),
)
async def test_legs_count_in_every_limit_of_the_day_before_and_after_a_restart(make_world, limit):
    world = await make_world(**limit)
    await abroad(world)
    buy = a_trade("SAP", quantity=10, price=120)
    household = {"household_id": "house-1", "account": "acc-1"}
    first = a_plan(buy, plan="one", cash=10_000, **household)
    assert [each.refusals for each in await world.submit(first)] == [()]
    await world.run()
    assert len(await legs(world)) == 1
    world.start()

    # One order and its leg are counted; what is sold again would be as much once more, of orders, value and turnover.
    (refused,) = await world.submit(
        a_plan(a_trade("SAP", Side.SELL, 10, 120), plan="two", cash=0, **household)
        if "turnover" in next(iter(limit))
        else a_plan(buy, plan="two", cash=10_000, **household)
    )

    assert {each.reason for each in refused.refusals} == {Reason.LIMIT_EXCEEDED}


async def test_a_venue_that_takes_no_legs_is_asked_less_and_less_often(make_memory_world):
    world = await make_memory_world()
    await world.market(currency="EUR", SAP=100)
    # The rate is known, and the venue does not deal in the pair.
    await world.prices(NOON, "USD", **{PAIR: "1.2"})
    await world.submit(a_buyer())
    formed = []
    for second in range(0, 1800, 5):
        await world.run()
        formed += [second] * (len(await legs(world)) - len(formed))
        world.clock.advance(timedelta(seconds=5))

    waited = [later - before for before, later in pairwise(formed)]
    assert waited[:3] == [5, 10, 20]
    assert waited == sorted(waited)
    assert set(waited[6:]) == {300}
    assert [each.kind for each in await world.app.queries.list_breaks()] == ["UNCONVERTED"]

    # When it does, the next is filled.
    await world.market(currency="USD", **{PAIR: "1.2"})
    world.clock.advance(timedelta(seconds=300))
    await world.run()
    assert {order.state for order in await world.orders()} == {LifeState.FILLED}


async def test_an_account_that_is_halted_has_no_leg_and_the_others_of_its_block_have(world):
    await abroad(world)
    await world.submit(a_buyer(10, 1), a_buyer(20, 2))
    await world.app.forming.form_blocks()
    await world.app.sending.send_blocks()
    # It is filled while the pair is halted; when that is over, one of its accounts is.
    await world.app.trading.halt(Scope(ScopeKind.INSTRUMENT, PAIR), TradingState.HALTED, by="ruth", why="storm")
    await world.app.fills.apply_reports()
    await world.app.trading.halt(Scope(ScopeKind.ACCOUNT, "acc-1"), TradingState.HALTED, by="ruth", why="dispute")
    await world.app.trading.resume(Scope(ScopeKind.INSTRUMENT, PAIR), by="omar", why="calm")
    await world.run()

    (leg,) = await legs(world)
    assert [share.account_id for share in leg.statement.shares] == ["acc-2"]
    assert leg.order.filled_quantity == Decimal("2000.20")

    await world.app.trading.resume(Scope(ScopeKind.ACCOUNT, "acc-1"), by="omar", why="settled")
    world.clock.advance(timedelta(seconds=6))
    await world.run()

    assert {order.state for order in await world.orders()} == {LifeState.FILLED}
    assert sorted(each.order.filled_quantity for each in await legs(world)) == [Decimal("1000.10"), Decimal("2000.20")]


async def test_what_cannot_be_turned_keeps_nothing_else_from_it(make_world, monkeypatch):
    monkeypatch.setattr(fills, "FINISHED_MAX", 1)
    world = await make_world()
    await abroad(world)
    await world.submit(*(a_buyer(10, number, consent=False) for number in (1, 2, 3)))
    await world.app.forming.form_blocks()
    await world.app.sending.send_blocks()
    await world.app.trading.halt(Scope(ScopeKind.INSTRUMENT, PAIR), TradingState.HALTED, by="ruth", why="storm")
    await world.app.fills.apply_reports()
    # The one that would be looked at first, by age and by id, is halted for long.
    first = min((each.record for each in await parents(world)), key=lambda each: each.block_id)
    (share,) = first.statement.shares
    halted = Scope(ScopeKind.ACCOUNT, share.account_id)
    await world.app.trading.halt(halted, TradingState.HALTED, by="ruth", why="dispute")
    await world.app.trading.resume(Scope(ScopeKind.INSTRUMENT, PAIR), by="omar", why="calm")
    for _ in range(60):
        await world.run()
        world.clock.advance(timedelta(seconds=6))

    states = {order.account_id: order.state for order in await world.orders()}
    assert states.pop(share.account_id) is LifeState.WORKING
    assert set(states.values()) == {LifeState.FILLED}


async def test_a_pair_that_is_restricted_after_the_fills_is_a_break_and_no_leg(make_world):
    world = await make_world()
    await abroad(world)
    await world.submit(a_buyer())
    await world.app.forming.form_blocks()
    await world.app.sending.send_blocks()
    world.settings = world.settings.model_copy(update={"restricted_instruments": {PAIR}})
    world.start()
    await world.run()
    world.clock.advance(timedelta(minutes=5, seconds=1))
    await world.app.reconciling.reconcile_venue()

    assert await legs(world) == []
    assert [each.kind for each in await world.app.queries.list_breaks()] == ["UNCONVERTED"]
    (refused,) = await world.submit(a_buyer(number=2))
    assert [each.reason for each in refused.refusals] == [Reason.INSTRUMENT_RESTRICTED]


@pytest.mark.parametrize("share", [1, "0.4"])
async def test_killed_anywhere_it_is_turned_once(world, share):
    await abroad(world, share=share)
    await world.submit(a_buyer(10, 1), a_seller(4, 2, cash=0))
    for point in range(1, 400):
        world.points.passed, world.points.kill_at = 0, point
        try:
            await world.run()
        except Killed:
            world.points.kill_at = None
            world.start()
            world.clock.advance(timedelta(seconds=6))
            continue
        break
    world.points.kill_at = None
    await world.run()
    turned = {}
    for leg in await legs(world):
        side = leg.block.terms.side
        turned[side] = turned.get(side, 0) + leg.order.filled_quantity

    assert {order.state for order in await world.orders()} == {LifeState.FILLED}
    gross = {each.record.block.terms.side: each.record.order for each in await parents(world)}
    assert turned == {
        Side.BUY: gross[Side.BUY].gross_amount + gross[Side.BUY].fees,
        Side.SELL: gross[Side.SELL].gross_amount - gross[Side.SELL].fees,
    }
    assert await world.app.queries.list_breaks() == []
