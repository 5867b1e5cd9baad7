from dataclasses import replace

import cvxpy as cp
import numpy as np
import pytest

from services.decision.domain.certificate import dual_bound, terms
from services.decision.domain.convex import ConvexProblem, ConvexSolution, by_instrument
from services.decision.domain.reference_model import ReferenceModel, Shape, SolveStatus, least_relaxation, solve
from tests.support.convex_cases import a_convex_problem, one_instrument


def solved(convex: ConvexProblem, **how: str) -> ConvexSolution:
    answer = solve(convex, iterations_max=200, **how)
    assert answer.solution is not None, answer.detail
    return answer.solution


def weight_after(convex: ConvexProblem) -> float:
    solution = solved(convex)
    return (convex.start - by_instrument(convex, solution.sold) + solution.bought)[0]


@pytest.mark.parametrize("impact", [False, True])
def test_the_model_is_compiled_once_for_all_parameters(impact):
    model = ReferenceModel(Shape(lots=(2, 1), factors=2, groups=1, impact=impact))

    assert model.problem.is_dcp(dpp=True)
    assert model.elastic.is_dcp(dpp=True)


def test_without_costs_the_account_goes_to_its_target():
    assert weight_after(one_instrument(start=np.array([0.2]))) == pytest.approx(0.5, abs=1e-6)


def test_a_purchase_stops_where_its_cost_meets_its_benefit():
    # ½ · 10 · 0.04 · (w − ½)² + 0.002 · (w − 0.2) is least at w = ½ − 0.002 / 0.4.
    convex = one_instrument(start=np.array([0.2]), cost=np.array([0.002]))

    assert weight_after(convex) == pytest.approx(0.495, abs=1e-6)


def test_a_sale_stops_where_its_tax_meets_its_benefit():
    # ½ · 10 · 0.04 · (w − ½)² + 0.03 · (0.8 − w) is least at w = ½ + 0.03 / 0.4.
    convex = one_instrument(start=np.array([0.8]), lot_cap=np.array([0.8]), lot_tax=np.array([0.03]), cash=0.2)

    assert weight_after(convex) == pytest.approx(0.575, abs=1e-6)


def test_the_cheapest_lot_is_sold_first():
    convex = one_instrument(
        start=np.array([0.8]),
        lot_instrument=np.array([0, 0, 0]),
        lot_cap=np.array([0.2, 0.2, 0.4]),
        lot_tax=np.array([0.05, 0.01, 0.02]),
        lot_gain=np.array([0.3, 0.1, 0.1]),
        cash=0.2,
    )

    # The second lot whole; then 0.4 · (w − ½) = 0.02 at w = 0.55: 0.05 out of the third.
    assert solved(convex).sold == pytest.approx([0.0, 0.2, 0.05], abs=1e-6)


def test_leaving_the_band_costs_extra_and_its_edge_is_the_destination():
    # At the edge, 0.7, being off target costs 0.4 · 0.2 = 0.08 a unit: less than the tax. Just outside it is 0.18.
    convex = one_instrument(
        start=np.array([0.8]),
        lot_cap=np.array([0.8]),
        lot_tax=np.array([0.12]),
        band=np.array([0.2]),
        band_price=0.1,
        cash=0.2,
    )

    assert weight_after(convex) == pytest.approx(0.7, abs=1e-6)


def test_impact_grows_with_the_power_of_three_halves():
    # 0.4 · (½ − w) = 1.5 · 0.1 · √(w − 0.2): with x = √(w − 0.2), 0.4 x² + 0.15 x − 0.4 · 0.3 = 0.
    convex = one_instrument(start=np.array([0.2]), impact=np.array([0.1]))
    root = (-0.15 + np.sqrt(0.15**2 + 4 * 0.4 * 0.4 * 0.3)) / (2 * 0.4)

    assert weight_after(convex) == pytest.approx(0.2 + root**2, abs=1e-5)


def test_cash_stays_above_its_floor_after_costs():
    convex = one_instrument(start=np.array([0.2]), cash=0.1, cash_floor=0.05, cost=np.array([0.001]))
    solution = solved(convex)

    assert solution.bought[0] == pytest.approx(0.05 / 1.001, abs=1e-6)
    # One more unit of cash would buy 1 / 1.001 more, each worth 0.4 · (½ − w) − 0.001.
    worth = 1e4 * (0.4 * (0.5 - 0.2 - solution.bought[0]) - 0.001) / 1.001
    assert solution.prices.cash == pytest.approx(worth, rel=1e-4)


