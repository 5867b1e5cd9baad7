"""`PolicyDocument` ↔ `Document`, field by field, by the names they share.

The dataclasses of `domain.document` say which fields there are; the message has the same ones under the same names. So
nothing here names a field, and a field added to both needs no code. What a message leaves out, or says as an empty
text, an empty list or an unspecified enum, is not set.
"""

import dataclasses
import typing
from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from functools import cache
from typing import Any, TypeAlias

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.protobuf.unknown_fields import UnknownFieldSet
from google.type import decimal_pb2, money_pb2

from evenkeel.policy.v1.policy_document_pb2 import Guardrail as GuardrailMessage
from evenkeel.policy.v1.policy_document_pb2 import PolicyDocument
from services.kernel.errors import Invalid, Violations
from services.kernel.money import Money
from services.policy.domain.document import Document, Guardrail
from services.policy.domain.fields import Hint, only_type
from services.runtime.wire import decimal_message, decimal_of, instant_message, instant_of, money_message, money_of

_DECIMAL = decimal_pb2.Decimal.DESCRIPTOR.full_name
_MONEY = money_pb2.Money.DESCRIPTOR.full_name
_TIMESTAMP = Timestamp.DESCRIPTOR.full_name

# Longest document. The longest sensible one names some ten thousand instruments in its lists, which is a tenth of it.
DOCUMENT_BYTES_MAX = 4 << 20

# A part of a message or of a document: a number, a text, a section, a line of a list.
Part: TypeAlias = Any


def document_of(message: PolicyDocument, field: str = "document") -> Document:
    """Return the document that `message` says.

    Raises:
        Invalid: A number or an instant is none, the message is too long, or it has fields that this build does not
            know; approving what one cannot read would approve something else.
    """
    if (size := message.ByteSize()) > DOCUMENT_BYTES_MAX:
        raise Invalid.of(field, f"must be at most {DOCUMENT_BYTES_MAX:,} bytes, was {size:,}")
    violations = Violations()
    _refuse_unknown(message, field, violations)
    violations.raise_if_any()
    document: Document = _section_of(Document, message, field)
    return document


def document_message(document: Document) -> PolicyDocument:
    """Return the message that says `document`."""
    message = PolicyDocument()
    _fill(message, document)
    return message


def guardrail_message(guardrail: Guardrail) -> GuardrailMessage:
    """Return the message that says `guardrail`."""
    message = GuardrailMessage()
    _fill(message, guardrail)
    return message


class SharedSections:
    """Writes many documents that have sections in common, as merged ones do: each section is written once."""

    def __init__(self) -> None:
        """Start with nothing written."""
        # By identity, because comparing a section costs as much as writing it. The section is kept with its message, so
        # that no other can take its identity.
        self._written: dict[int, tuple[object, PolicyDocument]] = {}

    def document_message(self, document: Document) -> PolicyDocument:
        """Return what `document_message` does."""
        message = PolicyDocument()
        for item in dataclasses.fields(document):
            section = getattr(document, item.name)
            if section is item.default:
                continue
            found = self._written.get(id(section))
            if found is None:
                alone = PolicyDocument()
                _fill(alone, Document(**{item.name: section}))
                found = self._written[id(section)] = (section, alone)
            message.MergeFrom(found[1])
        return message


def _section_of(kind: Hint, message: Message, path: str) -> Part:
    fields: Mapping[str, Any] = message.DESCRIPTOR.fields_by_name
    arguments: dict[str, Part] = {}
    for name, (hint, required) in _plan(kind).items():
        found = _value_of(hint, message, fields[name], f"{path}.{name}", required)
        if found is not None:
            arguments[name] = found
        elif required:
            raise Invalid.of(f"{path}.{name}", "must be given, was absent")
    try:
        return kind(**arguments)
    except ValueError as error:
        raise Invalid.of(path, str(error)) from error


def _value_of(hint: Hint, message: Message, field: FieldDescriptor, path: str, required: bool) -> Part:
    if field.is_repeated:
        (item,) = (arg for arg in typing.get_args(hint) if arg is not Ellipsis)
        lines = getattr(message, field.name)
        return tuple(_item_of(item, line, field, f"{path}[{place}]") for place, line in enumerate(lines))
    if field.has_presence and not message.HasField(field.name):
        return None
    part = getattr(message, field.name)
    # Without presence, empty means absent, except where something must be said.
    if not field.has_presence and not part and not required:
        return None
    return _item_of(hint, part, field, path)


def _item_of(kind: Hint, part: Part, field: FieldDescriptor, path: str) -> Part:
    if field.enum_type is not None:
        return _word_of(kind, field.enum_type, part, path)
    if field.message_type is None:
        return part
    match field.message_type.full_name:
        case name if name == _DECIMAL:
            return decimal_of(part, path)
        case name if name == _MONEY:
            return money_of(part, path)
        case name if name == _TIMESTAMP:
            return instant_of(part, path)
        case _:
            return _section_of(kind, part, path)


def _word_of(kind: type[StrEnum], enum: EnumDescriptor, number: int, path: str) -> StrEnum:
    value = enum.values_by_number.get(number)
    if value is None or number == 0:
        raise Invalid.of(path, f"must be a value of {enum.name}, was {number}")
    return kind(value.name.removeprefix(_prefix(enum)).lower())


def _fill(message: Message, section: Part) -> None:
    fields = message.DESCRIPTOR.fields_by_name
    for item in dataclasses.fields(section):
        part = getattr(section, item.name)
        if part == item.default:
            continue
        field = fields[item.name]
        if field.is_repeated:
            for line in part:
                _add(getattr(message, item.name), line)
        elif field.enum_type is not None:
            setattr(message, item.name, field.enum_type.values_by_name[_prefix(field.enum_type) + part.name].number)
        elif field.message_type is None:
            setattr(message, item.name, part)
        else:
            _write(getattr(message, item.name), part)


def _add(lines: Part, line: Part) -> None:
    if dataclasses.is_dataclass(line):
        _fill(lines.add(), line)
    else:
        lines.append(line)


def _write(message: Message, part: Part) -> None:
    # Present even when it says nothing.
    message.SetInParent()
    match part:
        case Decimal():
            message.CopyFrom(decimal_message(part))
        case Money():
            message.CopyFrom(money_message(part))
        case _ if dataclasses.is_dataclass(part):
            _fill(message, part)
        case _:
            message.CopyFrom(instant_message(part))


def _refuse_unknown(message: Message, path: str, violations: Violations) -> None:
    for unknown in UnknownFieldSet(message):  # type: ignore[attr-defined] # the stubs miss that it iterates
        violations.add(path, f"has a field with number {unknown.field_number}, which this build does not know")
    for field, part in message.ListFields():
        if field.message_type is None:
            continue
        parts = part if field.is_repeated else [part]
        for place, each in enumerate(parts):
            name = f"{field.name}[{place}]" if field.is_repeated else field.name
            _refuse_unknown(each, f"{path}.{name}", violations)


@cache
def _plan(kind: Hint) -> Mapping[str, tuple[Hint, bool]]:
    """Return the fields of a section: the type of each, and whether it must be said."""
    hints = typing.get_type_hints(kind)
    return {
        item.name: (only_type(hints[item.name]), item.default is dataclasses.MISSING)
        for item in dataclasses.fields(kind)
    }


@cache
def _prefix(enum: EnumDescriptor) -> str:
    return enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
