"""What governs the record: its own log, answers to requests, the keeper's tables and the one function that destroys."""

from alembic import op

from services.audit.store.logs import create_log_sql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TABLES = ("entry", "posting", "event_key", "tile", "checkpoint_note", "cosignature")

# Drops the partition of a log with exactly these bounds. Two different people must have decided it; that is checked
# here once more, by a constraint, because the rows that follow from this are the last ones.
#
# A commit is one posting row a term, numbered from its first entry. One that began in the partition and reaches beyond
# it is kept, cut to what is left and numbered from there.
_DISPOSE = """
create function audit_keeper.dispose(
    proposal uuid, log text, first bigint, after_last bigint, proposer text, decider text, proposal_index bigint
) returns void language plpgsql security definer set search_path = pg_catalog set lock_timeout = '5s' as $$
declare
    prefix text := case when log = 'events' then '' else log || '_' end;
    parent text;
    child regclass;
begin
    if not exists (select from audit.log as known where known.name = dispose.log) then
        raise exception 'there is no log %', log;
    end if;
    insert into audit_keeper.disposal (proposal_id, log, start, stop, proposer, decider, proposal_index)
    values (proposal, log, first, after_last, proposer, decider, proposal_index)
    on conflict (proposal_id) do nothing;
    foreach parent in array array['posting', 'entry'] loop
        select pg_class.oid into child
        from pg_inherits join pg_class on pg_class.oid = pg_inherits.inhrelid
        where pg_inherits.inhparent = format('audit.%I', prefix || parent)::regclass
          and pg_get_expr(pg_class.relpartbound, pg_class.oid)
              = format('FOR VALUES FROM (%L) TO (%L)', first, after_last);
        if child is null then
            continue;
        end if;
        if parent = 'posting' then
            execute format(
                'insert into audit.%1$I (term, start, positions)
                 select term, $1, string_agg(int2send((at - ($1 - start))::int2), '''' order by at)
                 from %2$s, lateral (
                     select get_byte(positions, 2 * n) * 256 + get_byte(positions, 2 * n + 1) as at
                     from generate_series(0, octet_length(positions) / 2 - 1) as n
                 ) as each
                 where start > $1 - 65536 and start + at >= $1
                 group by term, start
                 on conflict do nothing',
                prefix || parent, child
            ) using after_last;
        end if;
        execute format('drop table %s', child);
    end loop;
end $$
"""

# The login that may destroy exists where `services.runtime.bootstrap` made it.
_GRANT = """
do $$ begin
    if exists (select from pg_roles where rolname = 'evenkeel_audit_keeper') then
        grant usage on schema audit_keeper to evenkeel_audit_keeper;
        grant select, insert, delete on audit_keeper.subject_key to evenkeel_audit_keeper;
        grant select, insert on audit_keeper.subject_key_destroyed to evenkeel_audit_keeper;
        grant execute on function
            audit_keeper.dispose(uuid, text, bigint, bigint, text, text, bigint) to evenkeel_audit_keeper;
    end if;
end $$
"""


def upgrade() -> None:
    for statement in create_log_sql("records", TABLES):
        op.execute(statement)
    op.execute("""
        create table audit.request_answer (
            request_id text not null primary key,
            method text not null,
            caller text not null,
            digest bytea not null,
            answer bytea not null,
            recorded_time timestamptz not null default now()
        )
    """)
    # The last number of an account when a partition was destroyed, so that its numbering goes on.
    op.execute("""
        create table audit.disposed_number (
            log text not null,
            account text not null,
            stop bigint not null,
            number bigint not null check (number > 0),
            primary key (log, account, stop)
        )
    """)
    # Made by the bootstrap, which may; by a single login for all, here.
    op.execute("""
        do $$ begin
            if to_regnamespace('audit_keeper') is null then create schema audit_keeper; end if;
        end $$
    """)
    op.execute("revoke all on schema audit_keeper from public")
    op.execute("""
        create table audit_keeper.subject_key (
            subject text not null,
            generation int not null check (generation > 0),
            wrapped bytea not null check (octet_length(wrapped) = 60),
            primary key (subject, generation)
        )
    """)
    op.execute("""
        create table audit_keeper.subject_key_destroyed (
            subject text not null,
            generation int not null,
            destroyed_time timestamptz not null default now(),
            primary key (subject, generation)
        )
    """)
    op.execute("""
        create table audit_keeper.disposal (
            proposal_id uuid not null primary key,
            log text not null,
            start bigint not null check (start >= 0),
            stop bigint not null check (stop > start),
            proposer text not null,
            decider text not null check (decider <> proposer),
            proposal_index bigint not null,
            disposed_time timestamptz not null default now(),
            unique (log, start)
        )
    """)
    op.execute(_DISPOSE)
    op.execute("revoke all on function audit_keeper.dispose from public")
    op.execute(_GRANT)
