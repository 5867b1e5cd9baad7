"""Columns beside objects. Compiling takes a minute, so the everyday test runs the same code uncompiled."""

import os
import re
import subprocess
import sys

import pytest

AGAINST = "tests.decision.domain.bulk.against"


def compared(count: int, seed: int, **environment: str) -> dict[str, int]:
    """Return what the comparison of so many accounts counted."""
    command = [sys.executable, "-m", AGAINST, str(count), str(seed)]
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return {what: int(number) for number, what in re.findall(r"(\d+) ([a-zA-Z_ ]+)", done.stdout)}


def test_the_roads_agree_on_random_accounts():
    counts = compared(40, 5, NUMBA_DISABLE_JIT="1")

    assert counts["accounts"] == 40
    assert counts["TRADE"] >= 10
    assert counts["repeated"] == 2
    assert counts.get("worse", 0) <= 2


@pytest.mark.chaos
@pytest.mark.timeout(3600)
def test_the_roads_agree_on_ten_thousand_random_accounts_compiled():
    counts = compared(10_000, 7)
    sys.stdout.write(f"{counts}\n")

    assert counts["accounts"] == 10_000
    # A whole increment here and there; each is certified by its own bound.
    assert counts.get("worse", 0) <= 200
