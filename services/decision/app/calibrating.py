"""Fits the cost model to what closed orders did cost.

Nothing changes by it. What it proposes is `cost.spread_factor` and `cost.impact_coefficient` of a policy: there one
person writes them, another approves them, from an instant on; and a plan names by hash the policy, and so the
parameters, that it was decided with.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from services.decision.app.ports.plans import CostedOrder
from services.decision.app.ports.policy import PolicyClient
from services.decision.app.ports.sessions import Session
from services.decision.domain.calibration import TRADES_MIN, Calibration, Observation, Parameters, calibrated
from services.kernel.errors import Rejected
from services.kernel.ids import RunId

ZERO = Decimal(0)
# The newest orders are looked at, at most so many.
ORDERS_MAX = 50_000


class CostsTooFew(Rejected):
    """Too few closed orders say what trading costs."""

    reason = "COSTS_TOO_FEW"


@dataclass(frozen=True, slots=True)
class CostFit:
    """What orders cost, what was predicted, and the parameters that fit; amounts in one currency."""

    order_count: int
    value: Decimal
    predicted: Decimal
    realised: Decimal
    calibration: Calibration


async def fit_costs(
    session: Session, policy: PolicyClient, *, run_id: RunId | None, since: datetime | None, currency: str
) -> CostFit:
    """Return the parameters that fit what closed orders in `currency` did cost.

    Raises:
        CostsTooFew: There are fewer than `TRADES_MIN`.
    """
    orders = await session.plans.costed_orders(run_id, since, currency, ORDERS_MAX)
    if len(orders) < TRADES_MIN:
        message = f"at least {TRADES_MIN} closed orders in {currency} are needed, were {len(orders)}"
        raise CostsTooFew(message, order_count=str(len(orders)))
    documents = await session.contents.get({each.policy_hash for each in orders if each.policy_hash})
    used = {name: _parameters(policy, document) for name, document in documents.items()}
    seen = [_observed(each, used.get(each.policy_hash, Parameters())) for each in orders]
    return CostFit(
        order_count=len(seen),
        value=_sum([each.value for each in seen]),
        predicted=_sum([each.spread + each.impact for each in seen]),
        realised=_sum([each.realised for each in seen]),
        calibration=calibrated(seen),
    )


def _parameters(policy: PolicyClient, document: bytes) -> Parameters:
    said = policy.read(document)
    return Parameters(said.spread_factor, said.impact_coefficient)


def _observed(order: CostedOrder, by: Parameters) -> Observation:
    return Observation(order.order_id, order.value, order.spread, order.impact, order.trading, by)


def _sum(amounts: Sequence[Decimal]) -> Decimal:
    return sum(amounts, ZERO)
