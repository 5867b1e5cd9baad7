"""What an error of the database means to whoever called: wait, do it again, or mend the request."""

from asyncpg.exceptions import InterfaceError, PostgresError
from sqlalchemy import exc

from services.kernel.errors import Conflict, Invalid, Unreachable
from services.runtime.deadlines import DeadlinePassed
from services.runtime.drivers import NoConnection

_QUERY_CANCELED = "57014"
# Serialization failure and deadlock: nothing was done, and doing it again helps.
_DO_AGAIN = frozenset({"40001", "40P01"})
# Admin shutdown, crash shutdown, cannot connect now, database dropped; too many connections.
_UNREACHABLE = frozenset({"57P01", "57P02", "57P03", "57P04", "53300"})
_CONNECTION_EXCEPTION = "08"
# Character not in repertoire, untranslatable character: PostgreSQL's text has no NUL.
_NUL = frozenset({"22021", "22P05"})


class DatabaseUnreachable(Unreachable):
    """The database does not answer."""

    reason = "DATABASE_UNREACHABLE"


class TransactionConflict(Conflict):
    """Another transaction was faster; nothing was done."""


class database_errors:  # noqa: N801 - read as a context manager; a class, because it is entered on every call
    """Says what a database error means to whoever called."""

    __slots__ = ()

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        match error:
            case NoConnection():
                raise DatabaseUnreachable(str(error)) from error
            case exc.TimeoutError():
                raise DatabaseUnreachable("no database connection became free in time") from error
            case exc.DBAPIError() | PostgresError():
                state = getattr(getattr(error, "orig", error), "sqlstate", None) or ""
                if state == _QUERY_CANCELED:
                    raise DeadlinePassed("the query ran longer than the call may take") from error
                if state in _DO_AGAIN:
                    raise TransactionConflict("another transaction was faster; repeat the call") from error
                if state in _NUL:
                    raise Invalid("a text in the request has a NUL character, which none may have") from error
                lost = isinstance(error, exc.DBAPIError) and error.connection_invalidated
                if lost or state in _UNREACHABLE or state.startswith(_CONNECTION_EXCEPTION):
                    raise DatabaseUnreachable("the database does not answer") from error
            case InterfaceError() if "closed" in str(error):
                # The driver's own word for a connection that ended while it was held.
                raise DatabaseUnreachable("the database does not answer") from error
            case _:
                pass
