"""What would an account get under another policy?

While a change of policy is rolled out, an account under it is decided twice on the same inputs: by the policy that is
in force for it, whose plan lives on, and by the other one, of which only the figures are kept. The comparison is always
the candidate less the incumbent, whichever of them is in force; more is worse.
"""

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

from services.decision.domain.plan import Draft, PlanOutcome
from services.kernel.ids import AccountId, PolicyHash

# Differences are kept to a millionth of a basis point.
STEP = Decimal("0.000001")
BPS = Decimal(10_000)
ZERO = Decimal(0)

# Outcomes of an account for which a policy works.
_WORKS = frozenset({PlanOutcome.TRADE, PlanOutcome.NO_TRADE})


@dataclass(frozen=True, slots=True)
class PolicySides:
    """The two policies of an account under the rollout of a change; one of them is in force for it."""

    change_id: str
    candidate_hash: PolicyHash
    incumbent_hash: PolicyHash

    def other(self, in_force: PolicyHash) -> PolicyHash:
        """Return the one that is not `in_force`."""
        return self.incumbent_hash if in_force == self.candidate_hash else self.candidate_hash


@dataclass(frozen=True, slots=True)
class Figures:
    """What a policy does to an account, in basis points of its value: tax, trading cost, drift left, value traded.

    None where nothing could be decided.
    """

    outcome: PlanOutcome
    tax_bps: Decimal | None = None
    cost_bps: Decimal | None = None
    drift_bps: Decimal | None = None
    turnover_bps: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """An account under both policies."""

    account_id: AccountId
    sides: PolicySides
    candidate_in_force: bool
    candidate: Figures
    incumbent: Figures

    @property
    def failed(self) -> bool:
        """Return whether the account can be decided under the incumbent and not under the candidate."""
        return self.incumbent.outcome in _WORKS and self.candidate.outcome not in _WORKS

    @property
    def tax_bps(self) -> Decimal:
        """Return by how much the candidate's tax is more."""
        return _less(self.candidate.tax_bps, self.incumbent.tax_bps)

    @property
    def cost_bps(self) -> Decimal:
        """Return by how much the candidate's trading cost is more."""
        return _less(self.candidate.cost_bps, self.incumbent.cost_bps)

    @property
    def drift_bps(self) -> Decimal:
        """Return by how much the candidate leaves more drift."""
        return _less(self.candidate.drift_bps, self.incumbent.drift_bps)

    @property
    def turnover_bps(self) -> Decimal:
        """Return by how much the candidate trades more."""
        return _less(self.candidate.turnover_bps, self.incumbent.turnover_bps)


def figures_of(draft: Draft) -> Figures:
    """Return what a draft does to its account."""
    totals = draft.outline.totals
    if draft.outline.summary is None or totals.value <= 0:
        return Figures(draft.outcome)
    return Figures(
        outcome=draft.outcome,
        tax_bps=_bps(totals.tax, totals.value),
        cost_bps=_bps(totals.trading_cost, totals.value),
        drift_bps=_bps(totals.drift_after_value, totals.value),
        turnover_bps=_bps(totals.turnover, totals.value),
    )


def compared(sides: PolicySides, in_force: Draft, other: Draft) -> Comparison:
    """Return an account under both policies.

    Args:
        sides: Its policies.
        in_force: What is decided by the one in force.
        other: What would be decided by the other.
    """
    candidate_in_force = in_force.inputs.policy_hash == sides.candidate_hash
    candidate, incumbent = (in_force, other) if candidate_in_force else (other, in_force)
    return Comparison(in_force.account_id, sides, candidate_in_force, figures_of(candidate), figures_of(incumbent))


def _bps(amount: Decimal, value: Decimal) -> Decimal:
    return (amount / value * BPS).quantize(STEP, ROUND_HALF_EVEN)


def _less(candidate: Decimal | None, incumbent: Decimal | None) -> Decimal:
    # Where one side could not be decided, that it failed says all there is to say.
    return ZERO if candidate is None or incumbent is None else candidate - incumbent
