"""What does the optimiser answer: trades, how good they provably are, and why?"""

from services.decision.domain.decision.answer import Decision, Outcome
from services.decision.domain.decision.certificate import Certificate, Fallback
from services.decision.domain.decision.not_traded import Cause, NotTraded
from services.decision.domain.decision.reasons import (
    LIMIT_KINDS,
    BindingConstraint,
    ConstraintKind,
    DriftFigures,
    Explanation,
    LadderStep,
    NoTradeReason,
    ObjectiveTerms,
    Summary,
    TaxFigures,
    TradeReason,
    Trigger,
    TriggerKind,
)
from services.decision.domain.decision.trades import CENT, Character, LotSale, Trade, TradeCost

__all__ = [
    "CENT",
    "LIMIT_KINDS",
    "BindingConstraint",
    "Cause",
    "Certificate",
    "Character",
    "ConstraintKind",
    "Decision",
    "DriftFigures",
    "Explanation",
    "Fallback",
    "LadderStep",
    "LotSale",
    "NoTradeReason",
    "NotTraded",
    "ObjectiveTerms",
    "Outcome",
    "Summary",
    "TaxFigures",
    "Trade",
    "TradeCost",
    "TradeReason",
    "Trigger",
    "TriggerKind",
]
