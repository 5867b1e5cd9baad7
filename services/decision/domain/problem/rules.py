"""What a plan of one account must keep to and is judged by: tax, objective, cash, limits, steps and triggers."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum

from services.decision.domain.brackets import Brackets
from services.decision.domain.gain_rules import GainRules
from services.decision.domain.problem.holdings import ONE, ZERO, Side
from services.kernel.ids import InstrumentId


class LotMethod(StrEnum):
    """In which order a sale takes the lots that may be sold."""

    # Those whose sale costs least first, use of the gain budget counted.
    LOWEST_TAX = "LOWEST_TAX"
    # The oldest first.
    FIRST_IN_FIRST_OUT = "FIRST_IN_FIRST_OUT"
    # Those of the highest cost a unit first.
    HIGHEST_COST = "HIGHEST_COST"


@dataclass(frozen=True, slots=True)
class CashRule:
    """What cash must do.

    Attributes:
        floor: Least cash after the plan and its costs, in currency.
        floor_weight: The same as a weight; the larger of the two holds.
        ceiling_weight: Cash above this weight is outside its corridor: it triggers, and it costs like any excess.
        withdrawal: Money to raise on top of the floor, in currency: it leaves the account after the plan, or is spoken
            for otherwise, so it is no part of the mix.
        flow: A deposit (positive) or withdrawal that arrived since the last decision; not zero triggers.
    """

    floor: Decimal = ZERO
    floor_weight: Decimal = ZERO
    ceiling_weight: Decimal = ONE
    withdrawal: Decimal = ZERO
    flow: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class TaxProfile:
    """How the account's gains are taxed.

    Attributes:
        jurisdiction: Name of the registered rules, for instance `US`.
        taxable: False inside a wrapper (pension, ISA): sales have no tax and losses no value.
        short_rate: Of short-term gains, 0 to 1.
        long_rate: Of long-term gains, 0 to 1.
        gain_budget: Most net gain that may be realized in the tax year, in currency; None for no limit.
        realized_short: Net short-term gain of the year so far; negative for a loss. Where the law keeps losses on
            shares apart, what is called short-term is on shares, and what is called long-term on all else.
        realized_long: Net long-term gain of the year so far.
        carried_short: Unused short-term losses of earlier years, 0 or more: the year's gains meet them.
        carried_long: The same of long-term losses.
        allowance: What of the law's yearly amount the account may use, in currency: in the United States of losses that
            other income meets, elsewhere of gains that are free. None for what the law's rules take without being told.
        lot_method: In which order sales take lots.
        harvest_minimum: A lot whose whole loss is smaller, in currency, is not worth selling for it: its credit does
            not count.
        defer_short_term_gains: Lots with a short-term gain are kept until it is long-term.
        gain_credit: What a unit of gain that is not short-term saves later, 0 to 1, when it is realized now.
        lower_rate: Of taxed gains of a tax year within `lower_room`, 0 to 1, where the law knows no terms; of those
            above it is `long_rate`.
        lower_room: Taxed gains of a tax year that cost `lower_rate`, in currency, 0 or more.
        later_long_rate: Of long-term gains in later years, where this year's is another; None where it is not.
        brackets: Which the gains fill on top of other income, where they are planned so; the two rates are then those
            of the first gains.
    """

    jurisdiction: str
    taxable: bool
    short_rate: Decimal = ZERO
    long_rate: Decimal = ZERO
    gain_budget: Decimal | None = None
    realized_short: Decimal = ZERO
    realized_long: Decimal = ZERO
    lot_method: LotMethod = LotMethod.LOWEST_TAX
    harvest_minimum: Decimal = ZERO
    defer_short_term_gains: bool = False
    carried_short: Decimal = ZERO
    carried_long: Decimal = ZERO
    gain_credit: Decimal = ZERO
    allowance: Decimal | None = None
    lower_rate: Decimal = ZERO
    lower_room: Decimal = ZERO
    later_long_rate: Decimal | None = None
    brackets: Brackets | None = None


@dataclass(frozen=True, slots=True)
class RecentTrade:
    """A trade of the last weeks, for the wash-sale windows. `realized_gain` is of a sale; negative is a loss.

    `elsewhere` is of another account of the household, made or about to be.
    """

    instrument_id: InstrumentId
    side: Side
    trade_date: date
    realized_gain: Decimal = ZERO
    elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class Objective:
    """What the account's policy cares about: the weights of one objective, all in currency per currency.

    Attributes:
        risk_aversion: ½ · risk_aversion · yearly tracking variance is the fraction of the account that the
            deviation is felt to cost. At 10, a tracking error of 1 % costs 5 basis points.
        band_excess_price: Cost of each unit of weight outside its destination band (and of cash above its ceiling).
        tax_weight: 1 counts tax in full, 0 ignores it.
        cost_weight: 1 counts spread, commission and impact in full.
        loss_credit_weight: Part of a realized loss's tax credit that counts: at 0 a loss has no value.
        impact_coefficient: Y of the square-root law, impact = Y · daily volatility · √(value / daily value).
        net_benefit_min: A plan must beat doing nothing by at least this, in currency.
        horizon_years: How long `risk_aversion` lets a deviation be suffered for, above 0.
    """

    risk_aversion: Decimal
    band_excess_price: Decimal
    tax_weight: Decimal = ONE
    cost_weight: Decimal = ONE
    loss_credit_weight: Decimal = ONE
    impact_coefficient: Decimal = ZERO
    net_benefit_min: Decimal = ZERO
    horizon_years: Decimal = ONE


class LimitKind(StrEnum):
    """What a limit of several instruments together is about."""

    # Their weight: an asset class, an issuer, a sector.
    GROUP = "GROUP"
    # Their exposure to a factor: duration, beta, a currency.
    FACTOR = "FACTOR"
    # All that is held over the account's value; nothing is sold short, so the sum of weights.
    LEVERAGE = "LEVERAGE"
    # What is lost in a stress: only the most counts.
    STRESS = "STRESS"


@dataclass(frozen=True, slots=True)
class GroupLimit:
    """Least and most of several instruments together: `weight_min` ≤ Σ exposure · weight ≤ `weight_max`.

    Attributes:
        weight_min: 0 to 1 for a group; any number for a factor, in units of its exposures.
        weight_max: The same, and at least `weight_min`.
        exposures: Of a FACTOR or a STRESS, of a unit of weight of each instrument, in their order; empty for 1 each.
    """

    name: str
    instrument_ids: tuple[InstrumentId, ...]
    weight_min: Decimal = ZERO
    weight_max: Decimal = ONE
    kind: LimitKind = LimitKind.GROUP
    exposures: tuple[Decimal, ...] = ()

    @property
    def exposure_of(self) -> Mapping[InstrumentId, Decimal]:
        """What one unit of weight of each instrument adds to what is limited."""
        return dict(zip(self.instrument_ids, self.exposures or (ONE,) * len(self.instrument_ids), strict=True))


@dataclass(frozen=True, slots=True)
class Limits:
    """Hard limits of one plan.

    Attributes:
        turnover: Purchases plus sales over the mix value; None for no limit.
        groups: Also limits of factors, and of leverage.
        minimum_hold_days: A lot is not sold before it was held for so many days; 0 for no limit.
        names: Most instruments of which lots are held after the plan, 1 or more; what is left of one counts when it is
            an increment or more, and what is held away does not. None for no limit.
    """

    turnover: Decimal | None = None
    groups: tuple[GroupLimit, ...] = ()
    minimum_hold_days: int = 0
    names: int | None = None


@dataclass(frozen=True, slots=True)
class Ladder:
    """A rebalance made in `steps`, 2 or more, `days` apart, 1 or more.

    `gains` is what the policy asks of the tax years that later steps fall into; None for what holds in this one.
    """

    steps: int
    days: int
    gains: GainRules | None = None


@dataclass(frozen=True, slots=True)
class TotalTriggers:
    """What asks for a rebalance besides single weights; None never does.

    Attributes:
        drift: Half the sum of absolute deviations, cash included, above this.
        tracking_error: Of a year, as a fraction, above this.
    """

    drift: Decimal | None = None
    tracking_error: Decimal | None = None
