"""What moves at a custodian and is no trade is expected, once, however it is told; and explains no trade."""

import json
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest

from services.execution.app.reconciling import Compared, CustodianStatement
from services.execution.domain.custody import Holdings, Trade
from services.execution.domain.movements import CustodianMovement, MovementKind
from services.execution.domain.words import Side
from services.kernel.canonical import canonical_json
from tests.execution.builders import NOON, a_plan, a_trade

DAY = date(2022, 12, 28)
ONE_DAY = timedelta(days=1)


def statement(*moved, day=0, units=10, cash="1000", trades=()):
    """Return a statement of acc-1, some days after the first."""
    held = {"VTI": Decimal(units)} if units else {}
    on = DAY + day * ONE_DAY
    return CustodianStatement(
        "custodian-a", on, {"acc-1": Holdings(held, Decimal(cash))}, trades, {"acc-1": "USD"}, moved
    )


def a_movement(cash=5, kind=MovementKind.DIVIDEND, *, reference="m-1", day=1, instrument="VTI", units=0):
    return CustodianMovement("acc-1", reference, kind, DAY + day * ONE_DAY, instrument, Decimal(units), Decimal(cash))


async def ingest(world, said):
    """Ingest a statement at the end of its day."""
    world.clock.advance(timedelta(seconds=1))
    world.market_clock.advance(max(NOON + (said.day - DAY) - world.market_clock.now(), timedelta(0)))
    return await world.app.reconciling.ingest(said)


async def open_breaks(world):
    found = await world.app.reconciling.list_breaks(resolved=False, owner="", after="", limit=100)
    return {each.kind: each for each in found}


async def days(world, *statements):
    """Ingest statements, one after the other, and return what kinds of breaks are open after each."""
    found = []
    for each in statements:
        await ingest(world, each)
        found.append(sorted(await open_breaks(world)))
    return found


async def settle(world, kind):
    found = (await open_breaks(world))[kind]
    await world.app.reconciling.resolve(found.break_id, by="mona", note="They will tell it.")


async def moved_events(world):
    told = [(subjects, data) for kind, subjects, data in await world.events() if kind == "execution.custodian.moved"]
    return [(subjects, json.loads(canonical_json(data))) for subjects, data in told]


async def test_a_dividend_between_two_statements_is_no_break_and_without_being_told_it_is(make_world):
    world = await make_world()
    told = statement(a_movement(), day=1, cash="1005")
    untold = statement(day=2, cash="1010")

    assert await days(world, statement(), told, untold) == [[], [], ["CASH"]]
    found = (await open_breaks(world))["CASH"]
    assert (found.ours, found.theirs) == ("1005", "1010")


async def test_whatever_moves_between_two_statements_sums(make_world):
    world = await make_world()
    await ingest(world, statement())
    moved = [
        a_movement(500, MovementKind.DEPOSIT, instrument=None, reference="a"),
        a_movement(-100, MovementKind.WITHDRAWAL, instrument=None, reference="b", day=2),
        a_movement(20, reference="c", day=3),
        a_movement(-3, MovementKind.TAX, reference="d", day=3),
        a_movement("-0.25", MovementKind.FEE, instrument=None, reference="e", day=4),
        a_movement(0, MovementKind.CORPORATE_ACTION, units=10, reference="f", day=2),
        a_movement(0, MovementKind.TRANSFER_OUT, units=-4, reference="g", day=3),
    ]

    # Nothing was said of the days between.
    said = statement(*moved, day=4, units=16, cash="1416.75")
    assert await ingest(world, said) == Compared(breaks=0, first=0, moved=7)
    assert await days(world, replace(said, movements=[])) == [[]]


async def test_a_day_told_again_counts_what_moved_once_and_what_it_had_left_out(make_world):
    world = await make_world()
    dividend = a_movement()
    more = a_movement(7, reference="m-2")
    first = statement(dividend, day=1, cash="1005")
    again = statement(dividend, day=1, cash="1005")
    mended = statement(dividend, more, day=1, cash="1012")
    later = statement(dividend, more, day=2, cash="1012")

    assert await days(world, statement(), first, again, mended, later) == [[]] * 5
    assert len(await moved_events(world)) == 2


