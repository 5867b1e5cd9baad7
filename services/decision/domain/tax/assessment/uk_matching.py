"""Which purchase is what was sold, in the United Kingdom: the same day's, then the next 30 days', then the pool.

Sources: TCGA 1992 s. 105(1), s. 106A(5), s. 104; of money in mergers s. 122(2), s. 128(3), s. 129. What each asks for,
`united_kingdom.py` says.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import TypeAlias

from services.decision.domain.problem import ZERO
from services.decision.domain.tax.assessment.history import (
    Disposal,
    History,
    Owner,
    Reorganization,
    cents,
    fraction_of,
    part,
    total,
)
from services.decision.domain.tax.assessment.results import (
    AssessedDisposal,
    MatchRule,
    Piece,
    Remaining,
    SoldMoreThanHeld,
    money_received,
    returned_capital,
    treated,
)

# TCGA 1992 s. 106A(5): "within the period of thirty days after the disposal"; day 30 is inside.
MATCHED_AFTER = timedelta(days=30)

SAME_DAY_SOURCE = "TCGA 1992 s. 105(1)(b)"
THIRTY_DAYS_SOURCE = "TCGA 1992 s. 106A(5)"
POOL_SOURCE = "TCGA 1992 s. 104"
RETURNED_SOURCE = "TCGA 1992 s. 122(4)"
EXCHANGED_SOURCE = "TCGA 1992 s. 128(3), s. 129"
# HMRC Capital Gains Manual CG57836: money is small up to this part of what the holding is worth, or up to the amount.
SMALL_PART = Fraction(1, 20)
SMALL_AMOUNT = Decimal(3000)


@dataclass(slots=True)
class _Bought:
    """What is left of all purchases of one day."""

    units: Fraction
    cost: Decimal

    def take(self, units: Fraction) -> Decimal:
        """Take `units` out, and return what they cost."""
        cost = part(self.cost, units, self.units)
        self.units -= units
        self.cost = total((self.cost, cost.copy_negate()))
        return cost


@dataclass(frozen=True, slots=True)
class _Match:
    """Units sold that found what they were bought as; `day` is that of the purchase, None out of the pool."""

    rule: MatchRule
    units: Fraction
    cost: Decimal
    day: date | None
    source: str


@dataclass(slots=True)
class _Sold:
    """All disposals of one day: what of them is not matched yet, and what was matched."""

    rows: list[Disposal]
    units: Fraction
    unmatched: Fraction
    matches: list[_Match]

    def match(self, bought: _Bought, rule: MatchRule, day: date | None, source: str) -> None:
        """Match as many units as both have."""
        units = min(self.unmatched, bought.units)
        if units > 0:
            self.matches.append(_Match(rule, units, bought.take(units), day, source))
            self.unmatched -= units


def matched(history: History, asset: str, received: "Received") -> tuple[list[AssessedDisposal], list[Remaining]]:
    """Match one asset; what it becomes is put into `received` for the assets that come later."""
    bought, sold = _by_day(history, asset)
    _match_purchases(bought, sold)
    pool = _Bought(Fraction(0), ZERO)
    gains: list[AssessedDisposal] = []
    changes: dict[date, Decimal] = defaultdict(lambda: ZERO)
    for change in history.cost_changes:
        if change.asset == asset and _counts(history, change.account_id):
            changes[change.day] += change.amount
    arrived: dict[date, list[tuple[Fraction, Decimal]]] = defaultdict(list)
    for day, units, cost in received.pop(asset, ()):
        arrived[day].append((units, cost))
    leaves = {each.day: each for each in history.reorganizations if each.asset == asset}
    for day in sorted({*bought, *sold, *changes, *arrived, *leaves}):
        for units, cost in arrived.get(day, ()):
            pool.units += units
            pool.cost = total((pool.cost, cost))
        if day in leaves and pool.units:
            gains += _reorganize(history, leaves[day], pool, _away(sold, day), received)
        if day in bought:
            pool.units += bought[day].units
            pool.cost = total((pool.cost, bought[day].cost))
        pool.cost = total((pool.cost, changes.get(day, ZERO)))
        if pool.cost < 0:
            gains.append(returned_capital(day, asset, pool.cost.copy_negate(), RETURNED_SOURCE))
            pool.cost = ZERO
        if day in sold:
            sale = sold[day]
            if sale.unmatched > pool.units:
                missing = history.quantity_on(asset, day, sale.unmatched - pool.units)
                raise SoldMoreThanHeld(
                    f"{asset}: {missing} units sold on {day} were never bought", asset=asset, date=day, missing=missing
                )
            sale.match(pool, MatchRule.POOL, None, POOL_SOURCE)
    assessed = [*gains, *(each for day, sale in sold.items() for each in _assessed(history, asset, day, sale))]
    left = [Remaining(None, asset, history.quantity_on(asset, date.max, pool.units), pool.cost)] if pool.units else []
    return assessed, left


def _match_purchases(bought: dict[date, _Bought], sold: dict[date, _Sold]) -> None:
    """Match what was bought on the day of a sale, over all days, and then what was bought in the 30 days after."""
    for day, sale in sold.items():
        if day in bought:
            sale.match(bought[day], MatchRule.SAME_DAY, day, SAME_DAY_SOURCE)
    days = list(bought)
    for day, sale in sold.items():
        if sale.unmatched:
            for bought_day in days[bisect_right(days, day) : bisect_right(days, day + MATCHED_AFTER)]:
                sale.match(bought[bought_day], MatchRule.THIRTY_DAYS, bought_day, THIRTY_DAYS_SOURCE)


def _away(sold: Mapping[date, _Sold], day: date) -> Fraction:
    """Return how many units of the pool nobody held when the day began: sold before, and bought again from it on."""
    return sum(
        (
            match.units
            for sale_day, sale in sold.items()
            if sale_day < day
            for match in sale.matches
            if match.day is not None and match.day >= day
        ),
        Fraction(0),
    )


def _reorganize(
    history: History, row: Reorganization, pool: _Bought, away: Fraction, received: "Received"
) -> list[AssessedDisposal]:
    """Let what was held of the pool become what it becomes, and return the gain on money; `away` stays as it is."""
    if away > pool.units:
        missing = history.quantity_on(row.asset, row.day, away - pool.units)
        raise SoldMoreThanHeld(
            f"{row.asset}: {missing} units were sold before {row.day} that were bought only afterwards",
            asset=row.asset,
            date=row.day,
            missing=missing,
        )
    units = pool.units - away
    if not units:
        return []
    original = _Bought(units, pool.take(units))
    gains = _exchange(history, row, original) if row.money else []
    cost = fraction_of(original.cost, row.cost_part)
    received[row.new_asset].append((row.day, history.become(row, units), cost))
    if not row.ends_old:
        pool.units += units
    pool.cost = total((pool.cost, original.cost, cost.copy_negate()))
    return gains


# What becomes of other assets: by asset, the day, the units and what they cost.
Received: TypeAlias = dict[str, list[tuple[date, Fraction, Decimal]]]


def _by_day(history: History, asset: str) -> tuple[dict[date, _Bought], dict[date, _Sold]]:
    bought: dict[date, _Bought] = defaultdict(lambda: _Bought(Fraction(0), ZERO))
    for acquisition in history.acquisitions:
        if acquisition.asset == asset and _counts(history, acquisition.account_id):
            purchase = bought[history.pool_day(acquisition)]
            purchase.units += history.units(acquisition)
            purchase.cost = total((purchase.cost, acquisition.cost))
    sold: dict[date, _Sold] = {}
    for disposal in history.disposals:
        if disposal.asset == asset and _counts(history, disposal.account_id):
            sale = sold.setdefault(disposal.day, _Sold([], Fraction(0), Fraction(0), []))
            sale.rows.append(disposal)
            sale.units += history.units(disposal)
            sale.unmatched += history.units(disposal)
    return dict(sorted(bought.items())), dict(sorted(sold.items()))


def _counts(history: History, account_id: str) -> bool:
    account = history.account[account_id]
    return account.owner is Owner.TAXPAYER and not account.sheltered


def _exchange(history: History, row: Reorganization, pool: _Bought) -> list[AssessedDisposal]:
    """Take what the money of a merger stands for off the cost, and return the gain; none when it is small."""
    units = pool.units / history.scale(row.asset, row.day)
    money = cents(Fraction(row.money) * units)
    worth = cents(Fraction(row.new_value or ZERO) * units * row.ratio)
    small = money <= max(SMALL_AMOUNT, cents(SMALL_PART * Fraction(money + worth)))
    if small and money <= pool.cost:
        pool.cost = total((pool.cost, money.copy_negate()))
        return []
    cost = cents(Fraction(pool.cost) * Fraction(money) / Fraction(money + worth))
    pool.cost = total((pool.cost, cost.copy_negate()))
    return [money_received(row.day, row.asset, money, cost, EXCHANGED_SOURCE)]


def _assessed(history: History, asset: str, day: date, sale: _Sold) -> list[AssessedDisposal]:
    """Return the day's disposals, those of one treatment as one: what was matched is shared among them by units."""
    kinds = sorted({(row.treatment, row.source) for row in sale.rows})
    matches, units_left = sale.matches, sale.units
    found: list[AssessedDisposal] = []
    for treatment, source in kinds:
        rows = [row for row in sale.rows if (row.treatment, row.source) == (treatment, source)]
        units = sum((history.units(row) for row in rows), Fraction(0))
        of_kind, matches = _shared(matches, units, units_left)
        units_left -= units
        found.append(_disposal(history, asset, day, rows, of_kind))
    return found


