"""Approvals by several people, rollouts, stops, and the edition that what is kept in memory is of."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add to the tables."""
    # What governs is kept in memory beside the database, as of an edition. The database itself moves it on, once in
    # each transaction that changes who stands where or what governs, whoever writes and by which version of the code.
    # Its row is locked until the transaction ends, so editions are committed in their order.
    op.execute("create table policy.edition (number bigint not null, transaction_id bigint not null)")
    op.execute("insert into policy.edition values (0, 0)")
    op.execute("create unique index edition_only on policy.edition ((true))")
    op.execute("""
        create trigger edition_stays before delete on policy.edition
        for each row execute function policy.refuse()
    """)
    op.execute("""
        create function policy.next_edition() returns bigint language plpgsql as $$
        declare found bigint;
        begin
            update policy.edition set number = number + 1, transaction_id = txid_current()
            where transaction_id <> txid_current();
            select number into strict found from policy.edition;
            return found;
        end $$
    """)
    op.execute("""
        create function policy.mark_edition() returns trigger language plpgsql as $$
        begin
            new.edition := policy.next_edition();
            return new;
        end $$
    """)
    op.execute("""
        create function policy.take_edition() returns trigger language plpgsql as $$
        begin
            perform policy.next_edition();
            return null;
        end $$
    """)
    op.execute("""
        create function policy.keep_removed() returns trigger language plpgsql as $$
        begin
            insert into policy.removed_node (node_id, edition) values (old.node_id, policy.next_edition());
            return null;
        end $$
    """)

    op.execute("alter table policy.node add column edition bigint not null default 0, add column number bigint")
    # Parents get lower numbers than their children, as they get from now on by order of creation.
    op.execute("""
        with recursive placed (node_id, depth) as (
            select node_id, 0 from policy.node where parent_id is null
            union all
            select node.node_id, depth + 1 from policy.node join placed on node.parent_id = placed.node_id
        ), numbered as (select node_id, row_number() over (order by depth, node_id) as number from placed)
        update policy.node set number = numbered.number from numbered where numbered.node_id = node.node_id
    """)
    op.execute("alter table policy.node alter column number set not null")
    op.execute("alter table policy.node alter column number add generated always as identity")
    op.execute("""
        select setval(pg_get_serial_sequence('policy.node', 'number'), coalesce(max(number), 0) + 1, false)
        from policy.node
    """)
    op.execute("create unique index node_edition on policy.node (edition, number)")
    op.execute('create table policy.removed_node (node_id text collate "C" not null, edition bigint not null)')
    op.execute("create index removed_node_edition on policy.removed_node (edition)")
    op.execute("""
        create trigger node_edition before insert on policy.node
        for each row execute function policy.mark_edition()
    """)
    # The edition before the row: whoever adds children locks in this order, too.
    op.execute("""
        create trigger node_removing before delete on policy.node
        for each statement execute function policy.take_edition()
    """)
    op.execute("""
        create trigger node_removed after delete on policy.node
        for each row execute function policy.keep_removed()
    """)

    op.execute("alter table policy.activation add column edition bigint not null default 0")
    op.execute("create index activation_edition on policy.activation (edition)")
    op.execute("""
        create trigger activation_edition before insert or update of revoked_time on policy.activation
        for each row execute function policy.mark_edition()
    """)

    op.execute("""
        alter table policy.change
            add column rollout jsonb,
            add column approvals jsonb not null default '[]',
            add column account_count integer check (account_count >= 0),
            drop constraint change_decided_check,
            add constraint change_decided_known check (decided in (
                'draft', 'submitted', 'approved', 'rejected', 'withdrawn', 'rolling_out', 'rolled_back'
            )),
            add constraint change_decided_by check (
                decided not in ('approved', 'rejected', 'rolling_out', 'rolled_back')
                or (approver is not null and decided_time is not null)
            ),
            add constraint change_rollout_planned check (
                decided not in ('rolling_out', 'rolled_back') or rollout is not null
            ),
            add constraint change_approvals_by_others check (
                not approvals @> jsonb_build_array(jsonb_build_object('approver', author))
            )
    """)
    op.execute("""
        create table policy.rollout (
            change_id text collate "C" primary key references policy.change,
            number bigint generated always as identity unique,
            node_id text collate "C" not null references policy.node,
            version_id text collate "C" not null references policy.version,
            open boolean not null,
            edition bigint not null,
            foreign key (change_id, version_id) references policy.change (change_id, version_id)
        )
    """)
    op.execute("create unique index rollout_one_open on policy.rollout (node_id) where open")
    op.execute("create index rollout_edition on policy.rollout (edition)")
    op.execute("create index rollout_node on policy.rollout (node_id, number)")
    op.execute("""
        create table policy.rollout_step (
            change_id text collate "C" not null references policy.rollout,
            sequence integer not null check (sequence > 0),
            stage text not null check (stage in ('shadow', 'canary', 'all', 'rolled_back')),
            effective_time timestamptz not null,
            recorded_time timestamptz not null,
            actor text not null,
            reason text not null,
            primary key (change_id, sequence)
        )
    """)
    op.execute("""
        create table policy.rollout_comparison (
            change_id text collate "C" not null references policy.rollout,
            run_id text collate "C" not null,
            account_id text collate "C" not null,
            number bigint generated always as identity unique,
            tax_bps numeric not null,
            cost_bps numeric not null,
            drift_bps numeric not null,
            turnover_bps numeric not null,
            failed boolean not null,
            primary key (change_id, run_id, account_id)
        )
    """)
    op.execute("create index rollout_comparison_newest on policy.rollout_comparison (change_id, number)")
    op.execute("""
        create table policy.stop (
            stop_id text collate "C" primary key,
            number bigint generated always as identity unique,
            node_id text collate "C" not null references policy.node,
            version_id text collate "C" not null unique check (version_id like 'sha256:%'),
            document text not null,
            reason text not null,
            actor text not null,
            effective_time timestamptz not null,
            recorded_time timestamptz not null,
            lifter text,
            lift_reason text not null,
            lift_time timestamptz,
            lift_recorded_time timestamptz,
            edition bigint not null,
            check (lifter <> actor),
            check ((lifter is null) = (lift_time is null)),
            check ((lifter is null) = (lift_recorded_time is null)),
            check (lift_time >= effective_time)
        )
    """)
    op.execute("create index stop_node on policy.stop (node_id, number)")
    op.execute("create index stop_edition on policy.stop (edition)")
    for table in ("rollout", "stop"):
        op.execute(f"""
            create trigger {table}_edition before insert or update on policy.{table}
            for each row execute function policy.mark_edition()
        """)
    for table, frozen in (
        ("rollout_step", "update or delete"),
        ("rollout_comparison", "update or delete"),
        ("rollout", "delete or update of change_id, node_id, version_id"),
        ("stop", "delete or update of node_id, version_id, document, reason, actor, effective_time, recorded_time"),
    ):
        op.execute(f"""
            create trigger {table}_is_history before {frozen} on policy.{table}
            for each row execute function policy.refuse()
        """)

    # A notice may be about a stop, which is no version and came by no change.
    op.execute("""
        alter table policy.notice
            drop constraint notice_kind_check,
            add constraint notice_kind_known check (kind in (
                'scheduled', 'activated', 'withdrawn', 'shadowed', 'canaried', 'rolled_back', 'stopped', 'lifted'
            )),
            drop constraint notice_version_id_fkey,
            drop constraint notice_change_id_fkey
    """)
