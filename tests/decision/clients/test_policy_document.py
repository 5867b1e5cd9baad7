"""What is read out of a policy document, and what is refused."""

from decimal import Decimal

import pytest

from evenkeel.policy.v1 import policy_document_pb2 as document_pb
from services.decision.clients.policy_document import read_policy
from services.decision.domain.problem import Band
from services.kernel.errors import Invalid
from tests.decision.domain.account_problems import a_position, an_account, holding, problem_of, with_rules
from tests.decision.stages.world import a_policy, number


def test_a_document_that_is_none_or_says_what_cannot_be_is_refused():
    with pytest.raises(Invalid, match="must be a serialized PolicyDocument"):
        read_policy(b"\xff\xff\xff")
    with pytest.raises(Invalid, match=r"risk\.cash_floor"):
        read_policy(a_policy(risk=document_pb.RiskLimits(cash_floor=number("lots"))))


def test_a_line_of_its_own_distance_has_it_and_the_others_have_the_general_one():
    lines = [
        document_pb.TargetWeight(
            instrument_id="VTI",
            weight=number("0.6"),
            trigger=document_pb.Distance(absolute=number("0.1")),
            destination=document_pb.Distance(relative=number("0.05")),
        ),
        document_pb.TargetWeight(instrument_id="BND", weight=number("0.39")),
    ]
    policy = with_rules(targets=document_pb.Targets(weights=lines, cash_weight=number("0.01")))

    problem = problem_of(an_account(a_position("VTI", 5)), policy)

    assert holding(problem, "VTI").band == Band(Decimal("0.1"), Decimal("0.03"))
    assert holding(problem, "BND").band == Band(Decimal("0.02"), Decimal("0.005"))


def test_cash_of_groups_is_cash_of_the_account():
    group = document_pb.TargetGroup(
        name="income",
        members=[document_pb.TargetWeight(instrument_id="BND", weight=number("0.9"))],
        cash_weight=number("0.1"),
    )
    lines = [
        document_pb.TargetWeight(group=group, weight=number("0.4")),
        document_pb.TargetWeight(instrument_id="VTI", weight=number("0.6")),
    ]

    policy = with_rules(targets=document_pb.Targets(weights=lines))

    assert policy.weights == {"BND": Decimal("0.36"), "VTI": Decimal("0.6")}
    assert policy.cash_weight == Decimal("0.04")


@pytest.mark.parametrize("wrong", ["model_node_id", "screen"])
def test_what_policy_should_have_worked_out_is_refused_rather_than_ignored(wrong):
    if wrong == "model_node_id":
        sections = {
            "targets": document_pb.Targets(weights=[document_pb.TargetWeight(model_node_id="growth", weight=number(1))])
        }
    else:
        item = document_pb.Restriction(screen="oil", kind=document_pb.Restriction.KIND_EXCLUDED, reason="faith")
        sections = {"restrictions": document_pb.Restrictions(items=[item])}

    with pytest.raises(Invalid, match="effective policy"):
        with_rules(**sections)
