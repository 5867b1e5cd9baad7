"""What is on record of clients: profiles, consents, preferences."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables."""
    op.execute("""
        create table policy.profile (
            node_id text collate "C" not null references policy.node,
            sequence integer not null check (sequence > 0),
            content text not null,
            author text not null,
            reason text not null,
            effective_time timestamptz not null,
            recorded_time timestamptz not null,
            primary key (node_id, sequence)
        )
    """)
    op.execute("""
        create table policy.consent (
            node_id text collate "C" not null references policy.node,
            sequence integer not null check (sequence > 0),
            kind text not null,
            given boolean not null,
            evidence text not null,
            author text not null,
            effective_time timestamptz not null,
            expire_time timestamptz check (expire_time > effective_time),
            recorded_time timestamptz not null,
            primary key (node_id, sequence)
        )
    """)
    op.execute("""
        create table policy.preferences (
            account_id text collate "C" not null references policy.node,
            sequence integer not null check (sequence > 0),
            content text not null,
            author text not null,
            reason text not null,
            effective_time timestamptz not null,
            recorded_time timestamptz not null,
            primary key (account_id, sequence)
        )
    """)
    for table in ("profile", "consent", "preferences"):
        op.execute(f"""
            create trigger {table}_is_history before update or delete on policy.{table}
            for each row execute function policy.refuse()
        """)
    op.execute("""
        create table policy.profile_look (
            node_id text collate "C" primary key references policy.node,
            look_time timestamptz not null
        )
    """)
    op.execute("create index profile_look_time on policy.profile_look (look_time)")
