import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.audit.domain.closing import (
    CloseTree,
    Closing,
    Leaf,
    account_hash,
    close_event,
    read_closing,
    verify_last,
)
from services.audit.domain.entry import new_entry
from services.audit.domain.merkle import EMPTY_ROOT, Unproven, leaf_hash
from services.audit.store.closing import account_and_number
from tests.audit.builders import NOON, ORIGIN, an_event
from tests.audit.domain.reference import tree_hash


def tree_of(numbers):
    return CloseTree(sorted((Leaf(account_hash(a), n) for a, n in numbers.items()), key=lambda leaf: leaf.account_hash))


def proof(tree, account):
    return [tree.proven(at) for at in tree.around(account)]


numbers = st.dictionaries(st.text(min_size=1, max_size=8), st.integers(1, 2**53 - 1), max_size=40)


@given(numbers, st.text(min_size=1, max_size=8))
def test_the_last_number_of_every_account_is_proven_and_of_others_that_they_have_none(accounts, stranger):
    tree = tree_of(accounts)
    closing = Closing(10, len(tree), tree.root)

    for account in {*accounts, stranger}:
        assert verify_last(account, proof(tree, account), closing) == accounts.get(account, 0)


@given(numbers)
def test_the_root_is_that_of_rfc_6962(accounts):
    leaves = sorted((account_hash(a) + n.to_bytes(8, "big") for a, n in accounts.items()))

    assert tree_of(accounts).root == tree_hash([leaf_hash(leaf) for leaf in leaves])


def test_no_other_number_and_no_absence_can_be_shown():
    accounts = {f"acc-{number}": number + 1 for number in range(20)}
    tree = tree_of(accounts)
    closing = Closing(10, len(tree), tree.root)
    (own,) = proof(tree, "acc-7")
    wrong_number = dataclasses.replace(own, leaf=Leaf(own.leaf.account_hash, 7))
    around = [tree.proven(at) for at in (own.position - 1, own.position + 1) if 0 <= at < 20]

    for leaves in ([], [wrong_number], around, [tree.proven(0)], proof(tree, "acc-8"), [own, own]):
        with pytest.raises(Unproven):
            verify_last("acc-7", leaves, closing)
    # Leaves at both ends show only that nothing stands beyond them.
    with pytest.raises(Unproven):
        verify_last("stranger", [tree.proven(0), tree.proven(19)], closing)


def test_a_log_without_accounts_closes_on_the_empty_root():
    assert tree_of({}).root == EMPTY_ROOT
    assert verify_last("a", [], Closing(0, 0, EMPTY_ROOT)) == 0
    with pytest.raises(Unproven):
        verify_last("a", [], Closing(0, 1, tree_of({"a": 1}).root))


def test_leaves_out_of_order_are_refused():
    leaves = sorted([Leaf(account_hash("a"), 1), Leaf(account_hash("b"), 1)], key=lambda leaf: leaf.account_hash)

    with pytest.raises(ValueError, match="order"):
        CloseTree(leaves[::-1])
    with pytest.raises(ValueError, match="order"):
        CloseTree([leaves[0], leaves[0]])


def test_a_closing_entry_says_what_it_closes():
    closing = Closing(7, 3, tree_of({"a": 1}).root)
    entry = new_entry(close_event(ORIGIN, closing, NOON), index=7, account_sequence=0, recorded_time=NOON)

    assert read_closing(entry) == closing
    # The same state is closed once, whoever does it and when.
    assert close_event(ORIGIN, closing, NOON).event_id == entry.event.event_id
    with pytest.raises(Unproven, match="does not close"):
        read_closing(new_entry(an_event("x"), index=7, account_sequence=1, recorded_time=NOON))
    with pytest.raises(Unproven, match="cannot be"):
        read_closing(new_entry(entry.event, index=6, account_sequence=0, recorded_time=NOON))


@given(
    st.none() | st.text(min_size=1, max_size=10),
    st.dictionaries(st.sampled_from(["aa", "plan", "zz"]), st.text(min_size=1, max_size=20), max_size=3),
    st.dictionaries(st.text(max_size=10), st.text(max_size=40), max_size=3),
)
def test_account_and_number_are_found_without_reading_the_rest(account, others, data):
    printable = [text for text in (account or "", *others.values()) if not text.isprintable()]
    if printable:
        return
    event = an_event(
        "x",
        account=account,
        subjects=others or {"plan": ',"subjects":{"account":"evil"},"trace_parent":"'},
        data={**data, "hidden": ',"subjects":{"account":"evil"},"trace_parent":"'},
    )
    entry = new_entry(event, index=3, account_sequence=12 if account else 0, recorded_time=NOON)

    assert account_and_number(entry.body) == ((account, 12) if account else None)
