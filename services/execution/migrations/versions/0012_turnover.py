"""What of a day's orders were sales, so that turnover can be limited."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.execute("ALTER TABLE execution.day_usage ADD COLUMN sold numeric NOT NULL DEFAULT 0 CHECK (sold >= 0)")
