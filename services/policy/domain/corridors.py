"""How far each instrument may be from its target where single lines, groups and models have distances of their own.

The distance of a group bounds the sum of what is inside: those of its instruments are narrowed in proportion until they
sum to no more. So whenever each instrument is within its own, the group is too. An instrument that stands on several
lines counts in full in each group that it is in.
"""

from collections.abc import Callable, Mapping
from decimal import ROUND_DOWN, Context, Decimal
from typing import TypeAlias

from services.kernel.decimals import EXACT
from services.kernel.ids import InstrumentId
from services.policy.domain.document import Bands
from services.policy.domain.mixes import UNBOUNDED, Distance, TargetWeight, instrument_weights

_ZERO, _ONE = Decimal(0), Decimal(1)

Lines: TypeAlias = tuple[TargetWeight, ...]


# Distances that are narrowed are rounded down to this.
DISTANCE_STEP = Decimal("1e-12")


# Shares that are not exact are rounded down, so that they never sum to more than the whole.
_DOWN = Context(prec=200, rounding=ROUND_DOWN)


def corridors(lines: Lines, bands: Bands) -> Mapping[InstrumentId, tuple[Distance, Distance]]:
    """Return the trigger and destination of each instrument for which the lines say one; none if no line does.

    Args:
        lines: A mix without models.
        bands: What holds for lines that say nothing.
    """
    if not any(_says_distance(line) for line in lines):
        return {}
    totals: dict[InstrumentId, Decimal] = {}
    for instrument_id, weight in instrument_weights(lines):
        totals[instrument_id] = EXACT.add(totals.get(instrument_id, _ZERO), weight)
    triggers = _narrowed(lines, totals, bands.trigger, lambda line: line.trigger)
    destinations = _narrowed(lines, totals, bands.destination, lambda line: line.destination)
    return {each: (Distance(triggers.get(each)), Distance(destinations.get(each))) for each in totals}


def _narrowed(
    lines: Lines,
    totals: Mapping[InstrumentId, Decimal],
    otherwise: Distance,
    said: Callable[[TargetWeight], Distance],
) -> dict[InstrumentId, Decimal]:
    """Return each instrument's distance: its own or the general one, narrowed by the groups that it is in."""
    distances = {each: at for each, weight in totals.items() if (at := otherwise.at(weight)) is not None}
    own: dict[InstrumentId, Decimal] = {}
    bounds: list[tuple[Decimal, frozenset[InstrumentId]]] = []
    _collect(lines, _ONE, said, own, bounds)
    distances.update(own)
    for bound, inside in bounds:
        total = _ZERO
        for each in inside & distances.keys():
            total = EXACT.add(total, distances[each])
        if total > bound:
            for each in inside & distances.keys():
                share = _DOWN.divide(EXACT.multiply(distances[each], bound), total)
                distances[each] = _DOWN.quantize(share, DISTANCE_STEP)
    return distances


def _collect(
    lines: Lines,
    of: Decimal,
    said: Callable[[TargetWeight], Distance],
    own: dict[InstrumentId, Decimal],
    bounds: list[tuple[Decimal, frozenset[InstrumentId]]],
) -> frozenset[InstrumentId]:
    """Note what lines say of instruments and of groups, groups inside before those around; return the instruments."""
    inside: set[InstrumentId] = set()
    for line in lines:
        weight = EXACT.multiply(of, line.weight)
        distance = said(line).at(weight)
        if line.instrument_id is not None:
            inside.add(line.instrument_id)
            if distance is not None:
                own[line.instrument_id] = min(distance, own.get(line.instrument_id, distance))
        elif line.group is not None:
            members = _collect(line.group.members, weight, said, own, bounds)
            inside |= members
            if distance is not None:
                bounds.append((distance, members))
    return frozenset(inside)


def _says_distance(line: TargetWeight) -> bool:
    inside = line.group.members if line.group is not None else ()
    return line.trigger != UNBOUNDED or line.destination != UNBOUNDED or any(_says_distance(each) for each in inside)
