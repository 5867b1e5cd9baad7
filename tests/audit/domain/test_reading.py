"""Is what is read at a glance what the long way makes of it, and nothing else?"""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.audit.domain.entry import EntryInvalid, parse_entry
from services.audit.domain.reading import _plainly, read_entries
from tests.audit.builders import an_event
from tests.audit.domain.test_entry import any_event, entry_of


@settings(max_examples=60)
@given(any_event, st.integers(0, 2**53 - 1))
def test_every_entry_is_read_as_it_was_written(event, index):
    entry, others = entry_of(event, index, 3), [entry_of(an_event(n), n, n) for n in range(4)]

    assert read_entries([entry.body]) == [entry]
    read = read_entries([*[each.body for each in others], entry.body])
    assert read == [*others, entry]
    assert [each.event.digest for each in read] == [each.event.digest for each in (*others, entry)]


def test_most_entries_are_read_at_a_glance():
    events = an_event(), an_event(data={"a": [{"b": [1, "2.5", None]}]}), an_event(account=None, trace_parent="")
    entries = [entry_of(event) for event in events]

    assert _plainly([entry.body for entry in entries]) == entries
    assert [_plainly([entry.body]) for entry in entries] == [[entry] for entry in entries]
    assert read_entries([]) == []


def test_bodies_that_are_right_only_together_are_refused():
    """One that ends too early and one that begins too late have between them what stands between two."""
    first, second, third = (entry_of(an_event(n, data={"count": n})).body for n in range(3))
    cut = first.index(b',"data"')
    for bodies in (
        [first[:cut], first[cut + 1 :], second + b"," + third],
        [first + b"," + second, third[:cut], third[cut + 1 :]],
        [first, second + b"," + third],
        [first, b" " + second, third],
    ):
        assert _plainly(bodies) is None
        with pytest.raises(EntryInvalid):
            read_entries(bodies)


def test_of_bent_bodies_a_glance_sees_no_more_than_a_long_look():
    body = entry_of(an_event(data={"amount": "12.5", "count": 3})).body
    rnd = random.Random(2)
    for bit in rnd.sample(range(8 * len(body)), 700):
        bent = body[: bit // 8] + bytes([body[bit // 8] ^ 1 << bit % 8]) + body[bit // 8 + 1 :]
        seen = _plainly([body, bent])
        assert seen is None or seen == [parse_entry(body), parse_entry(bent)], bent


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"count":3', b'"count":3.5'),
        (b'"count":3', b'"count":[1.5]'),
        (b'"count":3', b'"count":90071992547409930'),
        (b'"account_sequence":3', b'"account_sequence":true'),
        (b'"actor":"alice"', b'"actor":7'),
        (b'"actor":"alice"', b'"actor":"\\u0007"'),
        (b'"subjects":{', b'"subjects":{"a":1,'),
        (b'"subjects":{', b'"subjects":{"z":"b",'),
        (b"12:00:00.250000Z", b"12:00:00.25Z"),
        (b"12:00:00.250000Z", b"12:00:00.250000"),
        (b"12:00:00.250000Z", b"13:00:00.250000+01:00"),
        (b'"trace_parent":"00-', b'"trace_parent":"01-'),
    ],
)
def test_what_the_log_does_not_write_is_refused(old, new):
    body = entry_of(an_event(data={"count": 3})).body
    assert old in body

    with pytest.raises(EntryInvalid):
        read_entries([body, body, body.replace(old, new)])
    with pytest.raises(EntryInvalid):
        read_entries([body.replace(old, new)])
