"""Table of what policy was told that accounts are worth."""

from sqlalchemy import Column, DateTime, ForeignKey, Numeric, Table, Text

from services.decision.tables.book import account, snapshot
from services.decision.tables.metadata import metadata

told_value = Table(
    "told_value",
    metadata,
    Column("account_id", Text, ForeignKey(account.c.account_id), primary_key=True),
    Column("snapshot_id", Text, ForeignKey(snapshot.c.snapshot_id), nullable=False),
    Column("amount", Numeric, nullable=False),
    Column("as_of_time", DateTime(timezone=True), nullable=False),
    Column("told_time", DateTime(timezone=True), nullable=False),
)
