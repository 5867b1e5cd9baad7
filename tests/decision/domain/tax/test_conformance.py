"""What any country's law must do, whoever wrote it. A new one is in `LAWS` and so in every test here.

docs/jurisdictions.md says how to write one.
"""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.decision.domain.bulk.building import DoesNotFit, check_known
from services.decision.domain.checker import violations
from services.decision.domain.decide import decide
from services.decision.domain.decision import Character, LotSale, Trade, TradeCost
from services.decision.domain.problem import DecideOptions, LotMethod, Side, TaxProfile
from services.decision.domain.tax import JurisdictionUnknown, jurisdiction_on
from services.decision.domain.tax.assessment.forms import form_rows
from services.decision.domain.tax.assessment.history import Acquisition, Disposal, History, TaxAccount
from services.decision.domain.tax.assessment.law_table import check_amounts
from services.decision.domain.tax.assessment.marginal import marginals
from services.decision.domain.tax.assessment.results import TaxYearUnknown, gain_on
from services.decision.domain.tax.laws import (
    LAWS,
    LawBook,
    LawState,
    LawVersion,
    law_book,
    proposed_amounts,
    reviewed,
)
from services.kernel.errors import Invalid, Violations
from tests.support.portfolios import TODAY, a_loss_sale, a_lot, a_purchase, an_account, independent

EACH_LAW = pytest.mark.parametrize("law", LAWS.values(), ids=list(LAWS))
YEAR = 2025
NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
CENT = Decimal("0.01")
FREE = TradeCost(Decimal(0), Decimal(0), Decimal(0))


def taxed(law):
    method = law.planning.lot_method or LotMethod.LOWEST_TAX
    return TaxProfile(law.code, True, Decimal("0.35"), Decimal("0.15"), lot_method=method)


def costed(law, *lots):
    return law.planning.costed(lots)


amounts = st.integers(0, 500_00).map(lambda cents: Decimal(cents) / 100)
lots = st.lists(st.tuples(st.integers(1, 50), amounts, st.integers(1, 900)), min_size=1, max_size=6)


# Choosing trades.


@EACH_LAW
@settings(max_examples=15)
@given(said=lots)
def test_what_lots_cost_together_and_how_many_they_are_stays(law, said):
    given_lots = [
        replace(a_lot(f"l{n}", units, 0, TODAY - timedelta(days=days)), basis_total=basis)
        for n, (units, basis, days) in enumerate(said)
    ]
    shown = law.planning.costed(given_lots)

    assert [(each.lot_id, each.acquired_date, each.quantity) for each in shown] == [
        (each.lot_id, each.acquired_date, each.quantity) for each in given_lots
    ]
    assert sum(each.basis_total for each in shown) == sum(each.basis_total for each in given_lots)
    assert all(each.basis_total == each.basis_total.quantize(CENT) for each in shown)


@EACH_LAW
def test_every_lot_is_judged_and_its_gain_is_its_price_less_its_cost(law):
    owned = costed(law, a_lot("l1", 10, 150), a_lot("l2", 5, 40, TODAY - timedelta(days=90)))
    account = an_account(tax=taxed(law)).holding("VTI", lots=owned).build()
    view = law.planning.view(account)

    assert set(view.lots) == {"l1", "l2"}
    for lot in owned:
        assert view.lots[lot.lot_id].gain_per_unit == 100 - lot.basis_total / lot.quantity
        assert 0 <= view.lots[lot.lot_id].rate <= 1


@EACH_LAW
def test_an_account_that_is_not_taxed_pays_nothing_and_is_forbidden_nothing(law):
    owned = costed(law, a_lot("l1", 10, 150), a_lot("l2", 5, 140, TODAY - timedelta(days=1)))
    account = an_account(tax=replace(taxed(law), taxable=False)).holding("VTI", lots=owned)
    problem = account.having(recent_trades=(a_loss_sale("VTI", TODAY - timedelta(days=3)),)).build()
    view = law.planning.view(problem)

    assert {(each.character, each.rate, each.no_sell) for each in view.lots.values()} == {(Character.EXEMPT, 0, None)}
    assert view.no_buy == {}
    assert law.planning.broken_rules(problem, (a_sale("l1", 10), a_purchase_of("VTI"))) == ()


