"""Last stage of a run: books what execution reports.

Execution's reports have dense positions that never change. What a piece of the stream says is booked in one transaction
with the position it ends at, so each report counts once, whoever follows and however often the stream breaks.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass

from services.decision.app.booking import PlannedAllocation, book_allocations
from services.decision.app.changes import Changes
from services.decision.app.events import plan_moved
from services.decision.app.ports.execution import ExecutionClient, Report
from services.decision.app.ports.sessions import Begin, Read
from services.decision.app.ports.tracing import Tracing
from services.kernel.clock import Clock

# Reports booked in one transaction.
REPORTS_PER_BOOKING_MAX = 500
# Batches that were heard and not booked; then execution has to wait.
BATCHES_WAITING_MAX = 200

# Position of the trace id in a W3C trace context.
_TRACE_ID = slice(3, 35)


@dataclass(frozen=True, slots=True)
class Following:
    """Follows execution's reports on plans."""

    begin: Begin
    read: Read
    clock: Clock
    execution: ExecutionClient
    tracing: Tracing
    changes: Changes

    async def follow(self) -> None:
        """Book reports as they come, until the stream ends.

        Raises:
            Unreachable: Execution does not answer.
            Conflict: Somebody else booked the same reports; read the position again.
        """
        async with self.read() as session:
            position = await session.books.stream_position()
        heard: asyncio.Queue[Sequence[Report]] = asyncio.Queue(BATCHES_WAITING_MAX)
        listening = asyncio.create_task(_listen(self.execution.reports(position), heard))
        try:
            while not (listening.done() and heard.empty()):
                for piece in _pieces(await _waiting(heard, listening)):
                    await self.book(piece)
            await listening
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    async def book(self, piece: Sequence[Report]) -> None:
        """Book a piece of the stream: consecutive reports, at least one.

        Raises:
            Conflict: The piece begins later than right after what is booked.
        """
        with self.tracing.continued(
            piece[0].trace_parent,
            "decision.book",
            evenkeel__reports=len(piece),
            evenkeel__position=piece[-1].position,
        ):
            at = self.clock.now()
            plan_ids = {report.plan_id for report in piece}
            async with self.begin() as session:
                # Execution reports on a plan, so it has it, even if its answer to us was lost.
                working = await session.plans.worked(plan_ids, at)
                lots = await session.plans.planned_lots(plan_ids)
                run_ids = await session.plans.run_ids(plan_ids)
                allocations = [
                    PlannedAllocation(
                        report.allocation,
                        lots.get(report.plan_id, {}).get(report.allocation.instrument_id, ()),
                        run_ids.get(report.plan_id),
                    )
                    for report in piece
                    if report.allocation is not None
                ]
                await book_allocations(
                    session.ledger, allocations, first_position=piece[0].position, last_position=piece[-1].position
                )
                closed = [report.closed for report in piece if report.closed is not None]
                done = await session.plans.close_orders(closed, at)
                await session.emit([plan_moved(plan) for plan in (*working, *done)])
        self.changes.tell(work=False)


async def _listen(reports: AsyncIterator[Sequence[Report]], heard: asyncio.Queue[Sequence[Report]]) -> None:
    async for batch in reports:
        await heard.put(batch)


async def _waiting(heard: asyncio.Queue[Sequence[Report]], listening: asyncio.Task[None]) -> Sequence[Report]:
    """Return all reports that wait, some at least; nothing when the stream has ended.

    Execution says each thing as it happens. What came while the last piece was booked is booked together.
    """
    if heard.empty():
        hearing = asyncio.ensure_future(heard.get())
        try:
            await asyncio.wait({hearing, listening}, return_when=asyncio.FIRST_COMPLETED)
            if not hearing.done():
                return ()
            waiting = list(hearing.result())
        finally:
            hearing.cancel()
    else:
        waiting = []
    while not heard.empty():
        waiting += heard.get_nowait()
    return waiting


def _pieces(reports: Sequence[Report]) -> Iterator[Sequence[Report]]:
    """Yield runs of reports of one trace, so that each is booked in the trace that caused it."""
    piece: list[Report] = []
    for report in reports:
        if piece and (_trace(report) != _trace(piece[0]) or len(piece) == REPORTS_PER_BOOKING_MAX):
            yield piece
            piece = []
        piece.append(report)
    if piece:
        yield piece


def _trace(report: Report) -> str:
    return (report.trace_parent or "")[_TRACE_ID]
