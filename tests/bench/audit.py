"""Audit: what group commit and the tree cost, beside a row lock and a plain chain.

Each compared way of doing the same is measured in the same run, on the same durable server: a per-event transaction
that locks the head of the log, and a hash chain.
"""

import asyncio
import gc
import hashlib
import os
import statistics
import sys
import time
import uuid
from collections import deque
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import asyncpg
import uvloop
from cryptography.hazmat.primitives import serialization

from evenkeel.audit.v1 import audit_service_pb2 as pb
from evenkeel.audit.v1.audit_service_pb2_grpc import AuditServiceStub
from services.audit.app import Sequencer
from services.audit.domain.checkpoint import Checkpoint, SignedCheckpoint, sign_checkpoint
from services.audit.domain.entry import Event, new_entry
from services.audit.domain.merkle import Frontier
from services.audit.domain.sequencing import Head, grow
from services.audit.domain.signed_note import SigningKey
from services.audit.domain.terms import postings
from services.audit.store import elect
from services.audit.tables import SCHEMA
from services.runtime.bootstrap import keeper_role, service_url
from services.runtime.client import connect
from services.runtime.clock import SystemClock
from services.runtime.credentials import ClientCredentials
from services.runtime.database import Database
from services.runtime.server import GARBAGE_OBJECTS
from services.runtime.wire import instant_message
from tests.bench.audit_lab import ACCOUNTS, NOW, ORIGIN, PASSWORDS, Lab, an_event, lab
from tests.bench.results import Result
from tools.local.certificates import Authority
from tools.local.issuer import ISSUER, TokenIssuer

ROOT = Path(__file__).parents[2]
CALLERS = 256
LOCK_CONNECTIONS = 32
APPENDED = 60_000
APPENDED_UNDER_LOCK = 3_000
ROUNDS = 3
BATCH = 1_000


class Quiet:
    """An observer that only remembers that the log is held."""

    def __init__(self) -> None:
        self.held = asyncio.Event()

    def elected(self, checkpoint: SignedCheckpoint) -> None:
        self.held.set()

    def committed(self, checkpoint: SignedCheckpoint, entries: int) -> None:
        pass

    def lost(self, reason: Exception) -> None:
        raise reason


# --- Group commit ---


def group_commit() -> Sequence[Result]:
    """Measure one event each from 256 callers, against a transaction each under a row lock."""
    return as_the_service_runs(_group_commit())


async def _group_commit() -> Sequence[Result]:
    async with lab() as here:
        rates: dict[str, list[float]] = {"ours": [], "lock": []}
        p99s: list[float] = []
        await _prepare_lock(here)
        for number in range(ROUNDS):
            rate, p99_s = await _sequenced(here, number)
            rates["ours"].append(rate)
            p99s.append(p99_s)
            rates["lock"].append(await _locked(here, number))
        ours, lock = statistics.median(rates["ours"]), statistics.median(rates["lock"])
        name = "a transaction per event, tree under a row lock"
        return [
            Result(
                "audit.group_commit_vs_row_lock", ours, "events/s, 256 callers", name, lock, ours / lock, _versions()
            ),
            Result("audit.append_p99_ms", statistics.median(p99s) * 1e3, "ms to the covering checkpoint, 256 callers"),
        ]


async def _sequenced(here: Lab, run: int) -> tuple[float, float]:
    """Return events per second and the 99th percentile of a caller's wait, in seconds."""
    database = Database(here.settings)
    quiet = Quiet()
    sequencer = Sequencer(
        elect=lambda: elect(database, ORIGIN), origin=ORIGIN, keys=[here.key], clock=SystemClock(), observer=quiet
    )
    stop = asyncio.Event()
    writing = asyncio.create_task(sequencer.run(stop))
    await quiet.held.wait()
    waits: list[float] = []
    left = _own_events(run, APPENDED)

    async def caller() -> None:
        while left:
            event = left.popleft()
            began = time.perf_counter()
            await sequencer.append([event])
            waits.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    took = time.perf_counter() - began
    stop.set()
    await writing
    await database.close()
    return len(waits) / took, statistics.quantiles(waits, n=100)[98]


