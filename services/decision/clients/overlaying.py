"""Lays one policy document over another: what if these fields said something else?"""

from google.protobuf.message import DecodeError, Message

from evenkeel.policy.v1 import policy_document_pb2 as document_pb
from services.kernel.errors import Invalid


def overlaid_policy(document: bytes, over: bytes) -> bytes:
    """Return a serialized policy document with what another sets in place of its own, lists as a whole.

    Raises:
        Invalid: One of both is no document.
    """
    try:
        merged = document_pb.PolicyDocument.FromString(document)
        changes = document_pb.PolicyDocument.FromString(over)
    except DecodeError as error:
        raise Invalid.of("policy_document", "must be a serialized PolicyDocument") from error
    for name in ("guardrails", "approvals", "merged_version_hashes"):
        # What policy alone decides about.
        changes.ClearField(name)
    _overlay(merged, changes)
    return merged.SerializeToString(deterministic=True)


def _overlay(merged: Message, changes: Message) -> None:
    for field, value in changes.ListFields():
        # Sections are gone into; a value such as an amount or a distance is replaced as a whole, like a list.
        if field.message_type is None:
            if field.is_repeated:
                merged.ClearField(field.name)
                getattr(merged, field.name).extend(value)
            else:
                setattr(merged, field.name, value)
        elif field.is_repeated:
            merged.ClearField(field.name)
            getattr(merged, field.name).MergeFrom(value)
        elif field.message_type.full_name in _SECTIONS:
            _overlay(getattr(merged, field.name), value)
        else:
            getattr(merged, field.name).CopyFrom(value)
            # Said, even where it says nothing.
            getattr(merged, field.name).SetInParent()


# Parts of a document that are no values.
_SECTIONS = frozenset(
    field.message_type.full_name
    for field in document_pb.PolicyDocument.DESCRIPTOR.fields
    if field.message_type is not None
)
