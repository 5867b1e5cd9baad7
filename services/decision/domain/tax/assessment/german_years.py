"""What the Bundestag and the Ministry of Finance set for each year: dated data.

Sources: EStG § 20 Abs. 9, § 32d Abs. 1; SolzG § 4; InvStG § 18 Abs. 4. Base rates are those that the
Ministry published: letters of 4 January 2018 (0.87 %), 29 January 2020 (0.07 %), 6 January 2021 (-0.45 %), those of the
other years alike; compared with reports of the letters of 2018, 2020, 2021, 2023 and 2025.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from services.decision.domain.tax.assessment.law_table import AmountKind, Named


@dataclass(frozen=True, slots=True)
class YearRules:
    """What the Bundestag and the Ministry of Finance set for the year.

    Attributes:
        base_rate: For the advance lump sums, InvStG § 18 Abs. 4; at 0 and below none is due.
        allowance: Of one person, EStG § 20 Abs. 9 Satz 1; couples have it twice.
        rate: EStG § 32d Abs. 1 Satz 1.
        solidarity: SolzG § 4 Satz 1.
    """

    base_rate: Decimal
    allowance: Decimal
    rate: Decimal = Decimal("0.25")
    solidarity: Decimal = Decimal("0.055")


YEARS: dict[int, YearRules] = {
    2018: YearRules(Decimal("0.0087"), Decimal(801)),
    2019: YearRules(Decimal("0.0052"), Decimal(801)),
    2020: YearRules(Decimal("0.0007"), Decimal(801)),
    2021: YearRules(Decimal("-0.0045"), Decimal(801)),
    2022: YearRules(Decimal("-0.0005"), Decimal(801)),
    2023: YearRules(Decimal("0.0255"), Decimal(1000)),
    2024: YearRules(Decimal("0.0229"), Decimal(1000)),
    2025: YearRules(Decimal("0.0253"), Decimal(1000)),
    2026: YearRules(Decimal("0.0320"), Decimal(1000)),
}


@dataclass(frozen=True, slots=True)
class GermanyTable:
    """The amounts by name."""

    years: Mapping[int, YearRules]

    @property
    def names(self) -> tuple[Named, ...]:
        """Every amount that a year has."""
        return (
            Named("base_rate", AmountKind.SIGNED_RATE),
            Named("allowance", AmountKind.MONEY),
            Named("rate", AmountKind.RATE),
            Named("solidarity", AmountKind.RATE),
        )

    def first_date(self, tax_year: int) -> date:
        """Return the first day of the calendar year."""
        return date(tax_year, 1, 1)

    def amounts(self, year: YearRules) -> Mapping[str, Decimal]:
        """Return a year's amounts by name."""
        return {each.name: getattr(year, each.name) for each in self.names}

    def year(self, amounts: Mapping[str, Decimal]) -> YearRules:
        """Return the year of checked amounts."""
        return YearRules(**{each.name: amounts[each.name] for each in self.names})


TABLE = GermanyTable(YEARS)
