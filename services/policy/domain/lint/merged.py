"""Rules that look at merged documents: fields that only together can be wrong.

Every rule takes a document whose single fields are in range, whose restrictions all hold and are of instruments, and
whose mix has no models left in it.
"""

from collections.abc import Callable, Iterator
from decimal import Decimal

from services.kernel.decimals import EXACT, plain
from services.kernel.money import Money
from services.policy.domain.document import FIELDS, Document, OrderKind, RestrictionKind
from services.policy.domain.lint.clients import CLIENT_RULES
from services.policy.domain.lint.finding import Finding, error, warning
from services.policy.domain.lint.lists import LIST_RULES
from services.policy.domain.lint.taxes import TAX_RULES
from services.policy.domain.mixes import UNBOUNDED, Distance, TargetWeight, cash_target, instrument_weights

_ONE = Decimal(1)


def weights_sum_to_one(document: Document) -> Iterator[Finding]:
    """Target weights and cash sum to exactly 1."""
    targets = document.targets
    if not targets.weights:
        return
    total = targets.cash_weight or Decimal(0)
    for line in targets.weights:
        total = EXACT.add(total, line.weight)
    if total != _ONE:
        fields = ("targets.weights", "targets.cash_weight") if targets.cash_weight is not None else ("targets.weights",)
        yield error("WEIGHTS_SUM", fields, f"target weights and cash must sum to exactly 1, sum to {plain(total)}")


def destination_is_within_trigger(document: Document) -> Iterator[Finding]:
    """A trade never has to go farther out than what triggered it."""
    trigger, destination = document.bands.trigger, document.bands.destination
    if not document.targets.weights:
        yield from _like_parts_fit(trigger, destination)
        return
    for target, own_trigger, own_destination in _distances(document.targets.weights):
        outer = (own_trigger if own_trigger != UNBOUNDED else trigger).at(target)
        inner = (own_destination if own_destination != UNBOUNDED else destination).at(target)
        if outer is not None and inner is not None and inner > outer:
            fields = (_deciding("bands.trigger", trigger, target), _deciding("bands.destination", destination, target))
            yield error(
                "DESTINATION_OUTSIDE_TRIGGER",
                fields,
                f"the destination must be at most the trigger; at a target of {plain(target)} the destination is "
                f"{plain(inner)} and the trigger {plain(outer)}",
            )
            return


def cash_fits(document: Document) -> Iterator[Finding]:
    """The target for cash lies between its floor and its ceiling."""
    floor, ceiling, target = document.risk.cash_floor, document.risk.cash_ceiling, document.targets.cash_weight
    if document.targets.weights and (nested := cash_target(document.targets)):
        target = nested
    if floor is not None and ceiling is not None and floor > ceiling:
        yield error(
            "CASH_FLOOR_ABOVE_CEILING",
            ("risk.cash_floor", "risk.cash_ceiling"),
            f"the floor must be at most the ceiling, was {plain(floor)} and {plain(ceiling)}",
        )
        return
    if target is None and document.targets.weights:
        target = Decimal(0)
    if target is not None and floor is not None and target < floor:
        yield error(
            "CASH_TARGET_BELOW_FLOOR",
            ("targets.cash_weight", "risk.cash_floor"),
            f"the target for cash must be at least its floor {plain(floor)}, was {plain(target)}",
        )
    if target is not None and ceiling is not None and target > ceiling:
        yield error(
            "CASH_TARGET_ABOVE_CEILING",
            ("targets.cash_weight", "risk.cash_ceiling"),
            f"the target for cash must be at most its ceiling {plain(ceiling)}, was {plain(target)}",
        )


def targets_fit_limits(document: Document) -> Iterator[Finding]:
    """No target is above the largest weight of an instrument."""
    limit = document.risk.instrument_weight_limit
    if limit is None:
        return
    for instrument, weight in instrument_weights(document.targets.weights):
        if weight > limit:
            yield error(
                "TARGET_ABOVE_LIMIT",
                ("targets.weights", "risk.instrument_weight_limit"),
                f"the target of {instrument} must be at most {plain(limit)}, was {plain(weight)}",
            )


