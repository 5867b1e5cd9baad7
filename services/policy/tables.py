"""What policy keeps.

`node` is the tree. `version` holds contents by their hash and only grows. `change` is what people propose and decide.
`activation` is which version governs a node since when; its constraints make the activations of a node one chain in
which each takes effect after the one it follows, so that no instant can have two. `rollout` and `stop` are the two
other things that say which rules an account has.

What is kept in memory beside the database is one `edition` of all that. Triggers move it on in each transaction that
changes which rules apply to whom, and mark with it what was changed; no code writes it.
"""

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Identity, Integer, MetaData, Numeric, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from services.runtime.outbox.table import outbox_table
from services.runtime.requests import request_answer_table

SCHEMA = "policy"

metadata = MetaData(schema=SCHEMA)

node = Table(
    "node",
    metadata,
    Column("node_id", Text, primary_key=True),
    Column("parent_id", Text),
    Column("kind", Text, nullable=False),
    Column("display_name", Text, nullable=False),
    Column("created_time", DateTime(timezone=True), nullable=False),
    # Order of creation: parents before their children.
    Column("number", BigInteger, Identity(always=True), nullable=False, unique=True),
    Column("edition", BigInteger, nullable=False, server_default="0"),
)

# Nodes that were deleted, and the edition without them.
removed_node = Table(
    "removed_node",
    metadata,
    Column("node_id", Text, nullable=False),
    Column("edition", BigInteger, nullable=False, server_default="0"),
)

# One row: how often what governs has changed.
edition = Table(
    "edition",
    metadata,
    Column("number", BigInteger, nullable=False),
    Column("transaction_id", BigInteger, nullable=False),
)

version = Table(
    "version",
    metadata,
    Column("version_id", Text, primary_key=True),
    Column("node_id", Text, nullable=False),
    # Canonical JSON; its hash with the node's id is the version's id.
    Column("document", Text, nullable=False),
    # The fields that it sets, and the sections they are in.
    Column("fields", ARRAY(Text), nullable=False),
)

