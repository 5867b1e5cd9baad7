"""The database server is killed under load and comes back. Is anything lost, twice, or forked?"""

import asyncio
import random
import shutil
import tempfile
from pathlib import Path

import asyncpg
import pytest

from services.audit.app import Sequencer
from services.audit.domain.verify import verify_log
from services.audit.store import PostgresReader, elect
from services.kernel.clock import FixedClock
from services.kernel.errors import Unreachable
from services.runtime.bootstrap import DATABASE, Passwords, bootstrap, owner_role, role, service_url
from services.runtime.database import Database
from services.runtime.migrations import run_migrations
from services.runtime.settings import ServiceSettings
from tests.audit.app.test_sequencer import Seen
from tests.audit.builders import KEY, NOON, ORIGIN, an_event
from tests.audit.check_log import check_log, check_tables
from tests.support.postgres import MEMORY
from tools.local.postgres import Postgres

KILLS = 3
CALLERS = 12


@pytest.fixture
def server():
    # In memory: see `tests.audit.test_chaos`.
    directory = Path(tempfile.mkdtemp(prefix="evenkeel-kill-", dir=MEMORY if MEMORY.is_dir() else None))
    directory.chmod(0o755)
    server = Postgres(directory / "pg", durable=True)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
async def settings(server):
    await bootstrap(server.url, {"audit": Passwords(service="s", owner="o", keeper="k")})
    settings = ServiceSettings.from_environment(
        database_url=service_url(server.url, role("audit"), "s"),
        database_owner_url=service_url(server.url, owner_role("audit"), "o"),
        database_schema="audit",
        jwks_url="file:/nonexistent",
        token_issuer="https://issuer.test",
    )
    await run_migrations(settings, "services.audit")
    return settings


class Callers:
    """Each sends events one batch after the other, and each batch until it is acknowledged."""

    def __init__(self, sequencer):
        self.sequencer = sequencer
        self.acknowledged = {}
        self.checkpoints = set()
        self.more = asyncio.Event()
        self.stop = asyncio.Event()

    async def run(self, name):
        rnd = random.Random(name)
        number = 0
        while not self.stop.is_set():
            batch = [an_event(f"{name} {number + at}", account=f"acc-{name}") for at in range(rnd.randint(1, 60))]
            number += len(batch)
            while True:
                try:
                    answer = await self.sequencer.append(batch)
                    break
                except Unreachable:
                    await asyncio.sleep(0.02)
            self.checkpoints.add(answer.checkpoint.checkpoint)
            for event, result in zip(batch, answer.results, strict=True):
                self.acknowledged[event.event_id] = (result.index, event)
            self.more.set()

    async def until(self, count):
        while len(self.acknowledged) < count:
            self.more.clear()
            await self.more.wait()


async def test_a_killed_database_loses_nothing_doubles_nothing_and_forks_nothing(server, settings):
    rnd = random.Random(11)
    database = Database(settings)
    seen = Seen()
    sequencer = Sequencer(
        elect=lambda: elect(database, ORIGIN),
        origin=ORIGIN,
        keys=[KEY],
        clock=FixedClock(NOON),
        observer=seen,
        election_interval_s=0.05,
    )
    stop = asyncio.Event()
    writing = asyncio.create_task(sequencer.run(stop))
    callers = Callers(sequencer)
    tasks = [asyncio.create_task(callers.run(name)) for name in range(CALLERS)]
    for _ in range(KILLS):
        await callers.until(len(callers.acknowledged) + rnd.randint(100, 600))
        server.kill()
        # The service sees that its database is gone, and says so, before the server is back.
        losses = len(seen.losses)
        await seen.until(lambda losses=losses: len(seen.losses) > losses)
        server.start()
    await callers.until(len(callers.acknowledged) + 200)
    callers.stop.set()
    await asyncio.gather(*tasks)
    stop.set()
    await writing

    reader = PostgresReader(database)
    entries = await check_log(reader)
    newest = (await reader.checkpoint()).checkpoint
    await database.close()
    owner = await asyncpg.connect(settings.database_owner_url.get_secret_value(), database=DATABASE)
    await check_tables(owner)
    await owner.close()
    stored = {entry.event.event_id: entry for entry in entries}
    assert len(stored) == len(entries) == len(callers.acknowledged)
    assert {each: stored[each].index for each in stored} == {
        each: index for each, (index, _) in callers.acknowledged.items()
    }
    assert verify_log([entry.body for entry in entries], [*callers.checkpoints, newest]).size == len(entries)
