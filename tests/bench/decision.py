"""Decision: the kernel beside general solvers, whole batches, and the road from a book to a recorded plan.

Time is processor time of this process, taken in turn with the peers': on a shared machine the wall clock says more
about the neighbours. Every solver's answer is held to the kernel's certified bound, and a bench fails when the
kernel's own gap, or a broken limit, is more than rounding.
"""

import time
from collections.abc import Callable, Sequence
from importlib.metadata import version

import numpy as np

from services.decision.clients.solving import check
from services.decision.domain.batch_certificate import Certificates, certify
from services.decision.domain.certificate import terms
from services.decision.domain.convex import ConvexProblem
from services.decision.domain.decide import decide
from services.decision.domain.deciding import draft_plan
from services.decision.domain.kernel.arrays import Batch, Results
from services.decision.domain.kernel.batch import pack, solve_columns
from services.decision.domain.screening import screen
from tests.bench import books
from tests.bench.accounts import LARGE, SMALL, Size, accounts, columns
from tests.bench.peers import Peer, by_clarabel, by_cvxpy, by_piqp, shape_of
from tests.bench.results import Result, interleaved

# An account counts as certified when its gap is at most this, in basis points, and no limit is broken by more than
# `BROKEN_MAX` of the account: a ten-thousandth of a cent in ten thousand.
GAP_MAX_BPS = 1e-6
BROKEN_MAX = 1e-9
CERTIFIED = 1_000_000
CHUNK = 50_000
SCREENED, HOLDINGS = 1_000_000, 20
PLANS = 60


def small() -> Sequence[Result]:
    """Measure 20 ETFs and 80 lots."""
    return _beside_peers("decision.small", SMALL, kernel=2000, peers=25, rounds=3)


def large() -> Sequence[Result]:
    """Measure 500 names, 1,500 lots and 60 factors."""
    return _beside_peers("decision.large", LARGE, kernel=40, peers=3, rounds=3)


