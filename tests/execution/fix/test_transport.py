"""The shell over real sockets: what is committed before what is written, and what hostile peers may cost."""

import asyncio
import contextlib
import ssl
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import trustme

from services.execution.fix.acceptance import Echo
from services.execution.fix.memory import MemoryStore
from services.execution.fix.protocol.actions import Close, GapFilled, GapFound, LoggedOn
from services.execution.fix.protocol.codec import Unencodable
from services.execution.fix.protocol.config import Role, SessionConfig
from services.execution.fix.protocol.message import Outgoing
from services.execution.fix.protocol.schedule import Schedule
from services.execution.fix.protocol.state import NotLoggedOn, State
from services.execution.fix.protocol.store import Direction, NumbersMoved
from services.execution.fix.transport.acceptor import Acceptor, Counterparty
from services.execution.fix.transport.initiator import Address, Initiator
from services.execution.fix.transport.limits import Bucket, Limits
from services.execution.fix.transport.tls import client_context, server_context
from services.execution.fix.transport.turn import OutcomeUnknown
from services.runtime.clock import SystemClock
from tests.execution.fix.script import Peer, instants, play
from tests.execution.fix.wire import fix, shown

US = SessionConfig("US", "THEM", Role.INITIATOR)
THEM = SessionConfig("THEM", "US", Role.ACCEPTOR, ages={})
CLIENT = SessionConfig("ISLD", "TW44", Role.ACCEPTOR)
LOGON = "8=FIX.4.4|35=A|34=1|49=TW44|52=NOW|56=ISLD|98=0|108=30"
PATIENCE_S = 60.0


def news(name):
    return Outgoing("B", [(148, name), (33, [[(58, "line")]])])


class Recorder:
    """An application that remembers, and fails when told to."""

    def __init__(self):
        self.applied, self.notices = [], []
        self.changed = asyncio.Event()
        self.failing = 0
        # Cleared, what came is not applied before it is set again.
        self.applying = asyncio.Event()
        self.applying.set()
        self.reply = False

    answers = False

    async def apply(self, unit, session, messages):
        await self.applying.wait()
        if self.failing:
            self.failing -= 1
            raise ConnectionError("the database is away")
        self.applied += [each.message.text(148) or each.entry.msg_type for each in messages]
        self.changed.set()
        return [news("reply") for each in messages if self.reply]

    async def notice(self, session, what):
        self.notices.append(what)
        self.changed.set()

    async def until(self, condition):
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


class WatchedStore(MemoryStore):
    """Fails commits when told to, and can hold them back."""

    def __init__(self):
        super().__init__()
        self.failing = 0
        self.commits = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.waiting = asyncio.Event()

    @contextlib.asynccontextmanager
    async def _unit(self):
        async with super()._unit() as unit:
            yield unit
            self.waiting.set()
            await self.gate.wait()
            if self.failing:
                self.failing -= 1
                raise ConnectionError("the database is away")
            self.commits += 1


@contextlib.asynccontextmanager
async def pair(ours=US, theirs=THEM, limits=None, tls=(None, None), names=None, stores=None):
    """A connected initiator and acceptor, each with an application and a store."""
    sides = [(Recorder(), store) for store in stores or (WatchedStore(), WatchedStore())]
    counterparties = {theirs.session_id: Counterparty(theirs, names)}
    acceptor = Acceptor(counterparties, sides[1][1], sides[1][0], SystemClock(), limits, tls[0])
    port = await acceptor.start("127.0.0.1", 0)
    initiator = Initiator(
        ours, Address("127.0.0.1", port, tls[1], "localhost"), sides[0][1], sides[0][0], SystemClock()
    )
    async with acceptor, initiator:
        yield initiator, acceptor, *sides


@contextlib.asynccontextmanager
async def serving(limits=None, config=CLIENT):
    """An echo server that a test speaks to by hand."""
    application = Echo({config.session_id: config.dictionary})
    acceptor = Acceptor({config.session_id: Counterparty(config)}, MemoryStore(), application, SystemClock(), limits)
    async with acceptor:
        yield acceptor, await acceptor.start("127.0.0.1", 0)


