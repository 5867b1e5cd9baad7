"""Which instruments count together: for wash sales, and under limits of issuers and asset classes."""

from collections.abc import Iterable, Iterator, Mapping
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_UP, Decimal

from services.decision.domain.instruments import Instrument
from services.decision.domain.policy import Policy
from services.decision.domain.problem import ONE, ZERO, AccountProblem, GroupLimit, LimitKind
from services.kernel.ids import InstrumentId

# Weights that are not exact (scaled, or a remainder) are rounded to this.
WEIGHT_STEP = Decimal("1e-12")


def identity_sets(
    concerned: Iterable[InstrumentId],
    instruments: Mapping[InstrumentId, Instrument],
    identical: tuple[frozenset[InstrumentId], ...],
) -> Mapping[InstrumentId, str]:
    """Return the set of substantially identical instruments of each that is known: the book's, joined by the policy's.

    What is identical to the same is identical, so sets that meet are one, named by the first of their names.
    """
    asked = {*concerned, *(each for equal in identical for each in equal)}
    names = {each: instruments[each].identity_set for each in asked if each in instruments}
    for equal in identical:
        joined = {names.get(each, each) for each in equal}
        first = min(joined)
        names.update({each: first for each, name in names.items() if name in joined})
        names.update(dict.fromkeys(equal, first))
    return names


def group_limits(
    problem: AccountProblem, policy: Policy, instruments: Mapping[InstrumentId, Instrument]
) -> Iterator[GroupLimit]:
    """Yield the limits of issuers and asset classes; what the market took beyond one is not made worse, nor forced."""
    issuers: dict[str, list[InstrumentId]] = {}
    classes: dict[str, list[InstrumentId]] = {}
    for holding in problem.holdings:
        instrument = instruments[holding.instrument_id]
        # Of whom no issuer is known counts alone.
        issuers.setdefault(instrument.issuer or holding.instrument_id, []).append(holding.instrument_id)
        classes.setdefault(instrument.asset_class, []).append(holding.instrument_id)
    held = {holding.instrument_id: holding.mix_value / problem.mix_value for holding in problem.holdings}
    if policy.issuer_weight_limit is not None:
        for issuer, members in sorted(issuers.items()):
            now = sum((held[each] for each in members), ZERO).quantize(WEIGHT_STEP, ROUND_UP)
            most = min(ONE, max(policy.issuer_weight_limit, now))
            yield GroupLimit(f"issuer:{issuer}", tuple(members), weight_max=most)
    for limit in policy.class_limits:
        members = classes.get(limit.asset_class, [])
        if members:
            now = sum((held[each] for each in members), ZERO)
            least = max(ZERO, min(limit.minimum, now.quantize(WEIGHT_STEP, ROUND_DOWN)))
            most = min(ONE, max(limit.maximum, now.quantize(WEIGHT_STEP, ROUND_UP)))
            yield GroupLimit(f"class:{limit.asset_class}", tuple(members), weight_min=least, weight_max=most)


def factor_limits(
    problem: AccountProblem, policy: Policy, instruments: Mapping[InstrumentId, Instrument]
) -> Iterator[GroupLimit]:
    """Yield the limits of factors, stresses and leverage, in the same sense; those that nothing here touches not."""
    value = problem.mix_value
    names = tuple(holding.instrument_id for holding in problem.holdings)
    held = {holding.instrument_id: holding.mix_value / value for holding in problem.holdings}
    for limit in policy.factor_limits:
        members = tuple(each for each in names if limit.exposures.get(each, ZERO) != 0)
        if not members:
            continue
        exposures = tuple(limit.exposures[each] for each in members)
        now = sum((limit.exposures[each] * held[each] for each in members), ZERO)
        # Farther than any portfolio of these can be: what has no bound is never bound.
        far = 2 * sum((abs(each) for each in exposures), abs(now))
        least = -far if limit.minimum is None else min(limit.minimum, now.quantize(WEIGHT_STEP, ROUND_FLOOR))
        most = far if limit.maximum is None else max(limit.maximum, now.quantize(WEIGHT_STEP, ROUND_CEILING))
        yield GroupLimit(limit.name, members, least, most, LimitKind.FACTOR, exposures)
    yield from _stress_limits(problem, policy, instruments)
    if policy.leverage_limit is not None and names:
        most = max(policy.leverage_limit, sum(held.values(), ZERO).quantize(WEIGHT_STEP, ROUND_CEILING))
        yield GroupLimit("leverage", names, ZERO, most, LimitKind.LEVERAGE)


def _stress_limits(
    problem: AccountProblem, policy: Policy, instruments: Mapping[InstrumentId, Instrument]
) -> Iterator[GroupLimit]:
    held = {holding.instrument_id: holding.mix_value / problem.mix_value for holding in problem.holdings}
    for limit in policy.stress_limits:
        losses = {each: limit.loss(each, instruments[each].asset_class) for each in held}
        losses = {each: loss for each, loss in losses.items() if loss != 0}
        if not losses:
            continue
        now = sum((loss * held[each] for each, loss in losses.items()), ZERO)
        # Farther than any portfolio of these can gain: a gain has no bound.
        far = 2 * sum(map(abs, losses.values()), abs(now))
        most = max(limit.loss_limit, now.quantize(WEIGHT_STEP, ROUND_CEILING))
        yield GroupLimit(limit.name, tuple(losses), -far, most, LimitKind.STRESS, tuple(losses.values()))
