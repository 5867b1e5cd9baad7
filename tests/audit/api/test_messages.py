"""What is read and checked over columns is what the contract allows, and what each event read by itself is."""

from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import example, given
from hypothesis import strategies as st

from evenkeel.audit.v1 import audit_service_pb2 as pb
from services.audit.api.messages import EventsReader, _events_of, _surely_events
from services.audit.domain.entry import EventInvalid
from services.kernel.errors import Invalid
from services.runtime.interceptors.validation import Validation
from tests.audit.api.conftest import message_of
from tests.audit.builders import an_event

CONTRACT = Validation()
READER = EventsReader(CONTRACT.check)
# Characters beyond U+FFFF begin with it; where they are keys, encoders sort them otherwise than the canonical order.
BEYOND_16_BITS = 0xF0

ODD_TEXTS = st.one_of(
    st.text(max_size=5),
    st.sampled_from(
        ["", "a", "a.b", "a.b.c.d.e.f", "a.b.c.d.e.f.g", "a.b\n", "A.b", "account", "plan", "\x7f", "é", "𐀀", '"},{"']
    ),
    st.integers(0, 300).map("x".__mul__),
    st.integers(0, 70).map(lambda count: "a." + "b" * 2 * count),
)
ODD_IDS = st.one_of(
    st.uuids().map(str),
    st.uuids().map(lambda each: str(each).upper()),
    st.uuids().map(lambda each: each.hex),
    st.sampled_from(
        ["", "0" * 36, "-" * 36, "g" * 8 + str("-gggg" * 3) + "-" + "g" * 12, "00000000-0000-0000-0000-00000000000"]
    ),
    st.sampled_from(["0000000-00000-0000-0000-000000000000", "00000000-0000-0000-0000-000000000000\n", "é" * 36]),
)
ODD_TRACES = st.sampled_from(
    ["", "00-" + "1" * 32 + "-" + "2" * 16 + "-01", "00-" + "0" * 32 + "-" + "2" * 16 + "-01", "x", "1" * 55, "1" * 56]
)
ODD_DATA = st.one_of(
    st.sampled_from([b"", b"{}", b"[]", b"null", b'{"a":1}', b'{"a": 1}', b'{"a":1.5}', b'{"a":[{"b":1e3}]}', b"{}{}"]),
    st.sampled_from(
        [b'{"b":1,"a":2}', b'{"a":1,"a":1}', b'{"a":9007199254740993}', b'{"a":"\xff"}', b'{"a":{"b":[1,"x"]}}']
    ),
    st.sampled_from(
        [
            b'{"a":[',
            b"]}",
            b'{},{"a":[1',
            b"1]}",
            b'{"a":"},{"}',
            b'{"\xf0\x90\x80\x80":1}',
            b'{"a":"%b"}' % (b"x" * 61_432),
            b'{"a":"%b"}' % (b"x" * 61_433),
            b'{"a":[[]]}',
        ]
    ),
)
ODD_TIMES = st.one_of(
    st.none(),
    st.builds(
        Timestamp, seconds=st.sampled_from([0, -1, 253402300799, 253402300800, -62135596800, -62135596801, 2**62])
    ),
    st.builds(
        Timestamp, seconds=st.just(5), nanos=st.sampled_from([0, 1, 1000, 999_999_000, 1_000_000_000, -1000, 2**31 - 1])
    ),
)


@st.composite
def odd_events(draw):
    """A right event, of which now and then one field is odd."""
    message = message_of(an_event(draw(st.integers(0, 3))))
    match draw(st.sampled_from(["", "", "", "id", "kind", "time", "producer", "actor", "trace", "subjects", "data"])):
        case "id":
            message.event_id = draw(ODD_IDS)
        case "kind":
            message.kind = draw(ODD_TEXTS)
        case "time":
            message.ClearField("occurred_time")
            if (at := draw(ODD_TIMES)) is not None:
                message.occurred_time.CopyFrom(at)
        case "producer":
            message.producer = draw(ODD_TEXTS)
        case "actor":
            message.actor = draw(ODD_TEXTS)
        case "trace":
            message.trace_parent = draw(ODD_TRACES)
        case "subjects":
            del message.subjects[:]
            some = st.builds(
                pb.Subject, kind=st.one_of(ODD_TEXTS, st.integers(0, 9).map(lambda at: "k" * at)), id=ODD_TEXTS
            )
            message.subjects.extend(draw(st.lists(some, max_size=draw(st.sampled_from([1, 2, 18])))))
        case "data":
            message.data = draw(ODD_DATA)
    return message


def read(messages):
    try:
        return _events_of(messages)
    except (Invalid, EventInvalid):
        return None


def with_data(data):
    message = message_of(an_event(0))
    message.data = data
    return message


@given(st.lists(odd_events(), max_size=4), st.sampled_from(["", "", "events", "Events", "e" * 48, "e" * 49, "e\n"]))
@example([with_data('{"𐀀":1}'.encode())], "")
def test_what_is_read_over_columns_is_what_the_contract_allows(messages, log):
    request = pb.AppendRequest(events=messages, log=log)
    allowed = not CONTRACT._validator.collect_violations(request)

    events = _surely_events(request)

    unsure = any(max(each.data, default=0) >= BEYOND_16_BITS for each in messages)
    assert events == (read(messages) if allowed and not unsure else None)
    if allowed and read(messages) is not None:
        assert READER.events_of(request) == read(messages)
    if events is not None:
        assert [each.digest for each in events] == [each.digest for each in read(messages)]
        assert [each.parts for each in events] == [each.parts for each in read(messages)]


def test_two_pieces_of_data_that_are_objects_only_together_are_not_taken_for_objects():
    pieces = [b'{},{"a":[1', b"1]}"]
    request = pb.AppendRequest(events=[message_of(an_event(number)) for number in range(2)])
    for message, data in zip(request.events, pieces, strict=True):
        message.data = data

    assert _surely_events(request) is None


def test_a_subject_with_what_stands_between_two_does_not_move_the_subjects_of_others():
    subjects = [{"plan": 'a"},{"plan":"b'}, {"plan": "c"}, {"plan": "𐀀"}]
    messages = [message_of(an_event(number)) for number in range(3)]
    for message, about in zip(messages, subjects, strict=True):
        del message.subjects[:]
        message.subjects.extend([pb.Subject(kind=kind, id=each) for kind, each in about.items()])

    events = _surely_events(pb.AppendRequest(events=messages))

    assert [dict(event.subjects) for event in events] == subjects
    assert [event.parts for event in events] == [event.parts for event in read(messages)]


def test_as_many_events_as_the_contract_allows_are_read():
    for count, most in ((0, False), (1, True), (1000, True), (1001, False)):
        request = pb.AppendRequest(events=[message_of(an_event(number)) for number in range(count)])
        assert (_surely_events(request) is not None) is most
        assert (not CONTRACT._validator.collect_violations(request)) is most
