"""From inputs to a plan: one pure function, which runs when an account is decided and again when its plan is replayed.

An account that cannot be decided gets a plan that says why: nothing about one account stops another. A plan leaves
here only if the exact check, which shares no code with the optimiser, finds nothing wrong with it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal

from services.decision.domain import outline
from services.decision.domain.account_problem import account_problem
from services.decision.domain.book import AccountBook, TaxWrapper
from services.decision.domain.decision import CENT, Decision, Outcome, Trade
from services.decision.domain.market import Market
from services.decision.domain.outline import Outline, outline_of
from services.decision.domain.plan import (
    Draft,
    Failure,
    HouseholdProof,
    PlanContent,
    PlanInputs,
    PlanLive,
    PlanOutcome,
    PlanUnsafe,
    PolicyNotInForce,
    Release,
    ReleasedTrade,
)
from services.decision.domain.policy import PLAN_LIFE_DEFAULT, Policy
from services.decision.domain.problem import (
    ZERO,
    AccountProblem,
    DecideOptions,
    Engine,
    LotId,
    RecentTrade,
    RiskModel,
    Side,
)
from services.decision.domain.recorded import recorded_bytes
from services.decision.domain.reviewing import risk_reasons, stress_reasons, too_far, within_budget
from services.decision.domain.safety_nets import review_reasons
from services.decision.domain.tax import jurisdiction
from services.kernel.canonical import content_hash
from services.kernel.errors import Fact, FieldViolation, Invalid
from services.kernel.ids import PolicyHash

Decide = Callable[[AccountProblem, RiskModel, DecideOptions], Decision]
# Returns what is wrong with a decision, in sentences; nothing when it may be released.
Check = Callable[[AccountProblem, Decision], Sequence[str]]
# Reason of an account that took longer than it may.
TOO_SLOW = "DEADLINE_PASSED"
# What a plan may fail for that does not follow from its inputs alone: time, and other plans.
NOT_OF_INPUTS = frozenset({TOO_SLOW, PlanLive.reason})
PAUSED = "The policy pauses this account: nothing is planned."


@dataclass(frozen=True, slots=True)
class Basis:
    """What all accounts of a run are decided on. The hashes name `market` and `risk_model`; money is in `currency`."""

    market: Market
    risk_model: RiskModel
    instruments_hash: str
    risk_model_hash: str
    engine: str
    as_of_time: datetime
    currency: str


@dataclass(frozen=True, slots=True)
class AccountInputs:
    """What one account is decided on.

    Attributes:
        policy: None when none was in force.
        household_trades: What other accounts of the household traded lately, or are about to.
        event: What happened that asks for a decision; empty for nothing.
        looked_regardless: Decide even inside the bands, because the account is due.
        requested: Decide even inside the bands, because somebody asks; never in a run.
        cash_flow: Money that came, negative for what went, since the account was decided last; 0 where nobody asks.
        refused: Why nothing is to be decided, found out before.
        household: What the accounts that were decided together come to; None where none had to give way.
    """

    account: AccountBook
    account_hash: str
    policy: Policy | None
    policy_hash: PolicyHash
    policy_version_hashes: tuple[str, ...]
    looked_regardless: bool = False
    requested: bool = False
    event: str = ""
    household_trades: tuple[RecentTrade, ...] = ()
    cash_flow: Decimal = ZERO
    refused: Failure | None = None
    household: HouseholdProof | None = None


def draft_plan(inputs: AccountInputs, basis: Basis, decide: Decide, check: Check) -> Draft:
    """Return the account's plan; the same inputs and build give the same plan.

    Args:
        inputs: Of the account.
        basis: Of the run.
        decide: The optimiser.
        check: The exact check of what it answers.
    """
    if inputs.refused is not None:
        return failed(inputs, basis, inputs.refused)
    try:
        return _decided(inputs, basis, decide, check)
    except Fact as fact:
        return refused(inputs, basis, fact)


def refused(inputs: AccountInputs, basis: Basis, fact: Fact) -> Draft:
    """Return the plan of an account that a fact keeps from being decided."""
    violations = fact.violations if isinstance(fact, Invalid) else ()
    details = tuple(f"{each.field}: {each.description}" for each in violations)
    return failed(inputs, basis, Failure(fact.reason, fact.message, details))


def failed(inputs: AccountInputs, basis: Basis, failure: Failure) -> Draft:
    """Return the plan of an account about which nothing could be decided."""
    outcome = PlanOutcome.UNSOLVED if failure.reason == TOO_SLOW else PlanOutcome.FAILED
    return drafted(inputs, basis, outcome, PlanContent(inputs.account.currency, failure=failure))


def _decided(inputs: AccountInputs, basis: Basis, decide: Decide, check: Check) -> Draft:
    asked = asked_of(inputs, basis)
    if isinstance(asked, Draft):
        return asked
    decision = decide(asked, basis.risk_model, options_of(inputs, basis))
    wrong = check(asked, decision)
    if wrong:
        account_id = inputs.account.account_id
        raise PlanUnsafe(f"the plan of account {account_id} fails its exact check: {'; '.join(wrong)}")
    return answered(inputs, basis, asked, decision)


def asked_of(inputs: AccountInputs, basis: Basis) -> AccountProblem | Draft:
    """Return what the optimiser is asked about the account; or its plan, where the optimiser need not be asked.

    Raises:
        Fact: Nothing can be decided about the account.
    """
    account, policy = inputs.account, policy_of(inputs)
    held = held_back(inputs, policy, basis)
    if held is not None:
        return held
    problem = problem_of(inputs, policy, basis)
    if (note := too_far(policy, problem)) is not None:
        return drafted(inputs, basis, PlanOutcome.NO_TRADE, PlanContent(account.currency, note=note))
    return problem


def policy_of(inputs: AccountInputs) -> Policy:
    """Return the account's policy.

    Raises:
        PolicyNotInForce: It has none.
    """
    if inputs.policy is None:
        account_id = inputs.account.account_id
        raise PolicyNotInForce(f"no policy is in force for account {account_id}", account_id=account_id)
    return inputs.policy


def held_back(inputs: AccountInputs, policy: Policy, basis: Basis) -> Draft | None:
    """Return the plan of an account that its policy keeps from being decided; None of any other.

    Raises:
        Invalid: The account is in another currency.
    """
    account = inputs.account
    if policy.hold is not None:
        held = f"The policy holds this account: {policy.hold}."
        return drafted(inputs, basis, PlanOutcome.NO_TRADE, PlanContent(account.currency, note=held))
    if policy.safety.paused:
        return drafted(inputs, basis, PlanOutcome.NO_TRADE, PlanContent(account.currency, note=PAUSED))
    if account.currency != basis.currency:
        violation = FieldViolation("account.currency", f"must be the run's {basis.currency}, was {account.currency}")
        raise Invalid(f"{violation.field} {violation.description}", violations=[violation])
    return None


def answered(inputs: AccountInputs, basis: Basis, problem: AccountProblem, decision: Decision) -> Draft:
    """Return the plan that a decision, which was checked, is for the account."""
    account, policy = inputs.account, policy_of(inputs)
    content = PlanContent(
        currency=account.currency,
        decision=decision,
        tax_saved=_first_in_first_out_tax(problem, decision) - _tax(decision),
        release=_release(problem, account, policy, decision) if decision.trades else None,
        targets=policy.weights,
    )
    reasons = review_reasons(policy, account.currency, decision) if decision.trades else ()
    reasons += risk_reasons(policy, problem, basis.risk_model, decision) if decision.trades else ()
    reasons += stress_reasons(policy, problem, decision) if decision.trades else ()
    return drafted(inputs, basis, plan_outcome(decision), content, reasons)


def problem_of(inputs: AccountInputs, policy: Policy, basis: Basis) -> AccountProblem:
    """Return what the optimiser is asked about the account.

    Raises:
        Fact: Nothing can be asked, as `account_problem` says.
    """
    problem = account_problem(
        inputs.account, policy, basis.market, basis.as_of_time, inputs.cash_flow, inputs.household_trades
    )
    return within_budget(policy, problem, basis.risk_model)


def options_of(inputs: AccountInputs, basis: Basis) -> DecideOptions:
    """Return how the account is decided."""
    return DecideOptions(
        ignore_triggers=inputs.looked_regardless or inputs.requested,
        engine=engine_of(basis.engine),
        event=inputs.event,
        due=inputs.looked_regardless,
    )


def drafted(
    inputs: AccountInputs,
    basis: Basis,
    outcome: PlanOutcome,
    content: PlanContent,
    review: tuple[str, ...] = (),
) -> Draft:
    """Return a plan, under the name that follows from its inputs and content; `review` is why a person must look."""
    prices = basis.market.prices
    named = PlanInputs(
        policy_hash=inputs.policy_hash,
        policy_version_hashes=inputs.policy_version_hashes,
        account_hash=inputs.account_hash,
        snapshot_id=str(inputs.account.snapshot_id),
        price_set_id=str(prices.price_set_id),
        instruments_hash=basis.instruments_hash,
        risk_model_hash=basis.risk_model_hash,
        engine=basis.engine,
        as_of_time=basis.as_of_time,
        looked_regardless=inputs.looked_regardless,
        event=inputs.event,
        household_trades=inputs.household_trades,
        cash_flow=inputs.cash_flow,
        household=inputs.household,
    )
    life = PLAN_LIFE_DEFAULT if inputs.policy is None else inputs.policy.plan_life
    return Draft(
        account_id=inputs.account.account_id,
        outcome=outcome,
        inputs=named,
        content=content,
        recorded_content=recorded_bytes(content),
        outline=_outline(content),
        plan_hash=plan_hash(inputs.account.account_id, outcome, named, content),
        review_reasons=review,
        expire_time=prices.as_of_time + life,
    )


def _outline(content: PlanContent) -> Outline:
    if content.decision is not None:
        return outline_of(content.decision, content.currency, content.tax_saved)
    failure = content.failure
    if failure is None:
        return Outline(content.currency, content.note, no_trade_reason=outline.PAUSED)
    sentence = "\n".join((f"{failure.reason}: {failure.message}", *failure.details))
    reason = outline.UNSOLVED if failure.reason == TOO_SLOW else outline.FAILED
    return Outline(content.currency, sentence, no_trade_reason=reason)


def told_together(draft: Draft, proof: HouseholdProof) -> Draft:
    """Return a plan that says what it and others of the household come to, under the name that follows from that."""
    named = replace(draft.inputs, household=proof)
    return replace(draft, inputs=named, plan_hash=plan_hash(draft.account_id, draft.outcome, named, draft.content))


def plan_hash(account_id: str, outcome: PlanOutcome, inputs: PlanInputs, content: PlanContent) -> str:
    """Return the name of a plan by what it rests on and what it does: inputs, trades and certificate."""
    decision = content.decision
    said = {
        "account_id": account_id,
        "certificate": None if decision is None else decision.certificate,
        "failure": content.failure,
        "inputs": inputs,
        "outcome": outcome,
        "release": content.release,
        "trades": () if decision is None else decision.trades,
    }
    return content_hash(recorded_bytes(said))


def engine_of(named: str) -> Engine:
    """Return what solves, by the first word of an engine's name; the reference model when it does not say."""
    word = named.partition(" ")[0].upper()
    return Engine(word) if word in (Engine.KERNEL, Engine.COLUMNS) else Engine.REFERENCE


