"""Processes of the service are killed in mid-append, again and again. Is anything lost, twice, or forked?

Two real processes serve one log, so that one takes over when the other is killed. Producers send what was not
acknowledged again, with the same ids, to whichever answers.
"""

import asyncio
import os
import random
import signal
from datetime import timedelta

import asyncpg
import grpc
import pytest
from cryptography.hazmat.primitives import serialization

from evenkeel.audit.v1 import audit_service_pb2 as pb
from evenkeel.audit.v1.audit_service_pb2_grpc import AuditServiceStub
from services.audit.domain.checkpoint import open_checkpoint
from services.audit.domain.verify import verify_log
from services.audit.store import PostgresReader
from services.runtime.client import connect
from services.runtime.database import Database
from tests.audit.api.conftest import message_of
from tests.audit.builders import ACCESS_KEY, KEY, ORIGIN, an_event
from tests.audit.check_log import check_log, check_tables
from tests.support.forked import Forked
from tools.local.issuer import ISSUER, TokenIssuer

KILLS = int(os.environ.get("EVENKEEL_AUDIT_KILLS", "4"))
PRODUCERS = 6


class Process(Forked):
    """One process of the service, started again whenever it is killed."""

    def __init__(self, number, environment, directory):
        self.port_file = directory / f"port-{number}"
        environment = environment | {"EVENKEEL_PORT_FILE": str(self.port_file)}
        super().__init__("services.audit.__main__:command_line", ["serve"], environment, directory / f"log-{number}")

    def start(self):
        self.port_file.unlink(missing_ok=True)
        super().start()

    @property
    def port(self):
        return int(self.port_file.read_text()) if self.port_file.exists() else None


class Producers:
    """Callers that each send their own events, in batches, until each is acknowledged."""

    def __init__(self, processes, token):
        self.processes = processes
        self.token = token
        # One by port; a process has a port of its own after each start.
        self.channels = {}
        self.acknowledged = {}
        self.notes = set()
        self.stop = asyncio.Event()
        self.more = asyncio.Event()

    async def produce(self, name):
        rnd = random.Random(name)
        number = 0
        while not self.stop.is_set():
            batch = [an_event(f"{name} {number + at}", account=f"acc-{name}") for at in range(rnd.randint(1, 40))]
            number += len(batch)
            await self.send(batch, rnd)

    async def send(self, batch, rnd):
        request = pb.AppendRequest(events=map(message_of, batch))
        while True:
            port = rnd.choice(self.processes).port
            if port is not None:
                if port not in self.channels:
                    self.channels[port] = connect(f"127.0.0.1:{port}", token=lambda: self.token, call_s=5)
                call = AuditServiceStub(self.channels[port]).Append(request)
                if await call.code() is grpc.StatusCode.OK:
                    answer = await call
                    break
            # Nobody answers, or not yet: what any producer does then is to wait a moment.
            await asyncio.sleep(0.05)
        self.notes.add(answer.checkpoint.note)
        for event, result in zip(batch, answer.results, strict=True):
            assert result.status in (pb.AppendResult.STATUS_APPENDED, pb.AppendResult.STATUS_DUPLICATE)
            self.acknowledged[event.event_id] = (result.index, event)
        self.more.set()

    async def close(self):
        for channel in self.channels.values():
            await channel.close()

    async def until(self, count):
        while len(self.acknowledged) < count:
            self.more.clear()
            await self.more.wait()


