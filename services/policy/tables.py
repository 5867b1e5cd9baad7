"""What policy keeps.

`node` is the tree. `version` holds contents by their hash and only grows. `change` is what people propose and decide.
`activation` is which version governs a node since when; its constraints make the activations of a node one chain in
which each takes effect after the one it follows, so that no instant can have two.
"""

from sqlalchemy import BigInteger, Column, DateTime, Identity, Integer, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY

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

outbox = outbox_table(metadata)
request_answer = request_answer_table(metadata)
