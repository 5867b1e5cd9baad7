"""Whatever computes outside of the event loop, as Protocols."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from services.decision.domain.batches import Batch, BatchAnswer
from services.decision.domain.deciding import AccountInputs, Basis
from services.decision.domain.decision import NotTraded
from services.decision.domain.plan import Draft
from services.decision.domain.prices import PriceHistory
from services.decision.domain.problem import RiskModel
from services.decision.domain.tax.account_rows import RowFilers
from services.decision.domain.tax.filing import Filed, Filer, Filing
from services.decision.domain.tax.year_end_table import YearEndTable
from services.decision.domain.transition import Transition
from services.decision.domain.withdrawals import LargestWithdrawal


@dataclass(frozen=True, slots=True)
class Solved:
    """A draft, and how long it took."""

    draft: Draft
    duration_s: float


class Solver(Protocol):
    """Computes outside of the event loop."""

    async def not_traded(self, account: AccountInputs, basis: Basis) -> Sequence[NotTraded]:
        """Return why each instrument that the account's plan leaves alone is not traded.

        Raises:
            Fact: The inputs are refused.
        """
        ...

    async def drafts(self, accounts: Sequence[AccountInputs], basis: Basis) -> Sequence[Solved]:
        """Return the plan of each account, in order; one that takes too long is UNSOLVED."""
        ...

    async def transition(self, account: AccountInputs, basis: Basis, tax_years: int) -> Transition:
        """Return how an account gets to its target over tax years.

        Raises:
            Fact: The inputs are refused, or nothing is decided about the account.
        """
        ...

    async def largest_withdrawals(self, account: AccountInputs, basis: Basis) -> Sequence[LargestWithdrawal]:
        """Return the largest amounts that can leave an account, by what bounds them.

        Raises:
            Fact: The inputs are refused, or nothing is decided about the account.
        """
        ...

    async def risk_model(self, history: PriceHistory) -> RiskModel:
        """Return the risk model that a price history tells."""
        ...


class BatchSolver(Protocol):
    """Decides batches outside of the event loop."""

    async def batch(self, batch: Batch) -> BatchAnswer:
        """Return a plan for each account of a batch, or what is wrong with it.

        Raises:
            BatchInvalid: What its accounts share is wrong.
            Unreachable: No answer came.
        """
        ...


class YearEndSolver(Protocol):
    """Assesses tax years outside of the event loop."""

    async def year_ends(self, filing: Filing, filers: Sequence[Filer]) -> Sequence[Filed]:
        """Return the year-end of each taxpayer, in order, or why there is none.

        Raises:
            Unreachable: No answer came.
        """
        ...

    async def year_end_table(self, filing: Filing, filers: RowFilers) -> YearEndTable:
        """Return the year-ends of those of the taxpayers whom columns can say.

        Raises:
            Unreachable: No answer came.
        """
        ...
