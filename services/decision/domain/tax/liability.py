"""What a year owes as a function of its net short-term and long-term gain, in a form that an optimiser can use.

Losses meet gains, a yearly cap ends what a loss saves, an allowance makes the first gains free: what one more unit of
gain costs depends on all the others. Such a function is piecewise linear, and seldom convex: beside a short-term gain a
long-term loss saves the short-term rate, while a long-term gain costs only its own. But it is the least of a few
functions that *are* convex, each a slope and some *hinges*:

    liability(x, y) = min over pieces k of  c_k + s_k x + l_k y + Σ_h rate_h · max(0, a_h x + b_h y − above_h)

with x and y the year's net short-term and long-term gain in currency, and rates of hinges positive. So the best plan is
the best of the pieces' best plans, each of which a convex solver finds and proves. Everything here is exact.

Where the law knows no terms, every gain is long-term.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from itertools import combinations, pairwise

from services.decision.domain.problem import ONE, ZERO
from services.kernel.money import CENT

# Rates that are averages of rates are told to nine places.
RATE_UNIT = Decimal("1e-9")


@dataclass(frozen=True, slots=True)
class Hinge:
    """`rate` · max(0, `short` · x + `long` · y − `above`): the rate is positive, weights are 0 or 1."""

    rate: Decimal
    short: Decimal
    long: Decimal
    above: Decimal

    def over(self, short: Decimal, long: Decimal) -> Decimal:
        """Return how far gains are above the corner; negative below it."""
        return self.short * short + self.long * long - self.above


@dataclass(frozen=True, slots=True)
class Piece:
    """A convex function that the liability is nowhere above: `constant` + slopes · gains + hinges."""

    short: Decimal
    long: Decimal
    hinges: tuple[Hinge, ...] = ()
    constant: Decimal = ZERO

    def at(self, short: Decimal, long: Decimal) -> Decimal:
        """Return its value at net gains."""
        bent = (each.rate * max(each.over(short, long), ZERO) for each in self.hinges)
        return self.constant + self.short * short + self.long * long + sum(bent, ZERO)

    def moved(self, short: Decimal, long: Decimal) -> "Piece":
        """Return the same function of gains on top of those given."""
        return replace(
            self,
            constant=self.constant + self.short * short + self.long * long,
            hinges=tuple(replace(each, above=-each.over(short, long)) for each in self.hinges),
        )

    def within(self, area: "Area") -> "Piece":
        """Return the same function on an area, without the hinges that do not bend there."""
        kept: list[Hinge] = []
        short, long, constant = self.short, self.long, self.constant
        for each in self.hinges:
            overs = [each.over(*corner) for corner in area.corners]
            if min(overs) >= 0:
                short, long = short + each.rate * each.short, long + each.rate * each.long
                constant -= each.rate * each.above
            elif max(overs) > 0:
                kept.append(each)
        return Piece(short, long, tuple(kept), constant)


@dataclass(frozen=True, slots=True)
class Area:
    """Net gains that can come about, edges included."""

    short_least: Decimal
    short_most: Decimal
    long_least: Decimal
    long_most: Decimal

    @property
    def corners(self) -> tuple[tuple[Decimal, Decimal], ...]:
        """The four corners."""
        return tuple(
            (short, long) for short in (self.short_least, self.short_most) for long in (self.long_least, self.long_most)
        )


@dataclass(frozen=True, slots=True)
class Liability:
    """What a year comes to, the value of losses that it carries on taken off, by the gains that a plan adds to it.

    Attributes:
        pieces: At least one, as functions of the plan's own net short-term and long-term gain: the least of them is the
            liability, 0 where the plan realizes nothing.
    """

    pieces: tuple[Piece, ...]

    def of(self, short: Decimal, long: Decimal) -> Decimal:
        """Return by how much the plan's gains change the liability; negative when they lower it."""
        return min(each.at(short, long) for each in self.pieces)

    def within(self, area: Area) -> "Liability":
        """Return the same liability where the plan's gains are in an area, with no piece that is the least nowhere."""
        pieces = list(dict.fromkeys(each.within(area) for each in self.pieces))
        for each in tuple(pieces):
            others = [other for other in pieces if other is not each]
            if any(_nowhere_above(other, each, area) for other in others):
                pieces = others
        return Liability(tuple(pieces))

    def marginal(self, short: Decimal, long: Decimal) -> tuple[Decimal, Decimal]:
        """Return what one more unit of short-term and of long-term gain would cost on top of the plan's."""
        least = self.of(short, long)
        on = [each for each in self.pieces if each.at(short, long) == least]

        def rising(short_by: int, long_by: int) -> Decimal:
            return min(_rising(each, short, long, short_by, long_by) for each in on)

        return rising(1, 0), rising(0, 1)

    def averages(self, short: Decimal, long: Decimal) -> tuple[Fraction, Fraction]:
        """Return what a unit of short-term and of long-term gain costs on average, when all grow from nothing together.

        The two times the gains are what the plan costs, exactly: sharing it so is Aumann and Shapley's (1974, "Values
        of Non-Atomic Games").
        """
        shares = sorted({Fraction(0), Fraction(1), *self._bends(short, long)})
        at_short, at_long = Fraction(0), Fraction(0)
        for begin, end in pairwise(shares):
            middle = (begin + end) / 2
            slopes = self._slopes(middle * Fraction(short), middle * Fraction(long))
            at_short += (end - begin) * slopes[0]
            at_long += (end - begin) * slopes[1]
        return at_short, at_long

    def _bends(self, short: Decimal, long: Decimal) -> Iterable[Fraction]:
        """Yield shares of the gains at which the slope may change."""
        x, y = Fraction(short), Fraction(long)
        for piece in self.pieces:
            for each in piece.hinges:
                by = Fraction(each.short) * x + Fraction(each.long) * y
                if by and 0 < Fraction(each.above) / by < 1:
                    yield Fraction(each.above) / by
        for one, other in combinations(self.pieces, 2):
            yield from _crossings(one, other, x, y)

    def _slopes(self, short: Fraction, long: Fraction) -> tuple[Fraction, Fraction]:
        values = [_exactly(each, short, long) for each in self.pieces]
        piece = self.pieces[values.index(min(values))]
        slopes = [Fraction(piece.short), Fraction(piece.long)]
        for each in piece.hinges:
            if Fraction(each.short) * short + Fraction(each.long) * long > Fraction(each.above):
                slopes[0] += Fraction(each.rate) * Fraction(each.short)
                slopes[1] += Fraction(each.rate) * Fraction(each.long)
        return slopes[0], slopes[1]


