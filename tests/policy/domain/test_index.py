from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.kernel.ids import ChangeId, PolicyNodeId
from services.policy.domain.content import canonical_bytes, version_id
from services.policy.domain.errors import NodeNotFound
from services.policy.domain.history import Activation, AsOf, in_force
from services.policy.domain.index import Delta, Governing, NewNode, PolicyIndex, RollingOut
from services.policy.domain.merge import effective
from services.policy.domain.resolve import Resolver
from services.policy.domain.rollout import Stage, begun
from services.policy.domain.stops import tightened
from services.policy.domain.tree import NodeKind
from tests.policy.builders import DAY, NOON, a_plan, a_stop, risk
from tests.policy.strategies import documents, histories


def governing(activation, document):
    return Governing(activation, "ann", "bob", "because", canonical_bytes(document).decode())


def activation(node_id, document, number=1, at=NOON):
    name = version_id(PolicyNodeId(node_id), document)
    follows = number - 1 or None
    return Activation(PolicyNodeId(node_id), number, follows, name, ChangeId(f"{node_id}-{number}"), at, at)


def said(node_id, document, **how):
    return governing(activation(node_id, document, **how), document)


def rolled(node_id, document, *, share=None, cohort=(), canary=NOON):
    """Return a rollout whose canary stage begins at `canary`."""
    plan = a_plan(cohort=cohort) if cohort else a_plan(share)
    name = version_id(PolicyNodeId(node_id), document)
    rollout = begun(
        ChangeId(f"rolled-{node_id}"), PolicyNodeId(node_id), name, plan,
        author="ann", by="bob", at=NOON - DAY, market_time=NOON - DAY,
    )  # fmt: skip
    moved = rollout.advanced("bob", reason="well", at=canary, market_time=canary, seen=())
    return RollingOut(moved, "bob", "because", canonical_bytes(document).decode())


def resolving(index, as_of):
    return Resolver(index.lineage(None), index.layers(as_of), as_of.valid_time, index.overlays(as_of))


def an_index(parents, *, kinds=None, **parts):
    kinds = kinds or {}
    nodes = [NewNode(each, above, kinds.get(each, NodeKind.MODEL)) for each, above in parents.items()]
    return PolicyIndex().advanced(Delta(1, nodes=nodes, **parts))


@st.composite
def governed_trees(draw):
    """Draw who stands under whom, what governed whom when, and stops."""
    parents = {PolicyNodeId("n0"): None}
    for number in range(1, draw(st.integers(1, 12))):
        parents[PolicyNodeId(f"n{number}")] = PolicyNodeId(f"n{draw(st.integers(0, number - 1))}")
    said_by = {}
    pool = [draw(documents()) for _ in range(4)]
    for node_id in draw(st.lists(st.sampled_from(list(parents)), unique=True, max_size=4)):
        history = [replace(each, node_id=node_id) for each in draw(histories())]
        contents = [draw(st.sampled_from(pool)) for _ in history]
        said_by[node_id] = [
            governing(replace(each, version_id=version_id(node_id, content)), content)
            for each, content in zip(history, contents, strict=True)
        ]
    stopped_nodes = draw(st.lists(st.sampled_from(list(parents)), max_size=2))
    stops = [
        a_stop(node_id, stop_id=f"stop-{number}", at=NOON + DAY * draw(st.integers(-1, 4)))
        for number, node_id in enumerate(stopped_nodes)
    ]
    return parents, said_by, stops


@settings(max_examples=25)
@given(
    governed_trees(),
    st.integers(-1, 8),
    st.none() | st.integers(-1, 8),
    st.randoms(use_true_random=False),
)
def test_each_node_has_what_a_slow_and_obvious_merge_of_its_path_says(tree, valid, known, random):
    parents, said_by, stops = tree
    as_of = AsOf(NOON + DAY * valid, None if known is None else NOON + DAY * known)
    pieces = [each for found in said_by.values() for each in found]
    random.shuffle(pieces)
    index = an_index(parents, governing=pieces, stops=stops)
    asked = list(parents)
    random.shuffle(asked)

    resolver = resolving(index, as_of)

    for node_id in asked:
        got = resolver.effective(node_id)
        path = []
        above = node_id
        while above is not None:
            path.insert(0, above)
            above = parents[above]
        layers = []
        for each in path:
            ruling = in_force([one.activation for one in said_by.get(each, ())], as_of)
            layers += [one.layer for one in said_by.get(each, ()) if one.activation == ruling]
        in_order = sorted(stops, key=lambda stop: (stop.recorded_time, stop.stop_id))
        holding = [stop for each in path for stop in in_order if stop.node_id == each and stop.holds(as_of)]
        alone = tightened(effective(layers), holding)
        assert (got.document, got.layers, got.sources) == (alone.document, alone.layers, alone.sources)


