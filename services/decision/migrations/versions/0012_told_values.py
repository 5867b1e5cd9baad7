"""What policy was told that accounts are worth."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE decision.told_value (
            account_id text PRIMARY KEY REFERENCES decision.account,
            snapshot_id text NOT NULL REFERENCES decision.snapshot,
            amount numeric NOT NULL,
            as_of_time timestamptz NOT NULL,
            told_time timestamptz NOT NULL
        )
    """)
