"""Statements that SQLAlchemy compiles once in a test process, and not again for every engine.

A service has one engine for its whole life; a test process makes hundreds, and each would compile the same statements.
They are the same for all: what they depend on is the kind of dialect and the server's version, and that is one here.
"""

from sqlalchemy import Engine
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.util import LRUCache

_STATEMENTS_MAX = 10_000
_compiled: LRUCache[object, object] = LRUCache(_STATEMENTS_MAX)


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


def share_statements() -> None:
    """Have every engine that this process makes from now on share what it compiles."""
    registry.register("postgresql.asyncpg", __name__, Shared.__name__)
