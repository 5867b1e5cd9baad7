"""An account that is led to another mix, by a birthday or by its client's profile, goes there by new money first."""

from dataclasses import dataclass
from decimal import Decimal

import pytest

from evenkeel.decision.v1 import explanation_pb2
from evenkeel.decision.v1 import plan_service_pb2 as pb
from evenkeel.policy.v1 import policy_document_pb2 as document_pb
from services.runtime.wire import money_of
from tests.decision.books import an_account, lot
from tests.decision.stages.world import a_policy, dollars, number

# 500 VTI at 190 and 1,000 of cash; BND costs 72. Half of the account is to be bonds now.
LED_TO = {"VTI": "0.5", "BND": "0.49"}
# Bought lately at 189, and long ago at 189: a unit gains 1, short-term and long-term.
YOUNG, OLD = "2022-10-03", "2015-01-02"


@dataclass
class Way:
    sold: dict
    bought: dict
    outcome: int


async def way(running, **scenario):
    """Return what the account would trade on its way."""
    asked = explanation_pb2.Scenario(name="glide", **scenario)
    response = await running.plans().PreviewPlan(pb.PreviewPlanRequest(account_id="a1", scenarios=[asked]))
    (previewed,) = response.plans
    values = {1: {}, 2: {}}
    for trade in previewed.plan.trades:
        values[trade.side][trade.instrument_id] = money_of(trade.value, "").amount
    return Way(values[2], values[1], previewed.plan.outcome)


def led(**tax):
    return a_policy(
        LED_TO,
        tax=document_pb.TaxSettings(
            jurisdiction="US", short_term_rate=number("0.408"), long_term_rate=number("0.238"),
            defer_short_term_gains=True, **tax,
        ),
    )  # fmt: skip


async def test_new_money_alone_leads_the_account_and_nothing_is_sold_while_it_suffices(running):
    await running.world.ingest(an_account("a1", cash=1000).holding("VTI", lot("old", 500, 500 * 189, OLD)))
    running.world.policy.document = led()

    with_money = await way(running, deposit=dollars(94_000))
    without = await way(running)

    # 190,000 then: half of it is what is held of VTI, and all that came goes to bonds.
    assert with_money.sold == {}
    assert set(with_money.bought) == {"BND"}
    assert with_money.bought["BND"] > Decimal(90_000)
    # Without it the rest of the way is a sale at a long-term gain.
    assert set(without.sold) == {"VTI"}


@pytest.mark.parametrize(("deposit", "bonds"), [(0, 0), (20_000, 20_000)])
async def test_nothing_is_sold_at_a_short_term_gain_to_get_there(running, deposit, bonds):
    await running.world.ingest(an_account("a1", cash=1000).holding("VTI", lot("young", 500, 500 * 189, YOUNG)))
    running.world.policy.document = led()

    found = await way(running, **({"deposit": dollars(deposit)} if deposit else {}))

    assert found.sold == {}
    assert sum(found.bought.values()) <= bonds + 1_000
    assert sum(found.bought.values()) >= bonds * Decimal("0.9")


async def test_what_new_money_does_not_reach_is_sold_at_a_long_term_gain_within_the_years_budget(running):
    lots = (lot("old", 250, 250 * 150, OLD), lot("young", 250, 250 * 189, YOUNG))
    await running.world.ingest(an_account("a1", cash=1000).holding("VTI", *lots))
    running.world.policy.document = led(gain_budget=dollars(2_000))

    found = await way(running, deposit=dollars(20_000))

    # 40 of gain a unit: 50 units of the old lot are what the budget allows.
    assert Decimal(9_000) < found.sold["VTI"] <= Decimal(9_500)
    assert found.bought["BND"] > Decimal(20_000)
