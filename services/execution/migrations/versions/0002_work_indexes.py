"""What workers look for all the time is little; what there is, is much."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the indexes."""
    op.execute("""
        CREATE INDEX account_order_ready ON execution.account_order (create_time, order_id)
        WHERE released > placed AND close_reason = ''
    """)
    op.execute("""
        CREATE INDEX account_order_short ON execution.account_order (plan_id)
        WHERE side = 'BUY' AND quantity > released AND close_reason = ''
    """)
    op.execute("""
        CREATE INDEX account_order_expiring ON execution.account_order (expire_time)
        WHERE quantity > placed AND close_reason = ''
    """)
