"""Where compiled code is kept, so that it is compiled once and then loaded.

numba renews what it kept when the file of a function changes, and not when that of a function which it calls does. So
what is kept is kept under the hash of all files that are compiled.
"""

from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

from services.runtime import compiling

_DOMAIN = Path(__file__).parents[1] / "domain"
_COMPILED = (
    "kernel/*.py",
    "bulk/check.py",
    "bulk/columns.py",
    "bulk/desk.py",
    "bulk/exact.py",
    "bulk/gathering.py",
    "bulk/layout.py",
    "bulk/packing.py",
    "bulk/pieces.py",
    "bulk/road.py",
    "bulk/sharing.py",
    "bulk/trading.py",
    "bulk/why.py",
    "bulk/writing.py",
    "batch_certificate.py",
    "compiling.py",
    "convex.py",
    "screening.py",
    "tax/batch/array_bytes.py",
    "tax/batch/days.py",
    "tax/batch/lots.py",
    "tax/batch/marginal.py",
    "tax/batch/rows.py",
    "tax/batch/texts.py",
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
    compiling.keep_compiled(root / sources_hash())
