"""Where entries with a term stand is read from the index alone: a term's postings lie together there, and nowhere else.

In the table they lie where their commits do, each on a page of its own, so that an account's newest hundred were read
from a hundred pages before the first entry was. An index row has room for the positions of a commit of 1,300 entries;
a commit has at most 1,000.
"""

from alembic import op
from sqlalchemy import text

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    logs = op.get_bind().execute(text("select name from audit.log")).scalars().all()
    for name in logs:
        table = "posting" if name == "events" else f"{name}_posting"
        op.execute(
            f"alter table audit.{table} drop constraint {table}_pkey, "
            f"add constraint {table}_pkey primary key (term, start) include (positions)"
        )
