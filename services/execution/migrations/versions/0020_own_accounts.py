"""Which accounts of a block are the firm's own, and so come last."""

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.execute("ALTER TABLE execution.block_share ADD COLUMN own boolean NOT NULL DEFAULT false")
