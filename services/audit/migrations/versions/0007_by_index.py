"""What stands beside the entries of a stretch is found by their indexes, so that a long one is checked at once."""

from alembic import op
from sqlalchemy import text

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# Rows come in the order of the log, so that an index of a page's least and greatest finds them; a few bytes for every
# hundred kilobytes.
_COLUMNS = {"event_key": "idx", "posting": "start"}


def upgrade() -> None:
    logs = op.get_bind().execute(text("select name from audit.log")).scalars().all()
    for name in logs:
        for table, column in _COLUMNS.items():
            full = table if name == "events" else f"{name}_{table}"
            op.execute(
                f"create index {full}_by_{column} on audit.{full} using brin ({column}) "
                "with (pages_per_range = 16, autosummarize = on)"
            )
