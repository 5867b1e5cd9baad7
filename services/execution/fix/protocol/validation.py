"""Does a message keep to its dictionary?

One pass over the fields in their order, so the first thing that is wrong is what the counterparty hears; what is
missing is looked for at the end. Source: FIX specification 4.4, volume 2, Reject (3) and SessionRejectReason (373).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import call
from xml.parsers import expat

from services.execution.fix.protocol.dictionary import USER_DEFINED_FROM, Dictionary, Members, RejectReason
from services.execution.fix.protocol.message import Message
from services.execution.fix.protocol.quick import Quick
from services.execution.fix.protocol.tags import BEGIN_STRING, SECURE_DATA, SIGNATURE, XML_DATA


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a message is refused, and the tag that is to blame, as it was written; None where no tag is."""

    reason: RejectReason
    tag: str | None = None


def validate(message: Message, dictionary: Dictionary, *, allow_user_defined: bool = False) -> Problem | None:
    """Return the first thing that is wrong with a message; None if it keeps to the dictionary.

    A message whose type has no table is checked field by field only.

    Args:
        message: As decoded; what the framer guarantees is taken for granted.
        dictionary: The version spoken.
        allow_user_defined: Whether fields from tag 5000 on pass without being in the dictionary.
    """
    if message.bad_tag is not None:
        return Problem(RejectReason.INVALID_TAG_NUMBER, message.bad_tag[:32].decode("ascii", "replace"))
    if message.torn is not None:
        return Problem(RejectReason.NON_DATA_VALUE_INCLUDES_DELIMITER, str(message.torn))
    quick = dictionary.quick(message.msg_type)
    if quick is not None and _is_ordinary(message, quick):
        return None
    return walk(message, dictionary, allow_user_defined=allow_user_defined)


def walk(message: Message, dictionary: Dictionary, *, allow_user_defined: bool = False) -> Problem | None:
    """Return what `validate` does, of a message whose tags are numbers, by looking at everything in its order."""
    msg_type = message.msg_type
    if msg_type not in dictionary.types and msg_type not in dictionary.messages and not msg_type.startswith("U"):
        return Problem(RejectReason.INVALID_MSG_TYPE)
    kind = dictionary.messages.get(msg_type)
    wrong = _Pass(message, dictionary, kind.members if kind else None, user_defined=allow_user_defined).run()
    return wrong or _sealed(message)


def _sealed(message: Message) -> Problem | None:
    """Return what is wrong with what only its parties can open: EncryptMethod 0 is agreed at the Logon, so nothing is.

    FIX 4.4 volume 2, Reject <3>: a message that cannot be decrypted is rejected, and one whose signature cannot be
    verified; so is XML that is none.
    """
    if message.get(SECURE_DATA) is not None:
        return Problem(RejectReason.DECRYPTION_PROBLEM, str(SECURE_DATA))
    if message.get(SIGNATURE) is not None:
        return Problem(RejectReason.SIGNATURE_PROBLEM, str(SIGNATURE))
    if (xml := message.get(XML_DATA)) is not None and not _is_xml(xml):
        return Problem(RejectReason.XML_VALIDATION_ERROR, str(XML_DATA))
    return None


def _is_xml(data: bytes) -> bool:
    """Return whether data is a well-formed document; one that declares entities is not wanted, and none here."""
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, _DoctypeFound, LookupError, ValueError):
        return False
    return True


class _DoctypeFound(Exception):
    """A document type is declared: its entities could grow without end."""


def _refuse_doctype(*_: object) -> None:
    raise _DoctypeFound


def _is_ordinary(message: Message, quick: Quick) -> bool:
    """Return whether a message keeps to its dictionary in the plainest way; all others take the long walk."""
    checks = quick.checks(message.tags)
    return checks is not None and all(map(call, checks, message.values))


