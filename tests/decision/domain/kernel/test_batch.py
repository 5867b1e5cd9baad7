import sys
from dataclasses import replace

import numpy as np
import pytest

from services.decision.domain.batch_certificate import certify
from services.decision.domain.certificate import dual_bound, terms
from services.decision.domain.convex import ConvexProblem
from services.decision.domain.kernel import Answer, Status, solve_batch
from services.decision.domain.kernel.batch import pack, solve_columns
from services.decision.domain.reference_model import solve
from tests.support.convex_cases import a_convex_problem, hinged, one_instrument, one_way

# Compiling takes ten seconds: on one worker, once.
pytestmark = [pytest.mark.timeout(300)]

# Of the objective, in basis points: a ten-thousandth of a cent in ten thousand.
NEAR = 1e-6


def assert_optimal(convex: ConvexProblem, answer: Answer) -> None:
    """Check the optimum without the kernel: the plan meets the bound of its prices, by the certificate's code."""
    assert answer.solution is not None
    value = terms(convex, answer.solution.sold, answer.solution.bought).total
    scale = max(1.0, abs(value))
    assert dual_bound(convex, answer.solution) == pytest.approx(value, abs=NEAR * scale)
    assert answer.dual_bps == pytest.approx(value, abs=NEAR * scale)


def test_a_thousand_random_accounts_are_solved_to_their_certificate():
    problems = [
        one_way(
            a_convex_problem(
                seed,
                instruments=4 + seed % 17,
                lots_max=1 + seed % 9,
                losses=seed % 2 == 0,
                impact=seed % 3 == 0,
            )
        )
        for seed in range(1000)
    ]
    answers = solve_batch(problems)
    optimal = [pair for pair in zip(problems, answers, strict=True) if pair[1].status is Status.OPTIMAL]

    for convex, answer in optimal[::10]:
        assert_optimal(convex, answer)
    # All of them by the compiled certificate, which a test of its own holds to the other.
    batch = pack([convex for convex, _ in optimal])
    made = certify(batch, solve_columns(batch))
    assert np.all(made.gap_bps <= NEAR * np.maximum(1.0, np.abs(made.primal_bps)))
    assert made.broken.max() <= NEAR
    # The rest says that it is not, and goes to the reference model.
    assert len(optimal) >= 0.98 * len(problems)
    assert {answer.status for answer in answers} <= {Status.OPTIMAL, Status.NOT_REACHED}


@pytest.mark.parametrize(
    ("name", "axis", "said"),
    [
        ("accounts", 1, "11 columns of accounts, had 10"),
        ("instruments", 0, "7 rows of instruments, had 6"),
        ("lots", 0, "4 rows of lots, had 3"),
        ("lots", 1, "lots, had"),
        ("instruments", 1, "instruments, had"),
    ],
)
def test_arrays_that_lack_a_part_are_refused_and_not_read_past_their_end(name, axis, said):
    batch = pack([one_way(a_convex_problem(seed)) for seed in range(3)])
    found = solve_columns(batch)
    whole = getattr(batch, name)
    part = batch._replace(**{name: np.ascontiguousarray(whole.take(range(whole.shape[axis] - 1), axis))})

    for read in (solve_columns, lambda each: certify(each, found)):
        with pytest.raises(ValueError, match=said):
            read(part)


@pytest.mark.parametrize("seed", range(40))
def test_the_reference_model_agrees(seed):
    convex = a_convex_problem(seed)
    (answer,) = solve_batch([convex])
    reference = solve(convex, iterations_max=200).solution
    if answer.solution is not None:
        assert reference is not None
        expected = terms(convex, reference.sold, reference.bought).total

        assert terms(convex, answer.solution.sold, answer.solution.bought).total == pytest.approx(expected, abs=1e-4)
        weights = [convex.start + each.bought for each in (answer.solution, reference)]
        assert weights[0] == pytest.approx(weights[1], abs=1e-4)


def _hinged(seed: int) -> ConvexProblem:
    convex = a_convex_problem(
        seed, instruments=3 + seed % 15, lots_max=1 + seed % 7, losses=seed % 3 != 0, impact=seed % 5 == 0
    )
    return one_way(hinged(convex, seed))