def targets_may_be_held(document: Document) -> Iterator[Finding]:
    """Nothing is wanted that may not be had."""
    kinds: dict[str, set[RestrictionKind]] = {}
    for restriction in document.restrictions.items:
        if restriction.kind is not None:
            kinds.setdefault(restriction.subject, set()).add(restriction.kind)
    fields = ("targets.weights", "restrictions.items")
    for instrument, weight in instrument_weights(document.targets.weights):
        found = kinds.get(instrument, set()) if weight > 0 else set()
        if RestrictionKind.EXCLUDED in found:
            yield error("TARGET_EXCLUDED", fields, f"{instrument} is excluded and has a target of {plain(weight)}")
        elif found - {RestrictionKind.NO_SELL}:
            yield warning(
                "TARGET_NOT_BUYABLE", fields, f"{instrument} may not be bought and has a target of {plain(weight)}"
            )


def restrictions_agree(document: Document) -> Iterator[Finding]:
    """What must be sold may be sold."""
    items = document.restrictions.items
    locked = {r.subject for r in items if r.kind in (RestrictionKind.NO_SELL, RestrictionKind.NO_TRADE)}
    for restriction in items:
        if restriction.kind is RestrictionKind.EXCLUDED and restriction.subject in locked:
            yield error(
                "RESTRICTIONS_CONTRADICT",
                ("restrictions.items",),
                f"{restriction.subject} is excluded, so it must be sold, and may not be sold",
            )


def one_currency(document: Document) -> Iterator[Finding]:
    """All amounts are in the account's currency, so they are all in one."""
    first: tuple[str, Money] | None = None
    for path, value in FIELDS.values(document).items():
        if not isinstance(value, Money):
            continue
        if first is None:
            first = (path, value)
        elif value.currency != first[1].currency:
            yield error(
                "CURRENCIES_DIFFER",
                (first[0], path),
                f"all amounts are in the account's currency, was {first[1].currency} and {value.currency}",
            )


def orders_can_be_sent(document: Document) -> Iterator[Finding]:
    """A limit order needs its distance, and a market order ignores it."""
    kind, distance = document.execution.order_kind, document.execution.limit_distance_bps
    if kind is OrderKind.LIMIT and distance is None:
        yield error(
            "LIMIT_DISTANCE_MISSING",
            ("execution.order_kind", "execution.limit_distance_bps"),
            "a limit order needs limit_distance_bps, it is not set here or above",
        )
    if kind is OrderKind.MARKET and distance is not None:
        yield warning(
            "LIMIT_DISTANCE_UNUSED",
            ("execution.order_kind", "execution.limit_distance_bps"),
            f"a market order ignores limit_distance_bps, was {plain(distance)}",
        )


def trades_are_possible(document: Document) -> Iterator[Finding]:
    """Limits leave room for a trade."""
    minimum, daily = document.bands.minimum_trade, document.safety.daily_value_limit
    if minimum is None or daily is None or minimum.currency != daily.currency:
        pass
    elif minimum.amount > daily.amount:
        yield error(
            "MINIMUM_TRADE_ABOVE_DAILY_LIMIT",
            ("bands.minimum_trade", "safety.daily_value_limit"),
            f"the smallest trade must be at most the day's limit {plain(daily.amount)}, was {plain(minimum.amount)}",
        )
    if document.safety.daily_orders_limit == 0:
        yield warning("NO_ORDERS_ALLOWED", ("safety.daily_orders_limit",), "with no order a day nothing is traded")
    if document.cost.turnover_limit == 0:
        yield warning("NO_TURNOVER_ALLOWED", ("cost.turnover_limit",), "with a limit of 0 nothing is traded")


def positions_are_possible(document: Document) -> Iterator[Finding]:
    """The mix has no more names than may be held, and none that is too small to be held."""
    weights = [(instrument, weight) for instrument, weight in instrument_weights(document.targets.weights) if weight]
    names, most = len({instrument for instrument, _ in weights}), document.risk.names_limit
    if most is not None and names > most:
        yield warning(
            "MORE_TARGETS_THAN_NAMES",
            ("targets.weights", "risk.names_limit"),
            f"the mix has {names} instruments, and at most {most} may be held",
        )
    account, least = document.targets.account_minimum, document.bands.minimum_position
    if account is None or least is None or account.currency != least.currency:
        return
    for instrument, weight in weights:
        worth = EXACT.multiply(weight, account.amount)
        if worth < least.amount:
            yield warning(
                "TARGET_BELOW_MINIMUM_POSITION",
                ("targets.weights", "targets.account_minimum", "bands.minimum_position"),
                f"in an account of {account} the target of {instrument} is worth {plain(worth)}, less than the "
                f"{plain(least.amount)} that a position must be",
            )


