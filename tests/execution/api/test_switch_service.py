"""The switch through the running service: what each scope stops and leaves alone, and that it outlives a process."""

from uuid import uuid4

import grpc
import pytest

from evenkeel.execution.v1 import execution_service_pb2 as pb
from services.execution.domain.words import Side
from tests.execution.api.conftest import refused
from tests.execution.builders import a_plan, a_trade

SCOPES = {
    "all": pb.TradingScope(kind=pb.TradingScope.KIND_ALL),
    "venue": pb.TradingScope(kind=pb.TradingScope.KIND_VENUE, id="sandbox"),
    "instrument": pb.TradingScope(kind=pb.TradingScope.KIND_INSTRUMENT, id="VTI"),
    "account": pb.TradingScope(kind=pb.TradingScope.KIND_ACCOUNT, id="acc-1"),
}


def halt(scope, mode=pb.TRADING_MODE_HALTED):
    return pb.HaltRequest(request_id=str(uuid4()), scope=scope, mode=mode, reason="prices look wrong")


def resume(scope):
    return pb.ResumeRequest(request_id=str(uuid4()), scope=scope, reason="prices are right")


@pytest.mark.parametrize("mode", [pb.TRADING_MODE_HALTED, pb.TRADING_MODE_REDUCING], ids=["halted", "reducing"])
@pytest.mark.parametrize("name", SCOPES)
async def test_each_scope_stops_what_it_covers_and_nothing_else_until_another_person_resumes(execution, name, mode):
    await execution.market(VTI=100, BND=80)
    scope = SCOPES[name]
    await execution.as_("risk-ruth").Halt(halt(scope, mode))

    async def reasons(*trades, plan, account="acc-1"):
        (result,) = (await execution.submit(a_plan(*trades, plan=plan, account=account))).results
        return [each.reason for each in result.refusals]

    sells_go = mode == pb.TRADING_MODE_REDUCING
    assert await reasons(a_trade(), plan="buy") == ["TRADING_HALTED"]
    assert await reasons(a_trade(side=Side.SELL), plan="sell") == ([] if sells_go else ["TRADING_HALTED"])
    elsewhere = await reasons(a_trade("BND", price=80), plan="else", account="acc-2")
    assert elsewhere == (["TRADING_HALTED"] if name in ("all", "venue") else [])
    no = await refused(execution.as_("risk-ruth").Resume(resume(scope)))
    assert (no.code, no.reason) == (grpc.StatusCode.PERMISSION_DENIED, "SELF_RESUME")
    await execution.as_("risk-omar").Resume(resume(scope))

    assert await reasons(a_trade("VTI"), plan="after", account="acc-3") == []


async def test_who_halted_again_is_told_and_lets_the_first_not_resume(start):
    execution = await start()
    scope = SCOPES["instrument"]
    await execution.as_("risk-ruth").Halt(halt(scope))
    answer = await execution.as_("risk-omar").Halt(halt(scope))
    assert (answer.halt.actor, list(answer.halt.also_halted_by)) == ("risk-omar", ["risk-ruth"])

    again = await start()
    (told,) = (await again.as_("trader").GetTradingState(pb.GetTradingStateRequest())).halts
    assert told == answer.halt
    for person, other in ("risk-ruth", "risk-omar"), ("risk-omar", "risk-ruth"):
        no = await refused(again.as_(person).Resume(resume(scope)))
        assert (no.code, no.reason) == (grpc.StatusCode.PERMISSION_DENIED, "SELF_RESUME")
        assert no.message == f"{person} halted INSTRUMENT VTI, and so did {other}; a person who did not must resume"
    await again.as_("risk-tess").Resume(resume(scope))
    assert (await again.as_("trader").GetTradingState(pb.GetTradingStateRequest())).halts == []


async def test_limits_are_told_with_what_the_day_has_seen(start):
    execution = await start(account_day_orders_max=3)
    await execution.market(VTI=100, BND=80)
    await execution.submit(a_plan(a_trade("VTI", quantity=10), a_trade("BND", quantity=5, price=80)))
    trader = execution.as_("trader")

    told = await trader.GetTradingState(pb.GetTradingStateRequest(account_id="acc-1", instrument_id="VTI"))

    assert told.order_limits.quantity_max.value
    days = {pb.DayLimit.Kind.Name(each.kind).removeprefix("KIND_"): each for each in told.day_limits}
    assert list(days) == ["FIRM", "HOUSEHOLD", "ACCOUNT", "VENUE", "INSTRUMENT"]
    seen = {name: (each.subject_id, each.order_count, each.value.value) for name, each in days.items()}
    assert seen == {
        "FIRM": ("", 2, "1400"),
        "HOUSEHOLD": ("", 0, ""),
        "ACCOUNT": ("acc-1", 2, "1400"),
        "VENUE": ("sandbox", 2, "1400"),
        "INSTRUMENT": ("VTI", 1, "1000"),
    }
    assert (days["ACCOUNT"].orders_max, days["ACCOUNT"].turnover.value) == (3, "0")
    # The day goes on after a restart, and what would be too much is refused with the same figures.
    (result,) = (
        await execution.submit(a_plan(a_trade("VTI", quantity=1), a_trade("BND", price=80), plan="p2", account="acc-1"))
    ).results
    assert "orders of a day for ACCOUNT acc-1 must be at most 3, would be 4" in [
        each.description for each in result.refusals
    ]


async def test_a_halt_of_what_does_not_exist_is_refused_by_field(execution):
    async def wrong(**scope):
        return (await refused(execution.as_("risk-ruth").Halt(halt(pb.TradingScope(**scope))))).fields

    assert await wrong(kind=pb.TradingScope.KIND_ALL, id="VTI") == {"scope.id": "must be empty for ALL, was 'VTI'"}
    assert await wrong(kind=pb.TradingScope.KIND_ACCOUNT) == {"scope.id": "must name which account, was empty"}
    venue = await wrong(kind=pb.TradingScope.KIND_VENUE, id="sandbx")
    assert venue == {"scope.id": "must be one of internal, sandbox, was sandbx"}
    assert (await execution.as_("trader").GetTradingState(pb.GetTradingStateRequest())).halts == []


async def test_a_halt_cancels_what_rests_and_holds_in_the_process_that_starts_next(start):
    execution = await start()
    await execution.market(VTI=100)
    # It waits for a better price at the venue.
    await execution.submit(a_plan(a_trade(price=97), limit_bps=0))
    everything = SCOPES["all"]
    answer = await execution.as_("risk-ruth").Halt(halt(everything))
    (closed,) = await execution.closed(1)
    assert closed.closed_order.state == pb.Order.STATE_CANCELED
    assert closed.closed_order.close_reason == "TRADING_HALTED"
    assert [each.open for each in await execution.built.venue.mass_status()] in ([], [False])
    assert answer.canceling_block_count <= 1

    again = await start()
    (result,) = (await again.submit(a_plan(plan="plan-2", account="acc-2"))).results
    assert [each.reason for each in result.refusals] == ["TRADING_HALTED"]
    assert (await refused(again.as_("risk-ruth").Resume(resume(everything)))).reason == "SELF_RESUME"
    await again.as_("risk-omar").Resume(resume(everything))

    assert (await again.submit(a_plan(plan="plan-3", account="acc-2"))).results[0].refusals == []