def plan_outcome(decision: Decision) -> PlanOutcome:
    """Return what a decision makes of its plan."""
    match decision.outcome:
        case Outcome.TRADE:
            return PlanOutcome.TRADE
        case Outcome.NO_TRADE:
            return PlanOutcome.NO_TRADE
        case Outcome.INFEASIBLE:
            return PlanOutcome.INFEASIBLE
        case Outcome.FALLBACK_HOLD:
            return PlanOutcome.UNSOLVED


def _release(problem: AccountProblem, account: AccountBook, policy: Policy, decision: Decision) -> Release:
    holdings = {holding.instrument_id: holding for holding in problem.holdings}
    return Release(
        household_id=account.household_id,
        custodian=account.custodian,
        currency=account.currency,
        available_cash=max(ZERO, problem.cash - problem.cash_floor).quantize(CENT, ROUND_FLOOR),
        cash_shortfall=max(ZERO, problem.cash_floor - problem.cash).quantize(CENT, ROUND_CEILING),
        trades=tuple(
            ReleasedTrade(
                instrument_id=trade.instrument_id,
                side=trade.side,
                quantity=trade.quantity,
                quantity_increment=holdings[trade.instrument_id].quantity_increment,
                price=trade.price,
                trading_cost=trade.cost.total,
                held_quantity=holdings[trade.instrument_id].quantity,
            )
            for trade in decision.trades
        ),
        aggregation_consent=policy.execution.aggregation_consent,
        limit_distance_bps=policy.execution.limit_distance_bps,
        venue_id=policy.execution.venue_id,
        schedule=policy.execution.schedule,
        participation_limit=policy.execution.participation_limit,
        # 29 U.S.C. § 1106 and 26 U.S.C. § 4975(c): what a retirement account trades with another client of the firm may
        # be a prohibited transaction, and the exemption (29 U.S.C. § 1108(b)(19)) asks for more than a consent.
        crossing_consent=policy.execution.crossing_consent and account.tax_wrapper is TaxWrapper.TAXABLE,
    )


