"""What of the gains of a day Germany exempts, by the kinds of funds; days without any are left out."""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        ALTER TABLE decision.account
            ADD COLUMN exempt_dates date[] NOT NULL DEFAULT '{}',
            ADD COLUMN exempt_gains numeric[] NOT NULL DEFAULT '{}'
    """)
