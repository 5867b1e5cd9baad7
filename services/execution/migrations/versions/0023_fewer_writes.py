"""An order's end is one new version of its row in place, and rows of one transaction are not looked up by the next.

What the indexes and foreign keys did otherwise: `docs/adr/0009-rows-that-are-written-together.md`.
"""

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

FOREIGN_KEYS = {
    "account_order": ("plan_id",),
    "block_share": ("block_id", "order_id"),
    "allocation": ("block_id", "order_id"),
    "plan_report": ("order_id", "allocation_id"),
}


def upgrade() -> None:
    """Drop what is not needed, and leave room beside each order for what becomes of it."""
    for table, columns in FOREIGN_KEYS.items():
        drops = ", ".join(f"DROP CONSTRAINT {table}_{column}_fkey" for column in columns)
        op.execute(f"ALTER TABLE execution.{table} {drops}")
    op.execute("DROP INDEX execution.account_order_open")
    op.execute("DROP INDEX execution.account_order_changed")
    op.execute("""
        CREATE INDEX account_order_changed ON execution.account_order USING brin (update_time)
        WITH (pages_per_range = 16, autosummarize = on)
    """)
    op.execute("ALTER TABLE execution.account_order SET (fillfactor = 50)")
