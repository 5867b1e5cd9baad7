"""The contract, over a real connection: answers, codes, reasons, and repeats that change nothing."""

import asyncio
import json
from uuid import uuid4

import grpc
import pytest
from sqlalchemy import text

from evenkeel.common.v1.values_pb2 import SIDE_BUY
from evenkeel.execution.v1 import execution_service_pb2 as pb
from services.kernel.canonical import content_hash
from services.kernel.signing import Signature, sign
from tests.execution.api.conftest import ingest_request, refused, submit_request
from tests.execution.builders import a_plan, a_trade
from tests.execution.venues.fix_cases import until
from tests.execution.world import KEY_ID, PRIVATE_KEY, signed, signed_plan

ACCEPTED = pb.SubmitPlanResult.STATUS_ACCEPTED
DUPLICATE = pb.SubmitPlanResult.STATUS_DUPLICATE
REFUSED = pb.SubmitPlanResult.STATUS_REFUSED


async def test_a_plan_is_carried_out_and_decision_hears_of_it(execution):
    await execution.market(VTI=100, spread_bps="10", fee_bps="1")
    (result,) = (await execution.submit(a_plan(a_trade(quantity=10)))).results
    assert result.status == ACCEPTED

    allocation, closed = await execution.closed(1)

    assert (allocation.position, closed.position) == (1, 2)
    assert allocation.allocation.quantity.value == "10"
    assert (allocation.allocation.value.units, allocation.allocation.value.nanos) == (1000, 500_000_000)
    assert allocation.allocation.trade_date.day == 28
    assert allocation.allocation.settlement_date.day == 30
    assert closed.closed_order.state == pb.Order.STATE_FILLED
    trader = execution.as_("trader")
    order = (await trader.GetOrder(pb.GetOrderRequest(order_id=closed.closed_order.order_id))).order
    assert order.filled_value.units == 1000
    block = await trader.GetBlock(pb.GetBlockRequest(block_id=order.block_id))
    assert (block.block.state, len(block.fills), len(block.allocations)) == (pb.Block.STATE_FILLED, 1, 1)
    cost = await trader.GetCostReport(pb.GetCostReportRequest(run_id="run-1"))
    assert (cost.order_count, cost.traded_value.units) == (1, 1000)
    assert (await trader.ListBreaks(pb.ListBreaksRequest())).breaks == []


async def test_a_bust_reaches_decision_with_what_it_replaces(execution):
    await execution.market(VTI=100, fee_bps="1")
    await execution.submit(a_plan(a_trade(quantity=10)))
    first, closed = await execution.closed(1)
    trader = execution.as_("trader")
    block = await trader.GetBlock(pb.GetBlockRequest(block_id=first.allocation.block_id))
    await execution.built.venue.bust_fill(block.fills[0].execution_id)

    (told,) = await execution.reports(lambda got: len(got) == 1, after=closed.position)

    assert told.correction.replaced == first.allocation
    assert told.correction.replaced_position == first.position
    assert told.correction.allocation.quantity.value == "0"
    assert told.correction.allocation.replaces_allocation_id == first.allocation.allocation_id
    request = pb.GetAllocationRequest(allocation_id=first.allocation.allocation_id)
    shown = await trader.GetAllocation(request)
    assert shown.allocation == told.correction.allocation
    assert [each.revision for each in shown.history] == [0, 1]
    assert (shown.ordered_quantity.value, shown.block_quantity.value, shown.carry.value) == ("10", "10", "0")
    order = (await trader.GetOrder(pb.GetOrderRequest(order_id=first.allocation.order_id))).order
    assert (order.state, order.close_reason) == (pb.Order.STATE_CANCELED, "FILL_BUSTED")
    assert (await trader.ListBreaks(pb.ListBreaksRequest())).breaks == []


async def test_an_allocation_that_is_not_known_is_not_found(execution):
    call = execution.as_("trader").GetAllocation(pb.GetAllocationRequest(allocation_id="a-none"))

    assert (await refused(call)).reason == "ALLOCATION_NOT_FOUND"


