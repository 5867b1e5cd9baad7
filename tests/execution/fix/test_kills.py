"""Both sides are killed at random instants over PostgreSQL: nothing is lost, and nothing comes twice."""

import asyncio
import os
import random
import signal
import socket
import time
from pathlib import Path

import pytest
from sqlalchemy import text

from services.runtime.database import Database
from tests.support.forked import Forked

ROOT = Path(__file__).parents[3]
REST_S = 60.0
# Of one start, on a machine that is busy.
UP_S = 120.0


class Side:
    """One side as a process of its own, whose folder says when it is up."""

    def __init__(self, role, port, url, chance, folder):
        self.role, self.port, self.url, self.chance, self.folder = role, port, url, chance, folder
        folder.mkdir()
        self.process = None

    async def start(self):
        up = self.folder / "up"
        up.unlink(missing_ok=True)
        seed = self.chance.randrange(2**30)
        arguments = [self.role, str(self.port), str(seed), self.url, str(self.folder)]
        environment = {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'gen'}"}
        self.process = Forked("tests.execution.fix.killed", arguments, environment, self.folder / "log")
        await asyncio.to_thread(self.process.start)
        async with asyncio.timeout(UP_S):
            while not up.exists():
                assert self.process.poll() is None, (self.folder / "log").read_text()
                await asyncio.sleep(0.01)

    async def kill(self):
        await asyncio.to_thread(self.process.kill)

    def hush(self):
        self.process.send_signal(signal.SIGUSR1)

    async def stop(self):
        assert await asyncio.to_thread(self.process.kill, signal.SIGTERM) == 0


def a_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def claims(database):
    """Return what was sent, applied, and applied twice, by session."""
    async with database.begin() as transaction:
        rows = await transaction.connection.execute(text("SELECT session, key FROM execution.fix_claim"))
    kept = {"sent": {}, "applied": {}, "twice": {}}
    for session, key in rows:
        kind, _, name = key.partition(":")
        kept[kind].setdefault(session, set()).add(name)
    return kept


async def kill_and_count(service, folder, kills, pause_s, seed):
    chance = random.Random(seed)
    port, url = a_port(), service.url
    sides = [Side(role, port, url, chance, folder / role) for role in ("acceptor", "initiator")]
    database = Database(service.settings())
    us, them = "FIX.4.4:US->THEM", "FIX.4.4:THEM->US"

    def all_talk(kept):
        return {us, them} <= set(kept["sent"])

    def all_arrived(kept):
        sent, applied = kept["sent"], kept["applied"]
        return all_talk(kept) and (sent[us], sent[them]) == (applied.get(them), applied.get(us))

    async def until(condition):
        end = time.monotonic() + REST_S
        while True:
            kept = await claims(database)
            if condition(kept) or time.monotonic() > end:
                return kept
            await asyncio.sleep(0.1)

    for side in sides:
        await side.start()
    await until(all_talk)
    for _ in range(kills):
        await asyncio.sleep(chance.uniform(*pause_s))
        victim = chance.choice(sides)
        await victim.kill()
        await victim.start()
    # Both fall silent but for their heartbeats, which show what is missing.
    for side in sides:
        side.hush()
    kept = await until(all_arrived)
    for side in reversed(sides):
        await side.stop()
    await database.close()
    return kept, us, them


def check(kept, us, them):
    assert kept["twice"] == {}
    assert kept["sent"][us] == kept["applied"][them]
    assert kept["sent"][them] == kept["applied"][us]


async def test_a_kill_loses_nothing_and_doubles_nothing(execution_database, tmp_path):
    kept, us, them = await kill_and_count(execution_database, tmp_path, 1, (0.1, 0.3), 1)

    check(kept, us, them)


@pytest.mark.chaos
async def test_two_hundred_kills_lose_nothing_and_double_nothing(execution_database, tmp_path):
    kills = 200
    kept, us, them = await kill_and_count(execution_database, tmp_path, kills, (0.05, 1.5), 20261128)
    check(kept, us, them)

    total = len(kept["sent"][us]) + len(kept["sent"][them])
    print(f"\n{kills} kills, {total} messages sent and applied once each")  # noqa: T201 - counts
