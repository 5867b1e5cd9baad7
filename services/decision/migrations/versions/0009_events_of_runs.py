"""What happened that asks for a run."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE decision.run ADD COLUMN event text NOT NULL DEFAULT ''")
