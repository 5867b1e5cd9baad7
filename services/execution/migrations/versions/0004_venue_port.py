"""The sandbox halts its market, and takes note of who got what."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column and the table."""
    op.execute("ALTER TABLE execution.sandbox_order ADD COLUMN suspended boolean NOT NULL DEFAULT false")
    op.execute("""
        CREATE TABLE execution.sandbox_instruction (
            allocation_id text PRIMARY KEY,
            replaces text,
            client_order_id text NOT NULL,
            quantity numeric NOT NULL,
            average_price numeric NOT NULL,
            shares jsonb NOT NULL,
            state text NOT NULL,
            why text NOT NULL
        )
    """)
