"""Both sides are killed at random instants over PostgreSQL: nothing is lost, and nothing comes twice."""

import asyncio
import os
import random
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import text

from services.runtime.database import Database

ROOT = Path(__file__).parents[3]
REST_S = 60.0


class Side:
    def __init__(self, role, port, url, chance):
        self.role, self.port, self.url, self.chance = role, port, url, chance
        self.process = None

    def start(self):
        seed = self.chance.randrange(2**30)
        arguments = [self.role, str(self.port), str(seed), self.url, str(os.getpid())]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.execution.fix.killed", *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={"PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}"},
        )
        assert self.process.stdout.readline() == "up\n"

    def kill(self):
        self.process.kill()
        self.process.wait()

    def hush(self):
        self.process.stdin.write("hush\n")
        self.process.stdin.flush()

    def stop(self):
        self.process.stdin.close()
        assert self.process.wait(60) == 0


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


async def kill_and_count(service, kills, pause_s, seed):
    chance = random.Random(seed)
    port, url = a_port(), service.url
    sides = [Side("acceptor", port, url, chance), Side("initiator", port, url, chance)]
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
        side.start()
    await until(all_talk)
    for _ in range(kills):
        await asyncio.sleep(chance.uniform(*pause_s))
        victim = chance.choice(sides)
        victim.kill()
        victim.start()
    # Both fall silent but for their heartbeats, which show what is missing.
    for side in sides:
        side.hush()
    kept = await until(all_arrived)
    for side in reversed(sides):
        side.stop()
    await database.close()
    return kept, us, them


def check(kept, us, them):
    assert kept["twice"] == {}
    assert kept["sent"][us] == kept["applied"][them]
    assert kept["sent"][them] == kept["applied"][us]


async def test_a_kill_loses_nothing_and_doubles_nothing(execution_database):
    kept, us, them = await kill_and_count(execution_database, 1, (0.1, 0.3), 1)

    check(kept, us, them)


@pytest.mark.chaos
async def test_two_hundred_kills_lose_nothing_and_double_nothing(execution_database):
    kills = 200
    kept, us, them = await kill_and_count(execution_database, kills, (0.05, 1.5), 20261128)
    check(kept, us, them)

    total = len(kept["sent"][us]) + len(kept["sent"][them])
    print(f"\n{kills} kills, {total} messages sent and applied once each")  # noqa: T201 - counts
