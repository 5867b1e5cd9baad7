"""What the use cases rely on in a ledger: the same over the fake and over PostgreSQL."""

import asyncio
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest

from services.execution.app.ports import OrderFilter, PlacedPiece
from services.execution.app.records import LifeState
from services.execution.domain.limits import LimitKey, LimitKind, Usage
from services.execution.domain.order import OrderState
from services.execution.domain.trading_state import Halt, Scope, ScopeKind, TradingState
from services.execution.domain.words import Side
from services.kernel.errors import Conflict
from tests.execution.builders import NOON, a_plan, a_price, a_trade

DAY = date(2022, 12, 28)


@pytest.fixture
async def taken(world):
    """A world with two accepted plans: VTI bought and BND sold by each of two accounts."""
    await world.market(VTI=100, BND=80)
    await world.submit(
        *(
            a_plan(
                a_trade("VTI", quantity=2),
                a_trade("BND", Side.SELL, 3, price=80),
                plan=f"plan-{n}",
                account=f"acc-{n}",
                run_id=f"run-{n}",
            )
            for n in (1, 2)
        )
    )
    return world


async def test_what_a_failed_transaction_wrote_is_gone(world):
    async def fail():
        async with world.begin() as ledger:
            await ledger.put_prices([a_price()])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()

    async with world.begin() as ledger:
        assert await ledger.prices({"VTI"}) == {}


async def test_prices_go_forward_only(world):
    async with world.begin() as ledger:
        assert await ledger.put_prices([a_price(price=1), a_price("BND", 2)]) == 2
        assert await ledger.put_prices([a_price(price=3), a_price("BND", 4, at=NOON + timedelta(seconds=1))]) == 1
        found = await ledger.prices({"VTI", "BND", "NONE"})

    assert {name: price.price for name, price in found.items()} == {"VTI": 1, "BND": 4}


async def test_usage_adds_up_by_day_and_key(world):
    firm, account = LimitKey(LimitKind.FIRM), LimitKey(LimitKind.ACCOUNT, "a")
    async with world.begin() as ledger:
        await ledger.add_usage(DAY, {firm: Usage(1, Decimal("1.5")), account: Usage(1, Decimal(1), Decimal(1))})
        await ledger.add_usage(DAY, {firm: Usage(2, Decimal("0.5"))})
        found = await ledger.usage(DAY, {firm, account, LimitKey(LimitKind.ACCOUNT, "b")})
        other_day = await ledger.usage(DAY + timedelta(days=1), {firm})

    assert found == {firm: Usage(3, Decimal(2)), account: Usage(1, Decimal(1), Decimal(1))}
    assert other_day == {}


async def test_halts_are_one_per_scope(world):
    scope = Scope(ScopeKind.ACCOUNT, "a")
    first = Halt(scope, TradingState.REDUCING, "ruth", NOON, "one")
    second = Halt(scope, TradingState.HALTED, "omar", NOON, "two", ("ruth", "tess"))
    async with world.begin() as ledger:
        await ledger.put_halt(first)
        await ledger.put_halt(second)
        assert await ledger.halts() == {scope: second}
        await ledger.remove_halt(scope)
        assert await ledger.halts() == {}


async def test_orders_are_found_by_what_they_are(taken):
    async def ids(**which):
        async with taken.begin() as ledger:
            return [
                (each.account_id, each.instrument_id) for each in await ledger.list_orders(OrderFilter(**which), "", 9)
            ]

    assert len(await ids()) == 4
    assert sorted(await ids(plan_id="plan-1")) == [("acc-1", "BND"), ("acc-1", "VTI")]
    assert sorted(await ids(account_id="acc-2", run_id="run-2")) == [("acc-2", "BND"), ("acc-2", "VTI")]
    assert await ids(account_id="acc-2", run_id="run-1") == []
    assert await ids(state=LifeState.FILLED) == []
    assert len(await ids(state=LifeState.READY)) == 4


async def test_an_order_comes_back_as_it_was_written(taken):
    async with taken.begin() as ledger:
        (order, *_) = await ledger.list_orders(OrderFilter(), "", 1)
        changed = replace(
            order,
            placed=order.quantity,
            ended=order.quantity,
            filled=order.quantity,
            filled_amount=Decimal("199.99"),
            fees=Decimal("0.01"),
            arrival_amount=Decimal("200.5"),
            final_price=Decimal("100.25"),
        )
        await ledger.save_orders([changed])
    async with taken.begin() as ledger:
        assert (await ledger.orders({order.order_id, "none"})) == {order.order_id: changed}
        assert await ledger.closed_orders("run-9", "", 5) == []
        assert await ledger.closed_orders(None, "", 5) == [changed]
        assert await ledger.closed_orders(None, changed.order_id, 5) == []