async def eventually(condition):
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - what is watched has no event
            await asyncio.sleep(0.01)


async def up(initiator):
    async with asyncio.timeout(PATIENCE_S):
        return await initiator.logged_on()


async def test_who_was_stopped_connects_again_when_started_again():
    async with pair() as (initiator, _, _, (theirs, _)):
        await up(initiator)
        await initiator.stop()
        initiator.start()
        await up(initiator)
        await initiator.send([news("again")])
        await theirs.until(lambda: "again" in theirs.applied)


async def test_messages_go_both_ways_and_arrive_in_order():
    async with pair() as (initiator, acceptor, (mine, _), (theirs, _)):
        await up(initiator)
        await asyncio.gather(*[initiator.send([news(f"a{n}"), news(f"b{n}")]) for n in range(50)])
        link = acceptor.link(THEM.session_id)
        await link.send([news("back")])
        await theirs.until(lambda: len(theirs.applied) == 100)
        await mine.until(lambda: mine.applied == ["back"])

        assert [name[1:] for name in theirs.applied[::2]] == [name[1:] for name in theirs.applied[1::2]]
        assert sorted(theirs.applied) == sorted(f"{c}{n}" for c in "ab" for n in range(50))
        assert isinstance(mine.notices[0], LoggedOn)


async def test_what_is_sent_does_not_wait_for_what_came():
    async with pair() as (initiator, acceptor, (mine, _), (theirs, _)):
        await up(initiator)
        mine.applying.clear()
        await acceptor.link(THEM.session_id).send([news("slow")])
        await eventually(lambda: initiator.link.session.numbers.next_in == 3)
        await initiator.send([news("fast")])
        await theirs.until(lambda: theirs.applied == ["fast"])

        assert mine.applied == []
        mine.applying.set()
        await mine.until(lambda: mine.applied == ["slow"])


async def test_bytes_leave_in_the_order_of_their_numbers_whoever_speaks():
    async with pair() as (initiator, acceptor, (mine, kept), (theirs, _)):
        await up(initiator)
        mine.reply = True
        link = acceptor.link(THEM.session_id)
        # Applications on both sides send; one answers all it gets, and sessions refuse some messages.
        bad = Outgoing("B", [(148, "bad"), (999, "no such tag")])

        async def talk(side, n):
            await side.send([bad if n % 5 == 0 else news(f"n{n}")])

        await asyncio.gather(*[talk(side, n) for n in range(60) for side in (initiator, link)])
        await theirs.until(lambda: theirs.applied.count("reply") == 60)
        await theirs.until(lambda: theirs.applied.count("3") == 12)

        assert not any(isinstance(each, GapFound) for side in (mine, theirs) for each in side.notices)
        numbers = initiator.link.session.numbers
        journal = await kept.journal(US.session_id, 0, Direction.OUT, 1, 1000, 1000)
        assert [each.number for each in journal] == list(range(1, numbers.next_out))


async def test_answers_that_are_rare_wait_for_their_turn_with_nothing_written():
    async with pair() as (initiator, acceptor, (mine, store), (theirs, _)):
        await up(initiator)
        mine.reply = True
        writing, go = asyncio.Event(), asyncio.Event()

        async def slowly(_):
            writing.set()
            await go.wait()

        mine.applying.clear()
        await acceptor.link(THEM.session_id).send([news("asked")])
        await eventually(lambda: initiator.link.session.numbers.next_in == 3)
        sending = asyncio.create_task(initiator.send([news("sent")], slowly))
        await writing.wait()
        mine.applying.set()
        # Applied, and undone: it is not our turn to speak.
        await mine.until(lambda: mine.applied == ["asked"])
        assert (await store.load(US.session_id, datetime.now(UTC))).next_in == 2
        go.set()
        await sending
        await theirs.until(lambda: theirs.applied == ["sent", "reply"])

        assert mine.applied == ["asked", "asked"]


