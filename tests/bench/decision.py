"""Decision: the kernel beside general solvers, whole batches, and the road from a book to a recorded plan.

Time is processor time of this process, taken in turn with the peers': on a shared machine the wall clock says more
about the neighbours. Every solver's answer is held to the kernel's certified bound, and a bench fails when the
kernel's own gap, or a broken limit, is more than rounding.
"""

import pickle
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from decimal import Decimal
from functools import cache
from importlib.metadata import version
from multiprocessing import get_context

import numpy as np

from evenkeel.decision.v1 import batch_service_pb2 as pb
from services.decision.api.batches import answer_bytes, batch_of
from services.decision.clients.solving import check
from services.decision.domain.batch_certificate import Certificates, certify
from services.decision.domain.bulk import decide_many
from services.decision.domain.bulk.batch_check import check as check_batch
from services.decision.domain.bulk.batching import decide_batch, gather
from services.decision.domain.bulk.columns import BROKEN, DUAL, NODES, PRIMAL, Inputs
from services.decision.domain.bulk.road import decide_columns
from services.decision.domain.certificate import terms
from services.decision.domain.convex import ConvexProblem
from services.decision.domain.decide import decide
from services.decision.domain.deciding import draft_plan, policy_of
from services.decision.domain.idle import idle_decisions
from services.decision.domain.kernel.arrays import Batch, Results
from services.decision.domain.kernel.batch import pack, solve_columns
from services.decision.domain.plan import PlanOutcome
from services.decision.domain.policy import Distance
from services.decision.domain.screening import screen
from services.decision.domain.together import Together, draft_plans
from tests.bench import books
from tests.bench.accounts import LARGE, SMALL, Size, accounts, columns, exact_columns, is_decided
from tests.bench.peers import Peer, by_clarabel, by_cvxpy, by_piqp, shape_of
from tests.bench.results import Result, interleaved
from tests.support.batches import a_request

# An account counts as certified when its gap is at most this, in basis points, and no limit is broken by more than
# `BROKEN_MAX` of the account: a ten-thousandth of a cent in ten thousand.
GAP_MAX_BPS = 1e-6
BROKEN_MAX = 1e-9
CERTIFIED = 1_000_000
CHUNK = 50_000
SCREENED, HOLDINGS = 1_000_000, 20
PLANS = 100
# Times that each of two processes decides ten thousand accounts.
SHARE = 5
ROAD = 10_000


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


