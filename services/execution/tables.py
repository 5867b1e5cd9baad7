"""What execution keeps.

`plan` is what decision signed. `account_order` is what each account asked for and got. `block` and `block_share` say
what travels together and how it will be shared; they are written before anything is sent. `venue_report` is what venues
said, each report once, and a block's state is a fold over it. `allocation` and `plan_report` say who got what, in one
order that never changes. The sandbox venue's tables are in `venues.sandbox`: another party's record.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Identity,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from services.runtime.outbox.table import outbox_table
from services.runtime.requests import request_answer_table

SCHEMA = "execution"

metadata = MetaData(schema=SCHEMA)

_TIME = DateTime(timezone=True)


def _terms() -> list[Column[object]]:
    return [
        Column("instrument_id", Text, nullable=False),
        Column("side", Text, nullable=False),
        Column("venue_id", Text, nullable=False),
        Column("order_type", Text, nullable=False),
        Column("limit_price", Numeric),
        Column("time_in_force", Text, nullable=False),
        Column("currency", Text, nullable=False),
        Column("custodian", Text, nullable=False),
        Column("increment", Numeric, nullable=False),
        Column("algorithm", Text, nullable=False),
        Column("participation_max", Numeric),
        # The accounts' own, where it is traded in another; NULL where it is the same.
        Column("account_currency", Text),
    ]


plan = Table(
    "plan",
    metadata,
    Column("plan_id", Text, primary_key=True),
    # Exactly as it was signed.
    Column("payload", LargeBinary, nullable=False),
    Column("payload_hash", Text, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("account_id", Text, nullable=False),
    Column("available_cash", Numeric, nullable=False),
    Column("currency", Text, nullable=False),
    Column("accepted", Boolean, nullable=False),
    Column("refusals", JSONB, nullable=False),
    Column("trace_parent", Text),
    Column("submit_time", _TIME, nullable=False),
    Column("policy_version_hashes", JSONB, nullable=False),
)

day_usage = Table(
    "day_usage",
    metadata,
    Column("trade_date", Date, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("subject_id", Text, primary_key=True),
    Column("orders", BigInteger, nullable=False),
    Column("amount", Numeric, nullable=False),
    Column("sold", Numeric, nullable=False),
)

reference_price = Table(
    "reference_price",
    metadata,
    Column("instrument_id", Text, primary_key=True),
    Column("price", Numeric, nullable=False),
    Column("currency", Text, nullable=False),
    Column("as_of_time", _TIME, nullable=False),
    Column("source", Text, nullable=False),
)

# Units traded in a bucket of time, so far as we were told.
market_volume = Table(
    "market_volume",
    metadata,
    Column("instrument_id", Text, primary_key=True),
    Column("bucket_time", _TIME, primary_key=True),
    Column("volume", Numeric, nullable=False),
    # Money that they traded for; NULL when nobody said.
    Column("value", Numeric),
)

# The last reference price of each day of the exchange.
closing_price = Table(
    "closing_price",
    metadata,
    Column("instrument_id", Text, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("price", Numeric, nullable=False),
    Column("currency", Text, nullable=False),
    Column("as_of_time", _TIME, nullable=False),
)

halt = Table(
    "halt",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("subject_id", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("halted_by", Text, nullable=False),
    Column("halt_time", _TIME, nullable=False),
    Column("why", Text, nullable=False),
    # All who halted the scope since it was last resumed; a release before 0029 writes `halted_by` alone.
    Column("persons", ARRAY(Text), nullable=False),
)

account_order = Table(
    "account_order",
    metadata,
    Column("order_id", Text, primary_key=True),
    Column("plan_id", Text, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("account_id", Text, nullable=False),
    *_terms(),
    Column("may_aggregate", Boolean, nullable=False),
    Column("quantity", Numeric, nullable=False),
    Column("rank", Integer, nullable=False),
    Column("decision_price", Numeric, nullable=False),
    Column("predicted_cost", Numeric, nullable=False),
    Column("unit_cost_max", Numeric, nullable=False),
    Column("expire_time", _TIME, nullable=False),
    Column("create_time", _TIME, nullable=False),
    Column("update_time", _TIME, nullable=False),
    Column("trace_parent", Text),
    Column("state", Text, nullable=False),
    Column("released", Numeric, nullable=False),
    Column("placed", Numeric, nullable=False),
    Column("ended", Numeric, nullable=False),
    Column("filled", Numeric, nullable=False),
    Column("filled_amount", Numeric, nullable=False),
    Column("fees", Numeric, nullable=False),
    Column("settling_amount", Numeric, nullable=False),
    Column("arrival_amount", Numeric, nullable=False),
    Column("final_price", Numeric),
    Column("close_reason", Text, nullable=False),
    Column("block_id", Text),
    # When what may be sent passed the checks; NULL when it has to, before it goes into a block.
    Column("check_time", _TIME),
    # When its parts go, in the market's time, where they go one after the other.
    Column("schedule_start", _TIME),
    Column("schedule_end", _TIME),
    Column("schedule_due", _TIME),
    # Whose order it is, where it may meet opposite orders of other clients; NULL where it may not.
    Column("crossing_client", Text),
)

# Millionths of an increment that earlier blocks left an account short by.
carry = Table(
    "carry",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("carry", BigInteger, nullable=False),
)

block = Table(
    "block",
    metadata,
    Column("block_id", Text, primary_key=True),
    Column("client_order_id", Text, nullable=False, unique=True),
    *_terms(),
    Column("quantity", Numeric, nullable=False),
    Column("order_count", Integer, nullable=False),
    Column("trade_date", Date, nullable=False),
    Column("arrival_price", Numeric, nullable=False),
    Column("expire_time", _TIME, nullable=False),
    Column("create_time", _TIME, nullable=False),
    Column("update_time", _TIME, nullable=False),
    Column("market_time", _TIME),
    # The most a unit may cost that is bought at the market, and the worst rate of a leg; NULL where there is a limit,
    # and for other sells.
    Column("protection_price", Numeric),
    Column("trace_parents", JSONB, nullable=False),
    # What we know before the venue has spoken; and which attempt to send holds the block.
    Column("ours", Text, nullable=False),
    Column("attempt", Text, nullable=False),
    Column("reject_reason", Text, nullable=False),
    Column("cancel_reason", Text, nullable=False),
    Column("cancel_sent", Boolean, nullable=False),
    Column("allocated", Boolean, nullable=False),
    # Follow from the reports; here so that lists need not fold them.
    Column("state", Text, nullable=False),
    Column("filled_quantity", Numeric, nullable=False),
    Column("average_price", Numeric),
    Column("fees", Numeric, nullable=False),
    # The block on the other side, where both filled each other and neither was sent.
    Column("crossed_block_id", Text),
    # What a unit of the traded currency cost in the accounts' own when it was formed; NULL where that is the same.
    Column("arrival_rate", Numeric),
    # The block whose fills this one turns into the accounts' currency.
    Column("leg_of", Text),
    # It is over, and its own money is still to be turned.
    Column("unconverted", Boolean, nullable=False),
)

block_share = Table(
    "block_share",
    metadata,
    Column("block_id", Text, primary_key=True),
    Column("order_id", Text, primary_key=True),
    Column("account_id", Text, nullable=False),
    Column("ordered", BigInteger, nullable=False),
    Column("carry", BigInteger, nullable=False),
    Column("own", Boolean, nullable=False),
)

venue_report = Table(
    "venue_report",
    metadata,
    Column("venue_id", Text, primary_key=True),
    Column("report_id", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
    Column("client_order_id", Text, nullable=False),
    # NULL when the venue speaks of an order that is not ours.
    Column("block_id", Text),
    Column("kind", Text, nullable=False),
    Column("content", JSONB, nullable=False),
    Column("report_time", _TIME, nullable=False),
    Column("seq", BigInteger, Identity(always=True), nullable=False, unique=True),
)

venue_cursor = Table(
    "venue_cursor",
    metadata,
    Column("venue_id", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
)

allocation = Table(
    "allocation",
    metadata,
    Column("allocation_id", Text, primary_key=True),
    Column("block_id", Text, nullable=False),
    Column("order_id", Text, nullable=False),
    Column("account_id", Text, nullable=False),
    Column("plan_id", Text, nullable=False),
    Column("quantity", Numeric, nullable=False),
    Column("price", Numeric, nullable=False),
    Column("amount", Numeric, nullable=False),
    Column("fees", Numeric, nullable=False),
    Column("trade_date", Date, nullable=False),
    Column("settlement_date", Date, nullable=False),
    Column("create_time", _TIME, nullable=False),
    # After a correction or bust: which allocation this one takes the place of, and the how manieth it is.
    Column("revision", Integer, nullable=False),
    Column("replaces", Text),
    # In the currency that it was traded in, where that is not the account's.
    Column("traded_currency", Text),
    Column("traded_price", Numeric),
    Column("traded_amount", Numeric),
    Column("traded_fees", Numeric),
)

# What a venue is told of a block's shares, and what it said to that.
instruction = Table(
    "instruction",
    metadata,
    Column("allocation_id", Text, primary_key=True),
    Column("block_id", Text, nullable=False),
    Column("venue_id", Text, nullable=False),
    Column("client_order_id", Text, nullable=False),
    Column("replaces", Text),
    Column("state", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("create_time", _TIME, nullable=False),
    Column("update_time", _TIME, nullable=False),
    # NULL where an earlier build wrote it: all days together.
    Column("trade_date", Date),
)

# An allocation when it names one, else a closed order. `closed` is that order as it was told, when it changed after.
plan_report = Table(
    "plan_report",
    metadata,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("plan_id", Text, nullable=False),
    Column("account_id", Text, nullable=False),
    Column("trace_parent", Text),
    Column("order_id", Text, nullable=False),
    Column("allocation_id", Text),
    Column("closed", JSONB),
)

# What our record and another party's say differently. Open while `resolve_time` is NULL.
reconciliation_break = Table(
    "reconciliation_break",
    metadata,
    Column("break_id", Text, primary_key=True),
    Column("party", Text, nullable=False),
    # Which venue or custodian.
    Column("source", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("account_id", Text),
    Column("instrument_id", Text),
    Column("block_id", Text),
    Column("client_order_id", Text, nullable=False),
    Column("ours", Text, nullable=False),
    Column("theirs", Text, nullable=False),
    Column("find_time", _TIME, nullable=False),
    Column("see_time", _TIME, nullable=False),
    Column("owner", Text, nullable=False),
    Column("resolve_time", _TIME),
    # Who; empty when it agreed again by itself.
    Column("resolver", Text, nullable=False),
    Column("note", Text, nullable=False),
    # Of a custodian's trade; NULL for everything else, and where an earlier build wrote it.
    Column("trade_date", Date),
    # Of which day the custodian had spoken last when a person settled it; it stays when the break opens again.
    Column("settle_day", Date),
)

# Wishes to undo what was crossed, by the selling block. Done when there is an approver.
uncross = Table(
    "uncross",
    metadata,
    Column("sell_block_id", Text, primary_key=True),
    Column("buy_block_id", Text, nullable=False),
    Column("proposer", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("propose_time", _TIME, nullable=False),
    Column("approver", Text, nullable=False),
    Column("approve_time", _TIME),
)

# What a custodian said of an account last, by trade date.
custodian_account = Table(
    "custodian_account",
    metadata,
    Column("custodian", Text, primary_key=True),
    Column("account_id", Text, primary_key=True),
    Column("day", Date, nullable=False),
    Column("positions", JSONB, nullable=False),
    Column("cash", Numeric, nullable=False),
    # Of which day it spoke first; NULL where an earlier build wrote it.
    Column("first_day", Date),
)

# What custodians told of movements that are no trades, as they told it last.
custodian_movement = Table(
    "custodian_movement",
    metadata,
    Column("custodian", Text, primary_key=True),
    Column("account_id", Text, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("reference", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("instrument_id", Text),
    Column("units", Numeric, nullable=False),
    Column("cash", Numeric, nullable=False),
)

outbox = outbox_table(metadata)
request_answer = request_answer_table(metadata)
