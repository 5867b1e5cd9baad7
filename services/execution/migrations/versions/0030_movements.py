"""Custodians tell what moved otherwise than by trades.

What is known of accounts so far was taken as it was: what a release before this one writes has no first day, and the
day that the custodian spoke of last is taken for it.
"""

from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what was told, and up to which days what custodians had was taken as it was."""
    op.execute("""
        CREATE TABLE execution.custodian_movement (
            custodian text COLLATE "C" NOT NULL,
            account_id text COLLATE "C" NOT NULL,
            day date NOT NULL,
            reference text COLLATE "C" NOT NULL,
            kind text NOT NULL,
            instrument_id text COLLATE "C",
            units numeric NOT NULL,
            cash numeric NOT NULL,
            PRIMARY KEY (custodian, account_id, day, reference)
        )
    """)
    op.execute("ALTER TABLE execution.custodian_account ADD COLUMN first_day date")
    op.execute("UPDATE execution.custodian_account SET first_day = day")
    op.execute("ALTER TABLE execution.reconciliation_break ADD COLUMN settle_day date")
    op.execute("""
        CREATE INDEX reconciliation_break_settled ON execution.reconciliation_break (account_id)
        WHERE settle_day IS NOT NULL
    """)