async def _prepare_lock(here: Lab) -> None:
    owner = await asyncpg.connect(here.settings.database_owner_url.get_secret_value())
    await owner.execute(
        "create table audit.lock_head (one int primary key, size bigint, peaks bytea[]);"
        "insert into audit.lock_head values (1, 0, '{}');"
        "create table audit.lock_entry (idx bigint primary key, leaf bytea, body bytea, event_id uuid unique,"
        " account text, kind text, at timestamptz);"
        "create index on audit.lock_entry (account, idx); create index on audit.lock_entry (kind, idx);"
        "grant select, insert, update on audit.lock_head, audit.lock_entry to evenkeel_audit"
    )
    await owner.close()


async def _locked(here: Lab, run: int) -> float:
    """Return events per second when each is a transaction that locks the head, extends the tree, and updates it."""
    pool = await asyncpg.create_pool(here.url, min_size=LOCK_CONNECTIONS, max_size=LOCK_CONNECTIONS)
    left = _own_events(run, APPENDED_UNDER_LOCK)

    async def caller() -> None:
        while left:
            event = left.popleft()
            body = b"{%b}" % b",".join(event.parts)
            leaf = hashlib.sha256(b"\0" + body).digest()
            async with pool.acquire() as connection, connection.transaction():
                size, peaks = await connection.fetchrow("select size, peaks from audit.lock_head for update")
                tree = Frontier(size, tuple(peaks)).extended([leaf])
                await connection.execute(
                    "insert into audit.lock_entry values ($1, $2, $3, $4, $5, $6, $7)",
                    *(size, leaf, body, event.event_id, event.account, event.kind, NOW),
                )
                await connection.execute(
                    "update audit.lock_head set size = $1, peaks = $2", tree.size, list(tree.peaks)
                )

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    took = time.perf_counter() - began
    await pool.close()
    return APPENDED_UNDER_LOCK / took


def _own_events(run: int, count: int) -> deque[Event]:
    """Return events that no other run has, made before the clock starts: what they cost their producer is its own.

    So is what it costs to look through them for garbage, and to keep them once they are recorded, which no caller does.
    """
    events = deque(_of_an_order(run * 10_000_000 + number) for number in range(count))
    gc.collect()
    gc.freeze()
    return events


def _of_an_order(number: int) -> Event:
    """Return an event; ten in a row are of one account, as those of a plan, its orders and their fills are."""
    event = an_event(number)
    account = f"account-{number // 10 % ACCOUNTS:06d}"
    return replace(event, subjects={**event.subjects, "account": account})


def as_the_service_runs(measuring: Coroutine[object, object, Sequence[Result]]) -> Sequence[Result]:
    """Measure on the loop that the service runs on, with garbage looked for as seldom as there."""
    gc.collect()
    gc.freeze()
    before = gc.get_threshold()
    gc.set_threshold(GARBAGE_OBJECTS)
    try:
        return uvloop.run(measuring)
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


# --- Tree against chain ---


def tree_vs_chain() -> Sequence[Result]:
    """Measure batches of 1,000 with the tree and a signed checkpoint, against a plain hash chain."""
    return asyncio.run(_tree_vs_chain())


async def _tree_vs_chain() -> Sequence[Result]:
    async with lab() as here:
        owner = await asyncpg.connect(here.settings.database_owner_url.get_secret_value())
        await owner.execute(
            "create table audit.chain_entry (like audit.entry including all);"
            "create table audit.chain_key (like audit.event_key including all);"
            "create table audit.chain_posting (like audit.posting including all);"
            "grant select, insert on audit.chain_entry, audit.chain_key, audit.chain_posting to evenkeel_audit"
        )
        await owner.close()
        batches = [[an_event(start + at) for at in range(BATCH)] for start in range(0, 40 * BATCH, BATCH)]
        rates: dict[str, list[float]] = {"tree": [], "chain": []}
        for number in range(ROUNDS):
            # Events of their own for each side: an event remembers its bytes once they were needed.
            rates["tree"].append(await _tree_rate(here, _anew(batches, number)))
            rates["chain"].append(await _chain_rate(here, _anew(batches, number)))
        tree, chain = statistics.median(rates["tree"]), statistics.median(rates["chain"])
        return [
            Result(
                "audit.tree_vs_chain",
                *(tree, "events/s, batches of 1,000", "the same with a hash chain", chain, tree / chain, _versions()),
            )
        ]


