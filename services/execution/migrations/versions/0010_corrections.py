"""Allocations by day, and those that replace others after a correction or bust."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Name allocations, and let one order have several of a block."""
    op.execute("""
        ALTER TABLE execution.allocation
            ADD COLUMN allocation_id text COLLATE "C",
            ADD COLUMN revision integer NOT NULL DEFAULT 0 CHECK (revision >= 0),
            ADD COLUMN replaces text COLLATE "C" UNIQUE,
            DROP CONSTRAINT allocation_pkey,
            DROP CONSTRAINT allocation_quantity_check,
            ADD CHECK (quantity >= 0 AND (quantity > 0 OR replaces IS NOT NULL)),
            ADD CHECK ((revision = 0) = (replaces IS NULL))
    """)
    op.execute("UPDATE execution.allocation SET allocation_id = block_id || '/' || order_id")
    op.execute("""
        ALTER TABLE execution.allocation
            ADD PRIMARY KEY (allocation_id),
            ADD FOREIGN KEY (replaces) REFERENCES execution.allocation,
            ADD UNIQUE (block_id, order_id, trade_date, revision)
    """)
    op.execute("""
        ALTER TABLE execution.plan_report
            ADD COLUMN allocation_id text COLLATE "C" UNIQUE REFERENCES execution.allocation,
            ADD COLUMN closed jsonb
    """)
    op.execute("""
        UPDATE execution.plan_report SET allocation_id = block_id || '/' || order_id WHERE block_id IS NOT NULL
    """)
    # Takes the old uniqueness with it.
    op.execute("ALTER TABLE execution.plan_report DROP COLUMN block_id")
    op.execute("CREATE UNIQUE INDEX plan_report_closed ON execution.plan_report (order_id) WHERE allocation_id IS NULL")
    op.execute("CREATE INDEX allocation_order ON execution.allocation (order_id)")
