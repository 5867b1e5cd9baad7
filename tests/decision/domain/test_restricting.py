"""What restrictions forbid, and what they make a plan sell."""

from datetime import timedelta
from decimal import Decimal

import pytest

from evenkeel.policy.v1 import policy_document_pb2 as document_pb
from services.decision.clients.policy_document import read_policy
from services.decision.domain.book import HoldingKind
from services.runtime.wire import instant_message
from tests.decision.books import MORNING
from tests.decision.domain.account_problems import a_position, an_account, holding, problem_of
from tests.decision.stages.world import a_policy


def restricted(kind, **more):
    item = document_pb.Restriction(instrument_id="VTI", kind=kind, reason="the client asked", **more)
    return read_policy(a_policy(restrictions=document_pb.Restrictions(items=[item])))


@pytest.mark.parametrize(
    ("kind", "no_buy", "no_sell"),
    [
        (document_pb.Restriction.KIND_NO_BUY, True, False),
        (document_pb.Restriction.KIND_NO_SELL, False, True),
        (document_pb.Restriction.KIND_NO_TRADE, True, True),
        (document_pb.Restriction.KIND_EXCLUDED, True, False),
    ],
)
def test_a_restriction_forbids_what_it_says(kind, no_buy, no_sell):
    found = holding(problem_of(an_account(a_position("VTI", 5)), restricted(kind)), "VTI")

    assert (found.no_buy == "the client asked", found.no_sell == "the client asked") == (no_buy, no_sell)


def test_a_restriction_ends_at_its_expire_time_and_not_before():
    kind = document_pb.Restriction.KIND_NO_BUY
    ends_now = restricted(kind, expire_time=instant_message(MORNING))
    ends_later = restricted(kind, expire_time=instant_message(MORNING + timedelta(microseconds=1)))

    assert holding(problem_of(an_account(a_position("VTI", 5)), ends_now), "VTI").no_buy is None
    assert holding(problem_of(an_account(a_position("VTI", 5)), ends_later), "VTI").no_buy is not None


def test_what_is_excluded_is_sold_and_its_weight_goes_to_the_others():
    problem = problem_of(an_account(a_position("VTI", 5)), restricted(document_pb.Restriction.KIND_EXCLUDED))

    assert holding(problem, "VTI").target_weight == 0
    assert holding(problem, "BND").target_weight == Decimal("0.99")
    (limit,) = problem.limits.groups
    assert (limit.instrument_ids, limit.weight_max) == (("VTI",), 0)


def test_of_what_is_excluded_a_part_of_an_increment_and_units_held_away_stay():
    account = an_account(a_position("VTI", "5.5"), a_position("VTI", 2, kind=HoldingKind.HELD_AWAY))

    (limit,) = problem_of(account, restricted(document_pb.Restriction.KIND_EXCLUDED)).limits.groups

    assert abs(limit.weight_max - Decimal(250) / Decimal(1750)) < Decimal("1e-11")
