"""Compiles what audit's scrub needs, and keeps it where tests and benchmarks look for compiled code.

python -m tools.local.compiled
"""

from pathlib import Path

from services.decision.clients.compiling import compiling_alone, keep_compiled

BUILD = Path(__file__).parents[2] / "build" / "compiled"


def main() -> None:
    """Compile it, or see that it was."""
    keep_compiled(BUILD)
    from services.audit.domain.glance import warm_up  # noqa: PLC0415 - numba is told first where to keep it

    with compiling_alone():
        warm_up()


if __name__ == "__main__":
    main()
