"""The log: entries, where they are found, the ids of their events, the tree's tiles, signed checkpoints."""

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
            body bytea not null check (octet_length(body) <= 65535)
        ) partition by range (idx)
    """)
    op.execute("""
        create table audit.posting (
            term bigint not null,
            start bigint not null check (start >= 0),
            positions bytea not null check (octet_length(positions) > 0 and octet_length(positions) % 2 = 0),
            primary key (term, start)
        ) partition by range (start)
    """)
    for number in range(PARTITIONS):
        start = number * PARTITION_ENTRIES
        for table in ("entry", "posting"):
            op.execute(
                f"create table audit.{table}_{number:04d} partition of audit.{table} "
                f"for values from ({start}) to ({start + PARTITION_ENTRIES})"
            )

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