def _shared(matches: Sequence[_Match], units: Fraction, of: Fraction) -> tuple[list[_Match], list[_Match]]:
    """Return the part of the matches that `units` of `of` bear, and the rest."""
    borne, rest = [], []
    for match in matches:
        taken = match.units * units / of
        cost = part(match.cost, taken, match.units)
        borne.append(replace(match, units=taken, cost=cost))
        rest.append(replace(match, units=match.units - taken, cost=total((match.cost, cost.copy_negate()))))
    return borne, rest


def _disposal(
    history: History, asset: str, day: date, rows: Sequence[Disposal], matches: Sequence[_Match]
) -> AssessedDisposal:
    treatment, source = rows[0].treatment, rows[0].source
    units_left = units = sum((history.units(row) for row in rows), Fraction(0))
    proceeds_left = total(row.proceeds for row in rows)
    pieces: list[Piece] = []
    for match in matches:
        share = part(proceeds_left, match.units, units_left)
        units_left -= match.units
        proceeds_left = total((proceeds_left, share.copy_negate()))
        quantity = history.quantity_on(asset, day, match.units)
        piece = Piece(match.rule, quantity, share, match.cost, match.source, acquired_date=match.day)
        pieces.append(treated(piece, treatment, source))
    return AssessedDisposal(
        disposal_ids=tuple(sorted(row.disposal_id for row in rows)),
        day=day,
        asset=asset,
        quantity=history.quantity_on(asset, day, units),
        proceeds=total(piece.proceeds for piece in pieces),
        pieces=tuple(pieces),
    )
