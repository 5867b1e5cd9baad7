"""Audit: what group commit, the tree and its proofs cost, beside a row lock, a plain chain and computing it all again.

Each compared way of doing the same is measured in the same run, on the same durable server: a per-event transaction
that locks the head of the log, a hash chain, and a root computed from the leaves. The large log is written by a loader
that skips nothing but the network: real bodies, keys, postings, tiles and signed checkpoints, 10,000 entries a commit.

`EVENKEEL_BENCH_AUDIT_ENTRIES` sets its size; the figures say how many entries they were taken on.
"""

import asyncio
import hashlib
import os
import random
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import asyncpg
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import text

from evenkeel.audit.v1 import audit_service_pb2 as pb
from evenkeel.audit.v1.audit_service_pb2_grpc import AuditServiceStub
from services.audit.app import AuditApp, Exporter, ExportOrder, Growing, Sequencer, scrub
from services.audit.domain.checkpoint import Checkpoint, SignedCheckpoint, sign_checkpoint
from services.audit.domain.entry import Event, new_entry
from services.audit.domain.filter import EntryFilter
from services.audit.domain.merkle import Frontier
from services.audit.domain.sequencing import Growth, Head, grow
from services.audit.domain.signed_note import SigningKey
from services.audit.domain.terms import postings
from services.audit.store import PostgresContents, PostgresReader, elect
from services.audit.tables import SCHEMA
from services.runtime.bootstrap import Passwords, bootstrap, keeper_role, owner_role, role, service_url
from services.runtime.client import connect
from services.runtime.clock import SystemClock
from services.runtime.credentials import ClientCredentials
from services.runtime.database import Database
from services.runtime.migrations import run_migrations
from services.runtime.settings import ServiceSettings
from services.runtime.wire import instant_message
from tests.bench.results import Result
from tools.local.certificates import Authority
from tools.local.issuer import ISSUER, TokenIssuer
from tools.local.postgres import Postgres

ORIGIN = "audit.example/bench"
ROOT = Path(__file__).parents[2]
ENTRIES = int(os.environ.get("EVENKEEL_BENCH_AUDIT_ENTRIES", "10000000"))
SMALL_ENTRIES = 200_000
RECOMPUTED_ENTRIES = 1_000_000
ACCOUNTS = 100_000
LOAD_COMMIT = 10_000
CALLERS = 256
LOCK_CONNECTIONS = 32
APPENDED = 60_000
APPENDED_UNDER_LOCK = 3_000
ROUNDS = 3
BATCH = 1_000
SAMPLES = 400
PASSWORDS = Passwords(service="s", owner="o", keeper="k")
# A server for a log of ten million entries, as an operator would set it up: PostgreSQL's 128 MB of buffers are for a
# small machine, and with 1 GB of log between its checkpoints it would write most pages again and again.
SERVER = {"shared_buffers": "1GB", "max_wal_size": "8GB", "checkpoint_timeout": "15min"}


@dataclass(frozen=True, slots=True)
class Lab:
    """A durable database server with audit's tables, and a key."""

    server: Postgres
    settings: ServiceSettings
    key: SigningKey
    directory: Path

    @property
    def url(self) -> str:
        """Where the service connects."""
        return self.settings.database_url.get_secret_value()


@asynccontextmanager
async def lab() -> AsyncIterator[Lab]:
    """Start a server on an empty directory; it is gone at the end."""
    with tempfile.TemporaryDirectory(prefix="evenkeel-bench-") as name:
        directory = Path(name)
        # As root, the server runs as another user and must reach its data.
        directory.chmod(0o755)
        server = Postgres(directory / "pg", durable=True, settings=SERVER)
        server.start()
        try:
            await bootstrap(server.url, {"audit": PASSWORDS})
            settings = ServiceSettings.from_environment(
                database_url=service_url(server.url, role("audit"), "s"),
                database_owner_url=service_url(server.url, owner_role("audit"), "o"),
                database_schema="audit",
                jwks_url="file:/nonexistent",
                token_issuer="https://issuer.test",
            )
            await run_migrations(settings, "services.audit")
            key = SigningKey(ORIGIN, Ed25519PrivateKey.generate())
            yield Lab(server, settings, key, directory)
        finally:
            server.stop()


NOW = datetime(2026, 11, 28, 12, 0, 0, 1000, tzinfo=UTC)


