"""The rows of a tax history: what happened to a taxpayer's lots, one event a row.

Amounts are in the tax currency at the rate of their own day. How a country's law takes a gift, an inheritance or a move
into a wrapper is in `settling.py`: it turns them into purchases and sales with a treatment.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from services.decision.domain.problem import ZERO


class LotMethod(StrEnum):
    """Which lots a disposal takes, where the law lets them be chosen; what `lot_ids` names goes first in any case."""

    # The oldest first: what counts where nothing was chosen.
    FIRST_IN_FIRST_OUT = "FIRST_IN_FIRST_OUT"
    LAST_IN_FIRST_OUT = "LAST_IN_FIRST_OUT"
    # The dearest first, by cost of a unit.
    HIGHEST_COST = "HIGHEST_COST"
    # Least tax first, by the taxpayer's rates of the year: losses, then the gains that cost least.
    LOWEST_TAX = "LOWEST_TAX"
    # Each unit costs the average of all that the account holds.
    AVERAGE_COST = "AVERAGE_COST"


class Owner(StrEnum):
    """Whose an account is."""

    TAXPAYER = "TAXPAYER"
    # A spouse, or who else the country's rules count as one with the taxpayer.
    AFFILIATED = "AFFILIATED"


@dataclass(frozen=True, slots=True)
class TaxAccount:
    """An account of the history. `sheltered`: its own gains are not taxed when realized (IRA, ISA, RRSP, TFSA)."""

    account_id: str
    owner: Owner = Owner.TAXPAYER
    sheltered: bool = False


class Treatment(StrEnum):
    """How a disposal counts."""

    SALE = "SALE"
    # It is none to the tax: the units go at what they cost.
    AT_COST = "AT_COST"
    # A gain does not count, a loss does.
    GAIN_EXEMPT = "GAIN_EXEMPT"
    # A loss does not count, a gain does.
    LOSS_BARRED = "LOSS_BARRED"
    # As a sale at what the units are worth; no rule denies a loss.
    DEEMED = "DEEMED"


class Recipient(StrEnum):
    """To whom units are given."""

    PERSON = "PERSON"
    SPOUSE = "SPOUSE"
    CHARITY = "CHARITY"
    # The owner died.
    HEIRS = "HEIRS"


class Giver(StrEnum):
    """From whom units are received without price."""

    PERSON = "PERSON"
    SPOUSE = "SPOUSE"
    # Of somebody who died.
    ESTATE = "ESTATE"


@dataclass(frozen=True, slots=True)
class Acquisition:
    """Units that came in. `cost` is all that was paid for them, expenses included, 0 or more.

    Attributes:
        lot_id: Unique in the history; names the lot in later disposals.
        asset: What was bought. Assets that the rules call identical have one name, or are one of `History.identical`.
        cost_known: False where nobody knows what the units cost; then `cost` is 0, so that the tax is rather too high
            than too low, and the assessment lists the lot for review.
        reinvested: Whether a distribution of the same asset paid for it.
        as_of: Day on which quantity and cost are as given: what happened to the asset until then is in them. None is
            the day of the purchase.
        purchased: Whether it was bought, so that it can replace what is sold at a loss; not so what was given.
        held_from: Day from which the holding period counts, for gains; None is `day`.
        loss_cost: United States: what counts as the cost when the units are sold at a loss; None is `cost`.
    """

    lot_id: str
    day: date
    account_id: str
    asset: str
    quantity: Decimal
    cost: Decimal
    cost_known: bool = True
    reinvested: bool = False
    as_of: date | None = None
    purchased: bool = True
    held_from: date | None = None
    loss_cost: Decimal | None = None

    @property
    def known_from(self) -> date:
        """Day on which quantity and cost are as given."""
        return self.as_of or self.day


@dataclass(frozen=True, slots=True)
class Disposal:
    """Units that went out. `proceeds` is what came in for them, expenses taken off, 0 or more.

    Attributes:
        lot_ids: Lots that were identified to the broker, in order; what they do not cover is chosen by the rule of the
            country. Ignored where lots cannot be chosen.
        method: Which lots are taken after those named. Ignored where lots cannot be chosen.
        treatment: How it counts; `source` says by which law, when it is no sale.
    """

    disposal_id: str
    day: date
    account_id: str
    asset: str
    quantity: Decimal
    proceeds: Decimal
    lot_ids: tuple[str, ...] = ()
    method: LotMethod = LotMethod.FIRST_IN_FIRST_OUT
    treatment: Treatment = Treatment.SALE
    source: str = ""


@dataclass(frozen=True, slots=True)
class Gift:
    """Units that went to somebody without price. `value` is what all of them were worth on the day, 0 or more.

    At the owner's death every position goes to `HEIRS`. `lot_ids` as in a disposal.
    """

    gift_id: str
    day: date
    account_id: str
    asset: str
    quantity: Decimal
    value: Decimal
    recipient: Recipient
    lot_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Receipt:
    """Units that came from somebody without price.

    Attributes:
        lot_id: Names the lot in later disposals, as that of a purchase.
        value: What all of them were worth on the day, or at the death; 0 or more.
        giver_cost: What all of them had cost the giver, by the giver's law; None where nobody knows.
        giver_date: Day from which the giver held them; None where nobody knows.
    """

    lot_id: str
    day: date
    account_id: str
    asset: str
    quantity: Decimal
    value: Decimal
    giver: Giver
    giver_cost: Decimal | None = None
    giver_date: date | None = None


@dataclass(frozen=True, slots=True)
class Split:
    """`old_units` became `new_units` before trading on `day`, in every account."""

    day: date
    asset: str
    new_units: int
    old_units: int

    @property
    def ratio(self) -> Fraction:
        """How many new units one old unit became."""
        return Fraction(self.new_units, self.old_units)


@dataclass(frozen=True, slots=True)
class CostChange:
    """A change of what the units held cost: below 0 a return of capital, above 0 income reinvested inside a fund.

    It counts before the disposals of its day.
    """

    day: date
    account_id: str
    asset: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Reorganization:
    """A merger or a spin-off: what every account held of one asset became, in part, another asset.

    It happens before trading on `day`: units bought on that day are not part of it. Cost and holding period go along
    (26 U.S.C. § 354, § 355, § 358, § 1223(1); TCGA 1992 s. 127, s. 130; ITA s. 85.1, s. 86, s. 86.1; EStG § 20 Abs.
    4a). Money paid beside the new units is taxed as each law says; paid for parts of a unit, it is a disposal.

    Attributes:
        cost_part: Part of each lot's cost that goes to the new units, above 0 to 1. At 1 the old units are gone (a
            merger); below 1 they stay (a spin-off).
        new_units: So many new units come for `old_units`.
        money: Paid for each old unit beside the new ones, 0 or more; only where the old units are gone.
        new_value: What one new unit was worth on the day; None where no money is paid.
    """

    day: date
    asset: str
    new_asset: str
    new_units: int
    old_units: int
    cost_part: Decimal = Decimal(1)
    money: Decimal = ZERO
    new_value: Decimal | None = None

    @property
    def ratio(self) -> Fraction:
        """How many new units come for one old unit."""
        return Fraction(self.new_units, self.old_units)

    @property
    def ends_old(self) -> bool:
        """Whether the old units are gone afterwards."""
        return self.cost_part == 1


@dataclass(frozen=True, slots=True)
class Redemption:
    """Every unit of an asset was taken for money before trading on `day`: a merger for money alone, a redemption.

    It is a sale of all that each account held (26 U.S.C. § 1001, § 302(a), § 331(a); TCGA 1992 s. 22; ITA s. 54
    "disposition" (b); EStG § 20 Abs. 2 Satz 2): all of its cost meets the money.

    Attributes:
        money: For each unit, 0 or more.
    """

    day: date
    asset: str
    money: Decimal


@dataclass(frozen=True, slots=True)
class Transfer:
    """Units that went from one account of the history to another, before trading on `day`.

    Between own accounts cost and time go along. To an account of an affiliated person it is a gift to the spouse.
    Into a wrapper or out of one, each law says what it is. `lot_ids` as in a disposal; what they do not cover are the
    oldest.

    Attributes:
        value: What all of the units were worth on the day; needed where one account is sheltered and the other is not.
    """

    transfer_id: str
    day: date
    account_id: str
    to_account_id: str
    asset: str
    quantity: Decimal
    lot_ids: tuple[str, ...] = ()
    value: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Dividend:
    """A dividend on the units that an account held when `day`, the ex-dividend date, began. `amount` is 0 or more."""

    dividend_id: str
    day: date
    account_id: str
    asset: str
    amount: Decimal
