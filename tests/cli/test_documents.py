"""Policy documents as YAML: what is read, what is refused, and that nothing is lost on the way."""

from decimal import Decimal
from pathlib import Path

import pytest
from google.type.decimal_pb2 import Decimal as DecimalMessage
from google.type.money_pb2 import Money
from hypothesis import given
from hypothesis import strategies as st

from evenkeel.policy.v1.policy_document_pb2 import Distance, Guardrail, PolicyDocument, TargetGroup, TargetWeight
from services.kernel.errors import Invalid
from tools.cli.documents import DocumentUnreadable, document_from_yaml, document_to_yaml

POLICIES = Path(__file__).parents[2] / "tools" / "demo" / "policies"

decimals = st.decimals(min_value=0, max_value=1, places=6).map(lambda value: DecimalMessage(value=format(value, "f")))
names = st.text("abcdefghijklmnopqrstuvwxyz :#-'\"{}[]\n", min_size=1, max_size=20)
amounts = st.builds(
    Money,
    units=st.integers(0, 10**12),
    nanos=st.sampled_from([0, 10_000_000, 500_000_000, 1]),
    currency_code=st.sampled_from(["USD", "EUR"]),
)


@st.composite
def documents(draw: st.DrawFn) -> PolicyDocument:
    document = PolicyDocument()
    if draw(st.booleans()):
        members = [TargetWeight(instrument_id=draw(names), weight=draw(decimals))]
        document.targets.weights.append(
            TargetWeight(group=TargetGroup(name=draw(names), members=members), weight=draw(decimals))
        )
        document.targets.cash_weight.CopyFrom(draw(decimals))
    if draw(st.booleans()):
        document.bands.trigger.CopyFrom(Distance(relative=draw(decimals)))
        document.bands.minimum_trade.CopyFrom(draw(amounts))
    if draw(st.booleans()):
        document.triggers.drift = draw(st.booleans())
        document.triggers.calendar_days = draw(st.integers(1, 3660))
    document.guardrails.extend(
        Guardrail(field="tax.long_term_rate", maximum=draw(decimals), reason=draw(names), allowed=[draw(names)])
        for _ in range(draw(st.integers(0, 2)))
    )
    return document


@given(documents())
def test_what_is_written_reads_back_as_the_same_document(document):
    assert document_from_yaml(document_to_yaml(document)) == document


@pytest.mark.parametrize("file", sorted(POLICIES.glob("*.yaml")), ids=lambda file: file.stem)
def test_the_demo_s_policies_are_documents(file):
    assert document_from_yaml(file.read_text()).ByteSize()


def test_a_number_is_kept_as_it_was_written_and_passes_through_no_float():
    document = document_from_yaml("tax: {long_term_rate: 0.10000000000000000555}")

    assert Decimal(document.tax.long_term_rate.value) == Decimal("0.10000000000000000555")


@pytest.mark.parametrize(
    ("text", "field", "says"),
    [
        ("tax: {rate: 1}", "tax.rate", "is not a field; known here: defer_short_term_gains"),
        ("taxes: {}", "taxes", "is not a field"),
        ("tax: {long_term_rate: high}", "tax.long_term_rate", "must be a number, was 'high'"),
        ("tax: {long_term_rate: NaN}", "tax.long_term_rate", "must be a number, was 'NaN'"),
        ("bands: {minimum_trade: 100}", "bands.minimum_trade", "must be an amount and a currency"),
        ("bands: 5", "bands", "must be a mapping, was '5'"),
        ("triggers: {drift: maybe}", "triggers.drift", "must be true or false, was 'maybe'"),
        (
            "restrictions: {items: [{instrument_id: X, expire_time: tomorrow}]}",
            "restrictions.items[0].expire_time",
            "must be an instant",
        ),
        (
            "restrictions: {items: [{instrument_id: X, expire_time: '2022-12-28T14:30:00'}]}",
            "restrictions.items[0].expire_time",
            "must name its time zone",
        ),
    ],
)
def test_what_the_contract_does_not_know_is_refused_by_name(text, field, says):
    with pytest.raises(Invalid) as refused:
        document_from_yaml(text)

    violation = next(each for each in refused.value.violations if each.field == field)
    assert violation.description.startswith(says)


@pytest.mark.parametrize("text", ["", "- a\n- b", "just words", "a: [", "tax: {lot_method: LOT_METHOD_BEST}"])
def test_what_is_no_document_is_refused(text):
    with pytest.raises(DocumentUnreadable):
        document_from_yaml(text)
