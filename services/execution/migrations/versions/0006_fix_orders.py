"""Orders at brokers that speak FIX, what the brokers said, and what clients of the sandbox were told."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.execute("""
        CREATE TABLE execution.fix_order (
            venue_id text COLLATE "C" NOT NULL,
            client_order_id text COLLATE "C" NOT NULL,
            instrument_id text NOT NULL,
            side text NOT NULL,
            quantity numeric NOT NULL CHECK (quantity > 0),
            increment numeric NOT NULL,
            order_type text NOT NULL,
            limit_price numeric,
            time_in_force text NOT NULL,
            currency text NOT NULL,
            send_time timestamptz NOT NULL,
            state text NOT NULL CHECK (state IN ('SENT', 'KNOWN', 'REFUSED', 'ABSENT')),
            why text NOT NULL,
            present_name text NOT NULL,
            confirmed_name text NOT NULL,
            order_id text NOT NULL,
            told_quantity numeric,
            told_filled numeric,
            told_price numeric,
            told_fees numeric,
            told_open boolean,
            PRIMARY KEY (venue_id, client_order_id)
        )
    """)
    op.execute("""
        CREATE TABLE execution.fix_name (
            venue_id text COLLATE "C" NOT NULL,
            name text COLLATE "C" NOT NULL,
            client_order_id text COLLATE "C" NOT NULL,
            kind text NOT NULL CHECK (kind IN ('ORDER', 'CANCEL', 'REPLACE')),
            PRIMARY KEY (venue_id, name)
        )
    """)
    op.execute("""
        CREATE TABLE execution.fix_inbox (
            venue_id text COLLATE "C" PRIMARY KEY,
            position bigint NOT NULL CHECK (position >= 0)
        )
    """)
    op.execute("""
        CREATE TABLE execution.fix_report (
            venue_id text COLLATE "C" NOT NULL,
            position bigint NOT NULL,
            report_id text COLLATE "C" NOT NULL,
            client_order_id text COLLATE "C" NOT NULL,
            kind text NOT NULL,
            content jsonb NOT NULL,
            report_time timestamptz NOT NULL,
            drop_copy boolean NOT NULL DEFAULT false,
            PRIMARY KEY (venue_id, position),
            UNIQUE (venue_id, report_id)
        )
    """)
    op.execute("""
        CREATE TABLE execution.fix_instruction (
            venue_id text COLLATE "C" NOT NULL,
            allocation_id text COLLATE "C" NOT NULL,
            client_order_id text COLLATE "C" NOT NULL,
            replaces text,
            send_time timestamptz NOT NULL,
            state text NOT NULL CHECK (state IN ('SENT', 'RECEIVED', 'ACCEPTED', 'REJECTED')),
            why text NOT NULL,
            PRIMARY KEY (venue_id, allocation_id)
        )
    """)
    op.execute("""
        CREATE TABLE execution.fix_told (
            session text COLLATE "C" PRIMARY KEY,
            position bigint NOT NULL CHECK (position >= 0)
        )
    """)
    op.execute("CREATE INDEX sandbox_report_order ON execution.sandbox_report (client_order_id, position)")
    op.execute("""
        CREATE INDEX sandbox_report_replaced ON execution.sandbox_report ((content ->> 'request_id'))
        WHERE kind = 'Replaced'
    """)
