"""The road of columns beside the road of objects, account by account: what one of them gets wrong the other shows.

    python -m tests.decision.domain.bulk.against 10000
    NUMBA_DISABLE_JIT=1 python -m tests.decision.domain.bulk.against 40    uncompiled: slow, can be stepped through

Accounts are those of `random_accounts`: every limit, wash sales, identical instruments, increments of a billionth, held
away, cash below its floor. It prints what it counted and ends with code 1 at the first account where the roads
contradict each other.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st

from services.decision.domain.bulk import decide_many
from services.decision.domain.checker import violations
from services.decision.domain.decide import decide
from services.decision.domain.decision import Decision, Outcome
from services.decision.domain.idle import idle_decisions
from services.decision.domain.plan import PlanContent
from services.decision.domain.problem import AccountProblem, DecideOptions, Engine, RiskModel
from services.decision.domain.recorded import read_recorded
from services.decision.domain.together import Together, draft_plans
from tests.bench import books
from tests.support.random_accounts import accounts, risk_models

TOGETHER = Together(idle_decisions, decide_many)
ANSWERED = (Outcome.TRADE, Outcome.NO_TRADE)
# In basis points. A bound is computed in another order here and there.
ROUNDING_BPS = Decimal("0.0001")
# A plan may be this much worse than the other road's: both are searches among whole increments, near one optimum.
# `worse` counts those that are.
NEAR_BPS = Decimal("0.5")


def contradictions(problem: AccountProblem, risk: RiskModel, columns: Decision, objects: Decision) -> Iterator[str]:
    """Yield what cannot be if both roads are right."""
    mine, theirs = columns.certificate, objects.certificate
    if broken := violations(problem, columns.trades) if columns.trades else ():
        yield f"the exact check finds {broken[0]}"
    if mine.primal_bps < mine.dual_bps - ROUNDING_BPS:
        yield f"the plan's value {mine.primal_bps} is below its own bound {mine.dual_bps}"
    if objects.outcome in ANSWERED:
        if theirs.primal_bps < mine.dual_bps - ROUNDING_BPS:
            yield f"the other plan's value {theirs.primal_bps} is below the bound {mine.dual_bps}"
        if mine.primal_bps < theirs.dual_bps - ROUNDING_BPS:
            yield f"the plan's value {mine.primal_bps} is below the other's bound {theirs.dual_bps}"
    if traded(columns) == traded(objects) and columns.outcome == objects.outcome:
        same = replace(columns.explanation, binding=()), replace(objects.explanation, binding=())
        if columns.explanation.no_trade_reason == objects.explanation.no_trade_reason and same[0] != same[1]:
            yield f"the same trades are explained differently:\n{same[0]}\n{same[1]}"
        if (
            abs(mine.primal_bps - theirs.primal_bps) > ROUNDING_BPS
            or abs(mine.hold_bps - theirs.hold_bps) > ROUNDING_BPS
        ):
            yield f"the same trades have another value: {mine.primal_bps}, {theirs.primal_bps}"


def traded(decision: Decision) -> list[tuple[str, str, Decimal]]:
    """Return what is traded."""
    return [(each.instrument_id, each.side, each.quantity) for each in decision.trades]


def compare(problem: AccountProblem, risk: RiskModel, asked: bool, counts: Counter[str]) -> None:
    """Decide an account on both roads and count what comes of it.

    Raises:
        AssertionError: They contradict each other.
    """
    options = DecideOptions(ignore_triggers=asked, engine=Engine.COLUMNS)
    (columns,) = decide_many([problem], risk, [options])
    counts["accounts"] += 1
    if columns is None:
        counts["other road"] += 1
        return
    objects = decide(problem, risk, options)
    counts[f"{columns.outcome}"] += 1
    found = list(contradictions(problem, risk, columns, objects))
    assert not found, f"{found}\n{problem}"
    if objects.outcome not in ANSWERED:
        counts["answered only by columns"] += 1
        return
    by = columns.certificate.primal_bps - objects.certificate.primal_bps
    if traded(columns) == traded(objects):
        counts["same trades"] += 1
    elif by <= 0:
        counts["better"] += 1
    else:
        counts["near" if by <= NEAR_BPS else "worse"] += 1


def repeat(count: int, seed: int, counts: Counter[str]) -> None:
    """Check that an account's plan does not depend on the accounts beside it: the same recorded bytes, the same hash.

    Raises:
        AssertionError: It does.
    """
    inputs, basis = books.inputs(count, seed, engine="columns")
    together = draft_plans(inputs, basis, TOGETHER)
    for each, draft in zip(inputs, together, strict=True):
        (alone,) = draft_plans([each], basis, TOGETHER)
        assert draft is not None
        assert alone is not None
        assert (alone.plan_hash, alone.recorded_content) == (draft.plan_hash, draft.recorded_content)
        assert read_recorded(PlanContent, draft.recorded_content) == draft.content
        counts["repeated"] += 1


def compared(count: int, seed: int) -> Counter[str]:
    """Compare so many random accounts, and return what was counted.

    Raises:
        AssertionError: The roads contradict each other.
    """
    counts: Counter[str] = Counter()

    @seeded(seed)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(accounts(), risk_models(), st.booleans())
    def every(problem: AccountProblem, risk: RiskModel, asked: bool) -> None:
        compare(problem, risk, asked, counts)

    every()
    repeat(max(count // 20, 2), seed, counts)
    return counts


if __name__ == "__main__":
    np.seterr(over="ignore")  # Uncompiled, the exact arithmetic's wrapped products warn.
    found = compared(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    sys.stdout.write(", ".join(f"{number} {what}" for what, number in sorted(found.items())) + "\n")
