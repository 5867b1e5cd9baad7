"""How does a message of ours look, the first time and again?

Header and body fields that the session writes itself come in ascending order of their tags, as QuickFIX writes them and
its acceptance definitions expect; the order is free in FIX 4.4 but for the first three.
"""

from datetime import datetime

from services.execution.fix.protocol.codec import decode, encode, encode_plainly, flatten
from services.execution.fix.protocol.config import SessionConfig
from services.execution.fix.protocol.dictionary import RejectReason
from services.execution.fix.protocol.message import Message, Outgoing
from services.execution.fix.protocol.store import Entry
from services.execution.fix.protocol.tags import (
    BEGIN_STRING,
    BODY_LENGTH,
    CHECK_SUM,
    DELIVER_TO_COMP_ID,
    DELIVER_TO_LOCATION_ID,
    DELIVER_TO_SUB_ID,
    GAP_FILL_FLAG,
    MSG_SEQ_NUM,
    MSG_TYPE,
    NEW_SEQ_NO,
    ON_BEHALF_OF_COMP_ID,
    ON_BEHALF_OF_LOCATION_ID,
    ON_BEHALF_OF_SUB_ID,
    ORIG_SENDING_TIME,
    POSS_DUP_FLAG,
    REF_MSG_TYPE,
    REF_SEQ_NUM,
    REF_TAG_ID,
    SENDER_COMP_ID,
    SENDING_TIME,
    SESSION_REJECT_REASON,
    TARGET_COMP_ID,
    TEXT,
)
from services.execution.fix.protocol.values import Pair, timestamp

# Who a message came from on whose behalf is whom its answer is delivered to; FIX 4.4 volume 2, "Reverse route".
_REVERSED = (
    (ON_BEHALF_OF_COMP_ID, DELIVER_TO_COMP_ID),
    (ON_BEHALF_OF_SUB_ID, DELIVER_TO_SUB_ID),
    (ON_BEHALF_OF_LOCATION_ID, DELIVER_TO_LOCATION_ID),
    (DELIVER_TO_COMP_ID, ON_BEHALF_OF_COMP_ID),
    (DELIVER_TO_SUB_ID, ON_BEHALF_OF_SUB_ID),
    (DELIVER_TO_LOCATION_ID, ON_BEHALF_OF_LOCATION_ID),
)
_WRITTEN_BY_FRAME = (BEGIN_STRING, BODY_LENGTH, CHECK_SUM)
_WRITTEN_AGAIN = (*_WRITTEN_BY_FRAME, MSG_TYPE, POSS_DUP_FLAG, SENDING_TIME, ORIG_SENDING_TIME)


class Composer:
    """Writes the messages of one session."""

    def __init__(self, config: SessionConfig) -> None:
        """Write for the two parties of `config`, in its version."""
        self._dictionary = config.dictionary
        self._begin_string = config.dictionary.begin_string.encode()
        self._sender = (SENDER_COMP_ID, config.sender.encode())
        self._target = (TARGET_COMP_ID, config.target.encode())

    def compose(self, number: int, what: Outgoing, now: datetime) -> bytes:
        """Return the frame of a new message.

        Raises:
            Unencodable: A field cannot be written.
        """
        written = self._plainly(number, what, now)
        if written is not None:
            return written
        header = [(MSG_SEQ_NUM, b"%d" % number), self._sender, (SENDING_TIME, timestamp(now)), self._target]
        if what.header:
            header = sorted([*header, *flatten(what.header)])
        fields = [(MSG_TYPE, what.msg_type.encode()), *header, *flatten(what.body)]
        return encode(self._begin_string, fields, self._dictionary.data_tags)

    def _plainly(self, number: int, what: Outgoing, now: datetime) -> bytes | None:
        """Return what `compose` does, of a message as most are."""
        if what.header or not what.body:
            return None
        parties = (self._sender[1], timestamp(now), self._target[1])
        head = b"35=%b\x0134=%d\x0149=%b\x0152=%b\x0156=%b\x01" % (what.msg_type.encode(), number, *parties)
        return encode_plainly(self._begin_string, head, 5, what.body, self._dictionary.data_tags)

    def again(self, entry: Entry, now: datetime) -> bytes:
        """Return a message of the journal as a possible duplicate: body unchanged, OrigSendingTime in the header."""
        message = decode(entry.data, self._dictionary.data_tags)
        places = self._dictionary.header.places
        kept = [each for each in message.fields if each[0] not in _WRITTEN_AGAIN]
        header = [each for each in kept if each[0] in places]
        header += [
            (POSS_DUP_FLAG, b"Y"),
            (SENDING_TIME, timestamp(now)),
            (ORIG_SENDING_TIME, message.get(SENDING_TIME) or timestamp(entry.time)),
        ]
        body = [each for each in kept if each[0] not in places]
        fields = [(MSG_TYPE, entry.msg_type.encode()), *sorted(header), *body]
        return encode(self._begin_string, fields, self._dictionary.data_tags)

    def gap_fill(self, first: int, after: int, now: datetime) -> bytes:
        """Return a SequenceReset that stands for `first` up to, without, `after`."""
        again: list[Pair] = [(POSS_DUP_FLAG, True), (ORIG_SENDING_TIME, now)]
        return self.compose(first, Outgoing("4", [(NEW_SEQ_NO, after), (GAP_FILL_FLAG, True)], again), now)


def reject(message: Message, number: int, reason: RejectReason, tag: str | None) -> Outgoing:
    """Return the session's refusal of a message."""
    body: list[Pair] = [(REF_SEQ_NUM, number), (TEXT, reason.text)]
    if tag is not None and tag.removeprefix("-").isdecimal() and tag.isascii():
        body.append((REF_TAG_ID, tag))
    if msg_type := message.get(MSG_TYPE):
        body.append((REF_MSG_TYPE, msg_type))
    body.append((SESSION_REJECT_REASON, int(reason)))
    return Outgoing("3", body, reverse_route(message))


def reverse_route(message: Message) -> list[Pair]:
    """Return the routing header of an answer to `message`."""
    return [(to, value) for source, to in _REVERSED if (value := message.get(source))]
