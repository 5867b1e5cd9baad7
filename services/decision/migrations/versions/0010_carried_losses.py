"""Unused losses of earlier years, which the tax ledger derives and plans reckon with."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        ALTER TABLE decision.account
            ADD COLUMN carried_year integer,
            ADD COLUMN carried_short numeric NOT NULL DEFAULT 0,
            ADD COLUMN carried_long numeric NOT NULL DEFAULT 0
    """)
