"""The venue is told who got what of each block, and what it says to that is recorded."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from services.execution.app.instructing import NOTHING, instruction_of
from services.execution.app.venue_breaks import INSTRUCTION_ANSWER_MAX
from services.execution.app.venue_port import InstructionState, InstructionView
from services.execution.domain.errors import InstructionNotFound, InstructionNotRejected, VenueUnreachable
from services.execution.domain.order import FillBusted, Filled
from services.execution.venues.sandbox.venue import SandboxVenue
from tests.execution.builders import NOON, a_plan, a_trade


async def shared_out(world, **market):
    """Fill a block of two accounts, and share it out; nobody has told the venue yet."""
    await world.market(VTI=100, fee_bps=10, **market)
    plans = [a_plan(a_trade(quantity=n), plan=f"plan-{n}", account=f"acc-{n}") for n in (7, 11)]
    await world.submit(*plans)
    await world.app.forming.form_blocks()
    await world.app.sending.send_blocks()
    while await world.app.fills.apply_reports():
        pass
    (detail,) = await world.blocks()
    assert [each.state for each in detail.instructions] == [InstructionState.PENDING]
    return detail


async def breaks(world):
    return {each.kind: each.venues for each in await world.app.queries.list_breaks()}


async def test_a_block_is_instructed_once_and_accepted(world):
    before = await shared_out(world)
    name = before.record.block.client_order_id

    await world.run()

    (detail,) = await world.blocks()
    (told,) = detail.instructions
    assert (told.state, told.why, told.replaces) == (InstructionState.ACCEPTED, "", None)
    assert await world.venue.instructions([told.allocation_id]) == {
        told.allocation_id: InstructionView(InstructionState.ACCEPTED)
    }
    kinds = [(kind, data) for kind, _, data in await world.events() if "allocation_" in kind]
    assert [kind for kind, _ in kinds] == [
        "execution.block.allocation_stated",
        "execution.block.allocation_instructed",
        "execution.block.allocation_answered",
    ]
    assert kinds[-1][1]["state"] == "ACCEPTED"
    assert kinds[-1][1]["client_order_id"] == name
    assert await breaks(world) == {}
    assert await world.app.instructing.instruct_blocks() == 0


async def test_what_is_instructed_is_what_the_accounts_got(world):
    detail = await shared_out(world)
    async with world.begin() as ledger:
        ((record, block, allocations),) = await ledger.instructions_to_send("sandbox", 9)
    told = instruction_of(record, block, allocations, world.app.instructing.exchange)

    assert {share.account_id: share.quantity for share in told.shares} == {"acc-7": 7, "acc-11": 11}
    assert sum(share.fees for share in told.shares) == detail.record.order.fees
    assert (told.quantity, told.average_price) == (18, 100)
    assert (told.client_order_id, told.replaces) == (detail.record.block.client_order_id, None)


async def test_an_account_with_two_orders_in_a_block_has_one_share(world):
    await shared_out(world)
    async with world.begin() as ledger:
        ((record, block, allocations),) = await ledger.instructions_to_send("sandbox", 9)
    both = [replace(each, account_id="acc-7") for each in allocations]

    (share,) = instruction_of(record, block, both, world.app.instructing.exchange).shares

    assert (share.account_id, share.quantity) == ("acc-7", 18)


async def test_a_block_without_fills_is_not_instructed(world):
    await world.market(VTI=100)
    plan = a_plan(a_trade(quantity=10, price=97), limit_bps=100)
    await world.submit(plan)
    await world.run()
    world.market_clock.advance(plan.expire_time - NOON)
    await world.run()

    (detail,) = await world.blocks()
    assert detail.record.allocated
    assert detail.instructions == ()


async def miscounted(world):
    """Have the venue reject a block's shares, because it counts a unit less, and return its order as it was."""
    detail = await shared_out(world)
    async with world.begin_book() as book:
        order = await book.order(detail.record.block.client_order_id)
        await book.save([replace(order, filled_quantity=order.filled_quantity - 1)])
    await world.app.instructing.instruct_blocks()
    await world.app.instructing.hear_answers()
    return order


