"""Pages of a list, by the position of the last row shown.

A token is opaque and belongs to the list that gave it: method and filter are part of it, so a token of another list is
refused instead of skipping rows. It holds no secret and grants nothing.

    page = read_page(request, default=100, most=1000)
    rows = await store.plans(request.filter, after=page.after, limit=page.size + 1)
    shown, token = cut(rows, page, lambda row: (row.plan_id,))
"""

import binascii
import hashlib
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from google.protobuf.message import Message

from services.kernel.canonical import canonical_json
from services.kernel.errors import Invalid

# Format of the token; another first byte is another format.
_VERSION = b"\x01"
_BINDING_BYTES = 12

T = TypeVar("T")

Position = tuple[str | int, ...]


class PageTokenInvalid(Invalid):
    """The page token is not one that this list gave for this filter."""

    reason = "PAGE_TOKEN_INVALID"


@dataclass(frozen=True, slots=True)
class Page:
    """Which page is wanted: `size` rows after the position `after`; from the start when None."""

    size: int
    after: Position | None
    binding: bytes

    def token(self, last: Position) -> str:
        """Return the token of the page that follows the row at `last`."""
        return urlsafe_b64encode(_VERSION + self.binding + canonical_json(list(last))).decode().rstrip("=")


def read_page(request: Message, *, default: int, most: int) -> Page:
    """Return which page a list request asks for.

    Args:
        request: Has `page_size` and `page_token`; every other field is the filter.
        default: Size when the request says 0.
        most: Largest size; more is cut to it.

    Raises:
        Invalid: `page_size` is negative.
        PageTokenInvalid: The token is not of this method and filter.
    """
    paged: Any = request
    size: int = paged.page_size
    token: str = paged.page_token
    if size < 0:
        description = f"must be at least 0, was {size}"
        raise Invalid.of("page_size", description)
    binding = _binding(request)
    return Page(min(size or default, most), _position(token, binding) if token else None, binding)


def cut(rows: Sequence[T], page: Page, position: Callable[[T], Position]) -> tuple[Sequence[T], str]:
    """Return the rows of the page and the token of the next one, empty on the last.

    Args:
        rows: What the store found, asked for one row more than the page holds.
        page: The page wanted.
        position: Returns the columns that order the list, of one row.
    """
    if len(rows) <= page.size:
        return rows, ""
    shown = rows[: page.size]
    return shown, page.token(position(shown[-1]))


def _binding(request: Message) -> bytes:
    only_filter = type(request)()
    only_filter.CopyFrom(request)
    only_filter.ClearField("page_size")
    only_filter.ClearField("page_token")
    name = request.DESCRIPTOR.full_name.encode()
    return hashlib.sha256(name + b"\0" + only_filter.SerializeToString(deterministic=True)).digest()[:_BINDING_BYTES]


def _position(token: str, binding: bytes) -> Position:
    try:
        data = urlsafe_b64decode(token + "=" * (-len(token) % 4))
        head, position = data[: 1 + _BINDING_BYTES], json.loads(data[1 + _BINDING_BYTES :])
    except (binascii.Error, ValueError) as error:
        raise _refused() from error
    if head != _VERSION + binding or not isinstance(position, list):
        raise _refused()
    if not all(isinstance(each, str | int) for each in position):
        raise _refused()
    return tuple(position)


def _refused() -> PageTokenInvalid:
    description = "must be a token that this list gave for this filter"
    return PageTokenInvalid.of("page_token", description)
