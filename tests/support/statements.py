"""What SQLAlchemy does once for every engine, done once in a test process.

A service has one engine for its whole life; a test process makes hundreds, and each would compile the same statements,
connect, and ask the server for its version. The statements are the same for all: what they depend on is the kind of
dialect and the server's version, and that is one here. Connections are kept where they may be (`connections.py`).
"""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.util import LRUCache

from tests.support.connections import Kept

_STATEMENTS_MAX = 10_000
_compiled: LRUCache[object, object] = LRUCache(_STATEMENTS_MAX)
# What a dialect learns from a server, by the URL that an engine connects to.
_learned: dict[str, dict[str, Any]] = {}
kept = Kept()


class Shared(PGDialect_asyncpg):
    """The dialect as it is, except that one engine's finds what another's has compiled."""

    supports_statement_cache = True

    def __eq__(self, other: object) -> bool:
        """Be the same to the cache, whose keys begin with the dialect, when the servers have one version."""
        return isinstance(other, Shared) and self.server_version_info == other.server_version_info

    def __hash__(self) -> int:
        """Be found as what is equal."""
        return hash(Shared)

    @classmethod
    def engine_created(cls, engine: Engine) -> None:
        """Give a new engine the common cache."""
        engine.update_execution_options(compiled_cache=_compiled)

    def initialize(self, connection: Connection) -> None:
        """Learn of the server what an engine before has learned, or ask it."""
        url = str(connection.engine.url)
        if url not in _learned:
            before = dict(vars(self))
            super().initialize(connection)  # type: ignore[no-untyped-call]  # published without types
            _learned[url] = {name: value for name, value in vars(self).items() if before.get(name) is not value}
        vars(self).update(_learned[url])

    def connect(self, *arguments: Any, **options: Any) -> Any:
        """Take a connection that is kept, or make one."""
        found: Any = kept.taken(options)
        if found is None:
            found = super().connect(*arguments, **options)
            kept.made(found, options)
        return found

    def on_connect(self) -> Callable[[Any], None]:
        """Teach a new connection its types; one that was kept has not forgotten them."""
        teach = super().on_connect()  # type: ignore[no-untyped-call]  # published without types

        def taught(connection: Any) -> None:
            if not kept.again(connection):
                teach(connection)

        return taught

    def do_close(self, dbapi_connection: Any) -> None:
        """Keep a connection, or close it."""
        if not kept.gave_back(dbapi_connection):
            super().do_close(dbapi_connection)  # type: ignore[no-untyped-call]  # published without types


def share_statements() -> None:
    """Have every engine that this process makes from now on share what it compiles."""
    registry.register("postgresql.asyncpg", __name__, Shared.__name__)
