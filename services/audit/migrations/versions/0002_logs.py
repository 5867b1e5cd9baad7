"""Several logs side by side: which there are, the log of who looked, and what witnesses signed."""

from alembic import op

from services.audit.store.logs import create_log_sql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLES = ("entry", "posting", "event_key", "tile", "checkpoint_note", "cosignature")


def upgrade() -> None:
    op.execute("create table audit.log (name text not null primary key)")
    op.execute("""
        create table audit.cosignature (
            size bigint not null check (size >= 0),
            witness text not null,
            line text not null,
            cosign_time timestamptz not null,
            primary key (size, witness)
        )
    """)
    op.execute("insert into audit.log (name) values ('events')")
    for statement in create_log_sql("access", TABLES):
        op.execute(statement)
