"""What instruments are to tax laws that ask, and what of gains is on shares."""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE decision.instrument ADD COLUMN asset_kind text NOT NULL DEFAULT 'OTHER'")
    op.execute("ALTER TABLE decision.snapshot_instrument ADD COLUMN asset_kind text NOT NULL DEFAULT 'OTHER'")
    op.execute("""
        UPDATE decision.instrument SET asset_kind = 'SHARE'
        FROM decision.instrument_identification known
        WHERE known.instrument_id = instrument.instrument_id AND known.cfi ~ '^E[SPCFD]'
    """)
    op.execute("ALTER TABLE decision.snapshot_account ADD COLUMN share_gain numeric NOT NULL DEFAULT 0")
    op.execute("""
        ALTER TABLE decision.account
            ADD COLUMN share_gain numeric NOT NULL DEFAULT 0,
            ADD COLUMN gain_shares numeric[] NOT NULL DEFAULT '{}'
    """)
    op.execute("""
        UPDATE decision.account SET gain_shares = array_fill(0::numeric, ARRAY[cardinality(gain_dates)])
        WHERE cardinality(gain_dates) > 0
    """)
