from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

from services.decision.domain.convex import ConvexSolution, Prices
from services.decision.domain.decision import Trade
from services.decision.domain.entering import enter
from services.decision.domain.problem import AccountProblem, CashRule, Limits, Side
from services.decision.domain.rounding import rounded
from services.decision.domain.tax import jurisdiction
from tests.support.portfolios import US_TAXABLE, AccountBuilder, a_lot, an_account, independent

D = Decimal


def round_to(
    account: AccountBuilder, *, sold: list[float] | None = None, bought: list[float] | None = None
) -> tuple[Trade, ...] | None:
    """Return the rounded trades of weights sold per lot and bought per instrument."""
    problem: AccountProblem = account.build()
    risk = independent(**{str(holding.instrument_id): 0.04 for holding in problem.holdings})
    tax = jurisdiction("US").view(problem)
    convex = enter(problem, risk, tax)
    lots, n = len(convex.lot_cap), len(convex.start)
    near = ConvexSolution(
        np.array(sold if sold is not None else [0.0] * lots),
        np.array(bought if bought is not None else [0.0] * n),
        Prices(0.0, 0.0, 0.0, 0.0, np.zeros(len(convex.group_min)), np.zeros(len(convex.group_min))),
    )
    return rounded(problem, tax, convex, near)


@pytest.mark.parametrize(("minimum", "counts"), [("200", True), ("200.01", False)])
def test_the_credit_of_a_loss_counts_from_the_harvest_minimum_on(minimum, counts):
    tax = replace(US_TAXABLE, harvest_minimum=D(minimum))
    # One lot has lost 20 · 10 in all, the other has gained.
    lots = [a_lot("VTI-1", 20, 110), a_lot("VTI-2", 20, 90)]
    problem = an_account(tax=tax).holding("VTI", lots=lots).build()

    loss, gain = enter(problem, independent(VTI=0.04), jurisdiction("US").view(problem)).lot_tax

    assert bool(loss < 0) is counts
    assert gain > 0


@pytest.mark.parametrize(
    ("increment", "quantity"),
    [(1, "33"), ("0.1", "33.3"), ("0.000000001", "33.333333333"), (10, "30")],
)
def test_quantities_are_multiples_of_the_increment(increment, quantity):
    account = an_account(cash=10_000).holding("VTI", target=1 / D(3), increment=increment)

    (trade,) = round_to(account, bought=[1 / 3])
    assert trade.quantity == D(quantity)


def test_a_sale_takes_what_is_there_and_leaves_what_no_increment_covers():
    account = an_account(cash=9_000).holding("VTI", units="10.75")

    (trade,) = round_to(account, sold=[0.2])
    assert trade.quantity == 10


@pytest.mark.parametrize("weight", [0.0, 0.002, 0.02, 0.05, 0.13, 0.3, 0.4])
@pytest.mark.parametrize("sells", [True, False])
def test_round_lots_of_an_exchange_are_the_increment_of_an_instrument(sells, weight):
    target = 1_075 * 100 / 207_500 - (weight if sells else -weight)
    account = an_account(cash=100_000).holding("VTI", units=1_075, target=target, increment=100)

    made = round_to(account, sold=[weight]) if sells else round_to(account, bought=[weight])

    # A trade is none, or one round lot or more of them; what is held beside whole lots stays.
    assert made is not None
    assert all(trade.quantity % 100 == 0 and trade.quantity >= 100 for trade in made)
    assert len(made) == (weight > 0.02)


def test_lots_of_fractions_make_whole_shares():
    lots = [a_lot("a", "0.4", 90), a_lot("b", "0.35", 80), a_lot("c", "1.75", 70)]
    (trade,) = round_to(an_account(cash=1_000).holding("VTI", lots=lots), sold=[0.032, 0.028, 0.1])

    assert trade.quantity == 2
    assert sum(sale.quantity for sale in trade.lot_sales) == 2
    assert sum(sale.proceeds for sale in trade.lot_sales) == 200
    assert sum(sale.basis for sale in trade.lot_sales) == D("36.00") + D("28.00") + D("87.50")


def test_cash_never_falls_below_its_floor_even_by_the_costs():
    account = an_account(cash=1_000, cash_rule=CashRule(floor=D(300))).holding(
        "VTI", target="0.7", commission_per_trade=1
    )

    # Seven shares would leave 300, less the commission.
    (trade,) = round_to(account, bought=[0.7])
    assert trade.quantity == 6


def test_a_limit_between_two_cents_is_kept():
    # A fifth of 10,000.03 is 2,000.006: what is traded ends a cent or two below.
    account = an_account(cash="10000.03", limits=Limits(turnover=D("0.2"))).holding(
        "VTI", target="0.5", price="0.01", increment="0.000000001"
    )

    (trade,) = round_to(account, bought=[0.2])
    assert D("1999.98") <= trade.value <= D("2000.00")


@pytest.mark.parametrize(
    ("wanted", "quantity"),
    [
        # Nearer to the minimum than to none.
        (0.04, 5),
        (0.06, 6),
    ],
)
def test_a_trade_is_at_least_the_minimum(wanted, quantity):
    account = an_account(cash=10_000).holding("VTI", target=str(wanted), minimum_trade=500)

    (trade,) = round_to(account, bought=[wanted])
    assert trade.quantity == quantity


def test_a_trade_nearer_to_none_than_to_the_minimum_is_not_made():
    assert round_to(an_account(cash=10_000).holding("VTI", target="0.02", minimum_trade=500), bought=[0.02]) == ()


def test_selling_everything_may_be_less_than_the_minimum():
    account = an_account(cash=9_700).holding("VTI", units=3, minimum_trade=500)

    (trade,) = round_to(account, sold=[0.03])
    assert (trade.side, trade.quantity) == (Side.SELL, D(3))


def test_the_solvers_noise_is_no_trade():
    account = an_account(cash=5_000).holding("VTI", units=50, target="0.5", increment="0.000000001")

    assert round_to(account, bought=[1e-9]) == ()


def test_without_a_way_to_keep_the_limits_there_is_no_plan():
    # 100 more cash is needed, and a share of 3,000 is more than may be traded.
    account = an_account(cash=100, cash_rule=CashRule(floor=D(200)), limits=Limits(turnover=D("0.1")))

    assert round_to(account.holding("BRK", units=3, price=3_000, target="0.9"), sold=[0.011]) is None


def test_a_need_for_cash_is_met_by_what_costs_the_objective_least():
    # AAA is above its target, BBB is not: AAA is sold.
    account = (
        an_account(cash=0, cash_rule=CashRule(floor=D(500)))
        .holding("AAA", units=55, target="0.5")
        .holding("BBB", units=45, target="0.45")
    )

    (trade,) = round_to(account)
    assert (trade.instrument_id, trade.side, trade.quantity) == ("AAA", Side.SELL, D(5))
