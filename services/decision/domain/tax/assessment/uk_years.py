"""What Parliament set for each tax year of the United Kingdom, which begins on 6 April: dated data.

Sources: TCGA 1992 s. 1H, s. 1I (rates), s. 1K(2) (annual exempt amount); Income Tax Act 2007 s. 10 (basic-rate band).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from services.decision.domain.tax.assessment.law_table import AmountKind, Named


@dataclass(frozen=True, slots=True)
class Rates:
    """Rates on gains other than residential property, from a day on."""

    from_date: date
    basic: Decimal
    higher: Decimal


@dataclass(frozen=True, slots=True)
class YearRules:
    """What Parliament set for the tax year that begins on 6 April; `rates` are those of its days, by day."""

    exempt_amount: Decimal
    basic_rate_band: Decimal
    rates: tuple[Rates, ...]


# Finance Act 2016 s. 83 (10 and 20 %), Finance Act 2025 s. 7 (18 and 24 % for disposals from 30 October 2024).
_BEFORE = Rates(date.min, Decimal("0.10"), Decimal("0.20"))
_SINCE = Rates(date.min, Decimal("0.18"), Decimal("0.24"))


def _year(exempt_amount: int, basic_rate_band: int, *rates: Rates) -> YearRules:
    return YearRules(Decimal(exempt_amount), Decimal(basic_rate_band), rates)


# TCGA 1992 s. 1K(2) as amended: Finance Act 2021 s. 40 (12,300), Finance Act 2023 s. 8 (6,000, then 3,000).
# Basic-rate band: Income Tax Act 2007 s. 10 as set for the year.
YEARS: dict[int, YearRules] = {
    2016: _year(11_100, 32_000, _BEFORE),
    2017: _year(11_300, 33_500, _BEFORE),
    2018: _year(11_700, 34_500, _BEFORE),
    2019: _year(12_000, 37_500, _BEFORE),
    2020: _year(12_300, 37_500, _BEFORE),
    2021: _year(12_300, 37_700, _BEFORE),
    2022: _year(12_300, 37_700, _BEFORE),
    2023: _year(6_000, 37_700, _BEFORE),
    2024: _year(3_000, 37_700, _BEFORE, replace(_SINCE, from_date=date(2024, 10, 30))),
    2025: _year(3_000, 37_700, _SINCE),
    2026: _year(3_000, 37_700, _SINCE),
}


@dataclass(frozen=True, slots=True)
class UnitedKingdomTable:
    """The amounts by name; rates may change within a year."""

    years: Mapping[int, YearRules]

    @property
    def names(self) -> tuple[Named, ...]:
        """Every amount that a year has."""
        return (
            Named("exempt_amount", AmountKind.MONEY),
            Named("basic_rate_band", AmountKind.MONEY),
            Named("basic_rate", AmountKind.RATE, dated=True),
            Named("higher_rate", AmountKind.RATE, dated=True, after="basic_rate"),
        )

    def first_date(self, tax_year: int) -> date:
        """Return 6 April of the year."""
        return date(tax_year, 4, 6)

    def amounts(self, year: YearRules) -> Mapping[str, Decimal]:
        """Return a year's amounts by name."""
        found = {"exempt_amount": year.exempt_amount, "basic_rate_band": year.basic_rate_band}
        for number, each in enumerate(year.rates):
            at = f"@{each.from_date}" if number else ""
            found |= {f"basic_rate{at}": each.basic, f"higher_rate{at}": each.higher}
        return found

    def year(self, amounts: Mapping[str, Decimal]) -> YearRules:
        """Return the year of checked amounts."""
        basic, higher = amounts["basic_rate"], amounts["higher_rate"]
        rates = [Rates(date.min, basic, higher)]
        for day in sorted({name.partition("@")[2] for name in amounts if "@" in name}):
            basic, higher = amounts.get(f"basic_rate@{day}", basic), amounts.get(f"higher_rate@{day}", higher)
            rates.append(Rates(date.fromisoformat(day), basic, higher))
        return YearRules(amounts["exempt_amount"], amounts["basic_rate_band"], tuple(rates))


TABLE = UnitedKingdomTable(YEARS)