def _anew(batches: Sequence[Sequence[Event]], number: int) -> list[list[Event]]:
    return [[replace(each, event_id=_other_id(each.event_id, number)) for each in batch] for batch in batches]


def _other_id(event_id: str, number: int) -> str:
    return str(uuid.UUID(int=uuid.UUID(event_id).int ^ number << 100))


async def _tree_rate(here: Lab, batches: Sequence[Sequence[Event]]) -> float:
    database = Database(here.settings)
    async with elect(database, ORIGIN) as writer:
        head, _ = await writer.head()
        sequences: dict[str, int] = {}
        began = time.perf_counter()
        for batch in batches:
            known = await writer.known([each.event_id for each in batch])
            growth = grow(head, batch, known, sequences, datetime.now(UTC))
            sequences |= growth.sequences
            head = growth.head
            await writer.commit(growth, signed(here.key, head))
        took = time.perf_counter() - began
    await database.close()
    return len(batches) * BATCH / took


async def _chain_rate(here: Lab, batches: Sequence[Sequence[Event]]) -> float:
    """The same bodies, look-up, keys and postings, each body chained to the one before it; no tree, no signature."""
    connection = await asyncpg.connect(here.url)
    link = b"\0" * 32
    index = await connection.fetchval("select coalesce(max(idx) + 1, 0) from audit.chain_entry")
    began = time.perf_counter()
    sequences: dict[str, int] = {}
    for batch in batches:
        await connection.fetch(
            "select event_id, idx, digest from audit.chain_key where event_id = any($1::uuid[])",
            [each.event_id for each in batch],
        )
        now, start, rows, keys = datetime.now(UTC), index, [], []
        for event in batch:
            account = event.account or ""
            sequences[account] = number = sequences.get(account, 0) + 1
            entry = new_entry(event, index=index, account_sequence=number, recorded_time=now)
            link = hashlib.sha256(link + entry.body).digest()
            rows.append((index, link, entry.body))
            keys.append((event.event_id, index, event.digest))
            index += 1
        found = [(term, start, each) for term, each in postings(batch).items()]
        async with connection.transaction():
            for table, columns, records in (
                ("chain_entry", ("idx", "leaf", "body"), rows),
                ("chain_posting", ("term", "start", "positions"), found),
                ("chain_key", ("event_id", "idx", "digest"), keys),
            ):
                await connection.copy_records_to_table(table, schema_name=SCHEMA, columns=columns, records=records)
    took = time.perf_counter() - began
    await connection.close()
    return len(batches) * BATCH / took


def signed(key: SigningKey, head: Head) -> SignedCheckpoint:
    """Return the checkpoint of `head`, signed by `key`."""
    checkpoint = Checkpoint(ORIGIN, head.edge.size, head.edge.root())
    return SignedCheckpoint(checkpoint, sign_checkpoint(checkpoint, [key]), head.recorded_time or datetime.now(UTC))


# --- Through the service ---


def grpc_append() -> Sequence[Result]:
    """Measure appends through mutual TLS, in batches of 100 and one by one; client and server share the machine."""
    return asyncio.run(_grpc_append())


async def _grpc_append() -> Sequence[Result]:
    async with lab() as here, service(here) as channel:
        stub = AuditServiceStub(channel)
        await stub.Append(_request(10**12, 1))
        # Made before the clock starts: what a producer's events cost it is its own affair.
        batches = [_request(number * 100, 100) for number in range(1_500)]
        singles = [_request(10**9 + number, 1) for number in range(4_000)]
        batched, batch_waits = await _sent(stub, batches, 32)
        single, _ = await _sent(stub, singles, CALLERS)
        p99_ms = statistics.quantiles(batch_waits, n=100)[98] * 1e3
        return [
            Result(
                "audit.grpc_events_per_s",
                *(batched * 100, "events/s, mutual TLS, batches of 100", "one event a call", single),
                *(batched * 100 / single, _versions()),
            ),
            Result("audit.grpc_batch_p99_ms", p99_ms, "ms a batch of 100, 32 callers"),
        ]


