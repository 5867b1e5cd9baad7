"""Tables of the book. An account is one row, read whole and written whole: its positions and lots are columns in it.

So a thousand accounts are a thousand rows, not a hundred thousand. Row `r` of the position columns is one position;
lots name theirs by that row, from 0.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Numeric,
    Table,
    Text,
    func,
)
from sqlalchemy.dialects.postgresql import ARRAY

from services.decision.tables.metadata import metadata

# The one row of `execution_stream`.
PLAN_REPORTS = "plan_reports"


def _account_columns() -> list[Column[object]]:
    return [
        Column("household_id", Text),
        Column("custodian", Text, nullable=False),
        Column("currency", Text, nullable=False),
        Column("tax_wrapper", Text, nullable=False),
        Column("cash", Numeric, nullable=False),
        Column("reserved_cash", Numeric, nullable=False),
        Column("short_term_gain", Numeric, nullable=False),
        Column("long_term_gain", Numeric, nullable=False),
        # What of both is on shares.
        Column("share_gain", Numeric, nullable=False, server_default="0"),
        Column("position_instruments", ARRAY(Text), nullable=False),
        Column("position_holdings", ARRAY(Text), nullable=False),
        Column("position_quantities", ARRAY(Numeric), nullable=False),
        Column("lot_positions", ARRAY(Integer), nullable=False),
        Column("lot_ids", ARRAY(Text), nullable=False),
        Column("lot_acquired_dates", ARRAY(Date), nullable=False),
        Column("lot_quantities", ARRAY(Numeric), nullable=False),
        Column("lot_bases", ARRAY(Numeric), nullable=False),
    ]


def _instrument_columns() -> list[Column[object]]:
    return [
        Column("currency", Text, nullable=False),
        Column("asset_class", Text, nullable=False),
        Column("issuer", Text, nullable=False),
        Column("quantity_increment", Numeric, nullable=False),
        Column("identity_set", Text, nullable=False),
        Column("tradable", Boolean, nullable=False),
        Column("asset_kind", Text, nullable=False, server_default="OTHER"),
        # JSON of a list, by year.
        Column("fund_years", Text, nullable=False, server_default="[]"),
    ]


snapshot = Table(
    "snapshot",
    metadata,
    Column("snapshot_id", Text, primary_key=True),
    # Newest is the one recorded last.
    Column("sequence", BigInteger, Identity(always=True), nullable=False, unique=True),
    Column("source", Text, nullable=False),
    Column("as_of_time", DateTime(timezone=True), nullable=False),
    Column("content_hash", Text, nullable=False),
    Column("account_count", Integer, nullable=False),
    Column("position_count", Integer, nullable=False),
    Column("lot_count", Integer, nullable=False),
    Column("record_time", DateTime(timezone=True), nullable=False),
)

snapshot_instrument = Table(
    "snapshot_instrument",
    metadata,
    Column("snapshot_id", Text, ForeignKey(snapshot.c.snapshot_id), primary_key=True),
    Column("instrument_id", Text, primary_key=True),
    *_instrument_columns(),
)

# What a snapshot said of an account. Never changes.
snapshot_account = Table(
    "snapshot_account",
    metadata,
    Column("snapshot_id", Text, ForeignKey(snapshot.c.snapshot_id), primary_key=True),
    Column("account_id", Text, primary_key=True),
    *_account_columns(),
)

# As the snapshot that is true of the latest instant says.
instrument = Table(
    "instrument",
    metadata,
    Column("instrument_id", Text, primary_key=True),
    *_instrument_columns(),
    Column("as_of_time", DateTime(timezone=True), nullable=False),
)

# The public names of instruments, as the snapshot of the latest instant that says any.
instrument_identification = Table(
    "instrument_identification",
    metadata,
    Column("instrument_id", Text, primary_key=True),
    Column("isin", Text, nullable=False),
    Column("cfi", Text, nullable=False),
    Column("full_name", Text, nullable=False),
    Column("as_of_time", DateTime(timezone=True), nullable=False),
)

# The book as it is now: the account's snapshot, and what was booked since.
account = Table(
    "account",
    metadata,
    Column("account_id", Text, primary_key=True),
    *_account_columns(),
    # Of `short_term_gain` and `long_term_gain`: the calendar year of the last day on which something was realized.
    Column("gain_year", Integer, nullable=False),
    # What was realized, by day; of a row that was written before there was any, the gains of its year are not among it.
    Column("gain_dates", ARRAY(Date), nullable=False, server_default="{}"),
    Column("gain_shorts", ARRAY(Numeric), nullable=False, server_default="{}"),
    Column("gain_longs", ARRAY(Numeric), nullable=False, server_default="{}"),
    Column("gain_shares", ARRAY(Numeric), nullable=False, server_default="{}"),
    # What of it Germany exempts, of those days that have any.
    Column("exempt_dates", ARRAY(Date), nullable=False, server_default="{}"),
    Column("exempt_gains", ARRAY(Numeric), nullable=False, server_default="{}"),
    Column("snapshot_id", Text, ForeignKey(snapshot.c.snapshot_id), nullable=False),
    Column("as_of_time", DateTime(timezone=True), nullable=False),
    Column("opening_position", BigInteger, nullable=False),
    Column("booked_position", BigInteger, nullable=False),
    Column("last_trade_date", Date),
    # Unused losses of earlier years by the tax ledger, 0 or more, and the tax year into which they are brought.
    Column("carried_year", Integer),
    Column("carried_short", Numeric, nullable=False, server_default="0"),
    Column("carried_long", Numeric, nullable=False, server_default="0"),
    Index("account_household", "household_id", "account_id"),
)

execution_stream = Table(
    "execution_stream",
    metadata,
    # One row: how far execution's stream is booked. Its lock lets one transaction at a time change accounts.
    Column("stream", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
)

# What each allocation did. Never changes.
booking = Table(
    "booking",
    metadata,
    # In execution's stream; each is booked once.
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("account_id", Text, ForeignKey(account.c.account_id), nullable=False),
    Column("plan_id", Text, nullable=False),
    Column("order_id", Text, nullable=False),
    Column("block_id", Text, nullable=False),
    Column("instrument_id", Text, nullable=False),
    Column("side", Text, nullable=False),
    # 0 only where it replaces another.
    Column("quantity", Numeric, CheckConstraint("quantity >= 0"), nullable=False),
    Column("price", Numeric, nullable=False),
    Column("value", Numeric, nullable=False),
    Column("fees", Numeric, nullable=False),
    Column("currency", Text, nullable=False),
    Column("trade_date", Date, nullable=False),
    Column("settlement_date", Date, nullable=False),
    Column("bought_lot_id", Text),
    Column("sold_lot_ids", ARRAY(Text), nullable=False),
    Column("sold_acquired_dates", ARRAY(Date), nullable=False),
    Column("sold_quantities", ARRAY(Numeric), nullable=False),
    Column("sold_proceeds", ARRAY(Numeric), nullable=False),
    Column("sold_bases", ARRAY(Numeric), nullable=False),
    Column("sold_characters", ARRAY(Text), nullable=False),
    # Of each lot sold, advance lump sums that were taxed already; empty where there are none.
    Column("sold_taxed_before", ARRAY(Numeric), nullable=False, server_default="{}"),
    Column("realized_gain", Numeric, nullable=False),
    Column("uncovered_quantity", Numeric, nullable=False),
    # The account's snapshot had it already.
    Column("contained", Boolean, nullable=False),
    # Position of the booking that this one, of a correction or bust, takes the place of.
    Column("replaces", BigInteger, unique=True),
    Column("record_time", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Index("booking_account", "account_id", "trade_date"),
    Index("booking_plan", "plan_id", "instrument_id"),
)
