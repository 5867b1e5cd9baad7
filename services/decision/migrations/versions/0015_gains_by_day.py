"""What accounts realized, by day: not every tax year is the calendar's."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        ALTER TABLE decision.account
            ADD COLUMN gain_dates date[] NOT NULL DEFAULT '{}',
            ADD COLUMN gain_shorts numeric[] NOT NULL DEFAULT '{}',
            ADD COLUMN gain_longs numeric[] NOT NULL DEFAULT '{}'
    """)
