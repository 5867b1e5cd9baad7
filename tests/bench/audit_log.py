"""Audit: what is asked of a log of ten million entries, and what checking and giving away all of it takes.

The log is written once in a run (see `audit_filler`). Proofs and queries are calls of the use case in the service's
process, as an RPC makes them; the same through mutual TLS stands beside them.
"""

import asyncio
import os
import random
import resource
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path

import asyncpg
from sqlalchemy import text

from evenkeel.audit.v1 import audit_service_pb2 as pb
from evenkeel.audit.v1.audit_service_pb2_grpc import AuditServiceStub
from services.audit.app import AuditApp, Exporter, ExportOrder, Growing, scrub
from services.audit.domain.filter import EntryFilter
from services.audit.domain.merkle import Frontier
from services.audit.store import PostgresCloses, PostgresContents, PostgresReader, StretchProcesses, Trusted
from services.runtime.database import Database
from tests.bench.audit import as_the_service_runs, service
from tests.bench.audit_filler import fill
from tests.bench.audit_lab import ACCOUNTS, ENTRIES, NOW, ORIGIN, Lab, an_event, lab, large_log_directory, timed
from tests.bench.results import Result

RECOMPUTED_ENTRIES = 1_000_000
SERVED_ENTRIES = 100_000
# Questions of a kind; each is asked twice, so that the second time its pages are in the memory of server or system.
ASKED = 1_000
AT = f"at {ENTRIES:,} entries"


@asynccontextmanager
async def large_lab() -> AsyncIterator[Lab]:
    """Give the server with the large log."""
    async with lab(large_log_directory()) as here:
        await fill(here.url, here.owner_url, "events", ENTRIES, here.key)
        yield here


def inclusion() -> Sequence[Result]:
    """Measure the proof of one entry, every time another; when it is first asked for, and with its pages in memory."""
    return as_the_service_runs(_inclusion())


async def _inclusion() -> Sequence[Result]:
    async with large_lab() as here:
        database = Database(here.settings)
        app = AuditApp(sequencer=None, log=PostgresReader(database), growing=Growing())

        async def asked() -> list[float]:
            rnd = random.Random(5)
            return await timed(lambda: app.inclusion_proof(rnd.randrange(ENTRIES)), ASKED)

        first_s, again_s = await asked(), await asked()
        await database.close()
    return [
        Result("audit.inclusion_10m_ms", statistics.median(again_s) * 1e3, f"ms, median, pages in memory, {AT}"),
        Result("audit.inclusion_first_ms", statistics.median(first_s) * 1e3, f"ms, median, asked first, {AT}"),
    ]


def queries() -> Sequence[Result]:
    """Measure the newest hundred entries of an account, of another each time; asked first, and with pages in memory."""
    return as_the_service_runs(_queries())


async def _queries() -> Sequence[Result]:
    async with large_lab() as here:
        database = Database(here.settings)
        app = AuditApp(sequencer=None, log=PostgresReader(database), growing=Growing())

        async def asked() -> list[float]:
            rnd = random.Random(6)

            async def ask() -> None:
                account = f"account-{rnd.randrange(ACCOUNTS):06d}"
                await app.entries(EntryFilter(subjects={"account": account}), limit=100, descending=True)

            return await timed(ask, ASKED)

        first_s, again_s = await asked(), await asked()
        await database.close()
    return [
        Result("audit.query_ms", statistics.median(again_s) * 1e3, f"ms, median, newest 100, pages in memory, {AT}"),
        Result("audit.query_p99_ms", _p99(again_s) * 1e3, f"ms, newest 100, pages in memory, {AT}"),
        Result("audit.query_first_p99_ms", _p99(first_s) * 1e3, f"ms, newest 100, asked first, {AT}"),
    ]


def _p99(taken_s: Sequence[float]) -> float:
    return statistics.quantiles(taken_s, n=100)[98]


def proof_vs_recompute() -> Sequence[Result]:
    """Measure a proof at a million entries, beside hashing a million leaves."""
    return asyncio.run(_proof_vs_recompute())


async def _proof_vs_recompute() -> Sequence[Result]:
    async with large_lab() as here:
        database = Database(here.settings)
        app = AuditApp(sequencer=None, log=PostgresReader(database), growing=Growing())
        size = min(ENTRIES, RECOMPUTED_ENTRIES)
        rnd = random.Random(7)
        proof_s, recompute_s = [], []
        leaves = await _leaves(database, size)
        for _ in range(3):
            proof_s += await timed(lambda: app.inclusion_proof(rnd.randrange(size), size))
            began = time.perf_counter()
            Frontier().extended(leaves).root()
            recompute_s.append(time.perf_counter() - began)
        await database.close()
    ours, theirs = statistics.median(proof_s), statistics.median(recompute_s)
    return [
        Result(
            "audit.proof_vs_recompute_1m",
            *(ours * 1e3, f"ms at {size:,}", "the root from all leaves, hashlib", theirs * 1e3),
            *(theirs / ours, {name: version(name) for name in ("asyncpg", "cryptography")}),
        )
    ]


