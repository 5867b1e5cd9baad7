"""The adapter and foreign engines when things go wrong: nothing is lost, and nothing is done twice."""

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest

from services.execution.app.bell import Bell
from services.execution.app.venue_port import Acknowledged, InstructionState, NotTaken, OutcomeUnknown
from services.execution.domain.order import Filled, OrderState, VenueOrder, fold
from services.execution.domain.words import Side
from services.execution.fix.transport.tls import client_context, server_context
from tests.execution.venues import fix_cases
from tests.execution.venues.fix_cases import exec_id, settled, until
from tests.execution.venues.test_venue_contract import an_instruction, an_order
from tests.support.quickfix_process import needs_quickfix
from tools.local.certificates import Authority

# What a cancel says beside the names.
ABOUT = {"55": "VTI", "54": "1", "38": "20", "60": "20221228-17:00:00"}


async def everything(trader):
    """Return what was said about each order."""
    found = {}
    for each in await trader.venue.reports(0, 100_000):
        found.setdefault(each.client_order_id, []).append(each)
    return found


async def order_of(trader, name, quantity=10):
    said = (await everything(trader)).get(name, [])
    return fold(VenueOrder(Decimal(quantity)), [each.report for each in said])


# More than there are tests here that trade with QuickFIX as the broker; the first has copies.
CLIENTS = [f"CLIENT-{number}" for number in range(20)]


@pytest.fixture(scope="module")
async def plain_broker(tmp_path_factory):
    """One broker by QuickFIX for all tests: a desk, a market and a session for each."""
    broker = await fix_cases.a_quickfix_broker(tmp_path_factory.mktemp("broker"), clients=CLIENTS, drop_copies=True)
    yield broker
    await broker.stop()


@pytest.fixture(scope="module")
async def tls_broker(tmp_path_factory):
    """The same over mutual TLS; its authority is in `authority`."""
    folder = tmp_path_factory.mktemp("tls")
    authority = Authority.at(folder)
    authority.issue("broker", rsa_key=True)
    broker = await fix_cases.a_quickfix_broker(tmp_path_factory.mktemp("broker"), clients=CLIENTS, tls=folder)
    broker.authority = authority
    yield broker
    await broker.stop()


@pytest.fixture(scope="module")
def clients():
    """Clients that no test traded for yet."""
    return iter(CLIENTS[1:])


@pytest.fixture
async def make_pair(plain_broker, tls_broker, clients, execution_database):
    """Have the adapter trade at the broker, as a client of its own: `await make_pair(drop_copies=True)`."""
    running = []

    async def make(*, drop_copies=False, secured=False, trader_tls=None, **fields):
        shared = tls_broker if secured else plain_broker
        client = CLIENTS[0] if drop_copies else next(clients)
        broker = fix_cases.QuickFixBroker(shared.process, shared.port, client)
        await broker.load()
        if secured and trader_tls is None:
            trader_tls = client_of(shared.authority)
        trader = await fix_cases.a_trader(
            execution_database.settings(), broker.port, us=client, drop_copies=drop_copies, tls=trader_tls, **fields
        )
        running.append(trader)
        return trader, broker

    yield make
    for each in reversed(running):
        await each.stop()


@needs_quickfix
async def test_orders_that_are_sent_together_go_as_one_list(make_pair):
    trader, broker = await make_pair(list_min=2)
    orders = [an_order(f"c-{number}") for number in range(3)] + [an_order("c-x", instrument="NONE")]
    outcomes = await trader.venue.submit(orders)
    await settled(trader, broker)

    assert outcomes[:3] == [Acknowledged()] * 3
    assert "NONE" in outcomes[3].why
    sent = [entry.msg_type for entry in await journal(trader)]
    assert (sent.count("E"), sent.count("D")) == (1, 0)
    assert (await order_of(trader, "c-2")).state is OrderState.FILLED


@needs_quickfix
async def test_a_broker_that_trades_no_currencies_is_sent_no_pair(make_pair):
    trader, broker = await make_pair(trades_currencies=False)
    orders = [an_order("c-1"), replace(an_order("c-2", instrument="EUR/USD"), currency="USD")]
    outcomes = await trader.venue.submit(orders)
    await settled(trader, broker)

    assert outcomes == [Acknowledged(), NotTaken("fix44 trades no currencies, and EUR/USD is a pair of them")]
    assert [entry.msg_type for entry in await journal(trader)].count("D") == 1
    assert (await order_of(trader, "c-1")).state is OrderState.FILLED
    # It was never there, and nothing waits for it.
    assert await trader.venue.query("c-2") is None
    assert await trader.venue.submit(orders) == outcomes