@pytest.fixture
def environment(audit_database, tmp_path):
    issuer = TokenIssuer.at(tmp_path)
    key_file = tmp_path / "log.key"
    key_file.write_bytes(
        KEY.private_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    wrapping_key = tmp_path / "subject-keys.key"
    wrapping_key.write_text(bytes(range(32)).hex())
    return {
        "PATH": os.environ["PATH"],
        "EVENKEEL_AUDIT_DATABASE_URL": audit_database.url,
        "EVENKEEL_AUDIT_KEEPER_DATABASE_URL": audit_database.keeper_url,
        "EVENKEEL_AUDIT_SUBJECT_KEYS_FILE": str(wrapping_key),
        "EVENKEEL_AUDIT_JWKS_URL": issuer.jwks_file.as_uri(),
        "EVENKEEL_AUDIT_TOKEN_ISSUER": ISSUER,
        "EVENKEEL_AUDIT_LOG_ORIGIN": ORIGIN,
        "EVENKEEL_AUDIT_LOG_KEY_FILE": str(key_file),
        "EVENKEEL_AUDIT_ELECTION_INTERVAL_S": "0.1",
        "EVENKEEL_AUDIT_HEALTH_PERIOD_S": "0.2",
    }, issuer.token("decision", ["decision_service"], timedelta(hours=1))


@pytest.mark.timeout(60 + 30 * KILLS)
async def test_killed_processes_lose_nothing_double_nothing_and_fork_nothing(environment, audit_database, tmp_path):
    variables, token = environment
    rnd = random.Random(7)
    processes = [Process(number, variables, tmp_path) for number in range(2)]
    producers = Producers(processes, token)
    for process in processes:
        process.start()
    tasks = [asyncio.create_task(producers.produce(number)) for number in range(PRODUCERS)]
    try:
        for kill in range(KILLS):
            await producers.until(len(producers.acknowledged) + rnd.randint(1, 400))
            victim = processes[kill % 2]
            victim.kill()
            victim.start()
        await producers.until(len(producers.acknowledged) + 200)
        producers.stop.set()
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await producers.close()
        for process in processes:
            process.kill(signal.SIGTERM)

    database = Database(audit_database.settings())
    try:
        reader = PostgresReader(database)
        entries = await check_log(reader)
        newest = (await reader.checkpoint()).checkpoint
    finally:
        await database.close()
    owner = await asyncpg.connect(audit_database.owner_url)
    try:
        await check_tables(owner)
    finally:
        await owner.close()
    stored = {entry.event.event_id: entry for entry in entries}
    lost = [each for each, (index, event) in producers.acknowledged.items() if stored[each].index != index]
    assert lost == []
    assert len(stored) == len(entries) == len(producers.acknowledged)
    assert all(stored[each].event == event for each, (_, event) in producers.acknowledged.items())
    # Every checkpoint that any producer was ever shown is one of the log as it is now: nothing was forked.
    shown = [open_checkpoint(note, origin=ORIGIN, keys=[KEY.verifier_key]) for note in producers.notes]
    assert verify_log([entry.body for entry in entries], [*shown, newest]).size == len(entries)
    # The order in which each producer was answered is the order of the log.
    for name in range(PRODUCERS):
        own = [entry.event.data for entry in entries if entry.event.account == f"acc-{name}"]
        assert own == [an_event(f"{name} {number}").data for number in range(len(own))]


async def test_a_process_that_is_told_to_stop_ends_by_itself_with_success(environment, tmp_path):
    variables, token = environment
    process = Process(0, variables, tmp_path)
    process.start()
    producers = Producers([process], token)
    await producers.send([an_event("one")], random.Random(1))
    await producers.close()

    assert process.kill(signal.SIGTERM) == 0
    assert len(producers.acknowledged) == 1


async def test_the_command_line_checks_what_is_stored_and_tells_the_public_key(environment, audit_database, tmp_path):
    variables, token = environment
    process = Process(0, variables, tmp_path)
    process.start()
    producers = Producers([process], token)
    await producers.send([an_event("one"), an_event("two")], random.Random(1))
    await producers.close()
    process.kill(signal.SIGTERM)

    def command(name):
        output = tmp_path / f"output of {name}"
        output.write_text("")
        ran = Forked("services.audit.__main__:command_line", [name], variables, output)
        ran.start()
        return ran.wait(), output.read_text()

    whole = await asyncio.to_thread(command, "scrub")
    superuser = await asyncpg.connect(audit_database.admin_server_url, database=audit_database.name)
    await superuser.execute("update audit.entry set body = body || ' ' where idx = 1")
    await superuser.close()
    bent = await asyncio.to_thread(command, "scrub")
    key = await asyncio.to_thread(command, "verifier-key")

    assert (whole[0], bent[0], key[0]) == (0, 1, 0)
    assert "events: 2 entries, root " in whole[1]
    assert "events: entry 1: its leaf is not the hash of its body" in bent[1]
    records_key = KEY.derived(f"{ORIGIN}/records")
    assert key[1].split() == [str(each.verifier_key) for each in (ACCESS_KEY, KEY, records_key)]