def road() -> Sequence[Result]:
    """Measure the whole road of small accounts in columns: from exact columns to certified, explained plan columns."""
    inputs = {
        "accounts": exact_columns(ROAD, 21),
        "whole_share_accounts": exact_columns(ROAD, 21, increment=10_000),
        "torn_accounts": exact_columns(ROAD // 5, 21, closed=False),
        "netted_accounts": exact_columns(ROAD, 21, netted=True),
    }
    results = []
    for name, each in inputs.items():
        plans = decide_columns(each)
        decided = is_decided(plans)
        if not decided.all() or plans.accounts[:, BROKEN].any():
            raise RuntimeError(f"{name}: {int((~decided).sum())} accounts are not answered")
        rates = interleaved(3, {"ours": lambda each=each: _per_s(lambda: decide_columns(each), len(each.accounts))})
        gap = float((plans.accounts[:, PRIMAL] - plans.accounts[:, DUAL]).mean()) / 1e6
        nodes = float(plans.accounts[:, NODES].mean())
        said = f"accounts/s on one core, mean gap {gap:.3f} bp, {nodes:.1f} nodes"
        results.append(Result(f"decision.small.{name}_per_s", rates["ours"], said))
    return results


def batches() -> Sequence[Result]:
    """Measure a batch from request bytes to response bytes, beside what deciding it takes from columns to columns.

    The bytes of what crosses to the computing process and back are counted too.
    """
    data = a_request(ROAD, 24, torn=False).SerializeToString()
    gathered = gather(batch_of(pb.PreviewBatchRequest.FromString(data)))

    def served() -> None:
        batch = pickle.loads(pickle.dumps(batch_of(pb.PreviewBatchRequest.FromString(data)), -1))
        check_batch(batch)
        answer_bytes(pickle.loads(pickle.dumps(decide_batch(batch), -1)), "engine")

    served()
    taken = interleaved(
        3, {"ours": lambda: _spent(served), "kernel": lambda: _spent(lambda: decide_columns(gathered.inputs))}
    )
    said = f"× from columns to plan columns, {1e6 * taken['kernel'] / ROAD:.1f} µs an account"
    return [Result("decision.service_overhead_ratio", taken["ours"] / taken["kernel"], said)]


def two_processes() -> Sequence[Result]:
    """Measure two processes beside one on the same work: accounts from columns to plan columns, by the clock."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        list(pool.map(_decide_again, (1, 1)))

        def together() -> float:
            started = time.perf_counter()
            list(pool.map(_decide_again, (SHARE, SHARE)))
            return time.perf_counter() - started

        def alone() -> float:
            started = time.perf_counter()
            pool.submit(_decide_again, 2 * SHARE).result()
            return time.perf_counter() - started

        taken = interleaved(3, {"one": alone, "two": together})
    return [Result("decision.two_process_ratio", taken["one"] / taken["two"], "× the accounts a second of one process")]


def _decide_again(times: int) -> None:
    inputs = _kept()
    for _ in range(times):
        decide_columns(inputs)


@cache
def _kept() -> Inputs:
    return exact_columns(ROAD, 25)


def growth() -> Sequence[Result]:
    """Measure how cost grows with accounts and with lots: 1 is linear."""
    few, many = exact_columns(ROAD // 10, 22), exact_columns(ROAD, 22)
    thin, thick = replace(SMALL, lots=2.0), replace(SMALL, lots=8.0)
    sides = {
        "few": few,
        "many": many,
        "thin": exact_columns(ROAD // 5, 23, size=thin, lots_max=40),
        "thick": exact_columns(ROAD // 5, 23, size=thick, lots_max=40),
    }
    taken = interleaved(
        3, {name: lambda each=each: _spent(lambda: decide_columns(each)) for name, each in sides.items()}
    )
    lots = sides["thick"].lots.shape[1] / sides["thin"].lots.shape[1]
    return [
        Result("decision.small.growth_in_accounts", taken["many"] / taken["few"] / 10.0, "× linear, ten times as many"),
        Result(
            "decision.small.growth_in_lots", taken["thick"] / taken["thin"] / lots, f"× linear, {lots:.1f} × the lots"
        ),
    ]


def plans() -> Sequence[Result]:
    """Measure the road of a real run: from a book to a plan that is certified, checked, explained, and recorded."""
    ours, basis = books.inputs(PLANS, engine="columns")
    sides = {name: books.inputs(PLANS // 4, engine=name) for name in ("kernel", "reference")}
    together = Together(idle_decisions, decide_many)
    draft_plans(ours[:1], basis, together)
    for one, its in sides.values():
        draft_plan(one[0], its, decide, check)
    rates = interleaved(
        3,
        {
            "columns": lambda: _per_s(lambda: draft_plans(ours, basis, together), len(ours)),
            **{
                name: lambda one=one, its=its: _per_s(
                    lambda: [draft_plan(e, its, decide, check) for e in one], len(one)
                )
                for name, (one, its) in sides.items()
            },
        },
    )
    return [
        Result(
            f"decision.plans.vs_{name}",
            rates["columns"],
            "plans/s on one core, from book to recorded bytes",
            f"each by itself, {name}",
            rates[name],
            rates["columns"] / rates[name],
        )
        for name in sides
    ]


def idle() -> Sequence[Result]:
    """Measure the same road for accounts inside their bands: screened, beside decided in full."""
    made, basis = books.inputs(5 * PLANS, seed=2, engine="columns")
    wide = {"trigger": Distance(Decimal("0.25"), Decimal(1)), "cash_drift": Decimal("0.2"), "cash_floor": Decimal(0)}
    ours = [replace(each, policy=replace(policy_of(each), **wide)) for each in made]
    screened = Together(idle_decisions, decide_many)
    in_full = Together(lambda asked, _: [None] * len(asked), decide_many)
    for how in (screened, in_full):
        if any(each is None or each.outcome is not PlanOutcome.NO_TRADE for each in draft_plans(ours, basis, how)):
            raise RuntimeError("an account inside its bands is not left alone")
    rates = interleaved(
        3,
        {
            name: lambda how=how: _per_s(lambda: draft_plans(ours, basis, how), len(ours))
            for name, how in (("screened", screened), ("in full", in_full))
        },
    )
    return [
        Result(
            "decision.idle.vs_in_full",
            rates["screened"],
            "plans/s on one core, of accounts that nothing asks about, from book to recorded bytes",
            "decided in full, columns",
            rates["in full"],
            rates["screened"] / rates["in full"],
        )
    ]


def screening() -> Sequence[Result]:
    """Screen a million accounts of 20 holdings for drift, from columns in memory."""
    rng = np.random.default_rng(5)
    values, cash = rng.random((SCREENED, HOLDINGS)), rng.random(SCREENED)
    targets = 0.98 * rng.dirichlet(np.full(HOLDINGS, 2.0), 10)
    aimed = np.column_stack([targets, 1.0 - targets.sum(axis=1)])
    edges, drift_max = np.stack([aimed - 0.05, aimed + 0.05], axis=1), np.full(10, 0.25)
    model = rng.integers(0, 10, SCREENED).astype(np.int32)

    def by_numpy() -> float:
        started = time.process_time()
        total = values.sum(axis=1) + cash
        away = np.abs(values / total[:, None] - targets[model])
        rest = np.abs(cash / total - (1.0 - targets.sum(axis=1))[model])
        drift = 0.5 * (away.sum(axis=1) + rest)
        np.asarray((away > 0.05).any(axis=1) | (rest > 0.05) | (drift > drift_max[model]))
        return time.process_time() - started

    def ours() -> float:
        started = time.process_time()
        screen(values, cash, model, targets, edges, drift_max)
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


def _spent(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def _per_s(work: Callable[[], object], count: int) -> float:
    return count / _spent(work)
