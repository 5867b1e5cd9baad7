"""Computes in processes of its own: the event loop never does, and a solve that hangs is ended.

Each process answers one job at a time, account by account. One that is silent for longer than an account may take, or
that dies, is replaced; the account it was at is UNSOLVED, and the rest of its job goes on in the new process.
"""

import asyncio
import multiprocessing
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import TypeVar

from services.decision.app.ports.solving import Solved
from services.decision.clients.solving import (
    READY,
    BatchJob,
    DraftJob,
    NotTradedAnswer,
    NotTradedJob,
    RiskJob,
    TransitionJob,
    WithdrawalAnswer,
    WithdrawalJob,
    YearEndJob,
    YearEndRowsJob,
    optimiser,
    serve,
)
from services.decision.domain.batches import Batch, BatchAnswer, BatchRefused
from services.decision.domain.deciding import TOO_SLOW, AccountInputs, Basis, Decide, failed
from services.decision.domain.decision import NotTraded
from services.decision.domain.plan import Failure, NothingDecided
from services.decision.domain.prices import PriceHistory
from services.decision.domain.problem import RiskModel
from services.decision.domain.tax.account_rows import RowFilers
from services.decision.domain.tax.filing import Filed, Filer, Filing
from services.decision.domain.tax.year_end_table import YearEndTable
from services.decision.domain.together import Together
from services.decision.domain.transition import Transition
from services.decision.domain.withdrawals import LargestWithdrawal
from services.kernel.errors import Invalid, Unreachable
from services.runtime.logging import get_logger
from services.runtime.telemetry import counter, duration

log = get_logger()

T = TypeVar("T")

# Plans of one account whose time finding the largest withdrawals may take: it makes more, but no slower ones.
WITHDRAWAL_PLANS = 10
# From start to the first job: the optimiser's imports, and its kernel compiled when it never was, on a machine that is
# busy starting everything else too.
START_S_MAX = 900.0
# A batch of the most accounts takes seconds; the process may have to compile first.
BATCH_S_MAX = 300.0
# A hundred households of thousands of lots take seconds; likewise.
YEAR_ENDS_S_MAX = 300.0
# Estimating risk happens once for a price history.
RISK_S_MAX = 600.0


class SolverStopped(Unreachable):
    """The computing processes are stopped, or do not start."""

    reason = "PEER_UNREACHABLE"


