"""Amounts of tax law, proposed by one person and reviewed by another."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE decision.tax_law (
            jurisdiction text,
            tax_year integer,
            version integer,
            state text NOT NULL,
            amounts bytea NOT NULL,
            source text NOT NULL,
            author text NOT NULL,
            propose_time timestamptz NOT NULL,
            reviewer text NOT NULL DEFAULT '',
            review_time timestamptz,
            review_note text NOT NULL DEFAULT '',
            PRIMARY KEY (jurisdiction, tax_year, version)
        )
    """)
