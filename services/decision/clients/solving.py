"""What a computing process does: it takes a job, answers account by account, and takes the next.

It holds no connection to anything but the service that started it, and ends when that is gone.
"""

import multiprocessing
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection

import numpy as np

from services.decision.app.ports.solving import Solved
from services.decision.domain.batches import Batch, BatchAnswer, BatchInvalid, BatchRefused
from services.decision.domain.checker import violations
from services.decision.domain.deciding import AccountInputs, Basis, Decide, draft_plan, engine_of, failed
from services.decision.domain.decision import Decision, NotTraded
from services.decision.domain.plan import Draft, Failure
from services.decision.domain.prices import PriceHistory
from services.decision.domain.problem import AccountProblem, Engine, RiskModel
from services.decision.domain.risk_model import estimate
from services.decision.domain.tax.account_rows import RowFilers
from services.decision.domain.tax.filing import Filed, Filer, Filing
from services.decision.domain.tax.year_end_table import YearEndTable
from services.decision.domain.together import Together, draft_plans
from services.decision.domain.transition import Transition
from services.decision.domain.withdrawals import LargestWithdrawal
from services.kernel.errors import Fact
from services.runtime.compiling import compiling_alone

# Said once, when everything is imported.
READY = "ready"

# Positions of the accounts that are decided together: a second's work, so that a process is never silent for long.
POSITIONS_MAX = 2000

# Reason of a plan that failed for a mistake of ours.
OUR_MISTAKE = "INTERNAL"


@dataclass(frozen=True, slots=True)
class DraftJob:
    """Decide accounts. The answer is one `Solved` for each, in order."""

    accounts: Sequence[AccountInputs]
    basis: Basis


@dataclass(frozen=True, slots=True)
class NotTradedJob:
    """Say why instruments are not traded. The answer is `NotTradedAnswer`, or a `Failure`."""

    account: AccountInputs
    basis: Basis


@dataclass(frozen=True, slots=True)
class NotTradedAnswer:
    """Why each instrument that a plan leaves alone is not traded."""

    instruments: Sequence[NotTraded]


@dataclass(frozen=True, slots=True)
class TransitionJob:
    """Plan a transition. The answer is a `Transition`, or a `Failure`."""

    account: AccountInputs
    basis: Basis
    tax_years: int


@dataclass(frozen=True, slots=True)
class WithdrawalJob:
    """Find the largest withdrawals. The answer is `WithdrawalAnswer`, or a `Failure`."""

    account: AccountInputs
    basis: Basis


@dataclass(frozen=True, slots=True)
class WithdrawalAnswer:
    """The largest withdrawals, by what bounds them."""

    withdrawals: Sequence[LargestWithdrawal]


@dataclass(frozen=True, slots=True)
class BatchJob:
    """Decide a batch. The answer is a `BatchAnswer`, or `BatchRefused`."""

    batch: Batch


@dataclass(frozen=True, slots=True)
class RiskJob:
    """Estimate risk. The answer is a `RiskModel`, or a `Failure`."""

    history: PriceHistory


@dataclass(frozen=True, slots=True)
class YearEndJob:
    """Assess the years of taxpayers. The answer is one `Filed` for each, in order, in a tuple."""

    filing: Filing
    filers: Sequence[Filer]


@dataclass(frozen=True, slots=True)
class YearEndRowsJob:
    """Assess the years of taxpayers whose accounts are rows. The answer is a `YearEndTable` of those it can say."""

    filing: Filing
    filers: RowFilers


def optimiser() -> Decide:
    """Return the optimiser. Importing it takes long, so only computing processes do."""
    from services.decision.domain.decide import decide  # noqa: PLC0415 - see above

    return decide


def reference_optimiser() -> Decide:
    """Return the optimiser with the library of its reference model, so that no account waits for that."""
    from services.decision.domain.reference_model import load  # noqa: PLC0415 - like the optimiser

    load()
    return optimiser()


def compiled_optimiser() -> Decide:
    """Return the optimiser with its kernel compiled, or loaded as it was compiled before."""
    from services.decision.domain.kernel import warm_up  # noqa: PLC0415 - see above

    with compiling_alone():
        warm_up()
    return optimiser()