class SolverProcesses:
    """A fixed number of computing processes; a job waits for a free one."""

    def __init__(
        self,
        count: int,
        account_s_max: float,
        load: Callable[[], Decide] = optimiser,
        load_many: Callable[[], Together] | None = None,
    ) -> None:
        """Prepare; nothing runs yet.

        Args:
            count: Processes.
            account_s_max: Longest that one account may take, in seconds.
            load: Returns the optimiser; runs in each process.
            load_many: Returns what decides many at once, if there is something; likewise.
        """
        self._processes = [_SolverProcess(load, load_many) for _ in range(count)]
        self._free: asyncio.Queue[_SolverProcess] = asyncio.Queue()
        for process in self._processes:
            self._free.put_nowait(process)
        self._account_s_max = account_s_max
        self._solved = counter("evenkeel.plan.solved", "{plan}", "Decided plans by what solved them.")
        self._durations = duration("evenkeel.plan.solve.duration", "How long accounts took to decide.")

    def start(self) -> None:
        """Start every process, so that the first job need not wait for imports."""
        for process in self._processes:
            process.start()

    def stop(self) -> None:
        """End every process; whoever waits for one is told."""
        for process in self._processes:
            process.stop()

    async def drafts(self, accounts: Sequence[AccountInputs], basis: Basis) -> Sequence[Solved]:
        """Return the plan of each account, in order; one that takes too long is UNSOLVED.

        Raises:
            SolverStopped: The processes are stopped.
        """
        solved = await self._run(lambda process: process.drafts(accounts, basis, self._account_s_max))
        for each in solved:
            self._durations.record(each.duration_s, {"outcome": each.draft.outcome.value})
            decision = each.draft.content.decision
            if decision is not None:
                self._solved.add(1, {"solver": decision.certificate.solver})
        return solved

    async def not_traded(self, account: AccountInputs, basis: Basis) -> Sequence[NotTraded]:
        """Return why each instrument that the account's plan leaves alone is not traded.

        Raises:
            Rejected: The inputs are refused.
            SolverStopped: The processes are stopped, or no answer came in time.
        """
        job, within_s = NotTradedJob(account, basis), self._account_s_max
        answer = await self._run(lambda process: process.asked(job, within_s))
        if isinstance(answer, NotTradedAnswer):
            return answer.instruments
        if isinstance(answer, Failure):
            raise NothingDecided(f"{answer.reason}: {answer.message}")
        raise _unanswered(within_s)

    async def transition(self, account: AccountInputs, basis: Basis, tax_years: int) -> Transition:
        """Return how an account gets to its target over tax years.

        Raises:
            Rejected: The inputs are refused, or nothing is decided about the account.
            SolverStopped: The processes are stopped, or no answer came in time.
        """
        job, within_s = TransitionJob(account, basis, tax_years), tax_years * self._account_s_max
        answer = await self._run(lambda process: process.asked(job, within_s))
        if isinstance(answer, Transition):
            return answer
        if isinstance(answer, Failure):
            raise NothingDecided(f"{answer.reason}: {answer.message}")
        raise _unanswered(within_s)

    async def largest_withdrawals(self, account: AccountInputs, basis: Basis) -> Sequence[LargestWithdrawal]:
        """Return the largest amounts that can leave an account, by what bounds them.

        Raises:
            Rejected: The inputs are refused, or nothing is decided about the account.
            SolverStopped: The processes are stopped, or no answer came in time.
        """
        job, within_s = WithdrawalJob(account, basis), WITHDRAWAL_PLANS * self._account_s_max
        answer = await self._run(lambda process: process.asked(job, within_s))
        if isinstance(answer, WithdrawalAnswer):
            return answer.withdrawals
        if isinstance(answer, Failure):
            raise NothingDecided(f"{answer.reason}: {answer.message}")
        raise _unanswered(within_s)

    async def batch(self, batch: Batch) -> BatchAnswer:
        """Return a plan for each account of a batch, or what is wrong with it.

        Raises:
            BatchInvalid: What its accounts share is wrong.
            SolverStopped: The processes are stopped, or the batch took too long.
        """
        answer = await self._run(lambda process: process.asked(BatchJob(batch), BATCH_S_MAX))
        if isinstance(answer, BatchRefused):
            raise answer.fact
        if not isinstance(answer, BatchAnswer):
            raise _unanswered(BATCH_S_MAX)
        return answer

    async def year_ends(self, filing: Filing, filers: Sequence[Filer]) -> Sequence[Filed]:
        """Return the year-end of each taxpayer, in order, or why there is none.

        Raises:
            SolverStopped: The processes are stopped, or these took too long.
        """
        answer = await self._run(lambda process: process.asked(YearEndJob(filing, filers), YEAR_ENDS_S_MAX))
        if not isinstance(answer, tuple):
            raise _unanswered(YEAR_ENDS_S_MAX)
        return answer

    async def year_end_table(self, filing: Filing, filers: RowFilers) -> YearEndTable:
        """Return the year-ends of those of the taxpayers whom columns can say.

        Raises:
            SolverStopped: The processes are stopped, or these took too long.
        """
        answer = await self._run(lambda process: process.asked(YearEndRowsJob(filing, filers), YEAR_ENDS_S_MAX))
        if not isinstance(answer, YearEndTable):
            raise _unanswered(YEAR_ENDS_S_MAX)
        return answer

    async def risk_model(self, history: PriceHistory) -> RiskModel:
        """Return the risk model that a price history tells.

        Raises:
            Invalid: The history tells none.
            SolverStopped: The processes are stopped.
        """
        answer = await self._run(lambda process: process.risk_model(history))
        if isinstance(answer, Failure):
            raise Invalid(f"no risk model from {history.price_history_id}: {answer.message}")
        return answer

    async def _run(self, job: Callable[["_SolverProcess"], T]) -> T:
        process = await self._free.get()
        running = asyncio.ensure_future(asyncio.to_thread(job, process))
        # A caller may go before its job is over; the process is free only then.
        running.add_done_callback(lambda _: self._free.put_nowait(process))
        return await asyncio.shield(running)