change = Table(
    "change",
    metadata,
    Column("change_id", Text, primary_key=True),
    # Order of creation.
    Column("number", BigInteger, Identity(always=True), nullable=False, unique=True),
    Column("node_id", Text, nullable=False),
    Column("base_version_id", Text),
    Column("version_id", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("requested_time", DateTime(timezone=True)),
    # What people decided; where an approved change is in its life follows from `activation` and the clock.
    Column("decided", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("author", Text, nullable=False),
    Column("created_time", DateTime(timezone=True), nullable=False),
    Column("approver", Text),
    Column("approver_comment", Text, nullable=False),
    Column("decided_time", DateTime(timezone=True)),
    Column("effective_time", DateTime(timezone=True)),
    # How it reaches the accounts; null for all at once.
    Column("rollout", JSONB(none_as_null=True)),
    # Of the present content, oldest first.
    Column("approvals", JSONB, nullable=False),
    Column("account_count", Integer),
)

activation = Table(
    "activation",
    metadata,
    Column("node_id", Text, primary_key=True),
    Column("sequence", Integer, primary_key=True),
    # The activation that governs until this one takes effect.
    Column("follows", Integer),
    Column("follows_effective_time", DateTime(timezone=True)),
    Column("version_id", Text, nullable=False),
    Column("change_id", Text, nullable=False, unique=True),
    Column("effective_time", DateTime(timezone=True), nullable=False),
    Column("recorded_time", DateTime(timezone=True), nullable=False),
    Column("revoked_time", DateTime(timezone=True)),
    # When its taking effect was told; null until then.
    Column("announced_time", DateTime(timezone=True)),
    Column("edition", BigInteger, nullable=False, server_default="0"),
)

rollout = Table(
    "rollout",
    metadata,
    Column("change_id", Text, primary_key=True),
    Column("number", BigInteger, Identity(always=True), nullable=False, unique=True),
    Column("node_id", Text, nullable=False),
    Column("version_id", Text, nullable=False),
    # Its last step is not final; a node has at most one such.
    Column("open", Boolean, nullable=False),
    Column("edition", BigInteger, nullable=False, server_default="0"),
)

rollout_step = Table(
    "rollout_step",
    metadata,
    Column("change_id", Text, primary_key=True),
    Column("sequence", Integer, primary_key=True),
    Column("stage", Text, nullable=False),
    Column("effective_time", DateTime(timezone=True), nullable=False),
    Column("recorded_time", DateTime(timezone=True), nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
)

# What decision reported; an account of a run counts once.
rollout_comparison = Table(
    "rollout_comparison",
    metadata,
    Column("change_id", Text, primary_key=True),
    Column("run_id", Text, primary_key=True),
    Column("account_id", Text, primary_key=True),
    Column("number", BigInteger, Identity(always=True), nullable=False, unique=True),
    Column("tax_bps", Numeric, nullable=False),
    Column("cost_bps", Numeric, nullable=False),
    Column("drift_bps", Numeric, nullable=False),
    Column("turnover_bps", Numeric, nullable=False),
    Column("failed", Boolean, nullable=False),
)

stop = Table(
    "stop",
    metadata,
    Column("stop_id", Text, primary_key=True),
    Column("number", BigInteger, Identity(always=True), nullable=False, unique=True),
    Column("node_id", Text, nullable=False),
    Column("version_id", Text, nullable=False, unique=True),
    # Canonical JSON.
    Column("document", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("effective_time", DateTime(timezone=True), nullable=False),
    Column("recorded_time", DateTime(timezone=True), nullable=False),
    Column("lifter", Text),
    Column("lift_reason", Text, nullable=False),
    Column("lift_time", DateTime(timezone=True)),
    Column("lift_recorded_time", DateTime(timezone=True)),
    Column("edition", BigInteger, nullable=False, server_default="0"),
)

# What became of versions, for those who follow; see `domain.notices`.
notice = Table(
    "notice",
    metadata,
    Column("position", BigInteger, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("node_id", Text, nullable=False),
    Column("version_id", Text, nullable=False),
    Column("change_id", Text, nullable=False),
    Column("effective_time", DateTime(timezone=True), nullable=False),
    Column("recorded_time", DateTime(timezone=True), nullable=False),
)

# What is on record of clients. Rows are only added; personal facts stay here and are in no event.
profile = Table(
    "profile",
    metadata,
    Column("node_id", Text, primary_key=True),
    Column("sequence", Integer, primary_key=True),
    # Canonical JSON.
    Column("content", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("effective_time", DateTime(timezone=True), nullable=False),
    Column("recorded_time", DateTime(timezone=True), nullable=False),
)

consent = Table(
    "consent",
    metadata,
    Column("node_id", Text, primary_key=True),
    Column("sequence", Integer, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("given", Boolean, nullable=False),
    Column("evidence", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("effective_time", DateTime(timezone=True), nullable=False),
    Column("expire_time", DateTime(timezone=True)),
    Column("recorded_time", DateTime(timezone=True), nullable=False),
)

preferences = Table(
    "preferences",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("sequence", Integer, primary_key=True),
    # Canonical JSON.
    Column("content", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("effective_time", DateTime(timezone=True), nullable=False),
    Column("recorded_time", DateTime(timezone=True), nullable=False),
)

# What accounts are worth, as somebody said last.
account_value = Table(
    "account_value",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("amount", Numeric, nullable=False),
    Column("currency", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("as_of_time", DateTime(timezone=True), nullable=False),
    Column("recorded_time", DateTime(timezone=True), nullable=False),
)

# When the profile of a node is to be looked at next: a birthday may lead to another model.
profile_look = Table(
    "profile_look",
    metadata,
    Column("node_id", Text, primary_key=True),
    Column("look_time", DateTime(timezone=True), nullable=False),
)

outbox = outbox_table(metadata)
request_answer = request_answer_table(metadata)
