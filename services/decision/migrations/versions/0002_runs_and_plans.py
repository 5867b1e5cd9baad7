"""Runs, their shards, plans and what they rest on, and submissions to execution."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE TABLE decision.content (content_hash text PRIMARY KEY, body bytea NOT NULL)")
    _runs()
    _plans()


def _runs() -> None:
    op.execute("""
        CREATE TABLE decision.run (
            run_id text PRIMARY KEY,
            sequence bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
            state text NOT NULL CHECK (state IN ('DECIDING', 'EXECUTING', 'DONE', 'CANCELED')),
            actor text NOT NULL,
            start_time timestamptz NOT NULL,
            end_time timestamptz CHECK ((end_time IS NOT NULL) = (state IN ('DONE', 'CANCELED'))),
            as_of_time timestamptz NOT NULL,
            snapshot_id text NOT NULL,
            price_set_id text NOT NULL,
            price_history_id text NOT NULL,
            engine text NOT NULL,
            currency text NOT NULL,
            dry_run boolean NOT NULL,
            account_count integer NOT NULL CHECK (account_count > 0),
            trace_parent text,
            note text NOT NULL DEFAULT '',
            pin_attempts integer NOT NULL DEFAULT 0,
            pin_after_time timestamptz,
            pinned_time timestamptz,
            decided_time timestamptz,
            instruments_hash text,
            risk_model_hash text
        )
    """)
    op.execute("""
        CREATE INDEX run_unfinished ON decision.run (state, sequence) WHERE state IN ('DECIDING', 'EXECUTING')
    """)
    op.execute("""
        CREATE INDEX run_risk_model ON decision.run (price_history_id, engine) WHERE risk_model_hash IS NOT NULL
    """)
    op.execute("""
        CREATE TABLE decision.run_account (
            run_id text NOT NULL REFERENCES decision.run,
            account_id text NOT NULL,
            shard_number integer NOT NULL,
            policy_hash text,
            PRIMARY KEY (run_id, account_id)
        )
    """)
    op.execute("CREATE INDEX run_account_shard ON decision.run_account (run_id, shard_number)")
    op.execute("""
        CREATE TABLE decision.run_policy (
            run_id text NOT NULL REFERENCES decision.run,
            policy_hash text NOT NULL,
            version_hashes text[] NOT NULL,
            PRIMARY KEY (run_id, policy_hash)
        )
    """)
    op.execute("""
        CREATE TABLE decision.run_shard (
            run_id text NOT NULL REFERENCES decision.run,
            number integer NOT NULL,
            attempt integer NOT NULL DEFAULT 0,
            lease_time timestamptz,
            done_time timestamptz,
            account_count integer NOT NULL,
            outcome_counts jsonb CHECK ((outcome_counts IS NULL) = (done_time IS NULL)),
            value numeric,
            drift_before_value numeric,
            drift_after_value numeric,
            turnover numeric,
            trading_cost numeric,
            tax numeric,
            tax_saved numeric,
            realized_gain numeric,
            gap_max_bps numeric,
            PRIMARY KEY (run_id, number)
        )
    """)
    op.execute("CREATE INDEX run_shard_open ON decision.run_shard (run_id, number) WHERE done_time IS NULL")


def _plans() -> None:
    op.execute("""
        CREATE TABLE decision.submission (
            submission_id text PRIMARY KEY,
            run_id text NOT NULL REFERENCES decision.run,
            create_time timestamptz NOT NULL,
            attempts integer NOT NULL DEFAULT 0,
            next_time timestamptz NOT NULL,
            acknowledge_time timestamptz
        )
    """)
    op.execute("CREATE INDEX submission_open ON decision.submission (next_time) WHERE acknowledge_time IS NULL")
    op.execute("""
        CREATE TABLE decision.plan (
            plan_id text PRIMARY KEY,
            run_id text NOT NULL REFERENCES decision.run,
            account_id text NOT NULL,
            state text NOT NULL CHECK (state IN
                ('HELD', 'APPROVED', 'WORKING', 'DONE', 'WITHDRAWN', 'EXPIRED', 'REFUSED', 'IDLE')),
            outcome text NOT NULL CHECK (outcome IN ('TRADE', 'NO_TRADE', 'INFEASIBLE', 'UNSOLVED', 'FAILED')),
            inputs bytea NOT NULL,
            content bytea NOT NULL,
            outline bytea NOT NULL,
            plan_hash text NOT NULL,
            review_reasons text[] NOT NULL,
            approver text NOT NULL DEFAULT '',
            refusal text NOT NULL DEFAULT '',
            as_of_time timestamptz NOT NULL,
            create_time timestamptz NOT NULL,
            expire_time timestamptz NOT NULL,
            update_time timestamptz NOT NULL,
            open_orders integer NOT NULL CHECK (open_orders >= 0),
            submission_id text REFERENCES decision.submission,
            payload bytea,
            signature bytea,
            key_id text,
            UNIQUE (run_id, account_id),
            -- Nothing is worked that nobody approved or nobody sent, and only trades are.
            CHECK (state NOT IN ('APPROVED', 'WORKING', 'DONE') OR (approver <> '' AND outcome = 'TRADE')),
            CHECK (state NOT IN ('WORKING', 'DONE', 'REFUSED') OR submission_id IS NOT NULL),
            CHECK ((submission_id IS NULL) = (payload IS NULL)
                   AND (payload IS NULL) = (signature IS NULL) AND (signature IS NULL) = (key_id IS NULL))
        )
    """)
    # An account has at most one plan that is not final.
    op.execute("""
        CREATE UNIQUE INDEX plan_live ON decision.plan (account_id) WHERE state IN ('HELD', 'APPROVED', 'WORKING')
    """)
    op.execute("CREATE INDEX plan_run_state ON decision.plan (run_id, state)")
    op.execute("CREATE INDEX plan_run ON decision.plan (run_id, plan_id)")
    op.execute("CREATE INDEX plan_account ON decision.plan (account_id, as_of_time)")
    op.execute("CREATE INDEX plan_submission ON decision.plan (submission_id)")
    op.execute("CREATE INDEX plan_waiting ON decision.plan (expire_time) WHERE state IN ('HELD', 'APPROVED')")
    op.execute("""
        CREATE TABLE decision.closed_order (
            order_id text PRIMARY KEY,
            plan_id text NOT NULL REFERENCES decision.plan,
            state text NOT NULL,
            filled_quantity numeric NOT NULL,
            close_reason text NOT NULL,
            record_time timestamptz NOT NULL
        )
    """)
