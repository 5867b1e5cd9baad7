"""What may not leave, whoever signed it.

Execution does not trust decision: it checks every plan against its own prices, limits and lists before an order exists
(in kind, SEC rule 15c3-5). A plan is taken whole or refused whole, and a refusal names every reason, each with the
value and the limit, so that one look tells what to fix. There is no way around these checks.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from services.execution.domain.changed import maker
from services.execution.domain.currencies import pair_for, pairs_between, price_in
from services.execution.domain.limits import DayLimit, LimitKey, Limits, Usage, usage_of
from services.execution.domain.payment import Unpaid, sellable
from services.execution.domain.plan import Plan, Trade, limit_price
from services.execution.domain.trading_state import Halt, Scope, ScopeKind, may_leave, scopes, strictest
from services.execution.domain.words import Algorithm, ReferencePrice, Side
from services.kernel.ids import AccountId, InstrumentId, PolicyHash, VenueId

ZERO = Decimal(0)
BPS = Decimal(10_000)


class Reason(StrEnum):
    """Why a plan is refused: values of `evenkeel.common.v1.ErrorReason`."""

    PLAN_SIGNATURE_INVALID = "PLAN_SIGNATURE_INVALID"
    PLAN_EXPIRED = "PLAN_EXPIRED"
    PLAN_POLICY_NOT_IN_FORCE = "PLAN_POLICY_NOT_IN_FORCE"
    LIMIT_EXCEEDED = "LIMIT_EXCEEDED"
    PRICE_OUTSIDE_COLLAR = "PRICE_OUTSIDE_COLLAR"
    REFERENCE_STALE = "REFERENCE_STALE"
    INSTRUMENT_RESTRICTED = "INSTRUMENT_RESTRICTED"
    TRADING_HALTED = "TRADING_HALTED"
    ORDER_DUPLICATE = "ORDER_DUPLICATE"
    TRADE_INVALID = "TRADE_INVALID"
    CASH_INSUFFICIENT = "CASH_INSUFFICIENT"
    BREAK_OPEN = "BREAK_OPEN"
    PROCEEDS_UNSETTLED = "PROCEEDS_UNSETTLED"


@dataclass(frozen=True, slots=True)
class Refusal:
    """One thing that is wrong with a plan: the value and its limit; the instrument unless it is the whole plan."""

    reason: Reason
    description: str
    instrument_id: InstrumentId | None = None


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything beside the plan that the checks look at, at one instant.

    `in_force`: those of the plan's policy versions that policy says are in force. `paused`, `outdated`: accounts whose
    rules pause trading, or are others by now, and what policy says about it. `open_instruments`: what accounts
    have open orders in, or had the same order in a moment ago. `venue_id`: where the plan's orders would go. `broken`:
    in what accounts have open breaks with a venue or custodian; None for their cash. `unpaid`: what accounts bought
    with money that has not settled. `trades_currencies`: whether the venue turns one currency into another.
    """

    now: datetime
    limits: Limits
    usage: Mapping[LimitKey, Usage]
    prices: Mapping[InstrumentId, ReferencePrice]
    restricted: frozenset[InstrumentId]
    halts: Mapping[Scope, Halt]
    in_force: frozenset[PolicyHash]
    paused: Mapping[AccountId, str]
    outdated: Mapping[AccountId, str]
    open_instruments: Collection[tuple[AccountId, InstrumentId]]
    venue_id: VenueId
    broken: frozenset[tuple[AccountId, InstrumentId | None]] = frozenset()
    unpaid: Mapping[AccountId, Mapping[InstrumentId, Unpaid]] = field(default_factory=dict)
    trades_currencies: bool = True


def check_plan(plan: Plan, situation: Situation, adds: Mapping[LimitKey, Usage] | None = None) -> tuple[Refusal, ...]:
    """Return everything that forbids `plan`, in the order of its trades; empty when it may be taken.

    `adds` is what `usage_of` says of the plan, where it is known already.
    """
    if adds is None:
        adds = usage_of(plan, situation.venue_id, pairs_needed(plan, situation.prices))
    return tuple(_refusals(plan, situation, adds))


