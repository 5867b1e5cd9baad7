"""What an assessment says, the same for every country.

Each disposal is taken apart into pieces, each by one rule with its source, so that a person can follow it with the law
beside it. A year ends in lines: a stable name, an amount, and where the rule stands.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Protocol, Self, assert_never

from services.decision.domain.asset_kinds import AssetKind
from services.decision.domain.fund_years import FundYear
from services.decision.domain.problem import ZERO
from services.decision.domain.tax.assessment.history import Dividend, History, Treatment, total
from services.decision.domain.tax.assessment.law_table import Years
from services.kernel.errors import FieldViolation, Invalid, Rejected


@dataclass(frozen=True, slots=True)
class AssessedDividend:
    """A dividend and what of it is qualified, 0 to the whole. `held_days`: the fewest of any unit that got it."""

    dividend: Dividend
    qualified: Decimal
    held_days: int


class MatchRule(StrEnum):
    """By which rule units sold found the units that they were bought as."""

    # United Kingdom, TCGA 1992 s. 105(1)(b).
    SAME_DAY = "SAME_DAY"
    # United Kingdom, TCGA 1992 s. 106A(5): bought within the 30 days after.
    THIRTY_DAYS = "THIRTY_DAYS"
    # Average of all units held: United Kingdom TCGA 1992 s. 104, Canada ITA s. 47(1).
    POOL = "POOL"
    # Lots named to the broker.
    IDENTIFIED = "IDENTIFIED"
    # The oldest first.
    FIRST_IN_FIRST_OUT = "FIRST_IN_FIRST_OUT"
    # Standing orders to the broker: the newest, the dearest, and the least taxed first.
    LAST_IN_FIRST_OUT = "LAST_IN_FIRST_OUT"
    HIGHEST_COST = "HIGHEST_COST"
    LOWEST_TAX = "LOWEST_TAX"
    # Money that came beside the new units of a merger.
    EXCHANGED = "EXCHANGED"
    # Capital that came back beyond what the units had cost.
    CAPITAL_RETURNED = "CAPITAL_RETURNED"
    # The average of what the account holds, at the taxpayer's choice: United States 26 CFR § 1.1012-1(e).
    AVERAGE_COST = "AVERAGE_COST"


class Term(StrEnum):
    """How long the units were held, where rates depend on it."""

    ANY = "ANY"
    SHORT = "SHORT"
    LONG = "LONG"


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a disposal that found its cost by one rule.

    Attributes:
        quantity: In units of the disposal's day, to nine places.
        acquired_date: Day of purchase; None out of a pool.
        lot_id: Lot that the units came from; None where lots do not count.
        gain: Proceeds less cost; negative is a loss.
        disallowed_loss: Part of a loss that does not count now, 0 or more.
        exempt_gain: Part of the gain or loss that is exempt by the kind of asset, of the gain's sign.
        held_from_date: Day from which the holding period counts, earlier than `acquired_date` when it was tacked.
        source: Law and paragraph of the rule.
        note: What happened to a disallowed loss, in a sentence; empty without one.
        treatment: How the disposal counts; what leaves at its cost is on no form.
    """

    rule: MatchRule
    quantity: Decimal
    proceeds: Decimal
    cost: Decimal
    source: str
    acquired_date: date | None = None
    lot_id: str | None = None
    term: Term = Term.ANY
    disallowed_loss: Decimal = ZERO
    exempt_gain: Decimal = ZERO
    held_from_date: date | None = None
    note: str = ""
    treatment: Treatment = Treatment.SALE

    @property
    def gain(self) -> Decimal:
        """Proceeds less cost; negative is a loss."""
        return total((self.proceeds, self.cost.copy_negate()))

    @property
    def counted_gain(self) -> Decimal:
        """What of the gain counts in its year."""
        return total((self.gain, self.disallowed_loss, self.exempt_gain.copy_negate()))


@dataclass(frozen=True, slots=True)
class AssessedDisposal:
    """One disposal, or all of one asset on one day where the rules join them; `disposal_ids` names them.

    Capital returned beyond the cost is one without id and units.
    """

    disposal_ids: tuple[str, ...]
    day: date
    asset: str
    quantity: Decimal
    proceeds: Decimal
    pieces: tuple[Piece, ...]

    @property
    def counted_gain(self) -> Decimal:
        """What of the gain counts in its year."""
        return total(piece.counted_gain for piece in self.pieces)


