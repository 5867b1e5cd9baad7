"""Between fields and bytes: `tag=value`, SOH after each, BodyLength and CheckSum around them.

Both directions are a handful of calls into C per message: one split takes all fields apart, one join puts them
together, and Adler-32, whose lower half is a plain sum of bytes, gives the checksum.

Source: FIX specification 4.4, volume 2, "Message format": BodyLength (9) counts the bytes after its own SOH up to and
with the SOH before CheckSum (10), which is the sum of all bytes before it modulo 256, as three digits.
"""

import re
import zlib
from collections.abc import Iterable, Mapping, Sequence

from services.execution.fix.protocol.message import Message
from services.execution.fix.protocol.values import WRITERS, Pair, wire

SOH = b"\x01"
_SOH = 1

# So many bytes sum up to less than Adler-32's modulus of 65521, whatever they are: (65521 - 2) // 255; and so many
# characters of ASCII: (65521 - 2) // 127.
_ADLER_EXACT, _ADLER_EXACT_ASCII = 256, 515

# All bytes but the two that part a message: without these, `=` and the separator take turns if no value holds either.
_CONTENT = bytes(each for each in range(256) if each not in b"=\x01")
# Where a value holds `=`: from one separator to the next, or not at all. So the count of separators tells whether
# everything was a field.
_FIELD = re.compile(rb"(?<![^\x01])([1-9][0-9]{0,8})=([^\x01]*)\x01")
_TAG = re.compile(rb"[1-9][0-9]{0,8}")
# Tags below this one take the fast way.
_TAGS_KNOWN = 6000


class Undecodable(ValueError):
    """The bytes are no sequence of fields: they begin or end without `=`, or a data field is not as long as it says."""


class Unencodable(ValueError):
    """A field cannot be written: it is empty, or holds the separator and is no data field."""


class DataTags:
    """Which fields may hold the separator, and which say how long those are.

    Attributes:
        data_of: Tag of each data field, by the tag of its length.
        length_of: The other way round.
        all: Both.
        number_of: Number of each other tag, by how it is written.
        prefix_of: The other way round, with the `=`.
    """

    __slots__ = ("all", "data_of", "length_of", "number_of", "prefix_of")

    def __init__(self, data_of: Mapping[int, int]) -> None:
        """Take the data field of each length field."""
        self.data_of = dict(data_of)
        self.length_of = {data: length for length, data in data_of.items()}
        self.all = frozenset(self.data_of) | frozenset(self.length_of)
        plain = [tag for tag in range(1, _TAGS_KNOWN) if tag not in self.all]
        self.number_of = {b"%d" % tag: tag for tag in plain}
        self.prefix_of = {tag: b"%d=" % tag for tag in plain}


def checksum(data: bytes) -> int:
    """Return the sum of all bytes modulo 256."""
    exact = _ADLER_EXACT_ASCII if data.isascii() else _ADLER_EXACT
    if len(data) <= exact:
        return ((zlib.adler32(data) & 0xFFFF) - 1) & 0xFF
    view = memoryview(data)
    total = 0
    for at in range(0, len(data), exact):
        total += (zlib.adler32(view[at : at + exact]) & 0xFFFF) - 1
    return total & 0xFF


