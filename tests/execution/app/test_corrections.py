"""What a venue takes back after a block was shared out reaches every account, with a link to what it was."""

from datetime import date, timedelta
from decimal import Decimal

from services.execution.app.records import AllocationRecord, Correction, LifeState
from services.execution.domain.order import Accepted, Canceled, FillBusted, FillCorrected, Filled
from services.execution.domain.words import Side
from tests.execution.builders import NOON, a_plan, a_trade


async def say(world, name, *reports, at=NOON):
    async with world.begin_book() as book:
        await book.say([(name, report, at) for report in reports])
    await world.run()


async def carried_out(world, *quantities, side=Side.BUY, share=1):
    """Accounts a, b, … get what they asked for in one block; its name at the venue."""
    await world.market(VTI=100, fee_bps=1, share=share)
    await world.submit(
        *(
            a_plan(a_trade(side=side, quantity=quantity), plan=f"plan-{name}", account=name)
            for name, quantity in zip("abcdefgh", quantities, strict=False)
        )
    )
    await world.run()
    (detail,) = await world.blocks()
    return detail.record.block.client_order_id


async def resting(world, *quantities):
    """A block at a limit that the sandbox's own market never reaches, so that only the test fills it."""
    await world.market(VTI=100)
    await world.submit(
        *(
            a_plan(
                a_trade(quantity=quantity, price=97),
                plan=f"plan-{quantity}",
                account=f"acc-{quantity}",
                limit_bps=100,
                expire_time=NOON + timedelta(days=2),
            )
            for quantity in quantities
        )
    )
    await world.app.forming.form_blocks()
    await world.app.sending.send_blocks()
    (detail,) = await world.blocks()
    return detail.record.block.client_order_id


async def given(world):
    (detail,) = await world.blocks()
    return {each.account_id: (each.quantity, each.amount, each.fees) for each in detail.allocations}


async def corrections(world):
    return [each.content for each in await world.reports() if isinstance(each.content, Correction)]


async def breaks_of_ours(world):
    """Breaks but for what only our test put into the venue's stream and not into its book."""
    found = await world.app.queries.list_breaks()
    return {each.kind for each in found} - {"FILLED_QUANTITY", "AMOUNT", "FEES"}


async def test_a_price_that_is_corrected_changes_every_account_of_the_block(world):
    name = await carried_out(world, 10, 20)
    await say(world, name, FillCorrected(f"{name}:c", f"{name}:1", Decimal(30), Decimal(101), Decimal("0.30")))

    assert await given(world) == {"a": (10, 1010, Decimal("0.10")), "b": (20, 2020, Decimal("0.20"))}
    assert [(each.replaced.amount, each.allocation.amount) for each in await corrections(world)] == [
        (1000, 1010),
        (2000, 2020),
    ]
    order = await world.order("VTI", "a")
    assert (order.state, order.filled, order.filled_amount) == (LifeState.FILLED, 10, 1010)
    assert await breaks_of_ours(world) == set()


async def test_a_correction_names_what_it_replaces_and_where_that_was_told(world):
    name = await carried_out(world, 10)
    before = await world.reports()
    await say(world, name, FillCorrected(f"{name}:c", f"{name}:1", Decimal(10), Decimal(101)))
    await say(world, name, FillCorrected(f"{name}:d", f"{name}:c", Decimal(10), Decimal(102)))

    first = before[0].content
    second, third = await corrections(world)
    assert (second.replaced, second.replaced_position) == (first, before[0].position)
    assert (third.replaced, third.replaced_position) == (second.allocation, before[-1].position + 1)
    assert [each.revision for each in (first, second.allocation, third.allocation)] == [0, 1, 2]
    async with world.begin() as ledger:
        history = await ledger.allocation_history(second.allocation.allocation_id)
        assert await ledger.allocation_history("none") == []
    assert history == [first, second.allocation, third.allocation]


async def test_what_was_told_stays_told(world):
    name = await carried_out(world, 10)
    before = await world.reports()
    await say(world, name, FillCorrected(f"{name}:c", f"{name}:1", Decimal(10), Decimal(101)))
    await say(world, name, FillBusted(f"{name}:b", f"{name}:c"))

    assert (await world.reports())[: len(before)] == before


async def test_a_bust_takes_all_back_and_the_order_is_given_up(world):
    name = await carried_out(world, 10, 20)
    await say(world, name, FillBusted(f"{name}:bust", f"{name}:1"))

    assert await given(world) == {"a": (0, 0, 0), "b": (0, 0, 0)}
    order = await world.order("VTI", "a")
    assert (order.state, order.filled, order.filled_amount, order.fees, order.close_reason) == (
        LifeState.CANCELED,
        0,
        0,
        0,
        "FILL_BUSTED",
    )
    kinds = [kind for kind, _, _ in await world.events()]
    assert kinds.count("execution.order.reallocated") == 2
    assert kinds.count("execution.order.closed") == 2
    assert await breaks_of_ours(world) == set()


