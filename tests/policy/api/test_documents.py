from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenkeel.policy.v1 import policy_document_pb2 as pb
from services.kernel.errors import Invalid
from services.policy.api.documents import SharedSections, document_message, document_of
from services.policy.domain.document import EMPTY, FIELDS
from services.policy.domain.merge import effective
from tests.policy.builders import a_layer
from tests.policy.strategies import documents


@given(documents())
def test_a_document_comes_back_from_its_message(document):
    assert document_of(document_message(document)) == document


@given(documents(), documents())
def test_equal_documents_have_equal_messages_and_others_have_others(one, other):
    assert (document_message(one) == document_message(other)) == (one == other)


@given(st.lists(documents(), max_size=4))
def test_documents_that_share_sections_are_written_as_each_alone(several):
    sections = SharedSections()
    merged = effective([a_layer(f"n{place}", document) for place, document in enumerate(several)]).document

    for document in (*several, merged, *several):
        assert sections.document_message(document) == document_message(document)


def leaves(descriptor, above=()):
    """Yield the paths that a message can set, as `FIELDS` names them."""
    for field in descriptor.fields:
        path = (*above, field.name)
        section = field.message_type is not None and field.message_type.file.package.startswith("evenkeel")
        if section and not field.is_repeated:
            yield from leaves(field.message_type, path)
        else:
            yield ".".join(path)


def test_contract_and_domain_have_the_same_fields():
    said_by_the_service_only = {"merged_version_hashes"}

    assert set(leaves(pb.PolicyDocument.DESCRIPTOR)) - said_by_the_service_only == {field.path for field in FIELDS}


def test_every_word_of_the_contract_is_a_word_of_the_domain():
    said = pb.PolicyDocument(
        tax=pb.TaxSettings(lot_method=pb.LOT_METHOD_HIGHEST_COST),
        execution=pb.ExecutionPreferences(order_kind=pb.ORDER_KIND_LIMIT),
    )
    for number in pb.LotMethod.values()[1:]:
        said.tax.lot_method = number
        assert document_of(said).tax.lot_method is not None
    for number in pb.OrderKind.values()[1:]:
        said.execution.order_kind = number
        assert document_of(said).execution.order_kind is not None
    for number in pb.Restriction.Kind.values()[1:]:
        said.restrictions.items.add(instrument_id="GME", kind=number, reason="a reason")
    assert len(document_of(said).restrictions.items) == 4


def test_what_is_empty_is_not_set():
    message = pb.PolicyDocument(tax=pb.TaxSettings(), targets=pb.Targets(model_name=""))

    assert document_of(message) == EMPTY


def test_false_and_zero_are_set():
    message = pb.PolicyDocument(safety=pb.SafetyNets(paused=False, daily_orders_limit=0))
    message.risk.cash_floor.value = "0"

    assert FIELDS.values(document_of(message)) == {
        "risk.cash_floor": Decimal(0),
        "safety.daily_orders_limit": 0,
        "safety.paused": False,
    }


def test_a_field_from_a_newer_client_is_refused_where_it_stands():
    newer = b"\xfa\x3f\x02hi"
    message = pb.PolicyDocument(bands=pb.Bands())
    message.bands.trigger.MergeFromString(newer)

    with pytest.raises(Invalid) as caught:
        document_of(message)
    (violation,) = caught.value.violations
    assert violation.field == "document.bands.trigger"
    assert "1023" in violation.description


def test_what_is_no_number_is_refused_with_its_path():
    message = pb.PolicyDocument()
    message.targets.weights.add(instrument_id="VTI").weight.value = "a lot"

    with pytest.raises(Invalid) as caught:
        document_of(message)
    assert caught.value.violations[0].field == "document.targets.weights[0].weight.value"