def test_idle_cash_is_spent_up_to_its_price():
    # Above its target already; but idle cash costs 0.05 each, and 0.4 · (w − ½) reaches it at w = 0.625.
    convex = one_instrument(start=np.array([0.5]), cash=0.5, cash_ceiling=0.3, band_price=0.05, band=np.array([1.0]))

    assert weight_after(convex) == pytest.approx(0.625, abs=1e-5)


def test_turnover_and_gain_budget_limit_what_is_sold():
    overweight = one_instrument(
        start=np.array([0.8]), lot_cap=np.array([0.8]), lot_gain=np.array([0.5]), lot_tax=np.array([0.01]), cash=0.2
    )

    assert weight_after(replace(overweight, turnover=0.1)) == pytest.approx(0.7, abs=1e-6)
    assert weight_after(replace(overweight, gain_budget=0.04)) == pytest.approx(0.72, abs=1e-6)


def test_a_group_limit_holds():
    limited = one_instrument(
        start=np.array([0.2]), groups=np.ones((1, 1)), group_min=np.zeros(1), group_max=np.array([0.3])
    )

    assert weight_after(limited) == pytest.approx(0.3, abs=1e-6)


def test_what_may_not_be_traded_is_not():
    assert weight_after(one_instrument(start=np.array([0.2]), buy_cap=np.zeros(1))) == pytest.approx(0.2, abs=1e-9)
    assert weight_after(one_instrument(start=np.array([0.8]), lot_cap=np.zeros(1))) == pytest.approx(0.8, abs=1e-9)


def test_no_plan_is_an_answer_and_says_what_would_have_to_give_way():
    # A floor of 0.8 needs 0.3 more cash, and only 0.1 may be sold.
    convex = one_instrument(cash_floor=0.8, turnover=0.1)
    relaxation = least_relaxation(convex, iterations_max=200)

    assert solve(convex, iterations_max=200).status is SolveStatus.INFEASIBLE
    assert relaxation is not None
    assert (relaxation.cash, relaxation.turnover) == pytest.approx((0.0, 0.2), abs=1e-6)


def test_a_solver_that_runs_out_of_iterations_fails_and_does_not_guess():
    assert solve(a_convex_problem(1), iterations_max=1).status is SolveStatus.FAILED


@pytest.mark.parametrize("other", ["HIGHS", "SCS"])
def test_another_solver_agrees(other):
    accounts = [a_convex_problem(seed) for seed in range(25)]
    # One solver after the other: cvxpy compiles a problem again whenever it goes to another one.
    ours = [solve(convex, iterations_max=200) for convex in accounts]
    theirs = [solve(convex, iterations_max=200, solver=other) for convex in accounts]

    for seed, (convex, mine, answer) in enumerate(zip(accounts, ours, theirs, strict=True)):
        assert mine.status is answer.status, seed
        if mine.solution is not None:
            assert answer.solution is not None, seed
            value = terms(convex, mine.solution.sold, mine.solution.bought).total
            # The others stop at their own, looser tolerance; a bound from their prices must still hold for our optimum.
            assert dual_bound(convex, answer.solution) <= value + 1e-6, seed
            their_value = terms(convex, answer.solution.sold, answer.solution.bought).total
            assert their_value == pytest.approx(value, abs=0.5), seed


def test_padding_changes_nothing():
    convex = a_convex_problem(3, instruments=5, lots_max=3, groups=1)
    exact = ReferenceModel(
        Shape(lots=tuple(np.bincount(convex.lot_instrument, minlength=5).tolist()), factors=3, groups=1, impact=False)
    )
    exact.feed(convex)
    exact.problem.solve(solver=cp.CLARABEL)
    padded = solved(convex)

    assert terms(convex, padded.sold, padded.bought).total == pytest.approx(exact.problem.value, abs=1e-5)


def test_one_instrument_of_many_lots_is_not_padded_for_all():
    convex = a_convex_problem(4, instruments=16, lots_max=2)
    many = 300
    crowded = replace(
        convex,
        lot_instrument=np.concatenate([np.zeros(many, dtype=np.int64), convex.lot_instrument]),
        lot_cap=np.concatenate([np.full(many, 1e-4), convex.lot_cap]),
        lot_tax=np.concatenate([np.linspace(0.0, 0.1, many), convex.lot_tax]),
        lot_gain=np.concatenate([np.linspace(0.0, 0.1, many), convex.lot_gain]),
        lot_wash=np.concatenate([np.zeros(many, dtype=np.bool_), convex.lot_wash]),
        start=convex.start + np.eye(16)[0] * many * 1e-4,
        cash=convex.cash - many * 1e-4,
        cash_floor=-1.0,
    )

    assert dual_bound(crowded, solved(crowded)) == pytest.approx(
        terms(crowded, solved(crowded).sold, solved(crowded).bought).total, abs=1e-4
    )
