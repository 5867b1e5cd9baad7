"""The United Kingdom's tax on income that comes on top of other income, as money out of a pension does.

Sources:
    Bands and rates: Income Tax Act 2007 s. 10, s. 6 (20, 40 and 45 %, these since 2013 by Finance Act 2012 s. 1(2));
    Finance Act 2009 Sch. 2 para. 4 (150,000), Finance Act 2023 s. 6 (125,140 from 2023).
    Personal allowance: Income Tax Act 2007 s. 35(1) as it was set for the year; above 100,000 of adjusted net income it
    is less by half of what is above (s. 35(2)), what is left rounded up to whole pounds (s. 35(3)).
    Scottish taxpayers: Scotland Act 1998 s. 80C, Income Tax Act 2007 s. 11A: the rates that the Scottish Parliament's
    rate resolution of the year sets for income that is neither savings nor dividends, above the same allowance; bands
    as the Scottish Government publishes them (Scottish Income Tax: rates and bands), of 2026 as its budget of 13
    January 2026 says. Rates on gains do not follow: for TCGA 1992 s. 1H and s. 1I a Scottish taxpayer is taken as if
    not one (Scotland Act 2016 s. 15(4), then s. 4(10)), so gains use the basic rate band of Income Tax Act 2007 s. 10.

Our readings: the personal allowance is the only one that was taken off `taxable_income`, so that adjusted net income
follows from it, and it is used up. A Scottish taxpayer's other income is taken as neither savings nor dividends. Rates
of Wales (Government of Wales Act 2006 s. 116D) have been those of England since there are any.
"""

import math
from decimal import Decimal
from fractions import Fraction

from services.decision.domain.brackets import Scale
from services.decision.domain.problem import ZERO
from services.decision.domain.tax.assessment.history import cents
from services.decision.domain.tax.assessment.results import check_year
from services.decision.domain.tax.assessment.united_kingdom import UnitedKingdom
from services.decision.domain.tax.dated import in_force

# The rates, and above which taxable income the last one counts, from a tax year on.
RATES = tuple(Decimal(rate) for rate in ("0.20", "0.40", "0.45"))
HIGHER_LIMITS = {2013: Decimal(150_000), 2023: Decimal(125_140)}
# The last tax year whose limit is known; it is fixed until then (Finance Act 2023 s. 6(4)).
LIMIT_KNOWN_UNTIL = 2027
# From a tax year on.
PERSONAL_ALLOWANCES = {
    2013: Decimal(9_440),
    2014: Decimal(10_000),
    2015: Decimal(10_600),
    2016: Decimal(11_000),
    2017: Decimal(11_500),
    2018: Decimal(11_850),
    2019: Decimal(12_500),
    2021: Decimal(12_570),
}
TAPER_FROM = Decimal(100_000)


def _scottish(tops: tuple[int, ...], *rates: str) -> Scale:
    return Scale(tuple(Decimal(each) for each in tops), tuple(Decimal(each) for each in rates))


# Of taxable income, by tax year.
SCOTTISH = {
    2020: _scottish((2_085, 12_658, 30_930, 150_000), "0.19", "0.20", "0.21", "0.41", "0.46"),
    2021: _scottish((2_097, 12_726, 31_092, 150_000), "0.19", "0.20", "0.21", "0.41", "0.46"),
    2022: _scottish((2_162, 13_118, 31_092, 150_000), "0.19", "0.20", "0.21", "0.41", "0.46"),
    2023: _scottish((2_162, 13_118, 31_092, 125_140), "0.19", "0.20", "0.21", "0.42", "0.47"),
    2024: _scottish((2_306, 13_991, 31_092, 62_430, 125_140), "0.19", "0.20", "0.21", "0.42", "0.45", "0.48"),
    2025: _scottish((2_827, 14_921, 31_092, 62_430, 125_140), "0.19", "0.20", "0.21", "0.42", "0.45", "0.48"),
    2026: _scottish((3_967, 16_956, 31_092, 62_430, 125_140), "0.19", "0.20", "0.21", "0.42", "0.45", "0.48"),
}


def scale_of(rules: UnitedKingdom, tax_year: int) -> Scale:
    """Return the rates on taxable income.

    Raises:
        TaxYearUnknown: The bands of the year are not known.
    """
    check_year("GB", tax_year, dict.fromkeys(range(min(HIGHER_LIMITS), LIMIT_KNOWN_UNTIL + 1)))
    check_year("GB", tax_year, rules.years)
    if rules.scottish:
        check_year("GB", tax_year, SCOTTISH)
        return SCOTTISH[tax_year]
    return Scale((rules.years[tax_year].basic_rate_band, in_force(HIGHER_LIMITS, tax_year)), RATES)


def taxable_with(rules: UnitedKingdom, tax_year: int, income: Decimal) -> Decimal:
    """Return the taxable income when `income`, below 0 for less, comes on top: more than both above 100,000.

    Raises:
        TaxYearUnknown: The allowance of the year is not known.
    """
    before = _net_income(rules.taxable_income, tax_year)
    more = _taxable(before + Fraction(income), tax_year) - _taxable(before, tax_year)
    return max(rules.taxable_income + cents(more), ZERO)


def tax_of(rules: UnitedKingdom, tax_year: int, income: Decimal) -> Decimal:
    """Return what `income` on top of the other income costs, with the allowance that it takes away, in whole cents.

    Raises:
        TaxYearUnknown: The bands of the year are not known.
    """
    scale = scale_of(rules, tax_year)
    return cents(Fraction(scale.tax(taxable_with(rules, tax_year, income)) - scale.tax(rules.taxable_income)))


def edges(rules: UnitedKingdom, tax_year: int) -> tuple[Decimal, ...]:
    """Return the amounts of more income, above 0, at which the next pound is taxed at another rate, ascending.

    Raises:
        TaxYearUnknown: The bands of the year are not known.
    """
    before, allowance = _net_income(rules.taxable_income, tax_year), Fraction(_allowance(tax_year))
    ends = [_net_income(top, tax_year) for top in scale_of(rules, tax_year).tops]
    ends += [Fraction(TAPER_FROM), Fraction(TAPER_FROM) + 2 * allowance]
    return tuple(sorted({cents(end - before) for end in ends if end > before}))


def _allowance(tax_year: int) -> Decimal:
    check_year("GB", tax_year, dict.fromkeys(range(min(PERSONAL_ALLOWANCES), LIMIT_KNOWN_UNTIL + 1)))
    return in_force(PERSONAL_ALLOWANCES, tax_year)


def _taxable(net_income: Fraction, tax_year: int) -> Fraction:
    """Return an income less the allowance that it leaves."""
    left = Fraction(_allowance(tax_year)) - max(net_income - Fraction(TAPER_FROM), Fraction(0)) / 2
    return net_income - math.ceil(max(left, Fraction(0)))


def _net_income(taxable: Decimal, tax_year: int) -> Fraction:
    """Return the adjusted net income of a taxable income, the rounding of the allowance left out."""
    allowance, said = Fraction(_allowance(tax_year)), Fraction(taxable)
    whole, gone = Fraction(TAPER_FROM), Fraction(TAPER_FROM) + 2 * allowance
    if said <= whole - allowance:
        return said + allowance
    # T = A − (allowance − (A − 100,000) / 2).
    return said if said >= gone else (said + allowance + whole / 2) * Fraction(2, 3)
