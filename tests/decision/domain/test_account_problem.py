"""The problem of an account: what it holds and may trade, from its book, its policy and the market."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest

from evenkeel.policy.v1 import policy_document_pb2 as document_pb
from services.decision.clients.policy_document import read_policy
from services.decision.domain.account_problem import account_problem, is_due
from services.decision.domain.book import HoldingKind, Position, TaxWrapper
from services.decision.domain.grouping import identity_sets
from services.decision.domain.instruments import Instrument
from services.decision.domain.policy import Policy
from services.decision.domain.problem import LotMethod, LotState, RecentTrade, Side
from services.decision.domain.recorded import InstrumentList, read_recorded, recorded_bytes
from services.decision.domain.tax import JurisdictionUnknown
from services.decision.domain.tax.laws import LAWS, CurrencyWithoutRate
from tests.decision.books import CLOSE, MORNING
from tests.decision.domain.account_problems import (
    TODAY,
    a_market,
    a_position,
    an_account,
    holding,
    problem_of,
    violations,
    with_rules,
)
from tests.decision.stages.world import a_policy, dollars, number


def test_everything_held_or_targeted_is_a_holding_with_its_target():
    problem = problem_of(an_account(a_position("AAPL", 10), a_position("VTI", 5)))

    targets = {each.instrument_id: each.target_weight for each in problem.holdings}
    assert targets == {"AAPL": 0, "BND": Decimal("0.39"), "VTI": Decimal("0.6")}
    assert problem.mix_value == 1000 + 1500


def test_groups_are_multiplied_out():
    group = document_pb.TargetGroup(
        name="stocks",
        members=[
            document_pb.TargetWeight(instrument_id="VTI", weight=number("0.75")),
            document_pb.TargetWeight(instrument_id="AAPL", weight=number("0.25")),
        ],
    )
    targets = document_pb.Targets(
        weights=[
            document_pb.TargetWeight(group=group, weight=number("0.8")),
            document_pb.TargetWeight(instrument_id="BND", weight=number("0.2")),
        ],
        cash_weight=number(0),
    )

    policy = read_policy(a_policy(targets=targets))

    assert policy.weights == {"VTI": Decimal("0.6"), "AAPL": Decimal("0.2"), "BND": Decimal("0.2")}


def test_a_band_is_the_larger_of_its_parts_and_a_trigger_never_inside_its_destination():
    bands = document_pb.Bands(
        trigger=document_pb.Distance(absolute=number("0.01"), relative=number("0.2")),
        destination=document_pb.Distance(absolute=number("0.15")),
    )

    problem = problem_of(an_account(a_position("VTI", 5)), read_policy(a_policy(bands=bands)))

    assert holding(problem, "VTI").band.trigger == Decimal("0.15")
    assert holding(problem, "VTI").band.destination == Decimal("0.15")
    relative = replace(read_policy(a_policy(bands=bands)).trigger)
    assert relative.at(Decimal("0.6")) == Decimal("0.12")
    assert relative.at(Decimal("0.02")) == Decimal("0.01")


def test_prices_of_risk_and_of_leaving_the_band_are_turned_into_the_objective():
    objective = problem_of(an_account(a_position("VTI", 5))).objective

    # 50,000 bps for a variance of 1: a tracking error of 1 % costs 5 bps, and half of 10 · 0.01² is 5 bps.
    assert objective.risk_aversion == 10
    assert objective.band_excess_price == Decimal("0.1")


def test_what_cannot_be_traded_counts_in_the_mix_and_stays():
    account = an_account(
        a_position("VTI", 5, kind=HoldingKind.HELD_AWAY), a_position("BND", 3, kind=HoldingKind.LOCKED)
    )

    problem = problem_of(account)

    assert holding(problem, "VTI").held_away_value == 500
    assert holding(problem, "VTI").lots == ()
    assert holding(problem, "BND").held_away_value == 300
    assert problem.mix_value == 1800


def test_units_of_unknown_cost_stay_where_gains_are_taxed_and_are_one_lot_where_they_are_not():
    taxed = problem_of(an_account(a_position("VTI", 5, lots=False)))
    exempt = problem_of(an_account(a_position("VTI", 5, lots=False), tax_wrapper=TaxWrapper.EXEMPT))

    assert holding(taxed, "VTI").held_away_value == 500
    assert holding(taxed, "VTI").no_buy == "the cost of what is held is unknown"
    assert holding(exempt, "VTI").quantity == 5
    assert holding(exempt, "VTI").lots[0].basis_total == 500


def test_what_is_identical_has_one_identity_and_locked_lots_count_as_purchases():
    recent = TODAY - timedelta(days=5)
    instruments = [Instrument(each, "USD", Decimal(1), identity_set="us") for each in ("VTI", "AAPL")]
    sale = RecentTrade("VTI", Side.SELL, recent, Decimal(-7))
    account = an_account(
        a_position("VTI", 5, acquired=recent),
        a_position("BND", 3, kind=HoldingKind.LOCKED, acquired=recent),
        a_position("AAPL", 1),
        recent_trades=(sale, replace(sale, trade_date=TODAY - timedelta(days=32))),
    )

    problem = problem_of(account, market=a_market(instruments=instruments))

    assert {each.instrument_id: each.identity for each in problem.holdings} == {"VTI": "us", "AAPL": "us", "BND": "BND"}
    assert problem.recent_trades == (sale, RecentTrade("BND", Side.BUY, recent))


def test_a_sale_of_what_is_gone_counts_for_what_is_identical_to_it():
    instruments = [Instrument(each, "USD", Decimal(1), identity_set="us") for each in ("VTI", "ITOT")]
    sale = RecentTrade("ITOT", Side.SELL, TODAY - timedelta(days=5), Decimal(-7))
    account = an_account(a_position("BND", 3), recent_trades=(sale,))

    problem = problem_of(account, market=a_market(instruments=instruments))

    assert problem.recent_trades == (replace(sale, instrument_id="VTI"),)


def test_cash_that_leaves_soon_is_kept_and_its_corridor_is_the_narrower_of_both():
    policy = read_policy(
        a_policy(
            risk=document_pb.RiskLimits(cash_floor=number("0.002"), cash_ceiling=number("0.05")),
            triggers=document_pb.Triggers(cash_drift=number("0.01")),
        )
    )

    rule = problem_of(an_account(a_position("VTI", 5), reserved_cash=Decimal(100)), policy).cash_rule

    assert (rule.floor_weight, rule.ceiling_weight, rule.withdrawal) == (Decimal("0.002"), Decimal("0.02"), 100)


def test_an_account_is_due_when_it_was_not_decided_for_as_long_as_the_calendar_says():
    policy = Policy({}, calendar_days=30)

    assert not is_due(policy, TODAY - timedelta(days=29), TODAY)
    assert is_due(policy, TODAY - timedelta(days=30), TODAY)
    assert is_due(policy, None, TODAY)
    assert not is_due(Policy({}), None, TODAY)


def test_inputs_that_contradict_each_other_are_refused_together_by_field_value_and_limit():
    market = a_market(instruments=[Instrument("BND", "EUR", Decimal(1))], AAPL=None)
    policy = read_policy(
        a_policy(
            tax=document_pb.TaxSettings(jurisdiction="US", short_term_rate=number("0.4")),
            bands=document_pb.Bands(minimum_trade={"currency_code": "EUR", "units": 5}),
        )
    )

    assert violations(an_account(a_position("AAPL", 5)), policy, market) == {
        "policy.tax.long_term_rate": "must be set for an account that is taxed",
        "prices[AAPL]": "has no price in prices-1",
        "instruments[BND].currency": "must be USD, was EUR",
        "policy.bands.minimum_trade": "must be in USD, was 5 EUR",
    }


def test_how_lots_are_chosen_and_which_losses_are_worth_it_come_from_the_policy():
    tax = document_pb.TaxSettings(
        jurisdiction="US",
        short_term_rate=number("0.4"),
        long_term_rate=number("0.2"),
        lot_method=document_pb.LOT_METHOD_FIRST_IN_FIRST_OUT,
        harvest_minimum=dollars(100),
    )

    asked = problem_of(an_account(a_position("VTI", 5)), read_policy(a_policy(tax=tax)))

    assert (asked.tax.lot_method, asked.tax.harvest_minimum) == (LotMethod.FIRST_IN_FIRST_OUT, 100)


def taxed_in(country, **more):
    return read_policy(a_policy(tax=document_pb.TaxSettings(jurisdiction=country, **more)))


def two_lots(currency="USD"):
    lots = (LotState("l1", date(2020, 1, 2), Decimal(3), Decimal(100)), LotState("l2", TODAY, Decimal(1), Decimal(60)))
    return an_account(Position("VTI", HoldingKind.TRADED, Decimal(4), lots), currency=currency)


@pytest.mark.parametrize(
    ("country", "costs", "method"),
    [
        ("GB", [120, 40], LotMethod.LOWEST_TAX),
        ("CA", [120, 40], LotMethod.LOWEST_TAX),
        ("DE", [100, 60], LotMethod.FIRST_IN_FIRST_OUT),
    ],
)
def test_what_lots_cost_and_their_order_are_the_countrys_where_it_lets_nobody_choose(country, costs, method):
    asked = problem_of(two_lots(LAWS[country].currency), taxed_in(country, long_term_rate=number("0.24")))

    assert [lot.basis_total for lot in holding(asked, "VTI").lots] == costs
    assert (asked.tax.lot_method, asked.tax.long_rate) == (method, Decimal("0.24"))


def test_losses_carried_into_the_tax_year_are_reckoned_with_and_those_of_another_are_not():
    account = replace(two_lots(), carried_year=2022, carried_short=Decimal(5), carried_long=Decimal(7))
    kept = problem_of(account).tax
    assert (kept.carried_short, kept.carried_long) == (5, 7)
    assert problem_of(replace(account, carried_year=2021)).tax.carried_short == 0
    # In the United Kingdom 28 December is in the year that began in April.
    british = taxed_in("GB", long_term_rate=number("0.24"))
    pounds = replace(account, currency="GBP")
    assert problem_of(pounds, british).tax.carried_long == 7


def test_a_country_without_rules_or_whose_law_of_the_year_nobody_reviewed_is_refused():
    for country, year in (("FR", 2022), ("US", 2027)):
        late = MORNING.replace(year=year)
        account, market = replace(two_lots(), as_of_time=late), a_market(late)
        policy = taxed_in(country, short_term_rate=number("0.4"), long_term_rate=number("0.2"))
        with pytest.raises(JurisdictionUnknown) as caught:
            account_problem(account, policy, market, late)
        assert caught.value.violations[0].field == "tax.jurisdiction"


@pytest.mark.parametrize(
    ("country", "law", "kept"), [("GB", "GBP", "USD"), ("DE", "EUR", "USD"), ("CA", "CAD", "USD"), ("US", "USD", "EUR")]
)
def test_a_taxed_account_in_another_currency_than_its_law_reckons_in_is_refused_in_words(country, law, kept):
    policy = taxed_in(country, short_term_rate=number("0.4"), long_term_rate=number("0.24"))
    with pytest.raises(CurrencyWithoutRate) as caught:
        problem_of(two_lots(kept), policy)

    assert caught.value.message == (
        f"account a1 is kept in {kept} and taxed in {country}, in {law}: plans know no rates of its days"
    )
    (violation,) = caught.value.violations
    assert (violation.field, violation.description) == (
        "account.currency",
        f"must be {law}, in which the tax of {country} is reckoned, was {kept}",
    )
    # Where nothing is taxed no currency is asked for.
    sheltered = replace(two_lots(kept), tax_wrapper=TaxWrapper.EXEMPT)
    assert problem_of(sheltered, policy).currency == kept


@pytest.mark.parametrize(("flow", "counts"), [("500", True), ("-500", True), ("499.99", False), ("0", False)])
def test_money_that_came_or_went_asks_for_a_look_from_the_policys_minimum_on(flow, counts):
    policy = read_policy(a_policy(triggers=document_pb.Triggers(cash_flow_minimum=dollars(500))))
    flow = Decimal(flow)

    asked = account_problem(an_account(a_position("VTI", 5)), policy, a_market(), MORNING, flow)

    assert asked.cash_rule.flow == (flow if counts else 0)


def test_sets_of_the_policy_and_of_the_book_that_meet_are_one():
    known = {
        each: Instrument(each, "USD", Decimal(1), identity_set=named)
        for each, named in (("VOO", "sp500"), ("IVV", "sp500"), ("SPY", ""), ("BND", ""))
    }

    sets = identity_sets(["VOO", "IVV", "BND"], known, (frozenset({"IVV", "SPY"}),))

    assert sets["VOO"] == sets["IVV"] == sets["SPY"]
    assert sets["BND"] == "BND"
    assert identity_sets(["VOO"], known, ()) == {"VOO": "sp500"}


def test_limits_of_issuers_and_classes_make_nothing_worse_and_force_nothing():
    known = [
        Instrument("VTI", "USD", Decimal(1), asset_class="equity", issuer="vanguard"),
        Instrument("BND", "USD", Decimal(1), asset_class="bond", issuer="vanguard"),
        Instrument("AAPL", "USD", Decimal(1), asset_class="equity", issuer="apple"),
    ]
    limits = document_pb.RiskLimits(
        issuer_weight_limit=number("0.5"),
        class_limits=[document_pb.ClassLimit(asset_class="equity", minimum=number("0.7"), maximum=number("0.8"))],
    )
    account = an_account(a_position("VTI", 60), a_position("AAPL", 30))

    groups = {
        g.name: g for g in problem_of(account, with_rules(risk=limits), a_market(instruments=known)).limits.groups
    }

    # Of 10,000: VTI 6,000, AAPL 3,000, cash 1,000.
    assert groups["issuer:vanguard"].weight_max == Decimal("0.6")
    assert groups["issuer:vanguard"].instrument_ids == ("BND", "VTI")
    assert groups["issuer:apple"].weight_max == Decimal("0.5")
    assert (groups["class:equity"].weight_min, groups["class:equity"].weight_max) == (Decimal("0.7"), Decimal("0.9"))


def test_the_least_benefit_of_a_plan_is_in_the_accounts_currency():
    triggers = document_pb.Triggers(net_benefit_minimum=dollars(25))

    assert problem_of(an_account(), with_rules(triggers=triggers)).objective.net_benefit_min == 25
    assert (
        "must be in EUR"
        in violations(an_account(a_position("VTI", 1), currency="EUR"), with_rules(triggers=triggers))[
            "policy.triggers.net_benefit_minimum"
        ]
    )


def test_a_year_to_come_is_planned_once_its_law_was_reviewed_and_recorded_so():
    later, morning = CLOSE.replace(year=2031), MORNING.replace(year=2031)
    account = replace(an_account(a_position("VTI", 5)), as_of_time=later)
    policy = read_policy(a_policy())

    with pytest.raises(JurisdictionUnknown, match="was asked about 2031: propose the year's law"):
        account_problem(account, policy, a_market(later), morning)
    pinned = recorded_bytes(InstrumentList((), {"US": (2031,)}))
    reviewed = read_recorded(InstrumentList, pinned).reviewed_years
    market = replace(a_market(later), reviewed_years=reviewed)
    assert account_problem(account, policy, market, morning).as_of_date.year == 2031
    # What was recorded before years could be reviewed reads, and is written, as it was.
    assert recorded_bytes(InstrumentList(())) == b'{"instruments":[]}'
    assert read_recorded(InstrumentList, b'{"instruments":[]}').reviewed_years == {}


def test_an_account_that_is_not_taxed_waits_for_no_law_to_be_reviewed():
    later, morning = CLOSE.replace(year=2031), MORNING.replace(year=2031)
    sheltered = replace(two_lots(), tax_wrapper=TaxWrapper.EXEMPT, as_of_time=later)

    assert not account_problem(sheltered, read_policy(a_policy()), a_market(later), morning).tax.taxable


def test_the_policys_part_of_the_yearly_amount_is_the_accounts():
    said = document_pb.TaxSettings(
        jurisdiction="US",
        short_term_rate=number("0.408"),
        long_term_rate=number("0.238"),
        yearly_allowance=dollars(1000),
    )

    assert problem_of(two_lots(), read_policy(a_policy(tax=said))).tax.allowance == 1000
    assert problem_of(two_lots()).tax.allowance is None