class _SolverProcess:
    """One process, started when needed and replaced when it fails. Its methods block; one thread uses it at a time."""

    def __init__(self, load: Callable[[], Decide], load_many: Callable[[], Together] | None) -> None:
        # Never forked: a copy of a process with an event loop and gRPC's threads does not work.
        self._context = multiprocessing.get_context("spawn")
        self._load, self._load_many = load, load_many
        self._process: BaseProcess | None = None
        self._connection: Connection[object, object] | None = None
        self._ready = False
        self._stopped = False

    def start(self) -> None:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=serve, args=(theirs, self._load, self._load_many), daemon=True, name="solver"
        )
        process.start()
        # From now on only the process holds that end, so we notice when it is gone.
        theirs.close()
        self._process, self._connection, self._ready = process, ours, False

    def stop(self) -> None:
        # The thread that waits for it, if any, sees its end and closes the connection.
        self._stopped = True
        if self._process is not None:
            self._process.kill()

    def drafts(self, accounts: Sequence[AccountInputs], basis: Basis, account_s_max: float) -> Sequence[Solved]:
        solved: list[Solved] = []
        while len(solved) < len(accounts):
            left = accounts[len(solved) :]
            if not self._send(DraftJob(left, basis)):
                continue
            for account in left:
                answer = self._receive(account_s_max)
                if isinstance(answer, Solved):
                    if answer.draft.account_id != account.account.account_id:
                        self._end()
                        raise RuntimeError("a computing process answered for another account than it was asked about")
                    solved.append(answer)
                    continue
                if self._stopped:
                    raise SolverStopped("the computing processes are stopped")
                log.warning("solve given up", account_id=account.account.account_id, limit_s=account_s_max)
                failure = Failure(TOO_SLOW, f"no answer within {account_s_max:g} s, or the solver died of it")
                solved.append(Solved(failed(account, basis, failure), account_s_max))
                # The rest goes to a new process.
                break
        return solved

    def asked(self, job: object, within_s: float) -> object:
        """Return the one answer to a job; None when there is none in time."""
        return self._receive(within_s) if self._send(job) else None

    def risk_model(self, history: PriceHistory) -> RiskModel | Failure:
        answer = self.asked(RiskJob(history), RISK_S_MAX)
        if isinstance(answer, RiskModel | Failure):
            return answer
        raise SolverStopped("the computing process ended before it answered")

    def _send(self, job: object) -> bool:
        """Send a job to the process, started if need be, and return whether that worked."""
        if self._stopped:
            raise SolverStopped("the computing processes are stopped")
        if self._connection is None:
            self.start()
        if not self._ready:
            if self._receive(START_S_MAX) != READY:
                raise SolverStopped(f"the computing process did not start within {START_S_MAX:g} s")
            self._ready = True
        if self._connection is None:
            return False
        try:
            self._connection.send(job)
        except OSError:
            self._end()
            return False
        return True

    def _receive(self, within_s: float) -> object:
        """Return what the process says next; None, and an ended process, when it says nothing in time."""
        connection = self._connection
        try:
            if connection is not None and connection.poll(within_s):
                return connection.recv()
        except (EOFError, OSError) as error:
            log.warning("computing process ended", error=type(error).__name__)
        except BaseException:
            # What it says cannot be read, so nothing that follows can be told apart either.
            self._end()
            raise
        self._end()
        return None

    def _end(self) -> None:
        process, connection = self._process, self._connection
        self._process = self._connection = None
        if process is not None:
            process.kill()
        if connection is not None:
            connection.close()


def _unanswered(within_s: float) -> SolverStopped:
    return SolverStopped(f"the computing process ended, or did not answer within {within_s:g} s")
