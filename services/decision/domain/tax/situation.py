"""A taxpayer today: what is held, what a sale of each lot would mean, by which rule, and what the year owes so far.

Every figure comes from the exact assessment: a sale is tried by adding it to the history, so windows, netting, caps and
brackets count as they do on the return. Where the law lets nobody choose lots (a pool, or the oldest first), a
position of one account is tried as a whole.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import cached_property

from services.decision.domain.problem import ZERO
from services.decision.domain.tax.assessment.history import Acquisition, Disposal, History, Owner, cents, total
from services.decision.domain.tax.assessment.results import AssessedDisposal, Assessment, Remaining, TaxRules, Term
from services.decision.domain.tax.assessment.united_kingdom import UnitedKingdom
from services.decision.domain.tax.assessment.united_kingdom import tax_year_of as year_from_april
from services.decision.domain.tax.ledger import PendingPurchase
from services.decision.domain.tax.united_states import long_term_from
from services.decision.domain.tax.windows import WINDOW

# Tried sales are named so, and purchases that are on their way; no event on record may be.
TRIED = "tried:"
PENDING = "pending:"


def tax_year_of(rules: TaxRules, day: date) -> int:
    """Return the tax year of a day, by the year in which it begins."""
    return year_from_april(day) if isinstance(rules, UnitedKingdom) else day.year


@dataclass(frozen=True, slots=True)
class Parcel:
    """What can be sold by itself: a lot, or where the law does not let lots be chosen an account's position.

    Attributes:
        lot_id: None for a position.
        acquired_date: None for a position.
        long_from: First day on which a sale is long-term; None where the law does not ask.
        value: Today.
        cost_known: False where the cost is taken as 0 for want of knowledge.
    """

    account_id: str
    asset: str
    lot_id: str | None
    quantity: Decimal
    cost: Decimal
    value: Decimal
    acquired_date: date | None = None
    long_from: date | None = None
    cost_known: bool = True

    @property
    def gain(self) -> Decimal:
        """Value less cost; negative is a loss."""
        return total((self.value, self.cost.copy_negate()))


@dataclass(frozen=True, slots=True)
class Explained:
    """What a sale of one parcel today would mean.

    Attributes:
        tax: What the sale alone would add to the year's tax; negative when it saves tax.
        rate: `tax` over the gain or loss that counts; 0 when nothing counts.
        disallowed_loss: Part of the loss that would not count.
        free_date: First day on which nothing bought until today would deny the loss; None when nothing does.
        source: Law and paragraph of the rule that decides.
        sentence: The same for people.
    """

    parcel: Parcel
    tax: Decimal
    rate: Decimal
    term: Term
    disallowed_loss: Decimal
    free_date: date | None
    source: str
    sentence: str


@dataclass(frozen=True)  # Without slots, so that what is assessed once is kept.
class Situation:
    """A taxpayer on a day.

    Attributes:
        rules: With what earlier years carried into the year.
        prices: Of one unit of each asset; what has none is left alone.
    """

    history: History
    rules: TaxRules
    tax_year: int
    today: date
    prices: Mapping[str, Decimal]

    @cached_property
    def assessment(self) -> Assessment:
        """The year so far."""
        return self.rules.assess(self.history, self.tax_year)

    def knowing(self, assessment: Assessment) -> "Situation":
        """Return the situation, of which the year so far was assessed already."""
        found = replace(self)
        # Where the property above keeps it.
        found.__dict__["assessment"] = assessment
        return found

    @property
    def tax(self) -> Decimal:
        """The year's tax so far."""
        return self.assessment.lines[-1].amount

    @cached_property
    def parcels(self) -> tuple[Parcel, ...]:
        """What of the taxpayer's own, taxed accounts can be sold today, by account, asset and lot."""
        unknown = set(self.history.unknown_costs)
        found: dict[tuple[str, str, str], Parcel] = {}
        for each in self.assessment.remaining:
            account_id = each.account_id or self._pool_account(each.asset)
            price = self.prices.get(each.asset)
            if price is None or account_id is None or not self.own(account_id):
                continue
            if each.lot_id is not None and each.lot_id.startswith(PENDING):
                continue
            parcel = self._parcel(each, account_id, price, unknown)
            key = account_id, each.asset, parcel.lot_id or ""
            found[key] = parcel if key not in found else _joined(found[key], parcel)
        return tuple(found[key] for key in sorted(found))

    @property
    def chooses_lots(self) -> bool:
        """Whether the law lets lots be named."""
        return self.rules.code == "US"

    def own(self, account_id: str) -> bool:
        """Return whether gains of the account are the taxpayer's and taxed."""
        account = self.history.account[account_id]
        return account.owner is Owner.TAXPAYER and not account.sheltered

    def _pool_account(self, asset: str) -> str | None:
        """Return the first own account that traded an asset whose units are pooled."""
        accounts = sorted({row.account_id for row in self.history.acquisitions if row.asset == asset})
        return next((each for each in accounts if self.own(each)), None)

    def _parcel(self, each: Remaining, account_id: str, price: Decimal, unknown: set[str]) -> Parcel:
        quantity = each.quantity
        named = each.lot_id if self.chooses_lots else None
        return Parcel(
            account_id,
            each.asset,
            named,
            quantity,
            each.cost,
            cents(Fraction(quantity) * Fraction(price)),
            each.acquired_date if named is not None else None,
            long_term_from(each.held_from_date) if named is not None and each.held_from_date is not None else None,
            each.lot_id not in unknown,
        )

    def sales(self, parcels: Iterable[Parcel]) -> tuple[Disposal, ...]:
        """Return today's sales of whole parcels."""
        return tuple(
            Disposal(
                f"{TRIED}{number}",
                self.today,
                each.account_id,
                each.asset,
                each.quantity,
                each.value,
                () if each.lot_id is None else (each.lot_id,),
            )
            for number, each in enumerate(parcels)
        )

    def with_pending(self, purchases: Sequence[PendingPurchase]) -> "Situation":
        """Return the situation with purchases that are on their way: they deny losses, and cannot be sold yet.

        Where the law pools units, a purchase would change what all of them cost: there the situation stays.
        """
        if not self.chooses_lots or not purchases:
            return self
        bought = tuple(
            Acquisition(f"{PENDING}{number}", self.today, each.account_id, each.instrument_id, each.quantity, ZERO)
            for number, each in enumerate(purchases)
        )
        return replace(self, history=replace(self.history, acquisitions=(*self.history.acquisitions, *bought)))

    def with_sales(self, parcels: Iterable[Parcel]) -> "Situation":
        """Return the situation after selling parcels today."""
        sold = (*self.history.disposals, *self.sales(parcels))
        return replace(self, history=replace(self.history, disposals=sold))

    def tried(self) -> tuple[AssessedDisposal, ...]:
        """Return the disposals that were tried, as they are assessed."""
        return tuple(
            each for each in self.assessment.disposals if any(name.startswith(TRIED) for name in each.disposal_ids)
        )

    def open_losses(self) -> tuple[Decimal, Decimal]:
        """Return the losses on what is held: those that a sale today would realize, and those that would not count.

        A loss would not count when a purchase of the 30 days before, other than the parcel's own, can replace it.
        """
        counted: list[Decimal] = []
        denied: list[Decimal] = []
        for parcel in self.parcels:
            if parcel.gain < 0:
                (denied if self.replaced(parcel) else counted).append(parcel.gain.copy_negate())
        return total(counted), total(denied)

    def replaced(self, parcel: Parcel) -> bool:
        """Return whether a purchase of the 30 days before, other than the parcel's own, may deny a loss on it."""
        if self.rules.code not in ("US", "CA"):
            # The United Kingdom looks ahead only, Germany not at all.
            return False
        return any(
            row.lot_id != parcel.lot_id
            and row.purchased
            and self.today - WINDOW <= row.day <= self.today
            and self.history.same(row.asset, parcel.asset, self.today)
            for row in self.history.acquisitions
        )

    def explained(self, parcels: Sequence[Parcel]) -> tuple[Explained, ...]:
        """Return what the sale of each parcel by itself would mean, in the order given."""
        return tuple(self._explained(each) for each in parcels)

    def of_group(self, asset: str) -> "Situation":
        """Return the situation with nothing but what is identical to `asset`: what a sale of it finds, it finds there.

        Where assets became each other, nothing is left out.
        """
        history = self.history
        if history.reorganizations:
            return self
        name = history.identity(asset)
        return replace(
            self,
            history=replace(
                history,
                acquisitions=tuple(row for row in history.acquisitions if history.identity(row.asset) == name),
                disposals=tuple(row for row in history.disposals if history.identity(row.asset) == name),
                cost_changes=tuple(row for row in history.cost_changes if history.identity(row.asset) == name),
                transfers=tuple(row for row in history.transfers if history.identity(row.asset) == name),
                dividends=(),
            ),
        )

    def _explained(self, parcel: Parcel) -> Explained:
        group = self.of_group(parcel.asset)
        tried = group.with_sales((parcel,)).tried()
        pieces = [piece for each in tried for piece in each.pieces]
        if any(sale.day == self.today for sale in group.history.disposals):
            # What is sold with it cannot replace what was sold earlier today.
            after = self.with_sales((parcel,)).tax
        else:
            # What was sold before today does not change, so the year with the sale is the year and the sale.
            after = self.rules.tax_with(self.assessment, tried)
        tax = total((after, self.tax.copy_negate()))
        counted = total(piece.counted_gain for piece in pieces)
        disallowed = total(piece.disallowed_loss for piece in pieces)
        washed = next((piece for piece in pieces if piece.disallowed_loss), None)
        term = pieces[0].term if pieces else Term.ANY
        source = (washed or pieces[0]).source if pieces else ""
        rate = ZERO if counted == 0 else Decimal(round(Fraction(tax) / Fraction(counted) * 10_000)).scaleb(-4)
        free = self.free_date(parcel) if washed is not None else None
        return Explained(
            parcel, tax, rate, term, disallowed, free, source, _sentence(parcel, tax, term, disallowed, free, source)
        )

    def free_date(self, parcel: Parcel) -> date:
        """Return the first day on which no purchase until today is within 30 days of a sale."""
        near = [
            row.day
            for row in self.history.acquisitions
            if self.history.identity(row.asset) == self.history.identity(parcel.asset)
            and row.lot_id != parcel.lot_id
            and row.day <= self.today
        ]
        return max(near, default=self.today) + timedelta(days=31)


