"""What a taxpayer could do today, compared by what is left after tax: wait, harvest losses or gains, raise money.

Sources:
    Harvesting is worth it when the tax saved exceeds the cost of trading and of giving up the right to harvest later:
    the latter is at most an at-the-money put over the days in which the same may not be bought back (31 in the United
    States, none in Germany), times the rate.
    Gains in the zero bracket: 26 U.S.C. § 1(h)(1)(B): as much gain as leaves the year's tax where it is.
    Waiting for the long term: § 1222; it pays unless the price falls by more than `break_even_fall`.
    Gifts to charity: § 170(e): the gain of a long-term lot is never taxed, so lots with most gain for their value go
    first.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from services.decision.domain.problem import ZERO
from services.decision.domain.tax import jurisdiction
from services.decision.domain.tax.assessment.history import Acquisition, cents, total
from services.decision.domain.tax.assessment.results import AssessedDisposal, Term, gain_on
from services.decision.domain.tax.converting import Conversion, conversions
from services.decision.domain.tax.drawing import Drawings, DrawingWish, drawings
from services.decision.domain.tax.giving import GiftWish, Giving, givings
from services.decision.domain.tax.option_value import at_the_money_put
from services.decision.domain.tax.projection import Projected, Scenario, all_projected
from services.decision.domain.tax.raising import CENT, Raiser
from services.decision.domain.tax.reentry import Reentry, reentries
from services.decision.domain.tax.situation import Explained, Parcel, Situation, part_of

# What is bought instead of what was sold, for the projection: worth 1 a unit.
PARKED = "parked:"


class ActionKind(StrEnum):
    """What could be done."""

    WAIT = "WAIT"
    HARVEST_LOSSES = "HARVEST_LOSSES"
    HARVEST_GAINS = "HARVEST_GAINS"


@dataclass(frozen=True, slots=True)
class Action:
    """Something to do today, and what comes of it.

    Attributes:
        tax: What it adds to the year's tax; negative when it saves.
        cost: Of trading there and back.
        waiting_value: What the right to harvest later is worth that it gives up; 0 or more.
        projected: In each scenario.
        advantage: After tax and cost over waiting, in each scenario.
        break_even_cost_bps: Trading cost, in basis points of what is sold, at which it is no better than waiting in the
            first scenario; 0 when nothing is sold.
        worth_it: Better than waiting in every scenario, and the tax it saves exceeds cost and waiting value.
    """

    kind: ActionKind
    parcels: tuple[Parcel, ...]
    tax: Decimal
    cost: Decimal
    waiting_value: Decimal
    projected: tuple[Projected, ...]
    advantage: tuple[Decimal, ...]
    break_even_cost_bps: Decimal
    worth_it: bool
    sentence: str


@dataclass(frozen=True, slots=True)
class Deferral:
    """A short-term gain, and what waiting for the long term is worth.

    Attributes:
        saved: Tax saved by selling from `long_from` on, at today's price.
        break_even_fall: Fall of the price, as a fraction, that eats up what is saved.
        risk_price: What insurance against any fall until then would cost: an at-the-money put.
    """

    parcel: Parcel
    days: int
    saved: Decimal
    break_even_fall: Decimal
    risk_price: Decimal


class Choice(StrEnum):
    """Which parcels a withdrawal takes."""

    LEAST_TAX = "LEAST_TAX"
    FIRST_IN_FIRST_OUT = "FIRST_IN_FIRST_OUT"
    HIGHEST_COST = "HIGHEST_COST"
    PROPORTIONAL = "PROPORTIONAL"


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """One way to raise money: parts of parcels, what they bring and what tax they add."""

    choice: Choice
    parcels: tuple[Parcel, ...]
    raised: Decimal
    tax: Decimal


@dataclass(frozen=True, slots=True)
class Terms:
    """What comparing asks about.

    Attributes:
        scenarios: At least one.
        spreads_bps: Full spread of each asset.
        volatility: Yearly, of the assets, for the price of waiting.
        minimum: A loss below it is not harvested.
        withdrawal: Money to raise; 0 for none.
        tax_limit: Most tax that raising money may add, 0 or more; None where nobody asks how much that raises.
        gift: What is to be given away; None where nothing is.
        drawing: What wrappers there are, and money to raise from them and taxed accounts; None where nobody asks.
    """

    scenarios: tuple[Scenario, ...]
    spreads_bps: Mapping[str, Decimal]
    volatility: Decimal
    minimum: Decimal = ZERO
    withdrawal: Decimal = ZERO
    tax_limit: Decimal | None = None
    gift: GiftWish | None = None
    drawing: DrawingWish | None = None


@dataclass(frozen=True, slots=True)
class Compared:
    """The actions, waiting first; what each parcel would mean by itself; deferrals, gifts and withdrawals.

    Attributes:
        gifts: Long-term lots with a gain, those that avoid most tax for their value first.
        withdrawals: The least tax first; empty when none was asked for, or there is not so much.
        most_withdrawable: What everything would bring after the tax that it adds.
        within_limit: The largest withdrawal that adds no more tax than the limit; None where nobody asked.
        reentries: The way back into each instrument of which losses are harvested.
        givings: Ways to give, the better first; empty when nothing is to be given, or nothing with a gain is there.
        drawings: Ways to raise money from all accounts, the best after tax first; None where nobody asked.
        conversions: What turning a traditional IRA into a Roth IRA would come to, the best first.
    """

    parcels: tuple[Explained, ...]
    actions: tuple[Action, ...]
    deferrals: tuple[Deferral, ...]
    gifts: tuple[Explained, ...]
    withdrawals: tuple[Withdrawal, ...]
    most_withdrawable: Decimal
    within_limit: Withdrawal | None = None
    reentries: tuple[Reentry, ...] = ()
    givings: tuple[Giving, ...] = ()
    drawings: Drawings | None = None
    conversions: tuple[Conversion, ...] = ()


def compare(situation: Situation, terms: Terms) -> Compared:
    """Return what could be done today, compared by what is left after tax."""
    explained = situation.explained(situation.parcels)
    waiting = all_projected(situation, terms.scenarios)
    nothing = (ZERO,) * len(waiting)
    wait = Action(ActionKind.WAIT, (), ZERO, ZERO, ZERO, waiting, nothing, ZERO, False, "Nothing is sold.")
    actions = [wait]
    losses = [each for each in explained if -each.parcel.gain >= max(terms.minimum, Decimal("0.01"))]
    free = tuple(each.parcel for each in losses if each.disallowed_loss == 0)
    if free:
        actions.append(_action(ActionKind.HARVEST_LOSSES, situation, terms, free, waiting, _losses_told))
    gains = _untaxed_gains(situation, explained)
    if gains:
        actions.append(_action(ActionKind.HARVEST_GAINS, situation, terms, gains, waiting, _gains_told))
    every = situation.with_sales(situation.parcels)
    bring = total(each.value for each in situation.parcels)
    owed = total((every.tax, situation.tax.copy_negate()))
    return Compared(
        parcels=explained,
        actions=tuple(actions),
        deferrals=tuple(_deferrals(situation, explained, terms)),
        gifts=tuple(_gifts(explained)),
        withdrawals=_withdrawals(situation, explained, terms.withdrawal),
        most_withdrawable=total((bring, owed.copy_negate())),
        within_limit=None if terms.tax_limit is None else _within_limit(situation, explained, terms.tax_limit),
        reentries=reentries(situation, [each for each in losses if each.disallowed_loss == 0]),
        givings=() if terms.gift is None else givings(situation, explained, terms.gift, terms.scenarios),
        drawings=(None if terms.drawing is None else drawings(situation, explained, terms.drawing, terms.scenarios)),
        conversions=() if terms.drawing is None else conversions(situation, terms.drawing, terms.scenarios),
    )


def _action(
    kind: ActionKind,
    situation: Situation,
    terms: Terms,
    parcels: tuple[Parcel, ...],
    waiting: Sequence[Projected],
    told: Callable[[Decimal, Decimal, Decimal, Decimal, int], str],
) -> Action:
    after = _reinvested(situation, parcels)
    tax = total((after.tax, situation.tax.copy_negate()))
    sold = total(each.value for each in parcels)
    cost = total(
        # Half of the spread to sell and half to buy again.
        cents(Fraction(each.value) * Fraction(terms.spreads_bps.get(each.asset, ZERO)) / 10_000)
        for each in parcels
    )
    waiting_value, locked_days = ZERO, jurisdiction(situation.rules.code).locked_days
    if kind is ActionKind.HARVEST_LOSSES and tax < 0:
        lost = total(each.gain for each in parcels)
        right = at_the_money_put(sold, terms.volatility, locked_days)
        waiting_value = cents(Fraction(right) * Fraction(tax) / Fraction(lost))
    shown = all_projected(after, terms.scenarios, -cost)
    advantage = tuple(total((mine.after_tax, -rest.after_tax)) for mine, rest in zip(shown, waiting, strict=True))
    grown = Fraction(1 + terms.scenarios[0].growth) ** terms.scenarios[0].years
    before_cost = Fraction(advantage[0]) + Fraction(cost) * grown
    break_even = Decimal(round(before_cost / grown / Fraction(sold) * 1_000_000)).scaleb(-2) if sold and grown else ZERO
    pays = kind is not ActionKind.HARVEST_LOSSES or -tax > cost + waiting_value
    return Action(
        kind,
        parcels,
        tax,
        cost,
        waiting_value,
        shown,
        advantage,
        break_even,
        pays and all(each > 0 for each in advantage),
        told(sold, tax, cost, waiting_value, locked_days),
    )


def _losses_told(sold: Decimal, tax: Decimal, cost: Decimal, waiting: Decimal, locked_days: int) -> str:
    said = f"Selling {sold} at a loss changes this year's tax by {tax}, costs {cost} to trade"
    if not locked_days:
        return f"{said}, and the same may be bought back at once."
    return (
        f"{said}, and gives up a right to harvest later that is worth {waiting}; the same may be bought back after "
        f"{locked_days - 1} days."
    )


def _gains_told(sold: Decimal, tax: Decimal, cost: Decimal, _: Decimal, __: int) -> str:
    return (
        f"Selling {sold} at a gain and buying it back adds {tax} to this year's tax, costs {cost}, and lifts the cost."
    )


def _reinvested(situation: Situation, parcels: tuple[Parcel, ...]) -> Situation:
    """Return the situation after selling parcels and buying something like them with the money."""
    after = situation.with_sales(parcels)
    bought = tuple(
        Acquisition(f"{PARKED}{number}", situation.today, each.account_id, f"{PARKED}{number}", each.value, each.value)
        for number, each in enumerate(parcels)
        if each.value > 0
    )
    return replace(
        after,
        history=replace(after.history, acquisitions=(*after.history.acquisitions, *bought)),
        prices={**situation.prices, **{each.asset: Decimal(1) for each in bought}},
    )


def _untaxed_gains(situation: Situation, explained: Sequence[Explained]) -> tuple[Parcel, ...]:
    """Return as many parcels with a gain as leave the year's tax where it is, the largest gains first."""
    chosen: list[Parcel] = []
    extra: list[AssessedDisposal] = []
    order = sorted(explained, key=lambda each: (-each.parcel.gain, each.parcel.asset, each.parcel.lot_id or ""))
    for each in order:
        if each.parcel.gain <= 0 or each.tax > 0:
            continue
        more = [*extra, gain_on(situation.today, each.parcel.gain, each.term, each.parcel.asset)]
        if situation.rules.tax_with(situation.assessment, more) <= situation.tax:
            chosen.append(each.parcel)
            extra = more
    # A gain that only uses up losses saves nothing: those would have been carried.
    carried = sum(line.amount for line in situation.rules.after(situation.assessment).brought_forward())
    return () if carried else tuple(chosen)


