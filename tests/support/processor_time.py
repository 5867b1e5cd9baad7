"""Which tests cost most? Processor time by file, printed at the end: `make test-times`.

The clock says little about it on a machine that does other things. Counted is what the files' tests used themselves and
in all processes that descend from them, PostgreSQL's and forked services' too. One process runs the tests, so that
nothing else is counted; what a file's tests leave behind for others to use (a server, a compiled kernel) counts there.
"""

import os
from collections import defaultdict
from collections.abc import Generator
from operator import itemgetter
from pathlib import Path

import pytest

# The most expensive files, which are worth a look.
SHOWN = 40
TICKS = os.sysconf("SC_CLK_TCK")

_spent: defaultdict[str, float] = defaultdict(float)
_before = [0.0]


def processor_s() -> float:
    """Return the seconds that this process and its descendants have used, also those that ended and were awaited."""
    own: dict[int, int] = {}
    children: defaultdict[int, list[int]] = defaultdict(list)
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            # `proc_pid_stat(5)` from the third field on: after the name, which may hold anything.
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            # It has just ended.
            continue
        number = int(folder.name)
        children[int(fields[1])].append(number)
        own[number] = sum(map(int, fields[11:15]))
    total, found = 0, [os.getpid()]
    while found:
        number = found.pop()
        total += own[number]
        found += children[number]
    return total / TICKS


def pytest_collection_finish() -> None:
    """Count what collecting took."""
    _before[0] = processor_s()
    _spent["(collection)"] = _before[0]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, object, object]:
    """Count what a file took, after its last test."""
    done = yield
    if nextitem is None or nextitem.path != item.path:
        now = processor_s()
        _spent[item.nodeid.partition("::")[0]] += now - _before[0]
        _before[0] = now
    return done


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the sum, and the files that took most."""
    terminalreporter.section(f"{sum(_spent.values()):.1f} s of processor time")
    for name, seconds in sorted(_spent.items(), key=itemgetter(1), reverse=True)[:SHOWN]:
        terminalreporter.write_line(f"{seconds:8.2f} s  {name}")
