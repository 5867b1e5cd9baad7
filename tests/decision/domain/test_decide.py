import random
import re
from dataclasses import fields, is_dataclass, replace
from decimal import Decimal

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from services.decision.domain.bulk import decide_many
from services.decision.domain.checker import violations
from services.decision.domain.decide import decide
from services.decision.domain.decision import ConstraintKind, Decision, NoTradeReason, Outcome, TriggerKind
from services.decision.domain.kernel.climbing import GAP_MAX
from services.decision.domain.problem import CashRule, DecideOptions, Engine, GroupLimit, Limits, Side
from services.decision.domain.solving import KERNEL
from services.decision.domain.words import CERTIFIED_BPS_UNIT, money
from services.kernel.errors import Invalid
from tests.support.portfolios import US_TAXABLE, a_lot, a_market, an_account, independent
from tests.support.random_accounts import accounts, risk_models

AT_ONCE = DecideOptions(ignore_triggers=True)
# Properties are of what follows the solver; the kernel is a hundred times as fast, and its own tests compare the two.
FAST = DecideOptions(ignore_triggers=True, engine=Engine.KERNEL)


# Examples that a person can check.


def test_inside_the_band_nothing_is_traded_and_the_edge_is_inside():
    account = an_account(cash=450).holding("VTI", units=55, price=10, target="0.5", trigger="0.05")
    decision = decide(account.build(), independent(VTI=0.04))

    assert account.build().mix_value == 1000
    assert decision.outcome is Outcome.NO_TRADE
    assert decision.explanation.no_trade_reason is NoTradeReason.WITHIN_BANDS
    assert decision.trades == ()


def test_outside_the_band_the_account_goes_to_its_target():
    account = an_account(cash=4400).holding("VTI", units=56, target="0.5", trigger="0.05")
    decision = decide(account.build(), independent(VTI=0.04))

    (trade,) = decision.trades
    assert (trade.side, trade.quantity, trade.value) == (Side.SELL, Decimal(6), Decimal(600))
    assert decision.explanation.summary.cash_after == 5000
    assert [trigger.kind for trigger in decision.explanation.triggers] == [TriggerKind.DRIFT]


@pytest.mark.parametrize("engine", [Engine.KERNEL, Engine.COLUMNS])
def test_the_objective_counts_costs_as_they_are_and_shows_them_rounded_up_to_the_cent(engine):
    # 200 at half a spread of 0.1 basis points cost a tenth of a cent.
    account = an_account(cash=1000).holding("VTI", price=1, target="0.2", spread_bps="0.1").caring(risk_aversion=100)
    account = account.holding("BND", price=1, target="0.2", spread_bps="0.1")
    problem, risk = account.build(), independent(VTI=0.04, BND=0.04)
    options = DecideOptions(ignore_triggers=True, engine=engine)
    decision = (
        decide_many([problem], risk, [options])[0] if engine is Engine.COLUMNS else decide(problem, risk, options)
    )

    assert decision is not None
    assert [(trade.quantity, trade.cost.total) for trade in decision.trades] == 2 * [(Decimal(200), Decimal("0.01"))]
    summary, certificate = decision.explanation.summary, decision.certificate
    assert (summary.cost, summary.cash_after) == (Decimal("0.02"), Decimal("599.98"))
    assert summary.objective_after.cost_bps == Decimal("0.02")
    assert abs(certificate.primal_bps - summary.objective_after.total_bps) <= Decimal("0.000003")
    # The cents would be 0.2 basis points of it.
    assert certificate.gap_bps < Decimal("0.001")


def test_a_trade_worth_less_than_a_cent_is_not_made():
    account = an_account(cash=1001).holding("VTI", units=199, price=1, target="0.1667").caring(risk_aversion=1)
    decision = decide(account.build(), independent(VTI=0.04), AT_ONCE)

    # ½ · 0.04 · (1 / 1200)² of 1,200 is a thousandth of a cent.
    assert decision.trades == ()
    assert decision.explanation.no_trade_reason is not None


def test_the_cheapest_lots_are_sold_and_their_tax_is_told():
    lots = [a_lot("cheap", 20, 20), a_lot("dear", 20, 90), a_lot("middle", 20, 60)]
    account = an_account(cash=4000, tax=US_TAXABLE).holding("VTI", lots=lots, target="0.3").caring(risk_aversion=100)
    decision = decide(account.build(), independent(VTI=0.04), AT_ONCE)

    # ½ · 100 · 0.04 · (w − 0.3)², at 4 · (w − 0.3) a unit, beats 15 % of a gain of 10, 40 and at last 80 %.
    (trade,) = decision.trades
    assert [(sale.lot_id, sale.quantity, sale.gain, sale.tax) for sale in trade.lot_sales] == [
        ("dear", Decimal(20), Decimal(200), Decimal(30)),
        ("middle", Decimal(9), Decimal(360), Decimal(54)),
    ]
    assert decision.explanation.summary.gain_long == 560
    assert decision.explanation.summary.tax_realized == 84


