"""What people may know of FIX sessions, and how two of them begin a session's numbers anew."""

from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from services.execution.domain.errors import FixResetNotFound, FixSessionNotFound, SelfReset
from services.kernel.canonical import JsonValue
from services.kernel.clock import Clock
from services.kernel.events import Event


class ResetState(StrEnum):
    """Where a reset is in its life."""

    PROPOSED = "PROPOSED"
    APPROVED = "APPROVED"
    DONE = "DONE"


@dataclass(frozen=True, slots=True)
class Reset:
    """A wish to begin a session's numbers anew."""

    reset_id: str
    session: str
    state: ResetState
    proposer: str
    why: str
    propose_time: datetime
    approver: str = ""


@dataclass(frozen=True, slots=True)
class SessionView:
    """A session, as the replica that holds it last said; `check_time` None when none ever did."""

    session: str
    up: bool
    why_down: str
    check_time: datetime | None
    generation: int
    since: datetime
    next_out: int
    next_in: int
    resets: tuple[Reset, ...] = ()


@dataclass(frozen=True, slots=True)
class MessageView:
    """A message of the journal; `place` is its own in the journal, growing with time."""

    place: int
    outgoing: bool
    generation: int
    number: int
    msg_type: str
    data: bytes
    time: datetime


@dataclass(frozen=True, slots=True)
class MessageFilter:
    """Which messages to list: of one type, with a value in some field, heartbeats as well; empty means any."""

    session: str
    msg_type: str = ""
    value: str = ""
    heartbeats: bool = False


class SessionsRecord(Protocol):
    """The record of sessions, within one transaction."""

    async def emit(self, *events: Event) -> None:
        """Tell audit, if the transaction commits."""
        ...

    async def sessions(self) -> list[SessionView]:
        """Return all sessions with their open resets, by name."""
        ...

    async def messages(self, which: MessageFilter, before: int | None, limit: int) -> list[MessageView]:
        """Return messages before a place in the journal, the newest first."""
        ...

    async def reset(self, reset_id: str) -> Reset | None:
        """Return and lock a reset."""
        ...

    async def put_reset(self, reset: Reset) -> None:
        """Record a reset."""
        ...


BeginSessions = Callable[[], AbstractAsyncContextManager[SessionsRecord]]


@dataclass(frozen=True, slots=True)
class FixSessions:
    """The use cases of people who watch FIX sessions."""

    begin: BeginSessions
    clock: Clock
    new_id: Callable[[], str]

    async def sessions(self) -> list[SessionView]:
        """Return all sessions, by name."""
        async with self.begin() as record:
            return await record.sessions()

    async def messages(self, which: MessageFilter, before: int | None, limit: int) -> list[MessageView]:
        """Return messages of a session before a place in its journal, the newest first.

        Raises:
            FixSessionNotFound: There is no such session.
        """
        async with self.begin() as record:
            _check_known(which.session, await record.sessions())
            return await record.messages(which, before, limit)

    async def propose_reset(self, session: str, *, by: str, why: str) -> Reset:
        """Ask for a session's numbers to begin anew; another person must approve.

        Raises:
            FixSessionNotFound: There is no such session.
        """
        async with self.begin() as record:
            _check_known(session, await record.sessions())
            reset = Reset(self.new_id(), session, ResetState.PROPOSED, by, why, self.clock.now())
            await record.put_reset(reset)
            await record.emit(reset_event("proposed", reset))
        return reset

    async def approve_reset(self, reset_id: str, *, by: str) -> Reset:
        """Approve a reset; whoever holds the session does it. Safe to repeat.

        Raises:
            FixResetNotFound: There is no such reset.
            SelfReset: `by` is who asked for it.
        """
        async with self.begin() as record:
            reset = await record.reset(reset_id)
            if reset is None:
                raise FixResetNotFound(f"reset {reset_id} does not exist", reset_id=reset_id)
            if reset.proposer == by:
                raise SelfReset(f"{by} asked for the reset of {reset.session}: another person must approve it")
            if reset.state is not ResetState.PROPOSED:
                return reset
            approved = replace(reset, state=ResetState.APPROVED, approver=by)
            await record.put_reset(approved)
            await record.emit(reset_event("approved", approved))
        return approved


def _check_known(session: str, sessions: Collection[SessionView]) -> None:
    if session not in {each.session for each in sessions}:
        known = ", ".join(each.session for each in sessions) or "none"
        raise FixSessionNotFound(f"session {session} does not exist; there is {known}", session=session)


def reset_event(kind: str, reset: Reset) -> Event:
    """Return what audit is told when a reset is proposed, approved, or done."""
    data: dict[str, JsonValue] = {
        "reset_id": reset.reset_id,
        "session": reset.session,
        "proposer": reset.proposer,
        "approver": reset.approver,
        "why": reset.why,
    }
    return Event(f"execution.fix.reset_{kind}", {}, data)
