"""Orders that go in parts over time, and the market's volume that sizes them."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns and the table."""
    for table in ("account_order", "block"):
        op.execute(f"""
            ALTER TABLE execution.{table}
                ADD COLUMN algorithm text NOT NULL DEFAULT 'IMMEDIATE',
                ADD COLUMN participation_max numeric CHECK (participation_max > 0 AND participation_max < 1)
        """)
    op.execute("""
        ALTER TABLE execution.account_order
            ADD COLUMN schedule_start timestamptz,
            ADD COLUMN schedule_end timestamptz,
            ADD COLUMN schedule_due timestamptz
    """)
    op.execute("ALTER TABLE execution.block ADD COLUMN market_time timestamptz")
    op.execute("""
        CREATE TABLE execution.market_volume (
            instrument_id text COLLATE "C" NOT NULL,
            bucket_time timestamptz NOT NULL,
            volume numeric NOT NULL CHECK (volume >= 0),
            PRIMARY KEY (instrument_id, bucket_time)
        )
    """)
    op.execute("""
        CREATE INDEX account_order_scheduled ON execution.account_order (schedule_due)
        WHERE algorithm <> 'IMMEDIATE' AND released > placed AND close_reason = ''
    """)
    op.execute("""
        CREATE INDEX block_participating ON execution.block (instrument_id, market_time)
        WHERE participation_max IS NOT NULL
    """)
