"""A document over another: sections are merged, values and lists replaced as a whole."""

import pytest

from evenkeel.policy.v1 import policy_document_pb2 as pb
from services.decision.clients.overlaying import overlaid_policy
from services.kernel.errors import Invalid
from tests.decision.stages.world import dollars, number


def distance(**parts):
    return pb.Distance(**{name: number(part) for name, part in parts.items()})


def lines(*names):
    return [pb.TargetWeight(instrument_id=each, weight=number("0.5")) for each in names]


def test_fields_that_are_set_take_the_place_of_others_and_all_else_stays():
    under = pb.PolicyDocument(
        targets=pb.Targets(weights=lines("VTI", "BND"), model_name="old"),
        bands=pb.Bands(trigger=distance(absolute="0.05", relative="0.2"), minimum_trade=dollars(5), ladder_steps=3),
        tax=pb.TaxSettings(jurisdiction="US", lot_method=pb.LOT_METHOD_LOWEST_TAX, harvest_losses=True),
        guardrails=[pb.Guardrail(field="risk.cash_floor")],
        merged_version_hashes=["a"],
    )
    over = pb.PolicyDocument(
        targets=pb.Targets(weights=lines("GLD")),
        bands=pb.Bands(trigger=distance(absolute="0.01"), destination=pb.Distance()),
        tax=pb.TaxSettings(lot_method=pb.LOT_METHOD_HIGHEST_COST, harvest_losses=False),
        cost=pb.CostSettings(commission=dollars(1)),
        guardrails=[pb.Guardrail(field="risk.cash_ceiling")],
        merged_version_hashes=["b"],
    )

    found = pb.PolicyDocument.FromString(overlaid_policy(under.SerializeToString(), over.SerializeToString()))

    assert found == pb.PolicyDocument(
        targets=pb.Targets(weights=lines("GLD"), model_name="old"),
        bands=pb.Bands(
            trigger=distance(absolute="0.01"), destination=pb.Distance(), minimum_trade=dollars(5), ladder_steps=3
        ),
        tax=pb.TaxSettings(jurisdiction="US", lot_method=pb.LOT_METHOD_HIGHEST_COST, harvest_losses=False),
        cost=pb.CostSettings(commission=dollars(1)),
        # What policy alone decides about.
        guardrails=[pb.Guardrail(field="risk.cash_floor")],
        merged_version_hashes=["a"],
    )


def test_nothing_over_a_document_is_the_document():
    under = pb.PolicyDocument(targets=pb.Targets(weights=lines("VTI")))

    assert overlaid_policy(under.SerializeToString(), b"") == under.SerializeToString(deterministic=True)
    with pytest.raises(Invalid, match="serialized PolicyDocument"):
        overlaid_policy(b"\xff", b"")