NOTHING_OWED = Liability((Piece(ZERO, ZERO),))


def liability_of(pieces: Sequence[Piece], short: Decimal, long: Decimal) -> Liability:
    """Return the liability of a plan in a year that has net gains already.

    Args:
        pieces: As functions of all of the year's gains.
        short: Net short-term gain so far, carried losses taken off.
        long: Net long-term gain so far, likewise.
    """
    so_far = min(each.at(short, long) for each in pieces)
    moved = (each.moved(short, long) for each in pieces)
    return Liability(tuple(replace(each, constant=each.constant - so_far) for each in moved))


@dataclass(frozen=True, slots=True)
class Curve:
    """A piecewise linear function of one amount, 0 at 0: slopes left of the first corner, between corners, and beyond.

    `corners` ascend; there is one slope more than there are corners.
    """

    slopes: tuple[Decimal, ...]
    corners: tuple[Decimal, ...] = ()

    def at(self, amount: Decimal) -> Decimal:
        """Return its value."""
        return self._from_first(amount) - self._from_first(ZERO)

    def _from_first(self, amount: Decimal) -> Decimal:
        value = self.slopes[0] * amount
        for before, after, corner in zip(self.slopes, self.slopes[1:], self.corners, strict=False):
            value += (after - before) * max(amount - corner, ZERO)
        return value

    def convex(self, short: Decimal, long: Decimal) -> tuple[Piece, ...]:
        """Return convex functions of `short` · x + `long` · y, of which the least is the curve.

        The curve is cut where its slope falls. Each part goes on to the left with the least slope that there is left of
        it, and to the right with the greatest that there is right of it, so that it is nowhere below the curve.
        """
        falls = [n for n in range(len(self.corners)) if self.slopes[n + 1] < self.slopes[n]]
        found: list[Piece] = []
        for first, last in zip([0, *(n + 1 for n in falls)], [*falls, len(self.corners)], strict=True):
            slopes = [*self.slopes[first : last + 1]]
            corners = [*self.corners[first:last]]
            left, right = min(self.slopes[: first + 1]), max(self.slopes[last:])
            if left < slopes[0]:
                slopes.insert(0, left)
                corners.insert(0, self.corners[first - 1])
            if right > slopes[-1]:
                slopes.append(right)
                corners.append(self.corners[last])
            # Where the part itself is: there it has the curve's value.
            somewhere = self.corners[max(first - 1, 0)] if self.corners else ZERO
            hinges = tuple(
                Hinge(after - before, short, long, corner)
                for before, after, corner in zip(slopes, slopes[1:], corners, strict=False)
                if after > before
            )
            own = Piece(slopes[0] * short, slopes[0] * long, hinges)
            at = slopes[0] * somewhere + sum((h.rate * max(somewhere - h.above, ZERO) for h in hinges), ZERO)
            found.append(replace(own, constant=self.at(somewhere) - at))
        return tuple(found)


