from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from services.policy.domain.document import FIELDS
from services.policy.domain.fields import Merge
from services.policy.domain.guardrails import violation
from services.policy.domain.merge import effective
from tests.policy.builders import NOON, a_layer, bands, both, guarded, restricted, risk, targets
from tests.policy.strategies import documents


def merge_slowly(layers):
    """Return the merged values as the words say it: from the leaf up, the first value that nobody above forbids."""
    merged = {}
    for field in FIELDS:
        if field.merge is Merge.GATHER:
            gathered = []
            for layer in layers:
                for item in field.read(layer.document):
                    if item not in gathered:
                        gathered.append(item)
            if gathered:
                merged[field.path] = tuple(gathered)
            continue
        for place in reversed(range(len(layers))):
            value = field.read(layers[place].document)
            if value is None or value == ():
                continue
            above = [g for layer in layers[:place] for g in layer.document.guardrails if g.field == field.path]
            if all(violation(guardrail, field, value) is None for guardrail in above):
                merged[field.path] = value
                break
    return merged


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
