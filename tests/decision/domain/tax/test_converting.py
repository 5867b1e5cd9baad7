"""A traditional IRA turned into a Roth IRA: each figure by hand."""

from dataclasses import replace
from decimal import Decimal

import pytest

from services.decision.domain.book import TaxWrapper
from services.decision.domain.tax.assessment.united_kingdom import UnitedKingdom
from services.decision.domain.tax.converting import conversions
from services.decision.domain.tax.drawing import DrawingWish
from services.decision.domain.tax.projection import Scenario
from tests.decision.domain.tax.test_drawing import IRA, LOT, OLD_SAVER, ROTH, US, YOUNG_SAVER, situation

D = Decimal
TEN_YEARS = Scenario(D(0), 10)


def found(*wrapped, saver=OLD_SAVER, rules=US, scenario=TEN_YEARS, later="0.32"):
    wish = DrawingWish(D(0), saver, wrapped, D(later))
    return {each.amount: each for each in conversions(situation(rules=rules), wish, (scenario,))}


def test_each_bracket_is_filled_and_all_is_tried_at_the_years_own_tax():
    made = found(IRA)

    # 3,350 are left of the 22 % bracket, and 50,000 end within that of 24 %.
    assert list(made) == [50_000, 3_350]
    assert [(each.income, each.tax) for each in made.values()] == [(50_000, D("11933.00")), (3_350, D("737.00"))]
    # 32 % later against 22 or 24 % now: 16,000 against 11,933, and 1,072 against 737.
    assert [each.advantage for each in made.values()] == [(D("4067.00"),), (D("335.00"),)]
    assert (made[D(3_350)].account_id, made[D(3_350)].into) == ("IRA", "")
    assert made[D(3_350)].sentence == (
        "3350.00 of IRA go into a new Roth IRA: 3350.00 of income, which adds 737.00 to this year's tax, and what "
        "comes out later is untaxed (26 U.S.C. § 408A(d)(3)(A))."
    )


def test_a_conversion_at_a_dearer_rate_than_later_costs():
    assert found(IRA, later="0.20")[D(50_000)].advantage == (D("10000") - D("11933"),)


def test_growth_is_untaxed_afterwards_and_this_years_tax_would_have_grown_too():
    one = found(IRA, scenario=Scenario(D("0.10"), 10))[D(3_350)]

    # 1.1 ** 10 = 2.5937424601: 737 have grown to 1,911.59, 50,000 to 129,687.12, of which 32 % are 41,499.88; 46,650 to
    # 120,998.09, of which 32 % are 38,719.39, and 3,350 to 8,689.04.
    assert one.advantage == (
        D("120998.09") - D("38719.39") + D("8689.04") - D("1911.59") - (D("129687.12") - D("41499.88")),
    )


def test_income_lifts_the_gains_of_the_year():
    low = replace(US, ordinary_income=D(40_000))
    # The year gained 8,000 long-term, which the zero bracket up to 48,350 holds: 8,475 more of income put 8,125 of them
    # above it: at 10 and 12 % of income, and 15 % of gain.
    sold = situation(LOT, rules=low)
    year = sold.with_sales(sold.parcels)
    wish = DrawingWish(D(0), OLD_SAVER, (IRA,), D("0.32"))
    made = {each.amount: each for each in conversions(year, wish, (TEN_YEARS,))}

    # 8,475 at 12 %, and of 8,000 of gain 350 + ... : all that lies above 48,350 less 48,475.
    assert made[D(8_475)].tax == D("1017.00") + D("1200.00")


def test_contributions_from_taxed_income_are_no_income_and_existing_roth_accounts_take_it_in():
    ira = replace(IRA, contributions=D(10_000))
    made = found(ira, ROTH)

    # A fifth of what is converted was taxed before: 3,350 of income are 4,187.50.
    assert [(each.amount, each.income, each.into) for each in made.values()] == [
        (50_000, 40_000, "ROTH"), (D("4187.50"), 3_350, "ROTH"),
    ]  # fmt: skip


@pytest.mark.parametrize(("years", "charge"), [(2, "335.00"), (4, "335.00"), (5, "0"), (10, "0")])
def test_before_59_and_a_half_what_leaves_within_five_years_costs_a_tenth_after_all(years, charge):
    one = found(IRA, saver=YOUNG_SAVER, scenario=Scenario(D(0), years))[D(3_350)]

    # Left as it is, the IRA costs 32 and 10 %.
    assert one.advantage == (D("1072.00") + D("335.00") - D("737.00") - D(charge),)


def test_nothing_is_converted_elsewhere_or_where_there_is_no_traditional_ira():
    assert found(IRA, rules=UnitedKingdom()) == {}
    assert found(ROTH) == {}
    assert found(replace(IRA, value=D(0), kind=TaxWrapper.DEFERRED)) == {}
