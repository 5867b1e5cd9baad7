"""What the log is kept in: tables that are only ever inserted into.

Nothing here is the truth but `entry.body`; everything else follows from the bodies and can be made again. The
migrations create the tables; the store reads and writes them.
"""

from sqlalchemy import BigInteger, Column, DateTime, LargeBinary, MetaData, SmallInteger, Table, Text, Uuid

SCHEMA = "audit"

metadata = MetaData(schema=SCHEMA)

# One line of the log, and its leaf's hash.
entry = Table(
    "entry",
    metadata,
    Column("idx", BigInteger, primary_key=True),
    Column("leaf", LargeBinary, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

# Where entries with a term are: of one commit, whose first entry is `start`, the numbers from there, two bytes each.
posting = Table(
    "posting",
    metadata,
    Column("term", BigInteger, primary_key=True),
    Column("start", BigInteger, primary_key=True),
    Column("positions", LargeBinary, nullable=False),
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
