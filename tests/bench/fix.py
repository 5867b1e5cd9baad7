"""FIX: bytes to fields and back, beside simplefix."""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from importlib.metadata import version

import simplefix

from services.execution.fix.protocol.codec import decode, encode, flatten
from services.execution.fix.protocol.dictionary import fix_4_4
from services.execution.fix.protocol.framer import Framer
from services.execution.fix.protocol.values import Pair
from tests.bench.results import Result, interleaved

ROUNDS = 9
MESSAGES = 2000
# As a socket gives them: so many messages in one read.
READ = 50
DATA_TAGS = fix_4_4().data_tags
NOW = datetime(2026, 11, 30, 15, 4, 5, 678000, tzinfo=UTC)
STAMP = "20261130-15:04:05.678"


def _report(number: int) -> list[Pair]:
    """Return an execution report as an application has it: text, integers, decimals, an instant, a group."""
    return [
        (35, "8"),
        (34, number),
        (49, "BROKER"),
        (52, NOW),
        (56, "EVENKEEL"),
        (37, f"broker-order-{number}"),
        (11, f"client-order-{number}"),
        (453, [[(448, "DESK"), (447, "D"), (452, 24)]]),
        (17, f"execution-{number}"),
        (150, "F"),
        (39, "1"),
        (55, "VTI"),
        (54, "1"),
        (38, Decimal("1000.0000")),
        (44, Decimal("251.3700")),
        (32, Decimal("200.0000")),
        (31, Decimal("251.3650")),
        (151, Decimal("800.0000")),
        (14, Decimal("200.0000")),
        (6, Decimal("251.3650")),
        (60, NOW),
    ]


REPORTS = [_report(number) for number in range(1, MESSAGES + 1)]


def _encode_ours() -> None:
    for fields in REPORTS:
        encode(b"FIX.4.4", flatten(fields), DATA_TAGS)


def _encode_simplefix() -> None:
    for fields in REPORTS:
        message = simplefix.FixMessage()
        message.append_pair(8, "FIX.4.4")
        for tag, value in fields:
            if isinstance(value, list):
                message.append_pair(tag, len(value))
                for inner_tag, inner in value[0]:
                    message.append_pair(inner_tag, inner)
            elif isinstance(value, datetime):
                message.append_utc_timestamp(tag, value, 3)
            else:
                message.append_pair(tag, value)
        message.encode()


WIRE = [encode(b"FIX.4.4", flatten(fields), DATA_TAGS) for fields in REPORTS]
READS = [b"".join(WIRE[at : at + READ]) for at in range(0, MESSAGES, READ)]


def _parse_ours() -> None:
    framer = Framer()
    found = 0
    for read in READS:
        for frame in framer.feed(read):
            message = decode(frame, DATA_TAGS)
            found += message.get(17) is not None and message.get(60) is not None
    assert found == MESSAGES


def _parse_simplefix() -> None:
    parser = simplefix.FixParser()
    found = 0
    for read in READS:
        parser.append_buffer(read)
        while (message := parser.get_message()) is not None:
            found += message.get(17) is not None and message.get(60) is not None
    assert found == MESSAGES


def _per_s(work: Callable[[], None]) -> Callable[[], float]:
    def measure() -> float:
        began = time.process_time()
        work()
        return MESSAGES / (time.process_time() - began)

    return measure


def codec() -> Sequence[Result]:
    """Encode and parse execution reports; ours checks BodyLength and CheckSum, simplefix does not."""
    rates = interleaved(
        ROUNDS,
        {
            "encode": _per_s(_encode_ours),
            "encode peer": _per_s(_encode_simplefix),
            "parse": _per_s(_parse_ours),
            "parse peer": _per_s(_parse_simplefix),
        },
    )
    versions = {"simplefix": version("simplefix")}

    def row(name: str, ours: float, theirs: float) -> Result:
        return Result(name, ours, "messages/s of one core", "simplefix", theirs, ours / theirs, versions)

    def both(suffix: str) -> float:
        return 1 / (1 / rates[f"encode{suffix}"] + 1 / rates[f"parse{suffix}"])

    return [
        row("fix.codec_vs_simplefix", both(""), both(" peer")),
        row("fix.codec_vs_simplefix_encode", rates["encode"], rates["encode peer"]),
        row("fix.codec_vs_simplefix_parse", rates["parse"], rates["parse peer"]),
    ]
