"""Through the service: blocks that never leave, because clients cross, and blocks whose fills legs turn."""

from decimal import Decimal
from uuid import uuid4

import grpc
from google.type.decimal_pb2 import Decimal as DecimalMessage

from evenkeel.execution.v1 import execution_service_pb2 as pb
from evenkeel.execution.v1 import sandbox_service_pb2 as sandbox
from evenkeel.execution.v1.sandbox_service_pb2_grpc import SandboxServiceStub
from services.execution.domain.words import Side
from services.runtime.wire import decimal_column, instant_message
from tests.execution.api.conftest import ingest_request, refused
from tests.execution.builders import NOON, a_plan, a_trade


async def euros(execution, **prices):
    """Give instruments a reference price and a market in euros."""
    request = ingest_request(**prices)
    request.currency = "EUR"
    await execution.as_("engineer").IngestReferencePrices(request)
    market = sandbox.LoadSandboxMarketRequest(
        request_id=str(uuid4()),
        instrument_ids=list(prices),
        prices=decimal_column([Decimal(str(price)) for price in prices.values()], 2),
        currency="EUR",
        spread_bps=DecimalMessage(value="0"),
        fee_bps=DecimalMessage(value="1"),
        market_time=instant_message(NOON),
    )
    await SandboxServiceStub(execution.channel("engineer")).LoadSandboxMarket(market)


def money(message):
    return message.currency_code, message.units + Decimal(message.nanos) / 10**9


async def test_clients_who_agreed_cross_and_the_blocks_name_each_other(start):
    execution = await start(crossing=True)
    await execution.market(VTI=100, fee_bps="1")
    buyer = a_plan(a_trade(), plan="plan-1", account="acc-1", crossing=True)
    seller = a_plan(a_trade(side=Side.SELL), plan="plan-2", account="acc-2", crossing=True)
    await execution.submit(buyer, seller)
    await execution.closed(2)
    trader = execution.as_("trader")
    one, other = (await trader.ListBlocks(pb.ListBlocksRequest())).blocks
    (line,) = (await trader.GetCostReport(pb.GetCostReportRequest())).lines

    assert (one.crossed_block_id, other.crossed_block_id) == (other.block_id, one.block_id)
    assert (one.venue_id, one.state) == ("internal", pb.Block.STATE_FILLED)
    assert (line.crossed_value, money(line.fees)) == (line.traded_value, ("USD", 0))
    assert (await trader.ListBreaks(pb.ListBreaksRequest())).breaks == []


async def test_a_cross_is_undone_by_two_persons_through_the_service(start):
    execution = await start(crossing=True)
    await execution.market(VTI=100)
    buyer = a_plan(a_trade(), plan="plan-1", account="acc-1", crossing=True)
    await execution.submit(buyer, a_plan(a_trade(side=Side.SELL), plan="plan-2", account="acc-2", crossing=True))
    told = await execution.closed(2)
    block_id = told[0].allocation.block_id
    wish = pb.ProposeUncrossRequest(request_id=str(uuid4()), block_id=block_id, reason="the consent was another's")
    proposed = (await execution.as_("both-bea").ProposeUncross(wish)).uncross
    assert (await execution.as_("both-bea").ProposeUncross(wish)).uncross == proposed

    def approve():
        return pb.ApproveUncrossRequest(request_id=str(uuid4()), block_id=block_id)

    no = await refused(execution.as_("both-bea").ApproveUncross(approve()))
    assert (no.code, no.reason) == (grpc.StatusCode.PERMISSION_DENIED, "SELF_UNCROSS")
    done = (await execution.as_("risk-ruth").ApproveUncross(approve())).uncross
    corrections = await execution.reports(lambda got: len(got) == 2, after=told[-1].position)

    assert (done.proposer, done.approver, done.reason) == ("both-bea", "risk-ruth", "the consent was another's")
    assert {each.correction.allocation.account_id for each in corrections} == {"acc-1", "acc-2"}
    assert {each.correction.allocation.quantity.value for each in corrections} == {"0"}
    trader = execution.as_("trader")
    assert (await trader.GetBlock(pb.GetBlockRequest(block_id=block_id))).uncross == done
    assert (await trader.ListBreaks(pb.ListBreaksRequest())).breaks == []


async def test_a_trade_in_euros_is_told_in_dollars_with_its_leg(execution):
    await euros(execution, SAP=100)
    await execution.market(**{"EUR/USD": "1.2"}, fee_bps="1")
    await execution.submit(a_plan(a_trade("SAP", price=120)))
    told, _ = await execution.closed(1)
    trader = execution.as_("trader")
    block = (await trader.GetBlock(pb.GetBlockRequest(block_id=told.allocation.block_id))).block
    legs = [each for each in (await trader.ListBlocks(pb.ListBlocksRequest())).blocks if each.leg_of_block_id]

    assert (block.account_currency, money(block.average_price)) == ("USD", ("EUR", 100))
    # 1,000.10 € at 1.2: the fee there is 0.12 $, and the leg's own as much again.
    assert (money(told.allocation.value), money(told.allocation.fees)) == (("USD", 1200), ("USD", Decimal("0.24")))
    assert (money(told.allocation.traded_value), money(told.allocation.traded_fees)) == (
        ("EUR", 1000),
        ("EUR", Decimal("0.1")),
    )
    assert [(leg.leg_of_block_id, leg.instrument_id, leg.filled_quantity.value) for leg in legs] == [
        (block.block_id, "EUR/USD", "1000.1")
    ]
    assert (await trader.ListBreaks(pb.ListBreaksRequest())).breaks == []