def test_a_trade_that_is_not_worth_its_tax_is_not_made():
    account = an_account(cash=4000, tax=US_TAXABLE).holding("VTI", units=60, basis=10, target="0.58")
    decision = decide(account.build(), independent(VTI=0.04), AT_ONCE)

    assert decision.outcome is Outcome.NO_TRADE
    assert decision.explanation.no_trade_reason is NoTradeReason.NOT_WORTH_IT


def test_a_trade_below_the_minimum_is_not_made():
    account = an_account(cash=4500).holding("VTI", units=55, target="0.54", minimum_trade=500)
    decision = decide(account.build(), independent(VTI=0.04), AT_ONCE)

    assert decision.explanation.no_trade_reason is NoTradeReason.BELOW_MINIMUM


def test_a_plan_must_beat_doing_nothing_by_what_the_policy_says():
    account = an_account(cash=4400).holding("VTI", units=56, target="0.5")
    # Of 10,000: ½ · 10 · 0.04 · 0.06² is 7.2 basis points, 7.20 in currency, and six shares save all of it.
    worth = decide(account.build(), independent(VTI=0.04), AT_ONCE).explanation.summary.net_benefit

    assert worth == Decimal("7.20")
    assert decide(account.caring(net_benefit_min="7.19").build(), independent(VTI=0.04), AT_ONCE).trades
    assert not decide(account.caring(net_benefit_min="7.21").build(), independent(VTI=0.04), AT_ONCE).trades


def test_a_withdrawal_is_raised_from_what_is_overweight():
    account = (
        an_account(cash=100, cash_rule=CashRule(withdrawal=Decimal(1000)))
        .holding("AAA", units=60, target="0.5")
        .holding("BBB", units=49, target="0.5")
    )
    decision = decide(account.build(), independent(AAA=0.04, BBB=0.04), DecideOptions())

    # 10,000 are left, half each.
    assert [(trade.instrument_id, trade.side, trade.quantity) for trade in decision.trades] == [
        ("AAA", Side.SELL, Decimal(10)),
        ("BBB", Side.BUY, Decimal(1)),
    ]
    assert [trigger.kind for trigger in decision.explanation.triggers][-1] is TriggerKind.CASH_FLOOR
    assert decision.explanation.summary.cash_after == 1000


def test_limits_that_no_plan_can_keep_are_named_with_the_least_change():
    account = an_account(cash=1000, limits=Limits(turnover=Decimal("0.1"))).having(
        cash_rule=CashRule(floor=Decimal(5000))
    )
    decision = decide(account.holding("VTI", units=90, target="0.9").build(), independent(VTI=0.04))

    assert decision.outcome is Outcome.INFEASIBLE
    assert decision.trades == ()
    # 4,000 of 10,000 are missing, and a tenth may be sold: three tenths more would have to be.
    (conflict,) = decision.explanation.binding
    assert conflict.kind is ConstraintKind.TURNOVER
    assert conflict.price == pytest.approx(Decimal("0.3"), abs=Decimal("0.00001"))


def test_a_limit_that_holds_the_plan_back_is_told_with_its_price():
    account = an_account(cash=9000, limits=Limits(turnover=Decimal("0.2"))).holding("VTI", units=10, target="0.9")
    decision = decide(account.build(), independent(VTI=0.04), AT_ONCE)

    (binding,) = decision.explanation.binding
    assert binding.kind is ConstraintKind.TURNOVER
    # At 0.3, being 0.6 off the target costs 10 · 0.04 · 0.6 a unit.
    assert binding.price == pytest.approx(Decimal("0.24"), abs=Decimal("0.0001"))


def test_what_may_not_be_traded_is_told_with_what_it_costs():
    account = an_account(cash=9000).holding("VTI", units=10, target="0.9", no_buy="restricted list")
    decision = decide(account.build(), independent(VTI=0.04), AT_ONCE)

    (binding,) = decision.explanation.binding
    assert (binding.kind, binding.subject) == (ConstraintKind.NO_BUY, "VTI")
    assert "restricted list" in binding.sentence


