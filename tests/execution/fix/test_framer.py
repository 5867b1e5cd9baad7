import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.execution.fix.protocol.framer import Framer, Garbled
from tests.execution.fix.wire import fix

HEARTBEAT = fix("8=FIX.4.4|35=0|34=2|49=TW44|52=20261128-10:00:00|56=ISLD")
ORDER = fix("8=FIX.4.4|35=D|34=3|49=TW44|52=20261128-10:00:00|56=ISLD|11=ID|21=3|40=1|54=1|55=INTC")
DATA = fix("8=FIX.4.4|35=B|34=4|49=TW44|52=20261128-10:00:00|56=ISLD|95=24|96=x|10=000|8=FIX.4.4|9=5|y")


def frames(framer, *pieces):
    return [each for piece in pieces for each in framer.feed(piece)]


@given(st.data())
def test_however_the_stream_is_cut_the_messages_are_the_same(data):
    wanted = data.draw(st.lists(st.sampled_from([HEARTBEAT, ORDER, DATA]), max_size=6))
    stream = b"".join(wanted)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    framer = Framer()

    assert frames(framer, *pieces) == wanted
    assert framer.held == 0


@given(st.binary(max_size=300), st.lists(st.integers(0, 400), max_size=8))
def test_garbage_is_garbled_however_it_is_cut_and_never_kept(noise, cuts):
    stream = noise + HEARTBEAT
    cuts = sorted(min(cut, len(stream)) for cut in cuts)
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    found = frames(Framer(), *pieces)

    assert found[-1] == HEARTBEAT
    assert sum(each.size for each in found[:-1]) == len(noise)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (fix("8=FIX.4.4|9=30|35=D|34=3|49=TW44|52=20261128-10:00:00|56=ISLD|11=ID"), "no CheckSum 30 bytes after"),
        (fix("8=FIX.4.4|35=D|34=3|49=TW44|10=256"), "CheckSum must be"),
        (fix("8=FIX.4.4|35=D|34=3|49=TW44|10=0"), "no CheckSum"),
        (fix("8=FIX.4.4|34=3|35=D|49=TW44"), "the third field must be MsgType"),
        (fix("8=FIX.4.4|9=0|35=D|34=3"), "no CheckSum 0 bytes after"),
        (fix("8=FIX.4.4|9=300000|35=D|34=3"), "BodyLength must be at most 262144, was 300000"),
        (b"35=0\x01" + HEARTBEAT[2:], "no message begins here"),
    ],
)
def test_a_garbled_message_is_skipped_and_the_next_one_found(bad, why):
    found = Framer().feed(bad + HEARTBEAT)

    assert found[0].why.startswith(why)
    assert found[-1] == HEARTBEAT
    assert all(isinstance(each, Garbled) for each in found[:-1])


def test_a_length_too_long_takes_the_beginning_of_the_next_message_with_it():
    long = ORDER.replace(b"9=%d\x01" % (len(ORDER) - 22), b"9=%d\x01" % (len(ORDER) - 22 + 14))
    found = Framer().feed(long + HEARTBEAT + ORDER)

    assert [each for each in found if isinstance(each, bytes)] == [ORDER]


def test_a_stream_without_messages_is_not_kept():
    framer = Framer()
    for _ in range(100):
        framer.feed(b"\x00" * 10_000)

    assert framer.held < 40


def test_a_message_that_comes_byte_by_byte_costs_no_more_than_its_size():
    body = "8=FIX.4.4|35=B|34=4|49=TW44|52=20261128-10:00:00|56=ISLD|58=" + "x" * 100_000
    framer = Framer()
    found = [each for byte in fix(body) for each in framer.feed(bytes([byte]))]

    assert found == [fix(body)]
