"""Decides accounts that the caller brings along; nothing is read and nothing is stored."""

from dataclasses import dataclass

from services.decision.app.ports.solving import BatchSolver
from services.decision.domain.batches import Batch, BatchAnswer


@dataclass(frozen=True, slots=True)
class BatchApp:
    """The use case of deciding a batch. `engine` is what computes in this build."""

    solver: BatchSolver
    engine: str

    async def decide(self, batch: Batch) -> BatchAnswer:
        """Return a plan for each account, or what is wrong with it.

        Raises:
            BatchInvalid: What its accounts share is wrong.
            Unreachable: The computing process ended.
        """
        return await self.solver.batch(batch)
