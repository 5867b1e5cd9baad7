"""How a session counts: whose turn it is, what came early, what is missing, and who asks whom for it.

Source: FIX specification 4.4, volume 2, "FIX session-level test cases and expected behaviors", cited as 2, 8, 10, 11
and 20.
"""

from abc import ABC, abstractmethod
from datetime import datetime

from services.execution.fix.protocol.actions import (
    GapFound,
    Resend,
)
from services.execution.fix.protocol.dictionary import RejectReason
from services.execution.fix.protocol.message import Message
from services.execution.fix.protocol.speaking import Speaking
from services.execution.fix.protocol.state import State
from services.execution.fix.protocol.tags import (
    BEGIN_SEQ_NO,
    END_SEQ_NO,
    NEW_SEQ_NO,
    TEXT,
)
from services.execution.fix.protocol.validation import Problem, validate
from services.execution.fix.protocol.waiting import Gap

# A higher number is no sequence number of anybody; it must fit the journal's columns, too.
NUMBER_MAX = 2**53


class Counting(Speaking, ABC):
    """The part of a session that counts."""

    @abstractmethod
    def _process(self, message: Message, number: int, now: datetime) -> None:
        """Process a message under the number that is expected."""

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
        first = last = 0
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
