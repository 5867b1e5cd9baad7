"""What of a booked sale's gain was taxed in advance, lot by lot; the release before writes none."""

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE decision.booking ADD COLUMN sold_taxed_before numeric[] NOT NULL DEFAULT '{}'")
