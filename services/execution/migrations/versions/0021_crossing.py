"""Opposite orders of clients who agreed may meet before anything is sent."""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Say of an order whose it is when it may be crossed, and of a block which one is on its other side."""
    op.execute("ALTER TABLE execution.account_order ADD COLUMN crossing_client text")
    op.execute("ALTER TABLE execution.block ADD COLUMN crossed_block_id text")
