"""How a session logs on: who is believed, what is agreed, and when its numbers begin anew.

Source: FIX specification 4.4, volume 2, "FIX session-level test cases and expected behaviors", cited as 1; FIXT 1.1 for
DefaultApplVerID.
"""

from abc import ABC
from datetime import datetime, timedelta

from services.execution.fix.protocol.actions import (
    LoggedOn,
    LoggedOut,
)
from services.execution.fix.protocol.config import Role
from services.execution.fix.protocol.counting import NUMBER_MAX, Counting
from services.execution.fix.protocol.dictionary import RejectReason
from services.execution.fix.protocol.message import Message
from services.execution.fix.protocol.state import State
from services.execution.fix.protocol.tags import (
    DEFAULT_APPL_VER_ID,
    ENCRYPT_METHOD,
    HEART_BT_INT,
    RESET_SEQ_NUM_FLAG,
    TEXT,
)
from services.execution.fix.protocol.validation import Problem, validate
from services.execution.fix.protocol.values import Pair


class LoggingOn(Counting, ABC):
    """The part of a session that logs on."""

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
        if number > NUMBER_MAX:
            return f"MsgSeqNum must be at most {NUMBER_MAX}, was {number}"
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
