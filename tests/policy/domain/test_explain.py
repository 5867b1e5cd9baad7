from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.policy.domain.document import FIELDS
from services.policy.domain.explain import Outcome, explain
from services.policy.domain.fields import Merge
from services.policy.domain.merge import effective
from tests.policy.builders import a_layer, guarded, risk
from tests.policy.strategies import documents


def test_every_level_is_heard():
    firm = a_layer("firm", guarded("risk.cash_floor", maximum="0.05", document=risk(cash_floor="0.01")))
    model = a_layer("model", risk(cash_floor="0.02"))
    account = a_layer("account", risk(cash_floor="0.9"))

    found = explain(effective([firm, model, account]), "risk.cash_floor")

    assert found.value == Decimal("0.02")
    assert [(s.layer.node_id, s.outcome) for s in found.said] == [
        ("firm", Outcome.REPLACED),
        ("model", Outcome.HOLDS),
        ("account", Outcome.OVERRULED),
    ]
    assert found.said[2].bound.node_id == "firm"
    assert [bound.guardrail.maximum for bound in found.bounds] == [Decimal("0.05")]


def test_a_field_that_nobody_set_has_no_value():
    found = explain(effective([a_layer("firm", risk(cash_floor="0.01"))]), "risk.cash_ceiling")

    assert (found.value, found.said, found.bounds) == (None, (), ())
    with pytest.raises(KeyError):
        explain(effective([]), "no.such_field")


@given(st.lists(documents(), max_size=5))
def test_the_last_that_holds_is_the_value(several):
    merged = effective([a_layer(f"n{place}", document) for place, document in enumerate(several)])

    for field in FIELDS:
        found = explain(merged, field.path)
        holding = [said.value for said in found.said if said.outcome is Outcome.HOLDS]
        if field.merge is Merge.REPLACE:
            assert ([found.value] if found.value is not None else []) == holding
        assert (found.value is None) == (holding == [])
