"""What may a message of a version of FIX contain?

A `Dictionary` is built once from the compact tables under `dictionaries`: it checks values by their type and list,
knows the fields, groups and required fields of each message, and names them for people.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from functools import cache

from services.execution.fix.protocol.codec import DataTags
from services.execution.fix.protocol.dictionaries import fields_fix44, fields_fix50sp2, fix44, fix50sp2, fixt11
from services.execution.fix.protocol.quick import Quick
from services.execution.fix.protocol.values import DIGITS_MAX, read_timestamp

# Tags from here on are agreed between the parties; FIX 4.4 volume 1, "User defined fields".
USER_DEFINED_FROM = 5000
ADMIN_TYPES = frozenset("012345A")


class RejectReason(IntEnum):
    """SessionRejectReason (373); the names are those of the specification."""

    INVALID_TAG_NUMBER = 0
    REQUIRED_TAG_MISSING = 1
    TAG_NOT_DEFINED_FOR_THIS_MESSAGE_TYPE = 2
    UNDEFINED_TAG = 3
    TAG_SPECIFIED_WITHOUT_A_VALUE = 4
    VALUE_IS_INCORRECT = 5
    INCORRECT_DATA_FORMAT_FOR_VALUE = 6
    DECRYPTION_PROBLEM = 7
    SIGNATURE_PROBLEM = 8
    COMP_ID_PROBLEM = 9
    SENDING_TIME_ACCURACY_PROBLEM = 10
    INVALID_MSG_TYPE = 11
    XML_VALIDATION_ERROR = 12
    TAG_APPEARS_MORE_THAN_ONCE = 13
    TAG_SPECIFIED_OUT_OF_REQUIRED_ORDER = 14
    REPEATING_GROUP_FIELDS_OUT_OF_ORDER = 15
    INCORRECT_NUM_IN_GROUP_COUNT = 16
    NON_DATA_VALUE_INCLUDES_DELIMITER = 17
    OTHER = 99

    @property
    def text(self) -> str:
        """Return the sentence that goes with it."""
        return _TEXTS.get(self) or self.name.replace("_", " ").capitalize()


# Where the sentence that counterparties know differs from the name.
_TEXTS = {
    RejectReason.VALUE_IS_INCORRECT: "Value is incorrect (out of range) for this tag",
    RejectReason.COMP_ID_PROBLEM: "CompID problem",
    RejectReason.SENDING_TIME_ACCURACY_PROBLEM: "SendingTime accuracy problem",
    RejectReason.INVALID_MSG_TYPE: "Invalid MsgType",
    RejectReason.REPEATING_GROUP_FIELDS_OUT_OF_ORDER: "Out of order repeating group members",
    RejectReason.INCORRECT_NUM_IN_GROUP_COUNT: "Incorrect NumInGroup count for repeating group",
    RejectReason.NON_DATA_VALUE_INCLUDES_DELIMITER: "Non-data value includes field delimiter",
}


@dataclass(frozen=True, slots=True)
class Field:
    """A field: `kind` is its type in the specification, `values` what it may be, None for anything of its type."""

    tag: int
    name: str
    kind: str
    values: frozenset[bytes] | None = None

    @property
    def surely_right(self) -> Callable[[bytes], object]:
        """Return what returns something true for a value that is right; of some that are right, it may not know."""
        if self.values is None and self.kind in _AT_A_GLANCE:
            return _AT_A_GLANCE[self.kind]
        if self.values is not None and all(map(_FORMATS[self.kind], self.values)):
            return self.values.__contains__
        if self.values is not None:
            return lambda value: bool(value) and self.wrong(value) is None
        # Anything, but not nothing.
        check = _FORMATS[self.kind]
        return len if check is _anything else check

    def wrong(self, value: bytes) -> RejectReason | None:
        """Return why a value that is not empty is refused; None if it is fine."""
        if not _FORMATS[self.kind](value):
            return RejectReason.INCORRECT_DATA_FORMAT_FOR_VALUE
        values = self.values
        if values is None or value in values:
            return None
        if self.kind in _MULTIPLE and values.issuperset(value.split(b" ")):
            return None
        return RejectReason.VALUE_IS_INCORRECT


@dataclass(frozen=True, slots=True)
class Members:
    """What a message, or an entry of a repeating group, consists of.

    Attributes:
        places: Of each field that it may contain at this level, its place in the specification's order.
        required: Those it must contain.
        groups: The members of each group, by the tag of its count.
    """

    places: Mapping[int, int]
    required: tuple[int, ...]
    groups: Mapping[int, "Members"]

    @property
    def first(self) -> int:
        """Return the first field, which begins each entry of a group."""
        return next(iter(self.places))


@dataclass(frozen=True, slots=True)
class MessageType:
    """A kind of message."""

    msg_type: str
    name: str
    members: Members

    @property
    def admin(self) -> bool:
        """Return whether it belongs to the session, not to an application."""
        return self.msg_type in ADMIN_TYPES


@dataclass(frozen=True, slots=True)
class Dictionary:
    """A version of FIX.

    Attributes:
        begin_string: What BeginString (8) says.
        appl_ver_id: DefaultApplVerID (1137) under FIXT; None where BeginString says it all.
        fields: By tag.
        header: The standard header.
        trailer: The standard trailer.
        messages: Those with a table, by type.
        types: All types that the version has.
        data_tags: Which fields may hold the separator.
    """

    begin_string: str
    appl_ver_id: str | None
    fields: Mapping[int, Field]
    header: Members
    trailer: Members
    messages: Mapping[str, MessageType]
    types: frozenset[str]
    data_tags: DataTags
    _quick: dict[str, Quick] = field(init=False, default_factory=dict, compare=False, repr=False)

    def quick(self, msg_type: str) -> Quick | None:
        """Return what most messages of a type keep to; None for a type without a table."""
        known = self._quick.get(msg_type)
        if known is None and (kind := self.messages.get(msg_type)) is not None:
            levels = (self.header, kind.members, self.trailer)
            fields = {
                tag: (part, self.fields[tag].surely_right)
                # Where a tag is in two parts, the header and the trailer have it, as in `validate`.
                for part, level in sorted(enumerate(levels), key=lambda each: each[0] != 1)
                for tag in level.places
                # Data fields may be sealed, or documents: they take the long way.
                if tag not in level.groups and tag in self.fields and tag not in self.data_tags.all
            }
            required = frozenset(tag for level in levels for tag in level.required)
            known = self._quick[msg_type] = Quick(fields, required)
        return known

    def name(self, tag: int) -> str:
        """Return a field's name; its number if it has none."""
        known = self.fields.get(tag)
        return known.name if known is not None else str(tag)

    def message_name(self, msg_type: str) -> str:
        """Return a message's name; its type if it has none."""
        known = self.messages.get(msg_type)
        return known.name if known is not None else msg_type

    def with_fields(self, msg_type: str, *added: Field, required: Iterable[int] = ()) -> "Dictionary":
        """Return a dictionary in which a message also has `added`, as a counterparty's rules of engagement may say."""
        kind = self.messages[msg_type]
        places = {**kind.members.places}
        for each in added:
            places.setdefault(each.tag, len(places))
        members = replace(kind.members, places=places, required=(*kind.members.required, *required))
        return replace(
            self,
            fields={**self.fields, **{each.tag: each for each in added}},
            messages={**self.messages, msg_type: replace(kind, members=members)},
        )


