import json
from dataclasses import replace
from datetime import UTC, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.audit.domain.entry import (
    BODY_BYTES_MAX,
    EVENT_BYTES_MAX,
    EntryInvalid,
    Event,
    EventInvalid,
    new_entries,
    new_entry,
    parse_entry,
)
from services.audit.domain.merkle import leaf_hash
from services.kernel.canonical import canonical_json, rfc3339
from tests.audit.builders import NOON, TRACE_PARENT, an_event, an_event_id

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
names = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=30)
any_event = st.builds(
    an_event,
    st.integers(),
    account=st.none() | names,
    subjects=st.dictionaries(st.text(st.characters(categories=["Ll"]), min_size=1, max_size=5), names, max_size=3),
    data=st.dictionaries(st.text(), json_values, max_size=5),
    actor=names,
    occurred_time=st.just(NOON) | st.just(NOON.replace(microsecond=0)),
    trace_parent=st.sampled_from(["", TRACE_PARENT]),
)


def entry_of(event, index=7, account_sequence=3):
    return new_entry(event, index=index, account_sequence=account_sequence, recorded_time=NOON)


def test_the_body_is_the_event_and_what_the_log_adds():
    entry = entry_of(an_event("one", data={"sum": "12.50", "accounts": 2}))

    assert entry.body.decode() == (
        '{"account_sequence":3,"actor":"alice","data":{"accounts":2,"sum":"12.50"},'
        f'"event_id":"{an_event_id("one")}","index":7,"kind":"decision.plan.approved",'
        '"occurred_time":"2026-11-22T12:00:00.250000Z","producer":"decision",'
        '"recorded_time":"2026-11-22T12:00:00.250000Z","subjects":{"account":"acc-1","plan":"plan-one"},'
        f'"trace_parent":"{TRACE_PARENT}"}}'
    )
    assert entry.leaf == leaf_hash(entry.body)


@given(any_event, st.integers(0, 2**53 - 1), st.integers(0, 2**53 - 1))
def test_the_body_is_canonical_and_read_back_as_it_was(event, index, account_sequence):
    entry = entry_of(event, index, account_sequence)

    assert canonical_json(json.loads(entry.body)) == entry.body
    assert parse_entry(entry.body) == entry
    assert parse_entry(entry.body).event.digest == event.digest


@settings(max_examples=25)
@given(st.lists(any_event, min_size=1, max_size=6), st.booleans())
def test_entries_made_together_are_those_made_one_by_one(events, elsewhere):
    if elsewhere:
        events[0] = replace(events[0], occurred_time=NOON.astimezone(timezone(timedelta(hours=2))))
    one_by_one = [entry_of(replace(event), 7 + number, number) for number, event in enumerate(events)]

    together = new_entries([replace(event) for event in events], 7, range(len(events)), NOON)

    assert together == one_by_one
    assert [entry.event.digest for entry in together] == [replace(event).digest for event in events]


@given(any_event, any_event)
def test_two_events_have_one_digest_only_if_they_are_one(one, other):
    assert (one.digest == other.digest) == (one == other)


def test_the_digest_does_not_depend_on_where_the_event_came_to_stand():
    event = an_event("one")

    assert parse_entry(entry_of(event, 1, 1).body).event.digest == parse_entry(entry_of(event, 2, 9).body).event.digest


def test_account_and_trace_are_what_the_event_says():
    assert (an_event(account="acc-9").account, an_event(account=None).account) == ("acc-9", None)
    assert an_event().trace_id == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert an_event(trace_parent="").trace_id is None


def test_the_largest_event_makes_an_entry_and_one_byte_more_does_not():
    room = EVENT_BYTES_MAX - an_event(data={"x": ""}).size_bytes
    largest = an_event(data={"x": "y" * room})

    assert largest.size_bytes == EVENT_BYTES_MAX
    assert len(entry_of(largest, 2**53 - 1, 2**53 - 1).body) <= BODY_BYTES_MAX
    with pytest.raises(ValueError, match="at most"):
        entry_of(an_event(data={"x": "y" * (room + 1)}))


def with_data(data):
    event = an_event()
    return Event(event.event_id, event.kind, NOON, event.producer, event.actor, "", {}, data)


