"""What people see of FIX sessions, and how two of them begin one anew."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns and the table."""
    op.execute("""
        ALTER TABLE execution.fix_session
            ADD COLUMN up boolean NOT NULL DEFAULT false,
            ADD COLUMN why_down text NOT NULL DEFAULT '',
            ADD COLUMN check_time timestamptz
    """)
    op.execute("ALTER TABLE execution.fix_message ADD COLUMN place bigint NOT NULL GENERATED ALWAYS AS IDENTITY")
    op.execute("CREATE INDEX fix_message_place ON execution.fix_message (session, place)")
    op.execute("""
        CREATE TABLE execution.fix_reset (
            reset_id text PRIMARY KEY,
            session text NOT NULL,
            state text NOT NULL CHECK (state IN ('PROPOSED', 'APPROVED', 'DONE')),
            proposer text NOT NULL,
            why text NOT NULL,
            propose_time timestamptz NOT NULL,
            approver text NOT NULL CHECK (approver <> proposer)
        )
    """)
