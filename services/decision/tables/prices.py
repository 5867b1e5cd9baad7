"""Tables of market data. A set is one row, a history is one matrix."""

from sqlalchemy import BigInteger, Column, Date, DateTime, Identity, Index, Integer, LargeBinary, Numeric, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY

from services.decision.tables.metadata import metadata

# Never changes.
price_set = Table(
    "price_set",
    metadata,
    Column("price_set_id", Text, primary_key=True),
    # Of two sets that are true of one instant, the newest is the one recorded last.
    Column("sequence", BigInteger, Identity(always=True), nullable=False, unique=True),
    Column("source", Text, nullable=False),
    Column("as_of_time", DateTime(timezone=True), nullable=False),
    Column("content_hash", Text, nullable=False),
    Column("record_time", DateTime(timezone=True), nullable=False),
    Column("instrument_ids", ARRAY(Text), nullable=False),
    Column("prices", ARRAY(Numeric), nullable=False),
    # Absent as a whole when the source does not say.
    Column("bids", ARRAY(Numeric)),
    Column("asks", ARRAY(Numeric)),
    Column("average_daily_volumes", ARRAY(Numeric)),
    Index("price_set_newest", "as_of_time", "sequence"),
)

# Never changes.
price_history = Table(
    "price_history",
    metadata,
    Column("price_history_id", Text, primary_key=True),
    Column("sequence", BigInteger, Identity(always=True), nullable=False, unique=True),
    Column("source", Text, nullable=False),
    Column("as_of_time", DateTime(timezone=True), nullable=False),
    Column("content_hash", Text, nullable=False),
    Column("record_time", DateTime(timezone=True), nullable=False),
    Column("instrument_ids", ARRAY(Text), nullable=False),
    Column("dates", ARRAY(Date), nullable=False),
    Column("scale", Integer, nullable=False),
    # Signed 64-bit integers, little-endian: the first instrument's for all dates, then the second's.
    Column("closes", LargeBinary, nullable=False),
    Index("price_history_newest", "as_of_time", "sequence"),
)
