"""What Germany's advance lump sums ask of the years of funds; the release before writes none."""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE decision.instrument ADD COLUMN fund_years text NOT NULL DEFAULT '[]'")
    op.execute("ALTER TABLE decision.snapshot_instrument ADD COLUMN fund_years text NOT NULL DEFAULT '[]'")
