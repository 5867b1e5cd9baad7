"""Destroying a partition also cuts the postings of the commit that began before it and reaches into it."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# As in the revision before, and: what a posting of an earlier partition says of entries that are gone is taken out, so
# that every posting follows from the entries that are left.
_DISPOSE = """
create or replace function audit_keeper.dispose(
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
            -- What a commit that began before the partition's end has beyond it, numbered from there.
            execute format(
                'insert into audit.%1$I (term, start, positions)
                 select term, $1, string_agg(int2send((at - ($1 - start))::int2), '''' order by at)
                 from audit.%1$I, lateral (
                     select get_byte(positions, 2 * n) * 256 + get_byte(positions, 2 * n + 1) as at
                     from generate_series(0, octet_length(positions) / 2 - 1) as n
                 ) as each
                 where start < $1 and start > $1 - 65536 and start + at >= $1
                 group by term, start
                 on conflict do nothing',
                prefix || parent
            ) using after_last;
            -- What a commit that began before the partition has in it and beyond.
            execute format(
                'with reaching as (
                     delete from audit.%1$I
                     where start < $1 and start > $1 - 65536
                       and start + get_byte(positions, octet_length(positions) - 2) * 256
                           + get_byte(positions, octet_length(positions) - 1) >= $1
                     returning term, start, positions
                 )
                 insert into audit.%1$I (term, start, positions)
                 select term, start, substr(positions, 1, 2 * count(*)::int)
                 from reaching, lateral (
                     select from generate_series(0, octet_length(positions) / 2 - 1) as n
                     where start + get_byte(positions, 2 * n) * 256 + get_byte(positions, 2 * n + 1) < $1
                 ) as kept
                 group by term, start, positions',
                prefix || parent
            ) using first;
        end if;
        execute format('drop table %s', child);
    end loop;
end $$
"""


def upgrade() -> None:
    op.execute(_DISPOSE)
