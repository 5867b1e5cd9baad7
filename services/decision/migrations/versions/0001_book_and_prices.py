"""Book, market data, and what every service keeps: outbox and answers to request ids."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SCHEMA = "decision"


def upgrade() -> None:
    _shared()
    _book()
    _bookings()
    _prices()


def _shared() -> None:
    op.create_table(
        "outbox",
        sa.Column("event_id", sa.Uuid(as_uuid=True), primary_key=True),
        sa.Column("seq", sa.BigInteger, sa.Identity(always=True), nullable=False, unique=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("subjects", pg.JSONB, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("occurred_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("trace_parent", sa.Text),
        sa.Column("audit_index", sa.BigInteger),
        sa.Column("shipped_time", sa.DateTime(timezone=True)),
        schema=SCHEMA,
    )
    op.create_index(
        "outbox_waiting", "outbox", ["seq"], schema=SCHEMA, postgresql_where=sa.text("shipped_time IS NULL")
    )
    op.create_table(
        "request_answer",
        sa.Column("request_id", sa.Text, primary_key=True),
        sa.Column("method", sa.Text, nullable=False),
        sa.Column("caller", sa.Text, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("answer", sa.LargeBinary, nullable=False),
        sa.Column("recorded_time", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        schema=SCHEMA,
    )


def _account_columns() -> list[sa.Column[object]]:
    """Return the columns that an account has in a snapshot and in the book alike."""
    return [
        sa.Column("household_id", sa.Text),
        sa.Column("custodian", sa.Text, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("tax_wrapper", sa.Text, nullable=False),
        sa.Column("cash", sa.Numeric, nullable=False),
        sa.Column("reserved_cash", sa.Numeric, nullable=False),
        sa.Column("short_term_gain", sa.Numeric, nullable=False),
        sa.Column("long_term_gain", sa.Numeric, nullable=False),
        sa.Column("position_instruments", pg.ARRAY(sa.Text), nullable=False),
        sa.Column("position_holdings", pg.ARRAY(sa.Text), nullable=False),
        sa.Column("position_quantities", pg.ARRAY(sa.Numeric), nullable=False),
        sa.Column("lot_positions", pg.ARRAY(sa.Integer), nullable=False),
        sa.Column("lot_ids", pg.ARRAY(sa.Text), nullable=False),
        sa.Column("lot_acquired_dates", pg.ARRAY(sa.Date), nullable=False),
        sa.Column("lot_quantities", pg.ARRAY(sa.Numeric), nullable=False),
        sa.Column("lot_bases", pg.ARRAY(sa.Numeric), nullable=False),
    ]


def _instrument_columns() -> list[sa.Column[object]]:
    """Return the columns that an instrument has in a snapshot and in the book alike."""
    return [
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("asset_class", sa.Text, nullable=False),
        sa.Column("issuer", sa.Text, nullable=False),
        sa.Column("quantity_increment", sa.Numeric, nullable=False),
        sa.Column("identity_set", sa.Text, nullable=False),
        sa.Column("tradable", sa.Boolean, nullable=False),
    ]


def _book() -> None:
    op.create_table(
        "snapshot",
        sa.Column("snapshot_id", sa.Text, primary_key=True),
        sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), nullable=False, unique=True),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("as_of_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("content_hash", sa.Text, nullable=False),
        sa.Column("account_count", sa.Integer, nullable=False),
        sa.Column("position_count", sa.Integer, nullable=False),
        sa.Column("lot_count", sa.Integer, nullable=False),
        sa.Column("record_time", sa.DateTime(timezone=True), nullable=False),
        schema=SCHEMA,
    )
    op.create_table(
        "snapshot_instrument",
        sa.Column("snapshot_id", sa.Text, sa.ForeignKey(f"{SCHEMA}.snapshot.snapshot_id"), primary_key=True),
        sa.Column("instrument_id", sa.Text, primary_key=True),
        *_instrument_columns(),
        schema=SCHEMA,
    )
    op.create_table(
        "snapshot_account",
        sa.Column("snapshot_id", sa.Text, sa.ForeignKey(f"{SCHEMA}.snapshot.snapshot_id"), primary_key=True),
        sa.Column("account_id", sa.Text, primary_key=True),
        *_account_columns(),
        schema=SCHEMA,
    )
    op.create_table(
        "instrument",
        sa.Column("instrument_id", sa.Text, primary_key=True),
        *_instrument_columns(),
        sa.Column("as_of_time", sa.DateTime(timezone=True), nullable=False),
        schema=SCHEMA,
    )
    op.create_table(
        "account",
        sa.Column("account_id", sa.Text, primary_key=True),
        *_account_columns(),
        sa.Column("gain_year", sa.Integer, nullable=False),
        sa.Column("snapshot_id", sa.Text, sa.ForeignKey(f"{SCHEMA}.snapshot.snapshot_id"), nullable=False),
        sa.Column("as_of_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("opening_position", sa.BigInteger, nullable=False),
        sa.Column("booked_position", sa.BigInteger, nullable=False),
        sa.Column("last_trade_date", sa.Date),
        schema=SCHEMA,
    )
    op.create_index("account_household", "account", ["household_id", "account_id"], schema=SCHEMA)


def _bookings() -> None:
    op.create_table(
        "execution_stream",
        # One row: how far execution's stream is booked.
        sa.Column("stream", sa.Text, primary_key=True),
        sa.Column("position", sa.BigInteger, nullable=False),
        schema=SCHEMA,
    )
    op.execute("INSERT INTO decision.execution_stream (stream, position) VALUES ('plan_reports', 0)")
    op.create_table(
        "booking",
        # In execution's stream; each is booked once.
        sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("account_id", sa.Text, sa.ForeignKey(f"{SCHEMA}.account.account_id"), nullable=False),
        sa.Column("plan_id", sa.Text, nullable=False),
        sa.Column("order_id", sa.Text, nullable=False),
        sa.Column("block_id", sa.Text, nullable=False),
        sa.Column("instrument_id", sa.Text, nullable=False),
        sa.Column("side", sa.Text, nullable=False),
        sa.Column("quantity", sa.Numeric, sa.CheckConstraint("quantity > 0"), nullable=False),
        sa.Column("price", sa.Numeric, nullable=False),
        sa.Column("value", sa.Numeric, nullable=False),
        sa.Column("fees", sa.Numeric, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("trade_date", sa.Date, nullable=False),
        sa.Column("settlement_date", sa.Date, nullable=False),
        sa.Column("bought_lot_id", sa.Text),
        sa.Column("sold_lot_ids", pg.ARRAY(sa.Text), nullable=False),
        sa.Column("sold_acquired_dates", pg.ARRAY(sa.Date), nullable=False),
        sa.Column("sold_quantities", pg.ARRAY(sa.Numeric), nullable=False),
        sa.Column("sold_proceeds", pg.ARRAY(sa.Numeric), nullable=False),
        sa.Column("sold_bases", pg.ARRAY(sa.Numeric), nullable=False),
        sa.Column("sold_characters", pg.ARRAY(sa.Text), nullable=False),
        sa.Column("realized_gain", sa.Numeric, nullable=False),
        sa.Column("uncovered_quantity", sa.Numeric, nullable=False),
        sa.Column("record_time", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        schema=SCHEMA,
    )
    op.create_index("booking_account", "booking", ["account_id", "trade_date"], schema=SCHEMA)
    op.create_index("booking_plan", "booking", ["plan_id", "instrument_id"], schema=SCHEMA)


def _prices() -> None:
    op.create_table(
        "price_set",
        sa.Column("price_set_id", sa.Text, primary_key=True),
        sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), nullable=False, unique=True),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("as_of_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("content_hash", sa.Text, nullable=False),
        sa.Column("record_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("instrument_ids", pg.ARRAY(sa.Text), nullable=False),
        sa.Column("prices", pg.ARRAY(sa.Numeric), nullable=False),
        sa.Column("bids", pg.ARRAY(sa.Numeric)),
        sa.Column("asks", pg.ARRAY(sa.Numeric)),
        sa.Column("average_daily_volumes", pg.ARRAY(sa.Numeric)),
        schema=SCHEMA,
    )
    op.create_index("price_set_newest", "price_set", ["as_of_time", "sequence"], schema=SCHEMA)
    op.create_table(
        "price_history",
        sa.Column("price_history_id", sa.Text, primary_key=True),
        sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), nullable=False, unique=True),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("as_of_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("content_hash", sa.Text, nullable=False),
        sa.Column("record_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("instrument_ids", pg.ARRAY(sa.Text), nullable=False),
        sa.Column("dates", pg.ARRAY(sa.Date), nullable=False),
        sa.Column("scale", sa.Integer, nullable=False),
        # Signed 64-bit integers, little-endian: the first instrument's for all dates, then the second's.
        sa.Column("closes", sa.LargeBinary, nullable=False),
        schema=SCHEMA,
    )
    op.create_index("price_history_newest", "price_history", ["as_of_time", "sequence"], schema=SCHEMA)
