"""What the sandbox venue keeps: its own market, orders and reports. Execution reads it through `VenuePort` alone."""

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Integer, MetaData, Numeric, Table, Text, false, true
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData(schema="execution")

_TIME = DateTime(timezone=True)

market = Table(
    "sandbox_market",
    metadata,
    # One row.
    Column("one", Boolean, primary_key=True, server_default=true()),
    Column("currency", Text, nullable=False),
    Column("spread_bps", Numeric, nullable=False),
    Column("fee_bps", Numeric, nullable=False),
    Column("seed", Numeric, nullable=False),
    Column("fill_share_max", Numeric, nullable=False),
    Column("market_time", _TIME, nullable=False),
)

price = Table(
    "sandbox_price",
    metadata,
    Column("instrument_id", Text, primary_key=True),
    Column("price", Numeric, nullable=False),
    # NULL where an earlier build loaded it: the market's.
    Column("currency", Text),
    # Units left at the quote, for sellers and for buyers; NULL where there is as much as anybody wants.
    Column("bid_size", Numeric),
    Column("ask_size", Numeric),
)

order = Table(
    "sandbox_order",
    metadata,
    Column("client_order_id", Text, primary_key=True),
    Column("instrument_id", Text, nullable=False),
    Column("side", Text, nullable=False),
    Column("quantity", Numeric, nullable=False),
    Column("increment", Numeric, nullable=False),
    Column("order_type", Text, nullable=False),
    Column("limit_price", Numeric),
    Column("time_in_force", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("arrival_time", _TIME, nullable=False),
    Column("due_time", _TIME, nullable=False),
    Column("filled_quantity", Numeric, nullable=False),
    Column("gross_amount", Numeric, nullable=False),
    Column("fees", Numeric, nullable=False),
    Column("executions", Integer, nullable=False),
    Column("open", Boolean, nullable=False),
    Column("acknowledged", Boolean, nullable=False, server_default=true()),
    Column("suspended", Boolean, nullable=False, server_default=false()),
)

report = Table(
    "sandbox_report",
    metadata,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("report_id", Text, nullable=False, unique=True),
    Column("client_order_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("content", JSONB, nullable=False),
    Column("report_time", _TIME, nullable=False),
)

instruction = Table(
    "sandbox_instruction",
    metadata,
    Column("allocation_id", Text, primary_key=True),
    Column("replaces", Text),
    Column("client_order_id", Text, nullable=False),
    Column("quantity", Numeric, nullable=False),
    Column("average_price", Numeric, nullable=False),
    # Pairs of account and quantity.
    Column("shares", JSONB, nullable=False),
    Column("state", Text, nullable=False),
    Column("why", Text, nullable=False),
)
