"""What is written of orders at a broker while several transactions are under way, and by which plans."""

import random
import re
from dataclasses import replace
from decimal import Decimal

import asyncpg
import pytest

from services.execution.app.venue_port import Intent
from services.execution.domain.order import Accepted, Filled
from services.execution.domain.words import OrderType, Side, TimeInForce
from services.execution.fix.postgres import PostgresStore
from services.execution.fix.protocol.actions import Received
from services.execution.fix.protocol.store import Direction, Entry, Journaled, NumbersMoved, SessionId
from services.execution.venues.fix44 import writing
from services.execution.venues.fix44.record import NameKind, OrderKnowledge, Record
from services.execution.venues.fix44.venue import Fix44Venue
from services.execution.venues.fix44.writing import Writing
from services.kernel.ids import InstrumentId, VenueId
from services.runtime.clock import SystemClock
from services.runtime.database import Database
from tests.execution.builders import NOON
from tests.execution.venues.test_fix44_mapping import message_of

VENUE = VenueId("fix44")


@pytest.fixture
async def database(execution_database):
    database = Database(execution_database.settings())
    yield database
    await database.close()


@pytest.fixture
def store(database):
    return PostgresStore(database)


def an_intent(name):
    return Intent(
        client_order_id=name,
        instrument_id=InstrumentId("VTI"),
        side=Side.BUY,
        quantity=Decimal(10),
        increment=Decimal(1),
        order_type=OrderType.LIMIT,
        limit_price=Decimal("99.5"),
        time_in_force=TimeInForce.DAY,
        currency="USD",
    )


async def sent(store, *names):
    async with store.begin() as unit:
        await Writing(unit, VENUE).add_orders([an_intent(name) for name in names], NOON)


async def orders(database, *names):
    async with database.apart() as driver:
        return await Record(driver, VENUE).orders(names)


async def test_an_order_that_is_renamed_while_a_report_of_it_is_applied_keeps_its_new_name(store, database):
    await sent(store, "c-1")
    async with store.begin() as unit:
        hearing = Writing(unit, VENUE)
        _, order = (await hearing.begin_hearing(["c-1"]))["c-1"]
        async with store.begin() as other:
            await Writing(other, VENUE).add_change("c-2", "c-1", NameKind.REPLACE)
        await hearing.heard([("c-1", Accepted("c-1/1"), NOON, False)], [order._replace(knowledge=OrderKnowledge.KNOWN)])

    found = (await orders(database, "c-1"))["c-1"]
    assert (found.knowledge, found.present_name) == (OrderKnowledge.KNOWN, "c-2")


async def test_a_report_is_in_the_stream_once_and_the_stream_has_no_gap(store, database):
    await sent(store, "c-1")
    fill = Filled("c-1/2", Decimal(4), Decimal(100), Decimal(0))
    for reports in ([Accepted("c-1/1")], [Accepted("c-1/1"), fill, fill], [fill, Accepted("c-1/3")]):
        async with store.begin() as unit:
            hearing = Writing(unit, VENUE)
            await hearing.begin_hearing(["c-1"])
            await hearing.heard([("c-1", each, NOON, False) for each in reports], [])

    async with database.apart() as driver:
        stream = await Record(driver, VENUE).said(0, 10)
    assert [(each.position, each.report.report_id) for each in stream] == [(1, "c-1/1"), (2, "c-1/2"), (3, "c-1/3")]


@pytest.mark.parametrize("known_empty", [False, True])
@pytest.mark.parametrize("statement", [writing._GLANCE, writing._BEGIN, f"WITH {writing._HEARD.text} SELECT"])
async def test_a_plan_that_was_made_on_empty_tables_looks_rows_up_by_their_whole_keys(
    database, execution_database, statement, known_empty
):
    # A table that was never looked at is planned for as one of some pages; one that was, as what it was then.
    owner = await asyncpg.connect(execution_database.owner_url)
    await owner.execute("TRUNCATE execution.fix_order, execution.fix_report, execution.fix_name CASCADE")
    if known_empty:
        await owner.execute("ANALYZE execution.fix_order, execution.fix_report, execution.fix_name")
    await owner.close()
    values = max(map(int, re.findall(r"\$(\d+)", statement)))
    async with database.apart() as driver, driver.transaction():
        await driver.execute(f"PREPARE kept AS {statement}")
        plan = "\n".join(row[0] for row in await driver.fetch(f"EXPLAIN EXECUTE kept ({', '.join(['NULL'] * values)})"))
        await driver.execute("DEALLOCATE kept")

    for table, key in (("fix_order", "client_order_id"), ("fix_report", "report_id"), ("fix_name", "name")):
        for looked_up in re.findall(rf"Scan using \w+ on {table}\b.*\n\s+(.*)", plan):
            assert looked_up.startswith("Index Cond: ((venue_id = ")
            assert f" AND ({key} = " in looked_up
    assert "Seq Scan" not in plan
    assert "Index Cond" in plan