def a_sale(lot_id, units, price=100):
    money = Decimal(units * price)
    sale = LotSale(lot_id, TODAY, Decimal(units), money, money, Decimal(0), Character.ANY, Decimal(0), Decimal(0))
    return Trade("VTI", Side.SELL, Decimal(units), Decimal(price), money, FREE, (sale,))


def a_purchase_of(instrument_id):
    return Trade(instrument_id, Side.BUY, Decimal(1), Decimal(100), Decimal(100), FREE)


@EACH_LAW
def test_what_is_barred_and_what_is_a_broken_rule_agree(law):
    """A loss that a purchase would deny is barred beforehand, and seen afterwards."""
    owned = costed(law, a_lot("l1", 10, 150))
    account = an_account(tax=taxed(law)).holding("VTI", lots=owned)
    sold = account.having(recent_trades=(a_loss_sale("VTI", TODAY - timedelta(days=30)),)).build()
    bought = account.having(recent_trades=(a_purchase("VTI", TODAY - timedelta(days=30)),)).build()

    barred = "VTI" in law.planning.view(sold).no_buy
    assert bool(law.planning.broken_rules(sold, (a_purchase_of("VTI"),))) is barred
    kept = law.planning.view(bought).lots["l1"].no_sell is not None
    assert bool(law.planning.broken_rules(bought, (a_sale("l1", 10),))) is kept
    assert bool(law.planning.broken_rules(account.build(), (a_sale("l1", 10), a_purchase_of("VTI")))) is barred


@EACH_LAW
@pytest.mark.parametrize("days", [30, 31])
def test_a_plan_keeps_the_law(law, days):
    owned = costed(law, a_lot("l1", 40, 150), a_lot("l2", 40, 50), a_lot("l3", 20, 120, TODAY - timedelta(days=days)))
    account = (
        an_account(cash=500, tax=taxed(law))
        .holding("VTI", lots=owned, target="0.3")
        .holding("ITOT", units=10, basis=130, target="0.6", identity_set="VTI")
        .having(recent_trades=(a_loss_sale("ITOT", TODAY - timedelta(days=days)),))
        .build()
    )
    decision = decide(account, independent(VTI=0.04, ITOT=0.04), DecideOptions(ignore_triggers=True))

    # On the 30th day everything may be barred; a day later something is worth trading.
    assert decision.trades or days == 30
    assert violations(account, decision.trades) == ()


@EACH_LAW
def test_a_year_that_nobody_reviewed_is_refused(law):
    first, last = law.planning.first_year, law.planning.last_year
    assert jurisdiction_on(law.code, date(last, 6, 1)) is law.planning
    for year in (first - 1, last + 1):
        with pytest.raises(JurisdictionUnknown, match=f"was asked about {year}: propose the year's law"):
            jurisdiction_on(law.code, date(year, 6, 1))


@EACH_LAW
def test_a_year_that_somebody_reviewed_since_is_planned_and_assessed(law):
    year = law.planning.last_year + 1
    amounts = proposed_amounts(law, year, {}, law_book(()))
    version = LawVersion(law.code, year, 1, LawState.PROPOSED, amounts, "a statute", "ada", NOW)
    approved = reviewed(version, "ben", NOW, approved=True, note="as published")
    book = law_book([approved])

    assert jurisdiction_on(law.code, date(year, 6, 1), book.reviewed_years()) is law.planning
    assert book.under(law.assessing).assess(History((TaxAccount("A"),)), year).amount("tax") == 0
    assert (book.version(law.code, year), book.version(law.code, year - 1)) == (1, 0)
    # Before it was approved, and by the release, the year has no law.
    for known in (law_book([version]), law_book([approved], NOW - timedelta(days=1)), law_book(())):
        assert known.reviewed_years() == {}
        with pytest.raises(TaxYearUnknown, match=str(year)):
            known.under(law.assessing).assess(History((TaxAccount("A"),)), year)


