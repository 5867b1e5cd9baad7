"""Table of what kept previews said."""

from sqlalchemy import BigInteger, Column, DateTime, Identity, Index, Numeric, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from services.decision.tables.metadata import metadata

preview = Table(
    "preview",
    metadata,
    Column("preview_id", Text, primary_key=True),
    Column("number", BigInteger, Identity(always=True), nullable=False, unique=True),
    Column("account_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("create_time", DateTime(timezone=True), nullable=False),
    Column("turnover", Numeric, nullable=False),
    Column("trading_cost", Numeric, nullable=False),
    Column("tax", Numeric, nullable=False),
    Column("drift_after", Numeric, nullable=False),
    Column("tracking_error_after", Numeric, nullable=False),
    # What it rested on: a name for each input.
    Column("inputs", JSONB, nullable=False),
)
Index("preview_account", preview.c.account_id, preview.c.number)
