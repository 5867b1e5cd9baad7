"""What does more income, or less of it, change of a year's tax, with the gains of the year on top of it?

Gains are taxed on top of other income, so money that comes out of a wrapper as income costs its own tax and may lift
the rates of the gains.

Sources:
    United States: 26 U.S.C. § 1(h), (j), § 1411: what comes out of an IRA is no net investment income (§ 1411(c)(5)),
    and counts for the threshold. The state's rate is taken for income as for gains.
    United Kingdom: `uk_income.py`.
    Canada: ITA s. 117 and the province's act, at the taxpayer's marginal rate.
"""

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

from services.decision.domain.problem import ZERO
from services.decision.domain.tax import uk_income
from services.decision.domain.tax.assessment.canada import Canada
from services.decision.domain.tax.assessment.history import cents
from services.decision.domain.tax.assessment.results import Assessment, TaxRules
from services.decision.domain.tax.assessment.united_kingdom import UnitedKingdom
from services.decision.domain.tax.assessment.united_states import UnitedStatesYear, income_tax


def with_income(rules: TaxRules, tax_year: int, income: Decimal) -> TaxRules:
    """Return the rules for a taxpayer with so much more other income in a tax year, below 0 for less.

    Raises:
        TaxYearUnknown: The allowance of the year is not known.
        ValueError: We do not know the country's tax on income.
    """
    match rules:
        case UnitedStatesYear():
            return replace(rules, ordinary_income=rules.ordinary_income + income)
        case UnitedKingdom():
            return replace(rules, taxable_income=uk_income.taxable_with(rules, tax_year, income))
        case Canada():
            return rules
        case _:
            raise ValueError(f"the tax on income in {rules.code} is not known")


def tax_of_income(rules: TaxRules, tax_year: int, income: Decimal) -> Decimal:
    """Return what `income`, 0 or more, on top of the other income costs by itself, gains left out, in whole cents.

    Raises:
        TaxYearUnknown: The bands of the year are not known.
        ValueError: We do not know the country's tax on income.
    """
    match rules:
        case UnitedStatesYear():
            year = rules.years[tax_year][rules.filing_status]
            more = rules.ordinary_income + income

            def others(of: Decimal) -> Fraction:
                over = max(min(rules.investment_income, of - year.investment_income_threshold), ZERO)
                return Fraction(over) * Fraction(year.investment_income_rate)

            federal = income_tax(more, ZERO, year) - income_tax(rules.ordinary_income, ZERO, year)
            state = Fraction(income) * Fraction(rules.state_rate)
            return cents(federal + others(more) - others(rules.ordinary_income) + state)
        case UnitedKingdom():
            return uk_income.tax_of(rules, tax_year, income)
        case Canada():
            return cents(Fraction(income) * Fraction(rules.marginal_rate))
        case _:
            raise ValueError(f"the tax on income in {rules.code} is not known")


def deduction_saves(rules: UnitedStatesYear, assessment: Assessment, deduction: Decimal) -> Decimal:
    """Return the federal income tax that a deduction from taxable income saves, 0 or more.

    The tax on net investment income is reckoned before deductions (§ 1411(d)), and states differ: neither counts here.
    """
    year = rules.years[assessment.tax_year][rules.filing_status]
    short, long = assessment.amount("net_short_term"), assessment.amount("net_long_term")
    gain = max(min(long, short + long), ZERO)
    others = (
        max(short + long - gain, ZERO) - assessment.amount("loss_deducted") + assessment.amount("ordinary_dividends")
    )
    gain += assessment.amount("qualified_dividends")
    ordinary = rules.ordinary_income + others
    return cents(income_tax(ordinary, gain, year) - income_tax(ordinary - deduction, gain, year))


def counted_income(rules: UnitedStatesYear, assessment: Assessment) -> Decimal:
    """Return the taxable income of the year with its gains, losses and dividends."""
    net = assessment.amount("net_gain")
    counted = net if net > 0 else -assessment.amount("loss_deducted")
    dividends = assessment.amount("ordinary_dividends") + assessment.amount("qualified_dividends")
    return rules.ordinary_income + counted + dividends
