"""Plans, orders, blocks, what venues report and who got what; the sandbox venue's own record; outbox and answers."""

from alembic import op
from sqlalchemy import MetaData

from services.runtime.outbox.table import outbox_table
from services.runtime.requests import request_answer_table

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TERMS = """
            instrument_id text COLLATE "C" NOT NULL,
            side text NOT NULL CHECK (side IN ('BUY', 'SELL')),
            venue_id text NOT NULL,
            order_type text NOT NULL,
            limit_price numeric CHECK (limit_price > 0),
            time_in_force text NOT NULL,
            currency text NOT NULL,
            custodian text NOT NULL,
            increment numeric NOT NULL CHECK (increment > 0),
            CHECK ((order_type = 'LIMIT') = (limit_price IS NOT NULL)),
"""


def upgrade() -> None:
    """Make the tables."""
    _checks()
    _orders()
    _blocks()
    _sandbox()
    metadata = MetaData(schema="execution")
    outbox_table(metadata)
    request_answer_table(metadata)
    metadata.create_all(op.get_bind())


def _checks() -> None:
    op.execute("""
        CREATE TABLE execution.plan (
            plan_id text COLLATE "C" PRIMARY KEY,
            payload bytea NOT NULL,
            payload_hash text NOT NULL,
            key_id text NOT NULL,
            signature bytea NOT NULL,
            run_id text COLLATE "C" NOT NULL,
            account_id text COLLATE "C" NOT NULL,
            available_cash numeric NOT NULL,
            currency text NOT NULL,
            accepted boolean NOT NULL,
            refusals jsonb NOT NULL,
            trace_parent text,
            submit_time timestamptz NOT NULL
        )
    """)
    op.execute("""
        CREATE TABLE execution.day_usage (
            trade_date date NOT NULL,
            kind text NOT NULL,
            subject_id text COLLATE "C" NOT NULL,
            orders bigint NOT NULL CHECK (orders >= 0),
            amount numeric NOT NULL CHECK (amount >= 0),
            PRIMARY KEY (trade_date, kind, subject_id)
        )
    """)
    op.execute("""
        CREATE TABLE execution.reference_price (
            instrument_id text COLLATE "C" PRIMARY KEY,
            price numeric NOT NULL CHECK (price > 0),
            currency text NOT NULL,
            as_of_time timestamptz NOT NULL,
            source text NOT NULL
        )
    """)
    op.execute("""
        CREATE TABLE execution.halt (
            kind text NOT NULL,
            subject_id text COLLATE "C" NOT NULL,
            state text NOT NULL CHECK (state IN ('REDUCING', 'HALTED')),
            halted_by text NOT NULL,
            halt_time timestamptz NOT NULL,
            why text NOT NULL,
            PRIMARY KEY (kind, subject_id)
        )
    """)


def _orders() -> None:
    # The quantities are a chain that no code may break: what was got was in blocks, what is in blocks was released.
    op.execute(f"""
        CREATE TABLE execution.account_order (
            order_id text COLLATE "C" PRIMARY KEY,
            plan_id text COLLATE "C" NOT NULL REFERENCES execution.plan,
            run_id text COLLATE "C" NOT NULL,
            account_id text COLLATE "C" NOT NULL,
            {_TERMS}
            may_aggregate boolean NOT NULL,
            quantity numeric NOT NULL CHECK (quantity > 0),
            rank integer NOT NULL,
            decision_price numeric NOT NULL,
            predicted_cost numeric NOT NULL,
            unit_cost_max numeric NOT NULL,
            expire_time timestamptz NOT NULL,
            create_time timestamptz NOT NULL,
            update_time timestamptz NOT NULL,
            trace_parent text,
            state text NOT NULL,
            released numeric NOT NULL,
            placed numeric NOT NULL,
            ended numeric NOT NULL,
            filled numeric NOT NULL,
            filled_amount numeric NOT NULL CHECK (filled_amount >= 0),
            fees numeric NOT NULL CHECK (fees >= 0),
            settling_amount numeric NOT NULL CHECK (settling_amount >= 0),
            arrival_amount numeric NOT NULL,
            final_price numeric,
            close_reason text NOT NULL,
            block_id text COLLATE "C",
            CHECK (0 <= filled AND filled <= ended AND ended <= placed AND placed <= released AND released <= quantity)
        )
    """)
    op.execute("CREATE INDEX account_order_plan ON execution.account_order (plan_id, order_id)")
    op.execute("CREATE INDEX account_order_account ON execution.account_order (account_id, order_id)")
    op.execute("CREATE INDEX account_order_run ON execution.account_order (run_id, order_id)")
    op.execute("""
        CREATE INDEX account_order_open ON execution.account_order (state, create_time, order_id)
        WHERE state IN ('WAITING', 'READY', 'WORKING')
    """)
    op.execute("""
        CREATE TABLE execution.carry (
            account_id text COLLATE "C" PRIMARY KEY,
            carry bigint NOT NULL
        )
    """)


