"""Policy is told what accounts are worth, by itself, after an ingest and as prices get older."""

from datetime import timedelta
from decimal import Decimal

import pytest

from services.decision.app import valuing
from tests.decision.books import CLOSE, an_account, lot
from tests.decision.stages.world import PRICES, needs_trades, on_target


def told(world):
    """Return what policy knows of each account: the value told last."""
    return {each.account_id: each for values in world.policy.values.values() for each in values}


async def tell_all(world):
    while await world.valuing.step():
        pass


async def test_an_ingest_is_told_once(world):
    assert await world.valuing.step() is False
    await world.ingest(needs_trades("a1"), on_target("a2"))

    await tell_all(world)
    world.restarted()
    await tell_all(world)

    assert len(world.policy.values) == 1
    known = told(world)
    # 500 VTI at 190, and 1,000 in cash.
    assert (known["a1"].value.amount, known["a1"].value.currency) == (Decimal("96000.00"), "USD")
    assert set(known) == {"a1", "a2"}
    assert known["a1"].as_of_time == CLOSE


async def test_a_later_snapshot_tells_only_what_it_brought(world):
    await world.ingest(needs_trades("a1"), on_target("a2"))
    await tell_all(world)
    first = told(world)["a2"]

    await world.ingest(an_account("a2", cash=5), as_of=CLOSE + timedelta(hours=1))
    await tell_all(world)

    *_, (last,) = world.policy.values.values()
    assert (last.account_id, last.value.amount) == ("a2", Decimal("5.00"))
    assert last.as_of_time == first.as_of_time + timedelta(hours=1)


async def test_prices_of_the_next_day_tell_all_again_and_of_the_same_day_nothing(world):
    await world.ingest(needs_trades("a1"), on_target("a2"))
    await tell_all(world)

    dearer = {**PRICES, "VTI": Decimal(200)}
    world.market_clock.advance(timedelta(days=2))
    await world.ingest_prices(dearer, CLOSE + timedelta(hours=23))
    await tell_all(world)
    assert len(world.policy.values) == 1

    await world.ingest_prices(dearer, CLOSE + timedelta(days=1))
    await tell_all(world)
    assert len(world.policy.values) == 2
    assert told(world)["a1"].value.amount == Decimal("101000.00")


async def test_while_policy_does_not_answer_the_same_is_told_later_by_the_same_request(world):
    await world.ingest(needs_trades("a1"))
    world.policy.down = True
    assert await world.valuing.step() is False
    world.policy.down = False

    # Told, and died before it was written down.
    def died():
        raise RuntimeError("died")

    world.valuing.begin = died
    with pytest.raises(RuntimeError, match="died"):
        await world.valuing.step()
    assert len(world.policy.values) == 1
    world.restarted()
    await tell_all(world)

    assert len(world.policy.values) == 1
    assert await world.valuing.step() is False


async def test_what_policy_does_not_have_or_nobody_knows_is_told_when_it_can_be(world):
    world.policy.without = {"a1"}
    await world.ingest(
        needs_trades("a1"),
        an_account("a2", cash=1).holding("AAPL", lot("l", 10, 1000)),
        an_account("a3", cash=-7),
        prices={"VTI": PRICES["VTI"]},
    )
    await tell_all(world)
    assert {each: told(world)[each].value.amount for each in told(world)} == {"a1": Decimal("96000.00"), "a3": 0}

    world.policy.without = set()
    await world.ingest_prices(PRICES, CLOSE)
    await tell_all(world)
    *_, last = world.policy.values.values()
    assert [each.account_id for each in last] == ["a1", "a2"]


async def test_of_many_accounts_some_are_told_at_a_step_and_what_comes_meanwhile_is_not_missed(world, monkeypatch):
    monkeypatch.setattr(valuing, "TOLD_AT_ONCE", 2)
    await world.ingest(*(needs_trades(f"a{number}") for number in range(5)))
    assert await world.valuing.step() is True
    await world.ingest(an_account("a0", cash=3), as_of=CLOSE + timedelta(hours=1))

    await tell_all(world)
    await tell_all(world)

    assert [len(values) for values in world.policy.values.values()] == [2, 2, 1, 1]
    assert told(world)["a0"].value.amount == 3
