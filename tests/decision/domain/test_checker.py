from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from services.decision.domain.checker import Rule, violations
from services.decision.domain.decide import decide
from services.decision.domain.decision import Character, Trade
from services.decision.domain.problem import (
    AccountProblem,
    CashRule,
    DecideOptions,
    GroupLimit,
    Limits,
    LotMethod,
    Side,
)
from tests.support.portfolios import TODAY, US_TAXABLE, a_loss_sale, a_lot, an_account, independent

D = Decimal


@pytest.fixture(scope="module")
def case() -> tuple[AccountProblem, tuple[Trade, ...]]:
    """A good plan that sells two lots of AAA and buys BBB; tests break one thing each."""
    lots = [a_lot("AAA-1", 40, 30), a_lot("AAA-2", 30, 95, date(2022, 6, 1))]
    problem = (
        an_account(cash=1000, tax=US_TAXABLE)
        .holding("AAA", lots=lots, target="0.3", spread_bps=4, commission_bps=1, minimum_trade=100)
        .holding("BBB", units=20, target="0.6", spread_bps=4, minimum_trade=100)
        .caring(risk_aversion=100)
        .build()
    )
    decision = decide(problem, independent(AAA=0.04, BBB=0.05), DecideOptions(ignore_triggers=True))
    sale, purchase = decision.trades
    assert (sale.side, purchase.side, len(sale.lot_sales)) == (Side.SELL, Side.BUY, 2)
    return problem, decision.trades


def rules(problem: AccountProblem, *trades: Trade) -> set[Rule]:
    return {violation.rule for violation in violations(problem, trades)}


def with_holding(problem: AccountProblem, instrument_id: str, **parts: object) -> AccountProblem:
    holdings = [replace(each, **parts) if each.instrument_id == instrument_id else each for each in problem.holdings]
    return replace(problem, holdings=tuple(holdings))


def test_a_good_plan_has_no_violation(case):
    problem, trades = case

    assert violations(problem, trades) == ()


@pytest.mark.parametrize(
    ("method", "skipped"), [(LotMethod.FIRST_IN_FIRST_OUT, "AAA-1"), (LotMethod.HIGHEST_COST, None)]
)
def test_a_sale_that_passes_over_a_lot_which_the_method_takes_first_is_found(case, method, skipped):
    problem, trades = case
    asked = replace(problem, tax=replace(problem.tax, lot_method=method))

    found = [each.description for each in violations(asked, trades) if each.rule is Rule.LOT_ORDER]

    assert found == ([] if skipped is None else [f"{method} takes {skipped} first"])


def _with_sale(trade: Trade, index: int = 0, **parts: object) -> Trade:
    sales = list(trade.lot_sales)
    sales[index] = replace(sales[index], **parts)
    return replace(trade, lot_sales=tuple(sales))


BROKEN_SALES: list[tuple[str, Callable[[Trade], Trade], Rule]] = [
    ("another instrument", lambda t: replace(t, instrument_id="ZZZ"), Rule.KNOWN_INSTRUMENT),
    ("half a share", lambda t: replace(t, quantity=t.quantity - D("0.5")), Rule.INCREMENT),
    ("a negative quantity", lambda t: replace(t, quantity=-t.quantity), Rule.INCREMENT),
    ("another price", lambda t: replace(t, price=t.price + 1), Rule.PRICE_AND_VALUE),
    ("another value", lambda t: replace(t, value=t.value + D("0.01")), Rule.PRICE_AND_VALUE),
    ("no spread", lambda t: replace(t, cost=replace(t.cost, spread=D(0))), Rule.COST),
    ("no commission", lambda t: replace(t, cost=replace(t.cost, commission=D(0))), Rule.COST),
    ("impact that pays", lambda t: replace(t, cost=replace(t.cost, impact=D("-0.01"))), Rule.COST),
    ("a lot left out", lambda t: replace(t, lot_sales=t.lot_sales[1:]), Rule.LOTS),
    ("a lot twice", lambda t: replace(t, lot_sales=(*t.lot_sales, t.lot_sales[0])), Rule.LOTS),
    ("a foreign lot", lambda t: _with_sale(t, lot_id="BBB-1"), Rule.LOTS),
    ("more than the lot", lambda t: _with_sale(t, quantity=D(41)), Rule.LOTS),
    ("another date", lambda t: _with_sale(t, acquired_date=TODAY), Rule.LOTS),
    ("another basis", lambda t: _with_sale(t, basis=t.lot_sales[0].basis + 1), Rule.GAIN_AND_TAX),
    ("another gain", lambda t: _with_sale(t, gain=t.lot_sales[0].gain - 1), Rule.GAIN_AND_TAX),
    ("another tax", lambda t: _with_sale(t, tax=D(0)), Rule.GAIN_AND_TAX),
    ("another rate", lambda t: _with_sale(t, rate=D(0), tax=D(0)), Rule.GAIN_AND_TAX),
    ("another character", lambda t: _with_sale(t, character=Character.SHORT), Rule.GAIN_AND_TAX),
]