def returned_capital(
    day: date, asset: str, amount: Decimal, source: str, *, lot_id: str | None = None, term: Term = Term.ANY
) -> AssessedDisposal:
    """Return the gain that capital returned beyond the cost of the units is: no units go with it."""
    piece = Piece(MatchRule.CAPITAL_RETURNED, ZERO, amount, ZERO, source, lot_id=lot_id, term=term)
    return AssessedDisposal((), day, asset, ZERO, amount, (piece,))


def money_received(
    day: date,
    asset: str,
    money: Decimal,
    cost: Decimal,
    source: str,
    *,
    lot_id: str | None = None,
    term: Term = Term.ANY,
) -> AssessedDisposal:
    """Return the gain that money beside the new units of a merger is, less the `cost` that it gave back."""
    piece = Piece(MatchRule.EXCHANGED, ZERO, money, cost, source, lot_id=lot_id, term=term)
    return AssessedDisposal((), day, asset, ZERO, money, (piece,))


def treated(piece: Piece, treatment: Treatment, source: str) -> Piece:
    """Return the piece of a sale as a disposal of that treatment counts; `source` says by which law."""
    match treatment:
        case Treatment.SALE if not source:
            return piece
        case Treatment.SALE | Treatment.DEEMED:
            return replace(piece, source=source, treatment=treatment)
        case Treatment.AT_COST:
            return replace(piece, source=source, treatment=treatment, proceeds=piece.cost)
        case Treatment.GAIN_EXEMPT:
            return replace(piece, source=source, treatment=treatment, exempt_gain=max(piece.gain, ZERO))
        case Treatment.LOSS_BARRED:
            barred = max(piece.gain.copy_negate(), ZERO)
            note = f"{barred} does not count ({source})" if barred else ""
            return replace(piece, source=source, treatment=treatment, disallowed_loss=barred, note=note)
        case _:
            assert_never(treatment)


def gain_on(day: date, amount: Decimal, term: Term = Term.ANY, asset: str = "") -> AssessedDisposal:
    """Return a disposal that gains `amount`, below 0 for a loss: for asking what it would cost."""
    gained, lost = max(amount, ZERO), max(amount.copy_negate(), ZERO)
    piece = Piece(MatchRule.IDENTIFIED, ZERO, gained, lost, "", term=term)
    return AssessedDisposal((), day, asset, ZERO, gained, (piece,))


@dataclass(frozen=True, slots=True)
class Remaining:
    """What is still held at the end of the history, and what it cost. `quantity` is in units of the last day.

    Attributes:
        may_replace: United States: as a purchase near a sale at a loss it may still deny that loss.
    """

    account_id: str | None
    asset: str
    quantity: Decimal
    cost: Decimal
    lot_id: str | None = None
    acquired_date: date | None = None
    held_from_date: date | None = None
    may_replace: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the year's computation: `name` is stable, `source` is law and paragraph."""

    name: str
    amount: Decimal
    source: str


@dataclass(frozen=True, slots=True)
class Assessment:
    """What a history comes to in one tax year.

    Attributes:
        first_date: First day of the tax year.
        last_date: Last day of the tax year.
        disposals: Of every year, oldest first; the lines count those of the tax year.
        remaining: By asset, account and lot.
        lines: In the order of the computation; the last is the tax.
        permanently_lost: Losses that never count: their replacement sits in a sheltered account, they arose before a
            gift, or went with one; 0 or more.
        dividends: United States: of every year, by ex-dividend date, and what of each is qualified.
        review: What a person should look at, in sentences: figures that rest on a careful reading of what is missing.
    """

    jurisdiction: str
    tax_year: int
    currency: str
    first_date: date
    last_date: date
    disposals: tuple[AssessedDisposal, ...]
    remaining: tuple[Remaining, ...]
    lines: tuple[Line, ...]
    permanently_lost: Decimal = ZERO
    review: tuple[str, ...] = ()
    dividends: tuple[AssessedDividend, ...] = ()

    def amount(self, name: str) -> Decimal:
        """Return the amount of the line called `name`.

        Raises:
            KeyError: There is no such line.
        """
        for line in self.lines:
            if line.name == name:
                return line.amount
        raise KeyError(name)

    def of_year(self) -> tuple[AssessedDisposal, ...]:
        """Return the disposals of the tax year."""
        return tuple(each for each in self.disposals if self.first_date <= each.day <= self.last_date)