async def test_a_statement_of_a_custodian_shows_breaks_that_are_owned_and_settled(execution):
    await execution.market(VTI=100)
    await execution.submit(a_plan(a_trade(quantity=10)))
    await execution.closed(1)
    trader, engineer = execution.as_("trader"), execution.as_("engineer")
    statement = pb.IngestCustodianStatementRequest(
        request_id=str(uuid4()),
        custodian="custodian-a",
        day={"year": 2022, "month": 12, "day": 28},
        accounts=[pb.CustodianAccount(account_id="acc-1", cash={"currency_code": "USD", "units": 9000})],
    )
    answer = await engineer.IngestCustodianStatement(statement)
    assert (answer.break_count, answer.first_count) == (1, 1)

    (found,) = (await trader.ListBreaks(pb.ListBreaksRequest())).breaks
    assert (found.party, found.kind, found.account_id) == ("CUSTODIAN", "MISSING_TRADE", "acc-1")
    assert (found.trade_date.month, found.trade_date.day) == (12, 28)
    assign = pb.AssignBreakRequest(request_id=str(uuid4()), break_id=found.break_id, owner="mona")
    assert (await trader.AssignBreak(assign)).found.owner == "mona"
    resolve = pb.ResolveBreakRequest(request_id=str(uuid4()), break_id=found.break_id, note="booked tomorrow")
    assert (await trader.ResolveBreak(resolve)).found.resolver == "trader"
    assert (await trader.ListBreaks(pb.ListBreaksRequest())).breaks == []
    again = pb.ResolveBreakRequest(request_id=str(uuid4()), break_id=found.break_id, note="twice")
    assert (await refused(trader.ResolveBreak(again))).reason == "BREAK_RESOLVED"
    unknown = pb.AssignBreakRequest(request_id=str(uuid4()), break_id="break-none", owner="mona")
    assert (await refused(trader.AssignBreak(unknown))).reason == "BREAK_NOT_FOUND"


async def test_a_statement_in_two_currencies_or_of_a_day_to_come_is_refused_by_field(execution):
    trade = pb.CustodianTrade(
        reference="r-1",
        account_id="acc-1",
        instrument_id="VTI",
        side=SIDE_BUY,
        quantity={"value": "1"},
        value={"currency_code": "EUR", "units": 100},
        fees={"currency_code": "USD"},
        trade_date={"year": 2022, "month": 12, "day": 28},
        settlement_date={"year": 2022, "month": 12, "day": 30},
    )

    def said(day, *trades):
        return pb.IngestCustodianStatementRequest(
            request_id=str(uuid4()),
            custodian="custodian-a",
            day={"year": 2022, "month": 12, "day": day},
            accounts=[pb.CustodianAccount(account_id="acc-1", cash={"currency_code": "USD", "units": 9000})],
            trades=trades,
        )

    engineer = execution.as_("engineer")
    mixed = await refused(engineer.IngestCustodianStatement(said(28, trade)))
    assert mixed.fields == {"trades[0].value": "must be in USD as the cash is, was in EUR"}
    early = await refused(engineer.IngestCustodianStatement(said(29)))
    assert early.fields == {"day": "must be at most 2022-12-28, was 2022-12-29"}


def a_statement(day, cash, *movements):
    """Return a custodian's statement of acc-1, in dollars."""
    return pb.IngestCustodianStatementRequest(
        request_id=str(uuid4()),
        custodian="custodian-a",
        day={"year": 2022, "month": 12, "day": day},
        accounts=[pb.CustodianAccount(account_id="acc-1", cash={"currency_code": "USD", "units": cash})],
        movements=movements,
    )


def a_movement(kind, cash, currency="USD", **fields):
    said = {"reference": "m-1", "account_id": "acc-1", "cash": {"currency_code": currency, "units": cash}} | fields
    return pb.CustodianMovement(kind=kind, **said)


