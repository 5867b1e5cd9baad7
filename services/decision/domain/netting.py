"""What do a plan's sales come to together? The year's liability with the plan less that without, shared among its lots.

Pricing each lot alone is wrong as soon as a loss meets a gain: a short-term loss that meets a long-term gain saves the
long-term rate and not its own. So the plan's tax is that of its net gains, exactly, and each lot bears of it what its
gain costs on average while all sales grow from nothing together (Aumann and Shapley 1974): the parts sum to the whole,
and where no corner of the law lies in between each lot bears its own rate.
"""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

from services.decision.domain.decision import Character, LotSale, TaxFigures, Trade
from services.decision.domain.problem import ZERO, AccountProblem, TaxProfile
from services.decision.domain.tax import TaxView, jurisdiction
from services.decision.domain.tax.liability import rate_of, shared, to_cents
from services.decision.domain.words import cents, money, percent


def gains_of(sales: Sequence[LotSale]) -> tuple[Decimal, Decimal]:
    """Return the net gain that counts of what a liability takes first, short-term or on shares, and of all else."""
    short = sum((each.counted_gain for each in sales if each.character.apart), ZERO)
    return short, sum((each.counted_gain for each in sales if not each.character.apart), ZERO)


def netted(tax: TaxView, trades: Sequence[Trade]) -> tuple[Trade, ...]:
    """Return the trades with each lot's part of what all of them owe together."""
    sales = [sale for trade in trades for sale in trade.lot_sales]
    if tax.liability is None or not sales:
        return tuple(trades)
    gains = gains_of(sales)
    averages = tax.liability.averages(*gains)
    average = {each.lot_id: averages[0 if each.character.apart else 1] for each in sales}
    owed: dict[str, Fraction] = {each.lot_id: Fraction(each.counted_gain) * average[each.lot_id] for each in sales}
    parts = shared(to_cents(tax.liability.of(*gains)), owed)

    def taxed(sale: LotSale) -> LotSale:
        counted = Fraction(sale.counted_gain) / Fraction(sale.gain) if sale.gain else Fraction(1)
        return replace(sale, rate=rate_of(average[sale.lot_id] * counted), tax=parts[sale.lot_id])

    return tuple(
        replace(trade, lot_sales=tuple(map(taxed, trade.lot_sales))) if trade.lot_sales else trade for trade in trades
    )


def tax_figures(problem: AccountProblem, trades: Sequence[Trade]) -> TaxFigures | None:
    """Return what the trades come to together; None of an account that is not taxed, or when nothing is sold."""
    sales = [sale for trade in trades for sale in trade.lot_sales]
    if not problem.tax.taxable or not sales:
        return None
    rules = jurisdiction(problem.tax.jurisdiction)
    profile, gains = problem.tax, gains_of(sales)
    before, after = rules.year(profile, ZERO, ZERO), rules.year(profile, *gains)
    so_far = _so_far(profile)
    left_before, left_after = rules.carried_on(profile), rules.carried_on(realizing(profile, *gains))
    marginal = rules.liability(profile).marginal(*gains)
    tax, worth = after.tax - before.tax, after.carried * after.carried_rate - before.carried * before.carried_rate
    # Both are rounded so that lots, which sum to the tax less the worth, add up.
    rounded_tax = to_cents(tax)
    found = TaxFigures(
        short_before=cents(so_far[0]),
        long_before=cents(so_far[1]),
        short_after=cents(so_far[0] + gains[0]),
        long_after=cents(so_far[1] + gains[1]),
        net_after=cents(so_far[0] + gains[0]) + cents(so_far[1] + gains[1]),
        tax=rounded_tax,
        carried=cents(after.carried - before.carried),
        carried_worth=rounded_tax - to_cents(tax - worth),
        alone=cents(sum((each.counted_gain * _own_rate(profile, each) for each in sales), ZERO)),
        short_marginal=marginal[0],
        long_marginal=marginal[1],
        source=rules.netting_source,
        sentence="",
        carried_apart=cents(left_after[0] - left_before[0]),
    )
    return replace(found, sentence=_sentence(found, problem.currency, pots=rules.pots))


def realizing(profile: TaxProfile, short: Decimal, long: Decimal) -> TaxProfile:
    """Return the profile with more net gain in its year."""
    return replace(profile, realized_short=profile.realized_short + short, realized_long=profile.realized_long + long)


def _so_far(profile: TaxProfile) -> tuple[Decimal, Decimal]:
    return profile.realized_short - profile.carried_short, profile.realized_long - profile.carried_long


def _own_rate(profile: TaxProfile, sale: LotSale) -> Decimal:
    return profile.short_rate if sale.character is Character.SHORT else profile.long_rate


def _sentence(told: TaxFigures, currency: str, *, pots: bool) -> str:
    owed = (
        f"adds {money(told.tax, currency)} to the year's tax"
        if told.tax > 0
        else f"takes {money(-told.tax, currency)} off the year's tax"
        if told.tax < 0
        else "leaves the year's tax where it is"
    )
    if pots:
        nets = f"{_net(told.short_after, currency)} on shares and {_net(told.long_after, currency)} on all else"
        carried = _carried(told.carried_apart, "losses on shares", currency)
        carried += _carried(told.carried - told.carried_apart, "other losses", currency)
    else:
        nets, carried = _net(told.net_after, currency), _carried(told.carried, "losses", currency)
    said = f"With the plan the year has {nets}: the plan {owed}{carried}"
    if told.alone != told.liability:
        said += f"; each lot taxed by itself would make it {money(told.alone, currency)}"
    first, other = ("gain on shares", "other gain") if pots else ("short-term gain", "long-term gain")
    rates = (
        f"One more of gain would cost {percent(told.long_marginal)}"
        if told.short_marginal == told.long_marginal
        else f"One more of {first} would cost {percent(told.short_marginal)}, of {other} {percent(told.long_marginal)}"
    )
    return f"{said} ({told.source}). {rates}."


def _net(gain: Decimal, currency: str) -> str:
    return f"a net {'gain' if gain >= 0 else 'loss'} of {money(abs(gain), currency)}"


def _carried(more: Decimal, what: str, currency: str) -> str:
    if more > 0:
        return f", and {money(more, currency)} more of {what} are carried on to later years"
    return f", and {money(-more, currency)} of carried {what} are used up" if more < 0 else ""
