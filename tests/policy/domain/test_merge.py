from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.ids import InstrumentId
from services.policy.domain.document import FIELDS, Document, ExecutionPreferences, Guardrail
from services.policy.domain.explain import Outcome, explain
from services.policy.domain.fields import Merge
from services.policy.domain.guardrails import numbers_of, violation
from services.policy.domain.merge import effective
from services.policy.domain.mixes import Targets, TargetWeight
from tests.policy.builders import NOON, a_group, a_layer, bands, both, guarded, restricted, risk, targets
from tests.policy.strategies import documents


def merge_slowly(layers):
    """Return the merged values as the words say it, field by field."""
    merged = {field.path: value_slowly(field, layers) for field in FIELDS}
    return {path: value for path, value in merged.items() if value is not None and value != ()}


def value_slowly(field, layers):
    """Return the first value, from the leaf up, that nobody above forbids; of what adds up, all, root first."""
    if field.merge is Merge.GATHER:
        gathered = []
        for layer in layers:
            gathered += [item for item in field.read(layer.document) if item not in gathered]
        return tuple(gathered)
    values = permitted_slowly(field, layers)
    if field.merge is Merge.EVERY:
        return all(values) if values else None
    return values[0] if values else None


def permitted_slowly(field, layers):
    """Return the values that nobody above forbids, from the leaf up."""
    permitted = []
    for place in reversed(range(len(layers))):
        value = field.read(layers[place].document)
        if value is None or value == ():
            continue
        # A step is measured from what holds at the guardrail's own node.
        above = [
            (guardrail, numbers_of(value_slowly(field, layers[: level + 1])))
            for level, layer in enumerate(layers[:place])
            for guardrail in layer.document.guardrails
            if guardrail.field == field.path
        ]
        if all(violation(guardrail, field, value, anchor) is None for guardrail, anchor in above):
            permitted.append(value)
    return permitted


@given(st.lists(documents(), max_size=5))
def test_the_merge_is_what_the_words_say(documents):
    layers = [a_layer(f"n{place}", document) for place, document in enumerate(documents)]

    merged = effective(layers)

    assert merged.document == FIELDS.document(merge_slowly(layers))


@given(st.lists(documents(), max_size=5))
def test_every_value_names_who_set_it(documents):
    merged = effective([a_layer(f"n{place}", document) for place, document in enumerate(documents)])
    values = FIELDS.values(merged.document)

    assert set(merged.sources) == set(values)
    for path, layers in merged.sources.items():
        for layer in layers:
            said = FIELDS.values(layer.document)[path]
            assert said == values[path] or set(said) <= set(values[path])


@given(st.lists(documents(), max_size=5))
def test_a_value_counts_or_is_overruled_by_a_guardrail_above_it(documents):
    layers = [a_layer(f"n{place}", document) for place, document in enumerate(documents)]

    for overruled in effective(layers).overruled:
        place = layers.index(overruled.layer)
        above = [g for layer in layers[:place] for g in layer.document.guardrails]
        assert overruled.bound.guardrail in above
        assert overruled.bound.guardrail.field == overruled.path


def test_the_nearest_value_holds_and_the_rest_is_inherited():
    firm = a_layer("firm", bands(trigger="0.05", destination="0.02"))
    account = a_layer("account", bands(trigger="0.03"))

    merged = effective([firm, account])

    assert merged.document == bands(trigger="0.03", destination="0.02")
    assert merged.sources["bands.trigger.absolute"] == (account,)
    assert merged.sources["bands.destination.absolute"] == (firm,)


@pytest.mark.parametrize(
    ("said", "holds"),
    [
        ((None, None), None),
        ((None, True), True),
        ((True, None), True),
        ((True, True), True),
        ((True, False), False),
        ((False, True), False),
        ((False, None), False),
    ],
)
def test_a_consent_holds_where_everybody_who_says_anything_says_yes(said, holds):
    firm, account = (
        a_layer(node, Document(execution=ExecutionPreferences(crossing_consent=each)))
        for node, each in zip(("firm", "account"), said, strict=True)
    )

    merged = effective([firm, account])
    explained = explain(merged, "execution.crossing_consent")

    assert merged.document.execution.crossing_consent is holds
    if said == (False, True):
        assert merged.sources["execution.crossing_consent"] == (firm,)
        assert [each.outcome for each in explained.said] == [Outcome.HOLDS, Outcome.REPLACED]


def test_a_list_replaces_the_inherited_one_as_a_whole():
    merged = effective([a_layer("firm", targets(VTI="1")), a_layer("account", targets(BND="1"))])

    assert merged.document == targets(BND="1")


def test_restrictions_add_up_and_cannot_be_lifted():
    firm = a_layer("firm", restricted("GME"))
    account = a_layer("account", restricted("AMC", until=NOON))

    merged = effective([firm, account, a_layer("below", restricted("GME"))])

    assert [item.instrument_id for item in merged.document.restrictions.items] == ["AMC", "GME"]
    assert [layer.node_id for layer in merged.sources["restrictions.items"]] == ["firm", "account", "below"]


