"""`python -m services.execution serve` as a process of its own, forked, which tests kill and start again."""

import asyncio
import os
import signal
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from evenkeel.policy.v1 import policy_service_pb2 as policy
from evenkeel.policy.v1.policy_service_pb2_grpc import PolicyServiceServicer
from services.runtime.client import connect
from tests.execution.world import settings_for
from tests.support.forked import Forked
from tools.local.issuer import ISSUER, TokenIssuer

ROOT = Path(__file__).parents[2]


class EverythingInForce(PolicyServiceServicer):
    async def CheckVersions(self, request, context):
        return policy.CheckVersionsResponse(in_force_version_hashes=request.version_hashes)

    async def CheckPolicies(self, request, context):
        return policy.CheckPoliciesResponse()


class Process:
    """`python -m services.execution serve`, which can be killed and started again.

    What it writes, over all its starts, is in `service.log` beside its port file; a failed test shows the end of it.
    """

    def __init__(self, environment, port_file, issuer):
        self._port_file = port_file
        self._log_file = port_file.with_name("service.log")
        self.issuer = issuer
        self._process = Forked("services.execution", ["serve"], environment, self._log_file)
        self.port = None

    async def start(self):
        self._port_file.unlink(missing_ok=True)
        await asyncio.to_thread(self._process.start)
        # A machine that is busy starts a process slowly.
        async with asyncio.timeout(240):
            while not self._port_file.exists():
                assert self._process.poll() is None
                await asyncio.sleep(0.02)
        self.port = int(self._port_file.read_text())

    async def kill(self, how=signal.SIGKILL):
        """End it, if it has not ended yet, and return how it did."""
        return await asyncio.to_thread(self._process.kill, how)


def environment_of(database, policy_address, folder, **changed):
    """Return the issuer of tokens, and what the process finds in its environment; `changed` by the settings' names."""
    issuer = TokenIssuer.at(folder / "issuer")
    settings_for({**database.settings().model_dump(exclude_unset=True)}, folder / "keys")
    values = {
        "DATABASE_URL": database.url,
        "DATABASE_SCHEMA": "execution",
        "JWKS_URL": issuer.jwks_file.as_uri(),
        "TOKEN_ISSUER": ISSUER,
        "PLAN_KEYS_DIRECTORY": str(folder / "keys"),
        "POLICY_ADDRESS": policy_address,
        "BLOCK_QUIET_S": "0.05",
        "LOOK_S": "0.1",
        "RESOLVE_AFTER_S": "0.2",
        "BLOCK_ORDERS_MAX": "5",
        **changed,
    }
    return issuer, {
        **{name: value for name, value in os.environ.items() if not name.startswith(("EVENKEEL_", "OTEL_"))},
        **{f"EVENKEEL_EXECUTION_{name}": value for name, value in values.items()},
        "EVENKEEL_PORT_FILE": str(folder / "port"),
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'gen'}",
    }


@asynccontextmanager
async def calling(process, role):
    token = process.issuer.token(role, [role], timedelta(hours=1))
    channel = connect(f"127.0.0.1:{process.port}", token=lambda: token)
    yield channel
    await channel.close()
