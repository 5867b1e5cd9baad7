"""What do a hundred thousand households' tax years come to, in one pass over columns?"""

from services.decision.domain.tax.batch.columns import Households, Prices, YearColumns, columns_of
from services.decision.domain.tax.batch.year_end import YearEnd, year_end

__all__ = ["Households", "Prices", "YearColumns", "YearEnd", "columns_of", "year_end"]
