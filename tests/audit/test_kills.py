"""Processes of the service are killed in mid-append, again and again. Is anything lost, twice, or forked?

Two real processes serve one log, so that one takes over when the other is killed. Producers send what was not
acknowledged again, with the same ids, to whichever answers.
"""

import asyncio
import os
import random
import signal
import subprocess
import sys
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
from services.runtime.client import connect
from services.runtime.database import Database
from tests.audit.api.conftest import message_of
from tests.audit.builders import ACCESS_KEY, KEY, ORIGIN, an_event
from tests.audit.check_log import check_log, check_tables
from tools.local.issuer import ISSUER, TokenIssuer

KILLS = int(os.environ.get("EVENKEEL_AUDIT_KILLS", "4"))
PRODUCERS = 6
ROOT = Path(__file__).parents[2]


class Process:
    """One process of the service, started again whenever it is killed."""

    def __init__(self, number, environment, directory):
        self.environment = environment | {"EVENKEEL_PORT_FILE": str(directory / f"port-{number}")}
        self.port_file = Path(self.environment["EVENKEEL_PORT_FILE"])
        self.log = (directory / f"log-{number}").open("wb")
        self.process = None

    def start(self):
        self.port_file.unlink(missing_ok=True)
        command = [sys.executable, "-m", "services.audit", "serve"]
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=self.environment, stdout=self.log, stderr=subprocess.STDOUT
        )

    def kill(self, how=signal.SIGKILL):
        self.process.send_signal(how)
        self.process.wait(timeout=30)

    @property
    def port(self):
        return int(self.port_file.read_text()) if self.port_file.exists() else None


class Producers:
    """Callers that each send their own events, in batches, until each is acknowledged."""

    def __init__(self, processes, token):
        self.processes = processes
        self.token = token
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
                async with connect(f"127.0.0.1:{port}", token=lambda: self.token, call_s=5) as channel:
                    call = AuditServiceStub(channel).Append(request)
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
        "PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}",
        "EVENKEEL_AUDIT_DATABASE_URL": audit_database.url,
        "EVENKEEL_AUDIT_KEEPER_DATABASE_URL": audit_database.keeper_url,
        "EVENKEEL_AUDIT_SUBJECT_KEYS_FILE": str(wrapping_key),
        "EVENKEEL_AUDIT_JWKS_URL": issuer.jwks_file.as_uri(),
        "EVENKEEL_AUDIT_TOKEN_ISSUER": ISSUER,
        "EVENKEEL_AUDIT_LOG_ORIGIN": ORIGIN,
        "EVENKEEL_AUDIT_LOG_KEY_FILE": str(key_file),
        "EVENKEEL_AUDIT_ELECTION_INTERVAL_S": "0.1",
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
        await producers.until(len(producers.acknowledged) + 400)
        producers.stop.set()
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        for process in processes:
            process.kill(signal.SIGTERM)
            process.log.close()

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
    process.kill(signal.SIGTERM)

    assert process.process.returncode == 0
    assert len(producers.acknowledged) == 1


async def test_the_command_line_checks_what_is_stored_and_tells_the_public_key(environment, audit_database, tmp_path):
    variables, token = environment
    process = Process(0, variables, tmp_path)
    process.start()
    await Producers([process], token).send([an_event("one"), an_event("two")], random.Random(1))
    process.kill(signal.SIGTERM)

    def command(name):
        return subprocess.run(
            [sys.executable, "-m", "services.audit", name],
            cwd=ROOT,
            env=variables,
            capture_output=True,
            text=True,
            check=False,
        )

    whole = await asyncio.to_thread(command, "scrub")
    superuser = await asyncpg.connect(audit_database.admin_server_url, database=audit_database.name)
    await superuser.execute("update audit.entry set body = body || ' ' where idx = 1")
    await superuser.close()
    bent = await asyncio.to_thread(command, "scrub")
    key = await asyncio.to_thread(command, "verifier-key")

    assert (whole.returncode, bent.returncode, key.returncode) == (0, 1, 0)
    assert "events: 2 entries, root " in whole.stdout
    assert "events: entry 1: its leaf is not the hash of its body" in bent.stdout
    records_key = KEY.derived(f"{ORIGIN}/records")
    assert key.stdout.split() == [str(each.verifier_key) for each in (ACCESS_KEY, KEY, records_key)]
