"""Bookings that replace others, after a correction or bust, and those that a snapshot had already."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        ALTER TABLE decision.booking
            ADD COLUMN contained boolean NOT NULL DEFAULT false,
            ADD COLUMN replaces bigint UNIQUE,
            DROP CONSTRAINT booking_quantity_check,
            ADD CHECK (quantity >= 0 AND (quantity > 0 OR replaces IS NOT NULL))
    """)