async def test_orders_go_into_blocks_and_closed_ones_do_not(taken):
    later = NOON + timedelta(seconds=1)
    async with taken.begin() as ledger:
        one, other, *_ = await ledger.list_orders(OrderFilter(), "", 2)
        await ledger.place_orders(
            [PlacedPiece(one.order_id, Decimal("0.5"), "b-1"), PlacedPiece(other.order_id, other.quantity, "b-2")],
            later,
        )
        await ledger.place_orders([PlacedPiece(one.order_id, one.quantity - Decimal("0.5"), "b-3")], later)
        placed = await ledger.orders({one.order_id, other.order_id})
        (working, *_) = await ledger.list_orders(OrderFilter(state=LifeState.WORKING), "", 1)
        full = replace(one, placed=one.quantity, ended=one.quantity, close_reason="PLAN_EXPIRED")
        await ledger.save_orders([full])

    assert placed[one.order_id] == replace(one, placed=one.quantity, block_id="b-3", update_time=later)
    assert placed[other.order_id] == replace(other, placed=other.quantity, block_id="b-2", update_time=later)
    assert working.order_id == min(one.order_id, other.order_id)
    with pytest.raises(Conflict):
        async with taken.begin() as ledger:
            await ledger.place_orders([PlacedPiece(one.order_id, Decimal(0), "b-4")], later)


async def test_a_closed_order_cannot_be_written_over(taken):
    async with taken.begin() as ledger:
        (order, *_) = await ledger.list_orders(OrderFilter(), "", 1)
        await ledger.save_orders([replace(order, close_reason="PLAN_EXPIRED")])
    with pytest.raises(Conflict):
        async with taken.begin() as ledger:
            await ledger.save_orders([order])


async def test_open_instruments_are_those_of_open_orders(taken):
    async with taken.begin() as ledger:
        assert await ledger.open_instruments({"acc-1", "acc-9"}) == {("acc-1", "VTI"), ("acc-1", "BND")}
        assert await ledger.open_instruments(set()) == frozenset()


async def test_what_is_unsent_is_found_by_scope_and_by_expiry(taken):
    async with taken.begin() as ledger:
        by_account = await ledger.unsent_orders(Scope(ScopeKind.ACCOUNT, "acc-1"), None)
        by_instrument = await ledger.unsent_orders(Scope(ScopeKind.INSTRUMENT, "VTI"), None)
        elsewhere = await ledger.unsent_orders(Scope(ScopeKind.VENUE, "elsewhere"), None)
        expired = await ledger.unsent_orders(None, NOON + timedelta(hours=4))
        not_yet = await ledger.unsent_orders(None, NOON + timedelta(hours=3))

    assert [len(each) for each in (by_account, by_instrument, elsewhere, expired, not_yet)] == [2, 2, 0, 4, 0]


async def test_a_block_comes_back_as_it_was_written(taken):
    await taken.app.forming.form_blocks()
    async with taken.begin() as ledger:
        blocks = await ledger.list_blocks(None, "", 9)
        detail = await ledger.block(blocks[0].block_id)
        assert await ledger.block("none") is None

    assert [block.block.terms.side for block in sorted(blocks, key=lambda each: each.block.terms.side)] == [
        "BUY",
        "SELL",
    ]
    assert detail.record.block == blocks[0].block
    assert detail.record.summary.state is OrderState.PENDING
    assert sorted(share.account_id for share in detail.record.statement.shares) == ["acc-1", "acc-2"]


async def test_blocks_are_claimed_once_sells_first(taken):
    await taken.app.forming.form_blocks()
    async with taken.begin() as ledger:
        claimed = await ledger.claim_blocks("sandbox", "one", NOON, 9)
        assert await ledger.claim_blocks("sandbox", "two", NOON, 9) == []
        assert await ledger.claim_blocks("elsewhere", "two", NOON, 9) == []
        held = await ledger.claimed_blocks("one", claimed)
        assert await ledger.claimed_blocks("two", claimed) == []
        unresolved = await ledger.unresolved_blocks("sandbox", NOON, 9)
        too_fresh = await ledger.unresolved_blocks("sandbox", NOON - timedelta(seconds=1), 9)

    assert [record.block.terms.side for record in held] == [Side.SELL, Side.BUY]
    assert {record.block_id for record in unresolved} == set(claimed)
    assert too_fresh == []


