"""What tests cost is counted in all their processes."""

import subprocess
import sys

from tests.support.processor_time import processor_s

USED_S = 0.1
USE = f"import time\nwhile time.process_time() < {USED_S}: pass\n"


def test_what_a_child_uses_counts_while_it_runs_and_when_it_has_ended() -> None:
    before = processor_s()
    child = subprocess.Popen(
        [sys.executable, "-ISc", f"{USE}print(flush=True)\ninput()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    child.stdout.readline()
    while_it_runs = processor_s()
    child.communicate(b"\n")

    # The kernel counts in hundredths.
    assert while_it_runs - before >= USED_S - 0.02
    assert processor_s() >= while_it_runs