def test_those_who_say_nothing_share_what_is_above_them():
    index = an_index(
        {"firm": None, "a": "firm", "b": "firm", "c": "firm"},
        kinds={"firm": NodeKind.FIRM} | dict.fromkeys("abc", NodeKind.ACCOUNT),
        governing=[said("firm", risk(cash_floor="0.1")), said("c", risk(cash_floor="0.2"))],
    )
    resolver = resolving(index, AsOf(NOON))

    assert resolver.effective("a") is resolver.effective("b")
    assert resolver.effective("c").layers[:1] == resolver.effective("a").layers
    assert list(index.account_ids()) == ["a", "b", "c"]


def test_a_node_that_does_not_exist_is_named_and_one_that_is_gone_does_not_exist():
    index = an_index({"firm": None, "a": "firm"})
    with pytest.raises(NodeNotFound, match="nobody"):
        resolving(index, AsOf(NOON)).effective("nobody")

    later = index.advanced(Delta(2, removed=["a"]))
    with pytest.raises(NodeNotFound):
        resolving(later, AsOf(NOON)).effective("a")
    back = later.advanced(Delta(3, nodes=[NewNode("a", "firm", NodeKind.ACCOUNT)]))
    assert list(back.account_ids()) == ["a"]


def test_an_edition_does_not_see_what_came_after_it():
    index = an_index({"firm": None}, governing=[said("firm", risk(cash_floor="0.1"))])
    before = resolving(index, AsOf(NOON + DAY))
    later = index.advanced(
        Delta(
            2,
            nodes=[NewNode("a", "firm", NodeKind.ACCOUNT)],
            governing=[said("firm", risk(), number=2, at=NOON + DAY)],
        )
    )

    assert before.effective("firm").document == risk(cash_floor="0.1")
    with pytest.raises(NodeNotFound):
        before.effective("a")
    assert resolving(later, AsOf(NOON + DAY)).effective("a").document == risk()


OLD, NEW = risk(cash_floor="0.1"), risk(cash_floor="0.2")


def families(count):
    """Return a firm with `count` households of two accounts each."""
    parents, kinds = {"firm": None}, {"firm": NodeKind.FIRM}
    for number in range(count):
        parents[f"h{number}"], kinds[f"h{number}"] = "firm", NodeKind.HOUSEHOLD
        for each in (f"a{number}", f"b{number}"):
            parents[each], kinds[each] = f"h{number}", NodeKind.ACCOUNT
    return parents, kinds


def test_a_share_of_the_households_has_the_candidate_from_the_canary_on_and_for_as_long_as_it_lasts():
    parents, kinds = families(400)
    candidate = rolled("firm", NEW, share=2_500)
    index = an_index(parents, kinds=kinds, governing=[said("firm", OLD, at=NOON - DAY)], rollouts=[candidate])

    def has_new(at):
        resolver = resolving(index, AsOf(at))
        found = {each: resolver.effective(each).document for each in index.account_ids()}
        assert set(found.values()) <= {OLD, NEW}
        return {account_id for account_id, document in found.items() if document == NEW}

    assert has_new(NOON - DAY / 2) == set()
    canary = has_new(NOON)
    # 100 of 400 households expected; five standard deviations are 43.
    assert 2 * 57 <= len(canary) <= 2 * 143
    assert {f"b{each[1:]}" for each in canary if each[0] == "a"} == {each for each in canary if each[0] == "b"}
    assert has_new(NOON + DAY) == canary

    back = candidate.rollout.rolled_back("bob", reason="no", at=NOON + DAY, market_time=NOON + DAY)
    index = index.advanced(Delta(2, rollouts=[replace(candidate, rollout=back)]))
    assert has_new(NOON + DAY) == set()
    assert has_new(NOON) == canary


def test_a_cohort_is_who_stands_under_its_nodes_and_both_sides_are_known():
    parents, kinds = families(2)
    candidate = rolled("firm", NEW, cohort=("h0", "b1"))
    index = an_index(parents, kinds=kinds, governing=[said("firm", OLD, at=NOON - DAY)], rollouts=[candidate])
    resolver = resolving(index, AsOf(NOON))

    for account_id in index.account_ids():
        applied, sides = resolver.applied(account_id), resolver.sides(account_id)
        new = account_id in ("a0", "b0", "b1")
        assert applied.effective.document == (NEW if new else OLD)
        assert (sides.candidate.effective.document, sides.incumbent.effective.document) == (NEW, OLD)
        assert applied.key == (sides.candidate if new else sides.incumbent).key
    assert candidate.rollout.stage is Stage.CANARY
