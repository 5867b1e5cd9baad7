"""Connections to databases of tests that outlive the engine which opened them.

A service has its connections for hours; a test has them for a tenth of a second, and half of what the driver and
PostgreSQL then do is to begin: a process that reads the catalog, types, statements that are planned for the first time.
So a connection that an engine closes is put back to how it began, and kept for the next engine that connects in the
same way. Only to databases that serve one test after another: `tests/support/postgres.py` asks which may stay.
"""

import asyncio
from collections import defaultdict
from collections.abc import Hashable
from typing import Any

from sqlalchemy.util.concurrency import await_, in_greenlet

# Of one kind, for one database: more at once are rare.
KEPT_MAX = 4

# SQLAlchemy's own, which has no types.
Adapted = Any
# The event loop that it belongs to, and how it was made.
Kind = tuple[asyncio.AbstractEventLoop, Hashable]


class Kept:
    """The connections that nobody uses now, by database."""

    def __init__(self) -> None:
        """No database is known yet, so none is kept."""
        self._idle: dict[str, dict[Kind, list[Adapted]]] = {}
        self._kinds: dict[Adapted, tuple[str, Kind]] = {}
        # Those that were kept before, whoever has them now.
        self._again: set[Adapted] = set()

    def keep(self, database: str) -> None:
        """Keep connections to `database` from now on."""
        self._idle.setdefault(database, defaultdict(list))

    async def forget(self, database: str) -> None:
        """Close what is kept of `database`, and keep no more."""
        for connections in self._idle.pop(database, {}).values():
            for connection in connections:
                self._lost(connection)
                await connection.driver_connection.close()

    def backends(self, database: str) -> list[int]:
        """Return the server's processes of what is kept of `database`."""
        kinds = self._idle.get(database, {}).values()
        return [each.driver_connection.get_server_pid() for connections in kinds for each in connections]

    def taken(self, options: dict[str, Any]) -> Adapted | None:
        """Return a kept connection that was made with `options`, if there is one."""
        database, kind = _kind(options)
        connections = self._idle.get(database, {}).get(kind, [])
        while connections:
            connection = connections.pop()
            if not connection.driver_connection.is_closed():
                return connection
            self._lost(connection)
        return None

    def again(self, connection: Adapted) -> bool:
        """Return whether an engine before had the connection."""
        return connection in self._again

    def made(self, connection: Adapted, options: dict[str, Any]) -> None:
        """Remember how a new connection was made."""
        if options.get("database") in self._idle and "prepared_statement_name_func" not in options:
            self._kinds[connection] = _kind(options)

    def gave_back(self, connection: Adapted) -> bool:
        """Put a connection back to how it began, and return whether it is kept; else whoever has it must close it."""
        database, kind = self._kinds.get(connection, ("", None))
        idle = self._idle.get(database)
        driver = connection.driver_connection
        if idle is None or kind is None or not in_greenlet() or driver.is_closed() or len(idle[kind]) >= KEPT_MAX:
            self._lost(connection)
            return False
        connection.rollback()
        connection.isolation_level = connection._isolation_setting = None
        connection.readonly = connection.deferrable = False
        await_(driver.reset())
        idle[kind].append(connection)
        self._again.add(connection)
        return True

    def _lost(self, connection: Adapted) -> None:
        self._kinds.pop(connection, None)
        self._again.discard(connection)


def _kind(options: dict[str, Any]) -> tuple[str, Kind]:
    settings = tuple(sorted(options.get("server_settings", {}).items()))
    rest = tuple(sorted((name, value) for name, value in options.items() if name != "server_settings"))
    return options.get("database", ""), (asyncio.get_running_loop(), (settings, rest))
