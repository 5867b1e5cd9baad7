"""What `evenkeel plan show` says of plans that were decided together."""

import pytest
from google.type.money_pb2 import Money

from evenkeel.decision.v1 import plan_service_pb2 as pb
from tools.cli.plans import household


def usd(units, cents=0):
    return Money(currency_code="USD", units=units, nanos=cents * 10_000_000)


@pytest.mark.parametrize(
    ("bound", "settled", "said"),
    [
        (usd(100), True, "nothing is unproven, after 12 plans"),
        (usd(98, 50), True, "1.50 of it is unproven, after 12 plans"),
        (usd(98, 50), False, "after 12 plans; a loss is still denied, which no bar of these accounts' law prevents"),
    ],
)
def test_the_household_s_bound_and_what_is_unproven_are_told(bound, settled, said):
    proof = pb.HouseholdProof(
        account_ids=["a1", "a2"], objective=usd(100), bound=bound, solve_count=12, settled=settled
    )
    told = household(proof)

    assert told.startswith("household of a1, a2: together 100.00 USD, no plans that deny no loss come to less than ")
    assert told.endswith(said)
