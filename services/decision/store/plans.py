"""Plans in PostgreSQL. Which of them may exist together is the database's to say: one live plan an account."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Select, any_, cast, func, literal, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, distinct_on, insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Text

from services.decision.app.ports.execution import ClosedOrder, OrderCost
from services.decision.app.ports.plans import CostedOrder, PlanFilter
from services.decision.domain.book import PlannedLot
from services.decision.domain.decision import TradeCost
from services.decision.domain.plan import LIVE_STATES, NewPlan, Plan, PlanInputs, PlanOutcome, PlanState
from services.decision.domain.plan_parts import planned_lots, recent_trades, trade_costs
from services.decision.domain.problem import RecentTrade
from services.decision.domain.recorded import read_recorded, recorded_bytes
from services.decision.domain.run import Run
from services.decision.store.plan_rows import LISTED, plan_of
from services.decision.store.statements import EXPIRE, held_back
from services.decision.store.submissions import SubmissionStore
from services.decision.tables.runs import LIVE, closed_order, plan, run
from services.kernel.errors import Conflict
from services.kernel.ids import AccountId, InstrumentId, OrderId, PlanId, RunId
from services.runtime.telemetry import counter

# Decided after a look at the account, so that it need not be looked at again for a while.
_LOOKED_AT = (PlanOutcome.TRADE.value, PlanOutcome.NO_TRADE.value)


# Plans whose content is read at once.
_PLANS_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class PlanStore(SubmissionStore):
    """The plans, within one transaction."""

    connection: AsyncConnection

    async def add(self, of: Run, plans: Sequence[NewPlan], at: datetime) -> Collection[PlanId]:
        """Keep new plans and return those kept: all but those whose account has another live plan."""
        if not plans:
            return ()
        # In one order everywhere, so that two runs with the same accounts wait for each other and do not lock up.
        ordered = sorted(plans, key=lambda each: each.draft.account_id)
        kept = await self.connection.execute(
            insert(plan)
            .values([_new_row(of, each, at) for each in ordered])
            .on_conflict_do_nothing(index_elements=[plan.c.account_id], index_where=text(LIVE))
            .returning(plan.c.plan_id)
        )
        found = {PlanId(each) for each in kept.scalars()}
        decided = counter("evenkeel.plan.decided", "{plan}", "Plans by what was decided.")
        for each in plans:
            if each.plan_id in found:
                decided.add(1, {"outcome": each.draft.outcome.value})
        return found

    async def get(self, plan_id: PlanId) -> Plan | None:
        """Return a plan with its content."""
        return await self._with_content(select(*LISTED, plan.c.content).where(plan.c.plan_id == plan_id))

    async def lock(self, plan_id: PlanId) -> Plan | None:
        """Return a plan that nobody else changes before this transaction ends."""
        wanted = select(*LISTED, plan.c.content).where(plan.c.plan_id == plan_id)
        return await self._with_content(wanted.with_for_update())

    async def listed(self, which: PlanFilter, after: PlanId | None, limit: int) -> Sequence[Plan]:
        """Return plans after `after` by id, without content."""
        wanted = select(*LISTED).order_by(plan.c.plan_id).limit(limit)
        if which.run_id is not None:
            wanted = wanted.where(plan.c.run_id == which.run_id)
        if which.account_id is not None:
            wanted = wanted.where(plan.c.account_id == which.account_id)
        if which.state is not None:
            wanted = wanted.where(plan.c.state == which.state.value)
        if which.outcome is not None:
            wanted = wanted.where(plan.c.outcome == which.outcome.value)
        if which.no_trade_reason:
            wanted = wanted.where(plan.c.no_trade_reason == which.no_trade_reason)
        if after is not None:
            wanted = wanted.where(plan.c.plan_id > after)
        return [plan_of(row) for row in await self.connection.execute(wanted)]

    async def newest(self, account_id: AccountId) -> Plan | None:
        """Return an account's newest plan, with its content."""
        wanted = (
            select(*LISTED, plan.c.content)
            .where(plan.c.account_id == account_id)
            .order_by(plan.c.as_of_time.desc(), plan.c.create_time.desc(), plan.c.plan_id)
            .limit(1)
        )
        return await self._with_content(wanted)

    async def first_after(self, account_id: AccountId, at: datetime) -> Plan | None:
        """Return an account's first plan that was decided after an instant, traded or not, with its content."""
        wanted = (
            select(*LISTED, plan.c.content)
            .where(plan.c.account_id == account_id, plan.c.create_time > at, plan.c.outcome.in_(_LOOKED_AT))
            .order_by(plan.c.create_time, plan.c.plan_id)
            .limit(1)
        )
        return await self._with_content(wanted)

    async def move(self, moved: Plan, was: PlanState) -> None:
        """Keep state, approver, refusal and update time of a plan; Conflict when its state is not `was`."""
        change = (
            update(plan)
            .where(plan.c.plan_id == moved.plan_id, plan.c.state == was.value)
            .values(
                state=moved.state.value,
                approver=moved.approver,
                refusal=moved.refusal,
                update_time=moved.update_time,
            )
        )
        if (await self.connection.execute(change)).rowcount != 1:
            raise Conflict(f"plan {moved.plan_id} is not {was} any more")

    async def live_accounts(self, account_ids: Collection[AccountId]) -> Collection[AccountId]:
        """Return those accounts that have a live plan."""
        wanted = select(plan.c.account_id).where(
            plan.c.account_id == any_(_texts(account_ids)), plan.c.state.in_([each.value for each in LIVE_STATES])
        )
        return {AccountId(each) for each in (await self.connection.execute(wanted)).scalars()}

    async def live_trades(self, account_ids: Collection[AccountId]) -> Mapping[AccountId, tuple[RecentTrade, ...]]:
        """Return what the live plan of each account is about to trade; absent without one."""
        wanted = select(plan.c.account_id, plan.c.as_of_time, plan.c.content).where(
            plan.c.account_id == any_(_texts(account_ids)), plan.c.state.in_([each.value for each in LIVE_STATES])
        )
        return {
            AccountId(row.account_id): recent_trades(row.content, row.as_of_time.astimezone(UTC).date())
            for row in await self.connection.execute(wanted)
        }

    async def decided_dates(self, account_ids: Collection[AccountId]) -> Mapping[AccountId, date]:
        """Return the day that each account was decided for last, with trades or without; absent when never."""
        wanted = (
            select(plan.c.account_id, func.max(plan.c.as_of_time).label("as_of_time"))
            .join(run, run.c.run_id == plan.c.run_id)
            .where(
                plan.c.account_id == any_(_texts(account_ids)), plan.c.outcome.in_(_LOOKED_AT), run.c.dry_run.is_(False)
            )
            .group_by(plan.c.account_id)
        )
        rows = await self.connection.execute(wanted)
        return {AccountId(row.account_id): row.as_of_time.astimezone(UTC).date() for row in rows}

    async def decided_accounts(self, account_ids: Collection[AccountId]) -> Mapping[AccountId, str]:
        """Return the hash of what each account was when it was decided last, as `decided_dates` sees it."""
        said = cast(func.convert_from(plan.c.inputs, "UTF8"), JSONB)["account_hash"].astext
        wanted = (
            select(plan.c.account_id, said.label("account_hash"))
            .ext(distinct_on(plan.c.account_id))
            .join(run, run.c.run_id == plan.c.run_id)
            .where(
                plan.c.account_id == any_(_texts(account_ids)), plan.c.outcome.in_(_LOOKED_AT), run.c.dry_run.is_(False)
            )
            .order_by(plan.c.account_id, plan.c.as_of_time.desc(), plan.c.create_time.desc())
        )
        return {AccountId(row.account_id): row.account_hash for row in await self.connection.execute(wanted)}

    async def withdraw_unsent(self, run_id: RunId, at: datetime) -> Sequence[Plan]:
        """Withdraw the run's plans that are not being submitted, and return them without content."""
        change = (
            update(plan)
            .where(plan.c.run_id == run_id, held_back())
            .values(state=PlanState.WITHDRAWN.value, update_time=at)
            .returning(*LISTED)
        )
        return [plan_of(row) for row in await self.connection.execute(change)]

    async def supersede(self, account_ids: Select[Any], at: datetime) -> Sequence[Plan]:
        """End the plans of accounts that are not being submitted, and return them without content."""
        change = (
            update(plan)
            .where(plan.c.account_id.in_(account_ids), held_back())
            .values(state=PlanState.SUPERSEDED.value, update_time=at)
            .returning(*LISTED)
        )
        return [plan_of(row) for row in await self.connection.execute(change)]

    async def expire(self, market_time: datetime, at: datetime, limit: int) -> Sequence[Plan]:
        """Expire plans that are too old and not being submitted, and return them without content."""
        which = {"market_time": market_time, "at": at, "limit": limit}
        return [plan_of(row) for row in await self.connection.execute(EXPIRE, which)]

    async def worked(self, plan_ids: Collection[PlanId], at: datetime) -> Sequence[Plan]:
        """Move submitted plans that execution reports on to WORKING, and return those that moved."""
        change = (
            update(plan)
            .where(
                plan.c.plan_id == any_(_texts(plan_ids)),
                plan.c.state == PlanState.APPROVED.value,
                plan.c.submission_id.is_not(None),
            )
            .values(state=PlanState.WORKING.value, update_time=at)
            .returning(*LISTED)
        )
        return [plan_of(row) for row in await self.connection.execute(change)]

    async def planned_lots(
        self, plan_ids: Collection[PlanId]
    ) -> Mapping[PlanId, Mapping[InstrumentId, tuple[PlannedLot, ...]]]:
        """Return the lots that plans sell, by instrument, in the plan's order."""
        wanted = select(plan.c.plan_id, plan.c.content).where(plan.c.plan_id == any_(_texts(plan_ids)))
        return {PlanId(row.plan_id): planned_lots(row.content) for row in await self.connection.execute(wanted)}

    async def run_ids(self, plan_ids: Collection[PlanId]) -> Mapping[PlanId, RunId]:
        """Return the run of each plan; plans that do not exist are left out."""
        wanted = select(plan.c.plan_id, plan.c.run_id).where(plan.c.plan_id == any_(_texts(plan_ids)))
        return {PlanId(row.plan_id): RunId(row.run_id) for row in await self.connection.execute(wanted)}

    async def target_weights(
        self, account_ids: Collection[AccountId]
    ) -> Mapping[AccountId, Mapping[InstrumentId, Decimal]]:
        """Return target weights by the policy of each account's newest plan; absent without a plan."""
        said = cast(func.convert_from(plan.c.content, "UTF8"), JSONB)["targets"]
        wanted = (
            select(plan.c.account_id, said.label("targets"))
            .distinct(plan.c.account_id)
            .where(plan.c.account_id == any_(_texts(account_ids)), plan.c.outcome.in_(_LOOKED_AT))
            .order_by(plan.c.account_id, plan.c.as_of_time.desc(), plan.c.create_time.desc())
        )
        return {
            AccountId(row.account_id): {InstrumentId(each): Decimal(weight) for each, weight in row.targets.items()}
            for row in await self.connection.execute(wanted)
            if row.targets
        }

    async def costed_orders(
        self, run_id: RunId | None, since: datetime | None, currency: str, limit: int
    ) -> Sequence[CostedOrder]:
        """Return closed orders that something was filled of, the newest `limit`, with what was predicted for them."""
        which = (closed_order.c.currency == currency) & (closed_order.c.value > 0)
        if run_id is not None:
            which &= plan.c.run_id == run_id
        if since is not None:
            which &= closed_order.c.record_time >= since
        newest = (
            select(
                *(closed_order.c.order_id, closed_order.c.plan_id, closed_order.c.instrument_id),
                *(closed_order.c.filled_quantity, closed_order.c.value, closed_order.c.trading),
            )
            .join(plan, plan.c.plan_id == closed_order.c.plan_id)
            .where(which)
            .order_by(closed_order.c.record_time.desc(), closed_order.c.order_id)
            .limit(limit)
        )
        by_plan: dict[str, list[Any]] = {}
        for row in await self.connection.execute(newest):
            by_plan.setdefault(row.plan_id, []).append(row)
        found: list[CostedOrder] = []
        plan_ids = sorted(by_plan)
        # A plan says much; few at a time keep memory small.
        for start in range(0, len(plan_ids), _PLANS_AT_ONCE):
            part = plan_ids[start : start + _PLANS_AT_ONCE]
            wanted = select(plan.c.plan_id, plan.c.inputs, plan.c.content).where(plan.c.plan_id == any_(_texts(part)))
            for said in await self.connection.execute(wanted):
                predicted = trade_costs(said.content)
                policy_hash = read_recorded(PlanInputs, said.inputs).policy_hash
                found += [
                    _costed(each, policy_hash, *predicted[InstrumentId(each.instrument_id)])
                    for each in by_plan[said.plan_id]
                    if each.instrument_id in predicted
                ]
        return found

    async def close_orders(self, orders: Sequence[ClosedOrder], at: datetime) -> Sequence[Plan]:
        """Count closed orders, each once, and return the plans that are DONE by it."""
        if not orders:
            return ()
        known = select(plan.c.plan_id).where(plan.c.plan_id == any_(_texts({each.plan_id for each in orders})))
        ours = set((await self.connection.execute(known)).scalars())
        rows = [
            {
                "order_id": each.order_id,
                "plan_id": each.plan_id,
                "state": each.state,
                "filled_quantity": each.filled_quantity,
                "close_reason": each.close_reason,
                "record_time": at,
                **_cost_values(each.cost),
            }
            for each in orders
            if each.plan_id in ours
        ]
        if not rows:
            return ()
        fresh = (
            insert(closed_order).values(rows).on_conflict_do_nothing().returning(closed_order.c.plan_id).cte("fresh")
        )
        counts = select(fresh.c.plan_id, func.count().label("closed")).group_by(fresh.c.plan_id).cte("counts")
        await self.connection.execute(
            update(plan)
            .where(plan.c.plan_id == counts.c.plan_id)
            .values(open_orders=func.greatest(0, plan.c.open_orders - counts.c.closed), update_time=at)
        )
        done = (
            update(plan)
            .where(
                plan.c.plan_id == any_(_texts(ours)),
                plan.c.state == PlanState.WORKING.value,
                plan.c.open_orders == 0,
            )
            .values(state=PlanState.DONE.value, update_time=at)
            .returning(*LISTED)
        )
        return [plan_of(row) for row in await self.connection.execute(done)]

    async def _with_content(self, wanted: Select[Any]) -> Plan | None:
        row = (await self.connection.execute(wanted)).one_or_none()
        return None if row is None else plan_of(row, row.content)