def pairs_needed(plan: Plan, prices: Mapping[InstrumentId, ReferencePrice]) -> dict[InstrumentId, InstrumentId]:
    """Return the pairs that turn the money of a plan's trades abroad, by instrument; without those not known."""
    return {
        trade.instrument_id: pair
        for trade in plan.trades
        if (pair := pair_for(trade.instrument_id, plan.currency, prices)) is not None
    }


@dataclass(frozen=True, slots=True)
class Leaving:
    """An order that was taken and is about to leave: what the checks look at once more.

    `price` is what decision reckoned with; `limit_price` None for a market order.
    """

    account_id: AccountId
    instrument_id: InstrumentId
    side: Side
    price: Decimal
    limit_price: Decimal | None
    currency: str
    expire_time: datetime
    policy_version_hashes: tuple[PolicyHash, ...]


_leaving_order = maker(Leaving)


def check_leaving(order: Leaving, situation: Situation) -> tuple[Refusal, ...]:
    """Return everything that forbids an order to leave now, though it was taken; empty when it may go.

    What its plan was checked for and time cannot change is not looked at again: signature, sizes, counts of the day.
    """
    return tuple(_refusals_of_leaving(order, situation))


def unit_cost_max(plan: Plan, trade: Trade, reference: ReferencePrice, limits: Limits) -> Decimal:
    """Return the most one unit of a buy should cost, fees included, for setting money aside; in the plan's currency."""
    return unit_cost_at(limit_price(plan, trade), reference, limits.cost_buffer_bps)


def unit_cost_at(limit: Decimal | None, reference: ReferencePrice, buffer_bps: Decimal) -> Decimal:
    """Return the most one unit should cost with this limit, or by this reference when there is none."""
    price = reference.price if limit is None else limit
    return price * (BPS + buffer_bps) / BPS


def _refusals_of_leaving(order: Leaving, situation: Situation) -> Iterator[Refusal]:
    yield from _authority(order, situation)
    if not order.policy_version_hashes:
        yield Refusal(Reason.PLAN_POLICY_NOT_IN_FORCE, "the plan names no policy version")
    yield from _price(order, situation)
    yield from _restricted(order.instrument_id, situation)
    yield from _broken(order, situation)
    yield from _halted(order, situation)
    yield from _unturnable(order, situation)


def _authority(asking: Plan | Leaving, situation: Situation) -> Iterator[Refusal]:
    """What a plan rests on: it must be of now, and its rules in force and not paused."""
    if asking.expire_time <= situation.now:
        description = f"expire_time {asking.expire_time.isoformat()} has passed, it is {situation.now.isoformat()}"
        yield Refusal(Reason.PLAN_EXPIRED, description)
    for policy_hash in asking.policy_version_hashes:
        if policy_hash not in situation.in_force:
            yield Refusal(Reason.PLAN_POLICY_NOT_IN_FORCE, f"policy version {policy_hash} is not in force")
    if asking.account_id in situation.paused:
        yield Refusal(Reason.TRADING_HALTED, situation.paused[asking.account_id])
    if asking.account_id in situation.outdated:
        yield Refusal(Reason.PLAN_POLICY_NOT_IN_FORCE, situation.outdated[asking.account_id])