async def test_what_a_custodian_says_moved_is_expected_and_counts_once(execution):
    engineer = execution.as_("engineer")
    await engineer.IngestCustodianStatement(a_statement(26, 9000))
    dividend = a_movement(pb.CustodianMovement.KIND_DIVIDEND, 12, instrument_id="VTI")
    early = a_movement(pb.CustodianMovement.KIND_FEE, -2, reference="m-2", day={"year": 2022, "month": 12, "day": 27})

    first = a_statement(28, 9010, dividend, early)
    answer = await engineer.IngestCustodianStatement(first)
    assert (answer.break_count, answer.first_count, answer.movement_count) == (0, 0, 2)
    assert await engineer.IngestCustodianStatement(first) == answer
    again = await engineer.IngestCustodianStatement(a_statement(28, 9010, dividend, early))
    assert (again.break_count, again.movement_count) == (0, 0)
    assert (await execution.as_("trader").ListBreaks(pb.ListBreaksRequest())).breaks == []


async def test_movements_that_cannot_be_are_refused_by_field(execution):
    kind = pb.CustodianMovement
    cases = [
        (a_movement(kind.KIND_DEPOSIT, -5), "cash", "must be above 0 for DEPOSIT, was -5"),
        (a_movement(kind.KIND_DEPOSIT, 5, account_id="acc-9"), "account_id", "an account of the statement, was acc-9"),
        (a_movement(kind.KIND_TRANSFER_IN, 0, units={"value": "2"}), "instrument_id", "must say of what 2 units are"),
        (
            a_movement(kind.KIND_DEPOSIT, 5, currency="EUR"),
            "cash",
            "must be in USD as the account's cash is, was in EUR",
        ),
        (
            a_movement(kind.KIND_DEPOSIT, 5, day={"year": 2022, "month": 12, "day": 29}),
            "day",
            "must be at most 2022-12-28, was 2022-12-29",
        ),
    ]
    engineer = execution.as_("engineer")
    for said, field, words in cases:
        wrong = await refused(engineer.IngestCustodianStatement(a_statement(28, 9000, said)))
        assert words in wrong.fields[f"movements[0].{field}"]
        assert len(wrong.fields) == 1
    neither = pb.CustodianMovement(kind=kind.KIND_CORRECTION, reference="m-1", account_id="acc-1")
    wrong = await refused(engineer.IngestCustodianStatement(a_statement(28, 9000, neither)))
    assert wrong.fields == {"movements[0]": "must change cash or units, changed neither"}
    deposit = a_movement(kind.KIND_DEPOSIT, 5)
    wrong = await refused(engineer.IngestCustodianStatement(a_statement(28, 9000, deposit, deposit)))
    assert wrong.fields == {"movements[1].reference": "must name each movement once, m-1 was named before"}


async def test_costs_by_instrument_are_lines_of_their_own(execution):
    await execution.market(VTI=101, BND=80, fee_bps="1")
    await execution.submit(a_plan(a_trade(quantity=10, price=100), a_trade("BND", quantity=5, price=80)))
    await execution.closed(2)
    request = pb.GetCostReportRequest(group_by=pb.GetCostReportRequest.GROUP_BY_INSTRUMENT)

    report = await execution.as_("trader").GetCostReport(request)

    assert [(line.key, line.order_count, line.delay.units) for line in report.lines] == [("BND", 1, 0), ("VTI", 1, 10)]
    assert report.order_count == 2
    assert not report.HasField("shortfall")


async def test_who_watches_orders_sees_them_change_until_they_are_over(execution):
    await execution.market(VTI=100, BND=80)
    seen = {}
    watching = execution.as_("trader").WatchOrders(pb.WatchOrdersRequest(account_id="acc-1"), timeout=20)
    await execution.submit(a_plan(a_trade(quantity=10)), a_plan(a_trade("BND", price=80), plan="p2", account="acc-2"))
    async for batch in watching:
        for order in batch.orders:
            seen.setdefault(order.order_id, []).append(order.state)
        if any(states[-1] == pb.Order.STATE_FILLED for states in seen.values()):
            watching.cancel()
            break

    ((_, states),) = seen.items()
    assert states[-1] == pb.Order.STATE_FILLED
    assert len(states) == len(set(states))


