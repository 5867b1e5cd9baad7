"""Takes signed plans: each once, whole or not at all, and only after every check of our own.

The signature is checked before anything in the plan is believed. All intakes take turns (`Ledger.lock`), so a hundred
submissions of one plan make one set of orders, and the limits of a day cannot be passed by coming all at once.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache

from services.execution.app.events import order_accepted, plan_accepted, plan_refused, submission_refused
from services.execution.app.funding import released_at_intake
from services.execution.app.policies import PoliciesInForce
from services.execution.app.ports import ORDERS_AT_ONCE, Begin, Ledger, PolicyVerdict, Trace
from services.execution.app.records import KnownPlan, OrderRecord, PlanRecord
from services.execution.app.references import references
from services.execution.domain.blocks import Terms
from services.execution.domain.changed import maker
from services.execution.domain.currencies import price_in
from services.execution.domain.desk import Desk
from services.execution.domain.limits import LimitKey, Limits, Usage, usage_of
from services.execution.domain.payment import unpaid
from services.execution.domain.plan import Plan, limit_price, order_id
from services.execution.domain.pretrade import Reason, Refusal, Situation, check_plan, pairs_needed, unit_cost_max
from services.execution.domain.trading_hours import TradingHours
from services.execution.domain.words import Algorithm, OrderType, ReferencePrice, TimeInForce
from services.kernel.canonical import content_hash
from services.kernel.clock import Clock
from services.kernel.ids import AccountId, InstrumentId, PlanId, PolicyHash, VenueId
from services.kernel.signing import PublicKey, Signature, SignatureInvalid, verify


@dataclass(frozen=True, slots=True)
class Submission:
    """A plan as it arrived.

    `plan` is what the payload says, to be believed only if the signature holds; None when it cannot be read, and then
    `problem` says why.
    """

    payload: bytes
    signature: Signature
    plan: Plan | None
    problem: str = ""


class Status(StrEnum):
    """What execution did with a submission."""

    ACCEPTED = "ACCEPTED"
    DUPLICATE = "DUPLICATE"
    REFUSED = "REFUSED"


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one submission; `plan_id` is empty when the payload could not be believed."""

    plan_id: str
    status: Status
    refusals: tuple[Refusal, ...] = ()


