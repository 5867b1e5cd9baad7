"""Messages as people write them: YAML in, YAML out.

The fields are those of the contract, for instance of `evenkeel.policy.v1.PolicyDocument`. Numbers and money are written
plainly: `0.25` for a `google.type.Decimal`, `100.00 USD` for a `google.type.Money`, an RFC 3339 text for an instant,
`2025-03-31` for a date.
"""

import re
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import TypeAlias, TypeVar, cast

import yaml
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from google.protobuf.message import Message
from google.type.money_pb2 import Money

from evenkeel.policy.v1.policy_document_pb2 import PolicyDocument
from services.kernel.errors import Invalid, Violations

# What YAML reads and JSON writes.
Tree: TypeAlias = "str | int | float | bool | list[Tree] | dict[str, Tree] | None"

DECIMAL = "google.type.Decimal"
MONEY = "google.type.Money"
TIMESTAMP = "google.protobuf.Timestamp"
DATE = "google.type.Date"

M = TypeVar("M", bound=Message)

_MONEY_TEXT = re.compile(r"^(-?\d+(?:\.\d{1,9})?) ([A-Z]{3})$")
_NANOS = Decimal(10) ** 9


class DocumentUnreadable(Invalid):
    """The text is not a policy document."""

    reason = "FIELD_INVALID"


class _Plain(yaml.SafeLoader):
    """Reads every scalar as the text it is written as, so that no number passes through a float."""


_Plain.yaml_implicit_resolvers = {}


def document_from_yaml(text: str) -> PolicyDocument:
    """Return the policy document that `text` says.

    Raises:
        DocumentUnreadable: It is not YAML, or has a field or value that the contract does not know.
    """
    return message_from_yaml(text, PolicyDocument())


def message_from_yaml(text: str, message: M) -> M:
    """Return `message` with the fields that `text` says.

    Raises:
        DocumentUnreadable: It is not YAML, or has a field or value that the contract does not know.
    """
    try:
        tree = yaml.load(text, Loader=_Plain)  # noqa: S506 - the safe loader, less its guesses about numbers
    except yaml.YAMLError as error:
        raise DocumentUnreadable(f"the document is not YAML: {error}") from error
    if not isinstance(tree, dict):
        raise DocumentUnreadable("the document must be a mapping of sections")
    violations = Violations()
    plain = _mapping_to_json(tree, cast(Descriptor, message.DESCRIPTOR), "", violations)
    violations.raise_if_any()
    try:
        return ParseDict(plain, message)
    except ParseError as error:
        raise DocumentUnreadable(str(error)) from error


def document_to_yaml(document: Message) -> str:
    """Return `document` as people write it; `message_from_yaml` reads it back as the same message."""
    tree = MessageToDict(document, preserving_proto_field_name=True)
    return yaml.safe_dump(
        _from_json(tree, cast(Descriptor, document.DESCRIPTOR)), sort_keys=False, allow_unicode=True, width=110
    )


def _to_json(value: Tree, kind: Descriptor, path: str, violations: Violations) -> Tree:
    if kind.full_name in (DECIMAL, MONEY):
        return _scalar_to_json(value, kind.full_name, path, violations)
    if kind.full_name == TIMESTAMP:
        return _instant(value, path, violations)
    if kind.full_name == DATE:
        return _date(value, path, violations)
    if not isinstance(value, dict):
        violations.add(path, f"must be a mapping, was {value!r}")
        return {}
    return _mapping_to_json(value, kind, path, violations)


def _mapping_to_json(value: dict[str, Tree], kind: Descriptor, path: str, violations: Violations) -> dict[str, Tree]:
    plain: dict[str, Tree] = {}
    for name, inner in value.items():
        field = kind.fields_by_name.get(str(name))
        inner_path = f"{path}.{name}" if path else str(name)
        if field is None:
            known = ", ".join(sorted(kind.fields_by_name))
            violations.add(inner_path, f"is not a field; known here: {known}")
        elif field.message_type is None:
            plain[str(name)] = _plain_scalar(inner, field, inner_path, violations)
        elif field.is_repeated:
            items = inner if isinstance(inner, list) else [inner]
            plain[str(name)] = [
                _to_json(item, field.message_type, f"{inner_path}[{row}]", violations) for row, item in enumerate(items)
            ]
        else:
            plain[str(name)] = _to_json(inner, field.message_type, inner_path, violations)
    return plain


def _plain_scalar(value: Tree, field: FieldDescriptor, path: str, violations: Violations) -> Tree:
    if field.is_repeated:
        return [str(item) for item in (value if isinstance(value, list) else [value])]
    if field.type == FieldDescriptor.TYPE_BOOL:
        if value not in ("true", "false"):
            violations.add(path, f"must be true or false, was {value!r}")
        return value == "true"
    if isinstance(value, dict | list):
        violations.add(path, f"must be a single value, was {value!r}")
        return ""
    return str(value)


def _scalar_to_json(value: Tree, kind: str, path: str, violations: Violations) -> Tree:
    text = str(value)
    if kind == DECIMAL:
        try:
            if not Decimal(text).is_finite():
                raise InvalidOperation
        except InvalidOperation:
            violations.add(path, f"must be a number, was {text!r}")
        return {"value": text}
    match = _MONEY_TEXT.match(text)
    if match is None:
        violations.add(path, f"must be an amount and a currency, for instance 100.00 USD, was {text!r}")
        return {}
    amount = Decimal(match[1])
    units = int(amount)
    return {"currencyCode": match[2], "units": str(units), "nanos": int((amount - units) * _NANOS)}


def _instant(value: Tree, path: str, violations: Violations) -> str:
    try:
        parsed = datetime.fromisoformat(str(value))
    except ValueError:
        violations.add(path, f"must be an instant, for instance 2022-12-28T14:30:00Z, was {value!r}")
        return ""
    if parsed.tzinfo is None:
        violations.add(path, f"must name its time zone, for instance 2022-12-28T14:30:00Z, was {value!r}")
        return ""
    return parsed.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _date(value: Tree, path: str, violations: Violations) -> Tree:
    try:
        parsed = date.fromisoformat(str(value))
    except ValueError:
        violations.add(path, f"must be a date, for instance 2025-03-31, was {value!r}")
        return {}
    return {"year": parsed.year, "month": parsed.month, "day": parsed.day}


def _from_json(value: Tree, kind: Descriptor) -> Tree:
    if not isinstance(value, dict):
        return value
    if kind.full_name == DECIMAL:
        return value["value"]
    if kind.full_name == DATE:
        return f"{value['year']:04}-{value['month']:02}-{value['day']:02}"
    if kind.full_name == MONEY:
        return _money_text(ParseDict(value, Money()))
    plain: dict[str, Tree] = {}
    for name, inner in value.items():
        field = kind.fields_by_name[name]
        if field.message_type is None:
            plain[name] = inner
        elif isinstance(inner, list):
            plain[name] = [_from_json(item, field.message_type) for item in inner]
        else:
            plain[name] = _from_json(inner, field.message_type)
    return plain


def _money_text(money: Money) -> str:
    amount = Decimal(money.units) + Decimal(money.nanos) / _NANOS
    return f"{amount:.2f} {money.currency_code}" if amount == round(amount, 2) else f"{amount:f} {money.currency_code}"
