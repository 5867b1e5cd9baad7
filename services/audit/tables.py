"""What the log is kept in: tables that are only ever inserted into.

Nothing here is the truth but `entry.body`. `leaf`, `tile` and `event_key` follow from the bodies, and the other columns
of `entry` are an index over them. The migrations create the tables; the store reads and writes them.
"""

from sqlalchemy import BigInteger, Column, DateTime, LargeBinary, MetaData, SmallInteger, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import ARRAY

SCHEMA = "audit"

metadata = MetaData(schema=SCHEMA)

# One line of the log.
entry = Table(
    "entry",
    metadata,
    Column("idx", BigInteger, primary_key=True),
    Column("leaf", LargeBinary, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("kind", Text, nullable=False),
    Column("producer", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("account", Text),
    Column("account_sequence", BigInteger, nullable=False),
    Column("trace_id", Uuid(as_uuid=False)),
    # Each as `kind:id`.
    Column("subjects", ARRAY(Text), nullable=False),
)

# Which events the log has.
event_key = Table(
    "event_key",
    metadata,
    Column("event_id", Uuid(as_uuid=False), primary_key=True),
    Column("idx", BigInteger, nullable=False),
    Column("digest", LargeBinary, nullable=False),
)

# Full tiles of the tree.
tile = Table(
    "tile",
    metadata,
    Column("level", SmallInteger, primary_key=True),
    Column("idx", BigInteger, primary_key=True),
    Column("root", LargeBinary, nullable=False),
    Column("data", LargeBinary, nullable=False),
)

# The signed checkpoint of every commit. Its `sign_time` is the recorded time of the entries that it was first to cover.
checkpoint_note = Table(
    "checkpoint_note",
    metadata,
    Column("size", BigInteger, primary_key=True),
    Column("root", LargeBinary, nullable=False),
    Column("origin", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("sign_time", DateTime(timezone=True), nullable=False),
)
