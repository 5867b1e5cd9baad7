"""What differs is found, kept, owned and settled; and stops what it touches, and nothing else."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from services.execution.app.reconciling import CustodianStatement
from services.execution.domain.custody import Holdings, Trade
from services.execution.domain.errors import BreakNotFound, BreakResolved, StatementOutdated
from services.execution.domain.order import FillBusted, Filled
from services.execution.domain.words import Side
from tests.execution.builders import NOON, a_plan, a_trade

DAY = date(2022, 12, 28)


async def carried_out(world, account="acc-1", **settings):
    await world.market(VTI=100, BND=100, fee_bps=1)
    await world.submit(a_plan(a_trade(quantity=10), account=account, plan=f"plan-{account}"))
    await world.run()
    (detail, *_) = await world.blocks()
    return detail.record.block.client_order_id


def theirs(quantity=10, account="acc-1", **changes):
    values = {
        "account_id": account,
        "instrument_id": "VTI",
        "side": Side.BUY,
        "trade_date": DAY,
        "settlement_date": date(2022, 12, 30),
        "quantity": Decimal(quantity),
        "amount": Decimal(quantity) * 100,
        "fees": Decimal("0.10"),
        "reference": f"r-{account}",
    }
    return Trade(**(values | changes))


def statement(*trades, day=DAY, units=10, cash="9000", account="acc-1"):
    held = {"VTI": Decimal(units)} if units else {}
    return CustodianStatement("custodian-a", day, {account: Holdings(held, Decimal(cash))}, trades)


async def open_breaks(world, **which):
    found = await world.app.reconciling.list_breaks(
        **{"resolved": False, "owner": "", "after": "", "limit": 100, **which}
    )
    return {each.kind: each for each in found}


async def kinds(world):
    return sorted(await open_breaks(world))


async def reasons(world, *trades, account="acc-1", plan="next"):
    (result,) = await world.submit(a_plan(*trades, account=account, plan=plan))
    return [each.reason for each in result.refusals]


async def test_a_break_with_the_venue_is_one_row_that_ages_and_goes_by_itself(make_world):
    world = await make_world()
    name = await carried_out(world)
    assert await world.app.reconciling.reconcile_venue() == 0
    async with world.begin_book() as book:
        (order,) = await book.orders()
        await book.save([order.__class__(**{**_fields(order), "filled_quantity": Decimal(9)})])
    await world.app.reconciling.reconcile_venue()
    world.clock.advance(timedelta(seconds=40))
    await world.app.reconciling.reconcile_venue()

    found = (await open_breaks(world))["FILLED_QUANTITY"]
    assert (found.ours, found.theirs, found.client_order_id) == ("10", "9", name)
    assert found.see_time - found.find_time == timedelta(seconds=40)
    assert [kind for kind, _, _ in await world.events()].count("execution.break.found") == 1
    # It has lasted: that account does not trade that instrument, and all else goes on.
    assert await reasons(world, a_trade("VTI", quantity=1)) == ["BREAK_OPEN"]
    assert await reasons(world, a_trade("BND", quantity=1), plan="bnd") == []
    assert await reasons(world, a_trade("VTI", quantity=1), account="acc-2", plan="two") == []

    async with world.begin_book() as book:
        await book.save([order])
    world.clock.advance(timedelta(seconds=1))
    await world.app.reconciling.reconcile_venue()
    assert "FILLED_QUANTITY" not in await kinds(world)
    assert await reasons(world, a_trade("VTI", quantity=1), plan="again") == []


def _fields(order):
    return {name: getattr(order, name) for name in order.__slots__}


async def test_a_statement_that_agrees_shows_nothing_and_the_next_is_compared_with_it(make_world):
    world = await make_world()
    await world.app.reconciling.ingest(statement(day=DAY - timedelta(days=1), units=0, cash="10000"))
    await carried_out(world)

    assert await world.app.reconciling.ingest(statement(theirs(), cash="8999.90")) == 0
    assert await world.app.reconciling.ingest(statement(theirs(), cash="8999.90")) == 0
    assert await world.app.reconciling.ingest(statement(day=DAY + timedelta(days=1), cash="8999.90")) == 0
    assert await kinds(world) == []


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (statement(cash="8999.90"), ["MISSING_TRADE"]),
        (statement(theirs(9, amount=Decimal(1000)), cash="8999.90"), ["QUANTITY"]),
        (statement(theirs(fees=Decimal(5)), cash="8999.90"), ["FEE"]),
        (statement(theirs(), theirs(), cash="8999.90"), ["DUPLICATE"]),
        (statement(theirs(side=Side.SELL), cash="8999.90"), ["SIDE"]),
        (statement(theirs(trade_date=DAY - timedelta(days=1)), cash="8999.90"), ["TRADE_DATE"]),
        (statement(theirs(), units=11, cash="8999.91"), ["CASH", "POSITION"]),
    ],
)
async def test_each_kind_of_break_with_a_custodian_is_found(make_world, said, expected):
    world = await make_world()
    await world.app.reconciling.ingest(statement(day=DAY - timedelta(days=1), units=0, cash="10000"))
    await carried_out(world)
    await world.app.reconciling.ingest(said)

    assert await kinds(world) == expected


async def test_what_the_venue_took_back_and_the_custodian_has_is_a_late_bust(make_world):
    world = await make_world()
    name = await carried_out(world)
    async with world.begin_book() as book:
        await book.say([(name, FillBusted(f"{name}:bust", f"{name}:1"), NOON)])
    await world.run()
    await world.app.reconciling.ingest(statement(theirs()))

    assert await kinds(world) == ["LATE_BUST"]


async def test_a_break_is_owned_and_settled_and_stays_so_until_it_changes(make_world):
    world = await make_world()
    await carried_out(world)
    await world.app.reconciling.ingest(statement(theirs(9)))
    found = (await open_breaks(world))["QUANTITY"]
    assert await reasons(world, a_trade("VTI", quantity=1)) == ["BREAK_OPEN"]

    await world.app.reconciling.assign(found.break_id, "mona", by="ruth")
    assert list(await open_breaks(world, owner="mona")) == ["QUANTITY"]
    assert await open_breaks(world, owner="nobody") == {}
    await world.app.reconciling.resolve(found.break_id, by="mona", note="the custodian books the rest tomorrow")
    with pytest.raises(BreakResolved):
        await world.app.reconciling.resolve(found.break_id, by="mona", note="twice")
    with pytest.raises(BreakNotFound):
        await world.app.reconciling.assign("break-none", "mona", by="ruth")
    world.clock.advance(timedelta(seconds=1))
    await world.app.reconciling.ingest(statement(theirs(9)))
    assert await kinds(world) == []
    assert await reasons(world, a_trade("VTI", quantity=1), plan="later") == []

    await world.app.reconciling.ingest(statement(theirs(8)))
    assert await kinds(world) == ["QUANTITY"]
    (settled,) = (await open_breaks(world)).values()
    assert settled.owner == "mona"
    told = [kind for kind, _, _ in await world.events() if kind.startswith("execution.break.")]
    assert told == [f"execution.break.{what}" for what in ("found", "assigned", "resolved", "found")]


async def test_a_break_in_cash_stops_buys_and_not_sells(make_world):
    world = await make_world()
    await world.app.reconciling.ingest(statement(day=DAY - timedelta(days=1), units=0, cash="10000"))
    await carried_out(world)
    await world.app.reconciling.ingest(statement(theirs(), cash="1"))

    assert await kinds(world) == ["CASH"]
    assert await reasons(world, a_trade("BND", quantity=1)) == ["BREAK_OPEN"]
    assert await reasons(world, a_trade("BND", Side.SELL, 1), plan="sell") == []


async def test_an_older_statement_is_refused(make_world):
    world = await make_world()
    await world.app.reconciling.ingest(statement())
    with pytest.raises(StatementOutdated, match="acc-1"):
        await world.app.reconciling.ingest(statement(day=DAY - timedelta(days=1)))


async def test_more_than_was_ordered_is_given_to_nobody_and_shows(make_world):
    world = await make_world()
    name = await carried_out(world)
    async with world.begin_book() as book:
        await book.say([(name, Filled(f"{name}:extra", Decimal(3), Decimal(100)), NOON)])
    await world.run()
    await world.app.reconciling.reconcile_venue()

    assert "OVERFILLED" in await kinds(world)
    assert (await world.order("VTI")).filled == 10


async def test_what_is_on_its_way_is_no_break_until_it_should_be_here(make_memory_world):
    world = await make_memory_world()
    await world.market(VTI=100)
    await world.submit(a_plan(a_trade(quantity=10)))
    await world.app.forming.form_blocks()
    await world.app.sending.send_blocks()
    # The venue has filled it, and its reports were not applied yet.
    await world.venue.reports(0, 10)
    await world.app.reconciling.reconcile_venue()
    assert await kinds(world) == []

    world.clock.advance(timedelta(seconds=30))
    await world.app.reconciling.reconcile_venue()
    assert "FILLED_QUANTITY" in await kinds(world)
    await world.run()
    world.clock.advance(timedelta(seconds=1))
    await world.app.reconciling.reconcile_venue()
    assert await kinds(world) == []
