"""All who halted a scope are kept, so that none of them resumes it alone.

A release before this one replaces `halted_by` and leaves the column as it is; who was replaced is in it, unless that
release halted twice. It also lets everybody resume but who halted last.
"""

from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add who halted; of what is in force, who halted last is known."""
    op.execute("ALTER TABLE execution.halt ADD COLUMN persons text[] NOT NULL DEFAULT '{}'")
    op.execute("UPDATE execution.halt SET persons = ARRAY[halted_by]")
