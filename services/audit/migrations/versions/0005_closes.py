"""Which numbers the entries that close a log commit to."""

from alembic import op
from sqlalchemy import text

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    names = [name for (name,) in op.get_bind().execute(text("select name from audit.log order by name"))]
    for name in names:
        table = "close_number" if name == "events" else f"{name}_close_number"
        op.execute(f"""
            create table audit.{table} (
                account_hash bytea not null check (octet_length(account_hash) = 32),
                size bigint not null check (size >= 0),
                last bigint not null check (last > 0),
                primary key (account_hash, size)
            )
        """)