@dataclass(frozen=True, slots=True)
class Intake:
    """The use case of taking plans."""

    begin: Begin
    policies: PoliciesInForce
    trace: Trace
    clock: Clock
    market_clock: Clock
    keys: Mapping[str, PublicKey]
    limits: Limits
    restricted: frozenset[InstrumentId]
    venue_id: VenueId
    hours: TradingHours
    break_grace: timedelta
    trades_currencies: bool = True
    desk: Desk = field(default_factory=Desk)

    async def submit_plans(self, submissions: Sequence[Submission]) -> list[Result]:
        """Take or refuse each plan by itself. Safe to repeat.

        Raises:
            PolicyUnverified: Policy could not be asked recently enough; nothing was taken.
        """
        signed = [self._signature_refusal(each) for each in submissions]
        plans = [
            each.plan
            for each, refusal in zip(submissions, signed, strict=True)
            if refusal is None and each.plan is not None
        ]
        now = self.market_clock.now()
        wanted = {policy for plan in plans for policy in plan.policy_version_hashes}
        in_force = await self.policies.check(wanted, at=now)
        verdicts = await self.policies.verdicts(plans, at=now)
        async with self.begin() as ledger:
            await ledger.lock()
            known = await ledger.plans({plan.plan_id for plan in plans})
            prices = await references(
                ledger, {(trade.instrument_id, plan.currency) for plan in plans for trade in plan.trades}
            )
            adds = [
                {} if each.plan is None else usage_of(each.plan, self.venue_id, pairs_needed(each.plan, prices))
                for each in submissions
            ]
            keys = {key for each, refusal in zip(adds, signed, strict=True) if refusal is None for key in each}
            situation = await self._situation(ledger, plans, keys, prices, in_force, verdicts, now)
            taking = _Taking(self, situation, known)
            results: list[Result] = []
            for each, refusal, used in zip(submissions, signed, adds, strict=True):
                results.append(
                    taking.refuse_submission(each, refusal) if refusal is not None else taking.take(each, used)
                )
                if len(taking.orders) >= ORDERS_AT_ONCE:
                    await self._write(ledger, taking)
                await ledger.hand_over()
            await self._write(ledger, taking)
            await ledger.add_usage(self.hours.exchange.date_at(now), taking.used)
        return results

    def _signature_refusal(self, submission: Submission) -> Refusal | None:
        try:
            verify(self.keys, submission.payload, submission.signature)
        except SignatureInvalid as error:
            return Refusal(Reason.PLAN_SIGNATURE_INVALID, error.message)
        if submission.plan is None:
            return Refusal(Reason.TRADE_INVALID, submission.problem)
        return None

    async def _situation(
        self,
        ledger: Ledger,
        plans: Sequence[Plan],
        keys: Collection[LimitKey],
        prices: Mapping[InstrumentId, ReferencePrice],
        in_force: frozenset[PolicyHash],
        verdicts: Mapping[AccountId, PolicyVerdict],
        now: datetime,
    ) -> Situation:
        today = self.hours.exchange.date_at(now)
        return Situation(
            now=now,
            limits=self.limits,
            usage=await ledger.usage(today, keys),
            prices=prices,
            trades_currencies=self.trades_currencies,
            restricted=self.restricted,
            halts=await ledger.halts(),
            in_force=in_force,
            paused={each: found.description for each, found in verdicts.items() if found.paused},
            outdated={each: found.description for each, found in verdicts.items() if not found.paused},
            open_instruments=await ledger.open_instruments({plan.account_id for plan in plans}),
            venue_id=self.venue_id,
            broken=await ledger.broken({plan.account_id for plan in plans}, self.break_grace),
            unpaid={
                account_id: unpaid(moved, today)
                for account_id, moved in (await ledger.unsettled({plan.account_id for plan in plans}, today)).items()
            },
        )

    async def _write(self, ledger: Ledger, taking: "_Taking") -> None:
        """Write down what was taken and refused since the last time."""
        await ledger.add_plans(taking.plans)
        await ledger.add_orders(taking.orders)
        for submission, refusal in taking.unbelieved:
            await ledger.emit(submission_refused(submission.signature.key_id, submission.payload, refusal))
        by_plan: dict[PlanId, list[OrderRecord]] = {}
        for order in taking.orders:
            by_plan.setdefault(order.plan_id, []).append(order)
        await ledger.emit(
            *(
                plan_accepted(record, by_plan[record.plan.plan_id], self.desk)
                if record.accepted
                else plan_refused(record)
                for record in taking.plans
            ),
            *(order_accepted(order) for order in taking.orders),
        )
        taking.written()


class _Taking:
    """Collects what one batch changes, while its plans are checked one after the other."""

    def __init__(self, intake: Intake, situation: Situation, known: Mapping[PlanId, KnownPlan]) -> None:
        self._intake = intake
        self._known = dict(known)
        self._usage = dict(situation.usage)
        self._open = set(situation.open_instruments)
        # Grows with each plan that is taken: the next is checked against what there is then.
        self._situation = replace(situation, usage=self._usage, open_instruments=self._open)
        self.plans: list[PlanRecord] = []
        self.orders: list[OrderRecord] = []
        self.used: dict[LimitKey, Usage] = {}
        self.unbelieved: list[tuple[Submission, Refusal]] = []

    def written(self) -> None:
        """Forget what is on record by now, but for what it adds to the day."""
        self.plans, self.orders, self.unbelieved = [], [], []

    def refuse_submission(self, submission: Submission, refusal: Refusal) -> Result:
        """Refuse what could not be believed; the plan's id is not taken, whoever named it."""
        self.unbelieved.append((submission, refusal))
        return Result("", Status.REFUSED, (refusal,))

    def take(self, submission: Submission, adds: Mapping[LimitKey, Usage]) -> Result:
        """Take or refuse one plan, which adds so much to the day's counts."""
        plan = submission.plan
        if plan is None:
            raise ValueError("a submission without a plan is refused before")
        payload_hash = content_hash(submission.payload)
        known = self._known.get(plan.plan_id)
        if known is not None:
            return _known_result(known, payload_hash)
        refusals = check_plan(plan, self._situation, adds)
        record = PlanRecord(
            plan=plan,
            payload=submission.payload,
            payload_hash=payload_hash,
            signature=submission.signature,
            refusals=refusals,
            trace_parent=self._intake.trace.parent(),
            submit_time=self._intake.clock.now(),
        )
        self._known[plan.plan_id] = KnownPlan(plan.plan_id, payload_hash, refusals)
        self.plans.append(record)
        if refusals:
            return Result(plan.plan_id, Status.REFUSED, refusals)
        for key, more in adds.items():
            self._usage[key] = more.plus(self._usage.get(key))
            self.used[key] = more.plus(self.used.get(key))
        self._open.update((plan.account_id, trade.instrument_id) for trade in plan.trades)
        self.orders.extend(_orders(record, self._intake, self._situation))
        return Result(plan.plan_id, Status.ACCEPTED)


