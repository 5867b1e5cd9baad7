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
from datetime import datetime

from services.execution.fix.protocol.actions import (
    Action,
    Resend,
)
from services.execution.fix.protocol.codec import Undecodable, decode
from services.execution.fix.protocol.config import Role
from services.execution.fix.protocol.counting import NUMBER_MAX
from services.execution.fix.protocol.dictionary import ADMIN_TYPES, RejectReason
from services.execution.fix.protocol.framer import Garbled
from services.execution.fix.protocol.logon import LoggingOn
from services.execution.fix.protocol.message import Message, Outgoing
from services.execution.fix.protocol.resender import Resender
from services.execution.fix.protocol.schedule import ALWAYS
from services.execution.fix.protocol.state import NotLoggedOn, State
from services.execution.fix.protocol.tags import (
    GAP_FILL_FLAG,
    ORIG_SENDING_TIME,
    TEST_REQ_ID,
    TEXT,
)
from services.execution.fix.protocol.trust import lacks_original_time
from services.execution.fix.protocol.validation import Problem, validate

# "HeartBtInt plus some reasonable transmission time": the share of QuickFIX, so that both sides wait alike.
TRANSMISSION = 1.2
TEST_REQUEST_ID = "TEST"
_NO_ORIGINAL_TIME = Problem(RejectReason.REQUIRED_TAG_MISSING, str(ORIG_SENDING_TIME))


class Session(LoggingOn):
    """One connection's worth of a session; the numbers go on over connections."""

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
        if self._resetting:
            # Until their answer nothing else of theirs counts.
            timers.append((self._since + config.logon_patience, lambda _: self._close("no Logon answered our reset")))
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
            self._refuse(message, number, _NO_ORIGINAL_TIME, now)
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

    def _process(self, message: Message, number: int, now: datetime) -> None:
        """Process a message under the number that is expected."""
        problem = validate(message, self._dictionary, allow_user_defined=self.config.user_defined)
        if problem is None and lacks_original_time(message):
            # 2g, of one that came early.
            problem = _NO_ORIGINAL_TIME
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
