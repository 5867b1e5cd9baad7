import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.policy.domain.errors import NodeExists, NodeHasChildren, NodeNotFound, TreeInvalid
from services.policy.domain.tree import DEPTH_MAX, NodeKind, Tree
from tests.policy.builders import a_firm, a_node


def a_tree():
    return Tree.of(
        [
            a_node("account", NodeKind.ACCOUNT, under="household"),
            a_node("household", NodeKind.HOUSEHOLD, under="model"),
            a_node("model", NodeKind.MODEL, under="program"),
            a_node("program", NodeKind.PROGRAM, under="firm"),
            a_firm(),
        ]
    )


def test_a_chain_goes_from_the_root_to_the_node():
    assert [n.node_id for n in a_tree().chain("account")] == ["firm", "program", "model", "household", "account"]
    assert [n.node_id for n in a_tree().chain("firm")] == ["firm"]


def test_kinds_only_descend():
    under_model = a_node("other", NodeKind.PROGRAM, under="model")
    with pytest.raises(TreeInvalid):
        a_tree().with_node(under_model)
    assert "sub" in a_tree().with_node(a_node("sub", NodeKind.MODEL, under="model")).nodes


def test_an_account_is_a_leaf():
    with pytest.raises(TreeInvalid):
        a_tree().with_node(a_node("other", NodeKind.ACCOUNT, under="account"))


def test_a_firm_has_no_parent_and_everything_else_has_one():
    with pytest.raises(TreeInvalid):
        type(a_firm())("firm", NodeKind.FIRM, "other", "", a_firm().created_time)
    with pytest.raises(TreeInvalid):
        type(a_firm())("model", NodeKind.MODEL, None, "", a_firm().created_time)


def test_a_cycle_is_refused():
    with pytest.raises(TreeInvalid, match="2 nodes hang in a cycle"):
        Tree.of([a_firm(), a_node("a", under="b"), a_node("b", under="a")])


def test_an_orphan_is_refused():
    with pytest.raises(NodeNotFound, match="nowhere"):
        Tree.of([a_firm(), a_node("a", under="nowhere")])


def test_an_id_is_taken_once():
    with pytest.raises(NodeExists):
        a_tree().with_node(a_node("model", under="firm"))
    with pytest.raises(NodeExists):
        Tree.of([a_firm(), a_firm()])


def test_a_node_with_children_stays_and_one_without_goes():
    with pytest.raises(NodeHasChildren, match="household"):
        a_tree().without("model")
    assert "account" not in a_tree().without("account").nodes
    with pytest.raises(NodeNotFound):
        a_tree().without("nobody")


def test_the_tree_ends_at_its_greatest_depth():
    tree = Tree.of([a_firm()])
    for level in range(DEPTH_MAX - 1):
        tree = tree.with_node(a_node(f"m{level}", under="firm" if level == 0 else f"m{level - 1}"))

    assert len(tree.chain(f"m{DEPTH_MAX - 2}")) == DEPTH_MAX
    with pytest.raises(TreeInvalid, match=f"at most {DEPTH_MAX}"):
        tree.with_node(a_node("deeper", under=f"m{DEPTH_MAX - 2}"))


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=30))
def test_every_node_comes_once_and_after_its_parent(parents):
    names = ["firm"]
    nodes = [a_firm()]
    for number, parent in enumerate(parents):
        nodes.append(a_node(f"n{number}", under=names[parent % len(names)]))
        names.append(f"n{number}")

    seen = []
    for node in Tree.of(reversed(nodes)).from_roots_down():
        assert node.parent_id is None or node.parent_id in seen
        seen.append(node.node_id)
    assert sorted(seen) == sorted(names)
