"""What a computing process does: it takes a job, answers account by account, and takes the next.

It holds no connection to anything but the service that started it, and ends when that is gone.
"""

import signal
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection

import numpy as np

from services.decision.app.ports import Solved
from services.decision.domain.checker import violations
from services.decision.domain.deciding import AccountInputs, Basis, Decide, draft_plan, failed
from services.decision.domain.decision import Decision, NotTraded
from services.decision.domain.plan import Failure
from services.decision.domain.prices import PriceHistory
from services.decision.domain.problem import AccountProblem, RiskModel
from services.decision.domain.risk_model import estimate
from services.kernel.errors import Fact

# Said once, when everything is imported.
READY = "ready"

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
class RiskJob:
    """Estimate risk. The answer is a `RiskModel`, or a `Failure`."""

    history: PriceHistory


def optimiser() -> Decide:
    """Return the optimiser. Importing it takes seconds, so only computing processes do."""
    from services.decision.domain.decide import decide  # noqa: PLC0415 - see above

    return decide


def compiled_optimiser() -> Decide:
    """Return the optimiser with its kernel compiled, or loaded as it was compiled before."""
    from services.decision.domain.kernel import warm_up  # noqa: PLC0415 - see above

    warm_up()
    return optimiser()


def serve(connection: "Connection[object, object]", load: Callable[[], Decide] = optimiser) -> None:
    """Answer jobs until the other side is gone.

    Args:
        connection: To the service.
        load: Returns the optimiser.
    """
    # Ctrl-C in a terminal reaches every process of it; this one ends with the service.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        decide = load()
        connection.send(READY)
        while True:
            job = connection.recv()
            match job:
                case DraftJob():
                    for account in job.accounts:
                        connection.send(_solved(account, job.basis, decide))
                case RiskJob():
                    connection.send(_risk_model(job.history))
                case NotTradedJob():
                    connection.send(_not_traded(job))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


def check(problem: AccountProblem, decision: Decision) -> Sequence[str]:
    """Return what is wrong with a decision; doing nothing is always allowed."""
    broken = violations(problem, decision.trades) if decision.trades else ()
    return [f"{each.rule} {each.subject}: {each.description}" for each in broken]


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


def _risk_model(history: PriceHistory) -> RiskModel | Failure:
    closes = history.units.T.astype(np.float64) / 10.0**history.scale
    try:
        return estimate(history.instrument_ids, closes)
    except Fact as fact:
        return Failure(fact.reason, fact.message)
