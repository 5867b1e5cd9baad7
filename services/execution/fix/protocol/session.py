"""A FIX session: frames, instants and what an application wants to say go in; actions come out.

The session is pure. It holds where it stands (`numbers`), decides on each frame, and says what is to be done, in
order, as actions (see `actions`). Whoever drives it feeds every frame through `receive`, wakes it through `tick` at
`due`, and carries the actions out. When a transaction fails, throw the session away and build one from the store: no
byte of what it decided meanwhile was sent.

Initiator and acceptor differ in who sends the first Logon, and in nothing else.

Source: FIX specification 4.4, volume 2, "FIX session-level test cases and expected behaviors", cited below as 1 to 20,
which QuickFIX's public acceptance definitions are named after; FIXT 1.1 for DefaultApplVerID.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from services.execution.fix.protocol.actions import (
    Action,
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
from services.execution.fix.protocol.codec import Undecodable, decode
from services.execution.fix.protocol.composer import Composer, reject, reverse_route
from services.execution.fix.protocol.config import Role, SessionConfig
from services.execution.fix.protocol.dictionary import ADMIN_TYPES, RejectReason
from services.execution.fix.protocol.framer import Garbled
from services.execution.fix.protocol.message import Message, Outgoing
from services.execution.fix.protocol.resender import Resender
from services.execution.fix.protocol.schedule import ALWAYS
from services.execution.fix.protocol.store import Entry, Numbers
from services.execution.fix.protocol.tags import (
    BEGIN_SEQ_NO,
    BUSINESS_REJECT_REASON,
    DEFAULT_APPL_VER_ID,
    ENCRYPT_METHOD,
    END_SEQ_NO,
    GAP_FILL_FLAG,
    HEART_BT_INT,
    NEW_SEQ_NO,
    ORIG_SENDING_TIME,
    REF_MSG_TYPE,
    REF_SEQ_NUM,
    RESET_SEQ_NUM_FLAG,
    TEST_REQ_ID,
    TEXT,
)
from services.execution.fix.protocol.trust import Trust, lacks_original_time
from services.execution.fix.protocol.validation import Problem, validate
from services.execution.fix.protocol.values import Pair
from services.execution.fix.protocol.waiting import Gap, Waiting

# A higher number is no sequence number of anybody; it must fit the journal's columns, too.
NUMBER_MAX = 2**53
# BusinessRejectReason (380).
UNSUPPORTED_MESSAGE_TYPE = 3
# "HeartBtInt plus some reasonable transmission time": the share of QuickFIX, so that both sides wait alike.
TRANSMISSION = 1.2
TEST_REQUEST_ID = "TEST"


class NotLoggedOn(Exception):
    """Nothing can be sent now: an order that waits for a session to come back would be an old order."""


class State(StrEnum):
    """Where a connection is in its life."""

    # The acceptor waits for their Logon, or the initiator for their answer.
    LOGGING_ON = "LOGGING_ON"
    ACTIVE = "ACTIVE"
    # Our Logout is out, their answer is not here.
    LOGGING_OUT = "LOGGING_OUT"
    CLOSED = "CLOSED"


class Session:
    """One connection's worth of a session; the numbers go on over connections."""

    def __init__(self, config: SessionConfig, numbers: Numbers, now: datetime) -> None:
        """Take up a session where it stands, as of `now`; at the start of a period its numbers begin anew."""
        self.config = config
        self.state = State.LOGGING_ON
        self._composer = Composer(config)
        self._dictionary = config.dictionary
        self._trust = Trust(config)
        self._generation, self._since = numbers.generation, numbers.since
        self._next_out, self._next_in = numbers.next_out, numbers.next_in
        self._waiting = Waiting(config.waiting_max)
        self._gap: Gap | None = None
        self._actions: list[Action] = []
        self._heartbeat = timedelta(seconds=config.heartbeat_s)
        self._began = self._last_out = self._last_in = now
        self._tested_at: datetime | None = None
        self._left_at: datetime | None = None
        # Our Logon with ResetSeqNumFlag waits for its answer.
        self._resetting = False
        self._period = config.schedule.period(now)
        if self._period is not None and numbers.since < self._period.start:
            self._begin_anew("a new period began", self._period.start)

    @property
    def numbers(self) -> Numbers:
        """Return where the session stands, all actions returned so far included."""
        return Numbers(self._generation, self._next_out, self._next_in, self._since)

    # What goes in.

    def connect(self, now: datetime) -> list[Action]:
        """Send the Logon that opens a connection.

        Raises:
            ValueError: The session is an acceptor's.
        """
        if self.config.role is not Role.INITIATOR:
            raise ValueError("only an initiator sends the first Logon")
        if self.config.schedule.period(now) is None:
            self._close("the session is closed at this time")
            return self._done()
        pending = self._reset_is_pending()
        if self.config.reset_on_logon or (pending and self._next_out > 1):
            self._begin_anew("ResetSeqNumFlag", now)
        fresh = self._next_out == 1 and self._next_in == 1
        self._resetting = self.config.reset_on_logon or pending or (self.config.announce_reset and fresh)
        self._send_logon(self.config.heartbeat_s, now)
        return self._done()

    def receive(self, frame: bytes | Garbled, now: datetime) -> list[Action]:
        """Decide on a frame."""
        if self.state is State.CLOSED:
            return []
        if isinstance(frame, Garbled):
            self._garbled(frame)
            return self._done()
        try:
            message = decode(frame, self._dictionary.data_tags)
        except Undecodable as wrong:
            self._garbled(Garbled(str(wrong), len(frame), frame[:256]))
            return self._done()
        self._last_in = now
        self._tested_at = None
        if self.state is State.LOGGING_ON:
            self._log_on(message, now)
        else:
            self._decide(message, now)
        return self._done()

    def send(self, messages: Sequence[Outgoing], now: datetime) -> list[Action]:
        """Give messages of the application their numbers.

        Raises:
            NotLoggedOn: The session is not up.
            Unencodable: A field cannot be written; none of the messages got a number.
        """
        if self.state is not State.ACTIVE:
            raise NotLoggedOn(f"session {self.config.session_id} is {self.state}")
        first = self._next_out
        frames = [self._composer.compose(first + at, each, now) for at, each in enumerate(messages)]
        for message, data in zip(messages, frames, strict=True):
            self._sent(message.msg_type, data, now)
        return self._done()

    def log_out(self, text: str | None, now: datetime) -> list[Action]:
        """Say good-bye; the connection closes with their answer, or without it after `logout_patience`."""
        if self.state is State.ACTIVE:
            self._say_good_bye(text, now)
        elif self.state is State.LOGGING_ON:
            self._close("logged out before the logon was complete")
        return self._done()

    def reset(self, now: datetime) -> list[Action]:
        """Begin anew at 1 within the connection, both sides; a person decides this.

        Raises:
            NotLoggedOn: The session is not up.
        """
        if self.state is not State.ACTIVE:
            raise NotLoggedOn(f"session {self.config.session_id} is {self.state}")
        self._begin_anew("ResetSeqNumFlag", now)
        self._resetting = True
        self._send_logon(int(self._heartbeat.total_seconds()), now)
        return self._done()

    def resender(self, request: Resend, now: datetime) -> Resender:
        """Return what turns the journal into the answer to a ResendRequest."""
        self._last_out = now
        return Resender(self.config, self._composer, request.first, request.last, now)

    # Time.

    def due(self) -> datetime | None:
        """Return when `tick` has something to do next; None if never."""
        return min((at for at, _ in self._timers()), default=None)

    def tick(self, now: datetime) -> list[Action]:
        """Do what is due at `now`."""
        for at, act in sorted(self._timers(), key=lambda timer: timer[0]):
            if at <= now and self.state is not State.CLOSED:
                act(now)
        return self._done()

    def _timers(self) -> list[tuple[datetime, Callable[[datetime], None]]]:
        """Return what is to be done when; of what is due at once, giving up comes first."""
        config = self.config
        if self.state is State.LOGGING_ON:
            return [(self._began + config.logon_patience, lambda _: self._close("no Logon came in time"))]
        if self.state is State.LOGGING_OUT and self._left_at is not None:
            return [(self._left_at + config.logout_patience, lambda _: self._close("no Logout came in time"))]
        if self.state is State.CLOSED:
            return []
        timers: list[tuple[datetime, Callable[[datetime], None]]] = []
        if self._heartbeat:
            if self._tested_at is not None:
                timers.append((self._tested_at + self._heartbeat, lambda _: self._close("no answer to a TestRequest")))
            else:
                timers.append((self._last_in + self._heartbeat * TRANSMISSION, self._test))
            timers.append((self._last_out + self._heartbeat, lambda now: self._say("0", [], now)))
        if self._gap is not None:
            timers.append((self._gap.since + config.resend_patience, self._ask_again))
        if self._period is not None and config.schedule is not ALWAYS:
            timers.append((self._period.end, lambda now: self._say_good_bye("the session ends", now)))
        return timers

    def _test(self, now: datetime) -> None:
        self._say("1", [(TEST_REQ_ID, TEST_REQUEST_ID)], now)
        self._tested_at = now

    def _ask_again(self, now: datetime) -> None:
        if self._gap is not None:
            self._ask(self._gap.last, now)

    def _reset_is_pending(self) -> bool:
        """Return whether a person had the numbers begin anew, and the other side does not know it yet.

        Numbers that begin with a period need not be announced: `since` is then the period's start, and both sides know.
        """
        by_period = self._period is not None and self._since == self._period.start
        return self._generation > 0 and self._next_in == 1 and not by_period

    # Logging on.

    def _log_on(self, message: Message, now: datetime) -> None:
        """Decide on the first message of a connection."""
        config = self.config
        number = message.number
        if message.msg_type == "5" and config.role is Role.INITIATOR and self._trust.is_theirs(message):
            if number == self._next_in:
                self._take_number(number, message, now, deliver=False)
            self._actions.append(LoggedOut(message.text(TEXT)))
            self._close(f"they refused our Logon: {message.text(TEXT) or 'no text'}")
            return
        # Whoever they are, they learn nothing: 1c, 1d, 1e.
        if message.msg_type != "A" or not self._trust.is_theirs(message) or number is None:
            self._close("the first message must be a Logon between the agreed parties")
            return
        if not self._trust.is_timely(message, now):
            self._close("SendingTime of the Logon is not close to our clock")
            return
        if self._dictionary.appl_ver_id is not None and not message.get(DEFAULT_APPL_VER_ID):
            self._close("the Logon has no DefaultApplVerID (1137)")
            return
        if (why := self._logon_refusal(message, number, now)) is not None:
            self._refuse_logon(why, now)
            return
        self._accept_logon(message, number, now)

    def _logon_refusal(self, message: Message, number: int, now: datetime) -> str | None:
        """Return what we tell a known party about a Logon that we do not accept."""
        config = self.config
        resets = message.flag(RESET_SEQ_NUM_FLAG)
        if (problem := validate(message, self._dictionary, allow_user_defined=config.user_defined)) is not None:
            return f"{problem.reason.text}: {problem.tag}" if problem.tag else problem.reason.text
        heartbeat_s = message.integer(HEART_BT_INT) or 0
        if not 0 <= heartbeat_s <= config.heartbeat_max_s:
            return f"HeartBtInt must be from 0 to {config.heartbeat_max_s}, was {heartbeat_s}"
        if message.get(ENCRYPT_METHOD) != b"0":
            return "EncryptMethod must be 0"
        if config.schedule.period(now) is None:
            return "the session is closed at this time"
        if (why := config.admit(message)) is not None:
            return why
        if resets and number != 1:
            return f"MsgSeqNum must be 1 with ResetSeqNumFlag, was {number}"
        if resets and not self._resetting and not (config.accept_reset and config.role is Role.ACCEPTOR):
            return "ResetSeqNumFlag is not agreed"
        begins_anew = resets or (config.role is Role.ACCEPTOR and config.reset_on_logon)
        if number < self._next_in and not begins_anew:
            return self._too_low_text(number)
        return None

    def _refuse_logon(self, why: str, now: datetime) -> None:
        self._say("5", [(TEXT, why)], now)
        self._close(f"Logon refused: {why}")

    def _accept_logon(self, message: Message, number: int, now: datetime) -> None:
        config = self.config
        resets = message.flag(RESET_SEQ_NUM_FLAG)
        if config.role is Role.ACCEPTOR:
            if resets or config.reset_on_logon:
                self._begin_anew("ResetSeqNumFlag" if resets else "agreed to at each Logon", now)
            heartbeat_s = message.integer(HEART_BT_INT) or 0
            self._heartbeat = timedelta(seconds=heartbeat_s)
            self._resetting = resets
            self._send_logon(heartbeat_s, now)
        self._resetting = False
        self.state = State.ACTIVE
        self._actions.append(LoggedOn())
        self._count(message, number, now)

    def _log_on_again(self, message: Message, number: int, now: datetime) -> None:
        """Decide on a Logon within a session: a reset, the answer to ours, or a mistake."""
        if not message.flag(RESET_SEQ_NUM_FLAG):
            if number == self._next_in:
                self._refuse(message, number, Problem(RejectReason.OTHER), now, "already logged on")
            elif number > self._next_in:
                self._too_early(message, number, now)
            elif not message.poss_dup:
                self._too_low(number, now)
            return
        if number != 1 or not (self._resetting or self.config.accept_reset):
            self._say_good_bye("ResetSeqNumFlag is not agreed, or MsgSeqNum is not 1", now)
            return
        if not self._resetting:
            self._begin_anew("ResetSeqNumFlag", now)
            self._resetting = True
            self._send_logon(int(self._heartbeat.total_seconds()), now)
        self._resetting = False
        self._count(message, number, now)

    def _send_logon(self, heartbeat_s: int, now: datetime) -> None:
        body: list[Pair] = [(ENCRYPT_METHOD, 0), (HEART_BT_INT, heartbeat_s)]
        if self._resetting:
            body.append((RESET_SEQ_NUM_FLAG, True))
        body += self.config.logon_fields
        if self._dictionary.appl_ver_id is not None:
            body.append((DEFAULT_APPL_VER_ID, self._dictionary.appl_ver_id))
        self._say("A", body, now)

    # Logged on.

    def _decide(self, message: Message, now: datetime) -> None:
        """Decide on a message by who sent it, when, and under which number."""
        number = message.number
        if not self._trust.speaks(message):
            # 2i.
            self._say_good_bye("Incorrect BeginString", now)
            return
        if number is None or number > NUMBER_MAX:
            self._say("5", [(TEXT, "MsgSeqNum missing or no number")], now)
            self._close("MsgSeqNum missing or no number")
            return
        if (reason := self._trust.problem(message, now)) is not None:
            # 2f, 2k, 2o.
            self._refuse(message, number, Problem(reason), now)
            self._say_good_bye(None, now)
            return
        msg_type = message.msg_type
        if (self._resetting and msg_type != "A") or (msg_type == "5" and message.poss_dup and number < self._next_in):
            # Sent before they knew that we begin anew; or said, and answered, before.
            return
        if number <= self._next_in and lacks_original_time(message):
            # 2g.
            self._refuse(message, number, Problem(RejectReason.REQUIRED_TAG_MISSING, str(ORIG_SENDING_TIME)), now)
        elif msg_type == "5":
            self._good_bye(message, number, now)
        elif msg_type == "A":
            self._log_on_again(message, number, now)
        elif msg_type == "4" and not message.flag(GAP_FILL_FLAG):
            self._reset_sequence(message, number, now)
        elif msg_type == "2" and not (number < self._next_in and message.poss_dup):
            # Whatever its number, or two sides with gaps would wait for each other for ever: 8, 20.
            self._answer_resend_request(message, number, now)
        elif number > self._next_in:
            self._too_early(message, number, now)
        elif number == self._next_in:
            self._take(message, number, now)
        elif not message.poss_dup:
            self._too_low(number, now)

    def _take(self, message: Message, number: int, now: datetime) -> None:
        """Process the message whose turn it is, and those that waited for it."""
        self._process(message, number, now)
        self._after(now)

    def _after(self, now: datetime) -> None:
        """Process those whose turn it has become."""
        while self._waiting.has(self._next_in) and self.state is not State.CLOSED:
            number = self._next_in
            held = self._waiting.take(number)
            if held is None:
                self._next_in += 1
            else:
                self._process(held, number, now)
        if self._gap is not None:
            self._gap = None if self._next_in > self._gap.last else Gap(self._gap.last, now)

    def _process(self, message: Message, number: int, now: datetime) -> None:
        """Process a message under the number that is expected."""
        problem = validate(message, self._dictionary, allow_user_defined=self.config.user_defined)
        if problem is not None:
            self._refuse(message, number, problem, now)
            return
        msg_type = message.msg_type
        if msg_type == "4":
            self._fill_gap(message, number, now)
            return
        if msg_type not in ADMIN_TYPES and not self._supports(msg_type):
            self._refuse_type(message, number, now)
            return
        # The application hears of rejects, too: one may concern its order.
        self._take_number(number, message, now, deliver=msg_type not in ADMIN_TYPES or msg_type == "3")
        if msg_type == "1":
            self._say("0", [(TEST_REQ_ID, message.get(TEST_REQ_ID) or b"")], now)

    def _supports(self, msg_type: str) -> bool:
        supported = self.config.supported
        return msg_type in supported if supported is not None else True

    # Numbers.

    def _too_early(self, message: Message, number: int, now: datetime) -> None:
        """Keep a message until its turn, and ask for what is missing, once."""
        self._waiting.hold(number, message)
        self._miss(number, now)

    def _miss(self, number: int, now: datetime) -> None:
        if self._gap is None:
            self._actions.append(GapFound(self._next_in, number - 1))
            self._ask(number - 1, now)
        else:
            # An open request covers whatever was sent before they got it.
            self._gap.last = max(self._gap.last, number - 1)

    def _ask(self, last: int, now: datetime) -> None:
        self._say("2", [(BEGIN_SEQ_NO, self._next_in), (END_SEQ_NO, 0)], now)
        self._gap = Gap(last, now)

    def _too_low_text(self, number: int) -> str:
        return f"MsgSeqNum too low, expecting {self._next_in} but received {number}"

    def _too_low(self, number: int, now: datetime) -> None:
        # 2c: they lost their numbers; a person must look.
        self._say("5", [(TEXT, self._too_low_text(number))], now)
        self._close(self._too_low_text(number))

    def _count(self, message: Message, number: int, now: datetime) -> None:
        """Give a message that was answered already its place among the numbers."""
        if number == self._next_in:
            self._take_number(number, message, now, deliver=False)
            self._after(now)
        elif number > self._next_in:
            self._waiting.hold(number, None)
            self._miss(number, now)

    def _fill_gap(self, message: Message, number: int, now: datetime) -> None:
        new = message.integer(NEW_SEQ_NO) or 0
        if not number < new <= NUMBER_MAX:
            problem = Problem(RejectReason.VALUE_IS_INCORRECT, str(NEW_SEQ_NO))
            self._refuse(message, number, problem, now)
            return
        self._take_number(number, message, now, deliver=False)
        self._next_in = new
        self._waiting.forget_below(new)

    def _reset_sequence(self, message: Message, number: int, now: datetime) -> None:
        """Move to the number they say, whatever was expected; never back: 11."""
        problem = validate(message, self._dictionary, allow_user_defined=self.config.user_defined)
        new = (message.integer(NEW_SEQ_NO) or 0) if problem is None else 0
        if problem is None and not self._next_in <= new <= NUMBER_MAX:
            problem = Problem(RejectReason.VALUE_IS_INCORRECT)
        if problem is not None:
            # Its own number says nothing, so it takes none.
            self._reject(message, number, problem, now)
            return
        self._next_in = new
        self._waiting.forget_below(new)
        self._after(now)

    def _answer_resend_request(self, message: Message, number: int, now: datetime) -> None:
        problem = validate(message, self._dictionary, allow_user_defined=self.config.user_defined)
        if problem is None:
            first, last = message.integer(BEGIN_SEQ_NO) or 0, message.integer(END_SEQ_NO) or 0
            if not 1 <= first < self._next_out:
                problem = Problem(RejectReason.VALUE_IS_INCORRECT, str(BEGIN_SEQ_NO))
            elif last and last < first:
                problem = Problem(RejectReason.VALUE_IS_INCORRECT, str(END_SEQ_NO))
        if problem is not None:
            self._reject(message, number, problem, now)
        generation = self._generation
        self._count(message, number, now)
        if problem is None and generation == self._generation:
            # What we ask ourselves for goes out first, and they cannot count it before the gap is closed: an open
            # request is answered up to it.
            newest = self._next_out - 1
            self._actions.append(Resend(generation, first, min(last, newest) if last else newest))

    # Refusals.

    def _refuse(self, message: Message, number: int, problem: Problem, now: datetime, text: str | None = None) -> None:
        """Refuse a message; if it was its turn, its number is used."""
        if number == self._next_in:
            self._take_number(number, message, now, deliver=False)
        self._reject(message, number, problem, now, text)

    def _reject(self, message: Message, number: int, problem: Problem, now: datetime, text: str | None = None) -> None:
        refusal = reject(message, number, problem.reason, problem.tag)
        if text is not None:
            refusal = Outgoing("3", [(tag, text if tag == TEXT else value) for tag, value in refusal.body])
        self._say_it(refusal, now)
        self._actions.append(Refused(message, f"{problem.reason.text}: {problem.tag or 'no tag'}"))

    def _refuse_type(self, message: Message, number: int, now: datetime) -> None:
        """Say that the application does not take such messages: 2r."""
        self._take_number(number, message, now, deliver=False)
        body: list[Pair] = [
            (REF_SEQ_NUM, number),
            (TEXT, "Unsupported Message Type"),
            (REF_MSG_TYPE, message.msg_type),
            (BUSINESS_REJECT_REASON, UNSUPPORTED_MESSAGE_TYPE),
        ]
        self._say_it(Outgoing("j", body, reverse_route(message)), now)
        self._actions.append(Refused(message, "Unsupported Message Type"))

    # Good-bye.

    def _good_bye(self, message: Message, number: int, now: datetime) -> None:
        """Answer their Logout, whatever its number: a gap shows itself at the next Logon."""
        if number == self._next_in:
            self._take_number(number, message, now, deliver=False)
        self._actions.append(LoggedOut(message.text(TEXT)))
        if self.state is not State.LOGGING_OUT:
            self._say("5", [], now)
        self._close("logged out")

    def _say_good_bye(self, text: str | None, now: datetime) -> None:
        if self.state is State.LOGGING_OUT:
            return
        self._say("5", [] if text is None else [(TEXT, text)], now)
        self.state = State.LOGGING_OUT
        self._left_at = now

    def _close(self, why: str) -> None:
        self.state = State.CLOSED
        self._actions.append(Close(why))

    def _garbled(self, what: Garbled) -> None:
        """Ignore it, and do not advance; before the Logon, close: 1d, 2d, 2m, 2t, 3b, 3c."""
        self._actions.append(what)
        if self.state is State.LOGGING_ON and self.config.role is Role.ACCEPTOR:
            self._close("the first message must be a Logon")

    # What goes out.

    def _say(self, msg_type: str, body: Sequence[Pair], now: datetime) -> None:
        self._say_it(Outgoing(msg_type, body), now)

    def _say_it(self, what: Outgoing, now: datetime) -> None:
        self._sent(what.msg_type, self._composer.compose(self._next_out, what, now), now)

    def _sent(self, msg_type: str, data: bytes, now: datetime) -> None:
        self._actions.append(Send(self._generation, Entry(self._next_out, msg_type, data, now)))
        self._next_out += 1
        self._last_out = now

    def _take_number(self, number: int, message: Message, now: datetime, *, deliver: bool) -> None:
        entry = Entry(number, message.msg_type, message.raw, now)
        self._actions.append(Received(self._generation, entry, message, deliver))
        self._next_in = number + 1

    def _begin_anew(self, why: str, now: datetime) -> None:
        self._generation += 1
        self._next_out = self._next_in = 1
        self._since = now
        self._waiting.clear()
        self._gap = None
        self._actions.append(BegunAnew(why))

    def _done(self) -> list[Action]:
        actions, self._actions = self._actions, []
        return actions
