"""Whatever a client sends as a document, it is understood or refused; nothing breaks."""

from hypothesis import example, given
from hypothesis import strategies as st

from evenkeel.policy.v1 import policy_document_pb2 as pb
from services.kernel.errors import Invalid
from services.policy.api.documents import document_message, document_of
from services.policy.domain.content import canonical_bytes, document_from_bytes, version_id
from services.policy.domain.diff import differences
from services.policy.domain.document import EMPTY
from services.policy.domain.guardrails import check_guardrails
from services.policy.domain.lint import Severity, lint_merged, lint_own
from services.policy.domain.merge import effective
from tests.policy.builders import NOON, a_layer

NUMBERS = st.sampled_from(["", "0", "-0", "1", "0.5", "-1", "1e-99", "1E+99", "1e100", "NaN", "Infinity", "1_0", "0x1"])
TEXTS = st.sampled_from(
    ["", "VTI", "US", "bands.trigger.absolute", "targets.weights", "risk.cash_floor", "é\x00", "a" * 200]
)
WHOLE = st.sampled_from([0, 1, 3, 10**6])
DEPTH_MAX = 5


@st.composite
def messages(draw, kind, depth=0):
    """Draw any message of a type, right or wrong."""
    message = kind()
    for field in message.DESCRIPTOR.fields:
        if depth > DEPTH_MAX or draw(st.integers(0, 2)) > 0:
            continue
        if field.is_repeated:
            for _ in range(draw(st.integers(1, 2))):
                if field.message_type is None:
                    getattr(message, field.name).append(draw(TEXTS))
                else:
                    inner = type(getattr(message, field.name).add())
                    getattr(message, field.name)[-1].CopyFrom(draw(messages(inner, depth + 1)))
        elif field.message_type is not None:
            part = getattr(message, field.name)
            part.SetInParent()
            part.CopyFrom(draw(messages(type(part), depth + 1)))
        elif field.enum_type is not None:
            setattr(message, field.name, draw(st.integers(0, 9)))
        elif field.type == field.TYPE_STRING:
            setattr(message, field.name, draw(NUMBERS if field.containing_type.name == "Decimal" else TEXTS))
        elif field.type == field.TYPE_BOOL:
            setattr(message, field.name, draw(st.booleans()))
        else:
            setattr(message, field.name, draw(WHOLE))
    return message


def deep(weight, depth):
    """Return a target mix of nested groups, each of this weight."""
    document = pb.PolicyDocument()
    line = document.targets.weights.add()
    for level in range(depth):
        line.weight.value = weight
        line.group.name = f"g{level}"
        line = line.group.members.add()
    line.weight.value = weight
    line.instrument_id = "VTI"
    return document


def refused(step):
    """Return whether `step` refuses, as it should: with the fields that are wrong."""
    try:
        step()
    except Invalid as refusal:
        return bool(refusal.violations) and all(each.field.startswith("document") for each in refusal.violations)
    return False


@given(messages(pb.PolicyDocument))
@example(deep("1e-99", 8))
@example(deep("1e-99", 60))
@example(deep("1e99", 30))
def test_any_document_is_understood_or_refused(message):
    if refused(lambda: document_of(message)):
        return
    document = document_of(message)
    if any(finding.severity is Severity.ERROR for finding in lint_own(document, {})):
        return

    merged = effective([a_layer("firm", document), a_layer("model", document)])
    lint_merged(merged.document, NOON)
    differences(EMPTY, document)
    refused(lambda: check_guardrails(document, merged.bounds))
    assert version_id("firm", document) != version_id("model", document)
    assert document_from_bytes(canonical_bytes(document)) == document
    assert document_of(document_message(document)) == document
