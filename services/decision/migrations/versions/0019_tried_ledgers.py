"""On which day an account's ledger was last worked out, and by what; the release before writes neither."""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE decision.tax_history ADD COLUMN tried_day date, ADD COLUMN tried_by text")
