"""Who watches orders looks for those that changed."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the index."""
    op.execute("CREATE INDEX account_order_changed ON execution.account_order (update_time)")