@pytest.mark.parametrize(("what", "breaks", "rule"), BROKEN_SALES, ids=[what for what, _, _ in BROKEN_SALES])
def test_a_broken_sale_is_found(case, what, breaks, rule):
    problem, (sale, purchase) = case

    assert rule in rules(problem, breaks(sale), purchase)


def test_a_trade_below_the_minimum_is_found_and_emptying_the_position_is_not(case):
    problem, (sale, purchase) = case
    rest = sale.value + 1

    assert Rule.MINIMUM_TRADE in rules(with_holding(problem, "AAA", minimum_trade=rest), sale, purchase)
    lots = tuple(replace(each, quantity=part.quantity, basis_total=part.basis) for each, part in zip(
        problem.holdings[0].lots, sale.lot_sales, strict=True))  # fmt: skip
    emptied = with_holding(problem, "AAA", minimum_trade=rest, lots=lots)
    assert rules(emptied, sale, purchase) == set()


def test_a_purchase_that_names_lots_is_found(case):
    problem, (sale, purchase) = case

    assert Rule.LOTS in rules(problem, sale, replace(purchase, lot_sales=sale.lot_sales))


def test_trading_an_instrument_twice_is_found(case):
    problem, (sale, purchase) = case

    assert Rule.ONE_TRADE_PER_INSTRUMENT in rules(problem, sale, purchase, replace(purchase, quantity=D(1)))


def test_what_is_forbidden_is_found(case):
    problem, trades = case

    assert rules(with_holding(problem, "BBB", no_buy="restricted"), *trades) == {Rule.NO_BUY}
    assert rules(with_holding(problem, "AAA", no_sell="locked"), *trades) == {Rule.NO_SELL}
    # A purchase within 30 days of a loss is told by the tax view and by the finished plan.
    washed = replace(problem, recent_trades=(a_loss_sale("BBB", TODAY),))
    assert rules(washed, *trades) == {Rule.NO_BUY, Rule.TAX_RULE}


def test_account_limits_are_exact_to_the_cent(case):
    problem, (sale, purchase) = case
    cash = problem.cash + sale.value - sale.cost.total - purchase.value - purchase.cost.total
    traded = sale.value + purchase.value
    gain = sum(each.gain for each in sale.lot_sales)
    value = problem.mix_value
    bought = problem.holdings[1].value + purchase.value
    cent = D("0.01")

    def kept(limit: AccountProblem) -> set[Rule]:
        return rules(limit, sale, purchase)

    assert kept(replace(problem, cash_rule=CashRule(floor=cash))) == set()
    assert kept(replace(problem, cash_rule=CashRule(floor=cash + cent))) == {Rule.CASH_FLOOR}
    assert kept(replace(problem, limits=Limits(turnover=traded / value))) == set()
    assert kept(replace(problem, limits=Limits(turnover=(traded - cent) / value))) == {Rule.TURNOVER}
    assert kept(replace(problem, tax=replace(problem.tax, gain_budget=gain))) == set()
    assert kept(replace(problem, tax=replace(problem.tax, gain_budget=gain - cent))) == {Rule.GAIN_BUDGET}
    spent = replace(problem.tax, gain_budget=gain, realized_short=cent)
    assert kept(replace(problem, tax=spent)) == {Rule.GAIN_BUDGET}
    assert kept(with_holding(problem, "BBB", weight_max=bought / value)) == set()
    assert kept(with_holding(problem, "BBB", weight_max=(bought - cent) / value)) == {Rule.WEIGHT_MAX}
    high = GroupLimit("g", ("BBB",), D(0), bought / value)
    assert kept(replace(problem, limits=Limits(groups=(high,)))) == set()
    lower = replace(high, weight_max=(bought - cent) / value)
    assert kept(replace(problem, limits=Limits(groups=(lower,)))) == {Rule.GROUP_MAX}
    low = GroupLimit("g", ("BBB",), (bought + cent) / value, D(1))
    assert kept(replace(problem, limits=Limits(groups=(low,)))) == {Rule.GROUP_MIN}


def test_doing_nothing_is_judged_by_the_same_limits(case):
    problem, _ = case

    assert rules(problem) == set()
    assert rules(replace(problem, cash_rule=CashRule(floor=D(1001)))) == {Rule.CASH_FLOOR}
