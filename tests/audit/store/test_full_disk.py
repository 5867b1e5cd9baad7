"""A disk that is really full: what audit acknowledged stays, the rest is refused, and with room the log goes on.

The disks are small file systems in memory, which only root can mount; without that right, `test_postgres.py` still
shows what happens when the server says that it is full.
"""

import os
import shutil
import subprocess
import tempfile
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import asyncpg
import pytest

from services.audit.store import PostgresReader
from services.kernel.errors import Unreachable
from services.runtime.bootstrap import DATABASE, Passwords, bootstrap, owner_role, role, service_url
from services.runtime.database import Database
from services.runtime.migrations import run_migrations
from services.runtime.settings import ServiceSettings
from tests.audit.builders import some_events
from tests.audit.check_log import check_log, check_tables
from tests.audit.store.test_postgres import Running
from tools.local.postgres import UNPRIVILEGED_USER, Postgres

# A batch takes about 80 kB in the table of entries; a file of write-ahead log 16 MB.
EVENTS = 200
BATCHES_MAX = 2_000
LEFT_BYTES = 1 << 20
MEBIBYTE = 1 << 20


@pytest.fixture
def mounted():
    """Mounts a file system of so many MiB in memory, for as long as the test runs."""
    mounts = []

    def mount(mebibytes):
        directory = Path(tempfile.mkdtemp(prefix="evenkeel-disk-"))
        command = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(directory)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            directory.rmdir()
            pytest.skip(f"a small file system cannot be mounted here: {done.stderr.strip()}")
        mounts.append(directory)
        directory.chmod(0o755)
        return directory

    if os.geteuid():
        pytest.skip("only root can mount a small file system")
    yield mount
    for directory in mounts:
        subprocess.run(["umount", str(directory)], check=True)
        directory.rmdir()


@contextmanager
def filled(directory):
    """A file that takes all but `LEFT_BYTES` of the disk, until the block ends."""
    filler = directory / "filler"
    free = os.statvfs(directory)
    with filler.open("wb") as file:
        for _ in range((free.f_bavail * free.f_bsize - LEFT_BYTES) // MEBIBYTE):
            file.write(bytes(MEBIBYTE))
    try:
        yield
    finally:
        filler.unlink()


async def appended_until_refused(sequencer):
    """Append batches until one is refused; return how many were acknowledged."""
    for number in range(BATCHES_MAX):
        try:
            await sequencer.append(some_events(EVENTS, f"batch {number}"))
        except Unreachable:
            return number
    pytest.fail("the disk was never full")


async def test_a_log_whose_table_cannot_grow_goes_on_when_it_can(mounted, database, superuser):
    if os.environ.get("EVENKEEL_DATABASE_URL"):
        pytest.skip("the server may run on another machine")
    disk = mounted(12)
    home = disk / "tables"
    home.mkdir()
    shutil.chown(home, UNPRIVILEGED_USER)
    await superuser.execute(f"create tablespace crowded location '{home}'")
    await superuser.execute("alter table audit.entry_0000 set tablespace crowded")
    try:
        async with Running(database) as running:
            with filled(disk):
                count = await appended_until_refused(running.sequencer)
            await running.seen.until(lambda: running.sequencer.writing)
            again = await running.sequencer.append(some_events(EVENTS, f"batch {count}"))

        assert isinstance(running.seen.losses[0].__cause__, asyncpg.DiskFullError)
        assert [result.index for result in again.results] == list(range(EVENTS * count, EVENTS * (count + 1)))
        assert len(await check_log(PostgresReader(database), proofs_max=20)) == EVENTS * (count + 1)
        await check_tables(superuser)
    finally:
        await superuser.execute("alter table audit.entry_0000 set tablespace pg_default")
        await superuser.execute("drop tablespace crowded")


def move(directory, disk):
    """Have what is in `directory` on `disk`, with its owner."""
    subprocess.run(["cp", "-a", str(directory), str(disk)], check=True)
    shutil.rmtree(directory)
    directory.symlink_to(disk / directory.name)


@asynccontextmanager
async def a_server(directory, disk):
    """A server that has its write-ahead log on `disk` and all else in `directory`, and its settings for audit."""
    server = Postgres(directory / "pg", durable=True, settings={"min_wal_size": "32MB", "max_wal_size": "1GB"})
    server.start()
    server.stop()
    move(directory / "pg" / "data" / "pg_wal", disk)
    server.start()
    try:
        await bootstrap(server.url, {"audit": Passwords(service="s", owner="o", keeper="k")})
        settings = ServiceSettings.from_environment(
            database_url=service_url(server.url, role("audit"), "s"),
            database_owner_url=service_url(server.url, owner_role("audit"), "o"),
            database_schema="audit",
            jwks_url="file:/nonexistent",
            token_issuer="https://issuer.test",
        )
        await run_migrations(settings, "services.audit")
        yield server, settings
    finally:
        server.stop()


async def test_a_server_that_cannot_write_its_own_log_ends_and_nothing_acknowledged_is_lost(mounted):
    directory, disk = mounted(512), mounted(128)
    async with a_server(directory, disk) as (server, settings):
        database = Database(settings)
        async with Running(database) as running:
            with filled(disk):
                count = await appended_until_refused(running.sequencer)
            # There is room again. The server gave up meanwhile, or is trying to recover; an operator starts it anew.
            assert "PANIC" in server.log.read_text()
            server.kill()
            server.start()
            await running.seen.until(lambda: running.sequencer.writing)
            again = await running.sequencer.append(some_events(EVENTS, f"batch {count}"))

        entries = await check_log(PostgresReader(database), proofs_max=20)
        owner = await asyncpg.connect(service_url(server.url, owner_role("audit"), "o", DATABASE))
        await check_tables(owner)
        await owner.close()
        await database.close()

    # A commit whose answer was lost may have happened; repeated, it stands once and under the same indexes.
    assert [result.index for result in again.results] == list(range(EVENTS * count, EVENTS * (count + 1)))
    assert len(entries) == EVENTS * (count + 1)
