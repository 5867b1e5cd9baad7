"""Tables of runs and plans.

A run's accounts are listed once, with their shard. What plans rest on is in `content`, by its hash. A plan's state
changes; everything else about it is written once.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from services.decision.tables.metadata import metadata

# Policies, accounts, instruments and risk models as plans were decided on. Never changes.
content = Table(
    "content",
    metadata,
    Column("content_hash", Text, primary_key=True),
    Column("body", LargeBinary, nullable=False),
)

run = Table(
    "run",
    metadata,
    Column("run_id", Text, primary_key=True),
    # Newest is the one started last.
    Column("sequence", BigInteger, Identity(always=True), nullable=False, unique=True),
    Column("state", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("start_time", DateTime(timezone=True), nullable=False),
    Column("end_time", DateTime(timezone=True)),
    Column("as_of_time", DateTime(timezone=True), nullable=False),
    Column("snapshot_id", Text, nullable=False),
    Column("price_set_id", Text, nullable=False),
    Column("price_history_id", Text, nullable=False),
    Column("engine", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("dry_run", Boolean, nullable=False),
    # What happened that asks for it; empty for nothing.
    Column("event", Text, nullable=False, server_default=""),
    Column("account_count", Integer, nullable=False),
    Column("trace_parent", Text),
    # What it waits for; empty when for nothing.
    Column("note", Text, nullable=False, server_default=""),
    # Who pins it, and until when nobody else may; the number of the attempt fences.
    Column("pin_attempts", Integer, nullable=False, server_default="0"),
    Column("pin_after_time", DateTime(timezone=True)),
    Column("pinned_time", DateTime(timezone=True)),
    Column("decided_time", DateTime(timezone=True)),
    Column("instruments_hash", Text),
    Column("risk_model_hash", Text),
)
Index("run_unfinished", run.c.state, run.c.sequence, postgresql_where=text("state IN ('DECIDING', 'EXECUTING')"))
# Finds the risk model that an earlier run estimated from the same history.
Index("run_risk_model", run.c.price_history_id, run.c.engine, postgresql_where=run.c.risk_model_hash.is_not(None))

run_account = Table(
    "run_account",
    metadata,
    Column("run_id", Text, ForeignKey(run.c.run_id), primary_key=True),
    Column("account_id", Text, primary_key=True),
    Column("shard_number", Integer, nullable=False),
    # NULL until the run is pinned; empty when no policy is in force.
    Column("policy_hash", Text),
    Index("run_account_shard", "run_id", "shard_number"),
)

# The versions that each policy of a run was merged from: the same rules may come from other versions another day.
run_policy = Table(
    "run_policy",
    metadata,
    Column("run_id", Text, ForeignKey(run.c.run_id), primary_key=True),
    Column("policy_hash", Text, primary_key=True),
    Column("version_hashes", ARRAY(Text), nullable=False),
)

run_shard = Table(
    "run_shard",
    metadata,
    Column("run_id", Text, ForeignKey(run.c.run_id), primary_key=True),
    Column("number", Integer, primary_key=True),
    # Counts claims; only the newest claim's results are taken.
    Column("attempt", Integer, nullable=False, server_default="0"),
    # Until then nobody else may claim it.
    Column("lease_time", DateTime(timezone=True)),
    Column("done_time", DateTime(timezone=True)),
    Column("account_count", Integer, nullable=False),
    # Accounts by outcome, once done.
    Column("outcome_counts", JSONB),
    Column("value", Numeric),
    Column("drift_before_value", Numeric),
    Column("drift_after_value", Numeric),
    Column("turnover", Numeric),
    Column("trading_cost", Numeric),
    Column("tax", Numeric),
    Column("tax_saved", Numeric),
    Column("realized_gain", Numeric),
    Column("gap_max_bps", Numeric),
)
Index("run_shard_open", run_shard.c.run_id, run_shard.c.number, postgresql_where=run_shard.c.done_time.is_(None))

# Plans that are sent together. The id is stored before anything is sent, so a repeat is the same request.
submission = Table(
    "submission",
    metadata,
    # The request id: a UUID.
    Column("submission_id", Text, primary_key=True),
    Column("run_id", Text, ForeignKey(run.c.run_id), nullable=False),
    Column("create_time", DateTime(timezone=True), nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    # Not before then is it tried again.
    Column("next_time", DateTime(timezone=True), nullable=False),
    Column("acknowledge_time", DateTime(timezone=True)),
)
Index("submission_open", submission.c.next_time, postgresql_where=submission.c.acknowledge_time.is_(None))

LIVE = "state IN ('HELD', 'APPROVED', 'WORKING')"

plan = Table(
    "plan",
    metadata,
    Column("plan_id", Text, primary_key=True),
    Column("run_id", Text, ForeignKey(run.c.run_id), nullable=False),
    Column("account_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    # `PlanInputs`, as recorded.
    Column("inputs", LargeBinary, nullable=False),
    # `PlanContent`, as recorded.
    Column("content", LargeBinary, nullable=False),
    # `Outline`, as recorded: what lists show.
    Column("outline", LargeBinary, nullable=False),
    Column("plan_hash", Text, nullable=False),
    Column("review_reasons", ARRAY(Text), nullable=False),
    Column("approver", Text, nullable=False, server_default=""),
    Column("refusal", Text, nullable=False, server_default=""),
    Column("as_of_time", DateTime(timezone=True), nullable=False),
    Column("create_time", DateTime(timezone=True), nullable=False),
    Column("expire_time", DateTime(timezone=True), nullable=False),
    Column("update_time", DateTime(timezone=True), nullable=False),
    # Orders that execution has not closed yet: one per trade.
    Column("open_orders", Integer, nullable=False),
    # Set when it is about to be sent: the bytes that travel, so that a repeat sends the same.
    Column("submission_id", Text, ForeignKey(submission.c.submission_id)),
    Column("payload", LargeBinary),
    Column("signature", LargeBinary),
    Column("key_id", Text),
    # Why nothing is traded; empty when something is.
    Column("no_trade_reason", Text, nullable=False, server_default=""),
    UniqueConstraint("run_id", "account_id"),
)
# An account has at most one plan that is not final.
Index("plan_live", plan.c.account_id, unique=True, postgresql_where=text(LIVE))
Index("plan_run_state", plan.c.run_id, plan.c.state)
Index("plan_run", plan.c.run_id, plan.c.plan_id)
Index("plan_account", plan.c.account_id, plan.c.as_of_time)
Index("plan_submission", plan.c.submission_id)
Index("plan_no_trade", plan.c.no_trade_reason, plan.c.plan_id, postgresql_where=text("no_trade_reason <> ''"))
Index("plan_waiting", plan.c.expire_time, postgresql_where=text("state IN ('HELD', 'APPROVED')"))

# Orders that execution closed; each counts once.
closed_order = Table(
    "closed_order",
    metadata,
    Column("order_id", Text, primary_key=True),
    Column("plan_id", Text, ForeignKey(plan.c.plan_id), nullable=False),
    Column("state", Text, nullable=False),
    Column("filled_quantity", Numeric, nullable=False),
    Column("close_reason", Text, nullable=False),
    Column("record_time", DateTime(timezone=True), nullable=False),
    # What it cost, where something was filled: its value at arrival, what trading cost from there on, and fees.
    Column("instrument_id", Text),
    Column("currency", Text),
    Column("value", Numeric),
    Column("trading", Numeric),
    Column("fees", Numeric),
)
Index("closed_order_cost", closed_order.c.currency, closed_order.c.record_time)
