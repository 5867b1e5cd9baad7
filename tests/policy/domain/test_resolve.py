import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.policy.domain.errors import NodeNotFound
from services.policy.domain.merge import NOTHING, effective
from services.policy.domain.resolve import Lineage, Resolver, first_unknown
from tests.policy.builders import NOON, a_layer, risk
from tests.policy.strategies import documents


@st.composite
def governed_trees(draw):
    """Draw who stands under whom, and who has which version."""
    parents = {"n0": None}
    for number in range(1, draw(st.integers(1, 12))):
        parents[f"n{number}"] = f"n{draw(st.integers(0, number - 1))}"
    governed = draw(st.lists(st.sampled_from(list(parents)), unique=True, max_size=6))
    return parents, {node_id: a_layer(node_id, draw(documents())) for node_id in governed}


@given(governed_trees(), st.randoms(use_true_random=False), st.integers(1, 5))
def test_each_node_has_what_its_own_path_says(tree, random, at_once):
    parents, layers = tree
    asked = list(parents)
    random.shuffle(asked)

    found = [one for some in Resolver(Lineage(parents, ()), layers, NOON).many(asked, at_once) for one in some]

    assert [node_id for node_id, _ in found] == asked
    for node_id, got in found:
        path = []
        above = node_id
        while above is not None:
            path.insert(0, above)
            above = parents[above]
        alone = effective(layers[each] for each in path if each in layers)
        merged = got.effective
        assert (merged.document, merged.layers, merged.sources) == (alone.document, alone.layers, alone.sources)


def test_those_who_say_nothing_share_what_is_above_them():
    lineage = Lineage({"firm": None, "a": "firm", "b": "firm", "c": "firm"}, ["a", "b", "c"])
    layers = {"firm": a_layer("firm", risk(cash_floor="0.1")), "c": a_layer("c", risk())}
    resolver = Resolver(lineage, layers, NOON)

    assert resolver.effective("a") is resolver.effective("b") is not NOTHING
    assert resolver.effective("c") is not resolver.effective("a")


def test_a_node_that_does_not_exist_is_named():
    lineage = Lineage({"firm": None}, [])

    with pytest.raises(NodeNotFound, match="nobody"):
        Resolver(lineage, {}, NOON).effective("nobody")
    assert first_unknown(["firm", "x", "y"], lineage) == "x"
    assert first_unknown(["firm"], lineage) is None
    assert Resolver(lineage, {}, NOON).effective("firm") is NOTHING