async def test_a_bust_of_one_of_several_fills_is_shared_by_the_frozen_rule(world):
    name = await carried_out(world, 5, 5, 5, share="0.5")
    (detail,) = await world.blocks()
    fill = max(detail.record.order.fills.values(), key=lambda fill: fill.report_id)
    await say(world, name, FillBusted(f"{name}:bust", fill.report_id))

    left = 15 - fill.quantity
    quantities = [quantity for quantity, _, _ in (await given(world)).values()]
    assert sum(quantities) == left
    assert max(quantities) - min(quantities) <= 1
    async with world.begin() as ledger:
        carries = await ledger.carries({"a", "b", "c"})
    # Who got less than the third is owed it in the next block, as if the fill had never been.
    owed = {account: left / 3 - got for account, (got, _, _) in (await given(world)).items()}
    assert all(abs(carries.get(account, 0) - owed[account] * 1_000_000) <= 1 for account in owed)


async def test_a_bust_of_a_sell_is_told_to_audit_with_what_it_was(world):
    name = await carried_out(world, 10, side=Side.SELL)
    await say(world, name, FillBusted(f"{name}:bust", f"{name}:1"))

    (data,) = [data for kind, _, data in await world.events() if kind == "execution.order.reallocated"]
    assert Decimal(data["replaced"]["quantity"]) == 10
    assert Decimal(data["quantity"]) == 0


async def test_a_correction_before_the_block_is_over_is_not_one_to_accounts(world):
    name = await resting(world, 10)
    await say(
        world,
        name,
        Filled(f"{name}:x", Decimal(4), Decimal(90)),
        FillCorrected(f"{name}:y", f"{name}:x", Decimal(4), Decimal(99)),
        Canceled(f"{name}:over"),
    )

    reports = [each.content for each in await world.reports() if isinstance(each.content, AllocationRecord)]
    assert [(each.quantity, each.amount, each.revision) for each in reports] == [(4, 396, 0)]


async def test_a_fill_that_comes_after_the_end_is_shared_too_unless_an_order_would_have_too_much(world):
    name = await resting(world, 10)
    await say(world, name, Filled(f"{name}:x", Decimal(4), Decimal(100)), Canceled(f"{name}:over"))
    await say(world, name, Filled(f"{name}:late", Decimal(6), Decimal(100)))

    order = await world.order("VTI", "acc-10")
    assert (order.state, order.filled, order.filled_amount) == (LifeState.FILLED, 10, 1000)

    await say(world, name, Filled(f"{name}:more", Decimal(1), Decimal(100)))
    assert (await world.order("VTI", "acc-10")).filled == 10
    assert "OVERFILLED" in await breaks_of_ours(world)


async def test_a_block_filled_on_two_days_is_two_trades_that_settle_on_their_own(world):
    name = await resting(world, 10, 20)
    next_day = NOON + timedelta(days=1)
    async with world.begin_book() as book:
        await book.say(
            [
                (name, Accepted(f"{name}:a"), NOON),
                (name, Filled(f"{name}:x", Decimal(12), Decimal(100), Decimal("0.12")), NOON),
                (name, Filled(f"{name}:y", Decimal(18), Decimal(102), Decimal("0.18")), next_day),
                (name, FillCorrected(f"{name}:z", f"{name}:x", Decimal(12), Decimal(101), Decimal("0.13")), next_day),
            ]
        )
    await world.app.fills.apply_reports()

    (detail,) = await world.blocks()
    got = [(e.account_id, e.trade_date.day, e.quantity, e.price, e.amount, e.fees) for e in detail.allocations]
    assert sorted(got) == [
        ("acc-10", 28, 4, 101, 404, Decimal("0.04")),
        ("acc-10", 29, 6, 102, 612, Decimal("0.06")),
        ("acc-20", 28, 8, 101, 808, Decimal("0.09")),
        ("acc-20", 29, 12, 102, 1224, Decimal("0.12")),
    ]
    settled = {each.trade_date: each.settlement_date for each in detail.allocations}
    assert settled == {date(2022, 12, 28): date(2022, 12, 30), date(2022, 12, 29): date(2023, 1, 3)}
    order = await world.order("VTI", "acc-20")
    assert (order.filled, order.filled_amount, order.fees) == (20, 2032, Decimal("0.21"))
    assert len([each for each in await world.reports() if isinstance(each.content, AllocationRecord)]) == 4