async def test_blocks_are_found_by_run_scope_and_need(taken):
    await taken.app.forming.form_blocks()
    async with taken.begin() as ledger:
        blocks = await ledger.open_blocks(None, None)
        assert [len(await ledger.list_blocks(run, "", 9)) for run in ("run-1", "run-9", None)] == [2, 0, 2]
        assert len(await ledger.open_blocks(Scope(ScopeKind.ACCOUNT, "acc-1"), None)) == 2
        assert len(await ledger.open_blocks(Scope(ScopeKind.ACCOUNT, "acc-9"), None)) == 0
        assert len(await ledger.open_blocks(Scope(ScopeKind.INSTRUMENT, "VTI"), None)) == 1
        assert len(await ledger.open_blocks(None, NOON + timedelta(hours=4))) == 2
        assert await ledger.blocks_to_finish("sandbox", 9) == []
        await ledger.save_blocks(
            [
                replace(blocks[0], cancel_reason="PLAN_EXPIRED"),
                replace(blocks[1], ours=OrderState.PENDING_NEW, cancel_reason="PLAN_EXPIRED"),
            ]
        )
        finish = await ledger.blocks_to_finish("sandbox", 9)
        cancel = await ledger.blocks_to_cancel("sandbox", 9)
        assert await ledger.claim_blocks("sandbox", "one", NOON, 9) == []

    assert [each.block_id for each in finish] == [blocks[0].block_id]
    assert [each.block_id for each in cancel] == [blocks[1].block_id]


async def test_reports_count_once_and_the_cursor_moves(taken):
    await taken.app.forming.form_blocks()
    await taken.app.sending.send_blocks()
    said = await taken.venue.reports(0, 100)
    async with taken.begin() as ledger:
        assert await ledger.cursor("sandbox") == 0
        blocks = await ledger.blocks_at("sandbox", {each.client_order_id for each in said} | {"none"})
        rows = [(blocks[each.client_order_id].block_id, each) for each in said]
        await ledger.add_reports("sandbox", rows)
        await ledger.add_reports("sandbox", rows)
        await ledger.move_cursor("sandbox", said[-1].position)
    async with taken.begin() as ledger:
        again = await ledger.blocks_at("sandbox", blocks)
        assert await ledger.cursor("sandbox") == said[-1].position
        sent = await ledger.sent_blocks("sandbox", "", 5)
        assert len(sent) == 2
        assert await ledger.sent_blocks("sandbox", sent[0].block_id, 5) == sent[1:]

    assert {record.order.state for record in again.values()} == {OrderState.FILLED}
    assert all(len(record.reports) == 2 for record in again.values())


async def test_carries_add_up(world):
    async with world.begin() as ledger:
        await ledger.add_carries({"a": 5, "b": -3, "c": 0})
        await ledger.add_carries({"a": -7})
        assert await ledger.carries({"a", "b", "c", "d"}) == {"a": -2, "b": -3}
        assert await ledger.carries(set()) == {}


async def test_orders_are_counted_by_state(taken):
    async with taken.begin() as ledger:
        assert await ledger.orders_by_state() == {LifeState.READY: 4}


async def test_the_stream_has_no_gap_however_many_write_at_once(make_postgres_world):
    world = await make_postgres_world(database_pool_size=16)
    await world.market(**{f"I{n}": 100 for n in range(8)})
    await world.submit(*(a_plan(a_trade(f"I{n}"), plan=f"p-{n}", account=f"a-{n}") for n in range(8)))
    seen = []

    async def follow():
        while len(seen) < 8:
            seen.extend(await world.app.queries.plan_reports(seen[-1].position if seen else 0, 3))
            await asyncio.sleep(0)

    async def give_up(n):
        await world.app.trading.halt(Scope(ScopeKind.INSTRUMENT, f"I{n}"), TradingState.HALTED, by="ruth", why="test")

    await asyncio.gather(follow(), *(give_up(n) for n in range(8)))

    assert [each.position for each in seen] == list(range(1, 9))
    assert len({each.content.order_id for each in seen}) == 8