async def test_an_amount_that_is_told_otherwise_counts_by_the_difference_and_audit_has_both(make_world):
    world = await make_world()
    first = statement(a_movement(5), day=1, cash="1005")
    mended = statement(a_movement(8), day=1, cash="1008")

    assert await days(world, statement(), first, mended) == [[]] * 3
    _, (_, data) = await moved_events(world)
    assert (data["cash"], data["earlier"]["cash"]) == ("8", "5")
    assert data["counted"] == [["USD", "-5"], ["USD", "8"]]


@pytest.mark.parametrize("day", [1, 2])
async def test_the_cause_of_an_open_break_told_late_ends_it(make_world, day):
    world = await make_world()
    untold = statement(day=1, units=9, cash="1005")
    late = [a_movement(), a_movement(0, MovementKind.TRANSFER_OUT, units=-1, reference="m-2")]

    told = statement(*late, day=day, units=9, cash="1005")
    assert await days(world, statement(), untold, told) == [[], ["CASH", "POSITION"], []]


async def test_told_days_later_it_ends_the_break_too(make_world):
    world = await make_world()
    untold = [statement(day=1, cash="1005"), statement(day=2, cash="1005")]

    told = statement(a_movement(), day=3, cash="1005")
    assert await days(world, statement(), *untold, told) == [[], ["CASH"], ["CASH"], []]


async def test_what_a_person_settled_is_not_counted_when_it_is_told_at_last(make_world):
    world = await make_world()
    await days(world, statement(), statement(day=1, cash="1005"))
    await settle(world, "CASH")

    again = statement(a_movement(), day=1, cash="1005")
    rolling = statement(a_movement(), a_movement(3, day=2, reference="m-2"), day=2, cash="1008")
    assert await days(world, again, rolling) == [[], []]
    (_, first), (_, second) = await moved_events(world)
    assert (first["counted"], second["counted"]) == ([], [["USD", "3"]])


async def test_what_the_first_statement_has_is_not_counted_again(make_world):
    world = await make_world()
    in_it, untold = a_movement(day=0), a_movement(9, day=-1, reference="m-0")

    assert await days(world, statement(in_it), statement(in_it, untold, day=1)) == [[], []]


async def test_a_dividend_that_is_told_and_did_not_come_is_a_shortage(make_world):
    world = await make_world()
    late = statement(a_movement(), day=2, cash="1000")

    assert await days(world, statement(), statement(day=1), late) == [[], [], ["CASH"]]
    found = (await open_breaks(world))["CASH"]
    assert (found.ours, found.theirs) == ("1005", "1000")


@pytest.mark.parametrize("another", [False, True])
async def test_no_movement_explains_a_trade(make_world, another):
    world = await make_world()
    await ingest(world, statement(day=-1, units=0, cash="10000"))
    await world.market(VTI=100, fee_bps=1)
    await world.submit(a_plan(a_trade(quantity=10)))
    await world.run()
    undone = [
        a_movement(0, MovementKind.TRANSFER_OUT, units=-10, day=0),
        a_movement("1000.10", MovementKind.DEPOSIT, instrument=None, reference="m-2", day=0),
    ]
    extra = Trade("acc-1", "VTI", Side.SELL, DAY, DAY + ONE_DAY, Decimal(3), Decimal(300), Decimal(0), "r-1")

    # It lacks our trade, and may have another; units and cash are as its movements say.
    said = statement(*undone, units=0, cash="10000", trades=[extra] if another else [])
    expected = ["EXTRA_TRADE", "MISSING_TRADE"] if another else ["MISSING_TRADE"]
    assert await days(world, said) == [expected]


async def test_audit_is_told_each_movement_and_how_many(make_world):
    world = await make_world()
    await ingest(world, statement())
    fee = a_movement(-2, MovementKind.FEE, instrument=None, reference="m-2")
    await ingest(world, statement(a_movement(0, units=1), fee, day=1, units=11, cash="998"))

    (about_units, units), (about_cash, cash) = await moved_events(world)
    assert (about_units, about_cash) == ({"account": "acc-1", "instrument": "VTI"}, {"account": "acc-1"})
    assert units == {
        "custodian": "custodian-a",
        "statement_day": "2022-12-29",
        "reference": "m-1",
        "day": "2022-12-29",
        "currency": "USD",
        "kind": "DIVIDEND",
        "units": "1",
        "cash": "0",
        "counted": [["VTI", "1"]],
    }
    assert (cash["kind"], cash["cash"], cash["counted"]) == ("FEE", "-2", [["USD", "-2"]])
    came = [data for kind, _, data in await world.events() if kind == "execution.custodian.ingested"]
    assert [each["movements"] for each in came] == [0, 2]
