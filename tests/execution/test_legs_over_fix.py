"""The whole service trades abroad over FIX with a broker of others: shares there, and legs in either currency dealt.

`app/test_currencies.py` has the rules, over the sandbox; here is that they hold for what QuickFIX is told and says.
"""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from evenkeel.execution.v1 import execution_service_pb2 as pb
from evenkeel.execution.v1.execution_service_pb2_grpc import ExecutionServiceStub
from services.execution.domain.words import Side
from services.kernel.money import in_cents
from tests.execution.api.conftest import ingest_request, submit_request
from tests.execution.builders import a_plan, a_trade
from tests.execution.serving import calling
from tests.execution.venues import fix_cases
from tests.support.quickfix_process import needs_quickfix

pytestmark = needs_quickfix
DONE_S_MAX = 120
RATE = Decimal("1.25")
# What each account owes or has abroad after its trade, fees included.
OWED = {
    "dollar-buys": Decimal("1001.00"),
    "dollar-sells": Decimal("399.60"),
    "euro-buys": Decimal("350.35"),
    "euro-sells": Decimal("149.85"),
}


@pytest.fixture
async def broker(tmp_path):
    found = await fix_cases.a_quickfix_broker(tmp_path / "broker")
    now = datetime.now(UTC).isoformat()
    for currency, prices in (("EUR", {"SAP": "100"}), ("USD", {"VTI": "50", "EUR/USD": str(RATE)})):
        await found.ask("market", time=now, currency=currency, prices=prices, fee_bps="10", seed=7, share="0.4")
    yield found
    await found.stop()


@pytest.fixture
async def service(start_process, broker):
    return await a_service(start_process, broker)


async def a_service(start_process, broker, **settings):
    process = await start_process(
        VENUE="fix44", OUTSIDE_SESSION="SEND", FIX_HOST="127.0.0.1", FIX_PORT=str(broker.port),
        FIX_SENDER_COMP_ID="EVENKEEL", FIX_TARGET_COMP_ID="BROKER", **settings,
    )  # fmt: skip
    async with calling(process, "platform_engineer") as channel:
        for currency, prices in (("EUR", {"SAP": 100}), ("USD", {"VTI": 50, "EUR/USD": RATE})):
            request = ingest_request(datetime.now(UTC), **prices)
            request.currency = currency
            await ExecutionServiceStub(channel).IngestReferencePrices(request)
    return process


def plans():
    """An account in dollars buys and one sells in euros; two in euros the other way round, over the same pair."""
    later = datetime.now(UTC) + timedelta(hours=6)
    trades = {
        "dollar-buys": ("USD", a_trade("SAP", quantity=10, price=125), 10_000),
        "dollar-sells": ("USD", a_trade("SAP", Side.SELL, 4, 125), 0),
        "euro-buys": ("EUR", a_trade("VTI", quantity=7, price=40), 10_000),
        "euro-sells": ("EUR", a_trade("VTI", Side.SELL, 3, 40), 0),
    }
    return [
        a_plan(trade, plan=f"plan-{name}", account=name, currency=currency, cash=cash, expire_time=later)
        for name, (currency, trade, cash) in trades.items()
    ]


async def closed(process, count):
    """Wait until so many orders are over, and return them by account."""
    async with calling(process, "trader") as channel, asyncio.timeout(DONE_S_MAX):
        while True:
            orders = (await ExecutionServiceStub(channel).ListOrders(pb.ListOrdersRequest())).orders
            if sum(order.state == pb.Order.STATE_FILLED for order in orders) == count:
                return {order.account_id: order for order in orders}
            await asyncio.sleep(0.1)


def money(message):
    return message.units + Decimal(message.nanos) / 10**9


async def test_accounts_in_either_currency_trade_abroad_over_fix(service, broker):
    async with calling(service, "decision_service") as channel:
        results = (await ExecutionServiceStub(channel).SubmitPlans(submit_request(*plans()))).results
    assert [[each.description for each in result.refusals] for result in results] == [[]] * 4
    await closed(service, 4)

    async with calling(service, "trader") as channel:
        stub = ExecutionServiceStub(channel)
        blocks = list((await stub.ListBlocks(pb.ListBlocksRequest())).blocks)
        details = {each.block_id: await stub.GetBlock(pb.GetBlockRequest(block_id=each.block_id)) for each in blocks}
        breaks = (await stub.ListBreaks(pb.ListBreaksRequest())).breaks
    assert list(breaks) == []
    told = {each.account_id: each for detail in details.values() for each in detail.allocations if each.account_id}
    legs = [each for each in blocks if each.leg_of_block_id]
    assert {(each.instrument_id, each.fees.currency_code) for each in legs} == {("EUR/USD", "EUR"), ("EUR/USD", "USD")}
    # What was dealt is what the trade was, with its tenth of a percent, to the cent; never less.
    dealt = sorted(Decimal(each.filled_quantity.value) for each in legs)
    assert dealt == sorted(OWED.values())
    for account, owed in OWED.items():
        share, sign = told[account], 1 if account.endswith("buys") else -1
        currency, rate = ("USD", RATE) if account.startswith("dollar") else ("EUR", 1 / RATE)
        assert share.value.currency_code == share.fees.currency_code == currency
        # By the rate, and a tenth of a percent for turning it: in four parts at most, each in whole cents.
        worth = in_cents(owed * rate)
        moved = money(share.value) + sign * money(share.fees)
        assert abs(moved - worth - sign * worth / 1000) <= Decimal("0.03")
    # The broker has the same, under its own engine's eyes.
    orders = (await broker.ask("state"))["orders"]
    ours = {each.client_order_id: Decimal(each.filled_quantity.value) for each in blocks}
    assert ours == {name: Decimal(order["filled"]) for name, order in orders.items()}


async def test_where_the_broker_trades_no_currencies_plans_that_need_them_are_refused(start_process, broker):
    service = await a_service(start_process, broker, FIX_TRADES_CURRENCIES="false")
    at_home = a_plan(
        a_trade("VTI", quantity=5, price=50),
        plan="plan-home", account="dollars", expire_time=datetime.now(UTC) + timedelta(hours=6),
    )  # fmt: skip
    async with calling(service, "decision_service") as channel:
        results = (await ExecutionServiceStub(channel).SubmitPlans(submit_request(*plans(), at_home))).results
    told = [[(each.reason, each.description) for each in result.refusals] for result in results]
    abroad = {
        "USD": "the reference price is in EUR, the plan in USD, and fix44 trades no currencies",
        "EUR": "the reference price is in USD, the plan in EUR, and fix44 trades no currencies",
    }
    assert told == [[("TRADE_INVALID", abroad[each.currency])] for each in plans()] + [[]]
    await closed(service, 1)
    # The broker saw nothing else.
    assert [order["filled"] for order in (await broker.ask("state"))["orders"].values()] == ["5"]