async def test_who_comes_back_at_once_is_not_taken_for_a_second_connection():
    async with serving() as (_, port):
        for number in range(20):
            peer = await Peer.connect(port)
            peer.send(fix(instants(LOGON.replace("34=1|", f"34={number + 1}|"))))
            assert b"\x0135=A\x01" in await peer.receive()
            await peer.close()


async def test_a_transaction_that_fails_while_sending_ends_the_connection_and_the_next_one_goes_on():
    async with pair() as (initiator, _, (_, store), (theirs, _)):
        link = await up(initiator)
        store.failing = 1
        with pytest.raises(OutcomeUnknown):
            await initiator.send([news("lost")])
        await eventually(lambda: initiator.link is not link)
        await up(initiator)
        await initiator.send([news("after")])
        await theirs.until(lambda: theirs.applied == ["after"])


@pytest.mark.parametrize("stopped_for", [timedelta(days=2), timedelta(0)])
async def test_numbers_begin_anew_with_a_period_on_disk_too(stopped_for):
    now = datetime.now(UTC)
    opens, closes = ((now + hours).time() for hours in (-timedelta(hours=1), timedelta(hours=1)))
    schedule = Schedule(opens, closes)
    ours, theirs = replace(US, schedule=schedule), replace(THEM, schedule=schedule)
    mine, others = WatchedStore(), WatchedStore()
    for store, config in ((mine, ours), (others, theirs)):
        was = await store.load(config.session_id, now - stopped_for)
        async with store.begin() as unit:
            await unit.advance(config.session_id, was, replace(was, next_out=7, next_in=7))
    async with pair(ours, theirs, stores=(mine, others)) as (initiator, _, _, (application, _)):
        await up(initiator)
        await initiator.send([news("first")])
        await application.until(lambda: application.applied == ["first"])

        numbers = await mine.load(ours.session_id, now)
        assert (numbers.generation, numbers.next_out) == ((1, 3) if stopped_for else (0, 9))


async def test_nothing_is_on_the_wire_before_it_is_committed():
    async with pair() as (initiator, _, (_, store), (theirs, _)):
        link = await up(initiator)
        await theirs.until(lambda: any(isinstance(each, LoggedOn) for each in theirs.notices))
        before = link.traffic.bytes_out
        store.gate.clear()
        store.waiting.clear()
        sending = asyncio.create_task(initiator.send([news("held")]))
        await store.waiting.wait()

        assert link.traffic.bytes_out == before
        assert not sending.done()
        store.gate.set()
        (entry,) = await sending
        await theirs.until(lambda: theirs.applied == ["held"])
        assert list(await store.journal(US.session_id, 0, Direction.OUT, entry.number, entry.number, 1)) == [entry]


async def test_many_requests_share_a_transaction():
    async with pair() as (initiator, _, (_, store), (theirs, _)):
        await up(initiator)
        before = store.commits
        await asyncio.gather(*[initiator.send([news(f"n{n}")]) for n in range(200)])
        await theirs.until(lambda: len(theirs.applied) == 200)

        assert store.commits - before < 20


async def test_what_comes_one_by_one_to_a_busy_session_shares_transactions():
    async with pair(limits=Limits(turn_pace_s=0.3)) as (initiator, _, _, (theirs, store)):
        await up(initiator)
        before = store.commits
        for number in range(40):
            await initiator.send([news(f"n{number}")])
        await theirs.until(lambda: len(theirs.applied) == 40)

        assert theirs.applied == [f"n{number}" for number in range(40)]
        assert store.commits - before < 20


