"""Where compiled code is kept, so that it is compiled once and then loaded.

numba renews what it kept when the file of a function changes, and not when that of a function which it calls does. So
what is kept is kept under the hash of all files that are compiled. An image brings what was compiled when it was built.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

# The variable by which numba is told; it reads it when it is imported.
CACHE_FOLDER = "NUMBA_CACHE_DIR"
# Where an image has what was compiled for it; where it runs, only the folder of `CACHE_FOLDER` can be written to.
SHIPPED = "EVENKEEL_COMPILED_DIR"

_DOMAIN = Path(__file__).parents[1] / "domain"
_COMPILED = (
    "kernel/*.py",
    "bulk/check.py",
    "bulk/columns.py",
    "bulk/exact.py",
    "bulk/gathering.py",
    "bulk/layout.py",
    "bulk/packing.py",
    "bulk/road.py",
    "bulk/trading.py",
    "bulk/why.py",
    "batch_certificate.py",
    "compiling.py",
    "convex.py",
    "screening.py",
    "tax/batch/days.py",
    "tax/batch/lots.py",
    "tax/batch/marginal.py",
    "tax/batch/whole.py",
    "tax/batch/years.py",
)


def sources_hash() -> str:
    """Return a short hash of everything that is compiled, and of what compiles it."""
    digest = sha256(version("numba").encode())
    for pattern in _COMPILED:
        for file in sorted(_DOMAIN.glob(pattern)):
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def keep_compiled(root: Path) -> None:
    """Keep compiled code of this and all child processes under `root`, unless the environment names a folder.

    Call it before numba is imported.
    """
    environment = os.environ  # noqa: TID251 - numba reads where it keeps things from there, and from nowhere else
    there = next(each for each in root.parents if each.exists())
    if CACHE_FOLDER not in environment and not os.access(there, os.W_OK):
        # numba then keeps it where it always does.
        return
    environment.setdefault(CACHE_FOLDER, str(root / sources_hash()))
    shipped, kept = environment.get(SHIPPED), Path(environment[CACHE_FOLDER])
    if shipped is not None and Path(shipped).is_dir() and not kept.exists():
        shutil.copytree(shipped, kept)


@contextmanager
def compiling_alone() -> Iterator[None]:
    """Let one process at a time compile what several need; the others then load it."""
    folder = os.environ.get(CACHE_FOLDER)  # noqa: TID251 - as above
    if folder is None:
        yield
        return
    Path(folder).mkdir(parents=True, exist_ok=True)
    with (Path(folder) / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
