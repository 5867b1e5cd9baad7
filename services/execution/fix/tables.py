"""What FIX sessions must not forget."""

from sqlalchemy import BigInteger, Column, DateTime, Integer, LargeBinary, MetaData, Table, Text

metadata = MetaData(schema="execution")

_TIME = DateTime(timezone=True)

session = Table(
    "fix_session",
    metadata,
    # As people write it; the parts follow.
    Column("session", Text, primary_key=True),
    Column("begin_string", Text, nullable=False),
    Column("sender", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("next_out", BigInteger, nullable=False),
    Column("next_in", BigInteger, nullable=False),
    Column("since", _TIME, nullable=False),
)

message = Table(
    "fix_message",
    metadata,
    Column("session", Text, primary_key=True),
    Column("generation", Integer, primary_key=True),
    Column("direction", Text, primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("msg_type", Text, nullable=False),
    # The frame as it was on the wire.
    Column("data", LargeBinary, nullable=False),
    Column("time", _TIME, nullable=False),
)

# What makes an application message count once: of an execution report its ExecID.
claim = Table(
    "fix_claim",
    metadata,
    Column("session", Text, primary_key=True),
    Column("key", Text, primary_key=True),
)
