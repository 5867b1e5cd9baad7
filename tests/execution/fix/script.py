"""Conversations with a FIX server, as a client has them, in a notation of our own.

    # a comment
    > A 1 98=0|108=30          we send a Logon with number 1
    < A 1 98=0|108=30          the server must answer exactly this
    >2 A 1 98=0|108=30         the same on a second connection
    raw 8=FIX.4.4|9=30|…       we send these bytes; | is SOH
    closed                     the server must close the connection, saying nothing more
    close                      we close it
    again                      we connect once more

Sent and expected messages get the standard header: pairs whose tags belong there are put there. In what is sent `NOW`,
`NOW-121` and `NOW+10` are instants; in what is expected SendingTime, OrigSendingTime and TransactTime may be any.
"""

import asyncio
import contextlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from services.execution.fix.protocol.dictionary import fix_4_4
from services.execution.fix.protocol.framer import Framer
from services.execution.fix.protocol.values import read_timestamp
from tests.execution.fix.wire import fix, shown

ANSWER_S = 60.0
HEADER = set(fix_4_4().header.places)
TIMES = (52, 60, 122)


@dataclass(frozen=True)
class Version:
    """How the client speaks: its CompID, and what a Logon says besides."""

    begin_string: str
    client: str
    logon: str = ""

    def spoken(self, text):
        """Return a step's message type, number and pairs."""
        kind, number, pairs = [*text.split(" ", 2), ""][:3]
        return kind, number, pairs + self.logon if kind == "A" else pairs


FIX_4_4 = Version("FIX.4.4", "TW44")
FIX_5_0_SP2 = Version("FIXT.1.1", "TW50", "|1137=9")


class Peer:
    """A client's connection."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.framer = Framer()
        self.frames = []

    @classmethod
    async def connect(cls, port):
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    def send(self, data):
        self.writer.write(data)

    async def receive(self):
        """Return the next frame; None when the server closed."""
        async with asyncio.timeout(ANSWER_S):
            while not self.frames:
                try:
                    data = await self.reader.read(65536)
                except ConnectionError:
                    data = b""
                if not data:
                    return None
                self.frames += self.framer.feed(data)
        return self.frames.pop(0)

    async def close(self):
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()


def instants(text):
    # One for the whole message: what was sent first may not be later than what is sent again.
    now = datetime.now(UTC)

    def instant(found):
        at = now + timedelta(seconds=int(found[1] or 0))
        return at.strftime("%Y%m%d-%H:%M:%S")

    return re.sub(r"NOW([+-]\d+)?", instant, text)


def message(kind, number, rest, version):
    """Return a client's message as text for `fix`; the pairs of `rest` may replace header fields, `-` drops one."""
    pairs = [pair.partition("=")[::2] for pair in rest.split("|") if pair]
    header = {"49": version.client, "52": "NOW", "56": "ISLD"}
    begin = version.begin_string
    extra, body = [], []
    for tag, value in pairs:
        if tag == "8":
            begin = value
        elif tag in header:
            header[tag] = value
        elif tag.isdigit() and int(tag) in HEADER:
            extra.append(f"{tag}={value}")
        else:
            body.append(f"{tag}={value}")
    fields = [f"35={kind}", f"34={number}", *[f"{tag}={value}" for tag, value in header.items() if value != "-"]]
    return instants("|".join([f"8={begin}", *fields, *extra, *body]))


def expected(kind, number, rest, version):
    """Return the server's message as pairs, without BodyLength and CheckSum, which the framer checked."""
    pairs = [tuple(pair.partition("=")[::2]) for pair in rest.split("|") if pair]
    header = [("34", number), ("49", "ISLD"), ("52", "NOW"), ("56", version.client)]
    header += [pair for pair in pairs if int(pair[0]) in HEADER]
    body = [pair for pair in pairs if int(pair[0]) not in HEADER]
    return [("8", version.begin_string), ("35", kind), *sorted(header, key=lambda pair: int(pair[0])), *body]


def check(frame, wanted, line):
    assert frame is not None, f"{line}: the server closed the connection"
    assert isinstance(frame, bytes), f"{line}: the server sent garbage: {frame}"
    got = [pair.partition("=")[::2] for pair in shown(frame).rstrip("|").split("|")]
    got = [pair for pair in got if pair[0] not in ("9", "10")]
    assert [tag for tag, _ in got] == [tag for tag, _ in wanted], f"{line}: got {shown(frame)}"
    for (tag, value), (_, want) in zip(got, wanted, strict=True):
        if int(tag) in TIMES:
            assert read_timestamp(value.encode()) is not None, f"{line}: got {shown(frame)}"
        else:
            assert value == want, f"{line}: got {shown(frame)}"


async def play(text, port, version=FIX_4_4):
    """Have the conversation with the server on `port`; raises AssertionError where it differs."""
    text = text.replace("8=FIX.4.4|", f"8={version.begin_string}|").replace("49=TW44", f"49={version.client}")
    peers = {"1": await Peer.connect(port)}
    try:
        for line in text.strip().splitlines():
            if line.strip() and not line.startswith("#"):
                await _step(line.strip(), peers, port, version)
    finally:
        for peer in peers.values():
            await peer.close()


async def _step(line, peers, port, version):
    verb, _, rest = line.partition(" ")
    which = verb[-1] if verb[-1].isdigit() else "1"
    verb = verb.rstrip("12")
    if verb == "again":
        await peers[which].close()
        peers[which] = await Peer.connect(port)
        return
    if which not in peers:
        peers[which] = await Peer.connect(port)
    peer = peers[which]
    if verb == ">":
        kind, number, pairs = version.spoken(rest)
        peer.send(fix(message(kind, number, pairs, version)))
    elif verb == "raw":
        peer.send(fix(instants(rest)) if not rest.startswith("35=") else instants(rest).replace("|", "\x01").encode())
    elif verb == "<":
        kind, number, pairs = version.spoken(rest)
        check(await peer.receive(), expected(kind, number, pairs, version), line)
    elif verb == "closed":
        frame = await peer.receive()
        assert frame is None, f"{line}: got {shown(frame)}"
    elif verb == "close":
        await peer.close()
    else:
        raise AssertionError(f"no such step: {line}")
