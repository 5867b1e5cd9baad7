"""A relay as a process of its own, to be killed: ships decision's outbox to whichever of two processes holds the log.

Told by its environment: CHAOS_DATABASE_URL, CHAOS_TARGET (a gRPC target), CHAOS_TOKEN (a file).
"""

import asyncio
import os
from importlib import import_module
from pathlib import Path

from services.runtime import workers
from services.runtime.client import connect
from services.runtime.credentials import ClientCredentials
from services.runtime.database import Database
from services.runtime.logging import configure_logging
from services.runtime.outbox import relay
from services.runtime.settings import ServiceSettings
from services.runtime.workers import Workers


async def main():
    settings = ServiceSettings.from_environment(
        database_url=os.environ["CHAOS_DATABASE_URL"],
        database_schema="decision",
        jwks_url="file:/nonexistent",
        token_issuer="https://issuer.test",
    )
    credentials = ClientCredentials(token_file=Path(os.environ["CHAOS_TOKEN"]))
    async with connect(os.environ["CHAOS_TARGET"], credentials, call_s=5) as channel:
        # Held: the event loop does not hold the tasks that it runs.
        shipping = Workers([relay(Database(settings), channel)])
        shipping.start()
        await asyncio.Event().wait()


def command_line():
    """Ship until killed."""
    configure_logging("relay", "warning")
    # Everything fails every second here, on purpose; waits that grow with each failure would be most of the time.
    workers.RESTART_S_MAX = 0.2
    relaying = import_module("services.runtime.outbox.relay")
    relaying.LEAD_AGAIN_S = 0.1
    relaying.RETRY_S_MAX = 0.2
    asyncio.run(main())