def _request(first: int, count: int) -> pb.AppendRequest:
    messages = []
    for number in range(first, first + count):
        event = replace(_of_an_order(number), producer="decision")
        messages.append(
            pb.Event(
                event_id=event.event_id,
                kind=event.kind,
                occurred_time=instant_message(event.occurred_time),
                producer=event.producer,
                actor=event.actor,
                trace_parent=f"00-{first + 1:032x}-00f067aa0ba902b7-01",
                subjects=[pb.Subject(kind=kind, id=each) for kind, each in event.subjects.items()],
                data=event.data,
            )
        )
    return pb.AppendRequest(events=messages)


async def _sent(
    stub: AuditServiceStub, requests: Sequence[pb.AppendRequest], callers: int
) -> tuple[float, list[float]]:
    """Return calls per second, and what each took in seconds."""
    left: Iterator[pb.AppendRequest] = iter(requests)
    waits: list[float] = []

    async def caller() -> None:
        for request in left:
            began = time.perf_counter()
            await stub.Append(request)
            waits.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    return len(requests) / (time.perf_counter() - began), waits


@asynccontextmanager
async def service(here: Lab, role: str = "decision_service") -> AsyncIterator[object]:
    """Start the service as its own process, with mutual TLS; give a channel to it for somebody with `role`."""
    directory = here.directory
    authority = Authority.at(directory)
    server, client = authority.issue("audit"), authority.issue("decision")
    issuer = TokenIssuer.at(directory)
    token_file = directory / "token"
    token_file.write_text(issuer.token("decision", [role], timedelta(hours=1)))
    key_file, wrapping_file, port_file = directory / "log.key", directory / "wrapping.key", directory / "port"
    key_file.write_bytes(
        here.key.private_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    wrapping_file.write_text(bytes(range(32)).hex())
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}",
        "EVENKEEL_PORT_FILE": str(port_file),
        "EVENKEEL_AUDIT_DATABASE_URL": here.url,
        "EVENKEEL_AUDIT_KEEPER_DATABASE_URL": service_url(here.server.url, keeper_role("audit"), PASSWORDS.keeper),
        "EVENKEEL_AUDIT_SUBJECT_KEYS_FILE": str(wrapping_file),
        "EVENKEEL_AUDIT_JWKS_URL": issuer.jwks_file.as_uri(),
        "EVENKEEL_AUDIT_TOKEN_ISSUER": ISSUER,
        "EVENKEEL_AUDIT_LOG_ORIGIN": ORIGIN,
        "EVENKEEL_AUDIT_LOG_KEY_FILE": str(key_file),
        "EVENKEEL_AUDIT_TLS_CERTIFICATE_FILE": str(server.certificate_file),
        "EVENKEEL_AUDIT_TLS_PRIVATE_KEY_FILE": str(server.private_key_file),
        "EVENKEEL_AUDIT_TLS_CLIENT_CA_FILE": str(authority.certificate_file),
    }
    command = [sys.executable, "-m", "services.audit", "serve"]
    with (directory / "service.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        while not port_file.exists():
            if process.returncode is not None:
                raise RuntimeError((directory / "service.log").read_text()[-2000:])
            await asyncio.sleep(0.05)
        credentials = ClientCredentials(
            token_file=token_file,
            ca_file=authority.certificate_file,
            certificate_file=client.certificate_file,
            private_key_file=client.private_key_file,
        )
        async with connect(f"localhost:{int(port_file.read_text())}", credentials) as channel:
            yield channel
    finally:
        process.terminate()
        await process.wait()


def _versions() -> dict[str, str]:
    return {name: version(name) for name in ("asyncpg", "cryptography", "grpcio")}
