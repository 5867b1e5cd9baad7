"""One document, one text, one hash.

A version is named by the hash of its content, so equal documents must have equal bytes. The text is canonical JSON of
what is set, with the fields' own names; it is also how documents are stored, and it reads back to an equal document.
"""

import dataclasses
import json
import typing
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from functools import cache
from typing import Any, TypeAlias

from services.kernel.canonical import JsonValue, canonical_json, content_hash
from services.kernel.decimals import parse_decimal
from services.kernel.ids import PolicyNodeId, PolicyVersionId
from services.policy.domain.document import Document
from services.policy.domain.fields import Hint, only_type

# What `json.loads` returns.
Parsed: TypeAlias = Any


def canonical_bytes(document: Document) -> bytes:
    """Return the one text of `document`."""
    return canonical_json(plain_value(document))


def document_from_bytes(data: bytes | str) -> Document:
    """Return the document whose canonical text is `data`.

    Raises:
        ValueError: `data` is not such a text.
    """
    document: Document = _typed(Document, json.loads(data))
    return document


def version_id(node_id: PolicyNodeId, document: Document) -> PolicyVersionId:
    """Return the name of `document` as the content of `node_id`: the hash over both."""
    content: JsonValue = {"document": plain_value(document), "node_id": node_id}
    return PolicyVersionId(content_hash(canonical_json(content)))


def plain_value(value: object) -> JsonValue:
    """Return `value`, a document or a part of one, as JSON without what is not set."""
    match value:
        case None | bool() | int() | Decimal() | datetime():
            return value
        case StrEnum():
            return value.value
        case str():
            return value
        case tuple():
            return [plain_value(each) for each in value]
        case _ if dataclasses.is_dataclass(value):
            parts = ((item, getattr(value, item.name)) for item in dataclasses.fields(value))
            return {item.name: plain_value(part) for item, part in parts if part != item.default}
        case _:
            raise TypeError(f"{type(value).__name__} is not part of a document")


def _typed(kind: Hint, plain: Parsed) -> Hint:
    origin: Hint = typing.get_origin(kind)
    if origin is tuple:
        item = typing.get_args(kind)[0]
        return tuple(_typed(item, each) for each in _checked(list, plain))
    if dataclasses.is_dataclass(kind):
        return _typed_section(kind, _checked(dict, plain))
    if kind in (bool, int):
        return _checked(kind, plain)
    text = _checked(str, plain)
    if kind is Decimal:
        return parse_decimal(text)
    if kind is datetime:
        return datetime.fromisoformat(text)
    return kind(text)


def _typed_section(kind: Hint, plain: Mapping[str, Parsed]) -> Hint:
    hints = _hints(kind)
    for name in plain:
        if name not in hints:
            raise ValueError(f"{kind.__name__} has no {name}")
    return kind(**{name: _typed(only_type(hints[name]), part) for name, part in plain.items()})


def _checked(kind: type, plain: Parsed) -> Parsed:
    if type(plain) is not kind:
        raise ValueError(f"must be {kind.__name__}, was {plain!r}")
    return plain


@cache
def _hints(kind: Hint) -> Mapping[str, Hint]:
    return typing.get_type_hints(kind)