def test_accounts_whose_tax_has_a_corner_are_solved_to_their_certificate():
    problems = [_hinged(seed) for seed in range(400)]
    optimal = [pair for pair in zip(problems, solve_batch(problems), strict=True) if pair[1].status is Status.OPTIMAL]

    for convex, answer in optimal:
        assert_optimal(convex, answer)
    # With a gain budget besides, both may stand between two lots, which the kernel leaves to the reference model.
    assert len(optimal) >= 0.85 * len(problems)
    assert sum(np.isinf(convex.gain_budget) for convex, _ in optimal) >= 0.98 * sum(
        np.isinf(convex.gain_budget) for convex in problems
    )
    # Of many the corner is the optimum; of some neither of its sides is.
    solved = [(convex, answer.solution) for convex, answer in optimal if answer.solution is not None]
    at_corner = [
        found.prices.hinges[0] / (1e4 * convex.hinge_price[0])
        for convex, found in solved
        if found.sold.any() and abs(convex.hinge_lots[0] @ found.sold - convex.hinge_above[0]) <= 1e-9
    ]
    assert len(at_corner) >= 25
    assert sum(0 < share < 1 for share in at_corner) >= 10


def test_a_tax_with_several_corners_is_left_to_the_reference_model():
    (answer,) = solve_batch([hinged(a_convex_problem(1), 1, hinges=2)])

    assert answer.status is Status.NOT_TAKEN


@pytest.mark.parametrize("seed", range(12))
def test_the_reference_model_agrees_where_the_tax_has_corners(seed):
    convex = _hinged(seed)
    (answer,) = solve_batch([convex])
    reference = solve(convex, iterations_max=200).solution
    if answer.solution is not None:
        assert reference is not None
        expected = terms(convex, reference.sold, reference.bought).total

        assert terms(convex, answer.solution.sold, answer.solution.bought).total == pytest.approx(expected, abs=1e-4)
        assert dual_bound(convex, reference) == pytest.approx(expected, abs=1e-4)


def _many_lots() -> ConvexProblem:
    convex = one_instrument(start=np.array([0.9]), cash=0.1)
    return replace(
        convex,
        lot_instrument=np.zeros(1000, dtype=np.int64),
        lot_cap=np.full(1000, 0.9 / 1000),
        lot_tax=np.linspace(0.0, 0.3, 1000),
        lot_gain=np.linspace(0.0, 1.0, 1000),
        lot_wash=np.zeros(1000, dtype=np.bool_),
    )


