"""What are the best trades of many accounts, fast? The same problem as `reference_model`, by its structure."""

from services.decision.domain.kernel.batch import Answer, Status, solve_batch, warm_up

__all__ = ["Answer", "Status", "solve_batch", "warm_up"]
