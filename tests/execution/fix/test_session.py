"""What the conversations of `definitions` do not show: refusals, both roles, time, and odd requests."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.execution.fix.protocol.actions import (
    BegunAnew,
    Close,
    GapFound,
    LoggedOn,
    LoggedOut,
    Received,
    Refused,
    Resend,
    Send,
)
from services.execution.fix.protocol.config import Role, SessionConfig
from services.execution.fix.protocol.dictionary import fix_5_0_sp2
from services.execution.fix.protocol.message import Outgoing
from services.execution.fix.protocol.session import NUMBER_MAX, Session
from services.execution.fix.protocol.state import NotLoggedOn, State
from services.execution.fix.protocol.store import Numbers
from tests.execution.fix.wire import fix, shown

NOW = datetime(2026, 11, 30, 10, 0, tzinfo=UTC)
STAMP = "20261130-10:00:00"
CLIENT = SessionConfig("US", "THEM", Role.INITIATOR)
SERVER = SessionConfig("US", "THEM", Role.ACCEPTOR)


def theirs(kind, number, rest="", begin="FIX.4.4"):
    return fix(f"8={begin}|35={kind}|34={number}|49=THEM|52={STAMP}|56=US" + (f"|{rest}" if rest else ""))


LOGON = "98=0|108=30"


def a_session(config=SERVER, next_out=1, next_in=1, *, logged_on=False):
    session = Session(config, Numbers(0, next_out, next_in, NOW), NOW)
    if config.role is Role.INITIATOR:
        session.connect(NOW)
    if logged_on:
        actions = session.receive(theirs("A", session.numbers.next_in, LOGON), NOW)
        assert LoggedOn() in actions
    return session


def texts(actions):
    return [shown(each.entry.data) for each in actions if isinstance(each, Send)]


def closes(actions):
    return [each.why for each in actions if isinstance(each, Close)]


@pytest.mark.parametrize(
    ("rest", "config", "why"),
    [
        ("98=0|108=-1", SERVER, "HeartBtInt must be from 0 to 3600, was -1"),
        ("98=0|108=3601", SERVER, "HeartBtInt must be from 0 to 3600, was 3601"),
        ("98=1|108=30", SERVER, "EncryptMethod must be 0"),
        ("98=9|108=30", SERVER, "Value is incorrect (out of range) for this tag: 98"),
        ("98=0", SERVER, "Required tag missing: 108"),
        ("98=0|108=30|141=Y", replace(SERVER, accept_reset=False), "ResetSeqNumFlag is not agreed"),
        (LOGON, replace(SERVER, admit=lambda message: "wrong password"), "wrong password"),
    ],
)
def test_a_logon_of_a_known_party_is_refused_with_the_reason(rest, config, why):
    session = a_session(config)
    actions = session.receive(theirs("A", 1, rest), NOW)

    assert f"|58={why}|" in texts(actions)[0]
    assert closes(actions) == [f"Logon refused: {why}"]
    assert session.receive(theirs("A", 1, LOGON), NOW) == []


def test_a_logon_with_too_low_a_number_is_refused():
    actions = a_session(next_in=5).receive(theirs("A", 4, LOGON), NOW)

    assert "|35=5|" in texts(actions)[0]
    assert "|58=MsgSeqNum too low, expecting 5 but received 4|" in texts(actions)[0]


def test_a_reset_must_begin_at_one():
    actions = a_session(next_in=5).receive(theirs("A", 5, LOGON + "|141=Y"), NOW)

    assert "|58=MsgSeqNum must be 1 with ResetSeqNumFlag, was 5|" in texts(actions)[0]


def test_the_other_sides_refusal_of_our_logon_is_told():
    session = a_session(CLIENT, next_out=7, next_in=3)
    actions = session.receive(theirs("5", 3, "58=MsgSeqNum too low, expecting 9 but received 7"), NOW)

    assert LoggedOut("MsgSeqNum too low, expecting 9 but received 7") in actions
    assert closes(actions) == ["they refused our Logon: MsgSeqNum too low, expecting 9 but received 7"]
    assert session.numbers.next_in == 4


def test_an_initiator_that_begins_anew_says_so_and_is_answered():
    session = Session(replace(CLIENT, reset_on_logon=True), Numbers(3, 40, 50, NOW), NOW)
    actions = session.connect(NOW)

    assert isinstance(actions[0], BegunAnew)
    assert "|34=1|" in texts(actions)[0]
    assert "|141=Y|" in texts(actions)[0]
    assert LoggedOn() in session.receive(theirs("A", 1, LOGON + "|141=Y"), NOW)
    assert session.numbers == Numbers(4, 2, 2, NOW)


@pytest.mark.parametrize("next_out", [1, 2, 7])
def test_a_reset_that_the_other_side_has_not_heard_of_is_announced_at_the_next_logon(next_out):
    session = Session(CLIENT, Numbers(4, next_out, 1, NOW), NOW)
    (logon,) = texts(session.connect(NOW))

    assert "|34=1|" in logon
    assert "|141=Y|" in logon
    assert LoggedOn() in session.receive(theirs("A", 1, LOGON + "|141=Y"), NOW)
    assert (session.numbers.next_out, session.numbers.next_in) == (2, 2)


def test_a_first_logon_that_got_lost_is_no_reset():
    (logon,) = texts(Session(CLIENT, Numbers(0, 2, 1, NOW), NOW).connect(NOW))

    assert "|34=2|" in logon
    assert "|141=" not in logon


def test_an_acceptor_cannot_make_us_begin_anew_in_its_answer():
    session = a_session(CLIENT, next_out=7, next_in=3)
    actions = session.receive(theirs("A", 1, LOGON + "|141=Y"), NOW)

    assert LoggedOn() not in actions
    assert session.numbers.generation == 0
    assert session.state is State.CLOSED


def test_a_second_logon_without_reset_is_refused_and_uses_its_number():
    session = a_session(logged_on=True)
    actions = session.receive(theirs("A", 2, LOGON), NOW)

    assert "|58=already logged on|372=A|373=99|" in texts(actions)[0]
    assert session.numbers.next_in == 3
    assert session.state is State.ACTIVE


def test_what_was_under_way_before_a_reset_is_not_mistaken_for_what_comes_after():
    session = a_session(logged_on=True)
    (anew, logon) = session.reset(NOW)

    assert anew == BegunAnew("ResetSeqNumFlag")
    assert "|34=1|" in texts([logon])[0]
    assert session.receive(theirs("0", 2), NOW) == []
    session.receive(theirs("A", 1, LOGON + "|141=Y"), NOW)
    assert session.numbers == Numbers(1, 2, 2, NOW)
    assert [type(each) for each in session.receive(theirs("0", 2), NOW)] == [Received]


@pytest.mark.parametrize("kind", ["0", "3", "5"])
def test_a_reset_that_is_not_answered_ends_the_connection(kind):
    session = a_session(logged_on=True)
    session.reset(NOW)
    later = NOW + SERVER.logon_patience
    # Whatever else they say meanwhile is from before: it answers nothing.
    session.receive(theirs(kind, 2, "45=1" if kind == "3" else ""), later - timedelta(seconds=1))

    assert session.due() == later
    assert closes(session.tick(later - timedelta(microseconds=1))) == []
    assert closes(session.tick(later)) == ["no Logon answered our reset"]


@pytest.mark.parametrize(
    ("rest", "tag"),
    [("7=0|16=0", 7), ("7=9|16=0", 7), ("7=2|16=1", 16), (f"7={10**25}|16=0", 7), ("7=2|16=-1", None)],
)
def test_a_resend_request_for_what_cannot_be_is_rejected(rest, tag):
    session = a_session(logged_on=True)
    session.send([Outgoing("B", [(148, "a")]), Outgoing("B", [(148, "b")])], NOW)
    actions = session.receive(theirs("2", 2, rest), NOW)

    assert not [each for each in actions if isinstance(each, Resend)]
    assert "|35=3|" in texts(actions)[0]
    assert tag is None or f"|371={tag}|" in texts(actions)[0]


@pytest.mark.parametrize(("rest", "last"), [("7=1|16=0", 3), ("7=1|16=2", 2), ("7=1|16=999999", 3), ("7=3|16=3", 3)])
def test_resend_requests_are_bounded_by_what_was_sent(rest, last):
    session = a_session(logged_on=True)
    session.send([Outgoing("B", [(148, "a")]), Outgoing("B", [(148, "b")])], NOW)
    (resend,) = [each for each in session.receive(theirs("2", 2, rest), NOW) if isinstance(each, Resend)]

    assert resend.last == last


def test_a_possible_duplicate_without_its_first_time_is_rejected_when_it_came_early_too():
    session = a_session(logged_on=True)
    session.receive(theirs("B", 3, "43=Y|148=early|33=1|58=a"), NOW)
    actions = session.receive(theirs("B", 2, "148=late|33=1|58=a"), NOW)

    (refusal,) = texts(actions)
    assert "|35=3|" in refusal
    assert "|45=3|" in refusal
    assert "|371=122|" in refusal
    assert "|373=1|" in refusal
    assert [(each.entry.number, each.deliver) for each in actions if isinstance(each, Received)] == [
        (2, True),
        (3, False),
    ]


def test_a_logon_under_a_number_that_cannot_be_is_refused():
    session = a_session()
    actions = session.receive(theirs("A", NUMBER_MAX + 1, LOGON), NOW)

    assert closes(actions) == [f"Logon refused: MsgSeqNum must be at most {NUMBER_MAX}, was {NUMBER_MAX + 1}"]


@pytest.mark.parametrize("new", ["0", "3", str(NUMBER_MAX + 1), "9" * 29])
def test_a_gap_fill_to_nowhere_is_rejected(new):
    session = a_session(logged_on=True)
    session.receive(theirs("0", 2), NOW)
    actions = session.receive(theirs("4", 3, f"36={new}|123=Y"), NOW)

    assert "|371=36|372=4|373=5|" in texts(actions)[0]
    assert session.numbers.next_in == 4


def test_a_number_that_is_none_ends_the_session():
    for number in ("", "x", "-1", "9" * 40):
        session = a_session(logged_on=True)
        actions = session.receive(theirs("0", number), NOW)

        assert "|58=MsgSeqNum missing or no number|" in texts(actions)[0]
        assert session.state is State.CLOSED


def test_a_gap_that_does_not_close_is_asked_for_again():
    session = a_session(replace(SERVER, resend_patience=timedelta(seconds=5)), logged_on=True)
    actions = session.receive(theirs("0", 9), NOW)

    assert GapFound(2, 8) in actions
    assert session.receive(theirs("0", 10), NOW) == []
    assert session.due() == NOW + timedelta(seconds=5)
    (again,) = texts(session.tick(NOW + timedelta(seconds=5)))
    assert "|35=2|" in again
    assert "|7=2|16=0|" in again


def test_only_so_much_waits_for_a_gap_to_close():
    session = a_session(replace(SERVER, waiting_max=3), logged_on=True)
    for number in range(3, 50):
        session.receive(theirs("0", number), NOW)
    session.receive(theirs("0", 2), NOW)

    assert session.numbers.next_in == 6


def test_a_session_without_heartbeats_has_nothing_to_wait_for():
    session = a_session()
    session.receive(theirs("A", 1, "98=0|108=0"), NOW)

    assert session.due() is None


def test_nothing_is_sent_before_the_logon_and_after_the_logout():
    session = a_session(CLIENT)
    with pytest.raises(NotLoggedOn, match="LOGGING_ON"):
        session.send([Outgoing("B", [(148, "x")])], NOW)
    session.receive(theirs("A", 1, LOGON), NOW)
    session.log_out("bye", NOW)
    with pytest.raises(NotLoggedOn, match="LOGGING_OUT"):
        session.send([Outgoing("B", [(148, "x")])], NOW)


def test_messages_that_come_while_we_log_out_still_count():
    session = a_session(logged_on=True)
    session.log_out(None, NOW)
    actions = session.receive(theirs("8", 2, "37=o|17=e|150=F|39=2|55=VTI|54=1|151=0|14=1|6=1"), NOW)

    assert [each.deliver for each in actions] == [True]
    assert closes(session.receive(theirs("5", 3), NOW)) == ["logged out"]


def test_a_reject_of_ours_is_delivered_to_the_application():
    actions = a_session(logged_on=True).receive(theirs("3", 2, "45=2|373=5"), NOW)

    assert [each.deliver for each in actions] == [True]


def test_rejects_are_told_to_whoever_watches():
    actions = a_session(logged_on=True).receive(theirs("D", 2, "11=x"), NOW)

    assert [each.why for each in actions if isinstance(each, Refused)] == ["Required tag missing: 55"]


def test_fixt_needs_the_application_version_and_gives_it():
    config = replace(SERVER, dictionary=fix_5_0_sp2())
    silent = a_session(config).receive(theirs("A", 1, LOGON, "FIXT.1.1"), NOW)
    answered = a_session(config).receive(theirs("A", 1, LOGON + "|1137=9", "FIXT.1.1"), NOW)

    assert closes(silent) == ["the Logon has no DefaultApplVerID (1137)"]
    assert texts(silent) == []
    assert "|1137=9|" in texts(answered)[0]


def test_a_clock_that_jumps_ahead_asks_before_it_gives_up():
    session = a_session(logged_on=True)
    later = NOW + timedelta(hours=3)
    actions = session.tick(later)

    assert any("|35=1|" in text for text in texts(actions))
    assert session.state is State.ACTIVE
    assert closes(session.tick(later + timedelta(seconds=30))) == ["no answer to a TestRequest"]