def compile_kernel() -> None:
    """Compile the kernel, the certificate of batches, and the screening, or load what was compiled."""
    from services.decision.domain import batch_certificate, screening  # noqa: PLC0415 - like the optimiser
    from services.decision.domain.kernel import warm_up  # noqa: PLC0415 - like the optimiser

    warm_up()
    batch_certificate.warm_up()
    screening.warm_up()


def compile_columns() -> None:
    """Compile what decides many accounts at once, or load what was compiled."""
    from services.decision.domain.bulk.batching import warm_up as warm_up_batches  # noqa: PLC0415 - like the optimiser
    from services.decision.domain.bulk.deciding import warm_up  # noqa: PLC0415 - like the optimiser

    warm_up()
    warm_up_batches()


def compile_taxes() -> None:
    """Compile what says the tax years of many households, or load what was compiled."""
    from services.decision.domain.tax.batch.marginal import warm_up as warm_up_marginal  # noqa: PLC0415 - like the optimiser
    from services.decision.domain.tax.batch.year_end import warm_up  # noqa: PLC0415 - like the optimiser
    from services.decision.domain.tax.year_end_columns import warm_up as warm_up_rows  # noqa: PLC0415 - like the optimiser

    warm_up()
    warm_up_marginal()
    warm_up_rows()


def compile_everything() -> None:
    """Compile all that is compiled, side by side, so that no service and no test does it while somebody waits."""
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        for each in [pool.submit(work) for work in (compile_columns, compile_kernel, compile_taxes)]:
            each.result()


def optimiser_of_many() -> Together:
    """Return what decides many accounts at once, compiled, or loaded as it was compiled before."""
    from services.decision.domain import screening  # noqa: PLC0415 - like the optimiser
    from services.decision.domain.bulk.deciding import decide_many, warm_up  # noqa: PLC0415 - like the optimiser
    from services.decision.domain.idle import idle_decisions  # noqa: PLC0415 - like the optimiser

    with compiling_alone():
        warm_up()
        screening.warm_up()
    return Together(idle_decisions, decide_many)


def serve(
    connection: "Connection[object, object]",
    load: Callable[[], Decide] = optimiser,
    load_many: Callable[[], Together] | None = None,
) -> None:
    """Answer jobs until the other side is gone.

    Args:
        connection: To the service.
        load: Returns the optimiser.
        load_many: Returns what decides many at once, if there is something.
    """
    # Ctrl-C in a terminal reaches every process of it; this one ends with the service.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        decide = load()
        together = None if load_many is None else load_many()
        connection.send(READY)
        while True:
            job = connection.recv()
            match job:
                case DraftJob():
                    for solved in answers(job, decide, together):
                        connection.send(solved)
                case RiskJob():
                    connection.send(_risk_model(job.history))
                case NotTradedJob():
                    connection.send(_not_traded(job))
                case TransitionJob():
                    connection.send(_transition(job))
                case WithdrawalJob():
                    connection.send(_withdrawals(job, decide, together))
                case BatchJob():
                    connection.send(_batch(job))
                case YearEndJob():
                    connection.send(_year_ends(job))
                case YearEndRowsJob():
                    connection.send(_year_end_table(job))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


def check(problem: AccountProblem, decision: Decision) -> Sequence[str]:
    """Return what is wrong with a decision; doing nothing is always allowed."""
    broken = violations(problem, decision.trades) if decision.trades else ()
    return [f"{each.rule} {each.subject}: {each.description}" for each in broken]


def answers(job: DraftJob, decide: Decide, together: Together | None) -> Iterator[Solved]:
    """Yield the answer of each account, in order: of many together, and where that is none, of each by itself."""
    if together is not None and engine_of(job.basis.engine) is not Engine.COLUMNS:
        together = None
    for accounts in pieces(job.accounts):
        started_s = time.perf_counter()
        drafts: Sequence[Draft | None] = [None] * len(accounts)
        if together is not None:
            try:
                drafts = draft_plans(accounts, job.basis, together)
            except Exception:  # noqa: BLE001 - each is then decided by itself, and its plan names who did it
                traceback.print_exc()
        share_s = (time.perf_counter() - started_s) / len(accounts)
        for account, draft in zip(accounts, drafts, strict=True):
            yield _solved(account, job.basis, decide) if draft is None else Solved(draft, share_s)


