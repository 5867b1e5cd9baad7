"""A FIX message: what came, field by field in its order, and what we want to say."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from services.execution.fix.protocol.tags import MSG_SEQ_NUM, MSG_TYPE, POSS_DUP_FLAG, POSS_RESEND
from services.execution.fix.protocol.values import Pair, read_decimal, read_integer, read_timestamp


class FieldInvalid(ValueError):
    """A field that is needed is missing, or does not hold what its type says."""

    def __init__(self, tag: int, value: bytes | None, expected: str) -> None:
        """Name the field, its value and what it should have been."""
        shown = "is missing" if value is None else f"was {value[:64]!r}"
        super().__init__(f"field {tag} must be {expected}, {shown}")
        self.tag = tag
        self.value = value


class Message:
    """A message as it was received: its fields in their order, the whole frame beside them.

    Attributes:
        tags: The tag of each field, from BeginString to CheckSum.
        values: Their values, in the same order.
        raw: The frame.
        bad_tag: The first tag that is not a number from 1 on, as it was written; such fields are left out.
        torn: The first field whose value went on behind a separator, so that what follows it has no tag.
        by_tag: The first value of each field.
        get: Returns the first value of a field by its tag; None without one.
        msg_type: The message type; bytes that are no ASCII, and NUL, are replaced.
    """

    __slots__ = ("bad_tag", "by_tag", "get", "msg_type", "raw", "tags", "torn", "values")

    def __init__(
        self,
        tags: tuple[int, ...],
        values: Sequence[bytes],
        raw: bytes,
        bad_tag: bytes | None = None,
        torn: int | None = None,
    ) -> None:
        """Keep what was decoded; as many `values` as `tags`."""
        self.torn = torn
        self.tags = tags
        self.values = values
        self.raw = raw
        self.bad_tag = bad_tag
        self.by_tag: dict[int, bytes] = dict(zip(tags, values, strict=True))
        if len(self.by_tag) != len(tags):
            # Backwards, so that the first of several is the one that stays.
            self.by_tag = dict(zip(reversed(tags), reversed(values), strict=True))
        # Asked dozens of times for each message: the dictionary's own method, without a call of ours around it.
        self.get: Callable[[int], bytes | None] = self.by_tag.get
        self.msg_type = _without_nul(self.by_tag.get(MSG_TYPE, b"").decode("ascii", "replace"))

    @property
    def fields(self) -> list[tuple[int, bytes]]:
        """Return tag and value of each field, in their order."""
        return list(zip(self.tags, self.values, strict=True))

    @property
    def number(self) -> int | None:
        """Return MsgSeqNum; None if it is missing or no number from 0 on."""
        value = self.get(MSG_SEQ_NUM)
        return (
            int(value) if value is not None and value.isdigit() and len(value) <= len("18446744073709551615") else None
        )

    @property
    def poss_dup(self) -> bool:
        """Return whether it was sent before under this number."""
        return self.get(POSS_DUP_FLAG) == b"Y"

    @property
    def poss_resend(self) -> bool:
        """Return whether its content may have been sent before under another number."""
        return self.get(POSS_RESEND) == b"Y"

    def text(self, tag: int) -> str | None:
        """Return a field as text, UTF-8; bytes that are none, and NUL, are replaced."""
        value = self.get(tag)
        if value is None:
            return None
        text = value.decode("utf-8", "replace")
        return _without_nul(text) if "\0" in text else text

    def require(self, tag: int) -> str:
        """Return a field as text.

        Raises:
            FieldInvalid: It is missing or empty.
        """
        value = self.text(tag)
        if not value:
            raise FieldInvalid(tag, None if value is None else b"", "present")
        return value

    def integer(self, tag: int) -> int | None:
        """Return a field as an integer; None without it.

        Raises:
            FieldInvalid: It is none.
        """
        value = self.get(tag)
        if value is None:
            return None
        if (number := read_integer(value)) is None:
            raise FieldInvalid(tag, value, "an integer")
        return number

    def decimal(self, tag: int) -> Decimal | None:
        """Return a field as a decimal; None without it.

        Raises:
            FieldInvalid: It is none.
        """
        value = self.get(tag)
        if value is None:
            return None
        if (number := read_decimal(value)) is None:
            raise FieldInvalid(tag, value, "a decimal number")
        return number

    def time(self, tag: int) -> datetime | None:
        """Return a field as an instant; None without it.

        Raises:
            FieldInvalid: It is none.
        """
        value = self.get(tag)
        if value is None:
            return None
        if (instant := read_timestamp(value)) is None:
            raise FieldInvalid(tag, value, "a UTC timestamp")
        return instant

    def flag(self, tag: int) -> bool:
        """Return a field as a boolean; False without it."""
        return self.get(tag) == b"Y"

    def __repr__(self) -> str:
        """Return the frame, with `|` between its fields."""
        return f"Message({self.raw.decode('utf-8', 'replace').replace(chr(1), '|')})"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What we want to say; the session adds the standard header and trailer.

    Attributes:
        msg_type: For instance `D`.
        body: Fields in their order. A sequence of entries as value is a repeating group under its count tag; of a data
            field only the data is given, the encoder writes its length before it.
        header: Further header fields, for instance OnBehalfOfCompID or PossResend.
    """

    msg_type: str
    body: Sequence[Pair]
    header: Sequence[Pair] = field(default=())


def _without_nul(text: str) -> str:
    """Return text that can be kept: PostgreSQL's has no NUL."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")
