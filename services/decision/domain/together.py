"""From inputs to plans, for many accounts at once: what `deciding` does for one, with the same plan for each.

First those that nothing asks about, from columns; then the others, as columns; what does not fit those is left open.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from services.decision.domain.deciding import (
    AccountInputs,
    Basis,
    answered,
    asked_of,
    drafted,
    failed,
    held_back,
    options_of,
    plan_outcome,
    policy_of,
    refused,
)
from services.decision.domain.decision import Decision
from services.decision.domain.plan import Draft, PlanContent
from services.decision.domain.problem import ZERO, AccountProblem, DecideOptions, RiskModel
from services.decision.domain.words import cents
from services.kernel.errors import Fact

# Decides about accounts that nothing asks about; None about the others.
DecideIdle = Callable[[Sequence[AccountInputs], Basis], Sequence[Decision | None]]
# Decides many; None where one must be decided by itself.
DecideMany = Callable[[Sequence[AccountProblem], RiskModel, Sequence[DecideOptions]], Sequence[Decision | None]]


@dataclass(frozen=True, slots=True)
class Together:
    """How accounts are decided together: first those that nothing asks about, then the others."""

    idle: DecideIdle
    decide: DecideMany


def draft_plans(inputs: Sequence[AccountInputs], basis: Basis, together: Together) -> list[Draft | None]:
    """Return the plans of accounts that are decided together, in order; None where one must be decided by itself.

    Args:
        inputs: Of the accounts.
        basis: Of the run.
        together: The optimisers of many; what they answer is checked.
    """
    drafts: list[Draft | None] = [None] * len(inputs)
    standing: list[int] = []
    for index, each in enumerate(inputs):
        drafts[index] = _found_before(each, basis)
        if drafts[index] is None:
            standing.append(index)
    asked: list[tuple[int, AccountProblem]] = []
    idle = together.idle([inputs[index] for index in standing], basis)
    for index, decision in zip(standing, idle, strict=True):
        if decision is not None:
            drafts[index] = _left_alone(inputs[index], basis, decision)
            continue
        try:
            problem = asked_of(inputs[index], basis)
        except Fact as fact:
            drafts[index] = refused(inputs[index], basis, fact)
            continue
        if isinstance(problem, Draft):
            drafts[index] = problem
        else:
            asked.append((index, problem))
    decisions = together.decide(
        [problem for _, problem in asked], basis.risk_model, [options_of(inputs[index], basis) for index, _ in asked]
    )
    for (index, problem), decision in zip(asked, decisions, strict=True):
        if decision is not None:
            drafts[index] = answered(inputs[index], basis, problem, decision)
    return drafts


def _found_before(inputs: AccountInputs, basis: Basis) -> Draft | None:
    """Return the plan of an account that nothing is asked about, whatever it holds; None of any other."""
    if inputs.refused is not None:
        return failed(inputs, basis, inputs.refused)
    try:
        return held_back(inputs, policy_of(inputs), basis)
    except Fact as fact:
        return refused(inputs, basis, fact)


def _left_alone(inputs: AccountInputs, basis: Basis, decision: Decision) -> Draft:
    """Return the plan of an account that nothing asks about."""
    policy = policy_of(inputs)
    content = PlanContent(inputs.account.currency, decision, tax_saved=cents(ZERO), targets=policy.weights)
    return drafted(inputs, basis, plan_outcome(decision), content)