async def _leaves(database: Database, size: int) -> Sequence[bytes]:
    async with database.read() as connection:
        rows = await connection.execute(
            text("select leaf from audit.entry where idx < :size order by idx"), {"size": size}
        )
        return rows.scalars().all()


def through_the_service() -> Sequence[Result]:
    """Measure the same questions through mutual TLS, to a service of its own; a list is recorded before it is shown."""
    return asyncio.run(_through_the_service())


async def _through_the_service() -> Sequence[Result]:
    async with lab() as here:
        await fill(here.url, here.owner_url, "events", SERVED_ENTRIES, here.key)
        async with service(here, "compliance_officer") as channel:
            stub, rnd = AuditServiceStub(channel), random.Random(8)

            async def prove() -> None:
                await stub.GetInclusionProof(pb.GetInclusionProofRequest(index=rnd.randrange(SERVED_ENTRIES)))

            async def ask() -> None:
                plan = pb.Subject(kind="plan", id=f"plan-{rnd.randrange(SERVED_ENTRIES // 2):010d}")
                wanted = pb.EntryFilter(subjects=[plan])
                await stub.ListEntries(pb.ListEntriesRequest(filter=wanted, page_size=100, descending=True))

            proof_s, list_s = await timed(prove), await timed(ask)
    at = f"through mutual TLS, at {SERVED_ENTRIES:,} entries"
    return [
        Result("audit.served_inclusion_ms", statistics.median(proof_s) * 1e3, f"ms, median, {at}"),
        Result("audit.served_list_ms", statistics.median(list_s) * 1e3, f"ms, median, recorded first, {at}"),
    ]


def scrubbing() -> Sequence[Result]:
    """Measure a scrub of everything that is stored of the log."""
    return asyncio.run(_scrubbing())


async def _scrubbing() -> Sequence[Result]:
    async with large_lab() as here:
        database = Database(here.settings)
        keys, count = [here.key.verifier_key], os.cpu_count() or 1
        _forget_most()
        stretches = StretchProcesses(here.settings, Trusted(ORIGIN, keys), count=count, niceness=0)
        try:
            began = time.perf_counter()
            closes = PostgresCloses(database)
            report = await scrub(PostgresContents(database), ORIGIN, keys, closes=closes, stretches=stretches)
            took_s = time.perf_counter() - began
        finally:
            await stretches.rest()
        await database.close()
        memory_mb = _most_mb()
    if report.finding_count or report.size != ENTRIES:
        raise RuntimeError(f"the log is not as it must be: {report.size:,} entries, {report.findings[:3]}")
    return [
        Result("audit.scrub_per_s", ENTRIES / took_s, f"entries/s, {AT}, {count} processes"),
        Result("audit.scrub_mb", memory_mb, f"MB at most, of the service's process or one that checks, {AT}"),
    ]


def _forget_most() -> None:
    """Count from here on the most memory that this process has: other benchmarks ran in it before."""
    memory = Path("/proc/self/clear_refs")
    if memory.exists():
        # See proc_pid_clear_refs(5): the peak becomes what is held now.
        memory.write_text("5")


def _most_mb() -> float:
    """Return the most memory that this process has had since, or one that it ever began and ended: not the server."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(kind).ru_maxrss for kind in kinds) / 1024


def exporting() -> Sequence[Result]:
    """Measure an export of the whole log with its proof."""
    return asyncio.run(_exporting())


async def _exporting() -> Sequence[Result]:
    async with large_lab() as here:
        database = Database(here.settings)
        exporter = Exporter(log=PostgresReader(database), rows=PostgresContents(database), key=here.key)
        order = ExportOrder("events", EntryFilter(), frozenset(), "bench", None)
        _forget_most()
        began, size = time.perf_counter(), 0
        async for _, content in exporter.export(order, NOW):
            size += len(content)
        took_s = time.perf_counter() - began
        await database.close()
        memory_mb = _most_mb()
    speed = f"{size / took_s / 1e6:.0f} MB/s"
    return [
        Result("audit.export_per_s", ENTRIES / took_s, f"entries/s, with proof, {speed}, {AT}"),
        Result("audit.export_mb", memory_mb, f"MB at most, {AT}"),
    ]


def storage() -> Sequence[Result]:
    """Measure what is stored of an event."""
    return asyncio.run(_storage())


async def _storage() -> Sequence[Result]:
    async with large_lab() as here:
        owner = await asyncpg.connect(here.owner_url)
        stored = await owner.fetchval(
            "select sum(pg_total_relation_size(c.oid)) from pg_class c join pg_namespace n on n.oid = relnamespace "
            "where nspname = 'audit' and relkind = 'r' and relname !~ '^(access|records)_'"
        )
        await owner.close()
    body_bytes = statistics.mean(an_event(number).size_bytes for number in range(100))
    return [Result("audit.bytes_per_event", float(stored) / ENTRIES, f"B an event of {body_bytes:.0f} B, {AT}")]