# What PostgreSQL's text cannot hold, wherever a broker's word becomes text: a type, a name, a reason.
NUL_SAYS_NO = "8=FIX.4.4|35=8|37=o\0|11=c-1|17=e\0|150=8|39=8|55=VTI|54=1|151=0|14=0|6=0|58=a\0b|60=20221228-17:00:00|"
NUL_AS_TYPE = "8=FIX.4.4|35=\0|58=\0|"


async def test_a_nul_in_what_a_broker_says_stops_nothing(store, database):
    await sent(store, "c-1")
    session, venue = SessionId("FIX.4.4", "US", "THEM"), Fix44Venue(VENUE, database, store, SystemClock())
    stands = await store.load(session, NOON)
    for number, text in enumerate((NUL_SAYS_NO, NUL_AS_TYPE), 1):
        message = message_of(text)
        entry = Entry(number, message.msg_type, message.raw, NOON)
        async with store.begin() as unit:
            await venue.apply(unit, session, [Received(0, entry, message, deliver=True)])
            came = replace(stands, next_in=number + 1)
            await unit.advance(session, replace(stands, next_in=number), came, [Journaled(0, Direction.IN, entry)])

    found = (await orders(database, "c-1"))["c-1"]
    assert (found.knowledge, found.why) == (OrderKnowledge.REFUSED, "a\N{REPLACEMENT CHARACTER}b")
    assert (await store.load(session, NOON)).next_in == 3


# Ids at a broker are short, and numbers small; nothing in FIX says how long they may be.
LONG = random.Random(7).randbytes(20_000).hex()


async def test_ids_and_numbers_of_any_length_stop_nothing(store, database):
    await sent(store, "c-1")
    session, venue = SessionId("FIX.4.4", "US", "THEM"), Fix44Venue(VENUE, database, store, SystemClock())
    stands = await store.load(session, NOON)
    said = [
        A_FILL.replace("17=e-{}", f"17={LONG}"),
        A_FILL.format(2).replace("11=c-1", f"11={LONG}"),
        f"8=FIX.4.4|35=P|70={LONG}|87=0|60=20221228-17:00:00|",
        f"8=FIX.4.4|35=3|45={'9' * 30}|58=no|",
        f"8=FIX.4.4|35=j|45={2**63}|372=D|379={LONG}|380=0|58=no|",
    ]
    for number, text in enumerate(said, 1):
        message = message_of(text)
        entry = Entry(number, message.msg_type, message.raw, NOON)
        async with store.begin() as unit:
            await venue.apply(unit, session, [Received(0, entry, message, deliver=True)])
            came = replace(stands, next_in=number + 1)
            await unit.advance(session, replace(stands, next_in=number), came, [Journaled(0, Direction.IN, entry)])

    assert (await store.load(session, NOON)).next_in == len(said) + 1
    async with database.apart() as driver:
        assert await Record(driver, VENUE).said(0, 10) == []


A_FILL = "8=FIX.4.4|35=8|37=o|11=c-1|17=e-{}|150=F|39=1|55=VTI|54=1|32=1|31=100|151=9|14=1|6=100|60=20221228-17:00:00|"


def came(number):
    message = message_of(A_FILL.format(number))
    return Received(0, Entry(number, "8", message.raw, NOON), message, deliver=True)


async def test_two_sessions_that_bring_reports_at_once_add_each_report_once(store, database):
    await sent(store, "c-1")
    venue = Fix44Venue(VENUE, database, store, SystemClock())
    orders_session, copies = (SessionId("FIX.4.4", us, "BROKER") for us in ("US", "COPIES"))
    for session in (orders_session, copies):
        await store.load(session, NOON)
    start = await store.load(copies, NOON)

    async with store.begin() as slow:
        await venue.apply_said(slow, orders_session, [came(1), came(2)], copies=False)
        # Between what the slow one read and what it writes, the other brings one of its reports, and another.
        async with store.begin() as fast:
            await venue.apply_said(fast, copies, [came(2), came(3)], copies=True)
        await slow.advance(orders_session, start, replace(start, next_in=3))

    async with database.apart() as driver:
        stream = await Record(driver, VENUE).said(0, 10)
    assert [(each.position, each.report.report_id) for each in stream] == [
        (1, "c-1/e-2"),
        (2, "c-1/e-3"),
        (3, "c-1/e-1"),
    ]
    assert (await store.load(orders_session, NOON)).next_in == 3
    assert (await orders(database, "c-1"))["c-1"].knowledge is OrderKnowledge.KNOWN


async def test_numbers_that_moved_are_told_from_a_stream_that_grew(store, database):
    await sent(store, "c-1")
    session, venue = SessionId("FIX.4.4", "US", "BROKER"), Fix44Venue(VENUE, database, store, SystemClock())
    start = await store.load(session, NOON)

    async def apply():
        async with store.begin() as unit:
            await venue.apply(unit, session, [came(1)])
            await unit.advance(session, replace(start, next_in=7), replace(start, next_in=8))

    with pytest.raises(NumbersMoved):
        await apply()
    async with database.apart() as driver:
        assert await Record(driver, VENUE).said(0, 10) == []
