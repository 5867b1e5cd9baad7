"""Keeps time: plans whose prices became too old expire, and runs with nothing left to do are done."""

from dataclasses import dataclass

from services.decision.app.changes import Changes
from services.decision.app.events import plan_moved, run_event
from services.decision.app.ports.sessions import Begin
from services.decision.app.ports.tracing import Tracing
from services.kernel.clock import Clock

# Plans that expire in one transaction.
EXPIRED_MAX = 500


@dataclass(frozen=True, slots=True)
class Keeping:
    """Does what only the passing of time asks for."""

    begin: Begin
    clock: Clock
    market_clock: Clock
    tracing: Tracing
    changes: Changes

    async def step(self) -> bool:
        """Expire plans and end runs, and return whether there were any."""
        at = self.clock.now()
        async with self.begin() as session:
            expired = await session.plans.expire(self.market_clock.now(), at, EXPIRED_MAX)
            await session.emit([plan_moved(plan) for plan in expired])
        async with self.begin() as session:
            done = await session.runs.executed(at)
            for run in done:
                with self.tracing.continued(run.trace_parent, "decision.finish", evenkeel__run=run.run_id):
                    await session.emit([run_event("done", run, {"account_count": run.account_count})])
        if expired or done:
            self.changes.tell(work=False)
        return bool(expired or done)