@EACH_LAW
def test_accounts_are_planned_until_the_last_day_of_the_last_reviewed_year(law):
    last = law.planning.last_year
    for today in (date(last, 6, 1), law.table.first_date(last + 1) - timedelta(days=1), law.table.first_date(last + 1)):
        told = next(each for each in law_book(()).horizons(today) if each.jurisdiction == law.code)
        assert (told.last_date, told.tax_year) == (law.table.first_date(last + 1) - timedelta(days=1), last + 1)
        planned = told.days_left(today) > 0
        if planned:
            jurisdiction_on(law.code, today + timedelta(days=told.days_left(today) - 1))
        with pytest.raises(JurisdictionUnknown):
            jurisdiction_on(law.code, today + timedelta(days=max(told.days_left(today), 0)))


@EACH_LAW
def test_the_amounts_of_every_year_can_be_said_by_name_and_read_back(law):
    for year, rules in law.table.years.items():
        amounts = law.table.amounts(rules)
        found = Violations()
        check_amounts(law.table, year, amounts, found)
        found.raise_if_any()
        assert law.table.amounts(law.table.year(amounts)) == amounts


def test_amounts_that_cannot_be_are_refused_by_name():
    with pytest.raises(Invalid) as caught:
        proposed_amounts(
            LAWS["GB"],
            2026,
            {
                "higher_rate": Decimal("0.1"),
                "exempt_amount": Decimal(-1),
                "basic_rate@2027-04-06": Decimal("0.2"),
                "flat_rate": Decimal(1),
            },
            law_book(()),
        )
    said = {each.field: each.description for each in caught.value.violations}
    assert said == {
        "amounts.basic_rate@2027-04-06": "must be from a day after 2026-04-06 and before 2027-04-06",
        "amounts.exempt_amount": "must be 0 to 1000000000000, was -1",
        "amounts.flat_rate": "must be one of basic_rate, basic_rate_band, exempt_amount, higher_rate, was 'flat_rate'",
        "amounts.higher_rate": "must be at least basic_rate, 0.18, was 0.1",
    }
    with pytest.raises(Invalid, match="tax_year: must be 2016 to 2027 for GB, was 2028"):
        proposed_amounts(LAWS["GB"], 2028, {}, law_book(()))


def test_a_rate_that_changed_within_a_year_begins_the_next_as_it_ended():
    years = {2024: LAWS["GB"].table.years[2024]}
    amounts = proposed_amounts(LAWS["GB"], 2025, {}, LawBook({"GB": years}))

    assert (amounts["basic_rate"], amounts["higher_rate"]) == (Decimal("0.18"), Decimal("0.24"))
    assert all("@" not in name for name in amounts)


# Assessing years.


def a_history(*rows):
    acquisitions = tuple(
        Acquisition(f"l{n}", date(2022 + n % 2, 3, 1 + n), "A", f"X{n % 3}", Decimal(units), cost)
        for n, (units, cost, _) in enumerate(rows)
    )
    disposals = tuple(
        Disposal(f"s{n}", date(YEAR, 5, 2) + timedelta(days=days % 200), "A", f"X{n % 3}", Decimal(units), cost * 2)
        for n, (units, cost, days) in enumerate(rows)
    )
    return History((TaxAccount("A"),), acquisitions, disposals)


@EACH_LAW
@settings(max_examples=15)
@given(rows=lots)
def test_a_year_ends_in_its_tax_and_every_figure_has_a_source(law, rows):
    got = law.assessing.assess(a_history(*rows), YEAR)

    assert (got.jurisdiction, got.currency) == (law.code, law.currency)
    assert got.lines[-1].name == "tax"
    assert len({line.name for line in got.lines}) == len(got.lines)
    assert all(line.source and line.amount == line.amount.quantize(CENT) for line in got.lines)
    assert all(piece.source for each in got.disposals for piece in each.pieces)


