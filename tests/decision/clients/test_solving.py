"""What a computing process answers, without the process: many accounts together, each by itself where that fails."""

from dataclasses import replace

import pytest

from services.decision.clients.solving import POSITIONS_MAX, DraftJob, answers, pieces
from services.decision.domain.decide import decide
from services.decision.domain.plan import PlanOutcome
from tests.decision.clients.optimisers import of_every_other, of_none
from tests.decision.clients.test_solvers import a_basis, an_input

NAMES = ["a1", "a2", "a3"]


def solved(many, engine="columns engine/1"):
    job = DraftJob([an_input(each) for each in NAMES], replace(a_basis(), engine=engine))
    return list(answers(job, decide, many))


@pytest.mark.parametrize("many", [None, of_every_other(), of_none()], ids=["no many", "every other", "broken"])
def test_every_account_is_answered_in_order_whoever_decides_it(many):
    found = solved(many)

    assert [each.draft.account_id for each in found] == NAMES
    assert {each.draft.outcome for each in found} == {PlanOutcome.TRADE}
    # The road is no part of what a plan says, only the engine that it was asked of.
    assert [each.draft.plan_hash for each in found] == [each.draft.plan_hash for each in solved(None)]


def test_many_are_only_asked_where_the_engine_is_columns():
    def never(problems, risk, options):
        raise AssertionError("asked")

    assert [each.draft.outcome for each in solved(never, "kernel engine/1")] == [PlanOutcome.TRADE] * 3


def test_accounts_are_decided_in_pieces_that_hold_few_positions():
    (account,) = [an_input("a1")]
    positions = account.account.positions * (POSITIONS_MAX // 2)
    large = replace(account, account=replace(account.account, positions=positions))

    assert [len(each) for each in pieces([large, large, large, account, large])] == [2, 2, 1]
    assert list(pieces([])) == []
