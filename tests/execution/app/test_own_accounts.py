"""The firm's own account travels with clients and comes behind them."""

from services.execution.api.messages import allocation_response
from services.execution.app.records import LifeState
from services.execution.domain.trading_state import EVERYTHING, TradingState
from tests.execution.builders import a_plan, a_trade


def plans(*quantities):
    return [
        a_plan(a_trade(quantity=each), plan=f"plan-{n}", account=f"acc-{n}", cash=100_000)
        for n, each in enumerate(quantities)
    ]


async def test_the_own_account_is_allocated_last_and_the_statement_said_so_before(make_world):
    world = await make_world(own_accounts=["acc-0"])
    await world.market(VTI=100, fee_bps=1, share="0.5")
    await world.submit(*plans(10, 10, 10))
    await world.app.forming.form_blocks()
    stated = [data for kind, _, data in await world.events() if kind == "execution.block.allocation_stated"]
    mine = (await world.order("VTI", "acc-0")).order_id
    await world.app.sending.send_blocks()
    await world.app.fills.apply_reports()
    # The rest of the block is canceled: it ends partly filled.
    await world.app.trading.halt(EVERYTHING, TradingState.HALTED, by="ruth", why="storm")
    await world.app.sending.cancel_blocks()
    await world.app.fills.apply_reports()
    (detail,) = await world.blocks()
    filled = {each.account_id: each.quantity for each in detail.allocations}

    assert [(each["own"], each["rule"].split(";")[0]) for each in stated] == [
        ([mine], "clients before the firm's own accounts")
    ]
    assert 0 < detail.record.order.filled_quantity < 20
    assert sum(filled.values()) == detail.record.order.filled_quantity
    assert "acc-0" not in filled
    assert abs(filled["acc-1"] - filled["acc-2"]) <= 1


async def test_an_allocation_says_whether_its_account_is_the_firms(make_world):
    world = await make_world(own_accounts=["acc-0"])
    await world.market(VTI=100)
    await world.submit(*plans(2, 3))
    await world.run()
    (block,) = await world.blocks()
    said = {
        each.account_id: allocation_response(await world.app.queries.get_allocation(each.allocation_id)).own
        for each in block.allocations
    }

    assert said == {"acc-0": True, "acc-1": False}
    assert (await world.order("VTI", "acc-0")).state is LifeState.FILLED
