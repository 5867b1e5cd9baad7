"""What was shipped and what was answered long ago is found by its age, so that it can be removed."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the indexes; a new schema may have them already."""
    op.execute("""
        CREATE INDEX IF NOT EXISTS outbox_shipped ON decision.outbox (shipped_time) WHERE shipped_time IS NOT NULL
    """)
    op.execute("CREATE INDEX IF NOT EXISTS request_answer_recorded ON decision.request_answer (recorded_time)")
