"""How far was a preview from what came?

A preview is the production engine on inputs that are not so, or not yet so. On the same inputs it is the plan; so an
error has causes, and they are the inputs that differ.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from services.decision.domain.decision import Decision
from services.decision.domain.plan import PlanInputs
from services.decision.domain.problem import ZERO
from services.kernel.canonical import canonical_json, content_hash
from services.kernel.decimals import plain
from services.kernel.ids import AccountId, PlanId

# Tracking errors are kept in basis points.
BPS_PER_ONE = 10_000


class Input(StrEnum):
    """What a preview and a plan can differ in."""

    POLICY = "POLICY"
    ACCOUNT = "ACCOUNT"
    PRICES = "PRICES"
    INSTRUMENTS = "INSTRUMENTS"
    RISK_MODEL = "RISK_MODEL"
    ENGINE = "ENGINE"
    OTHER = "OTHER"


@dataclass(frozen=True, slots=True)
class PreviewFigures:
    """What a person decides by; of an error each has a sign.

    Attributes:
        turnover: Buys plus sells over the account's value.
        trading_cost: In the account's currency.
        tax: That falls due, less what losses save, in the account's currency.
        drift_after: Half the sum of absolute deviations.
        tracking_error_after: As yearly volatility.
    """

    turnover: Decimal
    trading_cost: Decimal
    tax: Decimal
    drift_after: Decimal
    tracking_error_after: Decimal

    @property
    def parts(self) -> tuple[Decimal, ...]:
        """Return the figures in their order."""
        return (self.turnover, self.trading_cost, self.tax, self.drift_after, self.tracking_error_after)

    def less(self, other: "PreviewFigures") -> "PreviewFigures":
        """Return each figure less the other's."""
        return PreviewFigures(*(mine - its for mine, its in zip(self.parts, other.parts, strict=True)))


@dataclass(frozen=True, slots=True)
class KeptPreview:
    """A preview, as it is kept. `inputs` names what it rested on."""

    preview_id: str
    account_id: AccountId
    name: str
    currency: str
    create_time: datetime
    figures: PreviewFigures
    inputs: Mapping[Input, str]


@dataclass(frozen=True, slots=True)
class Came:
    """The plan that came after a preview."""

    plan_id: PlanId
    figures: PreviewFigures
    inputs: Mapping[Input, str]


@dataclass(frozen=True, slots=True)
class Measured:
    """A preview beside what came; None while nothing did."""

    preview: KeptPreview
    came: Came | None

    @property
    def error(self) -> PreviewFigures | None:
        """Return what came less what was previewed."""
        return None if self.came is None else self.came.figures.less(self.preview.figures)

    @property
    def differing(self) -> tuple[Input, ...]:
        """Return the inputs that differ, in their order; none while nothing came."""
        if self.came is None:
            return ()
        return tuple(each for each in Input if self.preview.inputs[each] != self.came.inputs[each])


def mean_absolute(errors: Sequence[PreviewFigures]) -> PreviewFigures | None:
    """Return the mean of each figure's absolute errors, rounded to 8 places; None without errors."""
    if not errors:
        return None
    sums = [sum(map(abs, parts), ZERO) for parts in zip(*(each.parts for each in errors), strict=True)]
    return PreviewFigures(*(round(each / len(errors), 8) for each in sums))


def figures_of(decision: Decision) -> PreviewFigures:
    """Return the figures of a decision."""
    said = decision.explanation.summary
    return PreviewFigures(
        turnover=said.turnover,
        trading_cost=said.cost,
        tax=said.tax_realized - said.tax_saved,
        drift_after=said.drift_after,
        tracking_error_after=said.tracking_error_after_bps / BPS_PER_ONE,
    )


def named_inputs(inputs: PlanInputs) -> Mapping[Input, str]:
    """Return a name for each input that a plan can differ in; the instant alone makes no difference."""
    others = [inputs.event, plain(inputs.cash_flow), [repr(each) for each in inputs.household_trades]]
    return {
        Input.POLICY: inputs.policy_hash,
        Input.ACCOUNT: inputs.account_hash,
        Input.PRICES: inputs.price_set_id,
        Input.INSTRUMENTS: inputs.instruments_hash,
        Input.RISK_MODEL: inputs.risk_model_hash,
        Input.ENGINE: inputs.engine,
        Input.OTHER: content_hash(canonical_json(others)),
    }
