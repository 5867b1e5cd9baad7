"""What execution can be asked to do: take plans, send blocks, apply fills, stop, and answer for all of it."""

from dataclasses import dataclass

from services.execution.app.clearing import Clearing
from services.execution.app.fills import Fills
from services.execution.app.forming import Forming
from services.execution.app.instructing import Instructing
from services.execution.app.intake import Intake
from services.execution.app.queries import Queries
from services.execution.app.reconciling import Reconciling
from services.execution.app.scheduling import Scheduling
from services.execution.app.sending import Sending
from services.execution.app.trading import Trading
from services.execution.app.uncrossing import Uncrossing


@dataclass(frozen=True, slots=True)
class ExecutionApp:
    """The use cases of the execution service."""

    intake: Intake
    clearing: Clearing
    forming: Forming
    scheduling: Scheduling
    sending: Sending
    fills: Fills
    instructing: Instructing
    trading: Trading
    reconciling: Reconciling
    queries: Queries
    uncrossing: Uncrossing

    async def step(self) -> int:
        """Do once everything that waits to be done, and return how much was done; 0 means nothing is left for now.

        The order is that of an order's life. Each step is a transaction or several of its own, and may be the last that
        this process does: the next process finds everything where it was left.
        """
        done = await self.trading.expire_plans()
        done += await self.clearing.check_orders()
        done += await self.forming.form_blocks()
        done += await self.scheduling.form_children()
        done += await self.sending.resolve_blocks()
        done += await self.sending.send_blocks()
        done += await self.sending.cancel_blocks()
        done += await self.fills.finish_blocks()
        done += await self.fills.apply_reports()
        done += await self.fills.convert_blocks()
        done += await self.instructing.instruct_blocks()
        done += await self.instructing.hear_answers()
        return done