def test_an_instrument_without_risk_is_refused_by_name():
    with pytest.raises(Invalid, match="BBB"):
        decide(an_account(cash=1).holding("BBB", target="0.5").build(), independent(AAA=0.04))


def test_a_group_limit_is_kept_in_whole_shares():
    account = (
        an_account(cash=5000, limits=Limits(groups=(GroupLimit("tech", ("AAA", "BBB"), Decimal(0), Decimal("0.35")),)))
        .holding("AAA", units=7, price=113, target="0.3")
        .holding("BBB", units=3, price=211, target="0.3")
    )
    problem = account.build()
    decision = decide(problem, independent(AAA=0.04, BBB=0.04), AT_ONCE)
    after = decision.explanation.trades

    assert sum(reason.weight_after for reason in after) <= Decimal("0.35")
    assert sum(reason.weight_after for reason in after) > Decimal("0.33")


# Properties.


@settings(max_examples=25)
@given(accounts(), risk_models())
def test_a_plan_keeps_every_limit_and_is_never_worse_than_doing_nothing(problem, risk):
    decision = decide(problem, risk, FAST)
    certificate = decision.certificate

    assert decision.outcome is not Outcome.FALLBACK_HOLD
    assert bool(decision.trades) == (decision.outcome is Outcome.TRADE)
    if decision.trades:
        assert violations(problem, decision.trades) == ()
        assert certificate.dual_bps <= certificate.primal_bps + Decimal("0.0001")
        assert -Decimal("0.0001") <= certificate.convex_gap_bps <= Decimal("0.001")
    if not violations(problem, ()):
        assert certificate.primal_bps <= certificate.hold_bps


