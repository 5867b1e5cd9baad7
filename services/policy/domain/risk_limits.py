"""What a portfolio may not exceed: weights, volatility, losses, factors, stresses.

Lists are kept sorted, so that equal limits are equal.
"""

import operator
from dataclasses import dataclass

from services.kernel.ids import InstrumentId
from services.policy.domain.units import (
    Exposure,
    FactorLoading,
    Fraction,
    Leverage,
    LossLimit,
    Names,
    PriceChange,
    Volatility,
    Weight,
)


@dataclass(frozen=True, slots=True)
class FactorExposure:
    """Exposure to a factor of a portfolio that holds nothing but the instrument."""

    instrument_id: InstrumentId
    exposure: FactorLoading


@dataclass(frozen=True, slots=True)
class FactorLimit:
    """Least and most exposure to a factor; instruments that are not named have none."""

    name: str
    exposures: tuple[FactorExposure, ...]
    minimum: Exposure = None
    maximum: Exposure = None

    def __post_init__(self) -> None:
        """Sort the exposures."""
        key = operator.attrgetter("instrument_id")
        object.__setattr__(self, "exposures", tuple(sorted(self.exposures, key=key)))


@dataclass(frozen=True, slots=True)
class StressMove:
    """By which fraction the price of an instrument, or of a whole asset class, changes in a stress."""

    change: PriceChange
    instrument_id: InstrumentId | None = None
    asset_class: str | None = None

    def __post_init__(self) -> None:
        """Refuse a move of nothing, or of two things."""
        if (self.instrument_id is None) == (self.asset_class is None):
            raise ValueError("a stress moves an instrument or an asset class")

    @property
    def about(self) -> str:
        """Return whose price it is."""
        return f"the class {self.asset_class}" if self.instrument_id is None else self.instrument_id


@dataclass(frozen=True, slots=True)
class StressLimit:
    """Most loss in an event in which prices change at once; what no move speaks of stays as it is."""

    name: str
    moves: tuple[StressMove, ...]
    loss_limit: LossLimit
    source: str = ""

    def __post_init__(self) -> None:
        """Sort the moves."""
        object.__setattr__(self, "moves", tuple(sorted(self.moves, key=_moved)))


def _moved(move: StressMove) -> tuple[str, str, str]:
    return (move.asset_class or "", move.instrument_id or "", str(move.change))


@dataclass(frozen=True, slots=True)
class ClassLimit:
    """Least and most weight of an asset class, as the book names it."""

    asset_class: str
    minimum: Weight = None
    maximum: Weight = None


@dataclass(frozen=True, slots=True)
class RiskLimits:
    """What the portfolio may not exceed."""

    instrument_weight_limit: Weight = None
    tracking_error_limit: Volatility = None
    cash_floor: Weight = None
    cash_ceiling: Weight = None
    issuer_weight_limit: Weight = None
    class_limits: tuple[ClassLimit, ...] = ()
    volatility_limit: Volatility = None
    tail_loss_limit: Fraction = None
    drawdown_limit: Fraction = None
    leverage_limit: Leverage = None
    factor_limits: tuple[FactorLimit, ...] = ()
    stress_limits: tuple[StressLimit, ...] = ()
    names_limit: Names = None

    def __post_init__(self) -> None:
        """Sort the limits of classes, factors and stresses."""
        object.__setattr__(self, "class_limits", tuple(sorted(self.class_limits, key=_class_limited)))
        object.__setattr__(self, "factor_limits", tuple(sorted(self.factor_limits, key=_factor_limited)))
        object.__setattr__(self, "stress_limits", tuple(sorted(self.stress_limits, key=_stress_limited)))


def _factor_limited(limit: FactorLimit) -> tuple[str, str, str, str]:
    return (limit.name, str(limit.minimum), str(limit.maximum), str(limit.exposures))


def _stress_limited(limit: StressLimit) -> tuple[str, str, str]:
    return (limit.name, str(limit.loss_limit), str(limit.moves))


def _class_limited(limit: ClassLimit) -> tuple[str, str, str]:
    return (limit.asset_class, str(limit.minimum), str(limit.maximum))


NO_LIMITS = RiskLimits()
"""Says nothing about risk."""
