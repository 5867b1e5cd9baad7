"""FIX sessions: their numbers, what they said and heard."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.execute("""
        CREATE TABLE execution.fix_session (
            session text COLLATE "C" PRIMARY KEY,
            begin_string text NOT NULL,
            sender text NOT NULL,
            target text NOT NULL,
            generation integer NOT NULL CHECK (generation >= 0),
            next_out bigint NOT NULL CHECK (next_out >= 1),
            next_in bigint NOT NULL CHECK (next_in >= 1),
            since timestamptz NOT NULL
        )
    """)
    op.execute("""
        CREATE TABLE execution.fix_message (
            session text COLLATE "C" NOT NULL,
            generation integer NOT NULL,
            direction text COLLATE "C" NOT NULL CHECK (direction IN ('OUT', 'IN')),
            number bigint NOT NULL CHECK (number >= 1),
            msg_type text NOT NULL,
            data bytea NOT NULL,
            time timestamptz NOT NULL,
            PRIMARY KEY (session, generation, direction, number)
        )
    """)
    op.execute("CREATE INDEX fix_message_time ON execution.fix_message USING brin (time)")
    op.execute("""
        CREATE TABLE execution.fix_claim (
            session text COLLATE "C" NOT NULL,
            key text COLLATE "C" NOT NULL,
            PRIMARY KEY (session, key)
        )
    """)