async def test_what_belongs_to_a_message_is_written_with_it_or_the_message_is_not_sent():
    async with pair() as (initiator, _, (_, store), (theirs, _)):
        await up(initiator)

        async def refuses(unit):
            await unit.claim(US.session_id, ["half"])
            raise KeyError("no such order")

        async def writes(unit):
            await unit.claim(US.session_id, ["whole"])

        outcomes = await asyncio.gather(
            initiator.send([news("first")], writes),
            initiator.send([news("refused")], refuses),
            initiator.send([news("last")]),
            initiator.send([Outgoing("B", [(148, "a\x01b")])]),
            return_exceptions=True,
        )
        await theirs.until(lambda: theirs.applied == ["first", "last"])

        assert [type(each) for each in outcomes] == [list, KeyError, list, Unencodable]
        async with store.begin() as unit:
            assert await unit.claim(US.session_id, ["half", "whole"]) == {"half"}


async def test_a_failed_commit_sends_nothing_and_the_session_comes_back():
    async with pair() as (initiator, _, (_, store), (theirs, _)):
        await up(initiator)
        store.failing = 1
        with pytest.raises(OutcomeUnknown):
            await initiator.send([news("lost")])
        await up(initiator)
        await initiator.send([news("kept")])
        await theirs.until(lambda: "kept" in theirs.applied)

        assert theirs.applied == ["kept"]


async def test_a_message_that_could_not_be_applied_is_asked_for_again():
    async with pair() as (initiator, _, _, (theirs, _)):
        await up(initiator)
        theirs.failing = 1
        await initiator.send([news("again")])
        await theirs.until(lambda: theirs.applied == ["again"])

        assert theirs.failing == 0


async def test_without_a_session_nothing_is_sent_and_nothing_waits():
    async with pair() as (initiator, acceptor, (_, store), _):
        await up(initiator)
        await acceptor.stop()
        await eventually(lambda: not initiator.up)
        numbers = await store.load(US.session_id, datetime.now(UTC))

        with pytest.raises(NotLoggedOn):
            await initiator.send([news("never")])
        assert await store.load(US.session_id, datetime.now(UTC)) == numbers


async def test_a_second_process_with_the_same_session_cannot_send():
    async with pair() as (initiator, _, (_, store), (theirs, _)):
        link = await up(initiator)
        now = await store.load(US.session_id, datetime.now(UTC))
        async with store.begin() as unit:
            await unit.advance(US.session_id, now, replace(now, next_out=now.next_out + 1))
        with pytest.raises(OutcomeUnknown):
            await initiator.send([news("split")])
        with pytest.raises(NotLoggedOn):
            await link.send([news("split")])
        await eventually(lambda: initiator.link is not link)

        assert NumbersMoved.__name__ in initiator.why_down
        assert theirs.applied == []


async def test_an_order_that_never_left_is_gap_filled_after_the_restart_and_reported():
    ages = {"B": replace(US).ages["D"] * 0}
    async with pair(replace(US, ages=ages)) as (initiator, _, (mine, _), (theirs, _)):
        link = await up(initiator)
        link._wire.write = lambda data: None  # the process would die here, between commit and socket
        await initiator.send([news("unsent")])
        link._wire.abort()
        await mine.until(lambda: any(isinstance(each, GapFilled) for each in mine.notices))
        await up(initiator)
        await initiator.send([news("next")])
        await theirs.until(lambda: theirs.applied == ["next"])

        (gap,) = [each for each in mine.notices if isinstance(each, GapFilled)]
        assert b"148=unsent" in gap.entries[0].data


async def test_a_reset_that_a_person_asks_for_begins_both_sides_anew():
    async with pair() as (initiator, _, (_, mine), (theirs, store)):
        link = await up(initiator)
        await initiator.send([news("old")])
        await theirs.until(lambda: theirs.applied == ["old"])
        await link.reset()
        await initiator.send([news("new")]) if link.session.state is State.ACTIVE else None
        await theirs.until(lambda: theirs.applied == ["old", "new"])

        assert (await mine.load(US.session_id, datetime.now(UTC))).generation == 1
        assert (await store.load(THEM.session_id, datetime.now(UTC))).generation == 1


# TLS.