def added(one: Iterable[Piece], other: Iterable[Piece]) -> tuple[Piece, ...]:
    """Return the sums of each of the one with each of the other: their least is the sum of both least."""
    others = tuple(other)
    return tuple(
        Piece(a.short + b.short, a.long + b.long, a.hinges + b.hinges, a.constant + b.constant)
        for a in one
        for b in others
    )


def shared(total: Decimal, amounts: Mapping[str, Fraction]) -> dict[str, Decimal]:
    """Return amounts in cents that sum to `total`, also in cents, each the one given but for less than a cent.

    Args:
        total: What they come to together, to the cent.
        amounts: By name; the largest remainders are rounded up first, equal ones by name.
    """
    cents = {name: amount * 100 for name, amount in amounts.items()}
    floors = {name: amount.numerator // amount.denominator for name, amount in cents.items()}
    left = int(total * 100) - sum(floors.values())
    order = sorted(amounts, key=lambda name: (floors[name] - cents[name], name))
    for number, name in enumerate(order):
        floors[name] += (left + len(order) - 1 - number) // len(order)
    return {name: (Decimal(count) * CENT) for name, count in floors.items()}


def to_cents(amount: Decimal) -> Decimal:
    """Return the amount rounded half-even to the cent."""
    return amount.quantize(CENT, rounding=ROUND_HALF_EVEN)


def rate_of(average: Fraction) -> Decimal:
    """Return a rate as it is told."""
    return (Decimal(average.numerator) / Decimal(average.denominator)).quantize(RATE_UNIT, ROUND_HALF_EVEN) + ZERO


def _exactly(piece: Piece, short: Fraction, long: Fraction) -> Fraction:
    bent = (
        Fraction(each.rate)
        * max(Fraction(each.short) * short + Fraction(each.long) * long - Fraction(each.above), Fraction(0))
        for each in piece.hinges
    )
    linear = Fraction(piece.constant) + Fraction(piece.short) * short + Fraction(piece.long) * long
    return sum(bent, linear)


def _crossings(one: Piece, other: Piece, x: Fraction, y: Fraction) -> Iterable[Fraction]:
    """Yield shares of the gains (x, y) at which two pieces are equal."""

    def ahead(share: Fraction) -> Fraction:
        return _exactly(one, share * x, share * y) - _exactly(other, share * x, share * y)

    bends = {Fraction(0), Fraction(1)}
    for each in (*one.hinges, *other.hinges):
        by = Fraction(each.short) * x + Fraction(each.long) * y
        if by and 0 < Fraction(each.above) / by < 1:
            bends.add(Fraction(each.above) / by)
    ordered = sorted(bends)
    for begin, end in pairwise(ordered):
        first, last = ahead(begin), ahead(end)
        if first * last < 0:
            yield begin + (end - begin) * first / (first - last)


def _rising(piece: Piece, short: Decimal, long: Decimal, short_by: int, long_by: int) -> Decimal:
    slope = piece.short * short_by + piece.long * long_by
    for each in piece.hinges:
        if each.over(short, long) >= 0:
            slope += each.rate * max(each.short * short_by + each.long * long_by, ZERO)
    return slope


def _nowhere_above(one: Piece, other: Piece, area: Area) -> bool:
    """Return whether one piece is at most another everywhere in an area.

    Their difference is linear between the lines on which hinges bend, so it is least where two of those lines, or of
    the area's edges, meet.
    """
    lines = [
        *((ONE, ZERO, edge) for edge in (area.short_least, area.short_most)),
        *((ZERO, ONE, edge) for edge in (area.long_least, area.long_most)),
        *((each.short, each.long, each.above) for each in (*one.hinges, *other.hinges)),
    ]
    for (a, b, c), (d, e, f) in combinations(lines, 2):
        # Of weights that are 0 or 1 it is −1, 0 or 1, so multiplying by it is dividing.
        determinant = a * e - b * d
        if not determinant:
            continue
        x, y = (c * e - b * f) * determinant, (a * f - c * d) * determinant
        inside = area.short_least <= x <= area.short_most and area.long_least <= y <= area.long_most
        if inside and one.at(x, y) > other.at(x, y):
            return False
    return True
