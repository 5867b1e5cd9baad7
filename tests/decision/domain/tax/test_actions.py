"""What a taxpayer could do: each figure by hand, and never worse than the alternatives that are shown."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from itertools import combinations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.decision.domain.instruments import Instrument
from services.decision.domain.prices import PriceHistory
from services.decision.domain.tax.actions import ActionKind, Choice, Terms, compare
from services.decision.domain.tax.assessment.canada import Canada
from services.decision.domain.tax.assessment.germany import Germany
from services.decision.domain.tax.assessment.history import Acquisition, Disposal, History, TaxAccount
from services.decision.domain.tax.assessment.results import Term
from services.decision.domain.tax.assessment.united_kingdom import UnitedKingdom
from services.decision.domain.tax.assessment.united_states import UnitedStatesYear
from services.decision.domain.tax.projection import Scenario, projected
from services.decision.domain.tax.replacements import replacements
from services.decision.domain.tax.situation import Situation, part_of
from tests.decision.books import MORNING

TODAY = date(2025, 11, 28)
ACCOUNTS = (TaxAccount("A"), TaxAccount("IRA", sheltered=True))
FLAT = Scenario(Decimal(0), 0)
GROWING = Scenario(Decimal("0.05"), 3)
HIGH = UnitedStatesYear(ordinary_income=Decimal(300_000))


def lot(lot_id, ago, units, cost, asset="VTI", account="A"):
    return Acquisition(lot_id, TODAY - timedelta(days=ago), account, asset, Decimal(units), Decimal(cost))


def situation(*lots, rules=HIGH, disposals=(), **prices):
    said = {"VTI": Decimal(100), "BND": Decimal(50)} | {name: Decimal(price) for name, price in prices.items()}
    return Situation(History(ACCOUNTS, tuple(lots), tuple(disposals)), rules, 2025, TODAY, said)


def terms(*scenarios, **more):
    return Terms(scenarios or (GROWING,), {"VTI": Decimal(4)}, Decimal("0.16"), **more)


def action(compared, kind):
    (found,) = (each for each in compared.actions if each.kind is kind)
    return found


def test_each_parcel_is_explained_with_its_gain_rate_tax_and_rule():
    compared = compare(situation(lot("old", 900, 10, 400), lot("new", 90, 10, 800)), terms())
    new, old = compared.parcels

    # 300,000 of income: 35 % on 200 and 15 % on 600, and 3.8 % on net investment income.
    assert (new.term, new.parcel.gain, new.tax, new.rate) == (Term.SHORT, 200, Decimal("77.60"), Decimal("0.388"))
    assert (old.term, old.parcel.gain, old.tax, old.rate) == (Term.LONG, 600, Decimal("112.80"), Decimal("0.188"))
    assert old.source == "26 CFR § 1.1012-1(c)(2)"
    assert old.sentence == (
        "Selling lot old of VTI makes a long-term gain of 600.00 and costs 112.80 of tax (26 CFR § 1.1012-1(c)(2))."
    )


def test_a_loss_that_a_recent_purchase_denies_is_not_harvested_and_says_when_it_is_free():
    compared = compare(situation(lot("l", 400, 10, 1500), lot("r", 20, 10, 900, account="IRA")), terms())

    (denied,) = compared.parcels
    assert (denied.disallowed_loss, denied.free_date) == (500, TODAY + timedelta(days=11))
    assert denied.source == "26 U.S.C. § 1091"
    assert [each.kind for each in compared.actions] == [ActionKind.WAIT]


def test_harvesting_is_worth_it_when_the_tax_saved_exceeds_cost_and_the_worth_of_waiting():
    # 2,000 of gain this year, and a loss of 1,000 to meet it: 38.8 % are saved.
    gain = (lot("g", 300, 10, 1000, asset="BND"), Disposal("s", TODAY, "A", "BND", Decimal(10), Decimal(3000)))
    harvest = action(compare(situation(lot("l", 300, 30, 4000), gain[0], disposals=gain[1:]), terms()),
                     ActionKind.HARVEST_LOSSES)  # fmt: skip

    assert harvest.tax == Decimal("-388.00")
    # 4 basis points there and back on 3,000; a put on 3,000 for 31 days at 16 %: 55.80, of which the tax is 38.8 %.
    assert harvest.cost == Decimal("1.20")
    assert harvest.waiting_value == Decimal("21.65")
    assert harvest.worth_it
    assert all(each > 0 for each in harvest.advantage)
    small = action(compare(situation(lot("l", 300, 300, 30_010), gain[0], disposals=gain[1:]), terms()),
                   ActionKind.HARVEST_LOSSES)  # fmt: skip
    assert not small.worth_it


@pytest.mark.parametrize(
    ("bought_ago", "saved", "rise"),
    [
        # 500 of short-term loss off income at 35 %: a gain of 500 on 1,000 on the way back undoes it.
        (90, "175.00", "0.5000"),
        # A long-term loss meets other income alike, up to 3,000.
        (900, "175.00", "0.5000"),
    ],
)
def test_the_way_back_has_a_first_day_a_long_term_day_and_a_rise_that_undoes_what_was_saved(bought_ago, saved, rise):
    (back,) = compare(situation(lot("l", bought_ago, 10, 1500)), terms()).reentries

    assert (back.asset, back.saved) == ("VTI", Decimal(saved))
    assert (back.open_date, back.long_date) == (TODAY + timedelta(days=31), date(2026, 11, 29))
    assert back.break_even_rise == Decimal(rise)
    assert back.sentence == (
        "VTI may be bought back from 2025-12-29 on; until 2026-11-29 a gain on what is held instead is short-term; "
        f"sold 50.00 % higher, it costs the {saved} of tax again that the sale saves."
    )


def test_a_loss_that_spared_the_long_term_rate_is_undone_by_a_smaller_short_term_gain():
    gained = situation(
        lot("l", 900, 10, 1500), lot("b", 900, 10, 100, asset="BND"),
        disposals=[Disposal("s", TODAY - timedelta(days=40), "A", "BND", Decimal(10), Decimal(900))],
    )  # fmt: skip
    (back,) = compare(gained, terms()).reentries

    # 500 less of 800 at 18.8 %; 242.25 of short-term gain on 1,000 cost as much at 35 % and 3.8 %, each to the cent.
    assert (back.saved, back.break_even_rise) == (Decimal("94.00"), Decimal("0.2422"))


def test_the_way_back_needs_no_waiting_where_the_law_knows_no_window_and_no_term_where_it_knows_none():
    def back(rules):
        return compare(situation(lot("l", 900, 10, 1500), rules=rules), terms()).reentries

    assert back(Germany()) == ()
    (british,) = back(UnitedKingdom(taxable_income=Decimal(60_000)))
    # Nothing is owed this year, so nothing is saved and nothing can be given away again.
    assert (british.long_date, british.saved, british.break_even_rise) == (None, 0, None)
    assert british.sentence == "VTI may be bought back from 2025-12-29 on."


def test_at_its_break_even_cost_harvesting_is_no_better_than_waiting():
    gain = (lot("g", 300, 10, 1000, asset="BND"), Disposal("s", TODAY, "A", "BND", Decimal(10), Decimal(3000)))
    now = situation(lot("l", 300, 30, 4000), gain[0], disposals=gain[1:])
    harvest = action(compare(now, terms()), ActionKind.HARVEST_LOSSES)

    dear = replace(terms(), spreads_bps={"VTI": harvest.break_even_cost_bps})
    assert abs(action(compare(now, dear), ActionKind.HARVEST_LOSSES).advantage[0]) < Decimal("0.05")


def test_gains_fill_the_zero_bracket_and_no_more():
    # 10,000 are left below 48,350; both gains together would leave it.
    rules = UnitedStatesYear(ordinary_income=Decimal(38_350))
    compared = compare(situation(lot("l1", 900, 100, 1000), lot("l2", 900, 60, 500), rules=rules), terms())
    harvest = action(compared, ActionKind.HARVEST_GAINS)

    assert [each.lot_id for each in harvest.parcels] == ["l1"]
    assert harvest.tax == 0
    assert harvest.advantage[0] > 0


def test_waiting_for_the_long_term_has_its_price():
    (deferral,) = compare(situation(lot("l", 340, 10, 500)), terms()).deferrals

    # 500 of gain: 38.8 % now, 18.8 % in 26 days.
    assert (deferral.days, deferral.saved) == (26, Decimal("100.00"))
    # At p: p − 0.188 (p − 500) = 1000 − 194, so p = 876.85.
    assert deferral.break_even_fall == Decimal("0.1232")
    assert deferral.risk_price == Decimal("17.04")


def test_gifts_are_the_long_term_lots_that_avoid_most_tax_for_their_value():
    lots = (lot("half", 900, 10, 500), lot("most", 900, 10, 100), lot("short", 90, 10, 100), lot("loss", 900, 10, 2000))

    assert [each.parcel.lot_id for each in compare(situation(*lots), terms()).gifts] == ["most", "half"]


parcels = st.lists(st.tuples(st.integers(1, 900), st.integers(1, 20), st.integers(0, 4000)), min_size=1, max_size=5)


@settings(max_examples=25)
@given(said=parcels, part=st.integers(1, 100))
def test_a_withdrawal_brings_what_was_asked_for_at_no_more_tax_than_any_alternative(said, part):
    now = situation(*(lot(f"l{n}", ago, units, cost) for n, (ago, units, cost) in enumerate(said)))
    worth = sum(each.value for each in now.parcels)
    amount = (worth * part / 100).quantize(Decimal("0.01"))
    if amount <= 0:
        return
    ways = compare(now, terms(withdrawal=amount)).withdrawals

    assert all(each.raised >= amount for each in ways)
    assert ways[0].tax == min(each.tax for each in ways)
    assert {each.choice for each in ways} == set(Choice)


@settings(max_examples=20)
@given(said=parcels, chosen=st.integers(1, 5))
def test_whole_lots_are_withdrawn_at_the_tax_of_the_best_of_all_choices(said, chosen):
    """Beside brute force over every set of whole lots that brings the amount exactly: lots of equal value."""
    now = situation(*(lot(f"l{n}", 40 + ago, 10, cost) for n, (ago, _, cost) in enumerate(said)))
    count = min(chosen, len(now.parcels))
    best = min(now.with_sales(some).tax - now.tax for some in combinations(now.parcels, count))

    ways = compare(now, terms(withdrawal=Decimal(1000) * count)).withdrawals
    assert ways[0].tax <= best + Decimal("0.02")


@settings(max_examples=25)
@example(said=[(1, 1, 71), (1, 1, 0), (1, 1, 0)], sold=1)  # A loss of today, and what would have replaced it.
@given(said=parcels, sold=st.integers(0, 3))
def test_what_a_parcel_alone_would_cost_is_what_the_whole_year_says_with_it(said, sold):
    lots = [lot(f"l{n}", ago, units, cost, asset=("VTI", "BND")[n % 2]) for n, (ago, units, cost) in enumerate(said)]
    disposals = [
        Disposal(f"s{n}", TODAY - timedelta(days=n), each.account_id, each.asset, Decimal(1), Decimal(70))
        for n, each in enumerate(lots[:sold])
        if each.day <= TODAY - timedelta(days=n)
    ]
    now = situation(*lots, disposals=disposals)

    for each in now.explained(now.parcels):
        assert each.tax == now.with_sales((each.parcel,)).tax - now.tax


def test_everything_brings_its_value_less_the_tax_that_it_adds():
    compared = compare(situation(lot("l", 900, 10, 500)), terms(withdrawal=Decimal(5000)))

    assert compared.most_withdrawable == 1000 - Decimal("94.00")
    assert compared.withdrawals == ()


def test_liquidating_at_once_owes_what_the_year_would_say():
    now = situation(lot("l1", 900, 10, 500), lot("l2", 20, 10, 700))
    found = projected(now, FLAT)

    assert found.value == 2000
    assert found.taxes == now.with_sales(now.parcels).tax
    assert found.after_tax == found.value - found.taxes


def test_years_make_lots_long_term_and_use_carried_losses_bit_by_bit():
    # 10,000 lost this year: 3,000 are taken off income in each of three years, and 1,000 off the gain at the end.
    lost = (lot("g", 100, 10, 11_000, asset="BND"), Disposal("s", TODAY, "A", "BND", Decimal(10), Decimal(1000)))
    now = situation(lot("l", 20, 100, 9000), lost[0], disposals=lost[1:])
    found = projected(now, Scenario(Decimal(0), 3))

    # Without investment income there is no tax of 3.8 % to save.
    yearly = Decimal(3000) * Decimal("0.35")
    # The rest of the loss is short-term, and meets the long-term gain of 1,000.
    assert found.taxes == -3 * yearly
    assert found.value == 10_000


def test_what_is_held_instead_is_alike_in_price_and_not_the_same_to_the_law():
    days = tuple(date(2025, 1, 1) + timedelta(days=n) for n in range(100))
    rng = np.random.default_rng(4)
    market = np.cumsum(rng.normal(0, 0.01, 100))
    closes = {
        "VTI": market,
        "SAME": market,
        "NEAR": market + rng.normal(0, 0.001, 100),
        "FAR": market * 0.2,
        "BND": market,
    }
    units = np.stack([np.round(np.exp(each) * 10_000).astype(np.int64) for each in closes.values()])
    history = PriceHistory("h", "c", tuple(closes), days, units, 2, "v", MORNING, MORNING)
    classes = dict.fromkeys(closes, "equity") | {"BND": "bond"}
    sets = {"SAME": "VTI"}
    known = {
        each: Instrument(each, "USD", Decimal(1), classes[each], identity_set=sets.get(each, each)) for each in closes
    }

    found = replacements({"VTI"}, known, history, {}, {"VTI"})
    assert [each.instead for each in found] == ["NEAR", "FAR"]
    assert found[0].tracking_error < found[1].tracking_error


@pytest.mark.parametrize("rules", [UnitedKingdom(), Canada(Decimal("0.4")), Germany()], ids=lambda r: type(r).__name__)
def test_countries_without_a_choice_of_lots_have_positions(rules):
    compared = compare(situation(lot("l1", 900, 10, 50_000), lot("l2", 90, 10, 400), rules=rules), terms())

    assert all(each.parcel.lot_id is None for each in compared.parcels)
    assert sum(each.parcel.quantity for each in compared.parcels) == 20
    assert action(compared, ActionKind.HARVEST_LOSSES).parcels


@settings(max_examples=6)
@given(
    said=st.lists(st.tuples(st.integers(40, 900), st.integers(1, 4000)), min_size=2, max_size=3),
    income=st.sampled_from([0, 40_000, 48_000, 199_500, 300_000]),
    parts=st.lists(st.integers(0, 4), min_size=3, max_size=3),
)
def test_no_parts_of_lots_raise_as_much_at_less_tax(said, income, parts):
    """Beside ways that take quarters of lots: short-term and long-term gains, losses, and the edges of brackets."""
    rules = UnitedStatesYear(ordinary_income=Decimal(income))
    lots = [lot(f"l{n}", ago, 40, cost) for n, (ago, cost) in enumerate(said)]
    now = situation(*lots, rules=rules)
    some = tuple(part_of(each, each.value * part / 4) for each, part in zip(now.parcels, parts, strict=False) if part)
    amount = sum((each.value for each in some), Decimal(0))
    if not amount:
        return
    best = compare(now, terms(withdrawal=amount)).withdrawals[0]

    assert best.tax <= now.with_sales(some).tax - now.tax + Decimal("0.05")


@settings(max_examples=4)
@given(
    said=st.lists(st.tuples(st.integers(40, 900), st.integers(1, 4000)), min_size=1, max_size=3),
    limit=st.integers(0, 1500),
)
def test_the_largest_withdrawal_for_a_tax_keeps_to_it_and_more_would_not(said, limit):
    now = situation(*(lot(f"l{n}", ago, 20, cost) for n, (ago, cost) in enumerate(said)))
    most = compare(now, terms(tax_limit=Decimal(limit))).within_limit
    worth = sum(each.value for each in now.parcels)
    if most is None:
        # Not even a dollar can be had for so little.
        assert compare(now, terms(withdrawal=Decimal(1))).withdrawals[0].tax > limit
        return

    assert most.tax <= limit
    if most.raised < worth:
        more = compare(now, terms(withdrawal=min(most.raised + 2, worth))).withdrawals[0]
        assert more.tax > limit - Decimal("0.05")


def test_the_largest_withdrawal_sells_losses_beside_gains():
    # A long-term gain of 60 a unit and a loss of 1,000: 1,000 of gain are free, and 376 of tax are 2,000 more of gain.
    now = situation(lot("gain", 900, 100, 4000), lot("loss", 900, 10, 2000))
    most = compare(now, terms(tax_limit=Decimal(376))).within_limit

    assert most.tax <= 376
    assert most.raised == pytest.approx(Decimal(1000 + 3000 * 100 / 60), abs=1)
