"""Money from taxed accounts and wrappers: each figure by hand, and no split has less tax than the least."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.decision.domain.book import TaxWrapper
from services.decision.domain.tax import uk_income
from services.decision.domain.tax.assessment.canada import Canada
from services.decision.domain.tax.assessment.germany import Germany
from services.decision.domain.tax.assessment.history import Acquisition, History, TaxAccount
from services.decision.domain.tax.assessment.results import TaxYearUnknown
from services.decision.domain.tax.assessment.united_kingdom import UnitedKingdom
from services.decision.domain.tax.assessment.united_states import UnitedStatesYear
from services.decision.domain.tax.drawing import DrawingWish, Order, _Case, drawings
from services.decision.domain.tax.income import tax_of_income
from services.decision.domain.tax.projection import Scenario
from services.decision.domain.tax.situation import Situation
from services.decision.domain.tax.wrappers import Saver, Wrapped, wrapper_law

TODAY = date(2025, 11, 28)
FLAT = (Scenario(Decimal(0), 0),)
OLD_SAVER, YOUNG_SAVER = Saver(date(1960, 1, 1)), Saver(date(1990, 1, 1))
US = UnitedStatesYear(ordinary_income=Decimal(100_000))
IRA = Wrapped("IRA", TaxWrapper.DEFERRED, Decimal(50_000))
ROTH = Wrapped("ROTH", TaxWrapper.EXEMPT, Decimal(20_000), Decimal(5000), 2015)


def situation(*lots, rules=US):
    rows = tuple(
        Acquisition(f"l{number}", TODAY - timedelta(days=ago), "A", asset, Decimal(units), Decimal(cost))
        for number, (ago, units, cost, asset) in enumerate(lots)
    )
    accounts = TaxAccount("A"), TaxAccount("IRA", sheltered=True), TaxAccount("ROTH", sheltered=True)
    prices = {"VTI": Decimal(100), "BND": Decimal(50)}
    return Situation(History(accounts, rows), rules, 2025, TODAY, prices)


def ways(now, amount, *wrapped, saver=OLD_SAVER, scenarios=FLAT, **more):
    wish = DrawingWish(Decimal(amount), saver, wrapped, **more)
    return {each.order: each for each in drawings(now, now.explained(now.parcels), wish, scenarios).ways}


LOT = (900, 200, 12_000, "VTI")


def test_each_order_has_its_tax_by_hand():
    found = ways(situation(LOT), 10_000, IRA, ROTH)

    # 10,000 of income on 100,000: 3,350 at 22 %, the rest at 24 %.
    assert found[Order.DEFERRED_FIRST].tax == Decimal("2333.00")
    assert [(each.income, each.charge) for each in found[Order.DEFERRED_FIRST].drawn] == [(10_000, 0)]
    # Half of the lot: 4,000 of gain at 15 %.
    assert found[Order.TAXED_FIRST].tax == 600
    assert found[Order.EXEMPT_FIRST].tax == 0
    assert found[Order.LEAST_TAX].tax == 0
    assert {each.raised for each in found.values()} == {Decimal(10_000)}


def test_before_the_age_ten_percent_more_and_of_a_roth_only_what_was_paid_in_is_free():
    found = ways(situation(LOT), 10_000, IRA, ROTH, saver=YOUNG_SAVER)

    assert found[Order.DEFERRED_FIRST].tax == Decimal("3333.00")
    (roth,) = found[Order.EXEMPT_FIRST].drawn
    # 5,000 were paid in; of the rest 22, then 24 %, and 10 %: 3,350 * 0.22 + 1,650 * 0.24 + 500.
    assert (roth.income, roth.charge, found[Order.EXEMPT_FIRST].tax) == (5000, 500, Decimal("1633.00"))
    # 5,000 of it are free, and 5,000 of the lot gain 2,000.
    assert found[Order.LEAST_TAX].tax == 300
    assert (
        "10000.00 are raised" in found[Order.LEAST_TAX].sentence
        or "10000 are raised" in found[Order.LEAST_TAX].sentence
    )


def test_income_out_of_a_wrapper_lifts_the_rate_of_the_gains_of_the_year():
    # 40,000 of income leave 8,350 of the zero bracket for gains.
    low = UnitedStatesYear(ordinary_income=Decimal(40_000))
    found = ways(situation((900, 100, 2000, "VTI"), rules=low), 18_350, IRA)
    mixed = found[Order.TAXED_FIRST]

    # 10,000 by selling with 8,000 of gain; 8,350 of income at 12 % fill the zero bracket, so that all of the gain pays
    # 15 %.
    assert (mixed.income, mixed.tax) == (8350, Decimal("1002.00") + Decimal("1200.00"))


def test_what_is_left_in_a_wrapper_is_taxed_at_the_later_rate_and_followed_with_growth():
    found = ways(situation(LOT), 10_000, IRA, scenarios=(Scenario(Decimal("0.10"), 2),), later_rate=Decimal("0.25"))
    drawn = found[Order.DEFERRED_FIRST].projected[0]
    sold = found[Order.TAXED_FIRST].projected[0]

    # The lot grows to 24,200 with a gain of 12,200 at 15 %; 40,000 to 48,400, a quarter of it tax; 2,333 with growth.
    assert drawn.value == Decimal(24_200) + Decimal(48_400)
    assert drawn.taxes == Decimal(1830) + Decimal(12_100) + Decimal("2822.93")
    # Half the lot, 50,000 to 60,500, and 600 with growth.
    assert sold.after_tax == Decimal(72_600) - Decimal(915) - Decimal(15_125) - Decimal(726)
    assert found[Order.DEFERRED_FIRST].advantage[0] == drawn.after_tax - min(
        each.projected[0].after_tax for each in found.values()
    )


def test_contributions_from_taxed_income_come_out_of_an_ira_in_their_part():
    law = wrapper_law("US", TaxWrapper.DEFERRED)
    drawn = law.drawn(
        Wrapped("IRA", TaxWrapper.DEFERRED, Decimal(50_000), Decimal(10_000)), Decimal(5000), OLD_SAVER, TODAY
    )

    assert (drawn.income, drawn.charge, drawn.left.contributions) == (4000, 0, 9000)


@pytest.mark.parametrize(
    ("born", "early"), [(date(1966, 5, 28), False), (date(1966, 5, 29), True), (date(1966, 8, 31), True), (None, True)]
)
def test_59_and_a_half_is_reached_on_its_day(born, early):
    drawn = wrapper_law("US", TaxWrapper.DEFERRED).drawn(IRA, Decimal(1000), Saver(born), TODAY)

    assert bool(drawn.charge) is early


@pytest.mark.parametrize(
    ("day", "born", "charge"),
    [
        (date(2028, 4, 5), date(1972, 1, 1), 0),
        # From that day on 57.
        (date(2028, 4, 6), date(1972, 1, 1), 5500),
        (date(2025, 11, 28), date(1990, 1, 1), 5500),
    ],
)
def test_a_pension_before_its_age_is_charged_and_after_it_a_quarter_is_free(day, born, charge):
    pension = Wrapped("SIPP", TaxWrapper.DEFERRED, Decimal(50_000))
    drawn = wrapper_law("GB", TaxWrapper.DEFERRED).drawn(pension, Decimal(10_000), Saver(born), day)

    assert (drawn.charge, drawn.income) == (charge, 0 if charge else 7500)


def test_the_lump_sum_allowance_ends_what_is_free():
    pension = Wrapped("SIPP", TaxWrapper.DEFERRED, Decimal(50_000))
    saver = Saver(date(1960, 1, 1), Decimal(267_275))
    drawn = wrapper_law("GB", TaxWrapper.DEFERRED).drawn(pension, Decimal(10_000), saver, TODAY)

    assert (drawn.income, drawn.saver.tax_free_used) == (9000, Decimal(268_275))
    assert drawn.source == "ITEPA 2003 s. 637D, s. 579A"


def test_british_and_canadian_wrappers_cost_what_their_law_says():
    sipp, isa = (
        Wrapped("IRA", TaxWrapper.DEFERRED, Decimal(50_000)),
        Wrapped("ROTH", TaxWrapper.EXEMPT, Decimal(20_000)),
    )
    british = ways(situation(LOT, rules=UnitedKingdom(taxable_income=Decimal(30_000))), 12_000, sipp, isa)
    # 9,000 of income: 7,700 at 20 % and 1,300 at 40 %.
    assert british[Order.DEFERRED_FIRST].tax == 1540 + 520
    assert british[Order.EXEMPT_FIRST].tax == 0
    # 12,000 of 20,000 sold: 4,800 of gain, 3,000 exempt, at 18 %.
    assert british[Order.TAXED_FIRST].tax == 324

    canadian = ways(situation(LOT, rules=Canada(marginal_rate=Decimal("0.40"))), 10_000, sipp, isa)
    assert canadian[Order.DEFERRED_FIRST].tax == 4000
    assert canadian[Order.TAXED_FIRST].tax == 800
    assert canadian[Order.EXEMPT_FIRST].tax == 0


def test_a_wrapper_that_the_law_does_not_know_is_left_out_and_named():
    now = situation(LOT, rules=Germany())
    found = drawings(now, now.explained(now.parcels), DrawingWish(Decimal(10), OLD_SAVER, (IRA,)), FLAT)

    assert found.ways == ()
    assert found.review == ("account IRA: the law of DE knows no such wrapper, and it was left out",)


def test_an_owner_of_unknown_age_is_named_and_more_than_there_is_cannot_be_raised():
    now = situation(LOT)
    found = drawings(now, now.explained(now.parcels), DrawingWish(Decimal(10_000), Saver(), (IRA,)), FLAT)
    assert found.review == ("account IRA: its owner's age is unknown, and the traditional IRA was taken as before it",)

    assert ways(now, 71_000, IRA) == {}
    assert ways(now, 70_000, IRA)[Order.LEAST_TAX].raised == 70_000


def test_the_bands_of_income_are_those_of_the_year():
    british = UnitedKingdom(taxable_income=Decimal(125_140))
    assert tax_of_income(british, 2023, Decimal(1000)) == 450
    assert tax_of_income(british, 2022, Decimal(1000)) == 400
    # Until 2012 the additional rate was 50 % (Finance Act 2012 s. 1); of 2027 the table has no basic-rate band.
    for unknown in (2012, 2027, 2028):
        with pytest.raises(TaxYearUnknown):
            tax_of_income(british, unknown, Decimal(1000))
    band = british.years[2026]
    early = british.with_years({2012: band, 2013: band})
    assert tax_of_income(replace(early, taxable_income=Decimal(150_000)), 2013, Decimal(1000)) == 450
    with pytest.raises(TaxYearUnknown):
        tax_of_income(early, 2012, Decimal(1000))


def british(taxable, **more):
    return UnitedKingdom(taxable_income=Decimal(taxable), **more)


@pytest.mark.parametrize(
    ("taxable", "income", "year", "tax"),
    [
        # ITA 2007 s. 35(2): 100,000 of net income, 87,430 of it taxable; 10,000 more take 5,000 of the allowance away.
        (87_430, 10_000, 2025, "6000.00"),
        # Half of it is below 100,000.
        (82_430, 10_000, 2025, "5000.00"),
        # All of the allowance is gone from 125,140 on: 37,710 at 40 %, and 10,000 at 45 %.
        (87_430, 35_140, 2025, "19584.00"),
        (125_140, 10_000, 2025, "4500.00"),
        # s. 35(3): of 1 pound above, the half that is left of the allowance is rounded up: nothing is lost yet.
        (87_430, 1, 2025, "0.40"),
        (87_430, 2, 2025, "1.20"),
        # In 2020 the allowance was 12,500: 20,000 more take 10,000 of it away.
        (87_500, 20_000, 2020, "12000.00"),
    ],
)
def test_a_british_allowance_is_less_by_half_of_what_is_above_a_hundred_thousand(taxable, income, year, tax):
    assert tax_of_income(british(taxable), year, Decimal(income)) == Decimal(tax)


@pytest.mark.parametrize(
    ("taxable", "income", "year", "tax"),
    [
        # Deloitte for the BBC, 13 January 2026: a salary of 16,000 and of 33,000 in 2026 to 2027.
        (0, 3_430, 2026, "651.70"),
        (0, 20_430, 2026, "4081.07"),
        # 1,092 at 21 % and 8,908 at 42 %.
        (30_000, 10_000, 2025, "3970.68"),
        # 75,000 of net income and more: 45 %; above 100,000 67.5 %.
        (62_430, 1_000, 2025, "450.00"),
        (87_430, 10_000, 2025, "6750.00"),
        (125_140, 1_000, 2023, "470.00"),
        (125_140, 1_000, 2022, "410.00"),
    ],
)
def test_a_scottish_taxpayers_pension_is_taxed_at_scotlands_rates(taxable, income, year, tax):
    assert tax_of_income(british(taxable, scottish=True), year, Decimal(income)) == Decimal(tax)


def test_scottish_bands_change_no_tax_on_gains_and_a_year_without_them_is_refused():
    """TCGA 1992 s. 1H, s. 1I with Scotland Act 2016 s. 15(4)."""
    for taxable in (20_000, 30_000, 60_000):
        english, scottish = (
            situation(LOT, rules=british(taxable, scottish=each)).with_sales(situation(LOT).parcels)
            for each in (False, True)
        )
        assert english.tax == scottish.tax
    # Half of the pension's 12,000: the same gains, and income at 21 and 42 instead of 20 and 40 %.
    pension = Wrapped("IRA", TaxWrapper.DEFERRED, Decimal(50_000))
    found = ways(situation(LOT, rules=british(30_000, scottish=True)), 12_000, pension)
    assert found[Order.DEFERRED_FIRST].tax == Decimal("229.32") + Decimal("3321.36")
    assert found[Order.TAXED_FIRST].tax == 324
    with pytest.raises(TaxYearUnknown):
        tax_of_income(british(0, scottish=True), 2019, Decimal(1000))


def test_the_least_tax_stops_where_the_allowance_begins_to_go():
    # 90,000 of net income: 10,000 more at 40 %, then 60 %; the lot's gain is 24 % of 40 % of what it brings.
    now = situation((900, 400, 24_000, "VTI"), rules=british(77_430))
    pension = Wrapped("IRA", TaxWrapper.DEFERRED, Decimal(200_000))
    found = ways(now, 60_000, pension)

    assert found[Order.LEAST_TAX].tax <= min(each.tax for each in found.values())
    edges = uk_income.edges(now.rules, 2025)
    assert edges == (Decimal(10_000), Decimal(35_140))


money = st.integers(1, 400).map(lambda each: Decimal(each) * 100)
lots = st.lists(
    st.tuples(
        st.sampled_from([90, 900]), st.integers(10, 200), st.integers(100, 25_000), st.sampled_from(["VTI", "BND"])
    ),
    min_size=1,
    max_size=3,
)


@settings(max_examples=12)
@given(
    lots=lots,
    income=st.sampled_from([0, 30_000, 47_000, 95_000, 190_000, 240_000]),
    amount=money,
    ira=money,
    roth=money,
    paid_in=st.integers(0, 20_000),
    old=st.booleans(),
    shares=st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100)), min_size=3, max_size=3),
)
@example(lots=[LOT], income=47_000, amount=Decimal(20_000), ira=Decimal(40_000), roth=Decimal(1000), paid_in=500,
         old=True, shares=[(50, 50), (10, 0), (0, 100)])  # fmt: skip
def test_no_split_has_less_tax_than_the_least(lots, income, amount, ira, roth, paid_in, old, shares):
    now = situation(*lots, rules=UnitedStatesYear(ordinary_income=Decimal(income)))
    saver = OLD_SAVER if old else YOUNG_SAVER
    wrapped = (
        Wrapped("IRA", TaxWrapper.DEFERRED, ira),
        Wrapped("ROTH", TaxWrapper.EXEMPT, roth, Decimal(paid_in), 2015),
    )
    explained = now.explained(now.parcels)
    wish = DrawingWish(amount, saver, wrapped)
    found = {each.order: each for each in drawings(now, explained, wish, FLAT).ways}
    if not found:
        return
    least = found[Order.LEAST_TAX]
    # Parts of lots are in millionths of a unit: a cent or two.
    assert all(least.tax <= each.tax + Decimal("0.05") for each in found.values())
    assert abs(least.raised - amount) <= Decimal("0.02")
    case = _Case(now, explained, wish, FLAT)
    for of_ira, of_roth in shares:
        taken_ira = min(ira, amount * of_ira / 100).quantize(Decimal("0.01"))
        taken_roth = min(roth, (amount - taken_ira) * of_roth / 100).quantize(Decimal("0.01"))
        sold = amount - taken_ira - taken_roth
        if sold <= case.taxed:
            tax, _, _ = case.tax({"IRA": taken_ira, "ROTH": taken_roth}, sold)
            assert least.tax <= tax + Decimal("0.05")
