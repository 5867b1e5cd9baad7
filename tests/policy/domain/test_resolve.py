from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.policy.domain.clients import Clients
from services.policy.domain.document import Document
from services.policy.domain.errors import NodeNotFound
from services.policy.domain.merge import NOTHING, effective
from services.policy.domain.overlays import NO_OVERLAYS
from services.policy.domain.personal import Profile, ProfileRecord, outcome, profile_layer
from services.policy.domain.personal_rules import BudgetModel, PreferenceLimits, ProfileRule, ToleranceBudget
from services.policy.domain.preference_limits import preference_layer
from services.policy.domain.preferences import Preferences, PreferencesRecord, Standing
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


@settings(max_examples=30)
@given(governed_trees(), documents(), st.integers(1, 10), st.integers(0, 80))
def test_an_account_has_what_its_path_its_profile_and_its_client_say_in_that_order(tree, own, tolerance, age):
    """The resolver, which shares and remembers, against the words: each layer under the one before."""
    parents, layers = tree
    rule = ProfileRule(
        tolerances=(ToleranceBudget(1, Decimal("0.1")), ToleranceBudget(5, Decimal("0.2"))),
        models=(BudgetModel(Decimal("0.1"), "n0"), BudgetModel(Decimal("0.2"), "n0")),
    )
    limits = PreferenceLimits(tax_importance_minimum=Decimal(0), tax_importance_maximum=Decimal(1))
    rules = a_layer("n0", Document(profile_rule=rule, preferences=limits))
    accounts = [f"a{number}" for number in range(3)]
    parents = {**parents, **dict.fromkeys(accounts, list(parents)[-1])}
    layers = {**layers, "n0": rules, "a1": a_layer("a1", own)}
    born = NOON.date().replace(year=NOON.year - age)
    record = ProfileRecord("n0", 1, Profile(born, tolerance=tolerance, residence="DE"), "ada", "asked", NOON, NOON)
    chosen = PreferencesRecord("a2", 1, Preferences(Decimal("0.3")), "ada", "a wish", NOON, NOON)
    clients = Clients({"n0": record}, {}, {"a2": chosen})

    resolver = Resolver(Lineage(parents, accounts), layers, NOON, NO_OVERLAYS, clients)

    for account in (*accounts, *reversed(accounts)):
        path = [account]
        while parents[path[0]] is not None:
            path.insert(0, parents[path[0]])
        above = effective(layers[each] for each in path[:-1] if each in layers)
        mine = layers.get(account)
        expected = above.below(profile_layer(above if mine is None else above.below(mine), record, NOON))
        expected = expected if mine is None else expected.below(mine)
        found = outcome(expected.document.profile_rule, record.profile, NOON.date()) if rule.models else None
        if account == "a2":
            expected = expected.below(preference_layer(chosen, Standing(expected, found, NOON, resolver.mix_of)))
        got = resolver.effective(account)
        assert (got.document, [(each.node_id, each.origin) for each in got.layers]) == (
            expected.document,
            [(each.node_id, each.origin) for each in expected.layers],
        )
        assert got.overruled == expected.overruled
