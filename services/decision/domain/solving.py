"""Which solver answers: the reference model, or the kernel with the reference model behind it."""

from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from typing import assert_never

from services.decision.domain import kernel, reference_model
from services.decision.domain.certificate import dual_bound, terms
from services.decision.domain.convex import ConvexProblem, ConvexSolution, Solve, SolveStatus
from services.decision.domain.directions import Solver
from services.decision.domain.problem import DecideOptions, Engine

KERNEL = "KERNEL"
# Of the kernel itself: raised when its answers change.
KERNEL_VERSION = "2"
# An answer of the kernel counts when its gap is at most this, of the objective: what its tests hold it to.
GAP_MAX = 1e-6


def solver(options: DecideOptions) -> Solver:
    """Return the solver that the options ask for."""
    match options.engine:
        case Engine.REFERENCE:
            return partial(reference_model.solve, iterations_max=options.iterations_max)
        case Engine.KERNEL | Engine.COLUMNS:
            return partial(_kernel, iterations_max=options.iterations_max)
        case _:
            assert_never(options.engine)


@cache
def solver_version(name: str) -> str:
    """Return the version of a solver; empty when nothing was solved."""
    if name == KERNEL:
        return KERNEL_VERSION
    try:
        return version(name.lower())
    except PackageNotFoundError:
        return ""


def _kernel(convex: ConvexProblem, *, iterations_max: int) -> Solve:
    (answer,) = kernel.solve_batch([convex])
    if answer.solution is None or not _certified(convex, answer.solution):
        # No optimum was reached, perhaps because there is none: the reference model knows.
        return reference_model.solve(convex, iterations_max=iterations_max)
    return Solve(SolveStatus.SOLVED, f"optimal after {answer.iterations} iterations", answer.solution, KERNEL)


def _certified(convex: ConvexProblem, solution: ConvexSolution) -> bool:
    """Return whether code that is not the kernel finds its answer to be the optimum."""
    value = terms(convex, solution.sold, solution.bought).total
    return value - dual_bound(convex, solution) <= GAP_MAX * max(1.0, abs(value))
