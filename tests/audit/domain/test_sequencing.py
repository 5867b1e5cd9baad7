from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.audit.domain.entry import parse_entry
from services.audit.domain.sequencing import CONFLICT_KIND, Head, Known, Result, Status, conflict_reports, grow
from services.audit.domain.tiles import RightEdge
from tests.audit.builders import NOON, an_event, later, some_events

EMPTY = Head(RightEdge(), None)


def known_from(entries):
    return {entry.event.event_id: Known(entry.index, entry.event.digest) for entry in entries}


def test_events_become_entries_in_the_order_given():
    events = some_events(5)

    growth = grow(EMPTY, events, {}, {}, NOON)

    assert [entry.event for entry in growth.entries] == events
    assert [entry.index for entry in growth.entries] == [0, 1, 2, 3, 4]
    assert growth.results == tuple(Result(index, Status.APPENDED) for index in range(5))
    assert growth.head.edge == RightEdge().extended(entry.leaf for entry in growth.entries)[0]


def test_each_account_counts_its_entries_from_one_and_others_count_zero():
    events = [an_event(n, account=account) for n, account in enumerate(["a", "b", None, "a", "a", None, "b"])]

    growth = grow(EMPTY, events, {}, {"b": 41}, NOON)

    assert [entry.account_sequence for entry in growth.entries] == [1, 42, 0, 2, 3, 0, 43]
    assert growth.sequences == {"a": 3, "b": 43}


def test_an_event_that_comes_again_is_the_entry_it_has():
    events = some_events(3)
    first = grow(EMPTY, events, {}, {}, NOON)

    again = grow(first.head, [*events, an_event("new", account=None)], known_from(first.entries), {}, later(1))

    assert [result.status for result in again.results] == [Status.DUPLICATE] * 3 + [Status.APPENDED]
    assert [result.index for result in again.results] == [0, 1, 2, 3]
    assert len(again.entries) == 1


def test_an_event_that_stands_twice_in_a_batch_is_one_entry():
    event = an_event("one")

    growth = grow(EMPTY, [event, event], {}, {}, NOON)

    assert growth.results == (Result(0, Status.APPENDED), Result(0, Status.DUPLICATE))
    assert len(growth.entries) == 1


def test_another_event_under_a_known_id_is_refused_and_only_reported():
    first, other = an_event("one"), an_event("one", actor="mallory")
    known = known_from(grow(EMPTY, [first], {}, {}, NOON).entries)

    (report,) = conflict_reports([other], known, later(1))
    growth = grow(EMPTY, [other], known, {}, later(1))

    assert growth.results == (Result(0, Status.CONFLICT),)
    assert growth.entries == ()
    assert report.kind == CONFLICT_KIND
    assert report.subjects == {"event": first.event_id}
    assert f'"refused_digest":"sha256:{other.digest.hex()}"'.encode() in report.data
    assert f'"recorded_digest":"sha256:{first.digest.hex()}"'.encode() in report.data


def test_a_conflict_inside_a_batch_is_seen_too():
    first, other = an_event("one"), an_event("one", actor="mallory")

    assert [result.status for result in grow(EMPTY, [first, other], {}, {}, NOON).results] == ["APPENDED", "CONFLICT"]
    assert len(conflict_reports([first, other], {}, NOON)) == 1


def test_an_attempt_is_reported_under_one_id_however_often_it_is_made():
    first, other, third = (an_event("one", actor=actor) for actor in ("a", "b", "c"))
    known = known_from(grow(EMPTY, [first], {}, {}, NOON).entries)

    reports = conflict_reports([other, third, other], known, NOON)

    assert len(reports) == 2
    assert [report.event_id for report in conflict_reports([other], known, later(9))] == [reports[0].event_id]


def test_the_recorded_time_does_not_go_back_when_the_clock_does():
    first = grow(EMPTY, some_events(1, "a"), {}, {}, NOON)

    second = grow(first.head, some_events(1, "b"), {}, {}, NOON - timedelta(hours=1))

    assert second.entries[0].recorded_time == NOON
    assert grow(second.head, some_events(1, "c"), {}, {}, later(1)).entries[0].recorded_time == later(1)


def test_nothing_new_leaves_the_head_as_it_was():
    first = grow(EMPTY, some_events(3), {}, {}, NOON)

    assert grow(first.head, some_events(3), known_from(first.entries), {}, later(5)).head == first.head


@given(st.lists(st.integers(0, 12), max_size=60), st.lists(st.integers(1, 9), max_size=60), st.randoms())
def test_however_events_are_batched_and_repeated_the_log_is_the_same(order, cuts, rnd):
    events = [an_event(name, account=f"acc-{name % 3}") for name in order]
    whole = grow(EMPTY, events, {}, {}, NOON)

    head, entries, sequences, at = EMPTY, [], {}, 0
    while at < len(events):
        count = cuts[at % len(cuts)] if cuts else 1
        growth = grow(head, events[at : at + count], known_from(entries), sequences, NOON)
        head, at = growth.head, at + count
        entries += growth.entries
        sequences |= growth.sequences

    assert tuple(entries) == whole.entries
    assert head == whole.head
    assert [parse_entry(entry.body) for entry in entries] == entries