def _deferrals(situation: Situation, explained: Sequence[Explained], terms: Terms) -> list[Deferral]:
    found: list[Deferral] = []
    for each in explained:
        parcel = each.parcel
        if parcel.gain <= 0 or each.term is not Term.SHORT or parcel.long_from is None:
            continue
        later = situation.rules.tax_with(
            situation.assessment, (gain_on(situation.today, parcel.gain, Term.LONG, parcel.asset),)
        )
        saved = total((each.tax, total((later, situation.tax.copy_negate())).copy_negate()))
        if saved <= 0:
            continue
        long_rate = Fraction(later - situation.tax) / Fraction(parcel.gain)
        fall = Fraction(saved) / (Fraction(parcel.value) * (1 - long_rate))
        days = (parcel.long_from - situation.today).days
        shown = Decimal(round(fall * 10_000)).scaleb(-4)
        found.append(Deferral(parcel, days, saved, shown, at_the_money_put(parcel.value, terms.volatility, days)))
    return sorted(found, key=lambda each: (each.days, each.parcel.asset, each.parcel.lot_id or ""))


def _gifts(explained: Sequence[Explained]) -> list[Explained]:
    """Return the lots that avoid tax when they are given away, most of it for their value first."""
    given = [each for each in explained if each.parcel.gain > 0 and each.term is not Term.SHORT and each.tax > 0]
    return sorted(given, key=lambda each: (-Fraction(each.tax) / Fraction(each.parcel.value), each.parcel.lot_id or ""))


