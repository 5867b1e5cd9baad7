"""FIX sessions as people see them, in PostgreSQL."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeAlias

from sqlalchemy import LargeBinary, Row, func, literal, select
from sqlalchemy.dialects.postgresql import insert as upsert

from services.execution.app.fix_sessions import (
    MessageFilter,
    MessageView,
    Reset,
    ResetState,
    SessionsRecord,
    SessionView,
)
from services.execution.fix import tables
from services.kernel.events import Event
from services.runtime.database import Database, Transaction

AnyRow: TypeAlias = Row[*tuple[Any, ...]]

_OUT = "OUT"
_HEARTBEATS = ("0", "1")
_RESET = tables.reset.c


class PostgresSessions:
    """The record of sessions within one transaction."""

    def __init__(self, transaction: Transaction) -> None:
        """Read and write through `transaction`."""
        self._transaction = transaction
        self._connection = transaction.connection

    async def emit(self, *events: Event) -> None:
        """Tell audit, if the transaction commits."""
        await self._transaction.emit(*events)

    async def sessions(self) -> list[SessionView]:
        """Return all sessions with their open resets, by name."""
        open_resets: dict[str, list[Reset]] = {}
        for row in await self._connection.execute(
            select(*_RESET).where(_RESET.state != ResetState.DONE).order_by(_RESET.propose_time, _RESET.reset_id)
        ):
            open_resets.setdefault(row.session, []).append(_reset(row))
        kept, expected = tables.session.c, tables.expected.c
        found = await self._connection.execute(
            select(*(each for each in kept if each is not kept.next_in), expected.next_in)
            .join_from(tables.session, tables.expected, kept.session == expected.session)
            .order_by(kept.session)
        )
        return [
            SessionView(
                session=row.session,
                up=row.up,
                why_down=row.why_down,
                check_time=row.check_time,
                generation=row.generation,
                since=row.since,
                next_out=row.next_out,
                next_in=row.next_in,
                resets=tuple(open_resets.get(row.session, ())),
            )
            for row in found
        ]

    async def messages(self, which: MessageFilter, before: int | None, limit: int) -> list[MessageView]:
        """Return messages before a place in the journal, the newest first."""
        kept = tables.message.c
        conditions = [kept.session == which.session]
        if before is not None:
            conditions.append(kept.place < before)
        if which.msg_type:
            conditions.append(kept.msg_type == which.msg_type)
        elif not which.heartbeats:
            conditions.append(kept.msg_type.not_in(_HEARTBEATS))
        if which.value:
            # A field's value is between `=` and the separator.
            wanted = b"=" + which.value.encode() + b"\x01"
            conditions.append(func.position(literal(wanted, LargeBinary).op("IN")(kept.data)) > 0)
        found = await self._connection.execute(
            select(kept.place, kept.direction, kept.generation, kept.number, kept.msg_type, kept.data, kept.time)
            .where(*conditions)
            .order_by(kept.place.desc())
            .limit(limit)
        )
        return [
            MessageView(
                place=row.place,
                outgoing=row.direction == _OUT,
                generation=row.generation,
                number=row.number,
                msg_type=row.msg_type,
                data=row.data,
                time=row.time,
            )
            for row in found
        ]

    async def reset(self, reset_id: str) -> Reset | None:
        """Return and lock a reset."""
        row = (
            await self._connection.execute(select(*_RESET).where(_RESET.reset_id == reset_id).with_for_update())
        ).one_or_none()
        return None if row is None else _reset(row)

    async def put_reset(self, reset: Reset) -> None:
        """Record a reset."""
        values = {
            "reset_id": reset.reset_id,
            "session": reset.session,
            "state": reset.state,
            "proposer": reset.proposer,
            "why": reset.why,
            "propose_time": reset.propose_time,
            "approver": reset.approver,
        }
        await self._connection.execute(
            upsert(tables.reset)
            .values(values)
            .on_conflict_do_update(index_elements=["reset_id"], set_={"state": reset.state, "approver": reset.approver})
        )


def sessions_with(database: Database) -> Callable[[], AbstractAsyncContextManager[SessionsRecord]]:
    """Return what opens the record in a transaction of `database`, or joins that of the call being served."""

    @asynccontextmanager
    async def begin() -> AsyncIterator[SessionsRecord]:
        async with database.begin() as transaction:
            yield PostgresSessions(transaction)

    return begin


def _reset(row: AnyRow) -> Reset:
    return Reset(
        reset_id=row.reset_id,
        session=row.session,
        state=ResetState(row.state),
        proposer=row.proposer,
        why=row.why,
        propose_time=row.propose_time,
        approver=row.approver,
    )