def a_context(authority, *names, common_name=None):
    certificate = authority.issue_cert(*names, common_name=common_name)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    certificate.configure_cert(context)
    return context


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def server_tls(authority, tmp_path):
    certificate = authority.issue_cert("localhost")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    for blob in certificate.cert_chain_pems:
        blob.write_to_path(tmp_path / "cert.pem", append=True)
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    return server_context(tmp_path / "cert.pem", tmp_path / "key.pem", tmp_path / "authority.pem")


async def test_a_certificate_that_speaks_for_the_comp_id_logs_on(authority, server_tls, tmp_path):
    mine = authority.issue_cert("us.example")
    mine.private_key_pem.write_to_path(tmp_path / "mine-key.pem")
    mine.cert_chain_pems[0].write_to_path(tmp_path / "mine.pem")
    ours = client_context(tmp_path / "mine.pem", tmp_path / "mine-key.pem", tmp_path / "authority.pem")
    async with pair(tls=(server_tls, ours), names=frozenset({"us.example"})) as (initiator, _, _, (theirs, _)):
        await up(initiator)
        await initiator.send([news("secret")])
        await theirs.until(lambda: theirs.applied == ["secret"])


async def down(initiator, acceptor):
    """Return whether a first attempt failed."""
    await eventually(lambda: initiator.why_down != "not started")
    return not initiator.up and acceptor.link(THEM.session_id) is None


async def test_another_partys_certificate_does_not(authority, server_tls):
    tls = (server_tls, a_context(authority, "others.example"))
    async with pair(tls=tls, names=frozenset({"us.example"})) as (initiator, acceptor, _, (theirs, _)):
        assert await down(initiator, acceptor)
        assert theirs.notices == []


@pytest.mark.parametrize("kind", ["stranger", "none"])
async def test_an_unknown_authority_or_no_certificate_does_not_even_connect(authority, server_tls, kind):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    if kind == "stranger":
        trustme.CA().issue_cert("us.example").configure_cert(context)
    async with pair(tls=(server_tls, context), names=frozenset({"us.example"})) as (
        initiator,
        acceptor,
        _,
        (theirs, _),
    ):
        assert await down(initiator, acceptor)
        assert theirs.notices == []


async def test_a_server_under_another_name_is_not_spoken_to(authority, tmp_path):
    wrong = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("elsewhere.example").configure_cert(wrong)
    names = frozenset({"us.example"})
    async with pair(tls=(wrong, a_context(authority, "us.example")), names=names) as (initiator, acceptor, _, _):
        assert await down(initiator, acceptor)
        assert "certificate" in initiator.why_down


def test_tls_needs_names_and_names_need_tls(server_tls):
    for names, tls in ((None, server_tls), (frozenset({"x"}), None)):
        with pytest.raises(ValueError, match="needs certificate names with TLS"):
            Acceptor({THEM.session_id: Counterparty(THEM, names)}, MemoryStore(), Recorder(), SystemClock(), None, tls)


# Hostile peers.


async def test_a_peer_that_says_nothing_is_hung_up_on():
    async with serving(Limits(logon_s=0.1)) as (_, port):
        peer = await Peer.connect(port)

        assert await peer.receive() is None


async def test_a_peer_that_logs_on_byte_by_byte_is_hung_up_on():
    async with serving(Limits(logon_s=0.3)) as (_, port):
        peer = await Peer.connect(port)
        # Each byte in time for any time-out between bytes; the whole is not.
        for byte in fix(instants(LOGON)):
            if peer.writer.is_closing():
                break
            peer.send(bytes([byte]))
            await asyncio.sleep(0.01)

        assert await peer.receive() is None


async def test_a_first_message_that_never_ends_is_cut_off():
    async with serving(Limits(first_bytes_max=2000)) as (_, port):
        peer = await Peer.connect(port)
        peer.send(b"8=FIX.4.4\x019=1900\x0135=A\x01" + b"58=x\x01" * 1000)

        assert await peer.receive() is None


