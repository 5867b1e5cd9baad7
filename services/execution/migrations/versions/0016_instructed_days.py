"""A venue is told who got what of each trading day by itself."""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the day; what was told before is of all days together."""
    op.execute("ALTER TABLE execution.instruction ADD COLUMN trade_date date")
