"""The most that a block of market buys may pay."""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; blocks without it leave as they were meant."""
    op.execute("ALTER TABLE execution.block ADD COLUMN protection_price numeric CHECK (protection_price > 0)")
