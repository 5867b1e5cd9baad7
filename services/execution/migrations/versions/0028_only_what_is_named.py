"""What no allocation replaces, and what tells of no allocation, is in no index of those that do.

Nearly no allocation replaces another, and half of the reports tell of closed orders.
"""

from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Have both indexes without NULLs, unique as before."""
    for table, column in (("allocation", "replaces"), ("plan_report", "allocation_id")):
        name = f"{table}_{column}_key"
        op.execute(f"ALTER TABLE execution.{table} DROP CONSTRAINT {name}")
        op.execute(f"CREATE UNIQUE INDEX {name} ON execution.{table} ({column}) WHERE {column} IS NOT NULL")
