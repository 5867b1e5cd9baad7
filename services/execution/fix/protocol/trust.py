"""Is this message from our counterparty, to us, and from now?

Source: FIX specification 4.4, volume 2, test cases 2f, 2g, 2i, 2k and 2o.
"""

from datetime import datetime

from services.execution.fix.protocol.config import SessionConfig
from services.execution.fix.protocol.dictionary import RejectReason
from services.execution.fix.protocol.message import Message
from services.execution.fix.protocol.tags import (
    BEGIN_STRING,
    ORIG_SENDING_TIME,
    SENDER_COMP_ID,
    SENDING_TIME,
    TARGET_COMP_ID,
)
from services.execution.fix.protocol.values import read_timestamp


class Trust:
    """What a session believes of a message before it looks at what it says."""

    def __init__(self, config: SessionConfig) -> None:
        """Believe the two parties of `config`."""
        self._begin_string = config.dictionary.begin_string.encode()
        self._sender = config.target.encode()
        self._target = config.sender.encode()
        self._tolerance = config.sending_time_tolerance

    def speaks(self, message: Message) -> bool:
        """Return whether it is in the version agreed."""
        return message.get(BEGIN_STRING) == self._begin_string

    def is_theirs(self, message: Message) -> bool:
        """Return whether it is from the party agreed, to us, in the version agreed."""
        return (
            self.speaks(message)
            and message.get(SENDER_COMP_ID) == self._sender
            and message.get(TARGET_COMP_ID) == self._target
        )

    def is_timely(self, message: Message, now: datetime) -> bool:
        """Return whether it says when it was sent, and that is close to now."""
        sent = message.get(SENDING_TIME)
        sent_at = read_timestamp(sent) if sent else None
        return sent_at is not None and abs(now - sent_at) <= self._tolerance

    def problem(self, message: Message, now: datetime) -> RejectReason | None:
        """Return why it is not from our counterparty, or not from now; absent fields are left to validation."""
        sender, target = message.get(SENDER_COMP_ID), message.get(TARGET_COMP_ID)
        if (sender and sender != self._sender) or (target and target != self._target):
            return RejectReason.COMP_ID_PROBLEM
        sent = message.get(SENDING_TIME)
        sent_at = read_timestamp(sent) if sent else None
        if sent_at is None:
            return None
        if abs(now - sent_at) > self._tolerance:
            return RejectReason.SENDING_TIME_ACCURACY_PROBLEM
        if message.poss_dup and (original := message.get(ORIG_SENDING_TIME)):
            original_at = read_timestamp(original)
            if original_at is not None and original_at > sent_at:
                return RejectReason.SENDING_TIME_ACCURACY_PROBLEM
        return None


def lacks_original_time(message: Message) -> bool:
    """Return whether it claims to be sent again and does not say when it was sent first; gap fills need not."""
    return message.poss_dup and message.get(ORIG_SENDING_TIME) is None and message.msg_type != "4"
