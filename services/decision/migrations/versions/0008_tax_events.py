"""What happened to accounts' lots before or beside the trades that execution reported."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE decision.tax_event (
            event_id text PRIMARY KEY,
            account_id text REFERENCES decision.account,
            instrument_id text NOT NULL,
            day date NOT NULL,
            kind text NOT NULL,
            content bytea NOT NULL,
            record_time timestamptz NOT NULL,
            withdraw_time timestamptz
        )
    """)
    op.execute("CREATE INDEX tax_event_account ON decision.tax_event (account_id, day, event_id)")
    op.execute("CREATE INDEX tax_event_day ON decision.tax_event (day, event_id)")
    op.execute("""
        CREATE TABLE decision.tax_history (
            account_id text PRIMARY KEY REFERENCES decision.account,
            complete_until date NOT NULL
        )
    """)
