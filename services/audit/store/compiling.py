"""Compiles what checks long stretches of the log, before it is wanted.

Compiled in the middle of the first long scrub, it would keep that for a quarter of a minute at the place where a
service has the least processor time to give. So an image brings what was compiled when it was built; on a processor
that has other instructions than the builder's it is compiled when the service starts, beside it.
"""

import multiprocessing
import os

from services.audit.store.stretches import NICENESS
from services.runtime.compiling import compiling_alone, shipped_folder


def compile_everything() -> None:
    """Compile it, or load what was compiled before."""
    # numba takes a second to be there, and must be told first where to keep what it compiles.
    from services.audit.domain import glance  # noqa: PLC0415 - see above
    from services.audit.store import copied  # noqa: PLC0415 - see above

    with compiling_alone():
        glance.warm_up()
        copied.warm_up()


def compile_beside() -> None:
    """Where this runs from an image, see in another process that what it brought can be used, or compile it."""
    if shipped_folder() is not None:
        multiprocessing.get_context("spawn").Process(target=_compile, name="compile", daemon=True).start()


def _compile() -> None:
    os.nice(NICENESS)
    compile_everything()