def bands_are_tradable(document: Document) -> Iterator[Finding]:
    """In the smallest account that the mix is for, being out of band is worth a trade."""
    account, minimum = document.targets.account_minimum, document.bands.minimum_trade
    if account is None or minimum is None or account.currency != minimum.currency:
        return
    for instrument, weight in instrument_weights(document.targets.weights):
        worth = EXACT.multiply(weight, account.amount)
        if 0 < worth < minimum.amount:
            yield warning(
                "TARGET_BELOW_MINIMUM_TRADE",
                ("targets.weights", "targets.account_minimum", "bands.minimum_trade"),
                f"in an account of {account} the target of {instrument} is worth {plain(worth)}, less than a trade",
            )
    for target, own_trigger, _ in _distances(document.targets.weights):
        general = document.bands.trigger
        distance = (own_trigger if own_trigger != UNBOUNDED else general).at(target)
        if distance is None or target == 0:
            continue
        worth = EXACT.multiply(distance, account.amount)
        if worth < minimum.amount:
            yield error(
                "BAND_BELOW_MINIMUM_TRADE",
                (_deciding("bands.trigger", general, target), "bands.minimum_trade", "targets.account_minimum"),
                f"in an account of {account} the band around {plain(target)} is worth {plain(worth)}, less than the "
                f"smallest trade of {plain(minimum.amount)}",
            )
            return


def factor_limits_fit(document: Document) -> Iterator[Finding]:
    """A factor's least exposure is at most its most, and one of both is said."""
    for limit in document.risk.factor_limits:
        if limit.minimum is None and limit.maximum is None:
            yield error("FACTOR_UNLIMITED", ("risk.factor_limits",), f"{limit.name} must have a least or a most")
        elif limit.minimum is not None and limit.maximum is not None and limit.minimum > limit.maximum:
            yield error(
                "FACTOR_FLOOR_ABOVE_CEILING",
                ("risk.factor_limits",),
                f"the least exposure to {limit.name} must be at most its most, was {plain(limit.minimum)} and "
                f"{plain(limit.maximum)}",
            )


def stresses_leave_the_mix(document: Document) -> Iterator[Finding]:
    """The target mix itself loses no more in a stress than the portfolio may; judged where each price is spoken of."""
    targets = list(instrument_weights(document.targets.weights))
    for limit in document.risk.stress_limits:
        moves = {move.instrument_id: move.change for move in limit.moves if move.instrument_id is not None}
        of_classes = any(move.asset_class is not None for move in limit.moves)
        unknown = sorted({each for each, weight in targets if weight > 0} - moves.keys())
        if unknown and not of_classes:
            yield warning(
                "STRESS_WITHOUT_MOVE",
                ("risk.stress_limits", "targets.weights"),
                f"{limit.name} says nothing about {unknown[0]}, whose price then stays as it is",
            )
        if unknown or not targets:
            # Policy does not know of which class an instrument is.
            continue
        loss = -sum((EXACT.multiply(weight, moves[each]) for each, weight in targets if weight > 0), Decimal(0))
        if loss > limit.loss_limit:
            yield error(
                "STRESS_BEYOND_LIMIT",
                ("risk.stress_limits", "targets.weights"),
                f"the target mix loses {plain(loss)} in {limit.name}, and may lose at most {plain(limit.loss_limit)}",
            )