def _refusals(plan: Plan, situation: Situation, adds: Mapping[LimitKey, Usage]) -> Iterator[Refusal]:
    limits = situation.limits
    yield from _authority(plan, situation)
    if not 1 <= len(plan.trades) <= limits.trades_per_plan_max:
        description = f"a plan has 1 to {limits.trades_per_plan_max} trades, was {len(plan.trades)}"
        yield Refusal(Reason.TRADE_INVALID, description)
    if plan.preferences.venue_id not in (None, situation.venue_id):
        description = f"venue_id must be {situation.venue_id} or empty, was {plan.preferences.venue_id}"
        yield Refusal(Reason.TRADE_INVALID, description)
    limit = plan.preferences.participation_limit
    if limit is not None and not 0 < limit < 1:
        description = f"participation_limit must be above 0 and below 1, was {limit}"
        yield Refusal(Reason.TRADE_INVALID, description)
    if limit is None and plan.preferences.algorithm is Algorithm.PARTICIPATION:
        description = "a schedule by participation needs a participation_limit, was absent"
        yield Refusal(Reason.TRADE_INVALID, description)
    yield from _twice(plan)
    for trade in plan.trades:
        if trade.quantity <= 0 or trade.price <= 0 or trade.increment <= 0 or trade.held_quantity < 0:
            yield Refusal(Reason.TRADE_INVALID, _not_positive(trade), trade.instrument_id)
            continue
        yield from _shape(trade)
        yield from _order_limits(trade, limits)
        leaving = _leaving(plan, trade)
        yield from _price(leaving, situation)
        yield from _restricted(trade.instrument_id, situation)
        yield from _broken(leaving, situation)
        yield from _not_paid(plan, trade, situation)
        if (plan.account_id, trade.instrument_id) in situation.open_instruments:
            description = f"{plan.account_id} has another order in {trade.instrument_id} that is open or just as large"
            yield Refusal(Reason.ORDER_DUPLICATE, description, trade.instrument_id)
        yield from _halted(leaving, situation)
        yield from _unturnable(leaving, situation)
    yield from _day_limits(adds, situation)
    yield from _cash(plan)


def _twice(plan: Plan) -> Iterator[Refusal]:
    """A plan trades an instrument once: twice is a mistake, both ways is a wash trade."""
    seen: set[InstrumentId] = set()
    for trade in plan.trades:
        if trade.instrument_id in seen:
            description = f"{trade.instrument_id} is traded more than once in the plan"
            yield Refusal(Reason.ORDER_DUPLICATE, description, trade.instrument_id)
        seen.add(trade.instrument_id)


def _not_positive(trade: Trade) -> str:
    return (
        f"quantity, price and quantity_increment must be above 0 and held_quantity at least 0, were {trade.quantity},"
        f" {trade.price}, {trade.increment} and {trade.held_quantity}"
    )


def _shape(trade: Trade) -> Iterator[Refusal]:
    if trade.quantity % trade.increment:
        description = f"quantity must be a whole number of increments of {trade.increment}, was {trade.quantity}"
        yield Refusal(Reason.TRADE_INVALID, description, trade.instrument_id)
    # Nothing is sold short: a sell takes what was held, and no more.
    if trade.side is Side.SELL and trade.quantity > trade.held_quantity:
        description = f"quantity to sell must be at most the {trade.held_quantity} held, was {trade.quantity}"
        yield Refusal(Reason.TRADE_INVALID, description, trade.instrument_id)


def _order_limits(trade: Trade, limits: Limits) -> Iterator[Refusal]:
    if trade.quantity > limits.order_quantity_max:
        description = f"quantity of an order must be at most {limits.order_quantity_max}, was {trade.quantity}"
        yield Refusal(Reason.LIMIT_EXCEEDED, description, trade.instrument_id)
    if trade.amount > limits.order_amount_max:
        description = f"value of an order must be at most {limits.order_amount_max}, was {trade.amount}"
        yield Refusal(Reason.LIMIT_EXCEEDED, description, trade.instrument_id)


def _leaving(plan: Plan, trade: Trade) -> Leaving:
    return _leaving_order(
        account_id=plan.account_id,
        instrument_id=trade.instrument_id,
        side=trade.side,
        price=trade.price,
        limit_price=limit_price(plan, trade),
        currency=plan.currency,
        expire_time=plan.expire_time,
        policy_version_hashes=plan.policy_version_hashes,
    )


