"""What Congress and the Treasury set for each year: brackets, thresholds and the cap on losses, as dated data.

Sources: 26 U.S.C. § 1(h), § 1(j), § 1211(b), § 1411; amounts of 2018: Rev. Proc. 2018-18; of 2019: Rev. Proc. 2018-57;
of 2020: Rev. Proc. 2019-44; of 2021: Rev. Proc. 2020-45, sections 3.01 and 3.03 of each; of 2022: Rev. Proc. 2021-45
sections 3.01 and 3.03; of 2023: Rev. Proc. 2022-38 sections 3.01 and 3.03; of 2024: Rev. Proc. 2023-34 sections 3.01
and 3.03; of 2025: Rev. Proc. 2024-40 sections 2.01 and 2.03; of 2026: Rev. Proc. 2025-32 sections 4.01 and 4.03.

Compared with a public project that cites these procedures, PolicyEngine/policyengine-us
(`gov/irs/income/bracket.yaml` and `gov/irs/capital_gains/thresholds.yaml`): every amount of 2018 to 2025, and the
thresholds of 2026; its brackets with a public table of Rev. Proc. 2025-32, all four statuses. Where an early version of
it says 539,000 (2022, single) and 329,850 (2021, married separately) for the top of the 35 % bracket, § 1(j)(2) and the
other statuses of the same year give 539,900 and half of 628,300, 314,150.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import TypeAlias

from services.decision.domain.tax.assessment.law_table import AmountKind, Named


class FilingStatus(StrEnum):
    """How the taxpayer files."""

    SINGLE = "SINGLE"
    MARRIED_JOINT = "MARRIED_JOINT"
    MARRIED_SEPARATE = "MARRIED_SEPARATE"
    HEAD_OF_HOUSEHOLD = "HEAD_OF_HOUSEHOLD"


# 26 U.S.C. § 1(j)(2): the rates between the tops of the brackets, and above the last.
_ORDINARY_RATES = tuple(Decimal(rate) for rate in ("0.10", "0.12", "0.22", "0.24", "0.32", "0.35", "0.37"))
# 26 U.S.C. § 1(h)(1).
_LONG_TERM_RATES = (Decimal(0), Decimal("0.15"), Decimal("0.20"))
# 26 U.S.C. § 1411(a).
_INVESTMENT_INCOME_RATE = Decimal("0.038")
# 26 U.S.C. § 1211(b)(1): 3,000, half of it for the married who file separately; § 1411(b): not indexed.
_LIMITS = {
    FilingStatus.SINGLE: (3000, 200_000),
    FilingStatus.MARRIED_JOINT: (3000, 250_000),
    FilingStatus.MARRIED_SEPARATE: (1500, 125_000),
    FilingStatus.HEAD_OF_HOUSEHOLD: (3000, 200_000),
}


@dataclass(frozen=True, slots=True)
class StatusYear:
    """The amounts of one year and filing status, in dollars, and the rates of the year, 0 to 1.

    Attributes:
        ordinary_tops: Taxable income at which each bracket but the last ends.
        long_term_tops: Taxable income up to which long-term gain is taxed at the first and at the second rate.
        loss_cap: Net loss that is taken off other income at most.
        investment_income_threshold: Income above which net investment income is taxed too.
    """

    ordinary_tops: tuple[Decimal, ...]
    long_term_tops: tuple[Decimal, ...]
    loss_cap: Decimal
    investment_income_threshold: Decimal
    ordinary_rates: tuple[Decimal, ...] = _ORDINARY_RATES
    long_term_rates: tuple[Decimal, ...] = _LONG_TERM_RATES
    investment_income_rate: Decimal = _INVESTMENT_INCOME_RATE


YearRules: TypeAlias = Mapping[FilingStatus, StatusYear]


def _year(*rows: tuple[tuple[int, ...], tuple[int, int]]) -> YearRules:
    return {
        status: StatusYear(
            tuple(Decimal(top) for top in ordinary),
            tuple(Decimal(top) for top in long_term),
            Decimal(_LIMITS[status][0]),
            Decimal(_LIMITS[status][1]),
        )
        for status, (ordinary, long_term) in zip(FilingStatus, rows, strict=True)
    }


# By filing status: single, married jointly, married separately, head of household.
YEARS: dict[int, YearRules] = {
    2018: _year(
        ((9_525, 38_700, 82_500, 157_500, 200_000, 500_000), (38_600, 425_800)),
        ((19_050, 77_400, 165_000, 315_000, 400_000, 600_000), (77_200, 479_000)),
        ((9_525, 38_700, 82_500, 157_500, 200_000, 300_000), (38_600, 239_500)),
        ((13_600, 51_800, 82_500, 157_500, 200_000, 500_000), (51_700, 452_400)),
    ),
    2019: _year(
        ((9_700, 39_475, 84_200, 160_725, 204_100, 510_300), (39_375, 434_550)),
        ((19_400, 78_950, 168_400, 321_450, 408_200, 612_350), (78_750, 488_850)),
        ((9_700, 39_475, 84_200, 160_725, 204_100, 306_175), (39_375, 244_425)),
        ((13_850, 52_850, 84_200, 160_700, 204_100, 510_300), (52_750, 461_700)),
    ),
    2020: _year(
        ((9_875, 40_125, 85_525, 163_300, 207_350, 518_400), (40_000, 441_450)),
        ((19_750, 80_250, 171_050, 326_600, 414_700, 622_050), (80_000, 496_600)),
        ((9_875, 40_125, 85_525, 163_300, 207_350, 311_025), (40_000, 248_300)),
        ((14_100, 53_700, 85_500, 163_300, 207_350, 518_400), (53_600, 469_050)),
    ),
    2021: _year(
        ((9_950, 40_525, 86_375, 164_925, 209_425, 523_600), (40_400, 445_850)),
        ((19_900, 81_050, 172_750, 329_850, 418_850, 628_300), (80_800, 501_600)),
        ((9_950, 40_525, 86_375, 164_925, 209_425, 314_150), (40_400, 250_800)),
        ((14_200, 54_200, 86_350, 164_900, 209_400, 523_600), (54_100, 473_750)),
    ),
    2022: _year(
        ((10_275, 41_775, 89_075, 170_050, 215_950, 539_900), (41_675, 459_750)),
        ((20_550, 83_550, 178_150, 340_100, 431_900, 647_850), (83_350, 517_200)),
        ((10_275, 41_775, 89_075, 170_050, 215_950, 323_925), (41_675, 258_600)),
        ((14_650, 55_900, 89_050, 170_050, 215_950, 539_900), (55_800, 488_500)),
    ),
    2023: _year(
        ((11_000, 44_725, 95_375, 182_100, 231_250, 578_125), (44_625, 492_300)),
        ((22_000, 89_450, 190_750, 364_200, 462_500, 693_750), (89_250, 553_850)),
        ((11_000, 44_725, 95_375, 182_100, 231_250, 346_875), (44_625, 276_900)),
        ((15_700, 59_850, 95_350, 182_100, 231_250, 578_100), (59_750, 523_050)),
    ),
    2024: _year(
        ((11_600, 47_150, 100_525, 191_950, 243_725, 609_350), (47_025, 518_900)),
        ((23_200, 94_300, 201_050, 383_900, 487_450, 731_200), (94_050, 583_750)),
        ((11_600, 47_150, 100_525, 191_950, 243_725, 365_600), (47_025, 291_850)),
        ((16_550, 63_100, 100_500, 191_950, 243_700, 609_350), (63_000, 551_350)),
    ),
    2025: _year(
        ((11_925, 48_475, 103_350, 197_300, 250_525, 626_350), (48_350, 533_400)),
        ((23_850, 96_950, 206_700, 394_600, 501_050, 751_600), (96_700, 600_050)),
        ((11_925, 48_475, 103_350, 197_300, 250_525, 375_800), (48_350, 300_000)),
        ((17_000, 64_850, 103_350, 197_300, 250_500, 626_350), (64_750, 566_700)),
    ),
    2026: _year(
        ((12_400, 50_400, 105_700, 201_775, 256_225, 640_600), (49_450, 545_500)),
        ((24_800, 100_800, 211_400, 403_550, 512_450, 768_700), (98_900, 613_700)),
        ((12_400, 50_400, 105_700, 201_775, 256_225, 384_350), (49_450, 306_850)),
        ((17_700, 67_450, 105_700, 201_750, 256_200, 640_600), (66_200, 579_600)),
    ),
}


@dataclass(frozen=True, slots=True)
class UnitedStatesTable:
    """The amounts by name: those of a filing status with its name before, the rates without."""

    years: Mapping[int, YearRules]

    @property
    def names(self) -> tuple[Named, ...]:
        """Every amount that a year has."""
        found: list[Named] = []
        for status in FilingStatus:
            found += _numbered(f"{status.lower()}.ordinary_top", len(_ORDINARY_RATES) - 1, AmountKind.MONEY)
            found += _numbered(f"{status.lower()}.long_term_top", len(_LONG_TERM_RATES) - 1, AmountKind.MONEY)
            found.append(Named(f"{status.lower()}.loss_cap", AmountKind.MONEY))
            found.append(Named(f"{status.lower()}.investment_income_threshold", AmountKind.MONEY))
        found += _numbered("ordinary_rate", len(_ORDINARY_RATES), AmountKind.RATE)
        found += _numbered("long_term_rate", len(_LONG_TERM_RATES), AmountKind.RATE)
        return (*found, Named("investment_income_rate", AmountKind.RATE))

    def first_date(self, tax_year: int) -> date:
        """Return the first day of the calendar year."""
        return date(tax_year, 1, 1)

    def amounts(self, year: YearRules) -> Mapping[str, Decimal]:
        """Return a year's amounts by name."""
        found: dict[str, Decimal] = {}
        for status, each in year.items():
            name = status.lower()
            found |= {f"{name}.ordinary_top_{n}": top for n, top in enumerate(each.ordinary_tops, 1)}
            found |= {f"{name}.long_term_top_{n}": top for n, top in enumerate(each.long_term_tops, 1)}
            found[f"{name}.loss_cap"] = each.loss_cap
            found[f"{name}.investment_income_threshold"] = each.investment_income_threshold
        one = year[FilingStatus.SINGLE]
        found |= {f"ordinary_rate_{n}": rate for n, rate in enumerate(one.ordinary_rates, 1)}
        found |= {f"long_term_rate_{n}": rate for n, rate in enumerate(one.long_term_rates, 1)}
        return found | {"investment_income_rate": one.investment_income_rate}

    def year(self, amounts: Mapping[str, Decimal]) -> YearRules:
        """Return the year of checked amounts."""

        def numbered(name: str, count: int) -> tuple[Decimal, ...]:
            return tuple(amounts[f"{name}_{n}"] for n in range(1, count + 1))

        ordinary = numbered("ordinary_rate", len(_ORDINARY_RATES))
        long_term = numbered("long_term_rate", len(_LONG_TERM_RATES))
        return {
            status: StatusYear(
                numbered(f"{status.lower()}.ordinary_top", len(ordinary) - 1),
                numbered(f"{status.lower()}.long_term_top", len(long_term) - 1),
                amounts[f"{status.lower()}.loss_cap"],
                amounts[f"{status.lower()}.investment_income_threshold"],
                ordinary,
                long_term,
                amounts["investment_income_rate"],
            )
            for status in FilingStatus
        }


def _numbered(name: str, count: int, kind: AmountKind) -> list[Named]:
    return [Named(f"{name}_{n}", kind, after=f"{name}_{n - 1}" if n > 1 else "") for n in range(1, count + 1)]


TABLE = UnitedStatesTable(YEARS)
