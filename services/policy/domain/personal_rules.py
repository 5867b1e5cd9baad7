"""What a policy says about clients: how a profile becomes a model, and how far preferences go.

These are governed rules like any other. What clients themselves say is in `domain.personal`.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from services.kernel.decimals import plain
from services.kernel.ids import PolicyNodeId
from services.policy.domain.fields import Merge
from services.policy.domain.units import (
    Age,
    Count,
    Days,
    Fraction,
    Need,
    RiskBudget,
    Tolerance,
    Volatility,
    Weight,
    WholeYears,
    order_of,
)


class IncomePath(StrEnum):
    """Where a client's income is going."""

    GROWING = "growing"
    STABLE = "stable"
    VARIABLE = "variable"
    FALLING = "falling"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class ToleranceBudget:
    """The yearly volatility that a tolerance, 1 to 10, allows."""

    tolerance: Tolerance
    risk_budget: RiskBudget

    @property
    def about(self) -> str:
        """Return which clients the row is about."""
        return f"tolerance {self.tolerance}"


@dataclass(frozen=True, slots=True)
class HorizonBudget:
    """The yearly volatility that a horizon of so many whole years allows."""

    years: WholeYears
    risk_budget: RiskBudget

    @property
    def about(self) -> str:
        """Return which clients the row is about."""
        return f"{self.years} years"


@dataclass(frozen=True, slots=True)
class LiquidityBudget:
    """The yearly volatility that a need for liquidity, a fraction of the account, allows."""

    need: Need
    risk_budget: RiskBudget

    @property
    def about(self) -> str:
        """Return which clients the row is about."""
        return f"need of {plain(self.need)}"


@dataclass(frozen=True, slots=True)
class IncomeBudget:
    """The yearly volatility that an income path allows."""

    income_path: IncomePath
    risk_budget: RiskBudget

    @property
    def about(self) -> str:
        """Return which clients the row is about."""
        return f"{'no' if self.income_path is IncomePath.NONE else self.income_path} income"


@dataclass(frozen=True, slots=True)
class AgeBudget:
    """The yearly volatility that an age in completed years allows."""

    age: Age
    risk_budget: RiskBudget

    @property
    def about(self) -> str:
        """Return which clients the row is about."""
        return f"age {self.age}"


@dataclass(frozen=True, slots=True)
class BudgetModel:
    """A model, and the risk budget from which on it is chosen."""

    risk_budget: RiskBudget
    model_node_id: PolicyNodeId


@dataclass(frozen=True, slots=True)
class ProfileRule:
    """How a profile becomes a risk budget, and the budget a model; each list replaces the ancestor's."""

    tolerances: tuple[ToleranceBudget, ...] = ()
    horizons: tuple[HorizonBudget, ...] = ()
    liquidity: tuple[LiquidityBudget, ...] = ()
    income: tuple[IncomeBudget, ...] = ()
    glide_path: tuple[AgeBudget, ...] = ()
    models: tuple[BudgetModel, ...] = ()

    def __post_init__(self) -> None:
        """Sort the rows."""
        object.__setattr__(self, "tolerances", tuple(sorted(self.tolerances, key=lambda r: (r.tolerance, str(r)))))
        object.__setattr__(self, "horizons", tuple(sorted(self.horizons, key=lambda r: (r.years, str(r)))))
        object.__setattr__(self, "liquidity", tuple(sorted(self.liquidity, key=lambda r: (order_of(r.need), str(r)))))
        object.__setattr__(self, "income", tuple(sorted(self.income, key=lambda r: (r.income_path, str(r)))))
        object.__setattr__(self, "glide_path", tuple(sorted(self.glide_path, key=lambda r: (r.age, str(r)))))
        object.__setattr__(self, "models", tuple(sorted(self.models, key=lambda r: (order_of(r.risk_budget), str(r)))))


@dataclass(frozen=True, slots=True)
class PreferenceLimits:
    """How far preferences may go; what is absent is not allowed, or from `cooling_off_days` on not limited."""

    tax_importance_minimum: Fraction = None
    tax_importance_maximum: Fraction = None
    risk_steps_up: Count = None
    risk_steps_down: Count = None
    exclusions_limit: Count = None
    excluded_weight_limit: Weight = None
    tilt_limit: Weight = None
    tilted_weight_limit: Weight = None
    cooling_off_days: Days = None
    window_days: Days = None
    tax_change_limit: Fraction = None
    risk_change_limit: Count = None
    tilt_change_limit: Weight = None


@dataclass(frozen=True, slots=True)
class ClientTerms:
    """What depends on the client; the last two are said by effective policies only."""

    required_consents: Annotated[tuple[str, ...], Merge.GATHER] = ()
    missing_consents: tuple[str, ...] = ()
    risk_budget: Volatility = None

    def __post_init__(self) -> None:
        """Sort the consents, each once."""
        object.__setattr__(self, "required_consents", tuple(sorted(set(self.required_consents))))
        object.__setattr__(self, "missing_consents", tuple(sorted(set(self.missing_consents))))


NO_RULE = ProfileRule()
NO_PREFERENCES = PreferenceLimits()
NO_TERMS = ClientTerms()
"""Say nothing."""