def _price(order: Leaving, situation: Situation) -> Iterator[Refusal]:
    known = situation.prices.get(order.instrument_id)
    if known is None:
        description = f"no reference price is known for {order.instrument_id}"
        yield Refusal(Reason.REFERENCE_STALE, description, order.instrument_id)
        return
    if known.currency != order.currency and not situation.trades_currencies:
        description = (
            f"the reference price is in {known.currency}, the plan in {order.currency}, and {situation.venue_id} trades"
            " no currencies"
        )
        yield Refusal(Reason.TRADE_INVALID, description, order.instrument_id)
        return
    reference = price_in(situation.prices, order.instrument_id, order.currency)
    if reference is None:
        description = (
            f"the reference price is in {known.currency}, the plan in {order.currency}, and no price is known for"
            f" {' or '.join(pairs_between(known.currency, order.currency))}"
        )
        yield Refusal(Reason.REFERENCE_STALE, description, order.instrument_id)
        return
    age, age_max = situation.now - reference.as_of_time, situation.limits.price_age_max
    if age > age_max:
        description = (
            f"the reference price must be at most {age_max.total_seconds():.0f} s old, was {age.total_seconds():.0f} s"
        )
        yield Refusal(Reason.REFERENCE_STALE, description, order.instrument_id)
        return
    collar = reference.price * situation.limits.collar_bps / BPS
    if abs(order.price - reference.price) > collar:
        description = f"price must be within {collar} of the reference {reference.price}, was {order.price}"
        yield Refusal(Reason.PRICE_OUTSIDE_COLLAR, description, order.instrument_id)
    # A limit on the cheap side only waits; on the other it could pay anything.
    limit = order.limit_price
    if limit is not None and limit <= 0:
        description = f"limit must be above 0 in whole cents, was {limit}"
        yield Refusal(Reason.TRADE_INVALID, description, order.instrument_id)
    reckless = limit is not None and (
        limit > reference.price + collar if order.side is Side.BUY else limit < reference.price - collar
    )
    if reckless:
        description = f"limit must be within {collar} of the reference {reference.price}, was {limit}"
        yield Refusal(Reason.PRICE_OUTSIDE_COLLAR, description, order.instrument_id)


def _unturnable(order: Leaving, situation: Situation) -> Iterator[Refusal]:
    """What is traded in another currency must be turned by its pair: nothing is filled that could not be paid."""
    pair = pair_for(order.instrument_id, order.currency, situation.prices)
    if pair is None:
        return
    if pair in situation.restricted:
        description = f"{pair}, by which it is turned into {order.currency}, is on the restricted list"
        yield Refusal(Reason.INSTRUMENT_RESTRICTED, description, order.instrument_id)
    halt = situation.halts.get(Scope(ScopeKind.INSTRUMENT, pair))
    if halt is not None and not may_leave(halt, order.side):
        description = (
            f"trading is {halt.state} for {pair}, by which it is turned into {order.currency}, since"
            f" {halt.halt_time.isoformat()}: {halt.why}"
        )
        yield Refusal(Reason.TRADING_HALTED, description, order.instrument_id)


def _restricted(instrument_id: InstrumentId, situation: Situation) -> Iterator[Refusal]:
    if instrument_id in situation.restricted:
        description = f"{instrument_id} is on the restricted list"
        yield Refusal(Reason.INSTRUMENT_RESTRICTED, description, instrument_id)


def _broken(order: Leaving, situation: Situation) -> Iterator[Refusal]:
    """What is in dispute is not traded until it is settled: that instrument of that account, or buys with its cash."""
    if (order.account_id, order.instrument_id) in situation.broken:
        description = f"{order.account_id} has an open break in {order.instrument_id}"
        yield Refusal(Reason.BREAK_OPEN, description, order.instrument_id)
    if order.side is Side.BUY and (order.account_id, None) in situation.broken:
        description = f"{order.account_id} has an open break in its cash"
        yield Refusal(Reason.BREAK_OPEN, description, order.instrument_id)


