"""What a log is kept in: tables that are only ever inserted into.

Nothing here is the truth but `entry.body`; everything else follows from the bodies and can be made again. The
migrations create the tables; the store reads and writes them.

Each log has tables of its own, so that one can be disposed of, restored or moved without touching another. Those of
the log `events` have the plain names, those of any other log begin with its name: `access_entry`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from sqlalchemy import BigInteger, Column, DateTime, Integer, LargeBinary, MetaData, SmallInteger, Table, Text, Uuid

from services.runtime.requests import request_answer_table

SCHEMA = "audit"

# The log whose tables have the plain names.
EVENTS = "events"
_LOG_NAME = re.compile(r"[a-z][a-z0-9]{0,15}(_[a-z0-9]{1,15}){0,2}")

# The tables of a log, by their plain names.
NAMES = ("entry", "posting", "event_key", "tile", "checkpoint_note", "cosignature", "close_number")

metadata = MetaData(schema=SCHEMA)

# Which logs have tables. A migration that changes the tables of a log changes those of each.
log = Table("log", metadata, Column("name", Text, primary_key=True))

# Answers to requests that govern the record.
request_answer = request_answer_table(metadata, forgotten=False)

# The first and the last number of an account in a partition that ended at `stop` and was destroyed.
disposed_number = Table(
    "disposed_number",
    metadata,
    Column("log", Text, primary_key=True),
    Column("account", Text, primary_key=True),
    Column("stop", BigInteger, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("first_number", BigInteger),
)

# What only the keeper's login reaches: the keys of personal data, each wrapped under a key that is not here.
_keeper = MetaData(schema="audit_keeper")
subject_key = Table(
    "subject_key",
    _keeper,
    Column("subject", Text, primary_key=True),
    Column("generation", Integer, primary_key=True),
    Column("wrapped", LargeBinary, nullable=False),
)
subject_key_destroyed = Table(
    "subject_key_destroyed",
    _keeper,
    Column("subject", Text, primary_key=True),
    Column("generation", Integer, primary_key=True),
    Column("destroyed_time", DateTime(timezone=True), nullable=False),
)


@dataclass(frozen=True, slots=True)
class LogTables:
    """The tables of one log."""

    log: str
    # One line of the log, and its leaf's hash.
    entry: Table
    # Where entries with a term are: of one commit, whose first is `start`, the numbers from there, two bytes each.
    posting: Table
    # Which events the log has.
    event_key: Table
    # Full tiles of the tree.
    tile: Table
    # The signed checkpoint of every commit. Its `sign_time` is the recorded time of the entries that it was first to
    # cover.
    checkpoint_note: Table
    # What witnesses signed of it.
    cosignature: Table
    # The last number of an account among the first `size` entries, where it changed since the log was closed before.
    close_number: Table

    @property
    def all(self) -> Sequence[Table]:
        """The tables, in the order of their names."""
        return [getattr(self, name) for name in NAMES]

    def sql(self, statement: str) -> str:
        """Return `statement`, written for the log `events`, for this log."""
        return _sql(statement, self.log)


@lru_cache(maxsize=1024)
def _sql(statement: str, log: str) -> str:
    return statement if log == EVENTS else _QUALIFIED.sub(rf"{SCHEMA}.{log}_\1", statement)


_QUALIFIED = re.compile(rf"\b{SCHEMA}\.({'|'.join(NAMES)})\b")


def table_name(name: str, log: str) -> str:
    """Return what the table `name` of a log is called.

    Raises:
        ValueError: No log can be called so.
    """
    if not _LOG_NAME.fullmatch(log):
        raise ValueError(f"a log is called by lower case letters, digits and underscores, was {log!r}")
    return name if log == EVENTS else f"{log}_{name}"


@lru_cache(maxsize=256)
def log_tables(log: str) -> LogTables:
    """Return the tables of the log `log`.

    Raises:
        ValueError: No log can be called so.
    """
    holder = metadata if log == EVENTS else MetaData(schema=SCHEMA)

    def table(name: str, *columns: Column[object]) -> Table:
        return Table(table_name(name, log), holder, *columns)

    return LogTables(
        log=log,
        entry=table(
            "entry",
            Column("idx", BigInteger, primary_key=True),
            Column("leaf", LargeBinary, nullable=False),
            Column("body", LargeBinary, nullable=False),
        ),
        posting=table(
            "posting",
            Column("term", BigInteger, primary_key=True),
            Column("start", BigInteger, primary_key=True),
            Column("positions", LargeBinary, nullable=False),
        ),
        event_key=table(
            "event_key",
            Column("event_id", Uuid(as_uuid=False), primary_key=True),
            Column("idx", BigInteger, nullable=False),
            Column("digest", LargeBinary, nullable=False),
        ),
        tile=table(
            "tile",
            Column("level", SmallInteger, primary_key=True),
            Column("idx", BigInteger, primary_key=True),
            Column("root", LargeBinary, nullable=False),
            Column("data", LargeBinary, nullable=False),
        ),
        checkpoint_note=table(
            "checkpoint_note",
            Column("size", BigInteger, primary_key=True),
            Column("root", LargeBinary, nullable=False),
            Column("origin", Text, nullable=False),
            Column("note", Text, nullable=False),
            Column("sign_time", DateTime(timezone=True), nullable=False),
        ),
        cosignature=table(
            "cosignature",
            Column("size", BigInteger, primary_key=True),
            Column("witness", Text, primary_key=True),
            Column("line", Text, nullable=False),
            Column("cosign_time", DateTime(timezone=True), nullable=False),
        ),
        close_number=table(
            "close_number",
            Column("account_hash", LargeBinary, primary_key=True),
            Column("size", BigInteger, primary_key=True),
            Column("last", BigInteger, nullable=False),
        ),
    )


# Made with the module, so that `metadata` has them.
_EVENTS_TABLES = log_tables(EVENTS)
