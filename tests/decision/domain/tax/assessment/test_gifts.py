"""Gifts, deaths, mergers with money and moves into wrappers, by the figures of each law's own examples."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from services.decision.domain.asset_kinds import AssetKind
from services.decision.domain.tax.assessment.canada import Canada
from services.decision.domain.tax.assessment.forms import form_rows
from services.decision.domain.tax.assessment.germany import Germany
from services.decision.domain.tax.assessment.history import (
    CostChange,
    Gift,
    Giver,
    History,
    Owner,
    Receipt,
    Recipient,
    Reorganization,
    TaxAccount,
    Transfer,
)
from services.decision.domain.tax.assessment.results import Term
from services.decision.domain.tax.assessment.settling import EventNotCovered
from services.decision.domain.tax.assessment.united_kingdom import UnitedKingdom
from services.decision.domain.tax.assessment.united_states import UnitedStatesYear
from services.kernel.errors import Invalid
from tests.decision.domain.tax.assessment.histories import TODAY, bought, sold

US, GB, CA, DE = UnitedStatesYear(), UnitedKingdom(), Canada(), Germany(kinds={"ACME": AssetKind.SHARE})
ACCOUNTS = (TaxAccount("A"), TaxAccount("SHELTER", sheltered=True), TaxAccount("SPOUSE", Owner.AFFILIATED))
LOT = bought("l", "2023-01-10", "A", "100", "1000")


def year(rules, tax_year=2025, **rows):
    return rules.assess(History(ACCOUNTS, **rows).checked(TODAY), tax_year)


def received(day="2025-03-03", value="800", cost="1000", giver=Giver.PERSON, giver_date=date(2020, 5, 1)):
    known = None if cost is None else Decimal(cost)
    return Receipt(
        "r", date.fromisoformat(day), "A", "ACME", Decimal(100), Decimal(value), giver, known, giver_date
    )  # fmt: skip


def given(recipient, day="2025-03-03", units="100", value="1500"):
    return Gift("g", date.fromisoformat(day), "A", "ACME", Decimal(units), Decimal(value), recipient)


# 26 CFR § 1.1015-1(a)(2): a gift that had cost 1,000 and is worth 800: sold for more than 1,000, for less than 800,
# and between both, when neither gain nor loss is made.
@pytest.mark.parametrize(
    ("proceeds", "gain", "term"), [("1200", 200, Term.LONG), ("700", -100, Term.SHORT), ("900", 0, Term.LONG)]
)
def test_a_gift_worth_less_than_it_cost_has_two_costs(proceeds, gain, term):
    got = year(US, receipts=(received(),), disposals=(sold("s", "2025-06-02", "A", "100", proceeds),))

    (piece,) = got.disposals[0].pieces
    assert (piece.counted_gain, piece.term) == (gain, term)
    assert got.permanently_lost == {200: 0, -100: 200, 0: 100}[gain]


def test_a_spouses_gift_has_one_cost_and_the_spouses_time():
    receipts = (received(giver=Giver.SPOUSE),)
    got = year(US, receipts=receipts, disposals=(sold("s", "2025-06-02", "A", "100", "700"),))

    assert (got.disposals[0].counted_gain, got.disposals[0].pieces[0].term) == (-300, Term.LONG)


def test_an_inheritance_costs_what_it_was_worth_and_is_long_term_from_the_first_day():
    receipts = (received(value="1500", giver=Giver.ESTATE),)
    got = year(US, receipts=receipts, disposals=(sold("s", "2025-03-04", "A", "100", "1600"),))

    assert (got.disposals[0].counted_gain, got.disposals[0].pieces[0].term) == (100, Term.LONG)


def test_what_is_received_replaces_nothing_that_is_sold_at_a_loss():
    sale = sold("s", "2025-03-10", "A", "100", "600")
    for giver in Giver:
        got = year(US, acquisitions=(LOT,), receipts=(received(giver=giver),), disposals=(sale,))
        assert got.disposals[0].counted_gain == -400
        canadian = year(CA, acquisitions=(LOT,), receipts=(received(giver=giver),), disposals=(sale,))
        assert canadian.disposals[0].pieces[0].disallowed_loss == 0


@pytest.mark.parametrize("rules", [US, GB, CA, DE], ids=lambda each: type(each).__name__)
def test_a_giver_whose_cost_nobody_knows_counts_as_nothing_paid_where_it_matters(rules):
    receipts = (received(cost=None, giver=Giver.SPOUSE),)
    got = year(rules, receipts=receipts, disposals=(sold("s", "2025-06-02", "A", "100", "700"),))

    assert got.disposals[0].counted_gain == 700
    assert got.review == ("lot r: its cost is unknown and was taken as 0",)


# What 100 units that cost 1,000 and are worth 1,500, or 600, come to when they are given: gain, and loss that counts.
@pytest.mark.parametrize(
    ("rules", "recipient", "gain", "loss"),
    [
        (US, Recipient.PERSON, 0, 0),
        (US, Recipient.CHARITY, 0, 0),
        (US, Recipient.HEIRS, 0, 0),
        (GB, Recipient.PERSON, 500, 0),
        (GB, Recipient.SPOUSE, 0, 0),
        (GB, Recipient.CHARITY, 0, 0),
        (GB, Recipient.HEIRS, 0, 0),
        (CA, Recipient.PERSON, 500, -400),
        (CA, Recipient.SPOUSE, 0, 0),
        (CA, Recipient.CHARITY, 0, -400),
        (CA, Recipient.HEIRS, 500, -400),
        (DE, Recipient.PERSON, 0, 0),
        (DE, Recipient.HEIRS, 0, 0),
    ],
)
def test_what_is_given_counts_as_the_givers_law_says(rules, recipient, gain, loss):
    at_gain = year(rules, acquisitions=(LOT,), gifts=(given(recipient),))
    at_loss = year(rules, acquisitions=(LOT,), gifts=(given(recipient, value="600"),))

    assert [each.counted_gain for each in at_gain.disposals] == [gain]
    assert [each.counted_gain for each in at_loss.disposals] == [loss]
    assert at_gain.remaining == at_loss.remaining == ()
    # What is none to the tax is on no form.
    rows = [row for row in form_rows(at_gain) if row.form in ("8949", "Schedule 3") and row.sold_date]
    assert bool(rows) is (type(rules) is Canada and recipient is not Recipient.SPOUSE)


def test_no_loss_on_death_is_superficial():
    again = bought("again", "2025-03-10", "SPOUSE", "100", "600")

    dead = year(CA, acquisitions=(LOT, again), gifts=(given(Recipient.HEIRS, value="600"),))
    alive = year(CA, acquisitions=(LOT, again), gifts=(given(Recipient.PERSON, value="600"),))
    assert (dead.disposals[0].counted_gain, alive.disposals[0].counted_gain) == (-400, 0)


def test_what_is_sold_and_given_on_one_day_shares_the_cost_by_units():
    lots = (bought("l", "2023-01-10", "A", "100", "1000"), bought("m", "2025-03-10", "A", "50", "900"))
    got = year(
        GB, acquisitions=lots, disposals=(sold("s", "2025-03-03", "A", "60", "900"),), tax_year=2024,
        gifts=(given(Recipient.SPOUSE, units="40"),),
    )  # fmt: skip

    # 50 of the 100 that left meet the purchase of 900, the rest the pool's 500: 1,400, of which the sale bears 60 %.
    gains = {each.disposal_ids: each.counted_gain for each in got.disposals}
    assert gains == {("s",): 900 - 840, ("g",): 0}
    assert sum(piece.cost for each in got.disposals for piece in each.pieces) == 1400


def test_germanys_heirs_stand_in_the_place_of_the_dead_and_their_oldest_units_go_first():
    rows = {
        "acquisitions": (bought("own", "2022-01-10", "A", "100", "2000"),),
        "receipts": (received(giver=Giver.ESTATE),),
        "disposals": (sold("s", "2025-06-02", "A", "100", "2500"),),
    }
    # The heir's units were bought in 2020, before the own ones.
    assert year(DE, **rows).disposals[0].counted_gain == 1500


MERGER = Reorganization(date(2025, 3, 3), "ACME", "NEW", 1, 1, Decimal(1), Decimal(4), Decimal(11))
MERGED = {"acquisitions": (LOT,), "reorganizations": (MERGER,)}


# 100 units that cost 1,000 become 100 that are worth 1,100, and 400 of money: 500 were gained.
@pytest.mark.parametrize(
    ("rules", "gain", "cost"),
    [
        # 26 U.S.C. § 356(a)(1), § 358(a)(1): the gain is at most the money; 1,000 less 400 plus 400 are left.
        (US, 400, "1000"),
        # TCGA 1992 s. 122(2): 400 are small, and lower the cost.
        (GB, None, "600"),
        # Everything is disposed of at fair value.
        (CA, 500, "1100"),
        # More than a tenth of 1,100, so everything is sold: BMF 2023, Rz. 100a.
        (DE, 500, "1100"),
    ],
    ids=lambda each: type(each).__name__,
)
def test_money_in_a_merger_is_taxed_as_each_law_says(rules, gain, cost):
    got = year(rules, **MERGED)

    assert [each.counted_gain for each in got.disposals] == ([] if gain is None else [gain])
    assert sum(each.cost for each in got.remaining) == Decimal(cost)


def test_no_loss_is_made_on_the_money_of_a_merger_and_each_lot_is_judged_alone():
    dear = bought("dear", "2024-06-10", "A", "100", "2000")
    got = year(US, **{**MERGED, "acquisitions": (LOT, dear)})

    # The dear lot lost 500, which does not count; its cost falls by the 400 that came back: § 356(c).
    gains = {piece.lot_id: piece.counted_gain for each in got.disposals for piece in each.pieces}
    assert gains == {"l": 400, "dear": 0}
    assert {each.lot_id: each.cost for each in got.remaining} == {"l": 1000, "dear": 1600}


def test_money_that_is_not_small_is_a_part_disposal():
    # TCGA 1992 s. 129: 40,000 of 150,000 are money, so 4/15 of the cost of 100,000 go with it.
    lot = bought("l", "2023-01-10", "A", "10000", "100000")
    got = year(GB, tax_year=2024, acquisitions=(lot,), reorganizations=(MERGER,))

    assert [each.counted_gain for each in got.disposals] == [Decimal("13333.33")]
    assert [each.cost for each in got.remaining] == [Decimal("73333.33")]


def test_losses_on_shares_do_not_meet_the_money_of_a_merger():
    other = bought("o", "2023-01-10", "A", "10", "900", asset="OTHER")
    rules = replace(DE, kinds={"ACME": AssetKind.SHARE, "OTHER": AssetKind.SHARE})
    # EStG § 20 Abs. 4a Satz 2: a tenth of what the new units are worth is income, and the cost goes along.
    small = replace(MERGER, money=Decimal("1.1"))
    sale = sold("s", "2025-06-02", "A", "10", "500", asset="OTHER")
    got = year(rules, acquisitions=(LOT, other), reorganizations=(small,), disposals=(sale,))

    assert (got.amount("gains_on_shares"), got.amount("gains_on_others")) == (-400, 110)
    assert [each.cost for each in got.remaining] == [1000]


def test_capital_returned_on_a_gift_lowers_both_costs():
    back = CostChange(date(2025, 4, 1), "A", "ACME", Decimal(-850))
    got = year(US, receipts=(received(),), cost_changes=(back,), disposals=(sold("s", "2025-06-02", "A", "100", "20"),))

    # 1,000 and 800 became 150 and 0: sold for 20, between both.
    assert [each.counted_gain for each in got.disposals] == [0]


def moved(account, to_account, value=None):
    return (Transfer("t", date(2025, 3, 3), account, to_account, "ACME", Decimal(100), (), value and Decimal(value)),)


def test_a_move_into_a_registered_plan_is_a_sale_whose_loss_does_not_count():
    at_gain = year(CA, acquisitions=(LOT,), transfers=moved("A", "SHELTER", "1300"))
    at_loss = year(CA, acquisitions=(LOT,), transfers=moved("A", "SHELTER", "700"))

    assert (at_gain.disposals[0].counted_gain, at_loss.disposals[0].counted_gain) == (300, 0)
    assert at_loss.permanently_lost == 300


@pytest.mark.parametrize("rules", [US, GB, CA], ids=lambda each: type(each).__name__)
def test_what_comes_out_of_a_wrapper_costs_what_it_is_worth(rules):
    inside = replace(LOT, account_id="SHELTER")
    got = year(
        rules, acquisitions=(inside,), transfers=moved("SHELTER", "A", "1300"),
        disposals=(sold("s", "2025-06-02", "A", "100", "1350"),),
    )  # fmt: skip

    assert [each.counted_gain for each in got.disposals] == [50]


def test_lots_go_to_a_spouse_with_cost_and_time_in_the_united_states_and_out_of_the_pool_elsewhere():
    got = year(US, acquisitions=(LOT,), transfers=moved("A", "SPOUSE"))
    assert [(each.account_id, each.cost, each.held_from_date) for each in got.remaining] == [
        ("SPOUSE", 1000, date(2023, 1, 10))
    ]
    for rules in (GB, CA, DE):
        there = year(rules, acquisitions=(LOT,), transfers=moved("A", "SPOUSE"))
        assert [each.counted_gain for each in there.disposals] == [0]
        assert sum(each.cost for each in there.remaining) == 0


@pytest.mark.parametrize(
    ("rules", "transfers", "why"),
    [
        (US, moved("A", "SHELTER", "700"), "nothing but money goes into an IRA"),
        (GB, moved("A", "SHELTER", "700"), "an ISA is subscribed to in money"),
        (DE, moved("SHELTER", "A", "700"), "Germany's tax knows no wrapper"),
        (CA, moved("SPOUSE", "A"), "comes from a spouse: record it as received"),
        (CA, moved("SPOUSE", "SHELTER", "700"), "goes into or out of a wrapper of somebody else"),
    ],
    ids=lambda each: type(each).__name__ if not isinstance(each, tuple | str) else None,
)
def test_what_the_law_does_not_know_is_refused_with_the_way_to_say_it(rules, transfers, why):
    with pytest.raises(EventNotCovered, match="transfer t of ACME on 2025-03-03") as caught:
        year(rules, acquisitions=(LOT,), transfers=transfers)
    (violation,) = caught.value.violations
    assert violation.field == "transfers[0]"
    assert why in violation.description


def test_gifts_that_cannot_be_are_refused_by_name():
    rows = {
        "gifts": (replace(given(Recipient.PERSON), quantity=Decimal(0), value=Decimal(-1)),),
        "receipts": (replace(received(cost="-5"), giver_date=date(2026, 1, 1), account_id="Q"),),
    }
    with pytest.raises(Invalid) as caught:
        History(ACCOUNTS, **rows).checked(TODAY)
    said = {violation.field: violation.description for violation in caught.value.violations}
    assert said == {
        "gifts[0].quantity": "must be above 0, was 0",
        "gifts[0].value": "must be 0 or more, was -1",
        "receipts[0].account_id": "must be one of the accounts given, was 'Q'",
        "receipts[0].giver_cost": "must be 0 or more, was -5",
        "receipts[0].giver_date": "must be from 1900-01-01 to 2025-03-03, was 2026-01-01",
    }
