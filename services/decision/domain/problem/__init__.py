"""What is the optimiser asked about one account?"""

from services.decision.domain.problem.account import AccountProblem
from services.decision.domain.problem.holdings import (
    ONE,
    QUANTITY_DECIMALS_MAX,
    ZERO,
    Band,
    Holding,
    LotId,
    LotState,
    Side,
)
from services.decision.domain.problem.options import DecideOptions, Engine
from services.decision.domain.problem.risk import RiskModel
from services.decision.domain.problem.rules import (
    CashRule,
    GroupLimit,
    Ladder,
    LimitKind,
    Limits,
    LotMethod,
    Objective,
    RecentTrade,
    TaxProfile,
    TotalTriggers,
)

__all__ = [
    "ONE",
    "QUANTITY_DECIMALS_MAX",
    "ZERO",
    "AccountProblem",
    "Band",
    "CashRule",
    "DecideOptions",
    "Engine",
    "GroupLimit",
    "Holding",
    "Ladder",
    "LimitKind",
    "Limits",
    "LotId",
    "LotMethod",
    "LotState",
    "Objective",
    "RecentTrade",
    "RiskModel",
    "Side",
    "TaxProfile",
    "TotalTriggers",
]
