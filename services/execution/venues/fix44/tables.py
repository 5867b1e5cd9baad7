"""What we know of orders at brokers that speak FIX, written in the transactions of their sessions."""

from sqlalchemy import BigInteger, Boolean, Column, Date, DateTime, MetaData, Numeric, Table, Text, false
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData(schema="execution")

_TIME = DateTime(timezone=True)

order = Table(
    "fix_order",
    metadata,
    Column("venue_id", Text, primary_key=True),
    Column("client_order_id", Text, primary_key=True),
    Column("instrument_id", Text, nullable=False),
    Column("side", Text, nullable=False),
    Column("quantity", Numeric, nullable=False),
    Column("increment", Numeric, nullable=False),
    Column("order_type", Text, nullable=False),
    Column("limit_price", Numeric),
    Column("time_in_force", Text, nullable=False),
    Column("currency", Text, nullable=False),
    # NULL for the market's usual one.
    Column("settlement_date", Date),
    Column("send_time", _TIME, nullable=False),
    # SENT, KNOWN, REFUSED, ABSENT; and why it was refused.
    Column("state", Text, nullable=False),
    Column("why", Text, nullable=False),
    # What it is called in our next request, and what the broker called it last.
    Column("present_name", Text, nullable=False),
    Column("confirmed_name", Text, nullable=False),
    Column("order_id", Text, nullable=False),
    # How it stands, as the broker said last; NULL before it said anything.
    Column("told_quantity", Numeric),
    Column("told_filled", Numeric),
    Column("told_price", Numeric),
    Column("told_fees", Numeric),
    Column("told_open", Boolean),
)

# Every ClOrdID that we ever sent, and the order that it is about: its own, a cancel's, a replace's.
name = Table(
    "fix_name",
    metadata,
    Column("venue_id", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("client_order_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
)

# Where each venue's stream of reports ends.
inbox = Table(
    "fix_inbox",
    metadata,
    Column("venue_id", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
)

report = Table(
    "fix_report",
    metadata,
    Column("venue_id", Text, primary_key=True),
    Column("position", BigInteger, primary_key=True),
    Column("report_id", Text, nullable=False),
    Column("client_order_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("content", JSONB, nullable=False),
    Column("report_time", _TIME, nullable=False),
    Column("drop_copy", Boolean, nullable=False, server_default=false()),
)

instruction = Table(
    "fix_instruction",
    metadata,
    Column("venue_id", Text, primary_key=True),
    Column("allocation_id", Text, primary_key=True),
    Column("client_order_id", Text, nullable=False),
    Column("replaces", Text),
    Column("send_time", _TIME, nullable=False),
    Column("state", Text, nullable=False),
    Column("why", Text, nullable=False),
)

# Up to which position of the sandbox's stream a client's session was told.
told = Table(
    "fix_told",
    metadata,
    Column("session", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
)
