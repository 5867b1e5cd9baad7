"""The sandbox's market may have only so much to give.

A release before this one leaves the columns as they are, and fills as if there were no limit.
"""

from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what is left at a quote; nothing said is no limit."""
    op.execute("ALTER TABLE execution.sandbox_price ADD COLUMN bid_size numeric, ADD COLUMN ask_size numeric")
    op.execute("ALTER TABLE execution.sandbox_price ADD CHECK (bid_size >= 0 AND ask_size >= 0)")
    op.execute("ALTER TABLE execution.sandbox_price ADD CHECK ((bid_size IS NULL) = (ask_size IS NULL))")
