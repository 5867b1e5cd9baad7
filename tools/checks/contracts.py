"""The house's rules for contracts that no general linter knows, checked on what protoc compiled.

Each rule is a function from the compiled files to findings: sentences that name the place and say what to do.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from google.protobuf import descriptor_pb2, message_factory
from google.protobuf.descriptor import (
    Descriptor,
    EnumDescriptor,
    FieldDescriptor,
    FileDescriptor,
    MethodDescriptor,
)
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message

# An RPC whose name starts so only reads. Every other RPC changes something.
READS = (
    "Check",
    "Compare",
    "Diff",
    "Explain",
    "Export",
    "Get",
    "Lint",
    "List",
    "Preview",
    "Query",
    "Replay",
    "Resolve",
    "Reveal",
    "Search",
    "Stream",
    "Verify",
    "Wait",
    "Watch",
)

# Idempotent by the id inside each event, which the producer's outbox keeps; a batch has no id of its own. A heartbeat
# is nothing but repeated.
WITHOUT_REQUEST_ID = (
    "evenkeel.audit.v1.AuditService.Append",
    "evenkeel.audit.v1.AuditService.AppendStream",
    "evenkeel.audit.v1.MonitorService.Heartbeat",
)

OPERATION = "google.longrunning.Operation"
PERMISSION = "evenkeel.common.v1.permission"
FIELD_RULES = "buf.validate.field"
INEXACT = {FieldDescriptor.TYPE_DOUBLE: "double", FieldDescriptor.TYPE_FLOAT: "float"}


@dataclass(frozen=True, slots=True)
class Contracts:
    """All compiled contracts, and the options that their files declare, readable."""

    pool: DescriptorPool
    files: tuple[FileDescriptor, ...]

    @classmethod
    def of(cls, compiled: descriptor_pb2.FileDescriptorSet) -> "Contracts":
        """Return the contracts among `compiled`, which holds their imports as well, dependencies first."""
        pool = DescriptorPool()
        for file in compiled.file:
            pool.AddSerializedFile(file.SerializeToString())
        ours = [file.name for file in compiled.file if file.package.startswith("evenkeel.")]
        return cls(pool, tuple(pool.FindFileByName(name) for name in sorted(ours)))

    def methods(self) -> Iterator[MethodDescriptor]:
        """Yield every RPC."""
        for file in self.files:
            for service in file.services_by_name.values():
                yield from service.methods

    def messages(self) -> Iterator[Descriptor]:
        """Yield every message, nested ones included."""
        for file in self.files:
            yield from _with_nested(list(file.message_types_by_name.values()))

    def enums(self) -> Iterator[EnumDescriptor]:
        """Yield every enum, nested ones included."""
        for file in self.files:
            yield from file.enum_types_by_name.values()
        for message in self.messages():
            yield from message.enum_types

    def option(self, described: MethodDescriptor | FieldDescriptor, name: str) -> object:
        """Return the value of the extension option `name` of an RPC or field, None when it is not set."""
        kind = "MethodOptions" if isinstance(described, MethodDescriptor) else "FieldOptions"
        # The descriptor hands out options that do not know our extensions; read the same bytes with a class that does.
        message_class = message_factory.GetMessageClass(self.pool.FindMessageTypeByName(f"google.protobuf.{kind}"))
        options: Message = message_class.FromString(described.GetOptions().SerializeToString())
        for extension, value in options.ListFields():
            if extension.is_extension and extension.full_name == name:
                return value
        return None


def findings(compiled: descriptor_pb2.FileDescriptorSet) -> list[str]:
    """Return what breaks a rule, ordered by rule and place; empty when all is well."""
    contracts = Contracts.of(compiled)
    return [finding for rule in RULES for finding in rule(contracts)]


def permission_declared(contracts: Contracts) -> Iterator[str]:
    """Every RPC declares the permission that its caller needs: one without is open to a mistake."""
    for method in contracts.methods():
        if not contracts.option(method, PERMISSION):
            yield f"{method.full_name} declares no permission: set option ({PERMISSION})"


def own_request_and_response(contracts: Contracts) -> Iterator[str]:
    """Each RPC has messages of its own, so that it can change alone. Long work answers with an Operation."""
    for method in contracts.methods():
        package = method.containing_service.file.package
        if method.input_type.full_name != f"{package}.{method.name}Request":
            yield f"{method.full_name} takes {method.input_type.full_name}: give it its own {method.name}Request"
        if method.output_type.full_name not in {f"{package}.{method.name}Response", OPERATION}:
            yield f"{method.full_name} returns {method.output_type.full_name}: give it its own {method.name}Response"


def changes_take_request_id(contracts: Contracts) -> Iterator[str]:
    """Every RPC that changes something takes a UUID as `request_id`, so that repeating it is harmless."""
    for method in contracts.methods():
        if method.name.startswith(READS) or method.full_name in WITHOUT_REQUEST_ID:
            continue
        field = _request_id(method)
        if field is None:
            yield f"{method.full_name} changes something: give its request a `request_id`"
        elif not _is_uuid(contracts.option(field, FIELD_RULES)):
            yield f"{field.full_name} accepts any text: constrain it by (buf.validate.field).string.uuid = true"


def lists_are_paged(contracts: Contracts) -> Iterator[str]:
    """A list without pages works until there is too much to list."""
    for method in contracts.methods():
        if not method.name.startswith("List"):
            continue
        for message, names in (
            (method.input_type, ("page_size", "page_token")),
            (method.output_type, ("next_page_token",)),
        ):
            for name in names:
                if name not in message.fields_by_name:
                    yield f"{message.full_name} has no `{name}`: lists are paged"


def enums_start_unspecified(contracts: Contracts) -> Iterator[str]:
    """The first value of an enum says that none was given, under the enum's own name."""
    for enum in contracts.enums():
        wanted = f"{_upper_snake(enum.name)}_UNSPECIFIED"
        first = enum.values_by_number.get(0)
        if first is None or first.name != wanted:
            yield f"{enum.full_name} starts with {first.name if first else 'no zero'}: start it with {wanted}"


def numbers_are_exact(contracts: Contracts) -> Iterator[str]:
    """Money, weights and quantities are decimals or integers with a scale; there is no use for a binary fraction."""
    for message in contracts.messages():
        for field in message.fields:
            if field.type in INEXACT:
                yield f"{field.full_name} is a {INEXACT[field.type]}: use google.type.Decimal, or an integer with scale"


RULES: tuple[Callable[[Contracts], Iterator[str]], ...] = (
    permission_declared,
    own_request_and_response,
    changes_take_request_id,
    lists_are_paged,
    enums_start_unspecified,
    numbers_are_exact,
)


def _with_nested(messages: list[Descriptor]) -> Iterator[Descriptor]:
    for message in messages:
        yield message
        yield from _with_nested(list(message.nested_types))


def _request_id(method: MethodDescriptor) -> FieldDescriptor | None:
    """Return the request id of an RPC; a stream may carry it in the message that opens it."""
    request = method.input_type
    if "request_id" in request.fields_by_name:
        return request.fields_by_name["request_id"]
    if method.client_streaming:
        for field in request.fields:
            if field.message_type is not None and "request_id" in field.message_type.fields_by_name:
                return field.message_type.fields_by_name["request_id"]
    return None


def _is_uuid(rules: object) -> bool:
    string = getattr(rules, "string", None)
    return bool(getattr(string, "uuid", False))


def _upper_snake(name: str) -> str:
    return "".join(f"_{c}" if c.isupper() and i else c for i, c in enumerate(name)).upper()
