import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.audit.domain.entry import new_entry
from services.audit.domain.filter import EntryFilter
from services.audit.domain.terms import positions, postings, term_number, terms_of, terms_wanted
from tests.audit.builders import NOON, TRACE_PARENT, an_event, later

EVENT = an_event("one", subjects={"plan": "p", "run": "r"})


def entry_of(event, at=NOON):
    return new_entry(event, index=0, account_sequence=0, recorded_time=at)


def test_an_event_is_found_by_everything_a_filter_can_ask_for():
    assert sorted(terms_of(EVENT)) == sorted(
        [
            "actor:alice",
            "producer:decision",
            f"trace:{TRACE_PARENT[3:35]}",
            "subject:account:acc-1",
            "subject:plan:p",
            "subject:run:r",
            "kind:decision.plan.approved",
            "kind:decision.plan.*",
            "kind:decision.*",
        ]
    )


def test_rare_terms_are_looked_up_first():
    wanted = EntryFilter(
        kind="a.*", actor="alice", producer="p", trace_id="t", subjects={"run": "r", "order": "o", "account": "a"}
    )

    assert terms_wanted(wanted) == (
        "subject:account:a",
        "subject:order:o",
        "subject:run:r",
        "trace:t",
        "actor:alice",
        "kind:a.*",
        "producer:p",
    )
    assert terms_wanted(EntryFilter()) == ()


def test_a_number_stands_for_a_term_for_ever():
    assert term_number("actor:alice") == 9_178_028_693_532_644_019


@given(st.lists(st.sampled_from(["a", "b", "c"]), max_size=300))
def test_postings_say_where_each_term_stands(actors):
    found = postings(an_event(number, actor=actor) for number, actor in enumerate(actors))

    for actor in "abc":
        expected = [number for number, each in enumerate(actors) if each == actor]
        assert list(positions(found.get(term_number(f"actor:{actor}"), b""))) == expected


@pytest.mark.parametrize(
    ("wanted", "matches"),
    [
        (EntryFilter(), True),
        (EntryFilter(kind="decision.plan.approved"), True),
        (EntryFilter(kind="decision.plan.*"), True),
        (EntryFilter(kind="decision.*"), True),
        (EntryFilter(kind="decision.plan"), False),
        (EntryFilter(kind="decision.pla.*"), False),
        (EntryFilter(kind="*"), False),
        (EntryFilter(subjects={"plan": "p", "account": "acc-1"}), True),
        (EntryFilter(subjects={"plan": "acc-1"}), False),
        (EntryFilter(subjects={"plan": "p", "order": "o"}), False),
        (EntryFilter(actor="alice", producer="decision", trace_id=EVENT.trace_id), True),
        (EntryFilter(actor="bob"), False),
        (EntryFilter(producer="policy"), False),
        (EntryFilter(trace_id="0" * 32), False),
        (EntryFilter(start_time=NOON), True),
        (EntryFilter(end_time=NOON), False),
        (EntryFilter(start_time=later(1)), False),
        (EntryFilter(end_time=later(1)), True),
    ],
)
def test_a_filter_matches_what_has_everything_it_names(wanted, matches):
    assert wanted.matches(entry_of(EVENT)) is matches
    # What matches by its event has every term that is looked up; so no term hides it.
    if matches:
        assert set(terms_wanted(wanted)) <= set(terms_of(EVENT))