def certified() -> Sequence[Result]:
    """Solve and certify a million random accounts in columns; what is not certified would go to the fallback."""
    good = 0
    for seed in range(CERTIFIED // CHUNK):
        batch = columns(CHUNK, seed)
        found = solve_columns(batch)
        good += int(_certified(found, certify(batch, found)).sum())
    return [Result("decision.certified_share", good / CERTIFIED, f"of {CERTIFIED:,} accounts")]


def plans() -> Sequence[Result]:
    """Measure the road of a real run: from a book to a plan that is certified, checked, explained, and recorded."""
    inputs, basis = books.inputs(PLANS)
    reference = books.inputs(PLANS // 4, engine="reference")
    draft_plan(inputs[0], basis, decide, check)
    draft_plan(reference[0][0], reference[1], decide, check)
    rates = interleaved(
        3,
        {
            "ours": lambda: _per_s(lambda: [draft_plan(each, basis, decide, check) for each in inputs], len(inputs)),
            "theirs": lambda: _per_s(
                lambda: [draft_plan(each, reference[1], decide, check) for each in reference[0]], len(reference[0])
            ),
        },
    )
    return [
        Result(
            "decision.small.accounts_per_s",
            rates["ours"],
            "accounts/s",
            "the reference model",
            rates["theirs"],
            rates["ours"] / rates["theirs"],
        )
    ]


def screening() -> Sequence[Result]:
    """Screen a million accounts of 20 holdings for drift, from columns in memory."""
    rng = np.random.default_rng(5)
    values, cash = rng.random((SCREENED, HOLDINGS)), rng.random(SCREENED)
    targets = 0.98 * rng.dirichlet(np.full(HOLDINGS, 2.0), 10)
    bands = np.full((10, HOLDINGS + 1), 0.05)
    model = rng.integers(0, 10, SCREENED).astype(np.int32)

    def by_numpy() -> float:
        started = time.process_time()
        total = values.sum(axis=1) + cash
        away = np.abs(values / total[:, None] - targets[model])
        rest = np.abs(cash / total - (1.0 - targets.sum(axis=1))[model])
        np.asarray(0.5 * (away.sum(axis=1) + rest)), (away > bands[model, :-1]).any(axis=1) | (rest > bands[model, -1])
        return time.process_time() - started

    def ours() -> float:
        started = time.process_time()
        screen(values, cash, model, targets, bands)
        return time.process_time() - started

    ours()
    taken = interleaved(5, {"ours": ours, "theirs": by_numpy})
    ratio = taken["theirs"] / taken["ours"]
    return [Result("decision.screen_1m_s", taken["ours"], "s of one core", "numpy", taken["theirs"], ratio)]


def _beside_peers(name: str, size: Size, *, kernel: int, peers: int, rounds: int) -> list[Result]:
    problems = accounts(size, kernel, seed=11)
    batch = pack(problems)
    found = solve_columns(batch)
    made = certify(batch, found)
    if not _certified(found, made).all():
        raise RuntimeError(f"{name}: {int((~_certified(found, made)).sum())} accounts are not certified")
    shape = shape_of(problems)
    given: dict[str, Peer] = {
        "cvxpy, parametrised, Clarabel": by_cvxpy(shape, "CLARABEL"),
        "cvxpy, parametrised, OSQP 1e-6": by_cvxpy(shape, "OSQP", eps_abs=1e-6, eps_rel=1e-6, max_iter=20_000),
        "cvxpy, parametrised, PIQP": by_cvxpy(shape, "PIQP"),
        "Clarabel": by_clarabel(shape),
        "PIQP, set up once": by_piqp(shape),
    }
    some = problems[:peers]
    gaps: dict[str, float] = {}
    for peer, solve in given.items():
        answers = [solve(convex) for convex in some]
        values = [terms(convex, each.sold, each.bought).total for convex, each in zip(some, answers, strict=True)]
        gaps[peer] = float(np.max(np.array(values) - made.dual_bps[:peers]))
    sides: dict[str, Callable[[], float]] = {"kernel": lambda: _of_kernel(batch)}
    sides |= {peer: _of_peer(solve, some) for peer, solve in given.items()}
    taken = interleaved(rounds, sides)
    ours = taken["kernel"]
    cvxpy, plain = "cvxpy, parametrised, Clarabel", ("Clarabel", "PIQP, set up once")
    best = min(plain, key=lambda peer: taken[peer])
    versions = {each: version(each) for each in ("cvxpy", "clarabel", "osqp", "piqp", "numba")}

    def against(figure: str, peer: str) -> Result:
        said = f"{peer}, gap {gaps[peer]:.0e} bp"
        return Result(figure, 1e3 * ours, "ms", said, 1e3 * taken[peer], taken[peer] / ours, versions)

    others = [
        against(f"{name}.vs_{key}", peer)
        for key, peer in (
            ("cvxpy_osqp", "cvxpy, parametrised, OSQP 1e-6"),
            ("cvxpy_piqp", "cvxpy, parametrised, PIQP"),
            ("clarabel", "Clarabel"),
        )
    ]
    dpp = "vs_cvxpy_dpp_clarabel" if size is SMALL else "vs_cvxpy_clarabel"
    results = [against(f"{name}.{dpp}", cvxpy), against(f"{name}.vs_best_direct", best), *others]
    if size is SMALL:
        return [*results, Result(f"{name}.kernel_accounts_per_s", 1.0 / ours, "accounts/s on one core")]
    return [*results, Result(f"{name}.ms", 1e3 * ours, "ms an account")]


def _certified(found: Results, made: Certificates) -> np.ndarray:
    near = GAP_MAX_BPS * np.maximum(1.0, np.abs(made.primal_bps))
    return np.asarray(found.optimal & (made.gap_bps <= near) & (made.broken <= BROKEN_MAX))


def _of_kernel(batch: Batch) -> float:
    started = time.process_time()
    solve_columns(batch)
    return (time.process_time() - started) / len(batch.accounts)


def _of_peer(solve: Peer, problems: Sequence[ConvexProblem]) -> Callable[[], float]:
    def taken() -> float:
        started = time.process_time()
        for convex in problems:
            solve(convex)
        return (time.process_time() - started) / len(problems)

    return taken


def _per_s(work: Callable[[], object], count: int) -> float:
    started = time.process_time()
    work()
    return count / (time.process_time() - started)
