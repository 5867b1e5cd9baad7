"""By which public names instruments are known."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE decision.instrument_identification (
            instrument_id text NOT NULL PRIMARY KEY,
            isin text NOT NULL,
            cfi text NOT NULL,
            full_name text NOT NULL,
            as_of_time timestamptz NOT NULL
        )
    """)
