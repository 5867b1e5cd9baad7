"""FIX messages as tests write them: `8=FIX.4.4|35=0|34=2|…`, length and sum added where they are missing."""

import re

from services.execution.fix.protocol.codec import checksum


def fix(text: str) -> bytes:
    """Return the bytes of a message in which `|` stands for SOH.

    BodyLength is put after BeginString and CheckSum at the end, unless the text has its own.
    """
    body = text.strip().replace("|", "\x01").encode()
    if not body.endswith(b"\x01"):
        body += b"\x01"
    head, _, rest = body.partition(b"\x01")
    own = re.search(rb"\x01(10=[^\x01]*\x01)$", body)
    trailer = own[1] if own else None
    if trailer:
        rest = rest.removesuffix(trailer)
    if not rest.startswith(b"9="):
        rest = b"9=%d\x01%b" % (len(rest), rest)
    whole = head + b"\x01" + rest
    return whole + (trailer or b"10=%03d\x01" % checksum(whole))


def shown(data: bytes) -> str:
    """Return bytes as a test writes them."""
    return data.decode("utf-8", "replace").replace("\x01", "|")
