"""A plan in short: what lists show and totals sum, without trades, lots and limits."""

from dataclasses import dataclass
from decimal import Decimal

from services.decision.domain.decision import Certificate, Decision, Outcome, Summary
from services.decision.domain.problem import ZERO

# What triggered an account that nothing triggered.
NO_TRIGGER = "NONE"

# Reasons for no trade beside those of `NoTradeReason`, which are the optimiser's.
INFEASIBLE = "INFEASIBLE"
UNSOLVED = "UNSOLVED"
FAILED = "FAILED"
PAUSED = "PAUSED"


@dataclass(frozen=True, slots=True)
class Totals:
    """What plans do, summed over accounts. Money is in the run's currency; drifts are multiplied by account value."""

    value: Decimal = ZERO
    drift_before_value: Decimal = ZERO
    drift_after_value: Decimal = ZERO
    turnover: Decimal = ZERO
    trading_cost: Decimal = ZERO
    tax: Decimal = ZERO
    tax_saved: Decimal = ZERO
    realized_gain: Decimal = ZERO
    gap_max_bps: Decimal = ZERO

    def __add__(self, other: "Totals") -> "Totals":
        """Return what both do together."""
        return Totals(
            value=self.value + other.value,
            drift_before_value=self.drift_before_value + other.drift_before_value,
            drift_after_value=self.drift_after_value + other.drift_after_value,
            turnover=self.turnover + other.turnover,
            trading_cost=self.trading_cost + other.trading_cost,
            tax=self.tax + other.tax,
            tax_saved=self.tax_saved + other.tax_saved,
            realized_gain=self.realized_gain + other.realized_gain,
            gap_max_bps=max(self.gap_max_bps, other.gap_max_bps),
        )


NO_TOTALS = Totals()


@dataclass(frozen=True, slots=True)
class Outline:
    """A plan in short. Money is in `currency`.

    Attributes:
        sentence: For people; says why when there is no decision.
        trigger: What asked for a decision first.
        tax_saved: Estimated tax of selling the same first-in first-out, less the plan's.
        summary: The account before and after; None without a decision, like `certificate`.
        no_trade_reason: Why nothing is traded; empty when something is, and in what an earlier build recorded.
    """

    currency: str
    sentence: str
    trigger: str = NO_TRIGGER
    tax_saved: Decimal = ZERO
    summary: Summary | None = None
    certificate: Certificate | None = None
    no_trade_reason: str = ""

    @property
    def totals(self) -> Totals:
        """What the plan adds to its run's totals; nothing without a decision."""
        summary, certificate = self.summary, self.certificate
        if summary is None or certificate is None:
            return NO_TOTALS
        turnover = summary.bought_value + summary.sold_value
        return Totals(
            value=summary.mix_value,
            drift_before_value=summary.drift_before * summary.mix_value,
            drift_after_value=summary.drift_after * summary.mix_value,
            turnover=turnover,
            trading_cost=summary.cost,
            tax=summary.tax_realized - summary.tax_saved,
            tax_saved=self.tax_saved,
            realized_gain=summary.gain_short + summary.gain_long,
            # A plan without trades may be unsolved, and has no gap that says anything.
            gap_max_bps=certificate.gap_bps if turnover else ZERO,
        )


def outline_of(decision: Decision, currency: str, tax_saved: Decimal) -> Outline:
    """Return a decision in short."""
    explained = decision.explanation
    return Outline(
        currency=currency,
        sentence=explained.summary.sentence,
        trigger=explained.triggers[0].kind.value if explained.triggers else NO_TRIGGER,
        tax_saved=tax_saved,
        summary=explained.summary,
        certificate=decision.certificate,
        no_trade_reason=_no_trade_reason(decision),
    )


def _no_trade_reason(decision: Decision) -> str:
    match decision.outcome:
        case Outcome.TRADE:
            return ""
        case Outcome.INFEASIBLE:
            return INFEASIBLE
        case Outcome.FALLBACK_HOLD:
            return UNSOLVED
        case Outcome.NO_TRADE:
            reason = decision.explanation.no_trade_reason
            return "" if reason is None else reason.value
