"""Which numbers of an account were destroyed, so that its record can say so and still be proven whole."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Without a first number, what was destroyed before this revision is not known number by number.
    op.execute("alter table audit.disposed_number add column first_number bigint check (first_number > 0)")