async def journal(trader):
    session = trader.initiator.session_id
    numbers = dict(await trader.store.sessions())[session]
    return await trader.store.journal(session, numbers.generation, "OUT", 1, 10_000, 10_000)


@needs_quickfix
async def test_an_order_that_several_submit_at_once_is_sent_once_and_all_hear_of_it(make_pair):
    trader, broker = await make_pair()
    several = [
        trader.venue.submit([an_order("c-1")]),
        trader.venue.submit([an_order("c-1"), an_order("c-2")]),
        trader.venue.submit([an_order("c-2"), an_order("c-1")]),
    ]
    outcomes = await asyncio.gather(*several)
    await settled(trader, broker)

    assert [each for together in outcomes for each in together] == [Acknowledged()] * 5
    assert [entry.msg_type for entry in await journal(trader)].count("D") == 2
    counts = (await broker.ask("state"))["counts"]
    assert (counts["orders"], counts["duplicates"]) == (2, 0)


@needs_quickfix
async def test_after_every_logon_the_broker_is_asked_for_all_orders(make_pair):
    trader, broker = await make_pair()
    await trader.venue.submit([an_order("c-1", limit="99")])
    for logons in (1, 2, 3):

        async def asked(times=logons):
            return [entry.msg_type for entry in await journal(trader)].count("AF") == times

        await until(asked)
        await settled(trader, broker)
        await trader.down(True)
        await trader.down(False)


@needs_quickfix
async def test_a_drop_copy_and_its_report_count_once_whichever_comes_first(make_pair):
    trader, broker = await make_pair(drop_copies=True)

    async def copies_up():
        return trader.copies.up

    await until(copies_up)
    # The order session goes, and what happens meanwhile comes as copies alone.
    await trader.venue.submit([an_order("c-1", quantity=10, limit="99")])
    await settled(trader, broker)
    await trader.down(True)
    await broker.load(price="99")

    async def copied():
        said = (await everything(trader)).get("c-1", [])
        return any(isinstance(each.report, Filled) and each.drop_copy for each in said)

    await until(copied)
    await trader.down(False)
    await settled(trader, broker)

    fills = [each for each in (await everything(trader))["c-1"] if isinstance(each.report, Filled)]
    assert len(fills) == 1
    assert (await order_of(trader, "c-1")).filled_quantity == 10


@needs_quickfix
@pytest.mark.parametrize("after", [1, 40, 120])
async def test_a_connection_lost_in_the_middle_of_a_message_sends_nothing_twice(make_pair, after):
    trader, broker = await make_pair()
    trader.proxy.cut_after = after
    (outcome,) = await trader.venue.submit([an_order("c-1")])
    await settled(trader, broker)

    assert isinstance(outcome, OutcomeUnknown)
    # Half a message is none: the broker does not know it, and now it may be sent.
    assert await trader.venue.query("c-1") is None
    assert await trader.venue.submit([an_order("c-1")]) == [Acknowledged()]
    await settled(trader, broker)
    state = await broker.ask("state")
    assert (state["counts"]["orders"], state["counts"]["duplicates"]) == (1, 0)
    assert (await order_of(trader, "c-1")).state is OrderState.FILLED


@needs_quickfix
async def test_reports_that_are_lost_come_again_and_count_once(make_pair):
    trader, broker = await make_pair()
    await broker.load(share="0.2")
    for number in range(3):
        await trader.venue.submit([an_order(f"c-{number}", quantity=50)])
        trader.proxy.cut()
    await settled(trader, broker)

    state = await broker.ask("state")
    for name, order in state["orders"].items():
        ours = await order_of(trader, name, 50)
        assert f"{ours.filled_quantity:f}" == order["filled"] == "50"
        assert sorted(map(exec_id, ours.fills)) == order["fills"]
    assert state["counts"]["duplicates"] == 0


@needs_quickfix
async def test_a_gap_in_their_numbers_is_filled(make_pair):
    trader, broker = await make_pair()
    state = await broker.ask("numbers")
    # They skip numbers: what is between never was, and they say so when asked.
    await broker.ask("numbers", next_out=state["next_out"] + 5)
    await trader.venue.submit([an_order("c-1")])
    await settled(trader, broker)

    assert (await order_of(trader, "c-1")).state is OrderState.FILLED


