"""What FIX sessions must not forget."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Identity,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    false,
)

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
    # As of the generation's beginning; `expected` has it since.
    Column("next_in", BigInteger, nullable=False),
    Column("since", _TIME, nullable=False),
    # As whoever holds it last said.
    Column("up", Boolean, nullable=False, server_default=false()),
    Column("why_down", Text, nullable=False, server_default=""),
    Column("check_time", _TIME),
)

# What each session expects next: a row of its own, so that who writes down what came and who writes down what is sent
# do not wait for each other's commit.
expected = Table(
    "fix_expected",
    metadata,
    Column("session", Text, primary_key=True),
    Column("generation", Integer, nullable=False),
    Column("next_in", BigInteger, nullable=False),
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
    # Grows with time, over all sessions.
    Column("place", BigInteger, Identity(always=True), nullable=False),
)

# What makes an application message count once: of an execution report its ExecID.
claim = Table(
    "fix_claim",
    metadata,
    Column("session", Text, primary_key=True),
    Column("key", Text, primary_key=True),
)

# Wishes to begin a session's numbers anew: one person asks, another approves, who holds the session does it.
reset = Table(
    "fix_reset",
    metadata,
    Column("reset_id", Text, primary_key=True),
    Column("session", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("proposer", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("propose_time", _TIME, nullable=False),
    Column("approver", Text, nullable=False),
)