@cache
def fix_4_4() -> Dictionary:
    """Return FIX 4.4."""
    fields = _fields(fields_fix44.FIELDS, fields_fix44.VALUES)
    return Dictionary(
        begin_string="FIX.4.4",
        appl_ver_id=None,
        fields=fields,
        header=_members(fix44.HEADER, {}),
        trailer=_members(fix44.TRAILER, {}),
        messages=_messages(fix44.MESSAGES, fix44.COMPONENTS),
        types=frozenset(fix44.TYPES.split()),
        data_tags=_data_tags(fields),
    )


@cache
def fix_5_0_sp2() -> Dictionary:
    """Return FIX 5.0 SP2 in a FIXT 1.1 session; ApplVerID 9."""
    older = _fields(fields_fix44.FIELDS, fields_fix44.VALUES)
    fields = {
        **older,
        **_fields(fields_fix50sp2.FIELDS, fields_fix50sp2.VALUES, older),
    }
    return Dictionary(
        begin_string="FIXT.1.1",
        appl_ver_id="9",
        fields=fields,
        header=_members(fixt11.HEADER, {}),
        trailer=_members(fixt11.TRAILER, {}),
        messages={
            **_messages(fixt11.MESSAGES, fixt11.COMPONENTS),
            **_messages(fix50sp2.MESSAGES, fix50sp2.COMPONENTS),
        },
        types=frozenset(f"{fixt11.TYPES} {fix50sp2.TYPES}".split()),
        data_tags=_data_tags(fields),
    )


def _fields(kinds: Mapping[str, str], values: str, older: Mapping[int, Field] | None = None) -> dict[int, Field]:
    listed = {}
    for line in values.split(";"):
        tag, _, codes = line.partition(":")
        listed[int(tag)] = frozenset(code.encode() for code in codes.split())
    fields = {}
    for kind, table in kinds.items():
        for item in table.split():
            tag, _, name = item.partition(":")
            before = older.get(int(tag)) if older is not None else None
            kept = before.values if before is not None else None
            fields[int(tag)] = Field(int(tag), name, kind, listed.pop(int(tag), kept))
    # Only the values of these changed.
    fields.update({tag: replace((older or {})[tag], values=codes) for tag, codes in listed.items()})
    return fields


def _data_tags(fields: Mapping[int, Field]) -> DataTags:
    by_name = {each.name: each.tag for each in fields.values()}
    pairs = {}
    for each in fields.values():
        if each.kind in ("DATA", "XMLDATA"):
            length = by_name.get(f"{each.name}Length") or by_name[f"{each.name}Len"]
            pairs[length] = each.tag
    return DataTags(pairs)


