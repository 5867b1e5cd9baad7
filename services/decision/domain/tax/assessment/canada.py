"""Capital gains of individuals in Canada: average cost, and losses that are superficial.

Sources:
    Average cost: Income Tax Act s. 47(1), over all of the taxpayer's own accounts that are not registered plans.
    Superficial loss: s. 54 ("superficial loss"), s. 40(2)(g)(i); the part denied is the least of units sold, units
    acquired in the 61 days and units held at their end, over units sold (IT-456R paragraph 12; CRA document
    2004-0073011E5). The denied loss joins the cost of what replaced it: s. 53(1)(f). CRA document 2022-0940941C6: all
    affiliated persons are looked at as one, and the denied loss is shared by the replacing units that each of them
    holds at the end; what falls to a registered plan is lost, as nothing there has a cost that counts.
    Mergers and spin-offs: s. 85.1, s. 86, s. 86.1: what was paid goes along. With money beside the new shares none of
    these holds (s. 85.1(2)(d)): everything is disposed of at fair value, unless both sides elect under s. 85, whose
    amounts must be sent as purchases and sales.
    Gifts, death and registered plans: `settling.py`.
    Half of a gain is taxable: s. 38(a). Net losses of other years: s. 111(1)(b).

Our reading: days are trade dates, as a disposition happens when the sale binds; callers who count settlement dates
(as the broker's slips do at a year's end) send those as the dates. The denied loss is added to the cost on the day of
the first replacing purchase, or on the day of the sale if that came later. Units received in a merger or spin-off are
held from then on, and are no purchase that could replace anything. Only units of one asset are identical property (s.
248(12); IT-387R2): sets that the book or a policy names count in the United States. Plans are more careful, and buy
nothing that such a set names.
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
from services.decision.domain.tax.assessment.law_table import AmountKind, Named, Years
from services.decision.domain.tax.assessment.results import (
    AssessedDisposal,
    Assessment,
    AssetsAlike,
    Line,
    MatchRule,
    Piece,
    Remaining,
    SoldMoreThanHeld,
    check_year,
    money_received,
    returned_capital,
    review_of,
    treated,
)
from services.decision.domain.tax.assessment.settling import CANADA, settled

# ITA s. 54: from 30 days before the disposition to 30 days after.
SUPERFICIAL_WINDOW = timedelta(days=30)
AVERAGE_SOURCE = "ITA s. 47(1)"
RETURNED_SOURCE = "ITA s. 40(3)"
EXCHANGED_SOURCE = 'ITA s. 54 "disposition", s. 85.1(2)(d)'
SUPERFICIAL_SOURCE = "ITA s. 54 and 40(2)(g)(i), IT-456R paragraph 12"


# ITA s. 38(a). One half since 18 October 2000; the rise to two thirds announced in 2024 was withdrawn in March 2025.
@dataclass(frozen=True, slots=True)
class YearRules:
    """What Parliament set for the year."""

    inclusion: Decimal


YEARS: dict[int, YearRules] = dict.fromkeys(range(2001, 2027), YearRules(Decimal("0.5")))


@dataclass(frozen=True, slots=True)
class CanadaTable:
    """The amounts by name."""

    years: Mapping[int, YearRules]

    @property
    def names(self) -> tuple[Named, ...]:
        """Every amount that a year has."""
        return (Named("inclusion", AmountKind.RATE),)

    def first_date(self, tax_year: int) -> date:
        """Return the first day of the calendar year."""
        return date(tax_year, 1, 1)

    def amounts(self, year: YearRules) -> Mapping[str, Decimal]:
        """Return a year's amounts by name."""
        return {"inclusion": year.inclusion}

    def year(self, amounts: Mapping[str, Decimal]) -> YearRules:
        """Return the year of checked amounts."""
        return YearRules(amounts["inclusion"])


TABLE = CanadaTable(YEARS)

# Of what leaves in one of these ways a loss may be superficial; on death none is: s. 54 "superficial loss" (c).
_DENIABLE = frozenset({Treatment.SALE, Treatment.GAIN_EXEMPT})
# In which way units left, and by which law.
_Kind: TypeAlias = tuple[Treatment, str]

# Who a holding belongs to: the taxpayer's pool, or one other account.
_OWN = ""


