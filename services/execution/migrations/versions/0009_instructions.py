"""What venues are told of each block's shares, and what they said to that."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.execute("""
        CREATE TABLE execution.instruction (
            allocation_id text COLLATE "C" PRIMARY KEY,
            block_id text COLLATE "C" NOT NULL REFERENCES execution.block,
            venue_id text COLLATE "C" NOT NULL,
            client_order_id text COLLATE "C" NOT NULL,
            replaces text COLLATE "C" REFERENCES execution.instruction,
            state text NOT NULL CHECK (state IN ('PENDING', 'SENT', 'RECEIVED', 'ACCEPTED', 'REJECTED')),
            why text NOT NULL,
            create_time timestamptz NOT NULL,
            update_time timestamptz NOT NULL
        )
    """)
    op.execute("CREATE INDEX instruction_block ON execution.instruction (block_id)")
    op.execute("CREATE INDEX instruction_replaces ON execution.instruction (replaces) WHERE replaces IS NOT NULL")
    op.execute("""
        CREATE INDEX instruction_open ON execution.instruction (venue_id, create_time) WHERE state <> 'ACCEPTED'
    """)