def _blocks() -> None:
    op.execute(f"""
        CREATE TABLE execution.block (
            block_id text COLLATE "C" PRIMARY KEY,
            client_order_id text COLLATE "C" NOT NULL UNIQUE,
            {_TERMS}
            quantity numeric NOT NULL CHECK (quantity > 0),
            order_count integer NOT NULL CHECK (order_count > 0),
            trade_date date NOT NULL,
            arrival_price numeric NOT NULL,
            expire_time timestamptz NOT NULL,
            create_time timestamptz NOT NULL,
            update_time timestamptz NOT NULL,
            trace_parents jsonb NOT NULL,
            ours text NOT NULL,
            attempt text NOT NULL,
            reject_reason text NOT NULL,
            cancel_reason text NOT NULL,
            cancel_sent boolean NOT NULL,
            allocated boolean NOT NULL,
            state text NOT NULL,
            filled_quantity numeric NOT NULL,
            average_price numeric,
            fees numeric NOT NULL
        )
    """)
    op.execute("CREATE INDEX block_unfinished ON execution.block (venue_id, ours) WHERE NOT allocated")
    # How a block's fills are shared: fixed with the block, before it is sent.
    op.execute("""
        CREATE TABLE execution.block_share (
            block_id text COLLATE "C" NOT NULL REFERENCES execution.block,
            order_id text COLLATE "C" NOT NULL REFERENCES execution.account_order,
            account_id text COLLATE "C" NOT NULL,
            ordered bigint NOT NULL CHECK (ordered > 0),
            carry bigint NOT NULL,
            PRIMARY KEY (block_id, order_id)
        )
    """)
    op.execute("CREATE INDEX block_share_order ON execution.block_share (order_id, block_id)")
    op.execute("CREATE INDEX block_share_account ON execution.block_share (account_id, block_id)")
    op.execute("""
        CREATE TABLE execution.venue_report (
            venue_id text NOT NULL,
            report_id text COLLATE "C" NOT NULL,
            position bigint NOT NULL,
            client_order_id text COLLATE "C" NOT NULL,
            block_id text COLLATE "C" REFERENCES execution.block,
            kind text NOT NULL,
            content jsonb NOT NULL,
            report_time timestamptz NOT NULL,
            seq bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
            PRIMARY KEY (venue_id, report_id)
        )
    """)
    op.execute("CREATE INDEX venue_report_block ON execution.venue_report (block_id, seq)")
    op.execute("""
        CREATE TABLE execution.venue_cursor (
            venue_id text PRIMARY KEY,
            position bigint NOT NULL CHECK (position >= 0)
        )
    """)
    op.execute("""
        CREATE TABLE execution.allocation (
            block_id text COLLATE "C" NOT NULL REFERENCES execution.block,
            order_id text COLLATE "C" NOT NULL REFERENCES execution.account_order,
            account_id text COLLATE "C" NOT NULL,
            plan_id text COLLATE "C" NOT NULL,
            quantity numeric NOT NULL CHECK (quantity > 0),
            price numeric NOT NULL,
            amount numeric NOT NULL,
            fees numeric NOT NULL,
            trade_date date NOT NULL,
            settlement_date date NOT NULL,
            create_time timestamptz NOT NULL,
            PRIMARY KEY (block_id, order_id)
        )
    """)
    # Positions are given by one writer at a time, so they have no gaps and follow the order of commits.
    op.execute("""
        CREATE TABLE execution.plan_report (
            position bigint PRIMARY KEY CHECK (position > 0),
            plan_id text COLLATE "C" NOT NULL,
            account_id text COLLATE "C" NOT NULL,
            trace_parent text,
            order_id text COLLATE "C" NOT NULL REFERENCES execution.account_order,
            block_id text COLLATE "C",
            UNIQUE (order_id, block_id)
        )
    """)
    op.execute("""
        CREATE UNIQUE INDEX plan_report_closed_once ON execution.plan_report (order_id) WHERE block_id IS NULL
    """)


def _sandbox() -> None:
    op.execute("""
        CREATE TABLE execution.sandbox_market (
            one boolean PRIMARY KEY DEFAULT true CHECK (one),
            currency text NOT NULL,
            spread_bps numeric NOT NULL,
            fee_bps numeric NOT NULL,
            seed numeric NOT NULL,
            fill_share_max numeric NOT NULL,
            market_time timestamptz NOT NULL
        )
    """)
    op.execute("""
        CREATE TABLE execution.sandbox_price (
            instrument_id text COLLATE "C" PRIMARY KEY,
            price numeric NOT NULL CHECK (price > 0)
        )
    """)
    op.execute("""
        CREATE TABLE execution.sandbox_order (
            client_order_id text COLLATE "C" PRIMARY KEY,
            instrument_id text COLLATE "C" NOT NULL,
            side text NOT NULL,
            quantity numeric NOT NULL,
            increment numeric NOT NULL,
            order_type text NOT NULL,
            limit_price numeric,
            time_in_force text NOT NULL,
            currency text NOT NULL,
            arrival_time timestamptz NOT NULL,
            due_time timestamptz NOT NULL,
            filled_quantity numeric NOT NULL CHECK (filled_quantity <= quantity),
            gross_amount numeric NOT NULL,
            fees numeric NOT NULL,
            executions integer NOT NULL,
            open boolean NOT NULL
        )
    """)
    op.execute("CREATE INDEX sandbox_order_open ON execution.sandbox_order (client_order_id) WHERE open")
    op.execute("""
        CREATE TABLE execution.sandbox_report (
            position bigint PRIMARY KEY CHECK (position > 0),
            report_id text COLLATE "C" NOT NULL UNIQUE,
            client_order_id text COLLATE "C" NOT NULL,
            kind text NOT NULL,
            content jsonb NOT NULL,
            report_time timestamptz NOT NULL
        )
    """)
