"""Which tests meet on one worker.

xdist's `loadgroup` renames the tests of a group by an attribute that pytest 9.2 no longer reads, so it spreads them
like all others, and each worker starts what they share. Here the group is told by the test's id.
"""

from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]  # published without types

from tests.support.systems import ASKED, TRADING

# By how a test's id begins; the first that fits.
GROUPS = {
    "tests/system/test_crashes.py": TRADING,
    "tests/system/test_rebalance.py": TRADING,
    "tests/local/test_stack.py": TRADING,
    "tests/system/": ASKED,
    # The server that forks the processes of a system (`forked.py`) forks theirs as well: it imports for four seconds.
    # They come after the tests of the system, which end it. One service serves all tests of the first of these files.
    "tests/execution/api/test_fix_service.py": ASKED,
    "tests/execution/fix/test_kills.py": ASKED,
    "tests/audit/test_kills.py": TRADING,
    "tests/execution/test_fix_process.py": TRADING,
    "tests/execution/test_process.py": TRADING,
    "tests/policy/test_process.py": TRADING,
    # One QuickFIX serves all tests of its file.
    "tests/execution/venues/test_fix44_counterparties.py": "fix counterparties",
    # Compiling takes ten seconds: once.
    "tests/decision/domain/kernel/": "kernel",
    "tests/decision/domain/test_batch_certificate.py": "kernel",
    "tests/decision/domain/test_decide.py": "kernel",
    "tests/decision/domain/test_household_search.py": "kernel",
    "tests/decision/domain/test_idle.py": "kernel",
    "tests/decision/domain/test_screening.py": "kernel",
    "tests/decision/domain/test_withdrawing.py": "kernel",
}


def group_of(nodeid: str) -> str | None:
    """Return what a test shares with others; None when nothing."""
    return next((group for start, group in GROUPS.items() if nodeid.startswith(start)), None)


class Together(LoadScopeScheduling):  # type: ignore[misc]  # published without types
    """Sends the tests of a group to one worker, the largest groups first, and every other test to whoever is free."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid) or nodeid
