"""From book, policy and market to what the optimiser is asked."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
from google.type import money_pb2

from evenkeel.policy.v1 import policy_document_pb2 as document_pb
from services.decision.clients.policy_document import read_policy
from services.decision.domain.account_problem import account_problem, is_due
from services.decision.domain.book import AccountBook, HoldingKind, Position, TaxWrapper
from services.decision.domain.freshness import PricesStale, SnapshotStale, check_ages
from services.decision.domain.grouping import identity_sets
from services.decision.domain.instruments import Instrument
from services.decision.domain.market import Market
from services.decision.domain.policy import Policy
from services.decision.domain.prices import PriceSet, Quote
from services.decision.domain.problem import Band, LotMethod, LotState, RecentTrade, Side
from services.decision.domain.recorded import InstrumentList, read_recorded, recorded_bytes
from services.decision.domain.tax import JurisdictionUnknown
from services.decision.domain.tax.laws import LAWS, CurrencyWithoutRate, LawState, LawVersion, law_book
from services.kernel.errors import Invalid
from services.runtime.wire import instant_message
from tests.decision.books import CLOSE, MORNING
from tests.decision.stages.world import a_policy, dollars, number

TODAY = MORNING.date()


def a_position(instrument_id, units, *, kind=HoldingKind.TRADED, acquired=date(2020, 1, 2), lots=True):
    lot = LotState(f"{instrument_id}-{kind}-1", acquired, Decimal(units), Decimal(units) * 50)
    return Position(instrument_id, kind, Decimal(units), (lot,) if lots else ())


def an_account(*positions, currency="USD", **changes):
    account = AccountBook(
        account_id="a1",
        household_id=None,
        custodian="custodian-a",
        currency=currency,
        tax_wrapper=TaxWrapper.TAXABLE,
        cash=Decimal(1000),
        reserved_cash=Decimal(0),
        realized=(),
        positions=positions,
        snapshot_id="snapshot-1",
        as_of_time=CLOSE,
    )
    return replace(account, **changes)


def a_market(as_of=CLOSE, instruments=(), currency="USD", **prices):
    prices = {"VTI": "100", "BND": "100", "AAPL": "100"} | prices
    quotes = {each: Quote(Decimal(price)) for each, price in prices.items() if price is not None}
    known = {each: Instrument(each, currency, Decimal(1)) for each in prices} | {
        each.instrument_id: each for each in instruments
    }
    return Market(PriceSet("prices-1", "sha256:c", "vendor-a", as_of, as_of, quotes), known)


def problem_of(account, policy=None, market=None):
    market = market or a_market(currency=account.currency)
    return account_problem(account, policy or read_policy(a_policy()), market, MORNING)


def holding(problem, instrument_id):
    (found,) = (each for each in problem.holdings if each.instrument_id == instrument_id)
    return found


def violations(account, policy=None, market=None):
    with pytest.raises(Invalid) as caught:
        problem_of(account, policy, market)
    return {each.field: each.description for each in caught.value.violations}


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


def restricted(kind, **more):
    item = document_pb.Restriction(instrument_id="VTI", kind=kind, reason="the client asked", **more)
    return read_policy(a_policy(restrictions=document_pb.Restrictions(items=[item])))


@pytest.mark.parametrize(
    ("kind", "no_buy", "no_sell"),
    [
        (document_pb.Restriction.KIND_NO_BUY, True, False),
        (document_pb.Restriction.KIND_NO_SELL, False, True),
        (document_pb.Restriction.KIND_NO_TRADE, True, True),
        (document_pb.Restriction.KIND_EXCLUDED, True, False),
    ],
)
def test_a_restriction_forbids_what_it_says(kind, no_buy, no_sell):
    found = holding(problem_of(an_account(a_position("VTI", 5)), restricted(kind)), "VTI")

    assert (found.no_buy == "the client asked", found.no_sell == "the client asked") == (no_buy, no_sell)


def test_a_restriction_ends_at_its_expire_time_and_not_before():
    kind = document_pb.Restriction.KIND_NO_BUY
    ends_now = restricted(kind, expire_time=instant_message(MORNING))
    ends_later = restricted(kind, expire_time=instant_message(MORNING + timedelta(microseconds=1)))

    assert holding(problem_of(an_account(a_position("VTI", 5)), ends_now), "VTI").no_buy is None
    assert holding(problem_of(an_account(a_position("VTI", 5)), ends_later), "VTI").no_buy is not None


def test_what_is_excluded_is_sold_and_its_weight_goes_to_the_others():
    problem = problem_of(an_account(a_position("VTI", 5)), restricted(document_pb.Restriction.KIND_EXCLUDED))

    assert holding(problem, "VTI").target_weight == 0
    assert holding(problem, "BND").target_weight == Decimal("0.99")
    (limit,) = problem.limits.groups
    assert (limit.instrument_ids, limit.weight_max) == (("VTI",), 0)


def test_of_what_is_excluded_a_part_of_an_increment_and_units_held_away_stay():
    account = an_account(a_position("VTI", "5.5"), a_position("VTI", 2, kind=HoldingKind.HELD_AWAY))

    (limit,) = problem_of(account, restricted(document_pb.Restriction.KIND_EXCLUDED)).limits.groups

    assert abs(limit.weight_max - Decimal(250) / Decimal(1750)) < Decimal("1e-11")


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


def test_prices_and_books_are_fresh_at_exactly_the_greatest_age_and_not_beyond():
    policy = Policy({}, price_age_max=timedelta(hours=1), snapshot_age_max=timedelta(hours=2))
    prices = a_market(as_of=MORNING - timedelta(hours=1)).prices
    account = an_account(as_of_time=MORNING - timedelta(hours=2))

    check_ages(account, policy, prices, MORNING)
    moment = timedelta(microseconds=1)
    with pytest.raises(PricesStale):
        check_ages(account, policy, replace(prices, as_of_time=prices.as_of_time - moment), MORNING)
    with pytest.raises(PricesStale):
        check_ages(account, policy, replace(prices, as_of_time=MORNING + moment), MORNING)
    with pytest.raises(SnapshotStale):
        check_ages(replace(account, as_of_time=account.as_of_time - moment), policy, prices, MORNING)


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


def test_a_document_that_is_none_or_says_what_cannot_be_is_refused():
    with pytest.raises(Invalid, match="must be a serialized PolicyDocument"):
        read_policy(b"\xff\xff\xff")
    with pytest.raises(Invalid, match=r"risk\.cash_floor"):
        read_policy(a_policy(risk=document_pb.RiskLimits(cash_floor=number("lots"))))


def with_rules(**sections):
    return read_policy(a_policy(**sections))


def test_a_line_of_its_own_distance_has_it_and_the_others_have_the_general_one():
    lines = [
        document_pb.TargetWeight(
            instrument_id="VTI",
            weight=number("0.6"),
            trigger=document_pb.Distance(absolute=number("0.1")),
            destination=document_pb.Distance(relative=number("0.05")),
        ),
        document_pb.TargetWeight(instrument_id="BND", weight=number("0.39")),
    ]
    policy = with_rules(targets=document_pb.Targets(weights=lines, cash_weight=number("0.01")))

    problem = problem_of(an_account(a_position("VTI", 5)), policy)

    assert holding(problem, "VTI").band == Band(Decimal("0.1"), Decimal("0.03"))
    assert holding(problem, "BND").band == Band(Decimal("0.02"), Decimal("0.005"))


def test_cash_of_groups_is_cash_of_the_account():
    group = document_pb.TargetGroup(
        name="income",
        members=[document_pb.TargetWeight(instrument_id="BND", weight=number("0.9"))],
        cash_weight=number("0.1"),
    )
    lines = [
        document_pb.TargetWeight(group=group, weight=number("0.4")),
        document_pb.TargetWeight(instrument_id="VTI", weight=number("0.6")),
    ]

    policy = with_rules(targets=document_pb.Targets(weights=lines))

    assert policy.weights == {"BND": Decimal("0.36"), "VTI": Decimal("0.6")}
    assert policy.cash_weight == Decimal("0.04")


@pytest.mark.parametrize("wrong", ["model_node_id", "screen"])
def test_what_policy_should_have_worked_out_is_refused_rather_than_ignored(wrong):
    if wrong == "model_node_id":
        sections = {
            "targets": document_pb.Targets(weights=[document_pb.TargetWeight(model_node_id="growth", weight=number(1))])
        }
    else:
        item = document_pb.Restriction(screen="oil", kind=document_pb.Restriction.KIND_EXCLUDED, reason="faith")
        sections = {"restrictions": document_pb.Restrictions(items=[item])}

    with pytest.raises(Invalid, match="effective policy"):
        with_rules(**sections)


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


def pounds(amount):
    return money_pb2.Money(currency_code="GBP", units=amount)


def british(**said):
    return read_policy(a_policy(tax=document_pb.TaxSettings(jurisdiction="GB", **said)))


def test_a_british_income_decides_the_rates_and_where_they_change():
    # The prices are of 2022/23: 10 and 20 %, a basic rate band of 37,700.
    told = problem_of(two_lots("GBP"), british(taxable_income=pounds(30_000))).tax
    high = problem_of(two_lots("GBP"), british(taxable_income=pounds(50_000), long_term_rate=number("0.5"))).tax
    plain = problem_of(two_lots("GBP"), british(long_term_rate=number("0.24"))).tax

    assert (told.lower_rate, told.lower_room, told.long_rate) == (Decimal("0.10"), 7_700, Decimal("0.20"))
    assert (high.lower_room, high.long_rate) == (0, Decimal("0.20"))
    assert (plain.lower_room, plain.long_rate) == (0, Decimal("0.24"))
    assert "policy.tax.long_term_rate" in violations(two_lots("GBP"), british())
    euros = british(taxable_income=money_pb2.Money(currency_code="EUR", units=1))
    assert violations(two_lots("GBP"), euros) == {"policy.tax.taxable_income": "must be in GBP, was 1 EUR"}
    # Elsewhere the policy's rates are the rates.
    american = document_pb.TaxSettings(
        jurisdiction="US", short_term_rate=number("0.4"), long_term_rate=number("0.2"), taxable_income=dollars(1)
    )
    assert problem_of(two_lots(), read_policy(a_policy(tax=american))).tax.lower_room == 0


def test_amounts_of_law_that_were_approved_are_pinned_and_planned_by():
    version = LawVersion(
        "GB", 2022, 1, LawState.APPROVED,
        {"exempt_amount": Decimal(12_300), "basic_rate_band": Decimal(40_000), "basic_rate": Decimal("0.11"),
         "higher_rate": Decimal("0.22")},
        "a finance act",
    )  # fmt: skip
    pinned = recorded_bytes(InstrumentList((), {}, law_book([version]).approved_amounts()))
    market = replace(a_market(currency="GBP"), amounts=read_recorded(InstrumentList, pinned).amounts)
    tax = problem_of(two_lots("GBP"), british(taxable_income=pounds(30_000)), market).tax

    assert (tax.lower_rate, tax.lower_room, tax.long_rate) == (Decimal("0.11"), 10_000, Decimal("0.22"))


def test_the_policys_part_of_the_yearly_amount_is_the_accounts():
    said = document_pb.TaxSettings(
        jurisdiction="US",
        short_term_rate=number("0.408"),
        long_term_rate=number("0.238"),
        yearly_allowance=dollars(1000),
    )

    assert problem_of(two_lots(), read_policy(a_policy(tax=said))).tax.allowance == 1000
    assert problem_of(two_lots()).tax.allowance is None