# Withdrawals.


def _withdrawals(situation: Situation, explained: Sequence[Explained], amount: Decimal) -> tuple[Withdrawal, ...]:
    if amount <= 0 or amount > total(each.parcel.value for each in explained):
        return ()
    ways = {
        Choice.LEAST_TAX: Raiser.of(situation, explained).least_tax(amount),
        Choice.FIRST_IN_FIRST_OUT: _taken(
            sorted(explained, key=lambda each: (each.parcel.acquired_date or date.min, each.parcel.lot_id or "")),
            amount,
        ),
        Choice.HIGHEST_COST: _taken(
            sorted(explained, key=lambda each: Fraction(each.parcel.gain) / (Fraction(each.parcel.value) or 1)), amount
        ),
        Choice.PROPORTIONAL: _proportional(explained, amount),
    }
    made = [_withdrawal(situation, choice, parcels) for choice, parcels in ways.items()]
    order = list(Choice)
    return tuple(sorted(made, key=lambda each: (each.tax, order.index(each.choice))))


def _within_limit(situation: Situation, explained: Sequence[Explained], limit: Decimal) -> Withdrawal | None:
    raiser = Raiser.of(situation, explained)

    def made(amount: Decimal) -> Withdrawal:
        return _withdrawal(situation, Choice.LEAST_TAX, raiser.least_tax(amount))

    if not raiser.explained:
        return None
    everything = made(raiser.most)
    if everything.tax <= limit:
        return everything
    # What may be sold without a gain, and then, by bisection to the cent, as much more as the exact tax allows.
    found, high = ZERO, raiser.most
    low = raiser.without_gain
    best = made(low) if low else None
    if best is not None and best.tax > limit:
        low, high, best = found, low, None
    while high - low > CENT:
        middle = ((low + high) / 2).quantize(CENT)
        tried = made(middle)
        if tried.tax <= limit:
            low, best = middle, tried
        else:
            high = middle
    return best


def _withdrawal(situation: Situation, choice: Choice, parcels: Sequence[Parcel]) -> Withdrawal:
    after = situation.with_sales(parcels)
    tax = total((after.tax, situation.tax.copy_negate()))
    return Withdrawal(choice, tuple(parcels), total(each.value for each in parcels), tax)


def _taken(explained: Sequence[Explained], amount: Decimal) -> list[Parcel]:
    taken: list[Parcel] = []
    for each in explained:
        if amount <= 0:
            break
        parcel = each.parcel if each.parcel.value <= amount else part_of(each.parcel, amount)
        taken.append(parcel)
        amount = total((amount, parcel.value.copy_negate()))
    return taken


def _proportional(explained: Sequence[Explained], amount: Decimal) -> list[Parcel]:
    whole, taken = total(each.parcel.value for each in explained), []
    for each in explained:
        share = cents(Fraction(amount) * Fraction(each.parcel.value) / Fraction(whole))
        if share > 0:
            taken.append(each.parcel if share == each.parcel.value else part_of(each.parcel, share))
    return taken
