"""Germany's tax on capital income (Abgeltungsteuer) on shares and investment funds held privately.

Sources:
    First in, first out in each depot: Einkommensteuergesetz (EStG) § 20 Abs. 4 Satz 7.
    Loss pots: EStG § 20 Abs. 6 Satz 4: losses on shares meet gains on shares only; other losses meet everything.
    Saver's allowance: EStG § 20 Abs. 9. Rate: EStG § 32d Abs. 1; solidarity surcharge: SolzG § 4; church tax lowers the
    rate by the formula of § 32d Abs. 1 Satz 3 to 5.
    Partial exemption by the kind of fund: Investmentsteuergesetz (InvStG) § 20 Abs. 1 to 3.
    Mergers, spin-offs and moves to another depot: EStG § 20 Abs. 4a Satz 1 and 7, § 43a Abs. 2 Satz 3: cost goes along.
    Money beside the new units of a merger is income in full, and the cost goes along whole: § 20 Abs. 4a Satz 2. It is
    no gain on shares, so losses on shares do not meet it. Where it exceeds a tenth of what the new units are worth, the
    whole is a sale for money and units: BMF letter of 2023 (BStBl I S. 1471), Rz. 100a, after BFH BStBl 2022 II S. 636.
    Gifts and inheritances: `settling.py`.
    Advance lump sum (Vorabpauschale): InvStG § 18; it counts on the first working day of the next year, and what was
    taxed so is taken off the gain of the units when they are sold: § 19 Abs. 1 Satz 3 and 4.

Our reading: the advance lump sum of a year is worked out for the lots held at the year's end, each by its own months;
foreign tax credits (§ 32d Abs. 5) are left to the return.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import TypeVar

from services.decision.domain.problem import ZERO
from services.decision.domain.tax.assessment.history import (
    Acquisition,
    CostChange,
    Disposal,
    History,
    Owner,
    Reorganization,
    Transfer,
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
    Line,
    MatchRule,
    Piece,
    Remaining,
    SoldMoreThanHeld,
    check_year,
    money_received,
    review_of,
    treated,
)
from services.decision.domain.tax.assessment.settling import GERMANY, settled

Row = TypeVar("Row", Acquisition, Disposal, CostChange, Transfer)

FIFO_SOURCE = "EStG § 20 Abs. 4 Satz 7"
EXCHANGED_SOURCE = "EStG § 20 Abs. 4a Satz 2"
MIXED_SOURCE = "EStG § 20 Abs. 2 Satz 1 Nr. 1, BFH 2022 II S. 636"
# BMF of 2023 (BStBl I S. 1471), Rz. 100a: money up to this part of what the new units are worth leaves it an exchange.
SMALL_MONEY = Fraction(1, 10)


class AssetKind(StrEnum):
    """What an asset is to the tax; funds by what they must hold."""

    SHARE = "SHARE"
    EQUITY_FUND = "EQUITY_FUND"
    MIXED_FUND = "MIXED_FUND"
    REAL_ESTATE_FUND = "REAL_ESTATE_FUND"
    FOREIGN_REAL_ESTATE_FUND = "FOREIGN_REAL_ESTATE_FUND"
    OTHER_FUND = "OTHER_FUND"
    # Bonds, certificates and the like.
    OTHER = "OTHER"


# InvStG § 20 Abs. 1, 2, 3: the part of income and of gains that private investors do not tax.
EXEMPT_PART: dict[AssetKind, Decimal] = {
    AssetKind.EQUITY_FUND: Decimal("0.30"),
    AssetKind.MIXED_FUND: Decimal("0.15"),
    AssetKind.REAL_ESTATE_FUND: Decimal("0.60"),
    AssetKind.FOREIGN_REAL_ESTATE_FUND: Decimal("0.80"),
}
FUNDS = frozenset(
    {
        AssetKind.EQUITY_FUND,
        AssetKind.MIXED_FUND,
        AssetKind.REAL_ESTATE_FUND,
        AssetKind.FOREIGN_REAL_ESTATE_FUND,
        AssetKind.OTHER_FUND,
    }
)

# InvStG § 18 Abs. 1 Satz 2.
BASE_RATE_PART = Decimal("0.7")


@dataclass(frozen=True, slots=True)
class YearRules:
    """What the Bundestag and the Ministry of Finance set for the year.

    Attributes:
        base_rate: For the advance lump sums, InvStG § 18 Abs. 4; at 0 and below none is due.
        allowance: Of one person, EStG § 20 Abs. 9 Satz 1; couples have it twice.
        rate: EStG § 32d Abs. 1 Satz 1.
        solidarity: SolzG § 4 Satz 1.
    """

    base_rate: Decimal
    allowance: Decimal
    rate: Decimal = Decimal("0.25")
    solidarity: Decimal = Decimal("0.055")


YEARS: dict[int, YearRules] = {
    2018: YearRules(Decimal("0.0087"), Decimal(801)),
    2019: YearRules(Decimal("0.0052"), Decimal(801)),
    2020: YearRules(Decimal("0.0007"), Decimal(801)),
    2021: YearRules(Decimal("-0.0045"), Decimal(801)),
    2022: YearRules(Decimal("-0.0005"), Decimal(801)),
    2023: YearRules(Decimal("0.0255"), Decimal(1000)),
    2024: YearRules(Decimal("0.0229"), Decimal(1000)),
    2025: YearRules(Decimal("0.0253"), Decimal(1000)),
    2026: YearRules(Decimal("0.0320"), Decimal(1000)),
}


@dataclass(frozen=True, slots=True)
class GermanyTable:
    """The amounts by name."""

    years: Mapping[int, YearRules]

    @property
    def names(self) -> tuple[Named, ...]:
        """Every amount that a year has."""
        return (
            Named("base_rate", AmountKind.SIGNED_RATE),
            Named("allowance", AmountKind.MONEY),
            Named("rate", AmountKind.RATE),
            Named("solidarity", AmountKind.RATE),
        )

    def first_date(self, tax_year: int) -> date:
        """Return the first day of the calendar year."""
        return date(tax_year, 1, 1)

    def amounts(self, year: YearRules) -> Mapping[str, Decimal]:
        """Return a year's amounts by name."""
        return {each.name: getattr(year, each.name) for each in self.names}

    def year(self, amounts: Mapping[str, Decimal]) -> YearRules:
        """Return the year of checked amounts."""
        return YearRules(**{each.name: amounts[each.name] for each in self.names})


