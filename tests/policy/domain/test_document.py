from decimal import Decimal

import pytest
from hypothesis import given

from services.kernel.money import Money
from services.policy.domain.content import canonical_bytes, document_from_bytes, version_id
from services.policy.domain.document import EMPTY, FIELDS, Bands, Document, SafetyNets
from services.policy.domain.mixes import Distance, Targets, TargetWeight, instrument_weights
from tests.policy.builders import a_group, both, targets
from tests.policy.strategies import documents


@given(documents())
def test_a_document_is_the_values_that_are_set_in_it(document):
    assert FIELDS.document(FIELDS.values(document)) == document


@given(documents())
def test_a_document_reads_back_from_its_text(document):
    again = document_from_bytes(canonical_bytes(document))

    assert again == document
    assert canonical_bytes(again) == canonical_bytes(document)


@given(documents(), documents())
def test_documents_have_one_name_exactly_if_they_are_equal(one, other):
    assert (version_id("n", one) == version_id("n", other)) == (one == other)


def test_the_name_of_a_version_depends_on_its_node():
    assert version_id("a", EMPTY) != version_id("b", EMPTY)


def test_the_text_of_a_document_never_changes():
    document = both(
        targets(cash="0.10", VTI="0.60", BND="0.3"),
        Document(
            bands=Bands(Distance(Decimal("0.05"), Decimal("0.2")), minimum_trade=Money(Decimal("50.00"), "USD")),
            safety=SafetyNets(paused=False),
        ),
    )

    assert canonical_bytes(document) == (
        b'{"bands":{"minimum_trade":{"amount":"50","currency":"USD"},"trigger":{"absolute":"0.05","relative":"0.2"}},'
        b'"safety":{"paused":false},'
        b'"targets":{"cash_weight":"0.1","weights":[{"instrument_id":"BND","weight":"0.3"},'
        b'{"instrument_id":"VTI","weight":"0.6"}]}}'
    )


@pytest.mark.parametrize(
    "text",
    [b'{"unknown":{}}', b'{"safety":{"paused":1}}', b'{"risk":{"cash_floor":0.1}}', b'{"data":{"plan_life_s":true}}'],
)
def test_a_text_that_is_no_document_is_refused(text):
    with pytest.raises(ValueError, match=r"must be|has no"):
        document_from_bytes(text)


def test_the_order_in_which_targets_are_written_means_nothing():
    assert targets(A="0.4", B="0.6") == targets(B="0.6", A="0.4")


def test_a_target_weight_is_for_one_thing():
    with pytest.raises(ValueError, match="for an instrument, for a group or for a model"):
        TargetWeight(Decimal(1))
    with pytest.raises(ValueError, match="for an instrument, for a group or for a model"):
        TargetWeight(Decimal(1), "VTI", a_group("stocks", 1, VTI=1).group)


def test_weights_in_groups_are_fractions_of_the_group():
    weights = Targets((a_group("stocks", "0.6", VTI="0.75", VXUS="0.25"), TargetWeight(Decimal("0.4"), "BND"))).weights

    assert dict(instrument_weights(weights)) == {
        "VTI": Decimal("0.45"),
        "VXUS": Decimal("0.15"),
        "BND": Decimal("0.4"),
    }


def test_a_distance_is_the_larger_of_its_parts():
    hybrid = Distance(absolute=Decimal("0.01"), relative=Decimal("0.2"))

    assert hybrid.at(Decimal("0.5")) == Decimal("0.10")
    assert hybrid.at(Decimal("0.02")) == Decimal("0.01")
    assert hybrid.at(Decimal("0.05")) == Decimal("0.01")
    assert Distance().at(Decimal("0.5")) is None


def test_replacing_a_value_keeps_the_sections_it_does_not_touch():
    document = both(targets(VTI="1"), Document(safety=SafetyNets(paused=True)))

    replaced = FIELDS.replaced(document, {"bands.trigger.absolute": Decimal("0.05")})

    assert replaced.targets is document.targets
    assert replaced.bands.trigger.absolute == Decimal("0.05")
