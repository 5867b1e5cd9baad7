"""Looks at orders once more before they leave, when time has passed since they were taken.

A buy may wait hours for the money of a sell, and a part that came back from a block goes again. By then its policy may
have been replaced or stopped, its instrument restricted, its price run away. So what was set free after the plan was
taken, and whatever waited longer than `checked_for`, is checked again; until then it goes into no block.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from services.execution.app.changes import Changes
from services.execution.app.funding import FundingRules
from services.execution.app.policies import PoliciesInForce
from services.execution.app.ports import Begin, PolicyVerdict, Trace
from services.execution.app.records import OrderRecord, PlanBasis
from services.execution.app.references import references
from services.execution.domain.errors import PolicyUnverified
from services.execution.domain.exchanges import Exchange
from services.execution.domain.limits import Limits
from services.execution.domain.pretrade import Leaving, Refusal, Situation, check_leaving
from services.kernel.clock import Clock
from services.kernel.ids import AccountId, InstrumentId, PlanId, PolicyHash

# What a close reason may say.
REASON_MAX = 500


@dataclass(frozen=True, slots=True)
class Clearing:
    """The use case of checking orders that are about to leave. `checked_for`: how long a check counts."""

    begin: Begin
    policies: PoliciesInForce
    trace: Trace
    clock: Clock
    market_clock: Clock
    limits: Limits
    restricted: frozenset[InstrumentId]
    funding: FundingRules
    exchange: Exchange
    checked_for: timedelta
    break_grace: timedelta
    orders_max: int
    trades_currencies: bool = True

    async def check_orders(self) -> int:
        """Check the orders that must be checked again, give up those that may not leave, and return how many."""
        before = self.clock.now() - self.checked_for
        async with self.begin() as ledger:
            due = await ledger.unchecked_orders(before, self.orders_max)
            bases = await ledger.plan_bases({order.plan_id for order in due})
        if not due:
            return 0
        now = self.market_clock.now()
        try:
            in_force = await self.policies.check(
                {version for basis in bases.values() for version in basis.policy_version_hashes}, at=now
            )
        except PolicyUnverified:
            # Nothing is known against them, and nothing for them: they wait until policy answers or they expire.
            return 0
        verdicts = await self._verdicts(bases.values(), now)
        async with self.begin() as ledger:
            await ledger.lock()
            # As they are now: while policy was asked, others may have given them up.
            orders = [
                order
                for order in (await ledger.orders({each.order_id for each in due})).values()
                if order.ready > 0 and (order.check_time is None or order.check_time < before)
            ]
            prices = await references(ledger, {(order.instrument_id, order.terms.currency) for order in orders})
            halts = await ledger.halts()
            broken = await ledger.broken({order.account_id for order in orders}, self.break_grace)
            changes = Changes(ledger, self.clock.now(), self.funding, self.exchange)
            changes.know(orders)
            for order in orders:
                against = verdicts.get(order.plan_id)
                situation = Situation(
                    now=now,
                    limits=self.limits,
                    usage={},
                    prices=prices,
                    restricted=self.restricted,
                    halts=halts,
                    in_force=in_force,
                    paused={order.account_id: against.description} if against and against.paused else {},
                    outdated={order.account_id: against.description} if against and not against.paused else {},
                    open_instruments=frozenset(),
                    venue_id=order.terms.venue_id,
                    broken=broken,
                    trades_currencies=self.trades_currencies,
                )
                changes.put(_checked(order, check_leaving(_leaving(order, bases), situation), changes.now))
            await changes.finish(self.trace)
        return len(orders)

    async def _verdicts(self, bases: Iterable[PlanBasis], at: datetime) -> Mapping[PlanId, PolicyVerdict]:
        """Return what policy has against acting on plans.

        Plans of one account may rest on different versions, so each question names an account once.
        """
        rounds: list[dict[AccountId, PlanBasis]] = []
        for basis in bases:
            free = next((each for each in rounds if basis.account_id not in each), None)
            if free is None:
                rounds.append(free := {})
            free[basis.account_id] = basis
        found: dict[PlanId, PolicyVerdict] = {}
        for asked in rounds:
            wanted: Mapping[AccountId, Collection[PolicyHash]] = {
                account_id: basis.policy_version_hashes for account_id, basis in asked.items()
            }
            verdicts = await self.policies.verdicts_of(wanted, at)
            found |= {asked[account_id].plan_id: verdict for account_id, verdict in verdicts.items()}
        return found


def _leaving(order: OrderRecord, bases: Mapping[PlanId, PlanBasis]) -> Leaving:
    basis = bases.get(order.plan_id)
    return Leaving(
        account_id=order.account_id,
        instrument_id=order.instrument_id,
        side=order.terms.side,
        price=order.decision_price,
        limit_price=order.terms.limit_price,
        currency=order.terms.currency,
        expire_time=order.expire_time,
        policy_version_hashes=() if basis is None else basis.policy_version_hashes,
    )


def _checked(order: OrderRecord, refusals: tuple[Refusal, ...], now: datetime) -> OrderRecord:
    if not refusals:
        return replace(order, check_time=now)
    why = "; ".join(f"{each.reason}: {each.description}" for each in refusals)[:REASON_MAX]
    return replace(order, close_reason=why, update_time=now)
