"""Why nothing is traded, to be asked for; and plans that end because their account's book was replaced."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE decision.plan ADD COLUMN no_trade_reason text NOT NULL DEFAULT ''")
    # Plans of builds that did not say: what their outcome alone tells.
    op.execute("""
        UPDATE decision.plan SET no_trade_reason = outcome WHERE outcome IN ('INFEASIBLE', 'UNSOLVED', 'FAILED')
    """)
    op.execute("CREATE INDEX plan_no_trade ON decision.plan (no_trade_reason, plan_id) WHERE no_trade_reason <> ''")
    op.execute("ALTER TABLE decision.plan DROP CONSTRAINT plan_state_check")
    op.execute("""
        ALTER TABLE decision.plan ADD CONSTRAINT plan_state_check CHECK (state IN
            ('HELD', 'APPROVED', 'WORKING', 'DONE', 'WITHDRAWN', 'EXPIRED', 'SUPERSEDED', 'REFUSED', 'IDLE'))
    """)