ODD: dict[str, ConvexProblem] = {
    "at its target": one_instrument(),
    "nothing held": one_instrument(start=np.zeros(1), lot_cap=np.zeros(1), cash=1.0),
    "no lots": one_instrument(
        start=np.zeros(1),
        lot_instrument=np.zeros(0, dtype=np.int64),
        lot_cap=np.zeros(0),
        lot_tax=np.zeros(0),
        lot_gain=np.zeros(0),
        cash=1.0,
    ),
    "a thousand lots": _many_lots(),
    "locked": one_instrument(start=np.array([0.9]), lot_cap=np.zeros(1), buy_cap=np.zeros(1), cash=0.1),
    "no cash": one_instrument(start=np.array([1.0]), lot_cap=np.array([1.0]), cash=0.0),
    "cash below zero": one_instrument(start=np.array([1.1]), lot_cap=np.array([1.1]), cash=-0.1),
    "equal lots": one_instrument(
        start=np.array([0.9]),
        cash=0.1,
        lot_instrument=np.zeros(3, dtype=np.int64),
        lot_cap=np.full(3, 0.3),
        lot_tax=np.full(3, 0.02),
        lot_gain=np.full(3, 0.1),
    ),
    "a loss that may not be sold": one_instrument(
        start=np.array([0.2]),
        cash=0.8,
        lot_instrument=np.zeros(3, dtype=np.int64),
        lot_cap=np.array([0.1, 0.0, 0.1]),
        lot_tax=np.array([0.1, -0.5, 0.0]),
        lot_gain=np.array([0.3, -2.0, 0.0]),
    ),
    "no turnover": one_instrument(start=np.array([0.9]), cash=0.1, turnover=0.0),
    "a wide band": one_instrument(start=np.array([0.9]), cash=0.1, band=np.array([1.0]), band_price=0.05),
    "a dear band": one_instrument(
        start=np.array([0.9]), lot_cap=np.array([0.9]), cash=0.1, band=np.array([0.1]), band_price=10.0
    ),
    "hardly any risk": one_instrument(start=np.array([0.2]), specific_variance=np.array([1e-8])),
    "much risk": one_instrument(start=np.array([0.2]), specific_variance=np.array([1e4])),
    "hardly any aversion": one_instrument(start=np.array([0.2]), risk_aversion=1e-6),
    "much aversion": one_instrument(start=np.array([0.2]), risk_aversion=1e6),
    "a floor that takes all": one_instrument(start=np.array([0.5]), cash_floor=1.0),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_accounts_are_solved(name):
    (answer,) = solve_batch([ODD[name]])

    assert_optimal(ODD[name], answer)


def test_an_account_without_a_plan_says_that_none_was_reached():
    (answer,) = solve_batch([one_instrument(cash_floor=0.8, turnover=0.1)])

    assert (answer.status, answer.solution) == (Status.NOT_REACHED, None)


def test_what_the_kernel_does_not_take_is_told():
    careless = one_instrument(risk_aversion=0.0)
    torn = one_instrument(lot_tax=np.array([-0.1]), lot_gain=np.array([-0.5]))

    assert [answer.status for answer in solve_batch([careless, torn])] == [Status.NOT_TAKEN, Status.NOT_TAKEN]


def test_accounts_do_not_influence_each_other():
    problems = [a_convex_problem(seed, instruments=3 + seed % 5, groups=seed % 3) for seed in range(30)]
    together = solve_batch(problems)

    for convex, answer in zip(problems[::-1], reversed(together), strict=True):
        (alone,) = solve_batch([convex])
        assert alone.status is answer.status
        if alone.solution is not None:
            assert answer.solution is not None
            assert alone.solution.sold.tobytes() == answer.solution.sold.tobytes()
            assert alone.solution.bought.tobytes() == answer.solution.bought.tobytes()


def test_equal_lots_are_sold_in_the_order_of_their_ids():
    (answer,) = solve_batch([ODD["equal lots"]])

    # 0.4 · (w − ½) = 0.02 at 0.55: 0.35 is sold. The dearest are kept, of equals the first in the order of ids.
    assert answer.solution is not None
    assert answer.solution.sold.sum() == pytest.approx(0.35)
    assert answer.solution.sold == pytest.approx([0.0, 0.05, 0.3])


def test_no_accounts_have_no_answers():
    assert solve_batch([]) == []


def test_where_the_gain_budget_binds_between_two_lots_both_are_sold_in_part():
    """The budget's best price makes both lots cost the same; either order of them alone breaks it or wastes it."""
    convex = one_instrument(
        start=np.array([0.9]),
        cash=0.1,
        lot_instrument=np.zeros(2, dtype=np.int64),
        lot_cap=np.array([0.45, 0.45]),
        lot_tax=np.array([0.001, 0.02]),
        lot_gain=np.array([0.6, 0.1]),
        gain_budget=0.1,
    )
    (answer,) = solve_batch([convex])

    assert_optimal(convex, answer)
    assert answer.solution is not None
    assert answer.solution.sold @ convex.lot_gain == pytest.approx(0.1)
    assert (answer.solution.sold > 0).all()


def _adversarial(seed: int) -> ConvexProblem:
    """Return ties, zeros, one lot and a hundred, impact, groups, scales of aversion, gain budgets of nothing."""
    rng = np.random.default_rng([seed, 1])
    convex = one_way(
        a_convex_problem(
            seed,
            instruments=int(rng.integers(1, 40)),
            lots_max=int(rng.choice([1, 3, 8, 100])),
            groups=int(rng.integers(0, 4)),
            impact=bool(rng.random() < 0.5),
            losses=bool(rng.random() < 0.5),
        )
    )
    if seed % 3 == 0:
        convex = hinged(convex, seed)
    return replace(
        convex,
        risk_aversion=convex.risk_aversion * float(rng.choice([1e-3, 1.0, 1e3])),
        lot_tax=np.round(convex.lot_tax, int(rng.choice([1, 2, 9]))),
        gain_budget=float(rng.choice([convex.gain_budget, 0.0, 0.001])),
    )


def _what_is_optimal_is_certified(seeds: range) -> int:
    batch = pack([_adversarial(seed) for seed in seeds])
    found = solve_columns(batch)
    made = certify(batch, found)
    beyond = made.gap_bps > NEAR * np.maximum(1.0, np.abs(made.primal_bps))

    assert [seed for seed, wrong in zip(seeds, found.optimal & beyond, strict=True) if wrong] == []
    assert made.broken[found.optimal].max() < 1e-9
    return int(found.optimal.sum())


def test_adversarial_accounts_are_certified_or_not_called_optimal():
    # 2018 and a few others reach prices beyond all measure: no plan keeps their gain budget.
    assert _what_is_optimal_is_certified(range(1900, 2100)) >= 160


@pytest.mark.chaos
def test_ten_thousand_adversarial_accounts_are_certified_or_not_called_optimal():
    optimal = sum(_what_is_optimal_is_certified(range(first, first + 500)) for first in range(0, 10_000, 500))
    sys.stdout.write(f"{optimal} of 10000 adversarial accounts certified, the rest left to the reference model\n")

    assert optimal >= 8_500