async def test_the_costs_sum_to_the_shortfall(execution):
    await execution.market(VTI=101, spread_bps="10", fee_bps="1")
    await execution.submit(a_plan(a_trade(quantity=10, price=100)))
    await execution.closed(1)

    cost = await execution.as_("trader").GetCostReport(pb.GetCostReportRequest())

    def cents(money):
        return money.units * 100 + money.nanos / 10_000_000

    parts = [cents(each) for each in (cost.delay, cost.trading, cost.opportunity, cost.fees)]
    assert parts == [1000, 50, 0, 10]
    assert cents(cost.shortfall) == sum(parts)
    assert cents(cost.predicted_cost) == 50


async def test_a_repeated_request_is_answered_as_before_and_does_nothing(execution):
    await execution.market(VTI=100)
    request = submit_request(a_plan())

    first, second = await execution.submit(request=request), await execution.submit(request=request)

    assert first == second
    assert first.results[0].status == ACCEPTED
    orders = await execution.as_("trader").ListOrders(pb.ListOrdersRequest())
    assert len(orders.orders) == 1


async def test_a_plan_is_taken_once_under_any_request(execution):
    await execution.market(VTI=100)
    plan = a_plan()

    answers = await asyncio.gather(*(execution.submit(plan) for _ in range(100)))

    statuses = [answer.results[0].status for answer in answers]
    assert (statuses.count(ACCEPTED), statuses.count(DUPLICATE)) == (1, 99)
    assert len(await execution.closed(1)) == 2
    assert len((await execution.as_("trader").ListOrders(pb.ListOrdersRequest())).orders) == 1


async def test_one_altered_byte_is_refused_and_named(execution):
    await execution.market(VTI=100)
    payload, signature = signed(a_plan())
    altered = bytes([payload[0]]) + payload[1:-1] + bytes([payload[-1] ^ 1])
    unknown = Signature("decision-unknown", signature.value)
    request = pb.SubmitPlansRequest(
        request_id=str(uuid4()),
        plans=[signed_plan(altered, signature), signed_plan(payload, unknown), signed_plan(payload, signature)],
    )

    results = (await execution.submit(request=request)).results

    assert [each.status for each in results] == [REFUSED, REFUSED, ACCEPTED]
    assert [each.refusals[0].reason for each in results[:2]] == ["PLAN_SIGNATURE_INVALID"] * 2
    assert results[0].plan_id == ""
    # Audit is told of both: by which key, and the hash of what came.
    async with execution.database.read() as connection:
        told = await connection.execute(
            text("SELECT body FROM execution.outbox WHERE kind = 'execution.submission.refused' ORDER BY seq")
        )
        bodies = [json.loads(body) for body in told.scalars()]
    assert [(each["key_id"], each["payload_hash"]) for each in bodies] == [
        (signature.key_id, content_hash(altered)),
        ("decision-unknown", content_hash(payload)),
    ]


async def test_each_plan_of_a_batch_is_judged_by_itself(execution):
    await execution.market(VTI=100)
    good, bad = a_plan(plan="good", account="a"), a_plan(a_trade("UNPRICED"), plan="bad", account="b")

    results = (await execution.submit(good, bad)).results

    assert [each.status for each in results] == [ACCEPTED, REFUSED]
    (refusal,) = results[1].refusals
    assert (refusal.reason, refusal.instrument_id) == ("REFERENCE_STALE", "UNPRICED")
    assert (await execution.submit(bad)).results[0] == results[1]


