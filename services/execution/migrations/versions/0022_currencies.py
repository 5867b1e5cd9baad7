"""Accounts trade in other currencies than their own; the sandbox makes prices in several."""

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns, and the index that finds a block's legs."""
    op.execute("ALTER TABLE execution.account_order ADD COLUMN account_currency text")
    op.execute("""
        ALTER TABLE execution.block
            ADD COLUMN account_currency text,
            ADD COLUMN arrival_rate numeric,
            ADD COLUMN leg_of text REFERENCES execution.block,
            ADD COLUMN unconverted boolean NOT NULL DEFAULT false
    """)
    op.execute("CREATE INDEX block_leg ON execution.block (leg_of) WHERE leg_of IS NOT NULL")
    op.execute("CREATE INDEX block_unconverted ON execution.block (update_time) WHERE unconverted")
    op.execute("""
        ALTER TABLE execution.allocation
            ADD COLUMN traded_currency text,
            ADD COLUMN traded_price numeric,
            ADD COLUMN traded_amount numeric,
            ADD COLUMN traded_fees numeric
    """)
    op.execute("ALTER TABLE execution.sandbox_price ADD COLUMN currency text")