@pytest.mark.parametrize(
    "data",
    [b"", b" {}", b"{} ", b'{"a": 1}', b'{"b":1,"a":2}', b'{"a":1,"a":1}', b'{"a":1.5}', b'{"a":1e3}', b'{"a":NaN}',
     b'{"a":-0}', b'{"a":01}', b'{"a":9007199254740992}', b'{"a":Infinity}', b'{"a":"\\u0041"}', b'{"a":"\\/"}',
     b'{"a":"\\ud800"}', b'{"a":"\xff"}', b"[]", b"1", b"null", b'"a"', b"{", b"[" * 60_000,
     b'{"a":' * 10_000 + b"1" + b"}" * 10_000, b'{"a":"\t"}', '{"\uffff":1,"\U00010000":2}'.encode()],
)  # fmt: skip
def test_data_that_is_not_a_canonical_json_object_is_refused(data):
    with pytest.raises(EventInvalid, match=r"^data: "):
        with_data(data)


@pytest.mark.parametrize("data", [b"{}", '{"\U00010000":2,"\uffff":1}'.encode(), '{"a":"ä–\\u0001\\n"}'.encode()])
def test_canonical_data_is_taken_as_it_is(data):
    assert with_data(data).data == data


def canonical(data):
    """Whether `data` is a canonical JSON object, found out by the plain definition."""

    def refused(text):
        raise ValueError(text)

    try:
        value = json.loads(data, parse_float=refused, parse_constant=refused)
        return isinstance(value, dict) and canonical_json(value) == data
    except ValueError:
        return False


@given(st.dictionaries(st.text(), json_values, max_size=4), st.data())
def test_data_with_a_few_bytes_changed_is_taken_exactly_when_it_is_canonical(members, draw):
    data = bytearray(canonical_json(members))
    for _ in range(draw.draw(st.integers(0, 3))):
        at = draw.draw(st.integers(0, len(data) - 1))
        data[at : at + draw.draw(st.integers(0, 2))] = draw.draw(
            st.sampled_from(
                [b"1", b".", b"e", b"0", b"-", b'"', b",", b":", b"{", b"}", b" ", b"1.5", b"\\", b"9" * 16]
            )
        )

    try:
        with_data(bytes(data))
        taken = True
    except EventInvalid:
        taken = False
    assert taken == canonical(bytes(data))


@given(st.datetimes(timezones=st.timezones() | st.just(UTC)))
def test_an_instant_is_written_as_rfc_3339_says(instant):
    try:
        wanted = rfc3339(instant)
    except OverflowError:
        # The year 0 or 10000 in UTC.
        return
    assert f'"occurred_time":"{wanted}"'.encode() in an_event(occurred_time=instant).parts[1]


@pytest.mark.parametrize("text", ["nul\0", "line\nbreak", "\x1b[31mred", "del\x7f"])
def test_names_have_no_control_characters(text):
    for changes in ({"actor": text}, {"producer": text}, {"account": text}, {"subjects": {"plan": text}}):
        with pytest.raises(EventInvalid, match="control characters"):
            an_event(**changes)


@pytest.mark.parametrize("event_id", ["", "x", an_event_id(1).upper(), an_event_id(1).replace("-", ""), "{0}"])
def test_an_event_id_is_a_uuid_in_its_one_spelling(event_id):
    with pytest.raises(EventInvalid, match="event_id"):
        Event(event_id, "a.b", NOON, "p", "a", "", {}, b"{}")


@pytest.mark.parametrize(
    "trace_parent",
    ["x", TRACE_PARENT.upper(), TRACE_PARENT[:-1], f"00-{'0' * 32}-00f067aa0ba902b7-01", "01" + TRACE_PARENT[2:]],
)
def test_a_trace_parent_is_that_of_the_w3c_or_empty(trace_parent):
    with pytest.raises(EventInvalid, match="trace_parent"):
        an_event(trace_parent=trace_parent)


def test_every_single_changed_bit_of_a_body_changes_what_it_says_or_is_refused():
    entry = entry_of(an_event("one"))
    for bit in range(len(entry.body) * 8):
        changed = bytearray(entry.body)
        changed[bit // 8] ^= 1 << bit % 8

        assert leaf_hash(bytes(changed)) != entry.leaf
        try:
            assert parse_entry(bytes(changed)) != entry
        except EntryInvalid:
            continue


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"null", b"\xff", b"[" * 50_000, entry_of(an_event()).body + b" "])
def test_bytes_that_no_entry_has_are_refused(body):
    with pytest.raises(EntryInvalid):
        parse_entry(body)


def test_an_entry_with_a_member_too_many_is_refused():
    body = entry_of(an_event()).body

    with pytest.raises(EntryInvalid, match="as the log writes it"):
        parse_entry(body[:-1] + b',"z":1}')


def test_the_same_instant_is_written_in_one_way():
    event, same = an_event(occurred_time=NOON), an_event(occurred_time=NOON.astimezone())

    assert event.digest == same.digest
    assert event.digest != an_event(occurred_time=NOON + timedelta(microseconds=1)).digest