@needs_quickfix
async def test_the_adapter_dies_and_another_takes_up_the_session(make_pair, execution_database):
    trader, broker = await make_pair()
    await trader.venue.submit([an_order("c-1", limit="99")])
    await settled(trader, broker)
    # As by a death: no logout, and what happens meanwhile nobody hears.
    trader.proxy.down = True
    trader.proxy.cut()
    await trader.stop()
    await broker.load(price="99")
    again = await fix_cases.a_trader(execution_database.settings(), broker.port, us=broker.client)
    await settled(again, broker)

    assert await again.venue.submit([an_order("c-1", limit="99")]) == [Acknowledged()]
    assert (await order_of(again, "c-1")).state is OrderState.FILLED
    assert (await broker.ask("state"))["counts"]["orders"] == 1
    await again.stop()


def client_of(authority, name="EVENKEEL"):
    issued = authority.issue(name)
    return client_context(issued.certificate_file, issued.private_key_file, authority.certificate_file)


@needs_quickfix
async def test_over_tls_lists_parts_busts_and_allocations_go_on_after_the_broker_restarts(make_pair):
    trader, broker = await make_pair(secured=True, list_min=2)
    await broker.load(share="0.4")
    outcomes = await trader.venue.submit([an_order("c-1"), an_order("c-2"), an_order("c-3", limit="99")])
    await settled(trader, broker)
    assert outcomes == [Acknowledged()] * 3
    assert len((await order_of(trader, "c-1")).fills) == 4

    # Killed, not stopped; what it had on disk, QuickFIX's store among it, is what it goes on with.
    await broker.ask("keep")
    await broker.process.kill()

    async def down():
        return not trader.initiator.up

    await until(down)
    (lost,) = await trader.venue.submit([an_order("c-4")])
    await broker.process.start()
    await until(trader.up)
    assert isinstance(lost, OutcomeUnknown)
    assert await trader.venue.query("c-4") is None
    assert await trader.venue.submit([an_order("c-4")]) == [Acknowledged()]

    # Fills of before and after the restart: a bust, a correction, what rested, and who got what.
    fills = sorted((await order_of(trader, "c-1")).fills)
    await broker.ask("bust", order="c-1", fill=exec_id(fills[0]))
    await broker.load(price="99")
    await settled(trader, broker)
    first = await order_of(trader, "c-1")
    assert (len(first.fills), first.filled_quantity) == (3, 7)
    assert (await order_of(trader, "c-3")).state is OrderState.FILLED
    await trader.venue.instruct([an_instruction(quantity=7, shares=((1, 3), (2, 4)))])

    async def booked():
        found = (await trader.venue.instructions(["a-1"])).get("a-1")
        return found is not None and found.state is InstructionState.ACCEPTED

    await until(booked)
    state = await broker.ask("state")
    assert (state["counts"]["orders"], state["counts"]["duplicates"]) == (4, 0)


@needs_quickfix
async def test_what_the_broker_rejects_it_is_told_again_under_another_id(make_pair):
    trader, broker = await make_pair()
    await trader.venue.submit([an_order("c-1")])
    await settled(trader, broker)
    await broker.ask("refuse_allocation", allocation_id="a-1", why="no such account")

    async def became(name):
        return (await trader.venue.instructions([name])).get(name)

    async def is_answered(name):
        found = await became(name)
        return found is not None and found.state in (InstructionState.ACCEPTED, InstructionState.REJECTED)

    first = an_instruction(quantity=10, shares=((1, 4), (2, 6)))
    await trader.venue.instruct([first])
    await until(lambda: is_answered("a-1"))
    refused = await became("a-1")
    await trader.venue.instruct([replace(first, allocation_id="a-2")])
    await until(lambda: is_answered("a-2"))

    assert (refused.state, refused.why) == (InstructionState.REJECTED, "no such account")
    assert (await became("a-2")).state is InstructionState.ACCEPTED