TABLE = GermanyTable(YEARS)


@dataclass(frozen=True, slots=True)
class FundYear:
    """A fund's calendar year, of one unit, in euros."""

    asset: str
    year: int
    first_price: Decimal
    last_price: Decimal
    distributed: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Germany:
    """The rules, and what they must know of the taxpayer and the assets.

    Attributes:
        kinds: Of every asset; one that is missing is `OTHER`.
        fund_years: For the advance lump sums; a fund's year that is missing has none.
        joint: Whether spouses are assessed together: the allowance counts twice.
        church_rate: Of the church tax, 0, 0.08 or 0.09.
        share_losses_brought_forward: Unused losses on shares of earlier years, 0 or more.
        other_losses_brought_forward: Unused other losses of earlier years, 0 or more.
        years: The law's amounts by year.
    """

    kinds: Mapping[str, AssetKind] = field(default_factory=dict)
    fund_years: tuple[FundYear, ...] = ()
    joint: bool = False
    church_rate: Decimal = ZERO
    share_losses_brought_forward: Decimal = ZERO
    other_losses_brought_forward: Decimal = ZERO
    years: Mapping[int, YearRules] = field(default_factory=lambda: YEARS, repr=False)

    @property
    def code(self) -> str:
        """ISO 3166-1 code of the country."""
        return "DE"

    def assess(self, history: History, tax_year: int) -> Assessment:
        """Return what the history comes to in the calendar year `tax_year`, in euros.

        Raises:
            SoldMoreThanHeld: A depot sells what it never bought.
            TaxYearUnknown: No amounts of the year are in force.
        """
        check_year("DE", tax_year, self.years)
        history = self.settled(history)
        disposals: list[AssessedDisposal] = []
        remaining: list[Remaining] = []
        lump_sums = ZERO
        received: dict[str, list[tuple[date, str, list[_Lot]]]] = defaultdict(list)
        for asset in history.assets_in_order:
            depots = _Depots(self, history, asset)
            depots.run(date(tax_year, 12, 31), received)
            disposals += depots.disposals
            remaining += depots.remaining()
            lump_sums = total((lump_sums, depots.lump_sums.get(tax_year, ZERO)))
        disposals.sort(key=lambda each: (each.day, each.asset, each.disposal_ids))
        first, last = date(tax_year, 1, 1), date(tax_year, 12, 31)
        return Assessment(
            jurisdiction="DE",
            tax_year=tax_year,
            currency="EUR",
            first_date=first,
            last_date=last,
            disposals=tuple(disposals),
            remaining=tuple(sorted(remaining, key=lambda each: (each.asset, each.account_id or "", each.lot_id or ""))),
            lines=self._lines([each for each in disposals if first <= each.day <= last], lump_sums, tax_year),
            review=review_of(history),
        )

    def settled(self, history: History) -> History:
        """Return the history with gifts and inheritances as purchases and sales at the giver's cost."""
        return settled(history, GERMANY)

    def tax_with(self, assessment: Assessment, extra: Sequence[AssessedDisposal]) -> Decimal:
        """Return the tax of the assessed year if the disposals of `extra` had been made in it too."""
        lump_sums = assessment.amount("advance_lump_sums")
        return self._lines([*assessment.of_year(), *extra], lump_sums, assessment.tax_year)[-1].amount

    def with_years(self, years: Years) -> "Germany":
        """Return the rules with other amounts of law."""
        return replace(self, years=years)

    def after(self, earlier: Assessment) -> "Germany":
        """Return the rules for the next year, with both loss pots of `earlier` brought forward."""
        return replace(
            self,
            share_losses_brought_forward=earlier.amount("share_losses_carried_forward"),
            other_losses_brought_forward=earlier.amount("other_losses_carried_forward"),
        )

    def kind(self, asset: str) -> AssetKind:
        """Return what the asset is to the tax."""
        return self.kinds.get(asset, AssetKind.OTHER)

    def exempt_part(self, asset: str) -> Decimal:
        """Return the part of the asset's income that is not taxed."""
        return EXEMPT_PART.get(self.kind(asset), ZERO)

    def lump_sum(self, asset: str, year: int, acquired_date: date) -> Fraction:
        """Return the advance lump sum of one unit for `year`, before partial exemption; 0 when none is due.

        InvStG § 18 Abs. 1: price at the year's start · base rate · 70 %, at most the rise of the price plus what was
        distributed, less what was distributed; Abs. 2: one twelfth less for each full month before the purchase.
        """
        found = [each for each in self.fund_years if each.asset == asset and each.year == year]
        rate = self.years[year].base_rate if year in self.years else ZERO
        if not found or rate <= 0 or self.kind(asset) not in FUNDS or acquired_date.year > year:
            return Fraction(0)
        fund = found[0]
        base = Fraction(fund.first_price) * Fraction(rate) * Fraction(BASE_RATE_PART)
        rise = Fraction(fund.last_price - fund.first_price + fund.distributed)
        months = 13 - acquired_date.month if acquired_date.year == year else 12
        return max(min(base, rise) - Fraction(fund.distributed), Fraction(0)) * Fraction(months, 12)

    def carried_into(self, history: History, tax_year: int) -> "Germany":
        """Return the rules with the unused losses of the history's earlier years added to those stated."""
        earlier = replace(self, share_losses_brought_forward=ZERO, other_losses_brought_forward=ZERO)
        first = min((row.day.year for row in self.settled(history).disposals), default=tax_year)
        for year in range(max(first, min(self.years)), tax_year):
            earlier = earlier.after(earlier.assess(history, year))
        return replace(
            self,
            share_losses_brought_forward=self.share_losses_brought_forward + earlier.share_losses_brought_forward,
            other_losses_brought_forward=self.other_losses_brought_forward + earlier.other_losses_brought_forward,
        )

    def brought_forward(self) -> tuple[Line, ...]:
        """Return the losses that are brought forward, each with the name of the line that carries it on."""
        return (
            Line("share_losses_carried_forward", self.share_losses_brought_forward, "EStG § 20 Abs. 6 Satz 4"),
            Line("other_losses_carried_forward", self.other_losses_brought_forward, "EStG § 20 Abs. 6 Satz 3"),
        )

    def _on_shares(self, disposal: AssessedDisposal) -> bool:
        """Return whether it counts in the pot of gains on shares; money beside new units does not."""
        return self.kind(disposal.asset) is AssetKind.SHARE and all(
            piece.rule is not MatchRule.EXCHANGED for piece in disposal.pieces
        )

    def _lines(self, of_year: list[AssessedDisposal], lump_sums: Decimal, tax_year: int) -> tuple[Line, ...]:
        shares = total(each.counted_gain for each in of_year if self._on_shares(each))
        others = total(each.counted_gain for each in of_year if not self._on_shares(each))
        share_used = min(self.share_losses_brought_forward, max(shares, ZERO))
        share_income = max(shares, ZERO) - share_used
        other_income = others + lump_sums
        other_used = min(self.other_losses_brought_forward, max(share_income + other_income, ZERO))
        net = share_income + other_income - other_used
        allowance = min(max(net, ZERO), self._allowance(tax_year))
        taxable = max(net, ZERO) - allowance
        tax, solidarity, church = self._taxes(taxable, self.years[tax_year])
        return (
            Line("gains_on_shares", shares, "EStG § 20 Abs. 2 Satz 1 Nr. 1"),
            Line("gains_on_others", others, "EStG § 20 Abs. 2, Abs. 4a Satz 2; InvStG § 16 Abs. 1 Nr. 3, § 20"),
            Line("advance_lump_sums", lump_sums, "InvStG § 18"),
            Line("share_losses_used", share_used, "EStG § 20 Abs. 6 Satz 4"),
            Line("other_losses_used", other_used, "EStG § 20 Abs. 6 Satz 2"),
            Line("allowance_used", allowance, "EStG § 20 Abs. 9"),
            Line("taxable_income", taxable, "EStG § 20, § 32d"),
            Line(
                "share_losses_carried_forward",
                self.share_losses_brought_forward - share_used + max(-shares, ZERO),
                "EStG § 20 Abs. 6 Satz 4",
            ),
            Line(
                "other_losses_carried_forward",
                self.other_losses_brought_forward - other_used + max(-net, ZERO),
                "EStG § 20 Abs. 6 Satz 3",
            ),
            Line("income_tax", tax, "EStG § 32d Abs. 1"),
            Line("solidarity_surcharge", solidarity, "SolzG § 4"),
            Line("church_tax", church, "EStG § 32d Abs. 1 Satz 4, § 51a Abs. 2b"),
            Line("tax", total((tax, solidarity, church)), "EStG § 32d Abs. 1, SolzG § 4"),
        )

    def _taxes(self, taxable: Decimal, year: YearRules) -> tuple[Decimal, Decimal, Decimal]:
        """Return income tax, solidarity surcharge and church tax, each in whole cents.

        § 32d Abs. 1 Satz 4: tax = e / (4 + k), with e the income and k the church's rate; 4 is one over the tax's rate.
        """
        tax = Fraction(taxable) / (1 / Fraction(year.rate) + Fraction(self.church_rate)) if year.rate else Fraction(0)
        return cents(tax), cents(tax * Fraction(year.solidarity)), cents(tax * Fraction(self.church_rate))

    def _allowance(self, tax_year: int) -> Decimal:
        single = self.years[tax_year].allowance
        return single * 2 if self.joint else single


