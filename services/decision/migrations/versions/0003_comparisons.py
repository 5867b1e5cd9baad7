"""Accounts that are decided under two policies, because one is being rolled out."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE decision.comparison (
            run_id text NOT NULL REFERENCES decision.run,
            account_id text NOT NULL,
            number bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
            change_id text NOT NULL,
            candidate_hash text NOT NULL,
            incumbent_hash text NOT NULL,
            decide_time timestamptz,
            candidate_in_force boolean,
            candidate_outcome text,
            incumbent_outcome text,
            candidate_tax_bps numeric,
            candidate_cost_bps numeric,
            candidate_drift_bps numeric,
            candidate_turnover_bps numeric,
            incumbent_tax_bps numeric,
            incumbent_cost_bps numeric,
            incumbent_drift_bps numeric,
            incumbent_turnover_bps numeric,
            report_time timestamptz,
            PRIMARY KEY (run_id, account_id),
            CHECK (candidate_hash <> incumbent_hash),
            CHECK ((decide_time IS NULL) = (candidate_in_force IS NULL)),
            CHECK (report_time IS NULL OR decide_time IS NOT NULL)
        )
    """)
    op.execute("CREATE INDEX comparison_change ON decision.comparison (change_id, number)")
    op.execute("""
        CREATE INDEX comparison_unreported ON decision.comparison (number)
        WHERE decide_time IS NOT NULL AND report_time IS NULL
    """)
