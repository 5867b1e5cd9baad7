"""What a policy's restrictions come to for one account: what may not be bought or sold, and what must be sold."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from decimal import ROUND_DOWN, ROUND_UP, Decimal

from services.decision.domain.book import AccountBook, HoldingKind, Position, TaxWrapper
from services.decision.domain.entering import kept_because
from services.decision.domain.grouping import WEIGHT_STEP
from services.decision.domain.instruments import Instrument
from services.decision.domain.policy import Policy, Restriction, RestrictionKind
from services.decision.domain.problem import (
    ONE,
    ZERO,
    AccountProblem,
    GroupLimit,
)
from services.decision.domain.tax import jurisdiction
from services.kernel.ids import InstrumentId


def restrictions_in_force(policy: Policy, at: datetime) -> dict[InstrumentId, Restriction]:
    """Return the restriction of each instrument that has one in force; several together forbid what each forbids."""
    chosen: dict[InstrumentId, Restriction] = {}
    for restriction in policy.restrictions:
        if not restriction.holds(at):
            continue
        other = chosen.get(restriction.instrument_id)
        kind = restriction.kind if other is None else _both(other.kind, restriction.kind)
        chosen[restriction.instrument_id] = replace(restriction, kind=kind)
    return {instrument_id: chosen[instrument_id] for instrument_id in sorted(chosen)}


def _both(one: RestrictionKind, other: RestrictionKind) -> RestrictionKind:
    kinds = {one, other}
    if len(kinds) == 1:
        return one
    # What must not be sold stays, even if it is excluded.
    if RestrictionKind.NO_SELL in kinds or RestrictionKind.NO_TRADE in kinds:
        return RestrictionKind.NO_TRADE
    return RestrictionKind.EXCLUDED


def weights_of_rest(policy: Policy, restrictions: Mapping[InstrumentId, Restriction]) -> Mapping[InstrumentId, Decimal]:
    """Return the targets without what is excluded, whose weight the others take in proportion, rounded down."""
    excluded = {each for each, rule in restrictions.items() if rule.kind is RestrictionKind.EXCLUDED}
    if not excluded & policy.weights.keys():
        return policy.weights
    kept = {each: weight for each, weight in policy.weights.items() if each not in excluded}
    before, after = sum(policy.weights.values(), ZERO), sum(kept.values(), ZERO)
    if after == 0:
        return {}
    return {each: (weight * before / after).quantize(WEIGHT_STEP, ROUND_DOWN) for each, weight in kept.items()}


def barred(
    account: AccountBook, instrument: Instrument, positions: list[Position], restriction: Restriction | None
) -> tuple[str | None, str | None]:
    """Return why the instrument may not be bought, and why not sold; None when it may."""
    if not instrument.tradable:
        return "cannot be traded", "cannot be traded"
    no_buy: str | None = None
    no_sell: str | None = None
    if restriction is not None:
        if restriction.kind is not RestrictionKind.NO_SELL:
            no_buy = restriction.reason
        if restriction.kind in (RestrictionKind.NO_SELL, RestrictionKind.NO_TRADE):
            no_sell = restriction.reason
    unknown_cost = account.tax_wrapper is TaxWrapper.TAXABLE and any(
        each.holding is HoldingKind.TRADED and not each.lots for each in positions
    )
    if unknown_cost:
        # A purchase would be joined with units of unknown cost and lose its own.
        no_buy = no_buy or "the cost of what is held is unknown"
    return no_buy, no_sell


def sold_out(problem: AccountProblem, instrument_id: InstrumentId) -> GroupLimit:
    """Return the limit that makes the plan sell all that can be sold of an excluded instrument."""
    holding = next(each for each in problem.holdings if each.instrument_id == instrument_id)
    tax = jurisdiction(problem.tax.jurisdiction).view(problem)
    bars = ((lot.quantity, kept_because(problem, holding, lot, tax)) for lot in holding.lots)
    kept = sum((quantity for quantity, reason in bars if reason is not None), ZERO)
    if holding.no_sell is not None:
        kept = holding.quantity
    # Nor can a part of an increment be sold.
    kept = min(holding.quantity, kept + (holding.quantity - kept) % holding.quantity_increment)
    left = (kept * holding.price + holding.held_away_value) / problem.mix_value
    return GroupLimit(
        name=f"excluded:{instrument_id}",
        instrument_ids=(instrument_id,),
        weight_max=min(ONE, left.quantize(WEIGHT_STEP, ROUND_UP)),
    )