async def test_while_policy_does_not_answer_nothing_unverified_is_taken(start):
    execution = await start(policy_fresh_s=0)
    await execution.market(VTI=100)
    execution.policies.down = True

    no = await refused(execution.submit(a_plan()))

    assert (no.code, no.reason) == (grpc.StatusCode.UNAVAILABLE, "POLICY_UNVERIFIED")
    execution.policies.down = False
    assert (await execution.submit(a_plan())).results[0].status == ACCEPTED


@pytest.mark.parametrize("who", ["author", "trader", "risk", "engineer"])
async def test_only_decision_submits(execution, who):
    no = await refused(execution.submit(a_plan(), who=who))

    assert (no.code, no.reason) == (grpc.StatusCode.PERMISSION_DENIED, "ROLE_MISSING")


async def test_a_halt_refuses_and_a_second_person_resumes(execution):
    await execution.market(VTI=100)
    everything = pb.TradingScope(kind=pb.TradingScope.KIND_ALL)
    halt = pb.HaltRequest(
        request_id=str(uuid4()), scope=everything, mode=pb.TRADING_MODE_HALTED, reason="prices look wrong"
    )
    answer = await execution.as_("risk-ruth").Halt(halt)
    assert (answer.halt.actor, answer.halt.mode) == ("risk-ruth", pb.TRADING_MODE_HALTED)

    (result,) = (await execution.submit(a_plan())).results
    assert result.refusals[0].reason == "TRADING_HALTED"

    def resume():
        return pb.ResumeRequest(request_id=str(uuid4()), scope=everything, reason="prices are right")

    no = await refused(execution.as_("risk-ruth").Resume(resume()))
    assert (no.code, no.reason) == (grpc.StatusCode.PERMISSION_DENIED, "SELF_RESUME")
    await execution.as_("risk-omar").Resume(resume())
    no = await refused(execution.as_("risk-omar").Resume(resume()))
    assert (no.code, no.reason) == (grpc.StatusCode.NOT_FOUND, "HALT_NOT_FOUND")
    assert (await execution.submit(a_plan(plan="plan-2"))).results[0].status == ACCEPTED
    assert (await execution.as_("risk").GetTradingState(pb.GetTradingStateRequest())).halts == []


async def test_halts_hold_over_a_restart(start):
    execution = await start()
    halt = pb.HaltRequest(
        request_id=str(uuid4()),
        scope=pb.TradingScope(kind=pb.TradingScope.KIND_ACCOUNT, id="acc-1"),
        mode=pb.TRADING_MODE_HALTED,
        reason="a call from the client",
    )
    await execution.as_("trader").Halt(halt)

    again = await start()

    (found,) = (await again.as_("trader").GetTradingState(pb.GetTradingStateRequest())).halts
    assert (found.scope.id, found.reason) == ("acc-1", "a call from the client")


async def test_lists_page_by_id(execution):
    await execution.market(VTI=100)
    await execution.submit(*(a_plan(plan=f"plan-{n}", account=f"acc-{n}") for n in range(5)))
    trader, pages, token = execution.as_("trader"), [], ""
    while True:
        page = await trader.ListOrders(pb.ListOrdersRequest(page_size=2, page_token=token))
        pages.append([each.order_id for each in page.orders])
        token = page.next_page_token
        if not token:
            break

    assert [len(page) for page in pages] == [2, 2, 1]
    shown = [order_id for page in pages for order_id in page]
    assert shown == sorted(shown)
    only = await trader.ListOrders(pb.ListOrdersRequest(account_id="acc-3"))
    assert [each.account_id for each in only.orders] == ["acc-3"]


@pytest.mark.parametrize(
    ("method", "request_", "reason"),
    [
        ("GetOrder", pb.GetOrderRequest(order_id="none"), "ORDER_NOT_FOUND"),
        ("GetBlock", pb.GetBlockRequest(block_id="none"), "BLOCK_NOT_FOUND"),
    ],
)
async def test_what_does_not_exist_is_not_found(execution, method, request_, reason):
    no = await refused(getattr(execution.as_("trader"), method)(request_))

    assert (no.code, no.reason) == (grpc.StatusCode.NOT_FOUND, reason)