def an_event(number: int) -> Event:
    """Return an event of about 485 bytes as JSON."""
    account = f"account-{number % ACCOUNTS:06d}"
    return Event(
        event_id=_event_id(number),
        kind="execution.order.closed" if number % 2 else "decision.plan.decided",
        occurred_time=NOW + timedelta(microseconds=number),
        producer="execution" if number % 2 else "decision",
        actor="execution_service" if number % 2 else "decision_service",
        trace_parent=f"00-{number // 50 + 1:032x}-00f067aa0ba902b7-01",
        subjects={"account": account, "plan": f"plan-{number // 2:010d}"},
        data=b'{"note":"%b","number":%d,"quantity":"12.5"}' % (b"x" * 118, number),
    )


def _event_id(number: int) -> str:
    """Return a UUID that looks random; written by hand, because `uuid` costs more than recording the event."""
    digits = f"{(number + 1) * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


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
    return asyncio.run(_group_commit())


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
            Result("audit.append_p99_ms", min(p99s) * 1e3, "ms to the covering checkpoint, 256 callers"),
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
    left = iter(_own_events(run, APPENDED))

    async def caller() -> None:
        for event in left:
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
    left = iter(_own_events(run, APPENDED_UNDER_LOCK))

    async def caller() -> None:
        for event in left:
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


def _own_events(run: int, count: int) -> list[Event]:
    """Return events that no other run has, made before the clock starts: what they cost their producer is its own."""
    return [an_event(run * 10_000_000 + number) for number in range(count)]


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
            await writer.commit(growth, _signed(here.key, head))
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


def _signed(key: SigningKey, head: Head) -> SignedCheckpoint:
    checkpoint = Checkpoint(ORIGIN, head.edge.size, head.edge.root())
    return SignedCheckpoint(checkpoint, sign_checkpoint(checkpoint, [key]), head.recorded_time or datetime.now(UTC))


# --- Through the service ---


def grpc_append() -> Sequence[Result]:
    """Measure appends through mutual TLS, in batches of 100 and one by one; client and server share the machine."""
    return asyncio.run(_grpc_append())


async def _grpc_append() -> Sequence[Result]:
    async with lab() as here, _service(here) as channel:
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
        event = replace(an_event(number), producer="decision")
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
async def _service(here: Lab) -> AsyncIterator[object]:
    """Start the service as its own process, with mutual TLS; give a channel to it."""
    directory = here.directory
    authority = Authority.at(directory)
    server, client = authority.issue("audit"), authority.issue("decision")
    issuer = TokenIssuer.at(directory)
    token_file = directory / "token"
    token_file.write_text(issuer.token("decision", ["decision_service"], timedelta(hours=1)))
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


# --- A large log ---


def large_log() -> Sequence[Result]:
    """Measure proofs, queries and storage on a large log, and a scrub and an export on a smaller one."""
    return asyncio.run(_large_log())


async def _large_log() -> Sequence[Result]:
    async with lab() as here:
        results = await _scrubbed_and_exported(here)
        await load(here, "events", ENTRIES)
        owner = await asyncpg.connect(here.settings.database_owner_url.get_secret_value())
        bytes_stored = await owner.fetchval(
            "select sum(pg_total_relation_size(c.oid)) from pg_class c join pg_namespace n on n.oid = relnamespace "
            "where nspname = 'audit' and relkind = 'r' and relname !~ '^(access|records)_'"
        )
        await owner.close()
        body_bytes = statistics.mean(an_event(number).size_bytes for number in range(100))
        database = Database(here.settings)
        reader = PostgresReader(database)
        app = AuditApp(sequencer=None, log=reader, growing=Growing())
        rnd = random.Random(5)
        proof_s = await _timed(lambda: app.inclusion_proof(rnd.randrange(ENTRIES)))
        query_s = await _timed(
            lambda: app.entries(
                EntryFilter(subjects={"account": f"account-{rnd.randrange(ACCOUNTS):06d}"}), limit=100, descending=True
            )
        )
        recompute_s, recomputed = await _recomputed(database, min(ENTRIES, RECOMPUTED_ENTRIES))
        million = await _timed(lambda: app.inclusion_proof(rnd.randrange(recomputed), _commit_of(recomputed)))
        await database.close()
        at = f"at {ENTRIES:,} entries"
        return [
            *results,
            Result("audit.inclusion_10m_ms", statistics.median(proof_s) * 1e3, f"ms, median, {at}"),
            Result("audit.query_p99_ms", statistics.quantiles(query_s, n=100)[98] * 1e3, f"ms, newest 100, {at}"),
            Result(
                "audit.proof_vs_recompute_1m",
                *(statistics.median(million) * 1e3, f"ms at {recomputed:,}", "the root from all leaves, hashlib"),
                *(recompute_s * 1e3, recompute_s / statistics.median(million), _versions()),
            ),
            Result("audit.bytes_per_event", float(bytes_stored) / ENTRIES, f"B an event of {body_bytes:.0f} B, {at}"),
        ]