@dataclass(slots=True)
class _Lot:
    """Units bought together.

    Attributes:
        known_from: What happened to the asset before is in `units` and `cost` already.
        taxed: Advance lump sums that were income already, before partial exemption.
    """

    lot_id: str
    acquired_date: date
    units: Fraction
    cost: Decimal
    known_from: date
    taxed: Decimal = ZERO

    def take(self, units: Fraction) -> tuple[Decimal, Decimal]:
        """Take `units` out, and return their part of the cost and of what was taxed already."""
        cost, taxed = part(self.cost, units, self.units), part(self.taxed, units, self.units)
        self.units -= units
        self.cost = total((self.cost, cost.copy_negate()))
        self.taxed = total((self.taxed, taxed.copy_negate()))
        return cost, taxed


@dataclass(slots=True)
class _Depots:
    """One asset in all depots of the taxpayer over the history. `lots`: by depot, the oldest first."""

    rules: Germany
    history: History
    asset: str
    lots: dict[str, list[_Lot]] = field(default_factory=dict)
    disposals: list[AssessedDisposal] = field(default_factory=list)
    # By the year in which they are income: the one after the fund's; after partial exemption.
    lump_sums: dict[int, Decimal] = field(default_factory=dict)

    def run(self, last: date, received: dict[str, list[tuple[date, str, list[_Lot]]]]) -> None:
        """Walk the days in order; a year's advance lump sum comes between its last day and the next year's first.

        What the asset becomes is put into `received` for the assets that come later.
        """
        bought = _by_day(sorted(self._rows(self.history.acquisitions), key=lambda each: each.lot_id))
        sold = _by_day(sorted(self._rows(self.history.disposals), key=lambda each: each.disposal_id))
        moved = _by_day(sorted(self._rows(self.history.transfers), key=lambda each: each.transfer_id))
        changes = _by_day(
            sorted(self._rows(self.history.cost_changes), key=lambda each: (each.account_id, each.amount))
        )
        leaves = {each.day: each for each in self.history.reorganizations if each.asset == self.asset}
        arrived: dict[date, list[tuple[str, list[_Lot]]]] = defaultdict(list)
        for day, account_id, lots in received.pop(self.asset, ()):
            arrived[day].append((account_id, lots))
        year = None
        for day in sorted({*bought, *sold, *moved, *changes, *leaves, *arrived}):
            for passed in range(day.year if year is None else year, day.year):
                self._advance(passed)
            year = day.year
            for account_id, lots in arrived.get(day, ()):
                self._receive(account_id, lots)
            if day in leaves:
                row = leaves[day]
                for account_id in sorted(self.lots):
                    if row.money:
                        self._exchange(row, account_id)
                    received[row.new_asset].append((day, account_id, self._reorganize(row, account_id)))
            for transfer in moved.get(day, ()):
                self._transfer(transfer)
            for acquisition in bought.get(day, ()):
                units, held_from = self.history.units(acquisition), acquisition.held_from or day
                lot = _Lot(acquisition.lot_id, held_from, units, acquisition.cost, acquisition.known_from)
                self._receive(acquisition.account_id, [lot])
            for change in changes.get(day, ()):
                self._change(change.account_id, change.amount)
            for disposal in sold.get(day, ()):
                self._sell(disposal)
        for passed in range(last.year if year is None else year, last.year + 1):
            self._advance(passed)

    def remaining(self) -> list[Remaining]:
        """Return the lots still held."""
        return [
            Remaining(
                account_id,
                self.asset,
                self.history.quantity_on(self.asset, date.max, lot.units),
                lot.cost,
                lot_id=lot.lot_id,
                acquired_date=lot.acquired_date,
            )
            for account_id, lots in self.lots.items()
            for lot in lots
        ]

    def _rows(self, rows: tuple[Row, ...]) -> list[Row]:
        accounts = self.history.account
        return [
            row
            for row in rows
            if row.asset == self.asset
            and accounts[row.account_id].owner is Owner.TAXPAYER
            and not accounts[row.account_id].sheltered
        ]

    def _receive(self, account_id: str, lots: list[_Lot]) -> None:
        held = self.lots.setdefault(account_id, [])
        held += lots
        held.sort(key=lambda each: (each.acquired_date, each.lot_id))

    def _reorganize(self, row: Reorganization, account_id: str) -> list[_Lot]:
        made: list[_Lot] = []
        for lot in self.lots[account_id]:
            if lot.known_from >= row.day:
                continue
            cost, taxed = fraction_of(lot.cost, row.cost_part), fraction_of(lot.taxed, row.cost_part)
            units = self.history.become(row, lot.units)
            made.append(_Lot(lot.lot_id, lot.acquired_date, units, cost, row.day, taxed))
            lot.cost, lot.taxed = total((lot.cost, cost.copy_negate())), total((lot.taxed, taxed.copy_negate()))
            lot.units = Fraction(0) if row.ends_old else lot.units
        self.lots[account_id] = [lot for lot in self.lots[account_id] if lot.units]
        return made

    def _exchange(self, row: Reorganization, account_id: str) -> None:
        """Count the money of a merger as income, and leave the cost; beyond a tenth, sell everything for both."""
        worth_of_one = Fraction(row.new_value or ZERO) * row.ratio
        if Fraction(row.money) > SMALL_MONEY * worth_of_one:
            self._sell_for_both(row, account_id, worth_of_one)
            return
        lots = [lot for lot in self.lots[account_id] if lot.known_from < row.day]
        units = sum((lot.units for lot in lots), Fraction(0)) / self.history.scale(row.asset, row.day)
        money = cents(Fraction(row.money) * units)
        if money:
            income = money_received(row.day, self.asset, money, ZERO, EXCHANGED_SOURCE)
            exempt = cents(Fraction(money) * Fraction(self.rules.exempt_part(self.asset)))
            pieces = tuple(replace(piece, exempt_gain=exempt) for piece in income.pieces)
            self.disposals.append(replace(income, pieces=pieces))

    def _sell_for_both(self, row: Reorganization, account_id: str, worth_of_one: Fraction) -> None:
        """Sell each lot for money and new units, which then cost what they are worth, from the day on."""
        for lot in self.lots[account_id]:
            if lot.known_from >= row.day:
                continue
            units = lot.units / self.history.scale(row.asset, row.day)
            worth = cents(worth_of_one * units)
            proceeds = total((cents(Fraction(row.money) * units), worth))
            quantity = self.history.quantity_on(self.asset, row.day, lot.units)
            cost = total((lot.cost, lot.taxed))
            piece = replace(self._piece(lot, ZERO, proceeds, cost, lot.taxed), source=MIXED_SOURCE)
            piece = replace(piece, note=f"{quantity} units went for money and new units")
            self.disposals.append(AssessedDisposal((), row.day, self.asset, ZERO, proceeds, (piece,)))
            lot.cost, lot.taxed, lot.acquired_date = worth, ZERO, row.day

    def _transfer(self, row: Transfer) -> None:
        """Move lots to another depot with what they cost: EStG § 43a Abs. 2 Satz 3; the oldest when none is named."""
        left = self.history.units(row)
        held = self.lots.get(row.account_id, [])
        named = [lot for lot_id in row.lot_ids for lot in held if lot.lot_id == lot_id]
        moved: list[_Lot] = []
        for lot in (*named, *(lot for lot in held if lot.lot_id not in row.lot_ids)):
            units = min(left, lot.units)
            if units:
                cost, taxed = lot.take(units)
                moved.append(_Lot(lot.lot_id, lot.acquired_date, units, cost, lot.known_from, taxed))
                left -= units
        if left:
            raise self._missing(row.account_id, row.day, left, "transferred")
        self.lots[row.account_id] = [lot for lot in held if lot.units]
        self._receive(row.to_account_id, moved)

    def _change(self, account_id: str, amount: Decimal) -> None:
        lots = self.lots.get(account_id, [])
        units = sum((lot.units for lot in lots), Fraction(0))
        for lot in lots:
            share = part(amount, lot.units, units)
            lot.cost, amount, units = total((lot.cost, share)), total((amount, share.copy_negate())), units - lot.units

    def _advance(self, year: int) -> None:
        if self.rules.kind(self.asset) not in FUNDS:
            return
        exempt = Fraction(self.rules.exempt_part(self.asset))
        for lot in (lot for _, lots in sorted(self.lots.items()) for lot in lots):
            scale = self.history.scale(self.asset, date(year, 12, 31))
            sums = cents(self.rules.lump_sum(self.asset, year, lot.acquired_date) * lot.units / scale)
            if sums:
                lot.taxed = total((lot.taxed, sums))
                income = cents(Fraction(sums) * (1 - exempt))
                self.lump_sums[year + 1] = total((self.lump_sums.get(year + 1, ZERO), income))

    def _sell(self, disposal: Disposal) -> None:
        left, proceeds = self.history.units(disposal), disposal.proceeds
        pieces: list[Piece] = []
        lots = self.lots.get(disposal.account_id, [])
        while left and lots:
            lot = lots[0]
            units = min(left, lot.units)
            share = part(proceeds, units, left)
            cost, taxed = lot.take(units)
            left, proceeds = left - units, total((proceeds, share.copy_negate()))
            quantity = self.history.quantity_on(self.asset, disposal.day, units)
            piece = self._piece(lot, quantity, share, total((cost, taxed)), taxed)
            if disposal.treatment is Treatment.AT_COST:
                piece = replace(treated(piece, disposal.treatment, disposal.source), exempt_gain=ZERO)
            pieces.append(piece)
            if not lot.units:
                lots.pop(0)
        if left:
            raise self._missing(disposal.account_id, disposal.day, left, "sold")
        self.disposals.append(
            AssessedDisposal(
                (disposal.disposal_id,),
                disposal.day,
                self.asset,
                disposal.quantity,
                total(piece.proceeds for piece in pieces),
                tuple(pieces),
            )
        )

    def _missing(self, account_id: str, day: date, units: Fraction, done: str) -> SoldMoreThanHeld:
        missing = self.history.quantity_on(self.asset, day, units)
        return SoldMoreThanHeld(
            f"{self.asset}: {missing} units {done} on {day} were never bought in {account_id}",
            asset=self.asset,
            date=day,
            missing=missing,
        )

    def _piece(self, lot: _Lot, quantity: Decimal, proceeds: Decimal, cost: Decimal, taxed: Decimal) -> Piece:
        piece = Piece(
            MatchRule.FIRST_IN_FIRST_OUT,
            quantity,
            proceeds,
            cost,
            FIFO_SOURCE,
            acquired_date=lot.acquired_date,
            lot_id=lot.lot_id,
            note=f"{taxed} of advance lump sums was taxed already (InvStG § 19 Abs. 1 Satz 3)" if taxed else "",
        )
        exempt = self.rules.exempt_part(self.asset)
        return replace(piece, exempt_gain=cents(Fraction(piece.gain) * Fraction(exempt))) if exempt else piece


def _by_day(rows: list[Row]) -> dict[date, list[Row]]:
    days: dict[date, list[Row]] = {}
    for row in rows:
        days.setdefault(row.day, []).append(row)
    return days