async def test_prices_that_cannot_be_are_refused_with_field_value_and_limit(execution):
    request = ingest_request(VTI=100, BND=80)
    request.instrument_ids[1] = "VTI"
    request.prices.units[0] = -1
    request.provenance.ClearField("as_of_time")

    no = await refused(execution.as_("engineer").IngestReferencePrices(request))

    assert (no.code, no.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "PRICES_INVALID")
    assert no.fields == {
        "instrument_ids[1]": "must name each instrument once, VTI was named before",
        "provenance.as_of_time": "must say when the prices were true, was absent",
        "prices.units[0]": "must be above 0, was -0.01",
    }


async def test_a_market_that_cannot_be_is_refused_with_field_value_and_limit(execution):
    no = await refused(execution.market(VTI=100, spread_bps="2000", share="0"))

    assert (no.code, no.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "PRICES_INVALID")
    assert no.fields == {
        "spread_bps": "must be 0 to 1000, was 2000",
        "fill_share_max": "must be above 0 and at most 1, was 0",
    }

    no = await refused(execution.market(VTI=100, BND=80, asks=[5, 6]))
    assert no.fields == {"bid_sizes.units": "must have 2 rows, one per instrument, was 0"}
    no = await refused(execution.market(VTI=100, BND=80, bids=[1, 2], asks=[5, -6]))
    assert no.fields == {"ask_sizes.units[1]": "size of BND must be at least 0, was -6"}


async def test_a_market_with_little_to_give_fills_what_it_has(execution):
    await execution.market(VTI=100, bids=[0], asks=[4])
    await execution.submit(a_plan(a_trade(quantity=10)))
    trader = execution.as_("trader")

    async def fills():
        blocks = (await trader.ListBlocks(pb.ListBlocksRequest())).blocks
        shown = [await trader.GetBlock(pb.GetBlockRequest(block_id=each.block_id)) for each in blocks]
        return [fill.quantity.value for each in shown for fill in each.fills]

    async def filled_in_part():
        return await fills() == ["4"]

    await until(filled_in_part)
    await execution.market(VTI=100)
    await execution.closed(1)

    assert await fills() == ["4", "6"]


async def test_only_newer_prices_replace_what_is_known(execution):
    assert (await execution.ingest(VTI=100, BND=80)).updated_count == 2
    assert (await execution.ingest(VTI=101, BND=81)).updated_count == 0


async def test_a_scope_that_covers_two_things_is_refused(execution):
    request = pb.HaltRequest(
        request_id=str(uuid4()),
        scope=pb.TradingScope(kind=pb.TradingScope.KIND_ALL, id="VTI"),
        mode=pb.TRADING_MODE_HALTED,
        reason="?",
    )

    no = await refused(execution.as_("trader").Halt(request))

    assert (no.code, no.reason, set(no.fields)) == (grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID", {"scope.id"})


async def test_a_payload_that_says_nonsense_is_refused_and_the_service_goes_on(execution):
    await execution.market(VTI=100)
    garbage = b"\xff\xff\xff"
    request = pb.SubmitPlansRequest(
        request_id=str(uuid4()), plans=[signed_plan(garbage, sign(PRIVATE_KEY, garbage, KEY_ID))]
    )

    (result,) = (await execution.submit(request=request)).results

    assert [each.reason for each in result.refusals] == ["TRADE_INVALID"]
    assert (await execution.submit(a_plan())).results[0].status == ACCEPTED


async def test_an_answer_that_the_venue_loses_is_found_out_by_asking(start):
    execution = await start(sandbox_answers_lost_every=1)
    await execution.market(VTI=100)
    await execution.submit(a_plan(a_trade(quantity=10)))

    reports = await execution.closed(1)

    assert [each.WhichOneof("content") for each in reports] == ["allocation", "closed_order"]
    assert len(await execution.built.venue.mass_status()) == 1
