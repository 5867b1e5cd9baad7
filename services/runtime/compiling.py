"""Where compiled code is kept, so that it is compiled once and then loaded.

An image brings what was compiled when it was built (`SHIPPED`). Where it runs, only the folder of `CACHE_FOLDER` can be
written to, so that is where it is copied to.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# The variable by which numba is told; it reads it when it is imported.
CACHE_FOLDER = "NUMBA_CACHE_DIR"
# Where an image has what was compiled for it.
SHIPPED = "EVENKEEL_COMPILED_DIR"


def keep_compiled(folder: Path) -> None:
    """Keep compiled code of this and all child processes in `folder`, unless the environment names another.

    Call it before numba is imported.
    """
    environment = os.environ
    there = next(each for each in folder.parents if each.exists())
    if CACHE_FOLDER not in environment and not os.access(there, os.W_OK):
        # numba then keeps it where it always does.
        return
    environment.setdefault(CACHE_FOLDER, str(folder))
    bring_shipped()


def bring_shipped() -> None:
    """Copy what the image has to where compiled code is kept, unless something is there; does nothing without image."""
    shipped, kept = shipped_folder(), os.environ.get(CACHE_FOLDER)
    if shipped is not None and kept is not None and not Path(kept).exists():
        shutil.copytree(shipped, kept)


def shipped_folder() -> Path | None:
    """Return where the image that this runs from has compiled code; None when it runs from none."""
    shipped = os.environ.get(SHIPPED)
    return Path(shipped) if shipped is not None and Path(shipped).is_dir() else None


@contextmanager
def compiling_alone() -> Iterator[None]:
    """Let one process at a time compile what several need; the others then load it."""
    folder = os.environ.get(CACHE_FOLDER)
    if folder is None:
        yield
        return
    Path(folder).mkdir(parents=True, exist_ok=True)
    with (Path(folder) / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
