"""Breaks in a custodian's trades say of which day they are, and stay open after it.

A release before this one leaves the column NULL; such a break stays until a person settles it.
"""

from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the trade date that a break is about."""
    op.execute("ALTER TABLE execution.reconciliation_break ADD COLUMN trade_date date")
