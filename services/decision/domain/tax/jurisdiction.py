"""Where tax rules plug in.

The optimiser knows nothing of any country: a jurisdiction turns an account into data. Per lot it says how a sale
would be taxed and whether it may be sold at all; per instrument, whether it may be bought. A second method judges
a finished plan, from the trades alone, so that the checker need not believe what the first one said.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Protocol

from services.decision.domain.brackets import Brackets
from services.decision.domain.decision import Character, Trade
from services.decision.domain.problem import ZERO, AccountProblem, Holding, LotId, LotMethod, LotState, TaxProfile
from services.decision.domain.tax.assessment.us_years import FilingStatus
from services.decision.domain.tax.liability import Liability
from services.kernel.ids import InstrumentId


@dataclass(frozen=True, slots=True)
class LotTax:
    """How a sale out of one lot is taxed today.

    Attributes:
        gain_per_unit: What counts of price minus basis of one unit, in currency; negative is a loss.
        rate: Marginal rate of what counts of the gain, 0 to 1. A sale's tax is quantity · gain_per_unit · rate,
            negative for a credit.
        no_sell: Why tax rules forbid the sale; None when they do not.
        source: Law and paragraph of the rule that decides: how the gain is taxed, or why the lot may not be sold.
        long_from: First day on which a sale is long-term; None where it is already, or the law does not ask.
        exempt: Part of price minus basis that the law does not count, 0 to 1.
    """

    character: Character
    gain_per_unit: Decimal
    rate: Decimal
    no_sell: str | None = None
    source: str = ""
    long_from: date | None = None
    exempt: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class TaxView:
    """What tax rules say about an account today.

    Attributes:
        lots: Every lot.
        no_buy: Only what is forbidden.
        liability: What a plan's gains come to together; None where each lot is taxed by itself, at its rate.
    """

    lots: Mapping[LotId, LotTax]
    no_buy: Mapping[InstrumentId, str]
    liability: Liability | None = None


@dataclass(frozen=True, slots=True)
class TaxYear:
    """What a year comes to, in currency.

    Attributes:
        tax: On its gains; negative for what its losses save of other tax.
        carried: Losses that it carries on to later years, 0 or more.
        carried_rate: What a unit of carried loss is taken to be worth, 0 to 1: later gains meet it.
    """

    tax: Decimal
    carried: Decimal
    carried_rate: Decimal

    @property
    def liability(self) -> Decimal:
        """The tax, less the worth of the losses that are carried on."""
        return self.tax - self.carried * self.carried_rate


@dataclass(frozen=True, slots=True)
class Bracket:
    """What gains cost on top of a taxpayer's other income.

    Attributes:
        lower_rate: Of taxed gains of a tax year within `room`, 0 to 1.
        room: Amount, 0 or more.
        rate: Of those above it, 0 to 1; where there are brackets, of the first long-term gain.
        short_rate: Of the first short-term gain; None for the policy's.
        brackets: Which gains fill; None where there are only these rates.
    """

    lower_rate: Decimal
    room: Decimal
    rate: Decimal
    short_rate: Decimal | None = None
    brackets: Brackets | None = None


@dataclass(frozen=True, slots=True)
class Taxpayer:
    """What a policy tells of a taxpayer.

    Attributes:
        income: Of the tax year, after allowances and deductions and without gains, 0 or more.
        filing_status: How an American one files; None where it is not told.
        state_rate: Of the state on net gains, 0 to 1.
    """

    income: Decimal
    filing_status: FilingStatus | None = None
    state_rate: Decimal = ZERO


class GainsCount:
    """The part of `Jurisdiction` of a law that counts whole gains, whatever the asset is."""

    __slots__ = ()

    def exempt_part(self, holding: Holding) -> Decimal:  # noqa: ARG002 - of no asset
        """Return 0: nothing is exempt."""
        return ZERO


class PolicysRates:
    """The part of `Jurisdiction` of a law whose gains are planned at a policy's rates."""

    __slots__ = ()

    @property
    def by_income(self) -> bool:
        """Whether a policy's income decides the rates: it does not."""
        return False

    def bracket(
        self,
        day: date,  # noqa: ARG002 - of no day
        taxpayer: Taxpayer,  # noqa: ARG002 - and of no income
        amounts: Mapping[int, Mapping[str, Decimal]],  # noqa: ARG002 - by no amounts
    ) -> Bracket | None:
        """Return None: the policy's rates are the rates."""
        return None


