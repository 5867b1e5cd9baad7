"""The outbox: events that were written with the change they tell of, until audit has acknowledged them.

Events are shipped in the order of `seq`. A transaction may commit after another with a larger `seq`, so the relay marks
rows and never remembers how far it came.
"""

import os
from time import time_ns

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Identity,
    Index,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TextClause,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

OUTBOX = "outbox"
# Between texts that are sent as one: JSON writes it in no text, and no kind has it.
BETWEEN = "\x1f"
# What three digits can count.
COUNT_MAX = 0xFFF
# The first digit of a UUID's fourth part, by a random one: its upper bits are 10 (RFC 9562, section 4.1).
VARIANT = {digit: "89ab"[number % 4] for number, digit in enumerate("0123456789abcdef")}


def outbox_table(metadata: MetaData) -> Table:
    """Return the outbox of the schema that `metadata` names. Each service's `tables.py` declares it."""
    table = Table(
        OUTBOX,
        metadata,
        # Names the event for ever; audit knows a repeat by it.
        Column("event_id", Uuid(as_uuid=True), primary_key=True),
        Column("seq", BigInteger, Identity(always=True), nullable=False, unique=True),
        Column("kind", Text, nullable=False),
        # Canonical JSON.
        Column("body", LargeBinary, nullable=False),
        Column("subjects", JSONB, nullable=False),
        # Who did it: the subject of the caller's token, or the service itself.
        Column("actor", Text, nullable=False),
        Column("occurred_time", DateTime(timezone=True), nullable=False),
        # W3C trace context in which it happened.
        Column("trace_parent", Text, nullable=True),
        # Where audit keeps it; NULL until audit has acknowledged it.
        Column("audit_index", BigInteger, nullable=True),
        Column("shipped_time", DateTime(timezone=True), nullable=True),
    )
    # What waits is little; what was shipped is much.
    Index("outbox_waiting", table.c.seq, postgresql_where=table.c.shipped_time.is_(None))
    # The oldest of what was shipped is removed first (`housekeeping.py`).
    Index("outbox_shipped", table.c.shipped_time, postgresql_where=table.c.shipped_time.is_not(None))
    return table


def new_event_ids(count: int) -> str:
    """Return the text of an array of so many new UUIDs (RFC 9562, version 7): by the time, then as they are counted.

    So the index of ids grows at its end, and not everywhere. PostgreSQL asks the kernel for a random one each by
    itself, which takes as long as a third of what else it does for an event.
    """
    time_ms = f"{time_ns() // 1_000_000:012x}"
    digits = os.urandom(8 * count).hex()
    each = (digits[start : start + 16] for start in range(0, 16 * count, 16))
    ids = [f"{time_ms}7{number & COUNT_MAX:03x}{VARIANT[one[0]]}{one[1:]}" for number, one in enumerate(each)]
    return f"{{{','.join(ids)}}}"


def append_to(outbox: Table) -> TextClause:
    """Return the statement that appends events in their order, which `seq` keeps: nothing sorts what is unnested.

    `event_ids` is the text of an array; `kinds`, `bodies` and `subjects` (both JSON) are texts of all events with
    `BETWEEN` between them; `actor`, `time` and `trace_parent` are of all. One statement of many events costs a fraction
    of one per event.
    """
    # The names come from our own tables and never from a request.
    return text(f"""
        INSERT INTO {outbox.fullname} (event_id, kind, body, subjects, actor, occurred_time, trace_parent)
        SELECT said.event_id, said.kind, convert_to(said.body, 'UTF8'), CAST(said.subjects AS jsonb),
            CAST(:actor AS text), CAST(:time AS timestamptz), CAST(:trace_parent AS text)
        FROM (
            SELECT unnest(CAST(CAST(:event_ids AS text) AS uuid[])) AS event_id,
                unnest(string_to_array(CAST(:kinds AS text), U&'\\001F')) AS kind,
                unnest(string_to_array(CAST(:bodies AS text), U&'\\001F')) AS body,
                unnest(string_to_array(CAST(:subjects AS text), U&'\\001F')) AS subjects
        ) AS said
    """)  # noqa: S608 - see above


def mark_in(outbox: Table) -> TextClause:
    """Return the statement that marks the events `event_ids` as shipped, with their `indexes` in the log."""
    return text(f"""
        UPDATE {outbox.fullname} AS shipped SET audit_index = said.index, shipped_time = now()
        FROM unnest(CAST(:event_ids AS uuid[]), CAST(:indexes AS bigint[])) AS said (event_id, index)
        WHERE shipped.event_id = said.event_id
    """)  # noqa: S608 - see above
