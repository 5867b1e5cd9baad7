"""Compiles what audit's scrub needs, and keeps it where tests and benchmarks look for compiled code.

python -m tools.local.compiled
"""

from pathlib import Path

from services.audit.store.compiling import compile_everything
from services.decision.clients.compiling import keep_compiled

BUILD = Path(__file__).parents[2] / "build" / "compiled"


def main() -> None:
    """Compile it, or see that it was."""
    keep_compiled(BUILD)
    compile_everything()


if __name__ == "__main__":
    main()
