"""Gains of the United States on top of other income: by brackets, as the law has them and as an optimiser can use them.

Sources: 26 U.S.C. § 1(h)(1) (long-term gain fills the brackets above ordinary income, at 0, 15 and 20 %), § 1(j)
(ordinary brackets), § 1211(b) (the cap on losses), § 1411 (net investment income). A state's tax is one rate on the net
gain. `assessment/united_states.py` is the same for a whole history, and a test holds one to the other.

With x and y the year's net short-term and long-term gain, n = x + y, and I the other income, what is taxed as ordinary
is s = min(max(x, 0), max(n, 0)), and the rest of a net gain is long-term:

    owed = A(s) + M(n),   A(s) = ∫₀ˢ (ordinary − long-term rate at I + t) dt

where M has the long-term brackets from I to I + n, the tax on investment income and the state's, and for a net loss
what other income it meets. Long gains alone are convex; A is not: a dollar of ordinary income costs 12 % less 0 % below
the top of the 0 % bracket, 12 % less 15 % right above it. Let ρ be how steeply A falls at most, 0 where it nowhere
does. Then

    owed = min( A(x⁺) + M(n) + ρ·max(−y, 0),   A(n⁺) + M(n) + ρ·max(y, 0) )

because A(b) ≤ A(a) + ρ·|a − b| whenever a and b differ, and |x⁺ − n⁺| ≤ |y|: where y ≥ 0 the first is what is owed and
the second no less, where y ≤ 0 the other way round. Each of A(x⁺), M(n) and A(n⁺) + M(n) is a curve of one amount, cut
into convex ones where its slope falls (`Curve.convex`).
"""

from collections.abc import Callable, Iterable
from decimal import Decimal

from services.decision.domain.brackets import Brackets
from services.decision.domain.problem import ONE, ZERO
from services.decision.domain.tax.liability import Curve, Hinge, Piece, added


def owed(on: Brackets, short: Decimal, long: Decimal, cap: Decimal) -> Decimal:
    """Return what net gains of a year add to its taxes, straight from the law; negative for what losses save.

    Args:
        on: The year's law and the other income.
        short: Net short-term gain, carried losses taken off.
        long: Net long-term gain, likewise.
        cap: Net loss that other income meets at most.
    """
    net = short + long
    gain, deducted = max(min(long, net), ZERO), min(max(-net, ZERO), cap)
    ordinary = max(on.income + max(net - gain, ZERO) - deducted, ZERO)
    federal = on.ordinary.tax(ordinary) - on.ordinary.tax(on.income)
    federal += on.long_term.tax(ordinary + gain) - on.long_term.tax(ordinary)
    counted = max(net, ZERO) - deducted
    above = max(min(counted, on.income + counted - on.investment_threshold), ZERO)
    return federal + above * on.investment_rate + counted * on.state_rate


def worth(on: Brackets) -> Decimal:
    """Return what a unit of carried loss is taken to be worth: the lower of the first gains' rates."""
    return min(on.rates)


def pieces(on: Brackets, cap: Decimal) -> tuple[Piece, ...]:
    """Return convex functions of a year's net gains, of which the least is `owed` less the worth of carried losses."""

    def dearer(short: Decimal) -> Decimal:
        return ZERO if short < 0 else on.ordinary.at(on.income + short) - on.long_term.at(on.income + short)

    def others(net: Decimal) -> Decimal:
        if net < 0:
            return worth(on) if net < -cap else on.ordinary.at(on.income + net) + on.state_rate
        over = on.income + net >= on.investment_threshold
        return on.long_term.at(on.income + net) + on.state_rate + (on.investment_rate if over else ZERO)

    edges = [top - on.income for top in (ZERO, on.investment_threshold, *on.ordinary.tops, *on.long_term.tops)]
    corners = {ZERO, -cap, *(each for each in edges if each > -cap)}
    gains = {ZERO, *(each for each in edges if each > 0)}
    apart, netted = _curve(gains, dearer), _curve(corners, others)
    together = _curve(corners, lambda net: others(net) + dearer(net))
    fall = max(-min(apart.slopes), ZERO)
    bent = (Hinge(fall, ZERO, ONE, ZERO),) if fall else ()
    both_gain = added(added(apart.convex(ONE, ZERO), netted.convex(ONE, ONE)), (Piece(ZERO, -fall, bent),))
    return (*both_gain, *added(together.convex(ONE, ONE), (Piece(ZERO, ZERO, bent),)))


def _curve(corners: Iterable[Decimal], slope: Callable[[Decimal], Decimal]) -> Curve:
    """Return the curve with a slope that changes at corners only; those at which it does not are left out."""
    places = sorted(corners)
    kept: list[Decimal] = []
    slopes = [slope(places[0] - 1)]
    for place, after in zip(places, [*places[1:], places[-1] + 2], strict=True):
        of = slope((place + after) / 2)
        if of != slopes[-1]:
            kept.append(place)
            slopes.append(of)
    return Curve(tuple(slopes), tuple(kept))
