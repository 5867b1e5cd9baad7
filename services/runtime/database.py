"""The service's database: one pool, short transactions, and errors that say what to do.

While an RPC that changes something is served, there is one transaction: the interceptor opens it, and every `begin()`
and `read()` on the way joins it. So the change, its events and the answer to its request id are written together or not
at all. Workers have no call, and `begin()` gives them a transaction of their own.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast
from uuid import uuid4

from asyncpg import Connection as Driver
from asyncpg import Record
from asyncpg.exceptions import PostgresError
from sqlalchemy import AdaptedConnection, MetaData, Table, exc, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.event import listen
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from services.kernel.canonical import canonical_texts
from services.kernel.clock import Clock
from services.kernel.events import EVENT_DATA_BYTES_MAX, Event
from services.runtime.clock import SystemClock
from services.runtime.context import current_call, current_caller, remaining_s, trace_parent
from services.runtime.database_errors import DatabaseUnreachable, database_errors
from services.runtime.drivers import Drivers
from services.runtime.outbox.table import BETWEEN, append_to, new_event_ids, outbox_table
from services.runtime.questions import Question, answered
from services.runtime.requests import request_answer_table
from services.runtime.settings import ServiceSettings
from services.runtime.sql_spans import trace_statements

# Longest wait for a new connection, in seconds.
CONNECT_S_MAX = 5.0
# Older connections are replaced, so that a moved database is found again.
CONNECTION_AGE_S_MAX = 1800
# Connections of transactions apart.
APART_MAX = 8
# Connections for questions, each of which takes a fraction of a millisecond.
ASKING_MAX = 4
# Connections of who reads long lists by their keys.
READING_MAX = 8
# What is written apart is a handful of statements that name their rows. Each is planned once, by indexes alone: a plan
# made while tables are young would otherwise read them from end to end, and still do so when they have grown.
PLANNED_ONCE = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_material": "off",
    "jit": "off",
}
# The same for what reads lists in the order of an index: the first rows are wanted, and no sorting of all.
READ_IN_ORDER = PLANNED_ONCE | {"enable_sort": "off", "default_transaction_read_only": "on"}


class Transaction:
    """What is written together or not at all."""

    def __init__(self, connection: AsyncConnection, database: "Database") -> None:
        """Write through `connection`, which has begun."""
        self.connection = connection
        self.database = database
        self.emitted = False

    async def emit(self, *events: Event) -> None:
        """Tell audit of `events`, in this order, if this transaction commits.

        Raises:
            ValueError: An event's data is larger than audit takes.
        """
        if events:
            await self.connection.execute(self.database.append_events, self.told(events))

    def told(self, events: Sequence[Event]) -> Mapping[str, object]:
        """Return the parameters of `append_events` that tell audit of `events`, which must be executed then.

        Raises:
            ValueError: An event's data is larger than audit takes.
        """
        caller = current_caller()
        actor = caller.subject if caller is not None else f"{self.database.schema}_service"
        bodies = canonical_texts([event.data for event in events])
        for event, body in zip(events, bodies, strict=True):
            size = len(body) if body.isascii() else len(body.encode())
            if size > EVENT_DATA_BYTES_MAX:
                raise ValueError(f"{event.kind} must be at most {EVENT_DATA_BYTES_MAX} bytes, was {size}")
        self.emitted = True
        return {
            "event_ids": new_event_ids(len(events)),
            "kinds": BETWEEN.join([event.kind for event in events]),
            "bodies": BETWEEN.join(bodies),
            "subjects": BETWEEN.join(canonical_texts([event.subjects for event in events])),
            "actor": actor,
            "time": self.database.clock.now(),
            "trace_parent": trace_parent(),
        }


class Database:
    """The service's schema, through a pool of connections."""

    def __init__(self, settings: ServiceSettings, clock: Clock | None = None) -> None:
        """Prepare the pool; nothing is connected yet.

        Args:
            settings: Where the database is, and how much of it may be used.
            clock: Tells when events occurred; the computer's when None.
        """
        self.schema = settings.database_schema
        self.clock = clock or SystemClock()
        metadata = MetaData(schema=self.schema)
        self.outbox: Table = outbox_table(metadata)
        self.append_events = append_to(self.outbox)
        self.request_answers: Table = request_answer_table(metadata)
        # Set after each commit that emitted events, so that the relay need not wait for its next look.
        self.events_waiting = asyncio.Event()
        self._settings = settings
        self._engine = _engine(
            settings,
            pool_size=settings.database_pool_size,
            max_overflow=0,
            pool_timeout=settings.database_pool_wait_s,
            pool_recycle=CONNECTION_AGE_S_MAX,
        )
        self._readers = self._engine.execution_options(postgresql_readonly=True)
        # A statement by itself is a transaction already; opening and closing one around it costs two answers more.
        self._glancers = self._readers.execution_options(isolation_level="AUTOCOMMIT")
        trace_statements(self._engine.sync_engine, self.schema)
        listen(self._engine.sync_engine.pool, "checkout", _refuse_closed)
        # Connections of their own: what must go on while calls have used up the pool.
        self._apart = self._drivers(APART_MAX, PLANNED_ONCE)
        self._asking = self._drivers(ASKING_MAX, {"default_transaction_read_only": "on"})
        self._reading = self._drivers(READING_MAX, READ_IN_ORDER)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Transaction]:
        """Open a transaction, or join the one of the call being served.

        It commits when the block ends and rolls back when it raises; a joined one does so with its call.

        Raises:
            DatabaseUnreachable: The database does not answer, or no connection became free in time.
            DeadlinePassed: A statement ran longer than the call may take.
            TransactionConflict: Another transaction was faster.
        """
        joined = self._joined()
        if joined is not None:
            yield joined
            return
        async with self._connected(self._engine) as connection:
            with database_errors():
                transaction = Transaction(connection, self)
                async with connection.begin():
                    await self._limit(connection)
                    yield transaction
            if transaction.emitted:
                self.events_waiting.set()

    @asynccontextmanager
    async def apart(self) -> AsyncIterator[Driver]:
        """Hold a connection of the driver's own, outside of the transaction of a call that is served.

        For what must be on record before something leaves for the outside, whatever becomes of the call. Each statement
        commits by itself, but for those within a `transaction` of the driver. Its plans are `PLANNED_ONCE`.

        Raises:
            DatabaseUnreachable: The database does not answer, or no connection became free in time.
            TransactionConflict: Another transaction was faster.
        """
        with database_errors():
            async with self._apart.taken() as driver:
                yield driver

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """Open a read-only transaction, or join the one of the call being served.

        Raises:
            DatabaseUnreachable: The database does not answer, or no connection became free in time.
            DeadlinePassed: A statement ran longer than the call may take.
        """
        joined = self._joined()
        if joined is not None:
            yield joined.connection
            return
        async with self._connected(self._readers) as connection:
            with database_errors():
                async with connection.begin():
                    yield connection

    @asynccontextmanager
    async def glance(self) -> AsyncIterator[AsyncConnection]:
        """Open a connection of the pool for statements that each read by themselves, or join the call being served.

        Two statements may see two instants. Half the time of `read` for whoever asks only once.

        Raises:
            DatabaseUnreachable: The database does not answer, or no connection became free in time.
            DeadlinePassed: A statement ran longer than the call may take.
        """
        joined = self._joined()
        if joined is not None:
            yield joined.connection
            return
        async with self._connected(self._glancers) as connection:
            with database_errors():
                yield connection

    async def ask(self, question: Question, said: Mapping[str, object]) -> list[Record]:
        """Return the rows that answer a question, in the transaction of the call being served if it has one.

        A quarter of the time of `read`.

        Raises:
            DatabaseUnreachable: The database does not answer, or no connection became free in time.
            DeadlinePassed: The statement ran longer than the call may take.
        """
        values = question.values(said)
        joined = self._joined()
        with database_errors():
            if joined is not None:
                return await answered(await driver_of(joined.connection), question, values)
            async with self._asking.taken() as driver:
                try:
                    return await answered(driver, question, values)
                except OSError as error:
                    raise DatabaseUnreachable("the database does not answer") from error

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Driver]:
        """Hold a connection of the driver's own for statements that each read by themselves, or that of the call.

        They name their rows, or want the first in the order of an index; their plans are `READ_IN_ORDER`. A third of
        the time of `glance`.

        Raises:
            DatabaseUnreachable: The database does not answer, or no connection became free in time.
            DeadlinePassed: A statement ran longer than the call may take.
        """
        joined = self._joined()
        with database_errors():
            if joined is not None:
                yield await driver_of(joined.connection)
                return
            async with self._reading.taken() as driver:
                try:
                    yield driver
                except OSError as error:
                    raise DatabaseUnreachable("the database does not answer") from error

    @asynccontextmanager
    async def dedicated(self) -> AsyncIterator[AsyncConnection]:
        """Open a connection outside the pool, that commits each statement by itself.

        For what must hold one for long (the relay's lock), or must work when the pool is used up (health).

        Raises:
            DatabaseUnreachable: The database does not answer.
        """
        engine = _engine(self._settings, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        try:
            async with self._connected(engine) as connection:
                with database_errors():
                    yield connection
        finally:
            await engine.dispose()

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()
        await self._apart.close()
        await self._asking.close()
        await self._reading.close()

    @property
    def connections_in_use(self) -> int:
        """Return how many connections of the pool are taken."""
        return int(self._engine.pool.checkedout())  # type: ignore[attr-defined] # of the queue pool, which this one is

    def _drivers(self, connections: int, server_settings: Mapping[str, str]) -> Drivers:
        return Drivers(
            self._settings.database_url.get_secret_value(),
            connections,
            self._settings.database_pool_wait_s,
            CONNECTION_AGE_S_MAX,
            _driver_options(self._settings, server_settings),
        )

    def _joined(self) -> Transaction | None:
        call = current_call()
        transaction = None if call is None else call.transaction
        # A call may use another database, or this one by another login: that is no part of its transaction.
        return transaction if transaction is not None and transaction.database is self else None

    @asynccontextmanager
    async def _connected(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        connection = engine.connect()
        try:
            with database_errors():
                await connection.start()
        except (OSError, PostgresError, exc.DBAPIError) as error:
            # Refused by the network or by the server, whose words may name our login: they stay in the log.
            raise DatabaseUnreachable("the database does not answer") from error
        try:
            yield connection
        finally:
            await asyncio.shield(connection.close())

    async def _limit(self, connection: AsyncConnection) -> None:
        # A safety net for what cancellation cannot reach: this process may be gone by the time of the deadline.
        left_s = remaining_s()
        if left_s < self._settings.database_statement_s_max:
            milliseconds = max(1, int(left_s * 1000))
            await connection.execute(text(f"SET LOCAL statement_timeout = {milliseconds}"))


async def driver_of(connection: AsyncConnection) -> Driver:
    """Return the driver's own connection within `connection`: for statements by the thousand, without a span each."""
    driver = (await connection.get_raw_connection()).driver_connection
    if not isinstance(driver, Driver):
        raise TypeError(f"asyncpg drives the connections, was {type(driver)}")
    return driver


def _refuse_closed(adapted: AdaptedConnection, *_: object) -> None:
    """Have the pool replace a connection that has ended: when it did so under the driver, SQLAlchemy has not heard."""
    if cast(Driver, adapted.driver_connection).is_closed():
        raise exc.DisconnectionError("the connection has ended")


def database_url(secret_url: str) -> URL:
    """Return the address for the asyncpg driver; the query part is passed to it."""
    return make_url(secret_url).set(drivername="postgresql+asyncpg")


def _engine(
    settings: ServiceSettings,
    **options: Any,  # noqa: ANN401 - SQLAlchemy's own options
) -> AsyncEngine:
    connect = _driver_options(settings, {})
    url = database_url(settings.database_url.get_secret_value())
    if settings.database_pooler == "pgbouncer":
        connect["prepared_statement_name_func"] = lambda: f"__{uuid4()}__"
        url = url.update_query_dict({"prepared_statement_cache_size": "0"})
    return create_async_engine(url, connect_args=connect, **options)


def _driver_options(settings: ServiceSettings, server_settings: Mapping[str, str]) -> dict[str, Any]:
    name = {"application_name": f"evenkeel-{settings.database_schema}"}
    if settings.database_pooler == "pgbouncer":
        # In transaction mode a prepared statement may be on another connection; and only few settings pass through.
        return {"timeout": CONNECT_S_MAX, "statement_cache_size": 0, "server_settings": name}
    return {
        "timeout": CONNECT_S_MAX,
        "server_settings": {
            **name,
            "statement_timeout": str(int(settings.database_statement_s_max * 1000)),
            "timezone": "UTC",
            **server_settings,
        },
    }
