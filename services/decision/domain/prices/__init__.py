"""What is each instrument worth, who says so, and how did it move?"""

from services.decision.domain.prices.check import JumpRule, PricesInvalid, checked_history, checked_price_set
from services.decision.domain.prices.columns import HistoryColumns, PriceColumns
from services.decision.domain.prices.quotes import PriceHistory, PriceHistoryId, PriceSet, PriceSetId, Quote

__all__ = [
    "HistoryColumns",
    "JumpRule",
    "PriceColumns",
    "PriceHistory",
    "PriceHistoryId",
    "PriceSet",
    "PriceSetId",
    "PricesInvalid",
    "Quote",
    "checked_history",
    "checked_price_set",
]