async def _scrubbed_and_exported(here: Lab) -> list[Result]:
    await load(here, "access", SMALL_ENTRIES)
    database = Database(here.settings)
    contents, reader = PostgresContents(database, "access"), PostgresReader(database, "access")
    began = time.perf_counter()
    report = await scrub(contents, ORIGIN, [here.key.verifier_key])
    scrub_s = time.perf_counter() - began
    if report.finding_count:
        raise RuntimeError(f"the loaded log is not as it must be: {report.findings[:3]}")
    exporter = Exporter(log=reader, rows=contents, key=here.key)
    order = ExportOrder("access", EntryFilter(), frozenset(), "bench", None)
    began = time.perf_counter()
    size = 0
    async for _, content in exporter.export(order, NOW):
        size += len(content)
    export_s = time.perf_counter() - began
    await database.close()
    return [
        Result("audit.scrub_per_s", SMALL_ENTRIES / scrub_s, f"entries/s of {SMALL_ENTRIES:,}"),
        Result(
            "audit.export_per_s", SMALL_ENTRIES / export_s, f"entries/s, with proof, {size / export_s / 1e6:.0f} MB/s"
        ),
    ]


async def load(here: Lab, log: str, count: int) -> None:
    """Write `count` events to an empty log, as the service stores them, many in a commit.

    While the database stores a commit, the next is computed; so no more than two are in memory.
    """
    database = Database(here.settings)
    async with elect(database, ORIGIN, log) as writer:
        head, _ = await writer.head()
        if head.recorded_time is None:
            head = replace(head, recorded_time=NOW)
            await writer.commit(grow(head, [], {}, {}, NOW), _signed(here.key, head))
        sequences: dict[str, int] = {}
        stored = 0
        began = time.perf_counter()
        growth = _next(head, sequences, 0, count)
        while growth.entries:
            made = asyncio.create_task(asyncio.to_thread(_next, growth.head, sequences, growth.head.edge.size, count))
            await writer.commit(growth, _signed(here.key, growth.head))
            stored += len(growth.entries)
            growth = await made
            if sys.stderr.isatty() or stored % (50 * LOAD_COMMIT) == 0:
                rate = stored / (time.perf_counter() - began)
                sys.stderr.write(f"\r{log}: {stored:,} of {count:,} entries, {rate:,.0f}/s ")
                sys.stderr.flush()
    sys.stderr.write("\n")
    await database.close()
    # As a log that grew over months would be: its tables are vacuumed and analysed.
    owner = await asyncpg.connect(here.settings.database_owner_url.get_secret_value())
    await owner.execute("vacuum analyze")
    await owner.close()


def _next(head: Head, sequences: dict[str, int], start: int, count: int) -> Growth:
    """Return the commit that begins with event `start`; an empty one after the last."""
    events = [an_event(number) for number in range(start, min(start + LOAD_COMMIT, count))]
    growth = grow(head, events, {}, sequences, NOW + timedelta(microseconds=start + LOAD_COMMIT))
    sequences |= growth.sequences
    return growth


def _commit_of(size: int) -> int:
    return size // LOAD_COMMIT * LOAD_COMMIT or size


async def _recomputed(database: Database, size: int) -> tuple[float, int]:
    """Return the seconds that the root of the first `size` leaves takes, reading them not included."""
    size = _commit_of(size)
    async with database.read() as connection:
        rows = await connection.execute(
            text("select leaf from audit.entry where idx < :size order by idx"), {"size": size}
        )
        leaves = rows.scalars().all()
    began = time.perf_counter()
    Frontier().extended(leaves).root()
    return time.perf_counter() - began, size


async def _timed(ask: Callable[[], object]) -> list[float]:
    """Return what each of `SAMPLES` questions took, in seconds, after some that do not count."""
    taken = []
    for number in range(SAMPLES + 20):
        began = time.perf_counter()
        await ask()
        if number >= 20:
            taken.append(time.perf_counter() - began)
    return taken


def _versions() -> dict[str, str]:
    return {name: version(name) for name in ("asyncpg", "cryptography", "grpcio")}
