"""What differs is found, kept, owned and settled; and stops what it touches, and nothing else."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from services.execution.app.reconciling import Compared, CustodianStatement
from services.execution.domain.custody import Holdings, Trade
from services.execution.domain.errors import BreakNotFound, BreakResolved, StatementOutdated
from services.execution.domain.order import FillBusted, Filled
from services.execution.domain.words import Side
from services.kernel.errors import Invalid
from tests.execution.builders import NOON, a_plan, a_trade

DAY = date(2022, 12, 28)
ONE_DAY = timedelta(days=1)


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


def statement(*trades, day=DAY, units=10, cash="9000", account="acc-1", currency="USD"):
    held = {"VTI": Decimal(units)} if units else {}
    return CustodianStatement("custodian-a", day, {account: Holdings(held, Decimal(cash))}, trades, {account: currency})


async def ingest(world, said):
    """Ingest a statement at the end of its day."""
    world.market_clock.advance(max(NOON + (said.day - DAY) - world.market_clock.now(), timedelta(0)))
    return (await world.app.reconciling.ingest(said)).breaks


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
    await ingest(world, statement(day=DAY - ONE_DAY, units=0, cash="10000"))
    await carried_out(world)

    assert await ingest(world, statement(theirs(), cash="8999.90")) == 0
    assert await ingest(world, statement(theirs(), cash="8999.90")) == 0
    assert await ingest(world, statement(day=DAY + ONE_DAY, cash="8999.90")) == 0
    assert await kinds(world) == []


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (statement(cash="8999.90"), ["MISSING_TRADE"]),
        (statement(theirs(9, amount=Decimal(1000)), cash="8999.90"), ["QUANTITY"]),
        (statement(theirs(fees=Decimal(5)), cash="8999.90"), ["FEE"]),
        (statement(theirs(), theirs(), cash="8999.90"), ["DUPLICATE"]),
        (statement(theirs(side=Side.SELL), cash="8999.90"), ["SIDE"]),
        (statement(theirs(trade_date=DAY - ONE_DAY), cash="8999.90"), ["TRADE_DATE"]),
        (statement(theirs(), units=11, cash="8999.91"), ["CASH", "POSITION"]),
    ],
)
async def test_each_kind_of_break_with_a_custodian_is_found(make_world, said, expected):
    world = await make_world()
    await ingest(world, statement(day=DAY - ONE_DAY, units=0, cash="10000"))
    await carried_out(world)
    await ingest(world, said)

    assert await kinds(world) == expected


async def days(world, *statements):
    """Ingest statements, one after the other, and return what kinds of breaks are open after each."""
    found = []
    for each in statements:
        world.clock.advance(timedelta(seconds=1))
        await ingest(world, each)
        found.append(await kinds(world))
    return found


async def test_a_difference_in_holdings_stays_while_nobody_mends_it_and_goes_when_the_custodian_does(make_world):
    world = await make_world()
    await ingest(world, statement(day=DAY - ONE_DAY, units=0, cash="10000"))
    await carried_out(world)
    wrong = [statement(theirs(), units=11, cash="8000", day=DAY)]
    # The same day told again, then two days on which the custodian says what it said.
    wrong += [statement(theirs(), units=11, cash="8000", day=DAY), statement(units=11, cash="8000", day=DAY + ONE_DAY)]
    wrong += [statement(units=11, cash="8000", day=DAY + 2 * ONE_DAY)]

    assert await days(world, *wrong) == [["CASH", "POSITION"]] * 4
    found = (await open_breaks(world))["POSITION"]
    assert (found.ours, found.theirs) == ("10", "11")
    assert found.see_time - found.find_time == timedelta(seconds=3)
    assert "BREAK_OPEN" in await reasons(world, a_trade("VTI", quantity=1))

    # One is mended by the custodian, the other settled by a person: from then on what the custodian has counts.
    (left,) = await days(world, statement(units=10, cash="8000", day=DAY + 3 * ONE_DAY))
    assert left == ["CASH"]
    cash = (await open_breaks(world))["CASH"]
    await world.app.reconciling.resolve(cash.break_id, by="mona", note="A fee of the custodian.")
    assert await days(world, statement(cash="8000", day=DAY + 4 * ONE_DAY)) == [[]]


async def test_a_difference_in_a_trade_stays_on_later_days_until_a_person_settles_it(make_world):
    world = await make_world()
    await ingest(world, statement(day=DAY - ONE_DAY, units=0, cash="10000"))
    await carried_out(world)
    extra = theirs(3, side=Side.SELL, reference="r-extra")

    told = [statement(theirs(fees=Decimal(5)), extra, cash="8999.90"), statement(cash="8999.90", day=DAY + ONE_DAY)]
    assert await days(world, *told) == [["EXTRA_TRADE", "FEE"]] * 2
    found = (await open_breaks(world))["FEE"]
    assert found.trade_date == DAY
    await world.app.reconciling.resolve(found.break_id, by="mona", note="They gave it back.")
    assert await days(world, statement(cash="8999.90", day=DAY + 2 * ONE_DAY)) == [["EXTRA_TRADE"]]


async def test_what_was_missing_and_is_told_late_agrees(make_world):
    world = await make_world()
    await ingest(world, statement(day=DAY - ONE_DAY, units=0, cash="10000"))
    await carried_out(world)
    without = statement(units=0, cash="10000")
    still = statement(units=0, cash="10000", day=DAY + ONE_DAY)

    assert await days(world, without, still) == [["CASH", "MISSING_TRADE", "POSITION"]] * 2
    # Told again after it agreed it would be one too many.
    late = [statement(theirs(), cash="8999.90", day=DAY + n * ONE_DAY) for n in (2, 3)]
    assert await days(world, *late) == [[], ["EXTRA_TRADE"]]


async def test_what_was_missing_and_is_told_with_another_day_differs_in_its_day_alone(make_world):
    world = await make_world()
    await ingest(world, statement(day=DAY - ONE_DAY, units=0, cash="10000"))
    await carried_out(world)
    moved = statement(theirs(trade_date=DAY + ONE_DAY), cash="8999.90", day=DAY + ONE_DAY)

    found = await days(world, statement(units=0, cash="10000"), moved)
    assert found == [["CASH", "MISSING_TRADE", "POSITION"], ["TRADE_DATE"]]


async def test_a_statement_of_a_day_to_come_is_refused(make_world):
    world = await make_world()
    with pytest.raises(Invalid, match="2022-12-28, was 2022-12-29"):
        await world.app.reconciling.ingest(statement(day=DAY + ONE_DAY))
    # Else none would be taken until that day.
    assert await world.app.reconciling.ingest(statement()) == Compared(breaks=0, first=1)
    assert await world.app.reconciling.ingest(statement()) == Compared(breaks=0, first=0)


async def test_a_statement_in_another_currency_than_the_account_trades_in_is_refused(make_world):
    world = await make_world()
    await carried_out(world)
    with pytest.raises(Invalid, match="must be in USD for acc-1, was in EUR"):
        await ingest(world, statement(theirs(), currency="EUR"))


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
    await world.app.reconciling.ingest(statement(day=DAY - ONE_DAY, units=0, cash="10000"))
    await carried_out(world)
    await world.app.reconciling.ingest(statement(theirs(), cash="1"))

    assert await kinds(world) == ["CASH"]
    assert await reasons(world, a_trade("BND", quantity=1)) == ["BREAK_OPEN"]
    assert await reasons(world, a_trade("BND", Side.SELL, 1), plan="sell") == []


async def test_an_older_statement_is_refused(make_world):
    world = await make_world()
    await world.app.reconciling.ingest(statement())
    with pytest.raises(StatementOutdated, match="acc-1"):
        await ingest(world, statement(day=DAY - ONE_DAY))


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
