"""The embedded PostgreSQL: it keeps its data, recovers, refuses what would hurt, and ends with its launcher."""

import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import asyncpg
import pytest

from tools.checks.locks import ROOT
from tools.local.postgres import Postgres, PostgresFailed, admin_url, find_binaries


@pytest.fixture(name="directory")
def fresh_directory():
    yield from temporary_directory()


def temporary_directory():
    # Not `tmp_path`: as root, the server runs as another user, who cannot enter root's own temporary directories.
    directory = Path(tempfile.mkdtemp(prefix="evenkeel-test-"))
    directory.chmod(0o755)
    yield directory / "pg"
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="module")
def initialized():
    """The directory of a server that ran and ended, for tests to copy: making one takes half a second."""
    for directory in temporary_directory():
        with Postgres(directory, durable=False):
            pass
        yield directory


@pytest.fixture
def used(initialized, directory):
    """A directory that a server has run on before."""
    # Owners and permissions too.
    subprocess.run(["cp", "-a", str(initialized), str(directory)], check=True)
    return directory


@pytest.fixture(scope="module")
def server():
    """A server for tests that leave it as it was, on a directory that it made."""
    for directory in temporary_directory():
        with Postgres(directory, durable=False) as server:
            yield server


async def answer(url, query):
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


def postmaster(directory):
    return int((directory / "data" / "postmaster.pid").read_text().split()[0])


async def test_a_server_answers_and_is_new_enough(server):
    assert await answer(server.url, "SELECT current_setting('server_version_num')::int >= 150000")


async def test_data_and_a_chosen_port_outlive_the_server(used):
    with Postgres(used, durable=False) as first:
        await answer(first.url, "CREATE TABLE kept AS SELECT 42 AS n")

    with Postgres(used, durable=False, port=first.port) as second:
        assert second.url == first.url
        assert await answer(second.url, "SELECT n FROM kept") == 42


async def test_a_durable_server_waits_for_the_disk_and_loses_nothing_in_a_crash(used):
    with Postgres(used, durable=True) as server:
        assert await answer(server.url, "SELECT current_setting('fsync')") == "on"
        await answer(server.url, "CREATE TABLE kept AS SELECT 42 AS n")

        server.kill()
        server.start()

        assert await answer(server.url, "SELECT n FROM kept") == 42


async def test_over_tcp_a_password_is_asked_for(server):
    with pytest.raises(asyncpg.InvalidPasswordError):
        await answer(f"postgresql://postgres:guessed@127.0.0.1:{server.port}/postgres", "SELECT 1")


def test_a_second_server_on_the_same_data_is_refused(server):
    with pytest.raises(PostgresFailed, match=f"process {postmaster(server.directory)}"):
        Postgres(server.directory).start()


def test_data_of_another_version_is_refused(used):
    (used / "data" / "PG_VERSION").write_text("9\n")

    with pytest.raises(PostgresFailed, match="was made by PostgreSQL 9"):
        Postgres(used).start()


async def test_a_lock_left_by_a_crash_is_no_obstacle_when_its_number_belongs_to_another_program(used):
    (used / "data" / "postmaster.pid").write_text(f"{os.getpid()}\n{used}\n")

    with Postgres(used, durable=False) as server:
        assert await answer(server.url, "SELECT 1") == 1


def test_a_failed_start_shows_the_servers_own_words(used):
    with Postgres(used, durable=False) as server:
        configuration = server.directory / "data" / "postgresql.conf"
        configuration.write_text("no_such_setting = 1\n")

    with pytest.raises(PostgresFailed, match="no_such_setting"):
        Postgres(used).start()


def test_a_killed_launcher_leaves_no_server_behind(directory):
    launcher = subprocess.Popen(
        [sys.executable, "-m", "tools.local.postgres", str(directory)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert launcher.stdout.readline().startswith("postgresql://")
    server = os.pidfd_open(postmaster(directory))

    launcher.send_signal(signal.SIGKILL)
    launcher.wait()

    ended, _, _ = select.select([server], [], [], 30)
    os.close(server)
    launcher.stdout.close()
    assert ended


def test_a_stopped_launcher_stops_its_server(used):
    launcher = subprocess.Popen(
        [sys.executable, "-m", "tools.local.postgres", str(used)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert launcher.stdout.readline().startswith("postgresql://")

    launcher.send_signal(signal.SIGTERM)

    assert launcher.wait(30) == 0
    launcher.stdout.close()
    assert not (used / "data" / "postmaster.pid").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user runs the server as itself, in its own home")
async def test_as_root_in_a_private_home_the_data_is_elsewhere_until_the_directory_is_removed(tmp_path):
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    with Postgres(home / "pg", durable=True) as server:
        await answer(server.url, "CREATE TABLE kept AS SELECT 42 AS n")
    elsewhere = Path((home / "pg" / "data-is-elsewhere.txt").read_text().strip())
    assert elsewhere.stat().st_mode & 0o077 == 0

    with Postgres(home / "pg", durable=False) as server:
        assert await answer(server.url, "SELECT n FROM kept") == 42

    shutil.rmtree(home / "pg")
    with Postgres(home / "pg", durable=False) as server:
        assert await answer(server.url, "SELECT to_regclass('kept') IS NULL")
    shutil.rmtree(elsewhere)


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user runs the server as itself, in its own home")
def test_as_root_data_elsewhere_goes_once_its_directory_is_gone_and_another_server_starts(tmp_path):
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    with Postgres(home / "running", durable=False) as running, Postgres(home / "removed", durable=False):
        pass
    elsewhere = {
        name: Path((home / name / "data-is-elsewhere.txt").read_text().strip()) for name in ("running", "removed")
    }

    shutil.rmtree(home / "removed")
    with running:
        assert elsewhere["running"].exists()
        assert not elsewhere["removed"].exists()

    shutil.rmtree(elsewhere["running"])


def test_a_named_server_is_used_instead(directory, monkeypatch):
    monkeypatch.setenv("EVENKEEL_DATABASE_URL", "postgresql://elsewhere/postgres")

    with admin_url(directory, durable=True) as url:
        assert url == "postgresql://elsewhere/postgres"
    assert not directory.exists()


def test_named_binaries_come_first(tmp_path, monkeypatch):
    for program in ("postgres", "initdb"):
        (tmp_path / program).touch()
    monkeypatch.setenv("EVENKEEL_PG_BINDIR", str(tmp_path))

    assert find_binaries() == tmp_path


def test_named_binaries_that_are_not_there_are_passed_over(tmp_path, monkeypatch):
    monkeypatch.setenv("EVENKEEL_PG_BINDIR", str(tmp_path))

    assert find_binaries() != tmp_path
