"""Giving lots or money: each figure by hand, by the law of its year."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest

from services.decision.domain.tax.assessment.canada import Canada
from services.decision.domain.tax.assessment.germany import Germany
from services.decision.domain.tax.assessment.history import Acquisition, History, Recipient, TaxAccount
from services.decision.domain.tax.assessment.results import TaxYearUnknown
from services.decision.domain.tax.assessment.united_kingdom import UnitedKingdom
from services.decision.domain.tax.assessment.united_states import UnitedStatesYear
from services.decision.domain.tax.giving import GiftWay, GiftWish, givings
from services.decision.domain.tax.projection import Scenario
from services.decision.domain.tax.situation import Situation

TODAY = date(2025, 11, 28)
FLAT = (Scenario(Decimal(0), 0),)
# 300,000 of income: the 35 % bracket, long-term gains at 15 and 3.8 %.
HIGH = UnitedStatesYear(ordinary_income=Decimal(300_000))


def situation(*lots, rules=HIGH, today=TODAY):
    rows = tuple(
        Acquisition(name, today - timedelta(days=ago), "A", asset, Decimal(units), Decimal(cost))
        for name, ago, units, cost, asset in lots
    )
    prices = {"VTI": Decimal(100), "BND": Decimal(50)}
    return Situation(History((TaxAccount("A"),), rows), rules, today.year, today, prices)


def given(now, amount, recipient=Recipient.CHARITY, scenarios=FLAT, **more):
    wish = GiftWish(Decimal(amount), recipient, **more)
    return {each.way: each for each in givings(now, now.explained(now.parcels), wish, scenarios)}


OLD = ("old", 900, 100, 2000, "VTI")
NEW = ("new", 90, 100, 5000, "VTI")
LOST = ("lost", 900, 100, 6000, "BND")


def test_a_long_term_lot_given_to_a_charity_bears_no_tax_and_is_deducted_at_its_worth():
    both = given(situation(OLD), 10_000, itemized=True)
    lots, money = both[GiftWay.GIVE_LOTS], both[GiftWay.SELL_AND_GIVE]

    # A gain of 8,000 at 18.8 %; 10,000 are deducted at 35 % either way.
    assert (lots.tax, money.tax) == (0, Decimal("1504.00"))
    assert (lots.deducted, lots.saved, lots.carried) == (10_000, 3500, 0)
    assert (money.deducted, money.saved) == (10_000, 3500)
    assert lots.advantage == (Decimal("1504.00"),)
    assert money.advantage == (0,)
    assert lots.source == "26 U.S.C. § 170(e)"
    assert lots.sentence == (
        "Giving lots worth 10000.00 adds 0.00 to this year's tax (26 U.S.C. § 170(e)); 10000.00 are deducted this "
        "year, which saves 3500.00."
    )


def test_lots_are_deducted_up_to_thirty_percent_of_income_money_up_to_sixty_and_the_rest_is_carried():
    both = given(situation(OLD), 10_000, itemized=True, gross_income=Decimal(15_000))
    lots, money = both[GiftWay.GIVE_LOTS], both[GiftWay.SELL_AND_GIVE]

    # 30 % of 15,000 this year and in the next; then what is left of 10,000.
    assert (lots.deducted, lots.carried, lots.saved) == (4500, 5500, 1575)
    # Its sale makes 8,000 of gain, which is income: 60 % of 23,000 are more than 10,000.
    assert (money.deducted, money.carried) == (10_000, 0)


def test_what_is_carried_saves_tax_at_the_end_of_its_year_and_after_five_years_no_more():
    poor = {"itemized": True, "gross_income": Decimal(3000)}
    now = given(situation(OLD), 10_000, **poor)[GiftWay.GIVE_LOTS]
    later = given(situation(OLD), 10_000, scenarios=(Scenario(Decimal(0), 10),), **poor)[GiftWay.GIVE_LOTS]

    # 900 a year: this year and five more.
    assert (now.deducted, now.carried) == (900, 4500)
    assert now.projected[0].taxes == -315
    assert later.projected[0].taxes == -6 * 315


def test_from_2026_on_a_floor_and_the_highest_bracket_take_their_part():
    day = date(2026, 11, 28)
    rich = UnitedStatesYear(ordinary_income=Decimal(800_000))
    lots = given(situation(OLD, rules=rich, today=day), 10_000, itemized=True)[GiftWay.GIVE_LOTS]

    # 0.5 % of 800,000 do not count; of the 6,000 that do, at 37 %, two of 37 parts save nothing: 35 %.
    assert (lots.deducted, lots.saved) == (6000, Decimal("2100.00"))


def test_what_the_floor_takes_is_carried_from_a_year_with_a_gift_above_the_limit():
    now = situation(OLD, today=date(2026, 11, 28))
    lots = given(now, 10_000, itemized=True, gross_income=Decimal(10_000))[GiftWay.GIVE_LOTS]

    # 30 % of 10,000, of which 0.5 % do not count; carried are 7,000 and these 50 (26 U.S.C. § 170(d)(1)(C)).
    # In the years after, 3,000, 3,000 and 1,050 are taken, of each of which 50 do not count.
    assert (lots.deducted, lots.carried) == (2950, 2950 + 2950 + 1000)


def test_nothing_is_deducted_where_the_taxpayer_does_not_itemize():
    lots = given(situation(OLD), 10_000)[GiftWay.GIVE_LOTS]

    assert (lots.deducted, lots.saved, lots.advantage) == (0, 0, (Decimal("1504.00"),))


def test_a_charity_gets_no_short_term_lot_and_nobody_one_with_a_loss():
    assert given(situation(NEW, LOST), 1000) == {}
    assert given(situation(NEW), 1000, Recipient.PERSON)[GiftWay.GIVE_LOTS].parcels[0].lot_id == "new"


def test_the_receiver_takes_over_cost_and_gain_of_a_lot_and_pays_the_tax_at_an_own_rate():
    both = given(situation(OLD), 10_000, Recipient.PERSON, receiver_rate=Decimal("0.10"))
    lots, money = both[GiftWay.GIVE_LOTS], both[GiftWay.SELL_AND_GIVE]

    # Of 8,000 the giver would pay 18.8 %, the receiver pays 10 %.
    assert (lots.received, money.received) == ((Decimal("9200.00"),), (10_000,))
    assert lots.advantage == (Decimal("704.00"),)
    assert (lots.reportable, lots.deducted) == (0, 0)


@pytest.mark.parametrize(("year", "reportable"), [(2021, 5000), (2022, 4000), (2023, 3000), (2024, 2000), (2026, 1000)])
def test_what_one_person_gets_above_the_year_s_exclusion_is_reported(year, reportable):
    now = situation(("old", 900, 300, 2000, "VTI"), today=date(year, 11, 28))

    assert given(now, 20_000, Recipient.PERSON)[GiftWay.GIVE_LOTS].reportable == reportable


def test_a_year_whose_exclusion_nobody_knows_is_refused():
    years = {**HIGH.years, 2030: HIGH.years[2026]}
    now = situation(OLD, rules=replace(HIGH, years=years), today=date(2030, 11, 28))

    with pytest.raises(TaxYearUnknown):
        given(now, 1000, Recipient.PERSON)


@pytest.mark.parametrize(
    ("rules", "recipient", "spared", "source"),
    [
        # 8,000 of gain, 3,000 of it exempt, at 24 %.
        (UnitedKingdom(taxable_income=Decimal(60_000)), Recipient.CHARITY, "1200.00", "TCGA 1992 s. 257"),
        # At its worth: as a sale.
        (UnitedKingdom(taxable_income=Decimal(60_000)), Recipient.PERSON, "0.00", "TCGA 1992 s. 17, s. 18(3)"),
        # Half of 8,000 at 40 %.
        (Canada(marginal_rate=Decimal("0.40")), Recipient.CHARITY, "1600.00", "ITA s. 38(a.1)"),
        (Canada(marginal_rate=Decimal("0.40")), Recipient.PERSON, "0.00", "ITA s. 69(1)(b)"),
        # 7,000 above the allowance at 26.375 %.
        (Germany(), Recipient.CHARITY, "1846.25", "EStG § 20 Abs. 4 Satz 6"),
    ],
)
def test_every_country_judges_a_gift_by_its_own_rules(rules, recipient, spared, source):
    both = given(situation(OLD, rules=rules), 10_000, recipient)
    lots, money = both[GiftWay.GIVE_LOTS], both[GiftWay.SELL_AND_GIVE]

    assert money.tax - lots.tax == Decimal(spared)
    assert lots.source == source


def test_the_worth_is_met_by_a_part_of_the_last_lot_and_is_at_most_what_there_is():
    half = given(situation(OLD), 5000)
    assert [each.parcels[0].quantity for each in half.values()] == [50, 50]
    assert given(situation(OLD), 50_000)[GiftWay.GIVE_LOTS].value == 10_000