def decode(frame: bytes, data_tags: DataTags) -> Message:
    """Take a frame apart.

    Args:
        frame: From `8=` to the SOH after CheckSum.
        data_tags: Of the version spoken.

    Raises:
        Undecodable: It is no sequence of fields.
    """
    marks = frame.translate(None, _CONTENT)
    if marks == b"=\x01" * (len(marks) // 2):
        pieces = frame.replace(SOH, b"=").split(b"=")
        written, values, whole = pieces[:-1:2], pieces[1::2], not pieces[-1]
    else:
        found = _FIELD.findall(frame)
        written, values = [tag for tag, _ in found], [value for _, value in found]
        whole = frame.endswith(SOH) and frame.count(SOH) == len(found)
    if not whole:
        return _decode_slowly(frame, data_tags)
    try:
        return Message(tuple(map(data_tags.number_of.__getitem__, written)), values, frame)
    except KeyError:
        # A data field, or a tag beyond those prepared.
        return _decode_slowly(frame, data_tags)


def _decode_slowly(frame: bytes, data_tags: DataTags) -> Message:
    tags: list[int] = []
    values: list[bytes] = []
    bad_tag: bytes | None = None
    torn: int | None = None
    at, end = 0, len(frame)
    length: int | None = None
    awaited = 0
    while at < end:
        equals = frame.find(b"=", at)
        if equals < 0:
            raise Undecodable(f"no = after byte {at}")
        written = frame[at:equals]
        if SOH in written:
            # The separator was in the value before it, which may not have one.
            if not tags:
                raise Undecodable(f"the field at byte {at} has no =")
            torn = torn or tags[-1]
            at = frame.find(SOH, at) + 1
            continue
        tag = int(written) if _TAG.fullmatch(written) else 0
        start = equals + 1
        if length is not None and tag == awaited:
            stop = start + length
            if stop >= end or frame[stop] != _SOH:
                raise Undecodable(f"data field {tag} is not {length} bytes long")
        else:
            stop = frame.find(SOH, start)
            if stop < 0:
                raise Undecodable(f"the field at byte {at} has no end")
        value = frame[start:stop]
        length = None
        if tag:
            tags.append(tag)
            values.append(value)
            awaited = data_tags.data_of.get(tag, 0)
            if awaited and value.isdigit() and len(value) < len("100000000"):
                length = int(value)
        elif bad_tag is None:
            bad_tag = written
        at = stop + 1
    return Message(tuple(tags), values, frame, bad_tag, torn)


def encode(begin_string: bytes, fields: Sequence[tuple[int, bytes]], data_tags: DataTags) -> bytes:
    """Return the frame of `fields`, which begin with MsgType; BeginString, BodyLength and CheckSum are added.

    Args:
        begin_string: For instance `b"FIX.4.4"`.
        fields: Everything between BodyLength and CheckSum; the length of a data field is added before it.
        data_tags: Of the version spoken.

    Raises:
        Unencodable: A value is empty, or holds SOH and is no data field.
    """
    prefix_of = data_tags.prefix_of
    try:
        body = SOH.join([prefix_of[tag] + value for tag, value in fields]) + SOH
    except KeyError:
        # A data field, or a tag beyond those prepared.
        body = _encode_slowly(fields, data_tags)
    else:
        # A separator within a value is one too many; an empty value leaves `=` before it.
        if body.count(SOH) != len(fields) or b"=\x01" in body:
            body = _encode_slowly(fields, data_tags)
    return _framed(begin_string, body)


def encode_plainly(
    begin_string: bytes, head: bytes, head_fields: int, pairs: Sequence[Pair], data_tags: DataTags
) -> bytes | None:
    """Return the frame of `head` and `pairs`, at a third of what `encode` and `flatten` take.

    Args:
        begin_string: For instance `b"FIX.4.4"`.
        head: Fields from MsgType on, as they are written.
        head_fields: How many.
        pairs: What follows them.
        data_tags: Of the version spoken.

    Returns:
        None where that is not all: with groups, data fields, and whatever `encode` refuses.
    """
    prefix_of = data_tags.prefix_of
    try:
        parts = [prefix_of[tag] + WRITERS[type(value)](value) for tag, value in pairs]
    except (KeyError, ValueError):
        return None
    body = head + SOH.join(parts) + SOH
    if body.count(SOH) != head_fields + len(parts) or b"=\x01" in body:
        return None
    return _framed(begin_string, body)


def _framed(begin_string: bytes, body: bytes) -> bytes:
    head = b"8=%b\x019=%d\x01%b" % (begin_string, len(body), body)
    return b"%b10=%03d\x01" % (head, checksum(head))


def _encode_slowly(fields: Sequence[tuple[int, bytes]], data_tags: DataTags) -> bytes:
    length_of = data_tags.length_of
    parts = []
    for tag, value in fields:
        if tag < 1:
            raise Unencodable(f"a tag must be at least 1, was {tag}")
        if not value:
            raise Unencodable(f"field {tag} must not be empty")
        if tag in data_tags.data_of:
            # Written by ourselves, with the data; a caller's own count could only be the same or wrong.
            continue
        if tag in length_of:
            parts.append(b"%d=%d\x01" % (length_of[tag], len(value)))
        elif SOH in value:
            raise Unencodable(f"field {tag} must not hold the separator (byte 1), was {value[:64]!r}")
        parts.append(b"%d=%b\x01" % (tag, value))
    return b"".join(parts)


def flatten(pairs: Iterable[Pair]) -> list[tuple[int, bytes]]:
    """Return fields as bytes, the entries of repeating groups behind their counts.

    Raises:
        Unencodable: A group is a text, or a value cannot be written.
    """
    flat: list[tuple[int, bytes]] = []
    add = flat.append
    writer_of = WRITERS.get
    tag = 0
    try:
        for tag, value in pairs:
            writer = writer_of(type(value))
            if writer is not None:
                add((tag, writer(value)))
            elif isinstance(value, (list, tuple)):
                add((tag, b"%d" % len(value)))
                for entry in value:
                    flat += flatten(entry)
            else:
                add((tag, wire(value)))  # type: ignore[arg-type]  # sequences were handled above
    except ValueError as wrong:
        raise Unencodable(f"field {tag}: {wrong}") from wrong
    return flat
