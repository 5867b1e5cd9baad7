"""What accounts are worth, for approval rules that look at assets."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.execute("""
        create table policy.account_value (
            account_id text collate "C" primary key references policy.node on delete cascade,
            amount numeric not null check (amount >= 0),
            currency text not null,
            author text not null,
            as_of_time timestamptz not null,
            recorded_time timestamptz not null
        )
    """)
