"""What became of versions, for those who follow; which fields a version sets."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add to the tables."""
    op.execute("""
        create table policy.notice (
            position bigint primary key check (position > 0),
            kind text not null check (kind in ('scheduled', 'activated', 'withdrawn')),
            node_id text collate "C" not null references policy.node,
            version_id text collate "C" not null references policy.version,
            change_id text collate "C" not null references policy.change,
            effective_time timestamptz not null,
            recorded_time timestamptz not null
        )
    """)
    op.execute("""
        create trigger notice_is_history before update or delete on policy.notice
        for each row execute function policy.refuse()
    """)
    op.execute("alter table policy.version add column fields text[] not null default '{}'")
    op.execute("create index version_fields on policy.version using gin (fields)")
