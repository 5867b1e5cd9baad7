"""What does decision keep, and in which columns?"""

from services.decision.tables import book, comparisons, previews, prices, runs, taxes, values
from services.decision.tables.metadata import metadata

__all__ = ["book", "comparisons", "metadata", "previews", "prices", "runs", "taxes", "values"]
