"""Keeps what witnesses signed."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from sqlalchemy import func, select, text

from services.audit.app.witnesses import Seen
from services.audit.tables import EVENTS, log_tables
from services.runtime.database import Database

_ADD = """
    insert into audit.cosignature (size, witness, line, cosign_time) values (:size, :witness, :line, :cosign_time)
    on conflict do nothing
"""
# How far back a checkpoint that enough witnesses signed is looked for, in signatures.
_LOOK_ROWS = 10_000


class PostgresCosignatures:
    """What witnesses signed of one log."""

    def __init__(self, database: Database, log: str = EVENTS) -> None:
        """Keep it for the log `log` in `database`."""
        self._database = database
        self._tables = log_tables(log)

    async def add(self, size: int, witness: str, seen: Seen) -> None:
        """Store what a witness signed of the checkpoint of `size`. Safe to repeat."""
        values = {
            "size": size,
            "witness": witness,
            "line": seen.line,
            "cosign_time": datetime.fromtimestamp(seen.time_s, UTC),
        }
        async with self._database.begin() as transaction:
            await transaction.connection.execute(text(self._tables.sql(_ADD)), values)

    async def newest(self, witnesses: Sequence[str], needed: int) -> tuple[int, Mapping[str, Seen]] | None:
        """Return the largest size that `needed` of `witnesses` signed, and their signatures; None before the first."""
        cosignature = self._tables.cosignature.c
        newest = (
            select(cosignature.size, cosignature.witness)
            .where(cosignature.witness.in_(witnesses))
            .order_by(cosignature.size.desc())
            .limit(_LOOK_ROWS)
            .subquery()
        )
        enough = (
            select(newest.c.size)
            .group_by(newest.c.size)
            .having(func.count() >= needed)
            .order_by(newest.c.size.desc())
            .limit(1)
        )
        async with self._database.read() as connection:
            size = (await connection.execute(enough)).scalar_one_or_none()
            if size is None:
                return None
            query = select(cosignature.witness, cosignature.line, cosignature.cosign_time).where(
                cosignature.size == size, cosignature.witness.in_(witnesses)
            )
            rows = (await connection.execute(query)).all()
        return size, {row.witness: Seen(row.line, int(row.cosign_time.timestamp())) for row in rows}
