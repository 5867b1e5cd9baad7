"""Legs trade over FIX, and say when they settle.

A release before this one leaves the column NULL, and sends no orders for pairs.
"""

from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the settlement date that an order was sent with; NULL is the market's usual one."""
    op.execute("ALTER TABLE execution.fix_order ADD COLUMN settlement_date date")
