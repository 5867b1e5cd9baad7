"""What was crossed by mistake can be undone, when two persons say so."""

from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table of wishes to undo crosses."""
    op.execute("""
        CREATE TABLE execution.uncross (
            sell_block_id text COLLATE "C" PRIMARY KEY REFERENCES execution.block,
            buy_block_id text COLLATE "C" NOT NULL REFERENCES execution.block,
            proposer text NOT NULL,
            why text NOT NULL,
            propose_time timestamptz NOT NULL,
            approver text NOT NULL,
            approve_time timestamptz,
            CHECK ((approver = '') = (approve_time IS NULL)),
            CHECK (approver <> proposer)
        )
    """)