def review_of(history: History) -> tuple[str, ...]:
    """Return what of the history a person should look at."""
    return tuple(f"lot {lot_id}: its cost is unknown and was taken as 0" for lot_id in history.unknown_costs)


class SoldMoreThanHeld(Rejected):
    """The history sells units that it never bought."""

    reason = "TAX_HISTORY_INCOMPLETE"


class TaxYearUnknown(Invalid):
    """No rules of that year are on record."""

    reason = "JURISDICTION_UNKNOWN"


def check_year(jurisdiction: str, tax_year: int, years: Years) -> None:
    """Refuse a year of which no amounts are in force.

    Raises:
        TaxYearUnknown: It is none of `years`.
    """
    if tax_year not in years:
        description = f"must be {min(years)} to {max(years)} for {jurisdiction}, was {tax_year}"
        raise TaxYearUnknown(
            f"tax_year {description}: its law must be proposed by one person and approved by another",
            violations=[FieldViolation("tax_year", description)],
        )


class AssetsAlike:
    """The part of `TaxRules` of a law to which all assets are alike."""

    __slots__ = ()

    def with_kinds(self, kinds: Mapping[str, AssetKind]) -> Self:  # noqa: ARG002 - nothing depends on them
        """Return the rules as they are."""
        return self

    def with_fund_years(self, fund_years: Sequence[FundYear]) -> Self:  # noqa: ARG002 - nothing depends on them
        """Return the rules as they are."""
        return self

    def on_shares(self, disposal: AssessedDisposal) -> bool:  # noqa: ARG002 - of none
        """Return False: gains on shares are not apart."""
        return False


class TaxRules(Protocol):
    """The law of one country about gains. `Facts` are what it must know about the taxpayer besides the history."""

    @property
    def code(self) -> str:
        """ISO 3166-1 code of the country."""
        ...

    def settled(self, history: History) -> History:
        """Return the history with gifts, deaths and moves into wrappers as purchases and sales; `assess` does it too.

        Raises:
            EventNotCovered: The law knows no such event.
        """
        ...

    def assess(self, history: History, tax_year: int) -> Assessment:
        """Return what the history comes to in `tax_year`.

        Raises:
            SoldMoreThanHeld: The history sells what it never bought.
            TaxYearUnknown: There are no rules for that year.
        """
        ...

    def with_years(self, years: Years) -> "TaxRules":
        """Return the rules with other amounts of law: those of the country's table."""
        ...

    def with_kinds(self, kinds: Mapping[str, AssetKind]) -> "TaxRules":
        """Return the rules that know what assets are, besides those of which they were told already."""
        ...

    def with_fund_years(self, fund_years: Sequence[FundYear]) -> "TaxRules":
        """Return the rules that know years of funds, besides those of which they were told already."""
        ...

    def on_shares(self, disposal: AssessedDisposal) -> bool:
        """Return whether it counts among gains on shares; of no disposal where the law does not keep those apart."""
        ...

    def tax_with(self, assessment: Assessment, extra: Sequence[AssessedDisposal]) -> Decimal:
        """Return the tax of the assessed year if the disposals of `extra` had been made in it too.

        Less the year's tax it is what a set of disposals costs, everything netted with everything; of one more unit of
        currency of gain or loss, it is that one's marginal value.
        """
        ...

    def after(self, earlier: Assessment) -> "TaxRules":
        """Return the rules for the year after `earlier`, with what it carried forward brought forward."""
        ...

    def carried_into(self, history: History, tax_year: int) -> "TaxRules":
        """Return the rules with the unused losses of the history's earlier years added to those stated.

        Years before the first whose rules are known carry nothing: state what they left.
        """
        ...

    def carried_and_assessed(self, history: History, tax_year: int) -> tuple["TaxRules", Assessment]:
        """Return `carried_into`, and what `assess` says by it: of a history that is walked once for all its years.

        Raises:
            SoldMoreThanHeld: The history sells what it never bought.
            TaxYearUnknown: There are no rules for that year, or for one from the first that is known to it.
        """
        ...

    def brought_forward(self) -> tuple[Line, ...]:
        """Return the losses that are brought forward, each with the name of the line that carries it on."""
        ...
