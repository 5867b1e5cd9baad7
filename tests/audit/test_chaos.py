"""Relays, both processes of the service and the database server are killed at random moments, hundreds of times.

Every producer writes to an outbox of its own, in its own database transaction, and a relay process ships it: the
relay's kill leaves rows that are shipped again. Whatever was acknowledged must be in the log once, under the index that
was acknowledged, and every checkpoint that anybody was ever shown must be one of the log's own history.

`EVENKEEL_AUDIT_CHAOS_KILLS` sets how many, `…_SECONDS` for how long at most, `…_SEED` which; what was counted is
printed, and on the way how far it came.
"""

import asyncio
import os
import random
import shutil
import signal
import socket
import tempfile
import time
import uuid
from collections import Counter
from contextlib import AsyncExitStack, ExitStack, suppress
from datetime import timedelta
from pathlib import Path

import asyncpg
import grpc
import pytest
from cryptography.hazmat.primitives import serialization

from evenkeel.audit.v1 import audit_service_pb2 as pb
from evenkeel.audit.v1.audit_service_pb2_grpc import AuditServiceStub
from services.audit.domain.checkpoint import open_checkpoint
from services.audit.domain.verify import verify_log
from services.audit.store import PostgresReader
from services.kernel.canonical import canonical_json
from services.runtime.bootstrap import DATABASE, Passwords, bootstrap, keeper_role, owner_role, role, service_url
from services.runtime.client import connect
from services.runtime.database import Database
from services.runtime.migrations import run_migrations
from services.runtime.settings import ServiceSettings
from tests.audit.builders import KEY, ORIGIN
from tests.audit.check_log import check_log, check_tables
from tests.audit.test_kills import Process
from tests.support.forked import Forked
from tests.support.postgres import MEMORY
from tools.local.issuer import ISSUER, TokenIssuer
from tools.local.postgres import Postgres, PostgresFailed

KILLS = int(os.environ.get("EVENKEEL_AUDIT_CHAOS_KILLS", "1000"))
# Ends earlier, and checks what was done by then.
SECONDS = float(os.environ.get("EVENKEEL_AUDIT_CHAOS_SECONDS", "inf"))
# How much is written for each kill to meet.
EVENTS_PER_KILL = 60
# Whatever was killed is back long before, on a busy machine too.
STUCK_S = 300
SEED = int(os.environ.get("EVENKEEL_AUDIT_CHAOS_SEED", "17"))

pytestmark = pytest.mark.chaos


def free_ports(count):
    """Ports that a process can take again after each of its ends."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


async def produce(url, stop, told, kills):
    """Write events into the outbox, some in each transaction, until `stop` is set; note what was committed.

    Not without end between two kills: what is written must be checked at the end.
    """
    rnd = random.Random(SEED)
    number = 0
    while not stop.is_set():
        if number > EVENTS_PER_KILL * (kills.total() + 1):
            await asyncio.sleep(0.05)
            continue
        try:
            connection = await asyncpg.connect(url, timeout=5)
        except (OSError, asyncpg.PostgresError, TimeoutError):
            await asyncio.sleep(0.05)
            continue
        try:
            while not stop.is_set() and number <= EVENTS_PER_KILL * (kills.total() + 1):
                batch = [number + at for at in range(rnd.randint(1, 30))]
                rows = [
                    (
                        uuid.uuid5(uuid.NAMESPACE_URL, str(each)),
                        "decision.plan.decided",
                        canonical_json({"number": each}),
                        f'{{"account": "acc-{each % 7}", "plan": "plan-{each}"}}',
                    )
                    for each in batch
                ]
                # Noted before the commit: whether a commit whose answer was lost happened is looked up at the end.
                told.update(str(row[0]) for row in rows)
                number += len(batch)
                async with connection.transaction():
                    await connection.executemany(
                        "insert into decision.outbox (event_id, kind, body, subjects, actor, occurred_time) "
                        "values ($1, $2, $3, $4, 'decision_service', now())",
                        rows,
                    )
                await asyncio.sleep(rnd.uniform(0, 0.1))
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError):
            continue
        finally:
            connection.terminate()


class Outbox:
    """Tells what became of the producer's events, however often the server dies meanwhile."""

    def __init__(self, url):
        self.url = url
        self.connection = None

    async def rows(self, statement):
        """Ask until the server answers."""
        while True:
            try:
                if self.connection is None:
                    self.connection = await asyncpg.connect(self.url, timeout=5)
                return await self.connection.fetch(statement, timeout=5)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, TimeoutError):
                self.close()
                await asyncio.sleep(0.02)

    async def shipped(self):
        """Return how many events were acknowledged."""
        return (await self.rows("select count(*) from decision.outbox where shipped_time is not null"))[0][0]

    async def more_shipped(self, rnd):
        """Wait until more is acknowledged; return how many events were before."""
        before, asked = await self.shipped(), time.monotonic()
        while await self.shipped() == before:
            await asyncio.sleep(rnd.uniform(0.01, 0.05))
            if time.monotonic() - asked > STUCK_S:
                pytest.fail(f"{before} events are acknowledged, and none more for {STUCK_S} s")
        return before

    def close(self):
        """Let go of the server."""
        if self.connection is not None:
            self.connection.terminate()
            self.connection = None