def _messages(tables: Mapping[str, str], components: Mapping[str, str]) -> dict[str, MessageType]:
    messages = {}
    for title, table in tables.items():
        msg_type, _, name = title.partition(" ")
        messages[msg_type] = MessageType(msg_type, name, _members(table, components))
    return messages


_OPEN, _CLOSE = "()"
_TOKEN = re.compile(r"@\w+!?|\d+!?|\(|\)")


def _members(table: str, components: Mapping[str, str]) -> Members:
    tokens = _expanded(_TOKEN.findall(table), components, required=True)
    return _read(iter(tokens))


def _expanded(tokens: Iterable[str], components: Mapping[str, str], *, required: bool) -> list[str]:
    """Put components in place; what they require is required only where they are, and in every entry of a group."""
    out: list[str] = []
    depth = 0
    for token in tokens:
        depth += (token == _OPEN) - (token == _CLOSE)
        strictly = required or depth > 0
        if token.startswith("@"):
            inner = _TOKEN.findall(components[token.strip("@!")])
            out += _expanded(inner, components, required=strictly and token.endswith("!"))
        else:
            out.append(token if strictly else token.rstrip("!"))
    return out


def _read(tokens: Iterable[str]) -> Members:
    iterator = iter(tokens)
    places: dict[int, int] = {}
    required: list[int] = []
    groups: dict[int, Members] = {}
    last = 0
    for token in iterator:
        if token == _OPEN:
            groups[last] = _read(iterator)
            continue
        if token == _CLOSE:
            break
        last = int(token.rstrip("!"))
        places[last] = len(places)
        if token.endswith("!"):
            required.append(last)
    return Members(places, tuple(required), groups)


def _matching(pattern: bytes) -> Callable[[bytes], object]:
    return re.compile(pattern).fullmatch


def _anything(_: bytes) -> object:
    return True


_DATE = rb"\d{4}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
_TIME = rb"(?:[01]\d|2[0-3]):[0-5]\d"
_SECONDS = rb":(?:[0-5]\d|60)(?:\.\d{1,12})?"
_ZONE = rb"(?:Z|[+-]\d\d(?::[0-5]\d)?)"
_DIGITS = rb"\d{1,%d}" % DIGITS_MAX
_number = _matching(rb"-?(?:%b(?:\.\d{0,%d})?|\.%b)" % (_DIGITS, DIGITS_MAX, _DIGITS))
_words = _matching(rb"[^ ]+(?: [^ ]+)*")

# What the types look like: FIX 4.4 volume 1, "FIX data types"; the TZ types and LANGUAGE: FIX 5.0 SP2 volume 1.
_FORMATS: Mapping[str, Callable[[bytes], object]] = {
    "AMT": _number,
    "BOOLEAN": _matching(rb"[YN]"),
    "CHAR": _matching(rb"[^\x00-\x1f]"),
    "COUNTRY": _matching(rb"[A-Z]{2}"),
    "CURRENCY": _matching(rb"[A-Z]{3}"),
    "DATA": _anything,
    "EXCHANGE": _anything,
    "FLOAT": _number,
    "INT": _matching(rb"-?" + _DIGITS),
    "LANGUAGE": _matching(rb"[A-Za-z]{2,3}"),
    "LENGTH": _matching(_DIGITS),
    "LOCALMKTDATE": _matching(_DATE),
    "MONTHYEAR": _matching(rb"\d{4}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01]|w[1-5])?"),
    "MULTIPLECHARVALUE": _matching(rb"[^ ](?: [^ ])*"),
    "MULTIPLESTRINGVALUE": _words,
    "NUMINGROUP": _matching(_DIGITS),
    "PERCENTAGE": _number,
    "PRICE": _number,
    "PRICEOFFSET": _number,
    "QTY": _number,
    "SEQNUM": _matching(_DIGITS),
    "STRING": _anything,
    "TZTIMEONLY": _matching(_TIME + rb"(?:" + _SECONDS + rb")?" + _ZONE),
    "TZTIMESTAMP": _matching(_DATE + rb"-" + _TIME + rb"(?:" + _SECONDS + rb")?" + _ZONE),
    "UTCDATEONLY": _matching(_DATE),
    "UTCTIMEONLY": _matching(_TIME + _SECONDS),
    "UTCTIMESTAMP": _matching(_DATE + rb"-" + _TIME + _SECONDS),
    "XMLDATA": _anything,
}
# Of the types that most messages are made of: what a few steps, or none when it was read before, show to be right.
_short_number = _matching(rb"-?\d{1,15}\.?\d{0,15}")
_AT_A_GLANCE: Mapping[str, Callable[[bytes], object]] = {
    **dict.fromkeys(("AMT", "FLOAT", "PERCENTAGE", "PRICE", "PRICEOFFSET", "QTY"), _short_number),
    "UTCTIMESTAMP": read_timestamp,
}
_MULTIPLE = ("MULTIPLECHARVALUE", "MULTIPLESTRINGVALUE")