def class_limits_fit(document: Document) -> Iterator[Finding]:
    """Asset classes can have their least weights, each and together."""
    total = Decimal(0)
    for limit in document.risk.class_limits:
        total = EXACT.add(total, limit.minimum or Decimal(0))
        if limit.minimum is not None and limit.maximum is not None and limit.minimum > limit.maximum:
            yield error(
                "CLASS_FLOOR_ABOVE_CEILING",
                ("risk.class_limits",),
                f"the least weight of {limit.asset_class} must be at most its most, was {plain(limit.minimum)} and "
                f"{plain(limit.maximum)}",
            )
    total = EXACT.add(total, document.risk.cash_floor or Decimal(0))
    if total > _ONE and document.risk.class_limits:
        with_cash = ("risk.cash_floor",) if document.risk.cash_floor is not None else ()
        yield error(
            "FLOORS_EXCEED_ONE",
            ("risk.class_limits", *with_cash),
            f"the least weights of asset classes and cash must sum to at most 1, sum to {plain(total)}",
        )


def something_triggers(document: Document) -> Iterator[Finding]:
    """Some trigger makes the platform look."""
    triggers = document.triggers
    if triggers.drift is False and triggers.cash_drift is None and triggers.calendar_days is None:
        yield warning(
            "NOTHING_TRIGGERS", ("triggers.drift",), "no trigger is on; accounts are looked at only on request"
        )


def reviews_can_happen(document: Document) -> Iterator[Finding]:
    """A threshold for review is below the hard limit."""
    review, limit = document.safety.review_turnover, document.cost.turnover_limit
    if review is not None and limit is not None and review > limit:
        yield warning(
            "REVIEW_NEVER_HAPPENS",
            ("safety.review_turnover", "cost.turnover_limit"),
            f"no plan has more turnover than {plain(limit)}, so a review above {plain(review)} never happens",
        )


def plans_stay_fresh(document: Document) -> Iterator[Finding]:
    """A plan does not outlive its prices."""
    life, age = document.data.plan_life_s, document.data.price_age_max_s
    if life is not None and age is not None and life > age:
        yield warning(
            "PLAN_OUTLIVES_PRICES",
            ("data.plan_life_s", "data.price_age_max_s"),
            f"a plan of {life} s outlives its prices, which are too old after {age} s",
        )


MERGED_RULES: tuple[Callable[[Document], Iterator[Finding]], ...] = (
    bands_are_tradable,
    positions_are_possible,
    class_limits_fit,
    factor_limits_fit,
    stresses_leave_the_mix,
    weights_sum_to_one,
    destination_is_within_trigger,
    cash_fits,
    targets_fit_limits,
    targets_may_be_held,
    restrictions_agree,
    one_currency,
    orders_can_be_sent,
    trades_are_possible,
    something_triggers,
    reviews_can_happen,
    plans_stay_fresh,
    *LIST_RULES,
    *CLIENT_RULES,
    *TAX_RULES,
)


def _distances(lines: tuple[TargetWeight, ...]) -> list[tuple[Decimal, Distance, Distance]]:
    """Return the different targets of instruments with the distances that their lines say, by target."""
    found = {(line.weight, line.trigger, line.destination) for line in lines if line.instrument_id is not None}
    if any(line.group is not None for line in lines):
        found |= {(weight, UNBOUNDED, UNBOUNDED) for _, weight in instrument_weights(lines)}
    return sorted(found, key=lambda each: (each[0], str(each)))


def _like_parts_fit(trigger: Distance, destination: Distance) -> Iterator[Finding]:
    """Compare distances for which no target is known yet: part by part, if both have the same parts."""
    for part in ("absolute", "relative"):
        outer, inner = getattr(trigger, part), getattr(destination, part)
        if (outer is None) != (inner is None):
            return
    for part in ("absolute", "relative"):
        outer, inner = getattr(trigger, part), getattr(destination, part)
        if outer is not None and inner > outer:
            yield error(
                "DESTINATION_OUTSIDE_TRIGGER",
                (f"bands.trigger.{part}", f"bands.destination.{part}"),
                f"the destination must be at most the trigger, was {plain(inner)} and {plain(outer)}",
            )


def _deciding(section: str, distance: Distance, target: Decimal) -> str:
    """Return the path of the part that decides `distance` at `target`."""
    if distance.relative is not None and EXACT.multiply(distance.relative, target) == distance.at(target):
        return f"{section}.relative"
    return f"{section}.absolute"