async def test_only_so_many_strangers_may_wait():
    async with serving(Limits(strangers_max=3)) as (_, port):
        waiting = [await Peer.connect(port) for _ in range(3)]
        await asyncio.sleep(0)
        refused = await Peer.connect(port)
        assert await refused.receive() is None
        for peer in waiting:
            await peer.close()
        # Room again.
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    await play("> A 1 98=0|108=30\n< A 1 98=0|108=30\nclose", port)
                    break
                except AssertionError:
                    continue


async def test_a_flood_is_held_back_and_answered_in_order():
    limits = Limits(inbox_bytes_max=4096, turn_frames_max=20, outbox_bytes_max=8192)
    async with serving(limits) as (acceptor, port):
        peer = await Peer.connect(port)
        peer.send(fix(instants(LOGON)))
        assert await peer.receive() is not None
        count = 1500
        probe = "8=FIX.4.4|35=1|34={}|49=TW44|52=NOW|56=ISLD|112=p{}"
        flood = b"".join(fix(instants(probe.format(n, n))) for n in range(2, count))
        peer.send(flood)
        link = acceptor.link(CLIENT.session_id)
        most = 0
        for n in range(2, count):
            most = max(most, len(link._wire._inbox), len(link._frames) * 70)
            assert f"|112=p{n}|" in shown(await peer.receive())

        # A read of a socket may come on top of what is held.
        assert most < 600_000


async def test_a_peer_that_does_not_read_is_hung_up_on():
    limits = Limits(outbox_bytes_max=1024, write_s=0.2, turn_frames_max=2000)
    async with serving(limits) as (acceptor, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        reader._transport.pause_reading()
        writer.write(fix(instants(LOGON)))
        order = "8=FIX.4.4|35=D|34={}|49=TW44|52=NOW|56=ISLD|11=ID|40=1|54=1|55=INTC|60=NOW|58=" + "x" * 20_000
        for n in range(2, 1000):
            writer.write(fix(instants(order.format(n))))
        await eventually(lambda: acceptor.link(CLIENT.session_id) is not None)
        await eventually(lambda: acceptor.link(CLIENT.session_id) is None)
        writer.transport.abort()


async def test_garbage_without_end_is_cut_off():
    async with serving(Limits(garbled_bytes_max=10_000)) as (_, port):
        peer = await Peer.connect(port)
        peer.send(fix(instants(LOGON)))
        assert await peer.receive() is not None
        peer.send(b"\x00" * 50_000)

        assert await peer.receive() is None


async def test_a_group_that_claims_a_million_entries_costs_nothing():
    async with serving() as (_, port):
        order = "11=ID|21=3|40=1|54=1|55=INTC|60=NOW"
        await play(
            "> A 1 98=0|108=30\n< A 1 98=0|108=30\n"
            f"> D 2 {order}|453=999999999|448=X|447=D|452=1\n"
            "< 3 2 45=2|58=Incorrect NumInGroup count for repeating group|371=453|372=D|373=16\n"
            f"> D 3 {order}|453=2000{'|448=X|447=D|452=1' * 2000}\n"
            f"< D 3 {order}|453=2000{'|448=X|447=D|452=1' * 2000}\nclose",
            port,
        )


def test_a_bucket_keeps_the_rate():
    bucket = Bucket(100.0, 50)

    assert bucket.take(50, 0.0) == 0.0
    assert bucket.take(10, 0.0) == pytest.approx(0.1)
    assert bucket.take(10, 0.2) == 0.0
    assert bucket.take(0, 1000.0) == 0.0
    assert bucket.take(51, 1000.0) == pytest.approx(0.01)


async def test_a_stopped_acceptor_says_good_bye():
    async with pair() as (initiator, acceptor, (mine, _), _):
        await up(initiator)
        await acceptor.stop()
        await mine.until(lambda: any(isinstance(each, Close) for each in mine.notices))

        assert "logged out" in initiator.why_down or not initiator.up
