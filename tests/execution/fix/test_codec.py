from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.execution.fix.protocol import codec
from services.execution.fix.protocol.codec import (
    Undecodable,
    Unencodable,
    checksum,
    decode,
    encode,
    encode_plainly,
    flatten,
)
from services.execution.fix.protocol.dictionary import fix_4_4
from services.execution.fix.protocol.message import FieldInvalid
from services.execution.fix.protocol.values import read_decimal, read_integer, read_timestamp, timestamp, wire
from tests.execution.fix.wire import fix, shown

DATA = fix_4_4().data_tags
PLAIN = st.integers(min_value=36, max_value=9_999).filter(lambda tag: tag not in DATA.all)
VALUES = st.binary(min_size=1, max_size=40).filter(lambda value: b"\x01" not in value)


@given(st.binary(max_size=2000))
def test_the_checksum_is_the_sum_of_all_bytes(data):
    assert checksum(data) == sum(data) % 256


@given(st.lists(st.tuples(PLAIN, VALUES), max_size=30))
def test_what_is_encoded_is_decoded_again(fields):
    fields = [(35, b"D"), *fields]
    frame = encode(b"FIX.4.4", fields, DATA)
    message = decode(frame, DATA)

    assert message.fields[2:-1] == fields
    assert message.bad_tag is None


@given(st.binary(min_size=1, max_size=60), st.sampled_from(sorted(DATA.data_of.items())))
def test_data_fields_may_hold_the_separator(data, pair):
    length, tag = pair
    frame = encode(b"FIX.4.4", [(35, b"B"), (tag, data), (58, b"after")], DATA)
    message = decode(frame, DATA)

    assert message.get(tag) == data
    assert message.get(length) == b"%d" % len(data)
    assert message.get(58) == b"after"


PIECES = st.sampled_from([b"8", b"35", b"58", b"95", b"96", b"1", b"09", b"9999", b"=", b"=", b"\x01", b"\x01", b"x"])


@given(st.lists(PIECES, max_size=16).map(b"".join))
def test_a_frame_that_is_taken_apart_in_one_go_is_what_it_is_byte_by_byte(frame):
    def found(way):
        try:
            message = way(frame, DATA)
        except Undecodable:
            return None
        return message.fields, message.by_tag, message.bad_tag, message.torn

    assert found(decode) == found(codec._decode_slowly)


SCALARS = st.one_of(
    st.text(max_size=8), st.binary(max_size=8), st.integers(), st.booleans(), st.decimals(), st.dates(), st.just([])
)


@given(st.lists(st.tuples(st.integers(1, 5_999), SCALARS), max_size=8))
def test_what_is_written_plainly_is_as_it_is_written_otherwise(pairs):
    plain = encode_plainly(b"FIX.4.4", b"35=D\x0134=1\x01", 2, pairs, DATA)

    assert plain in (None, *written_otherwise(pairs))


def test_most_messages_are_written_plainly():
    pairs = [(11, "id"), (38, Decimal("10.50")), (34, 7), (43, True), (60, datetime(2026, 11, 30, tzinfo=UTC))]

    assert [encode_plainly(b"FIX.4.4", b"35=D\x01", 1, pairs, DATA)] == written_otherwise(pairs, (35, b"D"))


def written_otherwise(pairs, *head):
    try:
        return [encode(b"FIX.4.4", [*(head or ((35, b"D"), (34, b"1"))), *flatten(pairs)], DATA)]
    except Unencodable:
        return []


def test_body_length_counts_bytes_not_characters():
    frame = encode(b"FIX.4.4", flatten([(35, "0"), (58, "Zürich")]), DATA)

    assert shown(frame).startswith("8=FIX.4.4|9=16|35=0|58=Zürich|10=")
    assert fix("8=FIX.4.4|35=0|58=Zürich") == frame


