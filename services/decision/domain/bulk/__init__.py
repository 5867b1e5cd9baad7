"""What should many accounts trade? Exact columns in, certified and explained plan columns out, compiled throughout."""

from services.decision.domain.bulk.deciding import decide_many

__all__ = ["decide_many"]
