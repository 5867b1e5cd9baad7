"""Breaks with venues and custodians, which people own and resolve; what custodians said of accounts last."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.execute("""
        CREATE TABLE execution.reconciliation_break (
            break_id text COLLATE "C" PRIMARY KEY,
            party text NOT NULL CHECK (party IN ('VENUE', 'CUSTODIAN')),
            source text COLLATE "C" NOT NULL,
            kind text NOT NULL,
            account_id text COLLATE "C",
            instrument_id text COLLATE "C",
            block_id text COLLATE "C",
            client_order_id text NOT NULL,
            ours text NOT NULL,
            theirs text NOT NULL,
            find_time timestamptz NOT NULL,
            see_time timestamptz NOT NULL,
            owner text NOT NULL,
            resolve_time timestamptz,
            resolver text NOT NULL,
            note text NOT NULL
        )
    """)
    op.execute("""
        CREATE INDEX reconciliation_break_account ON execution.reconciliation_break (account_id)
        WHERE resolve_time IS NULL
    """)
    op.execute("""
        CREATE INDEX reconciliation_break_block ON execution.reconciliation_break (block_id) WHERE resolve_time IS NULL
    """)
    op.execute("""
        CREATE TABLE execution.custodian_account (
            custodian text COLLATE "C" NOT NULL,
            account_id text COLLATE "C" NOT NULL,
            day date NOT NULL,
            positions jsonb NOT NULL,
            cash numeric NOT NULL,
            PRIMARY KEY (custodian, account_id)
        )
    """)
    op.execute("CREATE INDEX allocation_account_day ON execution.allocation (account_id, trade_date)")