def test_groups_are_written_behind_their_count():
    flat = flatten([(453, [[(448, "A"), (452, 1)], [(448, "B"), (802, [[(523, "sub")]])]]), (58, "x")])

    assert flat == [(453, b"2"), (448, b"A"), (452, b"1"), (448, b"B"), (802, b"1"), (523, b"sub"), (58, b"x")]


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ([(35, b"D"), (58, b"a\x0110=000")], "field 58 must not hold the separator"),
        ([(35, b"D"), (58, b"")], "field 58 must not be empty"),
        ([(35, b"D"), (0, b"x")], "a tag must be at least 1, was 0"),
        ([(35, b"D"), (-4, b"x\x01y")], "a tag must be at least 1, was -4"),
    ],
)
def test_a_field_that_would_break_the_frame_is_refused(fields, why):
    with pytest.raises(Unencodable, match=why):
        encode(b"FIX.4.4", fields, DATA)


def test_a_tag_that_is_no_number_is_kept_as_it_was_written():
    assert decode(fix("8=FIX.4.4|35=0|-1=HI|58=x"), DATA).bad_tag == b"-1"
    assert decode(fix("8=FIX.4.4|35=0|0=HI|58=x"), DATA).bad_tag == b"0"
    assert decode(fix("8=FIX.4.4|35=0|058=HI|58=x"), DATA).get(58) == b"x"


@pytest.mark.parametrize(("text", "torn"), [("8=FIX.4.4|35=0|nothing", 35), ("8=FIX.4.4|35=0|58=x||1=y", 58)])
def test_a_value_that_goes_on_behind_a_separator_is_named(text, torn):
    message = decode(fix(text), DATA)
    assert (message.torn, message.get(10) is not None) == (torn, True)


def test_what_is_no_sequence_of_fields_is_refused():
    with pytest.raises(Undecodable):
        decode(fix("8=FIX.4.4|35=B|95=99|96=short"), DATA)
    with pytest.raises(Undecodable):
        decode(b"nothing\x01" + fix("8=FIX.4.4|35=0"), DATA)


@given(st.datetimes(min_value=datetime(1970, 1, 1), timezones=st.just(UTC)))
def test_timestamps_come_back_to_the_millisecond(at):
    whole = at.replace(microsecond=at.microsecond // 1000 * 1000)

    assert read_timestamp(timestamp(at)) == whole


def test_timestamps_are_written_in_utc():
    at = datetime(2026, 3, 1, 0, 30, tzinfo=timezone(timedelta(hours=1)))

    assert timestamp(at) == b"20260228-23:30:00.000"
    with pytest.raises(ValueError, match="needs a time zone"):
        timestamp(datetime(2026, 3, 1))


@pytest.mark.parametrize("value", [b"20260230-00:00:00", b"20260101-24:00:00", b"2026", b"20260101-00:00:00.", b""])
def test_what_is_no_timestamp_is_none(value):
    assert read_timestamp(value) is None


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12, places=6))
def test_decimals_are_written_without_exponent_and_come_back(value):
    assert b"E" not in wire(value).upper()
    assert read_decimal(wire(value)) == value


@pytest.mark.parametrize("value", [b"1e5", b"+1", b"NaN", b"", b"1.2.3", b"9" * 31, "٣".encode()])
def test_what_is_no_decimal_is_none(value):
    assert read_decimal(value) is None


def test_numbers_of_any_length_do_not_cost_time():
    assert read_integer(b"9" * 5_000_000) is None


def test_a_message_says_which_field_is_wrong():
    message = decode(fix("8=FIX.4.4|35=8|38=ten|60=noon"), DATA)

    with pytest.raises(FieldInvalid, match="field 38 must be a decimal number, was b'ten'"):
        message.decimal(38)
    with pytest.raises(FieldInvalid, match="field 11 must be present, is missing"):
        message.require(11)
    with pytest.raises(FieldInvalid, match="field 60 must be a UTC timestamp"):
        message.time(60)
    assert message.decimal(44) is None
    assert flatten([(44, Decimal("10.50"))]) == [(44, b"10.50")]
