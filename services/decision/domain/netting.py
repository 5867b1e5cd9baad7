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
    """Return net short-term gain, and all other: where the law knows no terms, a gain counts as long-term."""
    short = sum((each.gain for each in sales if each.character is Character.SHORT), ZERO)
    return short, sum((each.gain for each in sales if each.character is not Character.SHORT), ZERO)


def netted(tax: TaxView, trades: Sequence[Trade]) -> tuple[Trade, ...]:
    """Return the trades with each lot's part of what all of them owe together."""
    sales = [sale for trade in trades for sale in trade.lot_sales]
    if tax.liability is None or not sales:
        return tuple(trades)
    gains = gains_of(sales)
    averages = tax.liability.averages(*gains)
    average = {each.lot_id: averages[0 if each.character is Character.SHORT else 1] for each in sales}
    parts = shared(
        to_cents(tax.liability.of(*gains)), {each.lot_id: Fraction(each.gain) * average[each.lot_id] for each in sales}
    )

    def taxed(sale: LotSale) -> LotSale:
        return replace(sale, rate=rate_of(average[sale.lot_id]), tax=parts[sale.lot_id])

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
        alone=cents(sum((each.gain * _own_rate(profile, each) for each in sales), ZERO)),
        short_marginal=marginal[0],
        long_marginal=marginal[1],
        source=rules.netting_source,
        sentence="",
    )
    return replace(found, sentence=_sentence(found, problem.currency))


def _so_far(profile: TaxProfile) -> tuple[Decimal, Decimal]:
    return profile.realized_short - profile.carried_short, profile.realized_long - profile.carried_long


def _own_rate(profile: TaxProfile, sale: LotSale) -> Decimal:
    return profile.short_rate if sale.character is Character.SHORT else profile.long_rate


def _sentence(told: TaxFigures, currency: str) -> str:
    kind = "gain" if told.net_after >= 0 else "loss"
    owed = (
        f"adds {money(told.tax, currency)} to the year's tax"
        if told.tax > 0
        else f"takes {money(-told.tax, currency)} off the year's tax"
        if told.tax < 0
        else "leaves the year's tax where it is"
    )
    said = f"With the plan the year has a net {kind} of {money(abs(told.net_after), currency)}: the plan {owed}"
    if told.carried > 0:
        said += f", and {money(told.carried, currency)} more of losses are carried on to later years"
    elif told.carried < 0:
        said += f", and {money(-told.carried, currency)} of carried losses are used up"
    if told.alone != told.liability:
        said += f"; each lot taxed by itself would make it {money(told.alone, currency)}"
    rates = (
        f"One more of gain would cost {percent(told.long_marginal)}"
        if told.short_marginal == told.long_marginal
        else f"One more of short-term gain would cost {percent(told.short_marginal)}, of long-term gain "
        f"{percent(told.long_marginal)}"
    )
    return f"{said} ({told.source}). {rates}."