def _joined(one: Parcel, other: Parcel) -> Parcel:
    """Return two parts of one parcel as one; the younger decides the term, so that no rate is too low."""
    later = max((each for each in (one.long_from, other.long_from) if each is not None), default=None)
    return replace(
        one,
        quantity=one.quantity + other.quantity,
        cost=total((one.cost, other.cost)),
        value=total((one.value, other.value)),
        long_from=later,
        cost_known=one.cost_known and other.cost_known,
    )


# Parts of a parcel are in steps of a millionth of a unit, rounded up so that they bring enough.
PART_STEP = Decimal("0.000001")


def part_of(parcel: Parcel, amount: Decimal) -> Parcel:
    """Return the part of a parcel that brings at least `amount`, or all of it."""
    steps = math.ceil(Fraction(amount) / Fraction(parcel.value) * Fraction(parcel.quantity) / Fraction(PART_STEP))
    quantity = min(Decimal(steps) * PART_STEP, parcel.quantity)
    share = Fraction(quantity) / Fraction(parcel.quantity)
    value = max(cents(Fraction(parcel.value) * share), min(amount, parcel.value))
    return replace(parcel, quantity=quantity, value=value, cost=cents(Fraction(parcel.cost) * share))


def _sentence(parcel: Parcel, tax: Decimal, term: Term, disallowed: Decimal, free: date | None, source: str) -> str:
    name = f"lot {parcel.lot_id}" if parcel.lot_id is not None else f"the position in {parcel.account_id}"
    kind = {Term.SHORT: "short-term ", Term.LONG: "long-term ", Term.ANY: ""}[term]
    what = f"a {kind}gain of {parcel.gain}" if parcel.gain >= 0 else f"a {kind}loss of {-parcel.gain}"
    cost = f"costs {tax} of tax" if tax > 0 else f"saves {-tax} of tax" if tax < 0 else "changes no tax this year"
    said = f"Selling {name} of {parcel.asset} makes {what} and {cost}"
    if disallowed and free is not None:
        said += f"; {disallowed} of the loss would not count, from {free} on all of it would"
    known = "" if parcel.cost_known else " Its cost is unknown and was taken as 0."
    return f"{said} ({source}).{known}"
