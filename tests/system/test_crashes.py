"""Each service is killed in the middle of a run, stays away, and comes back: nothing is lost or done twice."""

import pytest

from evenkeel.decision.v1 import run_service_pb2 as run
from tests.support.system import check_invariants, running_system
from tools.client.profile import SERVICES

ACCOUNTS = 10


def at_once(found: run.Run) -> bool:
    return True


def decided_some(found: run.Run) -> bool:
    return found.decided_count > 0


def trading(found: run.Run) -> bool:
    return found.state != run.Run.STATE_DECIDING


@pytest.mark.parametrize(
    ("service", "when"),
    [
        ("policy", at_once),
        ("decision", decided_some),
        ("decision", trading),
        ("execution", trading),
        ("audit", decided_some),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
async def test_the_others_serve_without_a_killed_service_and_the_run_ends_as_if_nothing_had_happened(
    fresh_directory, service, when
):
    async with running_system(fresh_directory, ACCOUNTS) as system:
        started = await system.start_run()
        await system.run_when(started.run_id, when)

        system.stack.kill(service)

        for other in SERVICES:
            if other != service:
                await system.stack.serving(other)
        assert not system.stack.running(service)
        system.stack.start(service)
        await system.stack.serving(service)
        await check_invariants(system, await system.finished(started.run_id))
