"""What trading is compared with: the market's traded value, and the last price of each day."""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column and the table."""
    op.execute("ALTER TABLE execution.market_volume ADD COLUMN value numeric CHECK (value >= 0)")
    op.execute("""
        CREATE TABLE execution.closing_price (
            instrument_id text COLLATE "C" NOT NULL,
            day date NOT NULL,
            price numeric NOT NULL CHECK (price > 0),
            currency text NOT NULL,
            as_of_time timestamptz NOT NULL,
            PRIMARY KEY (instrument_id, day)
        )
    """)