def _halted(order: Leaving, situation: Situation) -> Iterator[Refusal]:
    if not situation.halts:
        return
    covering = scopes(venue_id=situation.venue_id, instrument_id=order.instrument_id, account_id=order.account_id)
    halt = strictest(situation.halts, covering)
    if halt is not None and not may_leave(halt, order.side):
        where = f"{halt.scope.kind} {halt.scope.subject_id}".strip()
        description = f"trading is {halt.state} for {where} since {halt.halt_time.isoformat()}: {halt.why}"
        yield Refusal(Reason.TRADING_HALTED, description, order.instrument_id)


def _not_paid(plan: Plan, trade: Trade, situation: Situation) -> Iterator[Refusal]:
    """What was bought with proceeds that have not settled is not sold before they do: 12 CFR 220.8."""
    not_paid = situation.unpaid.get(plan.account_id, {})
    if trade.side is Side.BUY or trade.quantity <= sellable(trade.held_quantity, trade.instrument_id, not_paid):
        return
    waiting = not_paid.get(trade.instrument_id)
    if waiting is None:
        # More than is held: said by another check.
        return
    description = (
        f"quantity to sell must be at most the {sellable(trade.held_quantity, trade.instrument_id, not_paid)} of"
        f" {trade.held_quantity} that are paid for before {waiting.until.isoformat()}, was {trade.quantity}"
    )
    yield Refusal(Reason.PROCEEDS_UNSETTLED, description, trade.instrument_id)


def _day_limits(adds: Mapping[LimitKey, Usage], situation: Situation) -> Iterator[Refusal]:
    days = ((key, more.plus(situation.usage.get(key))) for key, more in adds.items())
    # Nearly always none is: only those that are told are put in order.
    passed = [(key, day) for key, day in days if _passed(situation.limits.days[key.kind], day)]
    for key, day in sorted(passed):
        limit = situation.limits.days[key.kind]
        what = f"{key.kind} {key.subject_id}".strip()
        if day.orders > limit.orders_max:
            description = f"orders of a day for {what} must be at most {limit.orders_max}, would be {day.orders}"
            yield Refusal(Reason.LIMIT_EXCEEDED, description)
        if day.amount > limit.amount_max:
            description = f"value of a day for {what} must be at most {limit.amount_max}, would be {day.amount}"
            yield Refusal(Reason.LIMIT_EXCEEDED, description)
        if limit.turnover_max is not None and day.turnover > limit.turnover_max:
            description = f"turnover of a day for {what} must be at most {limit.turnover_max}, would be {day.turnover}"
            yield Refusal(Reason.LIMIT_EXCEEDED, description)


def _passed(limit: DayLimit, day: Usage) -> bool:
    """Return whether a day would have more than a limit allows."""
    if day.orders > limit.orders_max or day.amount > limit.amount_max:
        return True
    return limit.turnover_max is not None and day.turnover > limit.turnover_max


def _cash(plan: Plan) -> Iterator[Refusal]:
    """Buys must be covered by cash and by what the sells should bring; else decision made a mistake."""
    if plan.available_cash < 0:
        description = f"available_cash must be at least 0, was {plan.available_cash}"
        yield Refusal(Reason.CASH_INSUFFICIENT, description)
        return
    if plan.cash_shortfall < 0 or (plan.cash_shortfall > 0 and plan.available_cash > 0):
        limit = "0" if plan.available_cash > 0 else "at least 0"
        yield Refusal(Reason.CASH_INSUFFICIENT, f"cash_shortfall must be {limit}, was {plan.cash_shortfall}")
        return
    sells = sum((trade.amount for trade in plan.trades if trade.side is Side.SELL), ZERO)
    buys = sum((trade.amount for trade in plan.trades if trade.side is Side.BUY), ZERO)
    covered = max(plan.opening_cash + sells, ZERO)
    if buys > covered:
        description = f"value of the buys must be at most the {covered} of cash and sells, was {buys}"
        yield Refusal(Reason.CASH_INSUFFICIENT, description)