def _cost_values(cost: OrderCost | None) -> dict[str, Any]:
    if cost is None:
        return dict.fromkeys(("instrument_id", "currency", "value", "trading", "fees"))
    return {
        "instrument_id": cost.instrument_id,
        "currency": cost.currency,
        "value": cost.value,
        "trading": cost.trading,
        "fees": cost.fees,
    }


def _costed(row: Any, policy_hash: str, quantity: Decimal, predicted: TradeCost) -> CostedOrder:  # noqa: ANN401 - a row
    part = row.filled_quantity / quantity
    return CostedOrder(
        order_id=OrderId(row.order_id),
        policy_hash=policy_hash,
        value=row.value,
        spread=predicted.spread * part,
        impact=predicted.impact * part,
        trading=row.trading,
    )


def _new_row(of: Run, new: NewPlan, at: datetime) -> dict[str, Any]:
    draft = new.draft
    release = draft.content.release
    return {
        "plan_id": new.plan_id,
        "run_id": of.run_id,
        "account_id": draft.account_id,
        "state": new.state.value,
        "outcome": draft.outcome.value,
        "inputs": recorded_bytes(draft.inputs),
        "content": draft.recorded_content,
        "outline": recorded_bytes(draft.outline),
        "plan_hash": draft.plan_hash,
        "review_reasons": list(draft.review_reasons),
        "approver": new.approver,
        "as_of_time": draft.inputs.as_of_time,
        "create_time": at,
        "expire_time": draft.expire_time,
        "update_time": at,
        "open_orders": 0 if release is None else len(release.trades),
        "no_trade_reason": draft.outline.no_trade_reason,
    }


def _texts(values: Collection[str]) -> Any:  # noqa: ANN401 - an array parameter
    return literal(sorted(values), ARRAY(Text))