class _Pass:
    """One walk over a message."""

    __slots__ = ("_at", "_body", "_dictionary", "_fields", "_user_defined")

    def __init__(
        self, message: Message, dictionary: Dictionary, body: Members | None, *, user_defined: bool = False
    ) -> None:
        self._fields = message.fields
        self._dictionary = dictionary
        self._body = body
        self._user_defined = user_defined
        self._at = 0

    def run(self) -> Problem | None:
        header, body, trailer = self._dictionary.header, self._body, self._dictionary.trailer
        fields, end = self._fields, len(self._fields)
        seen: set[int] = set()
        # 0 in the header, 1 in the body, 2 in the trailer.
        part = 0
        while self._at < end:
            tag, value = fields[self._at]
            level: Members | None = body
            its_part = 1
            if tag in header.places:
                level, its_part = header, 0
            elif tag in trailer.places:
                level, its_part = trailer, 2
            reason = self._field(tag, value, level)
            if reason is None and its_part < part:
                reason = RejectReason.TAG_SPECIFIED_OUT_OF_REQUIRED_ORDER
            # Without a table nobody knows which fields may be repeated.
            if reason is None and level is not None and tag in seen:
                reason = RejectReason.TAG_APPEARS_MORE_THAN_ONCE
            if reason is not None:
                return Problem(reason, str(tag))
            seen.add(tag)
            part = its_part
            self._at += 1
            if level is not None and tag in level.groups:
                problem = self._group(tag, int(value), level.groups[tag])
                if problem is not None:
                    return problem
        for needed in (header.required, body.required if body is not None else (), trailer.required):
            for tag in needed:
                if tag not in seen:
                    return Problem(RejectReason.REQUIRED_TAG_MISSING, str(tag))
        return None

    def _field(self, tag: int, value: bytes, level: Members | None) -> RejectReason | None:
        """Return what is wrong with a field by itself, or with its being in this message."""
        field = self._dictionary.fields.get(tag)
        if field is None:
            if not self._agreed(tag, level):
                # Of a kind of message that has no table, no tag is invalid; some are not defined.
                return RejectReason.UNDEFINED_TAG if self._body is None else RejectReason.INVALID_TAG_NUMBER
            return None if value else RejectReason.TAG_SPECIFIED_WITHOUT_A_VALUE
        if not value:
            return RejectReason.TAG_SPECIFIED_WITHOUT_A_VALUE
        if level is not None and tag not in level.places:
            return RejectReason.TAG_NOT_DEFINED_FOR_THIS_MESSAGE_TYPE
        return field.wrong(value)

    def _agreed(self, tag: int, body: Members | None) -> bool:
        """Return whether a tag that no specification defines may be there."""
        return tag >= USER_DEFINED_FROM and (self._user_defined or (body is not None and tag in body.places))

    def _group(self, count_tag: int, count: int, members: Members) -> Problem | None:
        """Walk the entries of a group, which begin at the present field."""
        fields = self._fields
        entries = 0
        first = members.first
        while self._at < len(fields) and fields[self._at][0] == first:
            entries += 1
            if entries > count:
                return Problem(RejectReason.INCORRECT_NUM_IN_GROUP_COUNT, str(count_tag))
            if (problem := self._entry(members)) is not None:
                return problem
        if entries != count:
            # A member where an entry should begin: the order is wrong, not the count.
            if self._at < len(fields) and fields[self._at][0] in members.places:
                return Problem(RejectReason.REPEATING_GROUP_FIELDS_OUT_OF_ORDER, str(fields[self._at][0]))
            return Problem(RejectReason.INCORRECT_NUM_IN_GROUP_COUNT, str(count_tag))
        return None

    def _entry(self, members: Members) -> Problem | None:
        fields, known = self._fields, self._dictionary.fields
        place = -1
        seen: set[int] = set()
        while self._at < len(fields):
            tag, value = fields[self._at]
            its_place = members.places.get(tag)
            if its_place is None or (tag in seen and its_place == 0):
                break
            if not value:
                return Problem(RejectReason.TAG_SPECIFIED_WITHOUT_A_VALUE, str(tag))
            if tag in seen:
                return Problem(RejectReason.TAG_APPEARS_MORE_THAN_ONCE, str(tag))
            if its_place < place:
                return Problem(RejectReason.REPEATING_GROUP_FIELDS_OUT_OF_ORDER, str(tag))
            if (wrong := known[tag].wrong(value)) is not None:
                return Problem(wrong, str(tag))
            place = its_place
            seen.add(tag)
            self._at += 1
            if tag in members.groups and (problem := self._group(tag, int(value), members.groups[tag])) is not None:
                return problem
        for tag in members.required:
            if tag not in seen:
                return Problem(RejectReason.REQUIRED_TAG_MISSING, str(tag))
        return None


def entries(message: Message, dictionary: Dictionary, count_tag: int) -> Iterator[Message]:
    """Yield the entries of a message's repeating group as messages of their own, nested groups within.

    Args:
        message: One that `validate` let pass.
        dictionary: The version spoken.
        count_tag: For instance 453, NoPartyIDs. For a group within a group give the entry as `message`.

    Raises:
        KeyError: The dictionary has no such group in this message.
    """
    members = _find(dictionary, message, count_tag)
    start = next((at for at, (tag, _) in enumerate(message.fields) if tag == count_tag), None)
    if start is None:
        return
    inside = tags_within(members)
    # An entry remembers what it is part of: MsgType, so that its own groups are found.
    kept = [each for each in message.fields if each[0] in (BEGIN_STRING, 35)]
    entry: list[tuple[int, bytes]] = []
    for tag, value in message.fields[start + 1 :]:
        if tag == members.first and entry:
            yield _part([*entry, *kept])
            entry = []
        elif tag not in inside:
            break
        entry.append((tag, value))
    if entry:
        yield _part([*entry, *kept])


def _part(fields: Sequence[tuple[int, bytes]]) -> Message:
    return Message(tuple(tag for tag, _ in fields), [value for _, value in fields], b"")


def _find(dictionary: Dictionary, message: Message, count_tag: int) -> Members:
    for level in (dictionary.messages[message.msg_type].members, dictionary.header):
        if (found := _search(level, count_tag)) is not None:
            return found
    raise KeyError(f"{dictionary.message_name(message.msg_type)} has no group {count_tag}")


def _search(level: Members, count_tag: int) -> Members | None:
    if count_tag in level.groups:
        return level.groups[count_tag]
    return next((hit for each in level.groups.values() if (hit := _search(each, count_tag)) is not None), None)


def tags_within(members: Members) -> frozenset[int]:
    """Return all tags that entries may have, nested groups included."""
    inside = frozenset(members.places)
    for each in members.groups.values():
        inside |= tags_within(each)
    return inside
