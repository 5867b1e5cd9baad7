"""Each service is killed in the middle of a run, stays away, and comes back: nothing is lost or done twice."""

import pytest

from evenkeel.decision.v1 import run_service_pb2 as run
from tests.support.system import System, check_invariants
from tests.support.systems import KILLED_ACCOUNTS, KILLS, TRADING, on
from tools.client.profile import SERVICES

pytestmark = on(TRADING)


def at_once(found: run.Run) -> bool:
    return True


def decided_some(found: run.Run) -> bool:
    return found.decided_count > 0


def trading(found: run.Run) -> bool:
    return found.state != run.Run.STATE_DECIDING


# Which service dies when, one after the other in one run; decision in both of its halves.
CASES = [
    [("policy", at_once), ("decision", decided_some), ("decision", trading)],
    [("audit", decided_some), ("execution", trading)],
]


def accounts_of(system: System, case: list) -> list[str]:
    """The accounts that nobody trades but this case."""
    assert len(CASES) == KILLS
    first = CASES.index(case) * KILLED_ACCOUNTS
    return [client.account_id for client in system.scenario.clients[first : first + KILLED_ACCOUNTS]]


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(service for service, _ in case))
async def test_the_others_serve_without_a_killed_service_and_the_run_ends_as_if_nothing_had_happened(
    trading_system, case
):
    system, accounts = trading_system, accounts_of(trading_system, case)
    await system.whole()
    started = await system.start_run(account_ids=accounts)
    for service, when in case:
        await system.run_when(started.run_id, when)

        system.stack.kill(service)

        for other in SERVICES:
            if other != service:
                await system.stack.serving(other)
        assert not system.stack.running(service)
        system.stack.start(service)
        await system.stack.serving(service)
    await check_invariants(system, await system.finished(started.run_id), accounts)
