"""Tables of what happened to accounts' lots before or beside the trades that execution reported."""

from sqlalchemy import Column, Date, DateTime, ForeignKey, Index, Integer, LargeBinary, Table, Text

from services.decision.tables.book import account
from services.decision.tables.metadata import metadata

# Never changes, but for being withdrawn.
tax_event = Table(
    "tax_event",
    metadata,
    Column("event_id", Text, primary_key=True),
    # NULL for what happens to every account.
    Column("account_id", Text, ForeignKey(account.c.account_id)),
    Column("instrument_id", Text, nullable=False),
    Column("day", Date, nullable=False),
    Column("kind", Text, nullable=False),
    # Canonical JSON of the rest.
    Column("content", LargeBinary, nullable=False),
    Column("record_time", DateTime(timezone=True), nullable=False),
    Column("withdraw_time", DateTime(timezone=True)),
)
Index("tax_event_account", tax_event.c.account_id, tax_event.c.day, tax_event.c.event_id)
Index("tax_event_day", tax_event.c.day, tax_event.c.event_id)

# Accounts of which the whole history is among the events.
tax_history = Table(
    "tax_history",
    metadata,
    Column("account_id", Text, ForeignKey(account.c.account_id), primary_key=True),
    Column("complete_until", Date, nullable=False),
    # The day until which its ledger was last worked out, or found to be none, and by what that was: see `due`.
    Column("tried_day", Date),
    Column("tried_by", Text),
)

# Amounts of law by country and tax year, as they were proposed and reviewed; the release's own are in the code.
tax_law = Table(
    "tax_law",
    metadata,
    Column("jurisdiction", Text, primary_key=True),
    Column("tax_year", Integer, primary_key=True),
    # From 1.
    Column("version", Integer, primary_key=True),
    Column("state", Text, nullable=False),
    # Canonical JSON: a number by each name.
    Column("amounts", LargeBinary, nullable=False),
    Column("source", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("propose_time", DateTime(timezone=True), nullable=False),
    Column("reviewer", Text, nullable=False, server_default=""),
    Column("review_time", DateTime(timezone=True)),
    Column("review_note", Text, nullable=False, server_default=""),
)