async def test_a_rejected_instruction_is_a_break_and_told_to_audit(world):
    order = await miscounted(world)
    name = order.intent.client_order_id
    async with world.begin_book() as book:
        await book.say([(name, Filled(f"{name}:none", Decimal(1), Decimal(1)), NOON)])

    (after,) = await world.blocks()
    (told,) = after.instructions
    assert told.state is InstructionState.REJECTED
    assert told.why
    assert (await breaks(world))["ALLOCATION_REJECTED"] == told.why
    answered = [data for kind, _, data in await world.events() if kind == "execution.block.allocation_answered"]
    assert [(each["state"], each["why"]) for each in answered] == [("REJECTED", told.why)]


async def rejected(world):
    """Have the venue reject who got what of a block, because it has not heard of a fill yet."""
    order = await miscounted(world)
    async with world.begin_book() as book:
        await book.save([order])
    (told,) = (await world.blocks())[0].instructions
    assert told.state is InstructionState.REJECTED
    return told


async def test_what_was_rejected_is_told_again_when_a_person_says_so(world, monkeypatch):
    first = await rejected(world)
    again = await world.app.instructing.instruct_again(first.allocation_id, by="ann", reason="They had a fill to book.")
    assert (again.replaces, again.trade_date) == (first.allocation_id, first.trade_date)
    assert again.allocation_id != first.allocation_id

    told = []
    instruct = world.venue.instruct

    async def listening(instructions):
        told.extend(instructions)
        await instruct(instructions)

    monkeypatch.setattr(SandboxVenue, "instruct", lambda _, instructions: listening(instructions))
    await world.run()
    # The venue has nothing of what it rejected: to it, this is the first.
    assert [(each.allocation_id, each.replaces, each.quantity) for each in told] == [(again.allocation_id, None, 18)]
    (detail,) = await world.blocks()
    assert [each.state for each in detail.instructions] == [InstructionState.REJECTED, InstructionState.ACCEPTED]
    assert await breaks(world) == {}
    events = [data for kind, _, data in await world.events() if kind == "execution.block.allocation_told_again"]
    assert [(each["by"], each["reason"], each["replaces"]) for each in events] == [
        ("ann", "They had a fill to book.", first.allocation_id)
    ]


async def test_only_what_was_rejected_is_told_again_and_once(world):
    first = await rejected(world)
    again = await world.app.instructing.instruct_again(first.allocation_id, by="ann", reason="Because.")
    with pytest.raises(InstructionNotRejected, match=f"replaced by {again.allocation_id}"):
        await world.app.instructing.instruct_again(first.allocation_id, by="bob", reason="Because.")
    await world.run()
    with pytest.raises(InstructionNotRejected, match="is ACCEPTED"):
        await world.app.instructing.instruct_again(again.allocation_id, by="ann", reason="Because.")
    with pytest.raises(InstructionNotFound, match="none"):
        await world.app.instructing.instruct_again("none", by="ann", reason="Because.")


async def test_each_day_of_trading_is_told_by_itself(world):
    await world.market(VTI=100)
    plans = [
        a_plan(a_trade(quantity=n, price=97), plan=f"plan-{n}", account=f"acc-{n}", limit_bps=100) for n in (7, 11)
    ]
    await world.submit(*plans)
    await world.app.forming.form_blocks()
    await world.app.sending.send_blocks()
    (detail,) = await world.blocks()
    name, tomorrow = detail.record.block.client_order_id, NOON + timedelta(days=1)
    async with world.begin_book() as book:
        order = await book.order(name)
        await book.save([replace(order, filled_quantity=Decimal(18))])
        await book.say([(name, Filled(f"{name}:1", Decimal(8), Decimal(97)), NOON)])
        await book.say([(name, Filled(f"{name}:2", Decimal(10), Decimal(96)), tomorrow)])
    while await world.app.fills.apply_reports():
        pass
    async with world.begin() as ledger:
        found = await ledger.instructions_to_send("sandbox", 9)
    first, second = [instruction_of(*each, world.app.instructing.exchange) for each in found]

    assert [(each.quantity, each.average_price) for each in (first, second)] == [(8, 97), (10, 96)]
    assert (first.trade_date, second.trade_date) == (NOON.date(), tomorrow.date())
    assert first.settlement_date < second.settlement_date
    assert first.allocation_id != second.allocation_id
    assert (first.replaces, second.replaces) == (None, None)

    # Another price of the second day is told for the second day alone.
    async with world.begin_book() as book:
        await book.say([(name, FillBusted(f"{name}:3", f"{name}:2"), tomorrow)])
    while await world.app.fills.apply_reports():
        pass
    (detail,) = await world.blocks()
    days = {(each.trade_date, each.replaces) for each in detail.instructions}
    assert len(detail.instructions) == 3
    assert days == {
        (NOON.date(), None),
        (tomorrow.date(), None),
        (tomorrow.date(), second.allocation_id),
    }


