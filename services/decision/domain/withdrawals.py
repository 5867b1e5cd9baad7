"""The most that can leave an account, as people and programs are told it; `withdrawing` finds it."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from services.decision.domain.plan import Draft
from services.decision.domain.words import money


class WithdrawalLimit(StrEnum):
    """What bounds a withdrawal."""

    # Every limit of the policy.
    POLICY = "POLICY"
    # Those, and that gains and losses of the year come to no net gain.
    NO_NET_GAIN = "NO_NET_GAIN"


@dataclass(frozen=True, slots=True)
class LargestWithdrawal:
    """The largest amount that can leave the account, on top of what is reserved already, in its currency.

    Attributes:
        amount: 0 or more.
        draft: The plan for it; never becomes one.
        bound: No plan pays out more; at least `amount`, and above it where increments stand in the way.
        why_not_more: The limits that more would break, in a sentence.
    """

    limit: WithdrawalLimit
    amount: Decimal
    draft: Draft
    bound: Decimal
    why_not_more: str

    @property
    def sentence(self) -> str:
        """The amount and what it costs, in words."""
        currency, totals = self.draft.outline.currency, self.draft.outline.totals
        under = (
            "under every limit of the policy"
            if self.limit is WithdrawalLimit.POLICY
            else "without a net gain of the year"
        )
        tax = f"{money(totals.tax, currency)} of tax" if totals.tax >= 0 else f"{money(-totals.tax, currency)} less tax"
        return (
            f"At most {money(self.amount, currency)} can be withdrawn {under}, for {tax} and "
            f"{money(totals.trading_cost, currency)} of trading cost. {self.why_not_more}"
        )