def pieces(accounts: Sequence[AccountInputs]) -> Iterator[Sequence[AccountInputs]]:
    """Yield accounts in pieces that hold few enough positions to be answered soon."""
    begin = held = 0
    for index, account in enumerate(accounts):
        held += len(account.account.positions)
        if held > POSITIONS_MAX and index > begin:
            yield accounts[begin:index]
            begin, held = index, len(account.account.positions)
    if begin < len(accounts):
        yield accounts[begin:]


def _solved(account: AccountInputs, basis: Basis, decide: Decide) -> Solved:
    started_s = time.perf_counter()
    try:
        draft = draft_plan(account, basis, decide, check)
    except Exception as error:  # noqa: BLE001 - one broken account must not fail its shard; its plan says what broke
        traceback.print_exc()
        draft = failed(account, basis, Failure(OUR_MISTAKE, f"{type(error).__name__}: {error}"[:500]))
    return Solved(draft, time.perf_counter() - started_s)


def _not_traded(job: NotTradedJob) -> NotTradedAnswer | Failure:
    from services.decision.domain.not_traded import reasons_not_to_trade  # noqa: PLC0415 - like the optimiser

    try:
        return NotTradedAnswer(reasons_not_to_trade(job.account, job.basis, optimiser()))
    except Fact as fact:
        return Failure(fact.reason, fact.message)


def _transition(job: TransitionJob) -> Transition | Failure:
    from services.decision.domain.transition import transition  # noqa: PLC0415 - like the optimiser

    try:
        if job.account.refused is not None:
            return job.account.refused
        return transition(job.account, job.basis, job.tax_years, optimiser(), check)
    except Fact as fact:
        return Failure(fact.reason, fact.message)


def _withdrawals(job: WithdrawalJob, decide: Decide, together: Together | None) -> WithdrawalAnswer | Failure:
    from services.decision.domain.withdrawing import largest_withdrawals  # noqa: PLC0415 - like the optimiser

    def alone(inputs: AccountInputs) -> Draft | None:
        return draft_plan(inputs, job.basis, decide, check)

    roads = [alone]
    if together is not None and engine_of(job.basis.engine) is Engine.COLUMNS:
        roads.insert(0, lambda inputs: draft_plans([inputs], job.basis, together)[0])
    try:
        if job.account.refused is not None:
            return job.account.refused
        return WithdrawalAnswer(largest_withdrawals(job.account, job.basis, roads))
    except Fact as fact:
        return Failure(fact.reason, fact.message)


def _batch(job: BatchJob) -> BatchAnswer | BatchRefused:
    from services.decision.domain.bulk.batch_check import check as check_batch  # noqa: PLC0415 - like the optimiser
    from services.decision.domain.bulk.batching import decide_batch  # noqa: PLC0415 - like the optimiser

    try:
        check_batch(job.batch)
    except BatchInvalid as refused:
        return BatchRefused(refused.message, refused.violations)
    with compiling_alone():
        compile_columns()
    return decide_batch(job.batch)


def _year_ends(job: YearEndJob) -> tuple[Filed, ...]:
    from services.decision.domain.tax.year_ends import filed  # noqa: PLC0415 - like the optimiser

    with compiling_alone():
        compile_taxes()
    return filed(job.filing, job.filers)


def _year_end_table(job: YearEndRowsJob) -> YearEndTable:
    from services.decision.domain.tax.year_end_columns import year_end_table  # noqa: PLC0415 - like the optimiser

    with compiling_alone():
        compile_taxes()
    return year_end_table(job.filing, job.filers)


def _risk_model(history: PriceHistory) -> RiskModel | Failure:
    closes = history.units.T.astype(np.float64) / 10.0**history.scale
    try:
        return estimate(history.instrument_ids, closes)
    except Fact as fact:
        return Failure(fact.reason, fact.message)
