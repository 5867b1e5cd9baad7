"""What is checked again before an order leaves: the plan's policy versions, and when that was done last."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    # Of plans that were taken before, the versions are in the payload alone: what they did not send is given up.
    op.execute("ALTER TABLE execution.plan ADD COLUMN policy_version_hashes jsonb NOT NULL DEFAULT '[]'")
    op.execute("ALTER TABLE execution.account_order ADD COLUMN check_time timestamptz")