_TIME_IN_FORCE = {
    Algorithm.OPEN_AUCTION: TimeInForce.AT_THE_OPENING,
    Algorithm.CLOSE_AUCTION: TimeInForce.AT_THE_CLOSE,
}


# Thousands of orders share few terms.
_same_terms = lru_cache(maxsize=16_384)(Terms)
_order = maker(OrderRecord)


def _known_result(known: KnownPlan, payload_hash: str) -> Result:
    plan_id = known.plan_id
    if known.payload_hash != payload_hash:
        description = f"plan {plan_id} was submitted before with other content"
        return Result(plan_id, Status.REFUSED, (Refusal(Reason.ORDER_DUPLICATE, description),))
    if known.refusals:
        return Result(plan_id, Status.REFUSED, known.refusals)
    return Result(plan_id, Status.DUPLICATE)


def _reference(situation: Situation, instrument_id: InstrumentId, currency: str) -> ReferencePrice:
    found = price_in(situation.prices, instrument_id, currency)
    if found is None:
        raise ValueError(f"{instrument_id} passed the checks without a reference price in {currency}")
    return found


def _orders(record: PlanRecord, intake: Intake, situation: Situation) -> list[OrderRecord]:
    plan = record.plan
    orders = []
    algorithm = plan.preferences.algorithm
    if algorithm is Algorithm.IMMEDIATE and plan.preferences.participation_limit is not None:
        # As soon as the limit allows.
        algorithm = Algorithm.PARTICIPATION
    time_in_force = _TIME_IN_FORCE.get(algorithm, TimeInForce.DAY)
    for trade in plan.trades:
        limit = limit_price(plan, trade)
        orders.append(
            _order(
                order_id=order_id(plan.plan_id, trade),
                plan_id=plan.plan_id,
                run_id=plan.run_id,
                account_id=plan.account_id,
                # By place: names would be looked up with the values.
                terms=_same_terms(
                    trade.instrument_id,
                    trade.side,
                    plan.preferences.venue_id or intake.venue_id,
                    OrderType.MARKET if limit is None else OrderType.LIMIT,
                    limit,
                    time_in_force,
                    plan.currency,
                    plan.custodian,
                    trade.increment,
                    algorithm,
                    plan.preferences.participation_limit,
                ),
                may_aggregate=plan.preferences.aggregation_consent,
                crossing_client=plan.crossing_client,
                quantity=trade.quantity,
                rank=trade.rank,
                decision_price=trade.price,
                predicted_cost=trade.trading_cost,
                unit_cost_max=unit_cost_max(
                    plan, trade, _reference(situation, trade.instrument_id, plan.currency), intake.limits
                ),
                expire_time=intake.hours.expire_time(situation.now, plan.expire_time, time_in_force),
                create_time=record.submit_time,
                update_time=record.submit_time,
                trace_parent=record.trace_parent,
                released=trade.quantity,
                check_time=record.submit_time,
            )
        )
    return released_at_intake(orders, plan.opening_cash)
