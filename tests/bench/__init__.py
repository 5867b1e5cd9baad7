"""How fast is it, beside what somebody would use instead? `make bench [ONLY=prefix]`."""

from pathlib import Path

from services.decision.clients.compiling import keep_compiled

# Before anything imports numba.
keep_compiled(Path(__file__).parents[2] / "build" / "compiled")
