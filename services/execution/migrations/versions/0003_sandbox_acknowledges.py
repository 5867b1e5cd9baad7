"""The sandbox says that it accepts an order when it looks at its book, so that taking one needs no turn."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; what is there was accepted before."""
    op.execute("ALTER TABLE execution.sandbox_order ADD COLUMN acknowledged boolean NOT NULL DEFAULT true")
    op.execute("CREATE INDEX sandbox_order_new ON execution.sandbox_order (client_order_id) WHERE NOT acknowledged")