class Jurisdiction(Protocol):
    """The tax rules of one country, as far as choosing trades needs them."""

    @property
    def first_year(self) -> int:
        """First tax year whose law the rules are."""
        ...

    @property
    def last_year(self) -> int:
        """Last tax year whose law was reviewed with this release; later ones are refused until somebody did."""
        ...

    @property
    def terms(self) -> bool:
        """Whether the rate depends on how long units were held; without, the long-term rate is the rate."""
        ...

    @property
    def pots(self) -> bool:
        """Whether losses on shares meet gains on shares only.

        Then what is called short-term, of gains and of losses, is on shares, and what is called long-term on all else.
        """
        ...

    def exempt_part(self, holding: Holding) -> Decimal:
        """Return the part of a gain or loss on a holding that the law does not count, 0 to 1."""
        ...

    @property
    def lot_method(self) -> LotMethod | None:
        """In which order the law takes lots; None where they may be chosen."""
        ...

    @property
    def netting_source(self) -> str:
        """Law and paragraphs by which gains and losses of a year meet."""
        ...

    @property
    def locked_days(self) -> int:
        """First day after a sale at a loss on which the same may be bought back; 0 where nothing forbids it."""
        ...

    @property
    def locked_source(self) -> str:
        """Law and paragraph of that."""
        ...

    @property
    def by_income(self) -> bool:
        """Whether rates depend on a taxpayer's other income, where a policy tells it."""
        ...

    def bracket(self, day: date, taxpayer: Taxpayer, amounts: Mapping[int, Mapping[str, Decimal]]) -> Bracket | None:
        """Return what gains of a day cost on top of an income; None where the policy's rates are the rates.

        Args:
            day: Decided for.
            taxpayer: Whose gains they are.
            amounts: Of law, by name, of those tax years of which others were approved than the release has.
        """
        ...

    def tax_year(self, day: date) -> int:
        """Return the tax year of a day, by the year in which it begins."""
        ...

    def year_of_trades(self, day: date) -> int:
        """Return the tax year in which gains of trades that are made on a day count."""
        ...

    def costed(self, lots: Sequence[LotState]) -> tuple[LotState, ...]:
        """Return the lots of one instrument with what the law says that they cost; their sum stays."""
        ...

    def view(self, problem: AccountProblem) -> TaxView:
        """Return what the rules say about every lot and instrument of the account."""
        ...

    def liability(self, profile: TaxProfile) -> Liability:
        """Return what the gains of a plan come to on top of the year's so far."""
        ...

    def year(self, profile: TaxProfile, short: Decimal, long: Decimal) -> TaxYear:
        """Return what the year comes to when a plan adds net gains to it, from the law and not from `liability`.

        Args:
            profile: With the year so far.
            short: Net short-term gain of the plan, in currency.
            long: Its net long-term gain; where the law knows neither terms nor pots, all of it.
        """
        ...

    def carried_on(self, profile: TaxProfile) -> tuple[Decimal, Decimal]:
        """Return the unused losses that the year leaves to the next, short-term and long-term, each 0 or more.

        They sum to what `year` carries on when nothing more is realized. Where the law knows neither terms nor pots,
        all of them are the first.
        """
        ...

    def broken_rules(self, problem: AccountProblem, trades: Sequence[Trade]) -> tuple[str, ...]:
        """Return a sentence for each rule that the finished plan breaks, in a stable order."""
        ...
