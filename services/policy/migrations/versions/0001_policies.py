"""The tree, contents, changes and activations; the outbox and the stored answers."""

from alembic import op
from sqlalchemy import MetaData

from services.runtime.outbox.table import outbox_table
from services.runtime.requests import request_answer_table

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.execute("""
        create table policy.node (
            node_id text collate "C" primary key,
            parent_id text collate "C" references policy.node,
            kind text not null check (kind in ('firm', 'program', 'model', 'household', 'account')),
            display_name text not null,
            created_time timestamptz not null,
            check ((kind = 'firm') = (parent_id is null)),
            check (parent_id <> node_id)
        )
    """)
    op.execute("create index node_parent on policy.node (parent_id, node_id)")
    op.execute("create index node_kind on policy.node (kind, node_id)")
    op.execute("""
        create table policy.version (
            version_id text collate "C" primary key check (version_id like 'sha256:%'),
            node_id text collate "C" not null references policy.node,
            document text not null
        )
    """)
    # Nobody decides about what they wrote, whatever the code believes.
    op.execute("""
        create table policy.change (
            change_id text collate "C" primary key,
            number bigint generated always as identity unique,
            node_id text collate "C" not null references policy.node,
            base_version_id text references policy.version,
            version_id text collate "C" not null references policy.version,
            reason text not null,
            requested_time timestamptz,
            decided text not null check (decided in ('draft', 'submitted', 'approved', 'rejected', 'withdrawn')),
            revision integer not null check (revision > 0),
            author text not null,
            created_time timestamptz not null,
            approver text,
            approver_comment text not null,
            decided_time timestamptz,
            effective_time timestamptz,
            unique (change_id, version_id),
            check (approver <> author),
            check (decided not in ('approved', 'rejected') or (approver is not null and decided_time is not null)),
            check ((decided = 'approved') = (effective_time is not null))
        )
    """)
    op.execute("create index change_node on policy.change (node_id, number)")
    op.execute("create index change_author on policy.change (author, number)")
    op.execute("create index change_approver on policy.change (approver, number)")
    op.execute("create index change_version on policy.change (version_id)")
    # The activations of a node are one chain: each follows the last one that stands, and takes effect after it.
    # An approved content cannot be exchanged: a change cannot name another while an activation refers to it.
    op.execute("""
        create table policy.activation (
            node_id text collate "C" not null references policy.node,
            sequence integer not null check (sequence > 0),
            follows integer,
            follows_effective_time timestamptz,
            version_id text collate "C" not null references policy.version,
            change_id text collate "C" not null unique,
            effective_time timestamptz not null,
            recorded_time timestamptz not null,
            revoked_time timestamptz,
            announced_time timestamptz,
            primary key (node_id, sequence),
            unique (node_id, sequence, effective_time),
            foreign key (change_id, version_id) references policy.change (change_id, version_id),
            foreign key (node_id, follows, follows_effective_time)
                references policy.activation (node_id, sequence, effective_time),
            check ((follows is null) = (follows_effective_time is null)),
            check (follows < sequence),
            check (follows_effective_time < effective_time),
            check (revoked_time is null or announced_time is null)
        )
    """)
    op.execute("""
        create unique index activation_one_successor on policy.activation (node_id, coalesce(follows, 0))
        where revoked_time is null
    """)
    op.execute("create index activation_version on policy.activation (version_id)")
    op.execute("""
        create index activation_due on policy.activation (effective_time)
        where announced_time is null and revoked_time is null
    """)
    op.execute("""
        create function policy.refuse() returns trigger language plpgsql as $$
        begin
            raise exception '% is history and cannot be changed', tg_table_name using errcode = 'restrict_violation';
        end $$
    """)
    op.execute("""
        create trigger version_is_history before update or delete on policy.version
        for each row execute function policy.refuse()
    """)
    op.execute("""
        create trigger activation_is_history before delete on policy.activation
        for each row execute function policy.refuse()
    """)
    op.execute("""
        create trigger activation_content_is_history
        before update of node_id, sequence, follows, follows_effective_time, version_id, change_id, effective_time,
            recorded_time on policy.activation
        for each row execute function policy.refuse()
    """)
    metadata = MetaData(schema="policy")
    outbox_table(metadata)
    request_answer_table(metadata)
    metadata.create_all(op.get_bind())
