"""Hashes many short texts at once: SHA-256 (FIPS 180-4) by the library that Python's `hashlib` stands on.

Called from Python, most of the time goes into calls and objects, and a quarter into hashing. So compiled code calls the
library itself, by the address of its functions (OpenSSL's `EVP_Digest*`), and no Python runs between two hashes.

Everything that is compiled together is in this file, because what was compiled is kept until its file changes.
"""

import _hashlib
import ctypes
from functools import cache
from typing import Any

import llvmlite.binding
import numpy as np
from numba import types

from services.audit.domain.merkle import HASH_BYTES
from services.audit.domain.scanning import Bytes, Ints, compiled

_NODE_PREFIX = np.array([1], np.uint8)
_CHILDREN_BYTES = 2 * HASH_BYTES


# The module leads to the very library that `hashlib` uses, wherever that is.
_LIBRARY = ctypes.CDLL(_hashlib.__file__)
_LIBRARY.EVP_MD_fetch.restype = ctypes.c_void_p
_LIBRARY.EVP_MD_fetch.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p]
_INT, _ADDRESS = types.int32, types.intp


def _external(name: str, returns: types.Type, *takes: types.Type) -> Any:  # noqa: ANN401 - numba's type, of which calls are made
    """Make a function of the library known to what is compiled, and to what is loaded that was compiled before."""
    known = f"evenkeel_{name}"
    llvmlite.binding.add_symbol(known, ctypes.cast(getattr(_LIBRARY, name), ctypes.c_void_p).value)
    return types.ExternalFunction(known, returns(*takes))


_new = _external("EVP_MD_CTX_new", _ADDRESS)
_free = _external("EVP_MD_CTX_free", types.void, _ADDRESS)
_begin = _external("EVP_DigestInit_ex", _INT, _ADDRESS, _ADDRESS, _ADDRESS)
_take = _external("EVP_DigestUpdate", _INT, _ADDRESS, _ADDRESS, types.uintp)
_end = _external("EVP_DigestFinal_ex", _INT, _ADDRESS, _ADDRESS, _ADDRESS)


@cache
def _sha256() -> int:
    """Return where the library has what it needs to know of SHA-256."""
    found = _LIBRARY.EVP_MD_fetch(None, b"SHA2-256", None)
    if not found:
        raise RuntimeError("OpenSSL gives no SHA-256")
    return int(found)


def part_hashes(prefix: Bytes, text: Bytes, starts: Ints, ends: Ints) -> Bytes:
    """Return SHA-256 of `prefix` and each part of `text`.

    Args:
        prefix: Shape (m,), uint8; may be empty.
        text: Shape (size,), uint8.
        starts: Shape (n,), int64: where each part begins in `text`.
        ends: Shape (n,), int64: where it ends, which is inside of `text` and not before it begins.

    Returns:
        Shape (n, 32), uint8.
    """
    hashes = np.empty((len(starts), HASH_BYTES), np.uint8)
    if _hash_parts(_sha256(), prefix, text, starts, ends, hashes):
        raise RuntimeError("OpenSSL did not hash")
    return hashes


def joined_parents(below: bytes) -> bytes:
    """Return what `merkle.joined_parents` does."""
    starts = np.arange(len(below) // _CHILDREN_BYTES) * _CHILDREN_BYTES
    return part_hashes(_NODE_PREFIX, np.frombuffer(below, np.uint8), starts, starts + _CHILDREN_BYTES).tobytes()


@compiled
def _hash_parts(kind: int, prefix: Bytes, text: Bytes, starts: Ints, ends: Ints, hashes: Bytes) -> int:
    """Write the hash of each part to `hashes`; return 0, or something else when the library failed."""
    begun = _new()
    if begun == 0:
        return 1
    failed = 0
    for n in range(len(starts)):
        done = _begin(begun, kind, 0)
        if len(prefix):
            done &= _take(begun, prefix.ctypes.data, len(prefix))
        done &= _take(begun, text.ctypes.data + starts[n], ends[n] - starts[n])
        done &= _end(begun, hashes.ctypes.data + n * HASH_BYTES, 0)
        failed |= done != 1
    _free(begun)
    return failed
