"""What a session has, and how it speaks: the messages that it sends of itself, its refusals, and its good-byes."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from services.execution.fix.protocol.actions import (
    Action,
    BegunAnew,
    Close,
    LoggedOut,
    Received,
    Refused,
    Send,
)
from services.execution.fix.protocol.composer import Composer, reject, reverse_route
from services.execution.fix.protocol.config import Role, SessionConfig
from services.execution.fix.protocol.framer import Garbled
from services.execution.fix.protocol.message import Message, Outgoing
from services.execution.fix.protocol.state import State
from services.execution.fix.protocol.store import Entry, Numbers
from services.execution.fix.protocol.tags import (
    BUSINESS_REJECT_REASON,
    REF_MSG_TYPE,
    REF_SEQ_NUM,
    TEXT,
)
from services.execution.fix.protocol.trust import Trust
from services.execution.fix.protocol.validation import Problem
from services.execution.fix.protocol.values import Pair
from services.execution.fix.protocol.waiting import Gap, Waiting

# BusinessRejectReason (380).
UNSUPPORTED_MESSAGE_TYPE = 3


class Speaking:
    """The part of a session that speaks; each word is an action, in order."""

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
    def next_out(self) -> int:
        """Return the number of our next message, as `numbers` does."""
        return self._next_out

    @property
    def numbers(self) -> Numbers:
        """Return where the session stands, all actions returned so far included."""
        return Numbers(self._generation, self._next_out, self._next_in, self._since)

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