async def started_again(server):
    """Start the server after a crash; recovery may take longer than a start usually may."""
    for _ in range(10):
        with suppress(PostgresFailed):
            return server.start()
        await asyncio.sleep(1)
    return server.start()


@pytest.mark.timeout(600 + 60 * KILLS)
async def test_kills_of_relays_services_and_the_database_lose_nothing_double_nothing_and_fork_nothing(tmp_path):
    # In memory, if there is room: what a killed process has written stays with the system either way, and recovery
    # need not wait for the disk to take a thousand files.
    directory = Path(tempfile.mkdtemp(prefix="evenkeel-chaos-", dir=MEMORY if MEMORY.is_dir() else None))
    directory.chmod(0o755)
    server = Postgres(directory / "pg", durable=True)
    server.start()
    stop = asyncio.Event()
    processes, relay, tasks = [], None, []
    kills = Counter()
    try:
        passwords = {"audit": Passwords("s", "o", "k"), "decision": Passwords("s", "o")}
        await bootstrap(server.url, passwords)
        urls = {name: service_url(server.url, role(name), "s") for name in passwords}
        settings = {}
        for name in passwords:
            settings[name] = ServiceSettings.from_environment(
                database_url=urls[name],
                database_owner_url=service_url(server.url, owner_role(name), "o"),
                database_schema=name,
                jwks_url="file:/nonexistent",
                token_issuer="https://issuer.test",
            )
            await run_migrations(settings[name], f"services.{name}")
        issuer = TokenIssuer.at(tmp_path)
        (tmp_path / "log.key").write_bytes(
            KEY.private_key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        (tmp_path / "wrapping.key").write_text(bytes(range(32)).hex())
        token_file = tmp_path / "token"
        token_file.write_text(issuer.token("decision", ["decision_service"], timedelta(hours=10)))
        common = {"PATH": os.environ["PATH"]}
        of_audit = common | {
            "EVENKEEL_AUDIT_DATABASE_URL": urls["audit"],
            "EVENKEEL_AUDIT_KEEPER_DATABASE_URL": service_url(server.url, keeper_role("audit"), "k"),
            "EVENKEEL_AUDIT_SUBJECT_KEYS_FILE": str(tmp_path / "wrapping.key"),
            "EVENKEEL_AUDIT_JWKS_URL": issuer.jwks_file.as_uri(),
            "EVENKEEL_AUDIT_TOKEN_ISSUER": ISSUER,
            "EVENKEEL_AUDIT_LOG_ORIGIN": ORIGIN,
            "EVENKEEL_AUDIT_LOG_KEY_FILE": str(tmp_path / "log.key"),
            "EVENKEEL_AUDIT_ELECTION_INTERVAL_S": "0.1",
            "EVENKEEL_AUDIT_HEALTH_PERIOD_S": "0.2",
        }
        ports = free_ports(2)
        for number, port in enumerate(ports):
            here = {"EVENKEEL_AUDIT_LISTEN_ADDRESS": f"127.0.0.1:{port}"}
            processes.append(Process(number, of_audit | here, tmp_path))
        target = "ipv4:" + ",".join(f"127.0.0.1:{port}" for port in ports)
        of_relay = {"CHAOS_DATABASE_URL": urls["decision"], "CHAOS_TARGET": target, "CHAOS_TOKEN": str(token_file)}
        relay = Forked("tests.audit.relay_process:command_line", [], common | of_relay, tmp_path / "relay.log")
        for each in (*processes, relay):
            each.start()
        told = set()
        outbox = Outbox(urls["decision"])
        tasks = [asyncio.create_task(produce(urls["decision"], stop, told, kills))]
        notes = set()
        tasks.append(asyncio.create_task(watch(ports, issuer, notes, stop)))

        rnd = random.Random(SEED)
        began = time.monotonic()
        for kill in range(KILLS):
            if time.monotonic() - began > SECONDS:
                break
            # Each kill meets work: some more is acknowledged first.
            before = await outbox.more_shipped(rnd)
            victim = rnd.choice(["relay", "audit", "audit", "database"]) if kill % 10 else "database"
            kills[victim] += 1
            if kills.total() % 10 == 0:
                took = time.monotonic() - began
                print(f"{kills.total()} of {KILLS} kills, {before} acknowledged, {took:.0f} s", flush=True)  # noqa: T201 - long work
            match victim:
                case "relay":
                    relay.kill()
                    relay.start()
                case "audit":
                    process = rnd.choice(processes)
                    process.kill()
                    process.start()
                case _:
                    server.kill()
                    await started_again(server)
        stop.set()
        await asyncio.gather(*tasks)
        waiting = "select count(*) from decision.outbox where shipped_time is null"
        while (await outbox.rows(waiting))[0][0]:  # noqa: ASYNC110 - a process writes it
            await asyncio.sleep(0.1)
        for each in (relay, *processes):
            each.kill(signal.SIGTERM)

        rows = await outbox.rows("select event_id::text, audit_index from decision.outbox")
        outbox.close()
        database = Database(settings["audit"])
        reader = PostgresReader(database)
        entries = await check_log(reader)
        newest = (await reader.checkpoint()).checkpoint
        await database.close()
        owner = await asyncpg.connect(service_url(server.url, owner_role("audit"), "o", DATABASE))
        await check_tables(owner)
        await owner.close()
        # Audit's own entries say which producer was silent for how long.
        own = [entry for entry in entries if entry.event.producer == "decision"]
        stored = Counter(entry.event.event_id for entry in own)
        by_id = {entry.event.event_id: entry.index for entry in own}
        lost = [event_id for event_id, index in rows if by_id.get(event_id) != index]
        twice = [event_id for event_id, count in stored.items() if count > 1]
        gaps = [at for at, entry in enumerate(entries) if entry.index != at]
        shown = [open_checkpoint(note, origin=ORIGIN, keys=[KEY.verifier_key]) for note in notes]
        print(  # noqa: T201 - the counts are what this test is for
            f"\n{kills.total()} kills {dict(kills)}: {len(rows)} committed and acknowledged, {len(entries)} entries, "
            f"{len(lost)} lost, {len(twice)} twice, {len(gaps)} gaps, {len(shown)} checkpoints shown, none forked"
        )
        assert (lost, twice, gaps) == ([], [], [])
        assert {event_id for event_id, _ in rows} <= told
        assert {event_id for event_id, _ in rows} == stored.keys()
        assert verify_log([entry.body for entry in entries], [*shown, newest]).size == len(entries)
    finally:
        stop.set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for each in (*processes, relay):
            if each is not None:
                each.kill()
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)


async def watch(ports, issuer, notes, stop):
    """Keep every checkpoint that any process shows, all the while."""
    token = issuer.token("carl", ["compliance_officer"], timedelta(hours=10))
    async with AsyncExitStack() as open_channels:
        stubs = []
        for port in ports:
            channel = connect(f"127.0.0.1:{port}", token=lambda: token, call_s=2)
            stubs.append(AuditServiceStub(await open_channels.enter_async_context(channel)))
        while not stop.is_set():
            for stub in stubs:
                with suppress(grpc.aio.AioRpcError):
                    notes.add((await stub.GetCheckpoint(pb.GetCheckpointRequest())).checkpoint.note)
            await asyncio.sleep(0.1)
