"""What if? The inputs of a decision with some of them changed; what they were changed from stays as it was.

Nothing here is ever recorded: a hypothetical account or price has a hash like any other, and no row behind it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

from services.decision.domain.deciding import AccountInputs, Basis
from services.decision.domain.plan import Draft, PlanOutcome
from services.decision.domain.policy import Restriction, RestrictionKind
from services.decision.domain.prices import PriceSetId, Quote
from services.decision.domain.problem import ZERO
from services.decision.domain.words import bps, cents, money, percent
from services.kernel.ids import InstrumentId

# Name of prices that nobody quoted.
HYPOTHETICAL = "hypothetical"
BPS_PER_ONE = Decimal(10_000)
# Why an instrument that a scenario leaves alone is not traded.
UNTOUCHED = "this preview leaves it alone"


@dataclass(frozen=True, slots=True)
class Scenario:
    """Changed inputs; what is at its default is as it is.

    Attributes:
        preset: Name of a preset of policy whose fields replace those of the effective policy.
        policy_document: A serialized policy document whose fields do, applied after the preset.
        whole_policy: Whether it is the whole effective policy instead; without a preset.
        deposit: Comes into the account before the plan, 0 or more.
        withdrawal: Leaves it after the plan, 0 or more.
        currency: Of both, which must be the account's; empty when there are none.
        prices: Prices of one unit, above 0.
        untouched: Instruments to leave alone.
        ignore_triggers: Decide even if nothing asks for it.
        event: What happened that asks for a decision, as a run may be started for; empty for nothing.
    """

    name: str
    preset: str = ""
    policy_document: bytes = b""
    deposit: Decimal = ZERO
    withdrawal: Decimal = ZERO
    currency: str = ""
    prices: Mapping[InstrumentId, Decimal] = field(default_factory=dict)
    untouched: tuple[InstrumentId, ...] = ()
    ignore_triggers: bool = False
    whole_policy: bool = False
    event: str = ""


def supposed(inputs: AccountInputs, scenario: Scenario) -> AccountInputs:
    """Return the account's inputs as the scenario has them; its policy document is already the scenario's."""
    account = inputs.account
    if scenario.deposit or scenario.withdrawal:
        account = replace(
            account,
            cash=account.cash + scenario.deposit,
            reserved_cash=account.reserved_cash + scenario.withdrawal,
        )
        inputs = replace(inputs, account=account, account_hash=account.account_hash)
        if inputs.policy is not None and inputs.policy.cash_flow_minimum is not None:
            # It has come when the plan is made; a withdrawal is yet to leave.
            inputs = replace(inputs, cash_flow=inputs.cash_flow + scenario.deposit)
    if scenario.untouched and inputs.policy is not None:
        barred = tuple(Restriction(each, RestrictionKind.NO_TRADE, UNTOUCHED) for each in scenario.untouched)
        policy = replace(inputs.policy, restrictions=(*inputs.policy.restrictions, *barred))
        inputs = replace(inputs, policy=policy)
    if scenario.event:
        inputs = replace(inputs, event=scenario.event)
    if scenario.ignore_triggers:
        inputs = replace(inputs, requested=True)
    return inputs


def supposed_basis(basis: Basis, scenario: Scenario) -> Basis:
    """Return what the run is decided on with the scenario's prices; quoted spreads stay as wide as they were."""
    if not scenario.prices:
        return basis
    prices = basis.market.prices
    quotes = dict(prices.quotes)
    for instrument_id, price in scenario.prices.items():
        quotes[instrument_id] = _moved(quotes.get(instrument_id), price)
    moved = replace(prices, price_set_id=PriceSetId(HYPOTHETICAL), content_hash=HYPOTHETICAL, quotes=quotes)
    return replace(basis, market=replace(basis.market, prices=moved))


def _moved(quote: Quote | None, price: Decimal) -> Quote:
    if quote is None:
        return Quote(price)
    by = price / quote.price
    return Quote(
        price,
        None if quote.bid is None else quote.bid * by,
        None if quote.ask is None else quote.ask * by,
        quote.average_daily_volume,
    )


@dataclass(frozen=True, slots=True)
class WhatIf:
    """Another plan beside one; differences are the other's figure less the one's, money in `currency`.

    Attributes:
        objective_bps: How much worse the other's objective is; None where the objectives are not the same function.
    """

    name: str
    outcome: PlanOutcome
    currency: str
    objective_bps: Decimal | None
    drift_after: Decimal
    trading_cost: Decimal
    tax: Decimal
    turnover: Decimal
    sentence: str


def what_if(name: str, one: Draft, other: Draft, *, same_objective: bool) -> WhatIf | None:
    """Return `other` beside `one`; None when one of them has no decision."""
    here, there = one.outline, other.outline
    if here.summary is None or there.summary is None or here.certificate is None or there.certificate is None:
        return None
    before, after = here.totals, there.totals
    worse = there.certificate.primal_bps - here.certificate.primal_bps if same_objective else None
    cost, tax = after.trading_cost - before.trading_cost, after.tax - before.tax
    drift = there.summary.drift_after
    sentence = (
        f"{name}: drift is {percent(drift)} after it, trading costs {_more(cost, here.currency)} and tax is "
        f"{_more(tax, here.currency)}."
    )
    if worse is not None:
        amount = cents(worse / BPS_PER_ONE * here.summary.mix_value)
        how = "worse" if worse >= 0 else "better"
        sentence += f" All counted it is {money(abs(amount), here.currency)} ({bps(abs(worse))}) {how}."
    return WhatIf(
        name=name,
        outcome=other.outcome,
        currency=here.currency,
        objective_bps=worse,
        drift_after=drift,
        trading_cost=cost,
        tax=tax,
        turnover=after.turnover - before.turnover,
        sentence=sentence,
    )


def _more(amount: Decimal, currency: str) -> str:
    return f"{money(abs(amount), currency)} {'more' if amount >= 0 else 'less'}"
