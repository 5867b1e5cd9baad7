"""Fuzzing guided by coverage: `python -m tests.execution.fix.fuzz MESSAGES [SEED]`.

Atheris (libFuzzer) looks for inputs that reach new branches of the protocol, beginning from valid messages; whatever
it finds, the session stays true to its numbers, nothing grows without bound, and no exception escapes. It ends with an
error at the first that does, and prints the input.
"""

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["services.execution.fix.protocol"]):
    from services.execution.fix.protocol import codec, framer, session, validation  # noqa: F401 - instrumented

from tests.execution.fix.hostile import SEEDS
from tests.execution.fix.test_hostile import CONFIGS, Victim
from tests.execution.fix.wire import fix

INPUT_BYTES_MAX = 1024


def one(data: bytes) -> None:
    """Let a session hear one input: its kind, then a stream of bytes, as they come and with lengths made right."""
    victim = Victim(CONFIGS[data[0] % len(CONFIGS)] if data else CONFIGS[0])
    victim.hear(data[1:])
    victim.revive()
    # Most damage stops at the sum of a message; so each line goes in again with length and sum of its own.
    for line in data[1:].split(b"\x0110="):
        text = line.decode("utf-8", "replace").replace("\x01", "|")
        victim.hear(fix(text or "8=FIX.4.4"))
        victim.revive()


def main() -> None:
    """Fuzz with so many inputs."""
    messages, seed = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "1"
    with tempfile.TemporaryDirectory(prefix="evenkeel-fuzz-") as folder:
        for number, text in enumerate(SEEDS):
            (Path(folder) / f"seed-{number}").write_bytes(bytes([number]) + fix(text))
        options = [
            f"-runs={messages}",
            f"-seed={seed}",
            f"-max_len={INPUT_BYTES_MAX}",
            "-timeout=20",
            "-rss_limit_mb=1024",
        ]
        atheris.Setup([sys.argv[0], *options, folder], one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
