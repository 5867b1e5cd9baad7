"""Decides many accounts at once where they fit the columns, and says which do not."""

from collections.abc import Sequence

import numpy as np

from services.decision.domain.bulk.building import DoesNotFit, account_columns, joined
from services.decision.domain.bulk.rendering import account_plans, decision_of
from services.decision.domain.bulk.road import decide_columns
from services.decision.domain.decision import Decision
from services.decision.domain.problem import AccountProblem, DecideOptions, RiskModel
from services.decision.domain.tax import jurisdiction
from services.decision.domain.triggers import only_money_asks
from services.kernel.errors import Fact


def decide_many(
    problems: Sequence[AccountProblem], risk: RiskModel, options: Sequence[DecideOptions]
) -> list[Decision | None]:
    """Return what each account should trade; None where it must be decided by itself, by `decide`.

    An account gets the same decision whichever others it is decided with.

    Args:
        problems: The accounts.
        risk: Covers every instrument of theirs.
        options: How to decide each.
    """
    rows = {instrument_id: row for row, instrument_id in enumerate(risk.instrument_ids)}
    fitting, views, parts = [], [], []
    for index, (problem, how) in enumerate(zip(problems, options, strict=True)):
        try:
            if how.event or only_money_asks(problem, how):
                raise DoesNotFit("what asks for a rebalance is not among the columns")
            view = jurisdiction(problem.tax.jurisdiction).view(problem)
            parts.append(account_columns(problem, view, rows, asked=how.ignore_triggers))
        except (DoesNotFit, Fact):
            # It takes the other road, which refuses what must be, and whose certificate names its solver.
            continue
        fitting.append(index)
        views.append(view)
    decisions: list[Decision | None] = [None] * len(problems)
    if not fitting:
        return decisions
    inputs = joined(parts, risk)
    plans = account_plans(inputs, decide_columns(inputs), [problems[at] for at in fitting], views)
    for index, plan in zip(fitting, plans, strict=True):
        decisions[index] = decision_of(plan, options[index]) if plan.answered else None
    return decisions


def warm_up() -> None:
    """Compile, or load what was compiled: half a minute, or a second, that no request should wait for."""
    none = np.zeros(0)
    empty = RiskModel((), none.reshape(0, 1), none, "nothing")
    decide_columns(joined([], empty))