@EACH_LAW
@settings(max_examples=15)
@given(rows=lots, amount=st.integers(-10_000, 10_000))
def test_what_a_set_of_disposals_costs_is_what_the_year_would_say_with_it(law, rows, amount):
    got = law.assessing.assess(a_history(*rows), YEAR)

    assert law.assessing.tax_with(got, ()) == got.lines[-1].amount
    more = law.assessing.tax_with(got, (gain_on(got.last_date, Decimal(abs(amount))),))
    less = law.assessing.tax_with(got, (gain_on(got.last_date, Decimal(-abs(amount))),))
    assert less <= got.lines[-1].amount <= more
    for each in marginals(law.assessing, got):
        assert 0 <= each.loss_rate <= 1
        assert 0 <= each.gain_rate <= 1


@EACH_LAW
@settings(max_examples=15)
@given(rows=lots)
def test_the_forms_say_what_the_year_says(law, rows):
    got = law.assessing.assess(a_history(*rows), YEAR)
    shown = form_rows(got)

    assert shown
    assert all(row.form and row.part and row.description for row in shown)
    of_disposals = [row for row in shown if row.sold_date is not None]
    if of_disposals:
        assert sum(row.gain for row in of_disposals) == sum(each.counted_gain for each in got.of_year())


@EACH_LAW
def test_what_a_year_carries_forward_is_what_the_next_brings_forward(law):
    loss = History(
        (TaxAccount("A"),),
        (Acquisition("l", date(2023, 3, 1), "A", "X", Decimal(10), Decimal(100_000)),),
        (Disposal("s", date(2024, 5, 2), "A", "X", Decimal(10), Decimal(1000)),),
    )
    first = law.assessing.assess(loss, 2024)
    carried = law.assessing.after(first).brought_forward()

    assert sum(line.amount for line in carried) > 0
    assert [first.amount(line.name) for line in carried] == [line.amount for line in carried]
    assert law.assessing.carried_into(loss, YEAR).brought_forward() == carried


@EACH_LAW
def test_a_year_without_rules_is_refused_by_name(law):
    with pytest.raises(TaxYearUnknown) as caught:
        law.assessing.assess(History((TaxAccount("A"),)), 2099)
    assert caught.value.violations[0].field == "tax_year"


@EACH_LAW
@settings(max_examples=15)
@given(said=lots)
def test_choosing_and_assessing_agree_on_what_a_whole_position_gains(law, said):
    """Sold as a whole, outside every window, a position gains the same to the optimiser and on the return."""
    days = [TODAY - timedelta(days=40 + days) for _, _, days in said]
    owned = [
        replace(a_lot(f"l{n}", units, 0, day), basis_total=basis)
        for n, ((units, basis, _), day) in enumerate(zip(said, days, strict=True))
    ]
    units = sum(lot.quantity for lot in owned)
    account = an_account(tax=taxed(law)).holding("VTI", lots=law.planning.costed(owned)).build()
    view = law.planning.view(account)
    planned = sum(view.lots[lot.lot_id].gain_per_unit * lot.quantity for lot in owned)

    history = History(
        (TaxAccount("A"),),
        tuple(Acquisition(lot.lot_id, lot.acquired_date, "A", "VTI", lot.quantity, lot.basis_total) for lot in owned),
        (Disposal("s", TODAY, "A", "VTI", units, units * 100),),
    )
    (sold,) = law.assessing.assess(history, YEAR).disposals
    assert abs(sold.counted_gain - planned) < CENT


@EACH_LAW
def test_columns_take_an_account_of_a_law_only_if_they_know_how_it_taxes(law):
    """What the compiled road does not know goes by the exact one: it may not fail, and not plan by another's rules."""
    account = an_account(tax=taxed(law)).holding("VTI", lots=costed(law, a_lot("l1", 10, 150))).build()
    view = law.planning.view(account)

    if law.code == "US":
        check_known(account, view)
        return
    with pytest.raises(DoesNotFit):
        check_known(account, view)
