"""What Congress and the Treasury set for each year: brackets, thresholds and the cap on losses, as dated data.

Sources: 26 U.S.C. § 1(h), § 1(j), § 1211(b), § 1411; amounts of 2022: Rev. Proc. 2021-45 sections 3.01 and 3.03; of
2023: Rev. Proc. 2022-38 sections 3.01 and 3.03; of 2024: Rev. Proc. 2023-34 sections 3.01 and 3.03; of 2025: Rev. Proc.
2024-40 sections 2.01 and 2.03; of 2026: Rev. Proc. 2025-32 sections 4.01 and 4.03.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


class FilingStatus(StrEnum):
    """How the taxpayer files."""

    SINGLE = "SINGLE"
    MARRIED_JOINT = "MARRIED_JOINT"
    MARRIED_SEPARATE = "MARRIED_SEPARATE"
    HEAD_OF_HOUSEHOLD = "HEAD_OF_HOUSEHOLD"


# 26 U.S.C. § 1(j)(2): the rates between the tops of the brackets, and above the last.
ORDINARY_RATES = tuple(Decimal(rate) for rate in ("0.10", "0.12", "0.22", "0.24", "0.32", "0.35", "0.37"))
# 26 U.S.C. § 1(h)(1).
LONG_TERM_RATES = (Decimal(0), Decimal("0.15"), Decimal("0.20"))
# 26 U.S.C. § 1411(a), (b): the thresholds are not indexed.
INVESTMENT_INCOME_RATE = Decimal("0.038")


@dataclass(frozen=True, slots=True)
class StatusYear:
    """The amounts of one year and filing status, in dollars.

    Attributes:
        ordinary_tops: Taxable income at which each bracket but the last ends.
        long_term_tops: Taxable income up to which long-term gain is taxed at 0 and at 15 %.
    """

    ordinary_tops: tuple[Decimal, ...]
    long_term_tops: tuple[Decimal, Decimal]


@dataclass(frozen=True, slots=True)
class StatusRules:
    """The amounts of a filing status that no year changes, in dollars."""

    loss_cap: Decimal
    investment_income_threshold: Decimal


def _year(ordinary: tuple[int, ...], long_term: tuple[int, int]) -> StatusYear:
    tops = tuple(Decimal(top) for top in ordinary)
    return StatusYear(tops, (Decimal(long_term[0]), Decimal(long_term[1])))


# 26 U.S.C. § 1211(b)(1): 3,000, half of it for the married who file separately; § 1411(b).
STATUSES: dict[FilingStatus, StatusRules] = {
    FilingStatus.SINGLE: StatusRules(Decimal(3000), Decimal(200_000)),
    FilingStatus.MARRIED_JOINT: StatusRules(Decimal(3000), Decimal(250_000)),
    FilingStatus.MARRIED_SEPARATE: StatusRules(Decimal(1500), Decimal(125_000)),
    FilingStatus.HEAD_OF_HOUSEHOLD: StatusRules(Decimal(3000), Decimal(200_000)),
}

YEARS: dict[int, dict[FilingStatus, StatusYear]] = {
    2022: {
        FilingStatus.SINGLE: _year((10_275, 41_775, 89_075, 170_050, 215_950, 539_900), (41_675, 459_750)),
        FilingStatus.MARRIED_JOINT: _year((20_550, 83_550, 178_150, 340_100, 431_900, 647_850), (83_350, 517_200)),
        FilingStatus.MARRIED_SEPARATE: _year((10_275, 41_775, 89_075, 170_050, 215_950, 323_925), (41_675, 258_600)),
        FilingStatus.HEAD_OF_HOUSEHOLD: _year((14_650, 55_900, 89_050, 170_050, 215_950, 539_900), (55_800, 488_500)),
    },
    2023: {
        FilingStatus.SINGLE: _year((11_000, 44_725, 95_375, 182_100, 231_250, 578_125), (44_625, 492_300)),
        FilingStatus.MARRIED_JOINT: _year((22_000, 89_450, 190_750, 364_200, 462_500, 693_750), (89_250, 553_850)),
        FilingStatus.MARRIED_SEPARATE: _year((11_000, 44_725, 95_375, 182_100, 231_250, 346_875), (44_625, 276_900)),
        FilingStatus.HEAD_OF_HOUSEHOLD: _year((15_700, 59_850, 95_350, 182_100, 231_250, 578_100), (59_750, 523_050)),
    },
    2024: {
        FilingStatus.SINGLE: _year((11_600, 47_150, 100_525, 191_950, 243_725, 609_350), (47_025, 518_900)),
        FilingStatus.MARRIED_JOINT: _year((23_200, 94_300, 201_050, 383_900, 487_450, 731_200), (94_050, 583_750)),
        FilingStatus.MARRIED_SEPARATE: _year((11_600, 47_150, 100_525, 191_950, 243_725, 365_600), (47_025, 291_850)),
        FilingStatus.HEAD_OF_HOUSEHOLD: _year((16_550, 63_100, 100_500, 191_950, 243_700, 609_350), (63_000, 551_350)),
    },
    2025: {
        FilingStatus.SINGLE: _year((11_925, 48_475, 103_350, 197_300, 250_525, 626_350), (48_350, 533_400)),
        FilingStatus.MARRIED_JOINT: _year((23_850, 96_950, 206_700, 394_600, 501_050, 751_600), (96_700, 600_050)),
        FilingStatus.MARRIED_SEPARATE: _year((11_925, 48_475, 103_350, 197_300, 250_525, 375_800), (48_350, 300_000)),
        FilingStatus.HEAD_OF_HOUSEHOLD: _year((17_000, 64_850, 103_350, 197_300, 250_500, 626_350), (64_750, 566_700)),
    },
    2026: {
        FilingStatus.SINGLE: _year((12_400, 50_400, 105_700, 201_775, 256_225, 640_600), (49_450, 545_500)),
        FilingStatus.MARRIED_JOINT: _year((24_800, 100_800, 211_400, 403_550, 512_450, 768_700), (98_900, 613_700)),
        FilingStatus.MARRIED_SEPARATE: _year((12_400, 50_400, 105_700, 201_775, 256_225, 384_350), (49_450, 306_850)),
        FilingStatus.HEAD_OF_HOUSEHOLD: _year((17_700, 67_450, 105_700, 201_750, 256_200, 640_600), (66_200, 579_600)),
    },
}
