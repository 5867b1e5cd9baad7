"""What closed orders cost, which the cost model is fitted to."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        ALTER TABLE decision.closed_order
            ADD COLUMN instrument_id text,
            ADD COLUMN currency text,
            ADD COLUMN value numeric,
            ADD COLUMN trading numeric,
            ADD COLUMN fees numeric
    """)
    op.execute("CREATE INDEX closed_order_cost ON decision.closed_order (currency, record_time)")
