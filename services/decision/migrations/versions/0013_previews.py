"""What kept previews said, so that their errors can be stated."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE decision.preview (
            preview_id text PRIMARY KEY,
            number bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
            account_id text NOT NULL,
            name text NOT NULL,
            currency text NOT NULL,
            create_time timestamptz NOT NULL,
            turnover numeric NOT NULL,
            trading_cost numeric NOT NULL,
            tax numeric NOT NULL,
            drift_after numeric NOT NULL,
            tracking_error_after numeric NOT NULL,
            inputs jsonb NOT NULL
        )
    """)
    op.execute("CREATE INDEX preview_account ON decision.preview (account_id, number)")