def test_a_value_that_a_younger_guardrail_forbids_gives_way_to_the_one_above():
    firm = a_layer("firm", guarded("bands.trigger.absolute", maximum="0.05", document=bands(trigger="0.04")))
    account = a_layer("account", bands(trigger="0.06"))

    merged = effective([firm, account])

    assert merged.document.bands.trigger.absolute == Decimal("0.04")
    assert merged.sources["bands.trigger.absolute"] == (firm,)
    assert [(o.path, o.layer) for o in merged.overruled] == [("bands.trigger.absolute", account)]


def test_a_guardrail_binds_those_below_and_not_its_own_node():
    firm = a_layer("firm", guarded("risk.cash_floor", locked=True, document=risk(cash_floor="0.01")))

    assert effective([firm]).document.risk.cash_floor == Decimal("0.01")
    assert effective([firm, a_layer("a", risk(cash_floor="0.2"))]).document.risk.cash_floor == Decimal("0.01")


def test_a_lower_guardrail_cannot_widen_a_higher_one():
    firm = a_layer("firm", guarded("risk.cash_floor", maximum="0.1"))
    model = a_layer("model", guarded("risk.cash_floor", maximum="0.5"))

    assert effective([firm, model, a_layer("a", risk(cash_floor="0.2"))]).document.risk.cash_floor is None


def test_nothing_merges_to_nothing():
    assert effective([]).document == both()
    assert effective([]).version_ids == ()


def stepped(maximum_step, cash_floor):
    document = Document(guardrails=(Guardrail("risk.cash_floor", maximum_step=Decimal(maximum_step)),))
    return both(document, risk(cash_floor=cash_floor)) if cash_floor else document


def test_levels_below_cannot_add_up_to_more_than_one_step():
    firm = a_layer("firm", stepped("0.02", "0.05"))
    model = a_layer("model", risk(cash_floor="0.07"))
    near, far = a_layer("a", risk(cash_floor="0.03")), a_layer("a", risk(cash_floor="0.0700001"))

    assert effective([firm, model, near]).document.risk.cash_floor == Decimal("0.03")
    assert effective([firm, model, far]).document.risk.cash_floor == Decimal("0.07")


def test_a_step_binds_nothing_where_there_is_no_value_to_measure_from():
    assert effective([a_layer("firm", stepped("0.02", "")), a_layer("a", risk(cash_floor="0.9"))]).document.risk == (
        risk(cash_floor="0.9").risk
    )


def test_when_the_value_moves_what_is_too_far_from_it_gives_way():
    account = a_layer("a", risk(cash_floor="0.07"))

    assert effective([a_layer("firm", stepped("0.02", "0.05")), account]).document.risk.cash_floor == Decimal("0.07")
    moved = effective([a_layer("firm", stepped("0.02", "0.01")), account])
    assert moved.document.risk.cash_floor == Decimal("0.01")
    assert [o.bound.anchor for o in moved.overruled] == [{"": Decimal("0.01")}]


def test_a_step_of_the_mix_bounds_each_weight_by_itself():
    step = Document(guardrails=(Guardrail("targets.weights", maximum_step=Decimal("0.05")),))
    firm = a_layer("firm", both(step, targets(VTI="0.6", BND="0.4")))

    def applies(document):
        return effective([firm, a_layer("a", document)])

    # In a group it is the weight in the account that counts; and both edges are inside.
    near = Document(
        targets=Targets((a_group("stocks", "0.65", VTI="1"), TargetWeight(Decimal("0.35"), InstrumentId("BND"))))
    )
    assert applies(near).document.targets == near.targets
    for far, words in (
        (targets(VTI="0.650001", BND="0.349999"), "the weight of BND must be at most 0.05 away from 0.4, was 0.349999"),
        (targets(VTI="0.6", BND="0.34", GLD="0.06"), "the weight of BND must be at most 0.05 away from 0.4, was 0.34"),
        (targets(VTI="0.55", BND="0.39", GLD="0.06"), "the weight of GLD must be at most 0.05 away from 0, was 0.06"),
        (targets(VTI="1"), "the weight of BND must be at most 0.05 away from 0.4, was 0"),
    ):
        held = applies(far)
        assert held.document.targets == firm.document.targets
        (overruled,) = held.overruled
        assert overruled.bound.violation(FIELDS["targets.weights"], overruled.value).startswith(words)


def test_each_weight_of_a_mix_has_a_least_and_a_most():
    bound = guarded("targets.weights", minimum="0.1", maximum="0.5")
    firm = a_layer("firm", both(bound, targets(VTI="0.5", BND="0.5")))

    assert not effective([firm, a_layer("a", targets(VTI="0.5", BND="0.4", GLD="0.1"))]).overruled
    assert effective([firm, a_layer("a", targets(VTI="0.51", BND="0.49"))]).overruled
    assert effective([firm, a_layer("a", targets(VTI="0.5", BND="0.41", GLD="0.09"))]).overruled