@needs_quickfix
async def test_over_tls_the_wrong_certificate_trades_nowhere(execution_database, tmp_path):
    # A broker of its own: QuickFIX serves nobody else while it waits for what a refused client will never send.
    authority, others = Authority.at(tmp_path / "tls"), Authority.at(tmp_path / "others")
    authority.issue("broker", rsa_key=True)
    stranger = others.issue("EVENKEEL")
    wrong = client_context(stranger.certificate_file, stranger.private_key_file, authority.certificate_file)
    broker = await fix_cases.a_quickfix_broker(tmp_path / "broker", tls=tmp_path / "tls")
    with pytest.raises(TimeoutError):
        await fix_cases.a_trader(execution_database.settings(), broker.port, tls=wrong, up_within_s=0.5)
    await broker.stop()


@needs_quickfix
async def test_over_tls_a_connection_lost_in_the_middle_of_a_record_sends_nothing_twice(make_pair):
    trader, broker = await make_pair(secured=True)
    trader.proxy.cut_after = 60
    (outcome,) = await trader.venue.submit([an_order("c-1")])
    await settled(trader, broker)

    assert isinstance(outcome, OutcomeUnknown)
    assert await trader.venue.query("c-1") is None
    assert await trader.venue.submit([an_order("c-1")]) == [Acknowledged()]
    await settled(trader, broker)
    assert (await broker.ask("state"))["counts"]["duplicates"] == 0


async def skip_numbers(trader, count):
    """Have us skip numbers, while the session is down."""
    session = trader.initiator.session_id
    was = dict(await trader.store.sessions())[session]
    async with trader.store.begin() as unit:
        await unit.advance(session, was, replace(was, next_out=was.next_out + count))


@needs_quickfix
async def test_gaps_of_every_kind_close_and_nothing_counts_twice(make_pair):
    trader, broker = await make_pair()
    names = iter(f"c-{number}" for number in range(100))

    async def trades():
        name = next(names)
        (outcome,) = await trader.venue.submit([an_order(name)])
        await settled(trader, broker)
        if isinstance(outcome, OutcomeUnknown):
            # The gap went over it, as over every order: the broker, asked, does not know it, so it may go again.
            assert await trader.venue.query(name) is None
            assert await trader.venue.submit([an_order(name)]) == [Acknowledged()]
            await settled(trader, broker)
        assert (await order_of(trader, name)).state is OrderState.FILLED

    await trades()
    # They skip numbers; then they skip some and forget what they had of us, both at once.
    theirs = await broker.ask("numbers")
    await broker.ask("numbers", next_out=theirs["next_out"] + 5)
    await trades()
    theirs = await broker.ask("numbers")
    await broker.ask("numbers", next_out=theirs["next_out"] + 3, next_in=2)
    await trades()
    # We skip numbers, as if what we sent under them were lost.
    await trader.down(True)
    await skip_numbers(trader, 4)
    await trader.down(False)
    await trades()

    state = await broker.ask("state")
    assert state["counts"]["duplicates"] == 0
    for name, order in state["orders"].items():
        assert sorted(map(exec_id, (await order_of(trader, name)).fills)) == order["fills"]


async def test_over_tls_a_certificate_speaks_for_its_comp_id_alone(execution_database, tmp_path):
    authority = Authority.at(tmp_path)
    ours, others = authority.issue("EVENKEEL"), authority.issue("SOMEBODY")
    server = authority.issue("sandbox")
    settings = execution_database.settings()
    broker = await fix_cases.a_sandbox_broker(
        settings,
        tls=server_context(server.certificate_file, server.private_key_file, authority.certificate_file),
        names=frozenset({"EVENKEEL"}),
    )

    def client(issued):
        return client_context(issued.certificate_file, issued.private_key_file, authority.certificate_file)

    with pytest.raises(TimeoutError):
        await fix_cases.a_trader(settings, broker.port, tls=client(others), up_within_s=1.0)
    trader = await fix_cases.a_trader(settings, broker.port, tls=client(ours))
    assert await trader.venue.submit([an_order("c-1", side=Side.SELL)]) == [Acknowledged()]
    await settled(trader, broker)
    assert (await order_of(trader, "c-1")).state is OrderState.FILLED
    await trader.stop()
    await broker.stop()