def _tax(decision: Decision) -> Decimal:
    return sum((trade.tax for trade in decision.trades), ZERO)


def _first_in_first_out_tax(problem: AccountProblem, decision: Decision) -> Decimal:
    """Return the estimated tax of selling the same quantities out of the oldest lots."""
    sales = [trade for trade in decision.trades if trade.side is Side.SELL]
    if not sales:
        return ZERO
    view = jurisdiction(problem.tax.jurisdiction).view(problem)
    short = long = total = ZERO
    for trade in sales:
        for lot_id, quantity in _oldest(problem, trade):
            taxed = view.lots[lot_id]
            gain = quantity * taxed.gain_per_unit
            total += gain * taxed.rate
            if taxed.character.apart:
                short += gain
            else:
                long += gain
    owed = total if view.liability is None else view.liability.of(short, long)
    return owed.quantize(CENT, ROUND_HALF_EVEN)


def _oldest(problem: AccountProblem, trade: Trade) -> list[tuple[LotId, Decimal]]:
    left = trade.quantity
    taken: list[tuple[LotId, Decimal]] = []
    lots = next(each.lots for each in problem.holdings if each.instrument_id == trade.instrument_id)
    for lot in sorted(lots, key=lambda each: (each.acquired_date, each.lot_id)):
        quantity = min(left, lot.quantity)
        if quantity > 0:
            taken.append((lot.lot_id, quantity))
        left -= quantity
    return taken