@dataclass(frozen=True, slots=True)
class Canada(AssetsAlike):
    """The rules, and what they must know of the taxpayer.

    Attributes:
        marginal_rate: Federal and provincial rate on the next dollar of income, 0 to 1.
        net_losses_brought_forward: Net capital losses of other years at today's inclusion, 0 or more.
        years: The law's amounts by year.
    """

    marginal_rate: Decimal = ZERO
    net_losses_brought_forward: Decimal = ZERO
    years: Mapping[int, YearRules] = field(default_factory=lambda: YEARS, repr=False)

    @property
    def code(self) -> str:
        """ISO 3166-1 code of the country."""
        return "CA"

    def assess(self, history: History, tax_year: int) -> Assessment:
        """Return what the history comes to in the calendar year `tax_year`, in Canadian dollars.

        Raises:
            SoldMoreThanHeld: The history sells what it never bought.
            TaxYearUnknown: No amounts of the year are in force.
        """
        check_year("CA", tax_year, self.years)
        history = self.settled(history)
        disposals: list[AssessedDisposal] = []
        remaining: list[Remaining] = []
        lost = ZERO
        received: _Received = defaultdict(list)
        for asset in history.assets_in_order:
            average = _Average(history, asset)
            average.run(received)
            disposals += average.disposals
            remaining += average.remaining()
            lost = total((lost, average.lost))
        disposals.sort(key=lambda each: (each.day, each.asset, each.disposal_ids))
        remaining.sort(key=lambda each: (each.asset, each.account_id or ""))
        first, last = date(tax_year, 1, 1), date(tax_year, 12, 31)
        counted = [each.counted_gain for each in disposals if first <= each.day <= last]
        return Assessment(
            jurisdiction="CA",
            tax_year=tax_year,
            currency="CAD",
            first_date=first,
            last_date=last,
            disposals=tuple(disposals),
            remaining=tuple(remaining),
            lines=self._lines(counted, tax_year),
            permanently_lost=lost,
            review=review_of(history),
        )

    def settled(self, history: History) -> History:
        """Return the history with gifts, deaths and moves into registered plans as acquisitions and dispositions."""
        return settled(history, CANADA)

    def tax_with(self, assessment: Assessment, extra: Sequence[AssessedDisposal]) -> Decimal:
        """Return the tax of the assessed year if the disposals of `extra` had been made in it too."""
        counted = [each.counted_gain for each in (*assessment.of_year(), *extra)]
        return self._lines(counted, assessment.tax_year)[-1].amount

    def with_years(self, years: Years) -> "Canada":
        """Return the rules with other amounts of law."""
        return replace(self, years=years)

    def after(self, earlier: Assessment) -> "Canada":
        """Return the rules for the next year, with the net losses of `earlier` brought forward."""
        return replace(self, net_losses_brought_forward=earlier.amount("net_losses_carried_forward"))

    def carried_into(self, history: History, tax_year: int) -> "Canada":
        """Return the rules with the unused losses of the history's earlier years added to those stated."""
        earlier = replace(self, net_losses_brought_forward=ZERO)
        first = min((row.day.year for row in self.settled(history).disposals), default=tax_year)
        for year in range(max(first, min(self.years)), tax_year):
            earlier = earlier.after(earlier.assess(history, year))
        return replace(
            self,
            net_losses_brought_forward=self.net_losses_brought_forward + earlier.net_losses_brought_forward,
        )

    def brought_forward(self) -> tuple[Line, ...]:
        """Return the losses that are brought forward, each with the name of the line that carries it on."""
        return (Line("net_losses_carried_forward", self.net_losses_brought_forward, "ITA s. 111(1)(b)"),)

    def _lines(self, counted: list[Decimal], tax_year: int) -> tuple[Line, ...]:
        gained = total(gain for gain in counted if gain > 0)
        lost = total(-gain for gain in counted if gain < 0)
        net_taxable = cents(Fraction(gained - lost) * Fraction(self.years[tax_year].inclusion))
        used = min(self.net_losses_brought_forward, max(net_taxable, ZERO))
        taxable = max(net_taxable, ZERO) - used
        forward = self.net_losses_brought_forward - used + max(-net_taxable, ZERO)
        return (
            Line("gains", gained, "ITA s. 39(1)(a)"),
            Line("losses", lost, "ITA s. 39(1)(b)"),
            Line("net_taxable_gain", max(net_taxable, ZERO), "ITA s. 38(a), s. 3(b)"),
            Line("net_losses_used", used, "ITA s. 111(1)(b)"),
            Line("taxable_gain", taxable, "ITA s. 3(b)"),
            Line("net_losses_carried_forward", forward, "ITA s. 111(1)(b)"),
            Line("tax", cents(Fraction(taxable) * Fraction(self.marginal_rate)), "ITA s. 117 and the province's act"),
        )


@dataclass(slots=True)
class _Average:
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

    def run(self, received: "_Received") -> None:
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
_Received: TypeAlias = dict[str, list[tuple[date, dict[str, Fraction], Decimal]]]


def _count(days: dict[date, dict[str, Fraction]], day: date, holder: str, units: Fraction) -> None:
    holders = days.setdefault(day, {})
    holders[holder] = holders.get(holder, Fraction(0)) + units
