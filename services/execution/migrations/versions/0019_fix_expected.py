"""What a FIX session expects next is a row of its own: what comes and what is sent lock nothing of each other's."""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table, and take over where the sessions stand."""
    op.execute("""
        CREATE TABLE execution.fix_expected (
            session text COLLATE "C" PRIMARY KEY,
            generation integer NOT NULL CHECK (generation >= 0),
            next_in bigint NOT NULL CHECK (next_in >= 1)
        )
    """)
    op.execute("""
        INSERT INTO execution.fix_expected (session, generation, next_in)
        SELECT session, generation, next_in FROM execution.fix_session
    """)
