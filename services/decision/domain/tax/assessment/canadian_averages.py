"""What a unit of an asset costs on average in Canada, and which part of a loss is superficial.

Sources: ITA s. 47(1), s. 54 "superficial loss", s. 40(2)(g)(i), s. 53(1)(f), IT-456R paragraph 12; of mergers s. 85.1,
s. 86, s. 86.1. How each is read, `canada.py` says.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
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
    Treatment,
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

# ITA s. 54: from 30 days before the disposition to 30 days after.
SUPERFICIAL_WINDOW = timedelta(days=30)
AVERAGE_SOURCE = "ITA s. 47(1)"
RETURNED_SOURCE = "ITA s. 40(3)"
EXCHANGED_SOURCE = 'ITA s. 54 "disposition", s. 85.1(2)(d)'
SUPERFICIAL_SOURCE = "ITA s. 54 and 40(2)(g)(i), IT-456R paragraph 12"

# Of what leaves in one of these ways a loss may be superficial; on death none is: s. 54 "superficial loss" (c).
_DENIABLE = frozenset({Treatment.SALE, Treatment.GAIN_EXEMPT})
# In which way units left, and by which law.
_Kind: TypeAlias = tuple[Treatment, str]

# Who a holding belongs to: the taxpayer's pool, or one other account.
_OWN = ""


@dataclass(slots=True)
class Average:
    """One asset's pool over the history, and what the other holders have of it."""

    history: History
    asset: str
    disposals: list[AssessedDisposal] = field(default_factory=list)
    lost: Decimal = ZERO
    walked: date = date.min
    units: Fraction = Fraction(0)
    cost: Decimal = ZERO
    # Denied losses that join the cost on a later day.
    added: dict[date, Decimal] = field(default_factory=lambda: defaultdict(lambda: ZERO))
    # Denied losses that joined the cost of an affiliated person's units.
    passed_on: dict[str, Decimal] = field(default_factory=lambda: defaultdict(lambda: ZERO))
    bought: dict[date, dict[str, Fraction]] = field(default_factory=dict)
    # Units that came or went without purchase or sale, before everything else of the day; negative when they went.
    moved: dict[date, dict[str, Fraction]] = field(default_factory=dict)
    sold: dict[date, dict[str, Fraction]] = field(default_factory=dict)
    bought_days: list[date] = field(default_factory=list)
    # What each holder has after each of the days on which that changed: the days, and the units.
    holdings: dict[str, tuple[list[date], list[Fraction]]] = field(default_factory=dict)

    def run(self, received: "Received") -> None:
        """Walk the days in order; what the asset becomes is put into `received` for the assets that come later."""
        costs, changes, sales = self._read()
        arrived: dict[date, Decimal] = defaultdict(lambda: ZERO)
        for day, became_units, cost in received.pop(self.asset, ()):
            arrived[day] += cost
            for holder, units in became_units.items():
                _count(self.moved, day, holder, units)
        leaves = {each.day: each for each in self.history.reorganizations if each.asset == self.asset}
        self._transfer()
        became = self._keep_holdings(leaves)
        self.bought_days = sorted(self.bought)
        # The days on which a denied loss joins are days of purchases or of sales, so all are known beforehand.
        for day in sorted({*self.bought, *self.sold, *self.moved, *changes}):
            self.walked = day
            self.units += self.moved.get(day, {}).get(_OWN, Fraction(0))
            self.cost = total((self.cost, arrived.get(day, ZERO)))
            if day in leaves and leaves[day].money and became[day].get(_OWN):
                self._exchange(leaves[day], became[day][_OWN])
            if day in leaves and day in became:
                cost = fraction_of(self.cost, leaves[day].cost_part)
                self.cost = total((self.cost, cost.copy_negate()))
                received[leaves[day].new_asset].append((day, became[day], cost))
            self.units += self.bought.get(day, {}).get(_OWN, Fraction(0))
            self.cost = total((self.cost, costs[day], changes[day], self.added.pop(day, ZERO)))
            if self.cost < 0:
                self.disposals.append(returned_capital(day, self.asset, self.cost.copy_negate(), RETURNED_SOURCE))
                self.cost = ZERO
            for kind in sorted(sales[day]):
                self._sell(day, sales[day][kind])

    def _read(
        self,
    ) -> tuple[dict[date, Decimal], dict[date, Decimal], dict[date, dict[_Kind, list[Disposal]]]]:
        """Count every holder's units by day, and return what the taxpayer's own came to: costs, changes and sales."""
        costs: dict[date, Decimal] = defaultdict(lambda: ZERO)
        changes: dict[date, Decimal] = defaultdict(lambda: ZERO)
        sales: dict[date, dict[_Kind, list[Disposal]]] = defaultdict(dict)
        for acquisition in self.history.acquisitions:
            if acquisition.asset == self.asset:
                holder = self._holder(acquisition.account_id)
                day = self.history.pool_day(acquisition)
                # What was given, inherited or moved in is no purchase that could replace anything.
                came = self.bought if acquisition.purchased else self.moved
                _count(came, day, holder, self.history.units(acquisition))
                if holder == _OWN:
                    costs[day] += acquisition.cost
        for disposal in self.history.disposals:
            if disposal.asset == self.asset:
                holder = self._holder(disposal.account_id)
                _count(self.sold, disposal.day, holder, self.history.units(disposal))
                if holder == _OWN:
                    kind = disposal.treatment, disposal.source
                    sales[disposal.day].setdefault(kind, []).append(disposal)
        for change in self.history.cost_changes:
            if change.asset == self.asset and self._holder(change.account_id) == _OWN:
                changes[change.day] += change.amount
        return costs, changes, sales

    def remaining(self) -> list[Remaining]:
        """Return what the taxpayer still holds, and what the losses passed to affiliated persons' units added."""
        left = []
        if self.units:
            quantity = self.history.quantity_on(self.asset, date.max, self.units)
            left.append(Remaining(None, self.asset, quantity, self.cost))
        for account_id, cost in sorted(self.passed_on.items()):
            units = self._held(account_id, date.max)
            quantity = self.history.quantity_on(self.asset, date.max, units)
            left.append(Remaining(account_id, self.asset, quantity, cost))
        return left

    def _sell(self, day: date, rows: Sequence[Disposal]) -> None:
        """Take out of the pool what left it on a day in one way."""
        treatment, source = rows[0].treatment, rows[0].source
        units = sum((self.history.units(row) for row in rows), Fraction(0))
        proceeds = total(row.proceeds for row in rows)
        quantity = self.history.quantity_on(self.asset, day, units)
        if units > self.units:
            missing = self.history.quantity_on(self.asset, day, units - self.units)
            raise SoldMoreThanHeld(
                f"{self.asset}: {missing} units sold on {day} were never bought",
                asset=self.asset,
                date=day,
                missing=missing,
            )
        cost = part(self.cost, units, self.units)
        self.units -= units
        self.cost = total((self.cost, cost.copy_negate()))
        piece = Piece(MatchRule.POOL, quantity, proceeds, cost, AVERAGE_SOURCE)
        loss = max(cost - proceeds, ZERO)
        denied, note = self._deny(day, units, loss) if loss and treatment in _DENIABLE else (ZERO, "")
        if denied:
            piece = replace(piece, source=SUPERFICIAL_SOURCE, disallowed_loss=denied, note=note)
        else:
            piece = treated(piece, treatment, source)
            if treatment is Treatment.LOSS_BARRED:
                self.lost = total((self.lost, piece.disallowed_loss))
        ids = tuple(sorted(row.disposal_id for row in rows))
        self.disposals.append(AssessedDisposal(ids, day, self.asset, quantity, piece.proceeds, (piece,)))

    def _exchange(self, row: Reorganization, became: Fraction) -> None:
        """Dispose of everything for the money and the new units, which then cost what they are worth."""
        units = became / self.history.scale(row.new_asset, row.day)
        worth = cents(Fraction(row.new_value or ZERO) * units)
        proceeds = total((cents(Fraction(row.money) * units / row.ratio), worth))
        self.disposals.append(money_received(row.day, self.asset, proceeds, self.cost, EXCHANGED_SOURCE))
        self.cost = worth

    def _deny(self, day: date, units: Fraction, loss: Decimal) -> tuple[Decimal, str]:
        """Return the denied part of `loss`, and in a sentence where it went."""
        begin, end = day - SUPERFICIAL_WINDOW, day + SUPERFICIAL_WINDOW
        days = self.bought_days[bisect_left(self.bought_days, begin) : bisect_right(self.bought_days, end)]
        holders = sorted({holder for each in days for holder in self.bought[each]})
        acquired = {
            holder: sum((self.bought[each].get(holder, Fraction(0)) for each in days), Fraction(0))
            for holder in holders
        }
        held = {holder: self._held(holder, end) for holder in self.holdings}
        least = min(units, sum(acquired.values(), Fraction(0)), sum(held.values(), Fraction(0)))
        replacing = {holder: min(acquired[holder], held[holder]) for holder in holders}
        of = sum(replacing.values(), Fraction(0))
        if not least or not of:
            return ZERO, ""
        denied = part(loss, least, units)
        left, left_of, said = denied, of, []
        for holder in holders:
            share = part(left, replacing[holder], left_of) if replacing[holder] else ZERO
            left, left_of = total((left, share.copy_negate())), left_of - replacing[holder]
            if share:
                said.append(self._place(holder, share, max(day, min(d for d in days if holder in self.bought[d]))))
        return denied, "; ".join(said)

    def _place(self, holder: str, share: Decimal, day: date) -> str:
        if holder == _OWN:
            if day == self.walked:
                self.cost = total((self.cost, share))
            else:
                self.added[day] += share
            return f"{share} joins the cost of the units held"
        if self.history.account[holder].sheltered:
            self.lost = total((self.lost, share))
            return f"{share} is lost: account {holder} is a registered plan"
        self.passed_on[holder] += share
        return f"{share} joins the cost of the units in account {holder}"

    def _holder(self, account_id: str) -> str:
        account = self.history.account[account_id]
        return _OWN if account.owner is Owner.TAXPAYER and not account.sheltered else account_id

    def _transfer(self) -> None:
        """Count transfers between accounts of other holders; the taxpayer's own accounts are one."""
        for row in self.history.transfers:
            giver, receiver = self._holder(row.account_id), self._holder(row.to_account_id)
            if row.asset == self.asset and giver != receiver:
                units = self.history.units(row)
                _count(self.moved, row.day, giver, -units)
                _count(self.moved, row.day, receiver, units)

    def _keep_holdings(self, leaves: Mapping[date, Reorganization]) -> dict[date, dict[str, Fraction]]:
        """Keep what each holder has after each day, and return what their units become on the days of `leaves`."""
        became: dict[date, dict[str, Fraction]] = {}
        for day in sorted({*self.bought, *self.sold, *self.moved, *leaves}):
            if day in leaves:
                row = leaves[day]
                held = {holder: units[-1] for holder, (_, units) in self.holdings.items() if units[-1]}
                became[day] = {holder: self.history.become(row, units) for holder, units in held.items()}
                if row.ends_old:
                    for holder, units in held.items():
                        _count(self.moved, day, holder, -units)
                elif held:
                    self.moved.setdefault(day, {})
            changes = (self.bought.get(day, {}), self.moved.get(day, {}))
            sold = self.sold.get(day, {})
            for holder in sorted({*changes[0], *changes[1], *sold}):
                days, after = self.holdings.setdefault(holder, ([], []))
                before = after[-1] if after else Fraction(0)
                came = sum((each.get(holder, Fraction(0)) for each in changes), Fraction(0))
                days.append(day)
                after.append(before + came - sold.get(holder, Fraction(0)))
        return became

    def _held(self, holder: str, day: date) -> Fraction:
        days, units = self.holdings.get(holder, ([], []))
        known = bisect_right(days, day)
        return units[known - 1] if known else Fraction(0)


# What becomes of other assets: by asset, the day, each holder's units, and what the taxpayer's own cost.
Received: TypeAlias = dict[str, list[tuple[date, dict[str, Fraction], Decimal]]]


def _count(days: dict[date, dict[str, Fraction]], day: date, holder: str, units: Fraction) -> None:
    holders = days.setdefault(day, {})
    holders[holder] = holders.get(holder, Fraction(0)) + units