async def test_whoever_waits_for_reports_is_woken_when_they_are_on_record(execution_database):
    broker = await fix_cases.a_sandbox_broker(execution_database.settings())
    bell = Bell()
    trader = await fix_cases.a_trader(execution_database.settings(), broker.port, heard=bell.ring)
    sending = asyncio.create_task(trader.venue.submit([an_order("c-1", side=Side.SELL)]))
    async with asyncio.timeout(fix_cases.SETTLED_S):
        rung = bell.rung
        while (await order_of(trader, "c-1")).state is not OrderState.FILLED:
            await rung.wait()
            rung = bell.rung
    assert await sending == [Acknowledged()]
    await trader.stop()
    await broker.stop()


def over_tls(folder):
    """Return the sandbox's side of mutual TLS, and whom it believes; the client's files are in `folder`, too."""
    authority = Authority.at(folder)
    authority.issue("EVENKEEL", rsa_key=True)
    server = authority.issue("sandbox")
    context = server_context(server.certificate_file, server.private_key_file, authority.certificate_file)
    return {"tls": context, "names": frozenset({"EVENKEEL"})}


@needs_quickfix
async def test_a_client_by_quickfix_dies_over_tls_and_hears_once_what_it_missed(execution_database, tmp_path):
    broker = await fix_cases.a_sandbox_broker(execution_database.settings(), **over_tls(tmp_path / "tls"))
    command = ("tests.execution.venues.quickfix_client", str(broker.port), str(tmp_path), str(tmp_path / "tls"))
    client = fix_cases.Process(*command)
    await client.start()
    seen = seen_by(client)
    order = {"21": "1", "55": "VTI", "54": "1", "38": "10", "40": "2", "44": "99", "60": "20221228-17:00:00"}
    await until(seen)
    await client.ask("send", kind="D", fields=order | {"11": "q-1"})
    await until(lambda: seen("\x01150=0\x01"))

    # It dies; what rests is filled meanwhile.
    await client.kill()
    await broker.load(price="99")

    async def filled():
        # Its market moves when somebody looks.
        return any(isinstance(each.report, Filled) for each in await broker.sandbox.reports(0, 100))

    await until(filled)
    await client.start()
    await until(lambda: seen("\x0111=q-1\x01"))
    await client.ask("send", kind="D", fields=order | {"11": "q-2"})
    await until(lambda: seen("\x0111=q-2\x01"))
    reports = (await client.ask("look"))["seen"]
    fills = [each for each in reports if "\x01150=F\x01" in each and "\x0111=q-1\x01" in each]
    assert len(fills) == 1
    await client.stop()
    await broker.stop()


def seen_by(client):
    async def seen(*wanted):
        """Return whether messages came that have these fields, in any place."""
        answer = await client.ask("look")
        return answer["up"] and all(any(each in f"\x01{message}" for message in answer["seen"]) for each in wanted)

    return seen


@needs_quickfix
@pytest.mark.parametrize("secured", [False, True])
async def test_a_client_by_quickfix_trades_at_our_sandbox(execution_database, tmp_path, secured):
    options = over_tls(tmp_path / "tls") if secured else {}
    broker = await fix_cases.a_sandbox_broker(execution_database.settings(), **options)
    arguments = [str(broker.port), str(tmp_path)] + ([str(tmp_path / "tls")] if secured else [])
    client = fix_cases.Process("tests.execution.venues.quickfix_client", *arguments)
    await client.start()

    seen = seen_by(client)
    order = {"11": "q-1", "21": "1", "55": "VTI", "54": "1", "38": "10", "40": "2", "44": "99", "59": "0"}
    order |= {"60": "20221228-17:00:00"}
    await until(seen)
    await client.ask("send", kind="D", fields=order)
    await until(lambda: seen("\x01150=0\x01"))
    change = {"41": "q-1", "11": "q-2", "21": "1", "55": "VTI", "54": "1", "38": "20", "40": "2", "44": "101"}
    await client.ask("send", kind="G", fields=change | {"60": order["60"]})
    await until(lambda: seen("\x01150=5\x01", "\x01150=F\x01"))
    await client.ask("send", kind="F", fields={"41": "q-2", "11": "q-3", **ABOUT})
    await client.ask("send", kind="AF", fields={"584": "all", "585": "7"})
    # Filled, so the cancel is too late; and it is on the list of all orders, under its new name.
    await until(lambda: seen("\x0135=9\x01", "\x01584=all\x01", "\x0111=q-2\x01"))
    (view,) = await broker.sandbox.mass_status()
    assert (view.quantity, view.filled_quantity, view.open) == (20, 20, False)
    await client.stop()
    await broker.stop()