@settings(max_examples=15)
@given(accounts(), risk_models(), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(problem, risk, shuffled: random.Random):
    def mixed(rows):
        rows = list(rows)
        shuffled.shuffle(rows)
        return tuple(rows)

    other = replace(
        problem,
        holdings=mixed(replace(holding, lots=mixed(holding.lots)) for holding in problem.holdings),
        recent_trades=mixed(problem.recent_trades),
    )

    assert repr(decide(other, risk, FAST)) == repr(decide(problem, risk, FAST))


@settings(max_examples=15)
@given(accounts(), risk_models())
def test_who_minds_deviation_more_deviates_less(problem, risk):
    # The optimum of λ · deviation + the rest deviates less, the larger λ; fractional shares leave that nearly so.
    careless = replace(problem.objective, tax_weight=Decimal(0), risk_aversion=Decimal(1))
    careful = replace(careless, risk_aversion=Decimal(1000))
    fractions = tuple(
        replace(
            holding,
            quantity_increment=Decimal("0.000000001"),
            minimum_trade=Decimal(0),
            commission_per_trade=Decimal(0),
            band=replace(holding.band, destination=Decimal(0)),
        )
        for holding in problem.holdings
    )
    problem = replace(problem, holdings=fractions, tax=replace(problem.tax, taxable=False))
    first = decide(replace(problem, objective=replace(careless, band_excess_price=Decimal(0))), risk, FAST)
    second = decide(replace(problem, objective=replace(careful, band_excess_price=Decimal(0))), risk, FAST)
    assume(first.outcome is not Outcome.INFEASIBLE)

    before, after = first.explanation.summary, second.explanation.summary
    assert after.tracking_error_after_bps <= before.tracking_error_after_bps + Decimal("0.1")


@settings(max_examples=20)
@given(accounts(), risk_models())
def test_the_kernel_decides_as_well_as_the_reference_model(problem, risk):
    reference = decide(problem, risk, AT_ONCE)
    kernel = decide(problem, risk, FAST)

    assert kernel.outcome is not Outcome.FALLBACK_HOLD
    assert (kernel.outcome is Outcome.INFEASIBLE) == (reference.outcome is Outcome.INFEASIBLE)
    if kernel.trades:
        assert violations(problem, kernel.trades) == ()
        # Weak duality: the gap is no less than minus price times infeasibility, of which the kernel leaves `GAP_MAX`.
        # An answer that it does not find is the reference model's, whose own tolerance is wider.
        proof = kernel.certificate
        if proof.solver == KERNEL:
            missed = Decimal(GAP_MAX) * (1 + abs(proof.primal_bps) + abs(proof.hold_bps)) + CERTIFIED_BPS_UNIT
            assert proof.convex_gap_bps >= -missed
        assert proof.convex_gap_bps <= Decimal("0.01")
        # Each is within its own gap of the best, and neither bound is above the other's plan.
        cents = cents_bps(problem)
        assert kernel.certificate.dual_bps <= reference.certificate.primal_bps + cents
        assert reference.certificate.dual_bps <= kernel.certificate.primal_bps + cents


def cents_bps(problem):
    """Return by how much a plan in cents may be below the bound, in basis points.

    A plan's tax is of proceeds and bases in whole cents, each up to half a cent from what the bound knows, for every
    lot that is sold.
    """
    lots = sum(len(holding.lots) for holding in problem.holdings)
    return Decimal("0.0001") + lots * Decimal("0.01") * problem.objective.tax_weight / problem.mix_value * 10_000


# The explanation says what the structure says.


def test_the_sentence_accounts_for_cash_to_the_cent():
    account = an_account(cash="4400.07").holding("VTI", units=56, target="0.2", spread_bps=7)
    account = account.holding("BND", units=1, price=17, target="0.6", spread_bps=3)
    made = decide(account.build(), independent(VTI=0.04, BND=0.01), AT_ONCE).explanation.summary

    assert made.cash_before == Decimal("4400.07")
    assert min(made.sold_value, made.bought_value, made.cost) > 0
    assert made.cash_before + made.sold_value - made.bought_value - made.cost == made.cash_after
    said = [money(each, "USD") for each in (made.cash_before, made.cash_after, made.sold_value, made.bought_value)]
    assert f"Cash goes from {said[0]} to {said[1]}: sales bring {said[2]}, purchases take {said[3]}," in made.sentence


def _structured(decision: Decision) -> list[Decimal]:
    """Return every number of the decision, sentences apart."""
    found: list[Decimal] = []

    def walk(value: object) -> None:
        if isinstance(value, Decimal):
            found.append(abs(value))
        elif isinstance(value, tuple):
            for each in value:
                walk(each)
        elif is_dataclass(value):
            for each in fields(value):
                walk(getattr(value, each.name))

    walk(decision)
    for trade in decision.trades:
        found.append(trade.cost.total)
        for character in {sale.character for sale in trade.lot_sales}:
            sales = [sale for sale in trade.lot_sales if sale.character is character]
            found += [abs(sum(sale.gain for sale in sales)), abs(sum(sale.tax for sale in sales))]
    return found


@settings(max_examples=25)
@given(accounts(), risk_models())
def test_every_figure_of_a_sentence_is_in_the_structure(problem, risk):
    decision = decide(problem, risk, FAST)
    structured = _structured(decision)
    money = {f"{amount:,.2f}" for amount in structured}
    percents = {f"{weight * 100:.2f}" for weight in structured}
    quantities = {f"{trade.quantity:,f}".rstrip("0").rstrip(".") for trade in decision.trades}
    quantities |= {f"{trade.quantity:,f}" for trade in decision.trades}
    explanation = decision.explanation
    sentences = [reason.sentence for reason in explanation.trades] + [reason.without for reason in explanation.trades]
    sentences += [explanation.summary.sentence] + [trigger.sentence for trigger in explanation.triggers]
    sentences += [binding.sentence for binding in (*explanation.binding, *explanation.conflicting)]

    taxes = explanation.summary.taxes
    source = "nothing" if taxes is None else taxes.source
    # Days of a wash sale are no figures, nor are paragraphs of the law.
    for sentence in (re.sub(r"\d{4}-\d{2}-\d{2}", "", each.replace(source, "")) for each in sentences):
        for figure, unit in re.findall(r"(\d+(?:,\d{3})*(?:\.\d+)?)( %| basis points)?", sentence):
            if unit == " %":
                assert figure in percents, sentence
            else:
                assert figure in money | quantities, sentence


@settings(max_examples=25)
@given(accounts(), risk_models())
def test_a_trade_with_no_net_benefit_names_the_limit_that_needs_it(problem, risk):
    decision = decide(problem, risk, FAST)

    for reason in decision.explanation.trades:
        # A few cents are the rounding of costs up to the cent.
        if reason.net_benefit < Decimal("-0.10"):
            assert reason.required_by is not None, reason


def test_twenty_instruments_are_certified_to_a_basis_point():
    names = [f"I{number:02d}" for number in range(20)]
    account = an_account(cash=3000)
    for number, name in enumerate(names):
        account = account.holding(name, units=10 + number % 7, price=80 + number, target="0.049", spread_bps=4)
    decision = decide(account.build(), a_market(1, names), FAST)

    assert decision.outcome is Outcome.TRADE
    assert decision.certificate.gap_bps < 1
