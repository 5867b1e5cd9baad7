"""Makes JSON Schemas of what people write as YAML, for editors, from the contracts; and checks that they are current.

A schema says what `tools.cli.documents` reads: numbers and money written plainly, instants as RFC 3339 texts, enums by
name, one item where a list may be. Descriptions are the contracts' comments, bounds are their constraints.

    python -m tools.checks.schemas generate   write tools/cli/schemas/
    python -m tools.checks.schemas check      are they what the contracts say?
"""

import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

from google.api import field_behavior_pb2
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)

from buf.validate import validate_pb2
from tools.checks.protos import PROTO, ROOT, compile_image

SCHEMAS = ROOT / "tools" / "cli" / "schemas"
PACKAGE = ".evenkeel.policy.v1."
# What people write, by the name of the file.
WRITTEN = {"document": "PolicyDocument", "rollout": "RolloutPlan"}

Schema: TypeAlias = "dict[str, Schema] | list[Schema] | str | int | float | bool"

_DECIMAL = r"^-?\d+(\.\d+)?$"
_PLAIN: Mapping[str, Schema] = {
    ".google.type.Decimal": {"anyOf": [{"type": "number"}, {"type": "string", "pattern": _DECIMAL}]},
    ".google.type.Money": {"type": "string", "pattern": r"^-?\d+(\.\d{1,9})? [A-Z]{3}$", "examples": ["100.00 USD"]},
    ".google.protobuf.Timestamp": {"type": "string", "format": "date-time", "examples": ["2022-12-28T14:30:00Z"]},
}
_BEHAVIOR = field_behavior_pb2.field_behavior
_RULES = validate_pb2.field


class _Image:
    """Messages and enums by full name, and their comments."""

    def __init__(self, image: FileDescriptorSet) -> None:
        self.messages: dict[str, DescriptorProto] = {}
        self.enums: dict[str, EnumDescriptorProto] = {}
        self.comments: dict[tuple[str, str], str] = {}
        for file in image.file:
            said = {tuple(each.path): each.leading_comments for each in file.source_code_info.location}
            for row, message in enumerate(file.message_type):
                self._add(file, message, f".{file.package}.{message.name}", (4, row), said)
            for enum in file.enum_type:
                self.enums[f".{file.package}.{enum.name}"] = enum

    def _add(
        self,
        file: FileDescriptorProto,
        message: DescriptorProto,
        name: str,
        path: tuple[int, ...],
        said: Mapping[tuple[int, ...], str],
    ) -> None:
        self.messages[name] = message
        self.comments[name, ""] = _sentence(said.get(path, ""))
        for row, field in enumerate(message.field):
            self.comments[name, field.name] = _sentence(said.get((*path, 2, row), ""))
        for row, inner in enumerate(message.nested_type):
            self._add(file, inner, f"{name}.{inner.name}", (*path, 3, row), said)
        for enum in message.enum_type:
            self.enums[f"{name}.{enum.name}"] = enum


def schemas(image: FileDescriptorSet) -> dict[str, str]:
    """Return each schema as text, by the name of its file."""
    contracts = _Image(image)
    return {f"{name}.json": _text(contracts, PACKAGE + message) for name, message in WRITTEN.items()}


def _text(image: _Image, root: str) -> str:
    definitions: dict[str, Schema] = {}
    _define(image, root, definitions)
    top = definitions.pop(root.removeprefix("."))
    if not isinstance(top, dict):
        raise TypeError("a message is an object")
    whole = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": root.rpartition(".")[2], **top}
    if definitions:
        whole["$defs"] = dict(sorted(definitions.items()))
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def _define(image: _Image, name: str, definitions: dict[str, Schema]) -> None:
    key = name.removeprefix(".")
    if key in definitions:
        return
    definitions[key] = {}
    message = image.messages[name]
    properties: dict[str, Schema] = {}
    required: list[Schema] = []
    for field in message.field:
        if field_behavior_pb2.OUTPUT_ONLY in field.options.Extensions[_BEHAVIOR]:  # type: ignore[index]  # typed without
            continue
        schema = _field(image, field, definitions)
        properties[field.name] = {"description": image.comments[name, field.name], **schema}
        if field.options.Extensions[_RULES].required:
            required.append(field.name)
    found: dict[str, Schema] = {"description": image.comments[name, ""], "type": "object", "properties": properties}
    if required:
        found["required"] = required
    definitions[key] = {**found, "additionalProperties": False}


def _field(image: _Image, field: FieldDescriptorProto, definitions: dict[str, Schema]) -> dict[str, Schema]:
    rules = field.options.Extensions[_RULES]
    if field.label != FieldDescriptorProto.LABEL_REPEATED:
        return _one(image, field, rules, definitions)
    items = _one(image, field, rules.repeated.items, definitions)
    many: dict[str, Schema] = {"type": "array", "items": items}
    many |= _bounds(rules.repeated, ("min_items", "minItems"), ("max_items", "maxItems"))
    return {"anyOf": [many, items]}


def _one(
    image: _Image, field: FieldDescriptorProto, rules: validate_pb2.FieldRules, definitions: dict[str, Schema]
) -> dict[str, Schema]:
    match field.type:
        case FieldDescriptorProto.TYPE_MESSAGE:
            plain = _PLAIN.get(field.type_name)
            if isinstance(plain, dict):
                return dict(plain)
            _define(image, field.type_name, definitions)
            return {"$ref": f"#/$defs/{field.type_name.removeprefix('.')}"}
        case FieldDescriptorProto.TYPE_ENUM:
            names = [value.name for value in image.enums[field.type_name].value if value.number]
            return {"enum": list[Schema](names)}
        case FieldDescriptorProto.TYPE_BOOL:
            return {"type": "boolean"}
        case FieldDescriptorProto.TYPE_STRING:
            limits = _bounds(rules.string, ("min_len", "minLength"), ("max_len", "maxLength"))
            pattern: dict[str, Schema] = {"pattern": rules.string.pattern} if rules.string.pattern else {}
            # What looks like a number is a text, too.
            return {"anyOf": [{"type": "string", **limits, **pattern}, {"type": "number"}]}
        case FieldDescriptorProto.TYPE_UINT32:
            limits = _bounds(rules.uint32, ("gte", "minimum"), ("lte", "maximum"))
            return {"type": "integer", "minimum": 0, **limits}
        case kind:
            raise TypeError(f"{field.name} has a type that nobody writes yet: {kind}")


def _bounds(rules: object, *names: tuple[str, str]) -> dict[str, Schema]:
    return {said: getattr(rules, name) for name, said in names if rules.HasField(name)}  # type: ignore[attr-defined] # rules of some type


def _sentence(comment: str) -> str:
    return " ".join(comment.split())


def main(verb: str) -> int:
    """Do what the command line says, and return the exit code."""
    with tempfile.TemporaryDirectory() as scratch:
        made = schemas(compile_image(PROTO, Path(scratch) / "image.binpb"))
    if verb == "generate":
        SCHEMAS.mkdir(exist_ok=True)
        for name, text in made.items():
            (SCHEMAS / name).write_text(text)
        return 0
    stale = list(_stale(made))
    for name in stale:
        sys.stderr.write(f"{(SCHEMAS / name).relative_to(ROOT)} is not what the contracts say: make proto\n")
    return 1 if stale else 0


def _stale(made: Mapping[str, str]) -> Iterator[str]:
    for name, text in made.items():
        path = SCHEMAS / name
        if not path.exists() or path.read_text() != text:
            yield name


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
