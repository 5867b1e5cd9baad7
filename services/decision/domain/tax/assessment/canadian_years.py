"""What Parliament set for each year in Canada: dated data. Source: ITA s. 38(a)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from services.decision.domain.tax.assessment.law_table import AmountKind, Named


# ITA s. 38(a). One half since 18 October 2000; the rise to two thirds announced in 2024 was withdrawn in March 2025.
@dataclass(frozen=True, slots=True)
class YearRules:
    """What Parliament set for the year."""

    inclusion: Decimal


YEARS: dict[int, YearRules] = dict.fromkeys(range(2001, 2027), YearRules(Decimal("0.5")))


@dataclass(frozen=True, slots=True)
class CanadaTable:
    """The amounts by name."""

    years: Mapping[int, YearRules]

    @property
    def names(self) -> tuple[Named, ...]:
        """Every amount that a year has."""
        return (Named("inclusion", AmountKind.RATE),)

    def first_date(self, tax_year: int) -> date:
        """Return the first day of the calendar year."""
        return date(tax_year, 1, 1)

    def amounts(self, year: YearRules) -> Mapping[str, Decimal]:
        """Return a year's amounts by name."""
        return {"inclusion": year.inclusion}

    def year(self, amounts: Mapping[str, Decimal]) -> YearRules:
        """Return the year of checked amounts."""
        return YearRules(amounts["inclusion"])


TABLE = CanadaTable(YEARS)
