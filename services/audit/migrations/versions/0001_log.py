"""The log: entries, the ids of their events, the tree's tiles, signed checkpoints."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# 2^24 entries, about 16 GB: a unit that retention can drop and a restore can handle.
PARTITION_ENTRIES = 1 << 24
# Room for 134 million entries; a later migration adds more before they are needed.
PARTITIONS = 8


def upgrade() -> None:
    op.execute("""
        create table audit.entry (
            idx bigint not null primary key check (idx >= 0),
            leaf bytea not null check (octet_length(leaf) = 32),
            body bytea not null check (octet_length(body) <= 65535),
            kind text collate "C" not null,
            producer text not null,
            actor text not null,
            account text,
            account_sequence bigint not null check ((account_sequence = 0) = (account is null)),
            trace_id uuid,
            subjects text[] not null
        ) partition by range (idx)
    """)
    for number in range(PARTITIONS):
        start = number * PARTITION_ENTRIES
        op.execute(
            f"create table audit.entry_{number:04d} partition of audit.entry "
            f"for values from ({start}) to ({start + PARTITION_ENTRIES})"
        )
    # Each ends in `idx`, so that the newest of anything is read backwards from the index without sorting.
    op.execute("create index entry_account on audit.entry (account, idx) where account is not null")
    op.execute("create index entry_kind on audit.entry (kind, idx)")
    op.execute("create index entry_actor on audit.entry (actor, idx)")
    op.execute("create index entry_trace on audit.entry (trace_id, idx) where trace_id is not null")
    op.execute("create index entry_subjects on audit.entry using gin (subjects)")

    op.execute("""
        create table audit.event_key (
            event_id uuid not null primary key,
            idx bigint not null,
            digest bytea not null check (octet_length(digest) = 32)
        )
    """)
    op.execute("""
        create table audit.tile (
            level smallint not null check (level between 0 and 7),
            idx bigint not null check (idx >= 0),
            root bytea not null check (octet_length(root) = 32),
            data bytea not null check (octet_length(data) = 8192),
            primary key (level, idx)
        )
    """)
    # Hashes do not compress.
    op.execute("alter table audit.tile alter column data set storage external")
    op.execute("""
        create table audit.checkpoint_note (
            size bigint not null primary key check (size >= 0),
            root bytea not null check (octet_length(root) = 32),
            origin text not null,
            note text not null,
            sign_time timestamptz not null
        )
    """)
    # Finds the entries of an instant: they were recorded when the checkpoint that first covers them was signed.
    op.execute("create index checkpoint_note_sign_time on audit.checkpoint_note (sign_time, size)")