async def test_what_is_taken_back_before_the_venue_took_it_is_not_told(world):
    first = await rejected(world)
    (detail,) = await world.blocks()
    name = detail.record.block.client_order_id
    fills = sorted(detail.record.order.fills)
    async with world.begin_book() as book:
        await book.say([(name, FillBusted(f"{each}:busted", each), NOON) for each in fills])
    await world.run()

    (detail,) = await world.blocks()
    (_, second) = detail.instructions
    assert (second.state, second.replaces, second.why) == (InstructionState.ACCEPTED, first.allocation_id, NOTHING)
    assert second.allocation_id not in await world.venue.instructions([second.allocation_id])


async def test_an_instruction_without_an_answer_becomes_a_break(world, monkeypatch):
    await shared_out(world)

    async def silence(*_):
        return {}

    monkeypatch.setattr(SandboxVenue, "instructions", silence)
    assert await world.app.instructing.instruct_blocks() == 1
    assert await world.app.instructing.hear_answers() == 0
    assert await breaks(world) == {}

    world.clock.advance(INSTRUCTION_ANSWER_MAX + timedelta(seconds=1))

    assert (await breaks(world))["ALLOCATION_UNANSWERED"] == "no final answer, sent"


async def test_a_venue_that_does_not_answer_is_told_later(world, monkeypatch):
    await shared_out(world)

    async def nobody(*_):
        raise VenueUnreachable("nobody there", venue_id="sandbox")

    with monkeypatch.context() as patch:
        patch.setattr(SandboxVenue, "instruct", nobody)
        assert await world.app.instructing.instruct_blocks() == 0
    assert await world.app.instructing.instruct_blocks() == 1

    with monkeypatch.context() as patch:
        patch.setattr(SandboxVenue, "instructions", nobody)
        assert await world.app.instructing.hear_answers() == 0
    assert await world.app.instructing.hear_answers() == 1


async def test_what_takes_the_place_of_another_ends_its_break(world):
    await shared_out(world)
    async with world.begin() as ledger:
        ((record, *_),) = await ledger.instructions_to_send("sandbox", 9)
        rejected = replace(record, state=InstructionState.REJECTED, why="no")
        await ledger.save_instructions([rejected])
        assert [each.allocation_id for each in await ledger.failed_instructions("sandbox", NOON)] == [
            record.allocation_id
        ]
        later = replace(record, allocation_id=f"{record.allocation_id}b", replaces=record.allocation_id)
        await ledger.add_instructions([later])
        assert await ledger.failed_instructions("sandbox", NOON - timedelta(days=1)) == []
        assert await ledger.failed_instructions("elsewhere", NOON) == []


@pytest.mark.parametrize("state", [InstructionState.SENT, InstructionState.RECEIVED])
async def test_what_has_no_final_answer_is_asked_about(world, state):
    await shared_out(world)
    async with world.begin() as ledger:
        ((record, *_),) = await ledger.instructions_to_send("sandbox", 9)
        await ledger.save_instructions([replace(record, state=state)])
    async with world.begin() as ledger:
        (waiting,) = await ledger.unanswered_instructions("sandbox", 9)
        assert waiting.state is state
        assert await ledger.unanswered_instructions("elsewhere", 9) == []


async def test_all_that_waits_is_instructed_together(make_memory_world):
    world = await make_memory_world()
    await world.market(VTI=100, BND=100)
    await world.submit(a_plan(a_trade(), a_trade("BND")))
    await world.app.forming.form_blocks()
    await world.app.sending.send_blocks()
    while await world.app.fills.apply_reports():
        pass
    before = world.points.passed

    assert await world.app.instructing.instruct_blocks() == 2
    # What waits is asked for, the venue is told, and instructions and events are written: each once.
    assert world.points.passed - before == 2 * 5

    await world.run()
    told = [each for detail in await world.blocks() for each in detail.instructions]
    assert [each.state for each in told] == [InstructionState.ACCEPTED] * 2
