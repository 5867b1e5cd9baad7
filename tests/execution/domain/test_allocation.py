import random
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.execution.domain.allocation import (
    CARRY_SCALE,
    DayFills,
    Share,
    Statement,
    allocate,
    allocate_pro_rata,
    certain_increments,
    share_money,
    split_by_day,
)


def a_statement(*ordered, block="block-1", carries=None, increment=1, own=()):
    carry = carries or {}
    shares = [
        Share(f"order-{index}", f"acc-{index}", quantity, carry.get(f"acc-{index}", 0), index in own)
        for index, quantity in enumerate(ordered)
    ]
    return Statement(block, Decimal(increment), tuple(shares))


def a_day(quantity, amount, day=0, fee=0):
    quantity, amount = Decimal(quantity), Decimal(amount)
    return DayFills(date(2022, 12, 28) + timedelta(days=day), quantity, amount, amount / quantity, Decimal(fee))


def got(statement, filled):
    return {part.account_id: part.filled for part in allocate_pro_rata(statement, filled)}


def test_a_block_that_is_filled_whole_gives_everybody_what_they_ordered():
    assert got(a_statement(100, 250, 1), 351) == {"acc-0": 100, "acc-1": 250, "acc-2": 1}


def test_a_partial_fill_is_shared_pro_rata():
    assert got(a_statement(100, 200, 300), 300) == {"acc-0": 50, "acc-1": 100, "acc-2": 150}


def test_the_odd_increment_goes_to_the_largest_remainder():
    # 4 of 10: exact shares 1.2, 1.2 and 1.6.
    assert got(a_statement(3, 3, 4), 4) == {"acc-0": 1, "acc-1": 1, "acc-2": 2}


def test_whoever_was_left_short_before_comes_first():
    # Exact shares of one half each; the second account is owed from earlier blocks.
    assert got(a_statement(5, 5, carries={"acc-1": 1}), 5) == {"acc-0": 2, "acc-1": 3}
    assert got(a_statement(5, 5, carries={"acc-0": 1}), 5) == {"acc-0": 3, "acc-1": 2}


def test_the_own_account_gets_what_is_left_when_every_client_has_all():
    statement = a_statement(100, 100, 100, own={0})

    assert got(statement, 150) == {"acc-0": 0, "acc-1": 75, "acc-2": 75}
    assert got(statement, 200) == {"acc-0": 0, "acc-1": 100, "acc-2": 100}
    assert got(statement, 230) == {"acc-0": 30, "acc-1": 100, "acc-2": 100}
    assert got(statement, 300) == {"acc-0": 100, "acc-1": 100, "acc-2": 100}


def test_own_accounts_share_what_is_left_by_the_same_rule():
    assert got(a_statement(4, 3, 3, 4, own={1, 2, 3}), 8) == {"acc-0": 4, "acc-1": 1, "acc-2": 1, "acc-3": 2}


def test_nothing_of_an_own_account_is_certain_before_every_client_has_all():
    statement = a_statement(10, 10, own={1})

    assert certain_increments(statement, 10) == {"order-0": 10, "order-1": 0}
    assert certain_increments(statement, 13) == {"order-0": 10, "order-1": 3}


def test_clients_have_the_fills_of_the_earlier_days():
    allocations, _ = allocate(a_statement(4, 4, own={0}), [a_day(3, 300), a_day(3, 330, 1), a_day(1, 120, 2)])

    assert [(each.account_id, each.trade_date.day, each.quantity) for each in allocations] == [
        ("acc-1", 28, 3),
        ("acc-0", 29, 2),
        ("acc-1", 29, 1),
        ("acc-0", 30, 1),
    ]


def test_nothing_filled_is_nothing_allocated():
    assert got(a_statement(3, 4), 0) == {"acc-0": 0, "acc-1": 0}


@pytest.mark.parametrize("filled", [-1, 8])
def test_more_than_was_ordered_cannot_be_shared(filled):
    with pytest.raises(ValueError, match="filled must be 0 to 7"):
        allocate_pro_rata(a_statement(3, 4), filled)


@st.composite
def partly_filled_blocks(draw):
    ordered = draw(st.lists(st.integers(1, 10_000), min_size=1, max_size=30))
    carries = draw(
        st.lists(st.integers(-2 * CARRY_SCALE, 2 * CARRY_SCALE), min_size=len(ordered), max_size=len(ordered))
    )
    statement = a_statement(
        *ordered,
        carries={f"acc-{i}": carry for i, carry in enumerate(carries)},
        own=draw(st.sets(st.integers(0, len(ordered) - 1))),
    )
    return statement, draw(st.integers(0, sum(ordered)))


@given(partly_filled_blocks())
def test_every_increment_is_allocated_and_nobody_gets_more_than_they_ordered(case):
    statement, filled = case
    parts = allocate_pro_rata(statement, filled)

    assert sum(part.filled for part in parts) == filled
    for own in (False, True):
        served = [(s, p) for s, p in zip(statement.shares, parts, strict=True) if s.own is own]
        ordered, got = sum(share.ordered for share, _ in served), sum(part.filled for _, part in served)
        for share, part in served:
            assert 0 <= part.filled <= share.ordered
            assert abs(part.filled * ordered - got * share.ordered) < ordered


@given(partly_filled_blocks())
def test_own_accounts_get_something_only_when_every_client_has_all(case):
    statement, filled = case
    parts = allocate_pro_rata(statement, filled)
    clients = [(s, p) for s, p in zip(statement.shares, parts, strict=True) if not s.own]
    lacking = [share.order_id for share, part in clients if part.filled < share.ordered]
    own = sum(part.filled for share, part in zip(statement.shares, parts, strict=True) if share.own)

    assert own == 0 or not lacking


@given(partly_filled_blocks())
def test_clients_get_what_they_would_get_without_the_own_accounts(case):
    statement, filled = case
    clients = tuple(share for share in statement.shares if not share.own)
    if not clients:
        return
    alone = Statement(statement.block_id, statement.increment, clients)
    among = {part.order_id: part for part in allocate_pro_rata(statement, filled)}

    for part in allocate_pro_rata(alone, min(filled, alone.quantity)):
        assert among[part.order_id] == part


@given(partly_filled_blocks(), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(case, rng):
    statement, filled = case
    rows = list(statement.shares)
    rng.shuffle(rows)

    assert allocate_pro_rata(Statement(statement.block_id, Decimal(1), tuple(rows)), filled) == allocate_pro_rata(
        statement, filled
    )


@given(partly_filled_blocks(), st.integers(0, 10_000))
def test_what_is_certain_stays_however_the_rest_fills(case, later):
    statement, filled = case
    more = min(filled + later, statement.quantity)
    final = {part.order_id: part.filled for part in allocate_pro_rata(statement, more)}

    assert all(final[order] >= certain for order, certain in certain_increments(statement, filled).items())


def test_over_a_hundred_days_equal_accounts_get_equal_parts():
    # 7 units a day to 100 accounts that asked for one each: after 100 days 7 each.
    totals, carries = dict.fromkeys((f"acc-{i}" for i in range(100)), 0), {}
    for day in range(100):
        statement = a_statement(*[1] * 100, block=f"block-{day}", carries=carries)
        for part in allocate_pro_rata(statement, 7):
            totals[part.account_id] += part.filled
            carries[part.account_id] = part.carry
        assert max(totals.values()) - min(totals.values()) <= 1
    assert set(totals.values()) == {7}


def test_small_accounts_are_not_starved_by_large_ones():
    # 5 of 11 a day: exact shares 4.545 and 0.4545. Without a carry the small account would never get anything.
    totals, carries = {"acc-0": 0, "acc-1": 0}, {}
    for day in range(110):
        for part in allocate_pro_rata(a_statement(10, 1, block=f"block-{day}", carries=carries), 5):
            totals[part.account_id] += part.filled
            carries[part.account_id] = part.carry

    assert totals == {"acc-0": 500, "acc-1": 50}


def test_first_ties_are_drawn_by_block_and_favor_no_name():
    winners = [
        next(name for name, filled in got(a_statement(1, 1, block=f"block-{n}"), 1).items() if filled)
        for n in range(1000)
    ]

    assert 430 < winners.count("acc-0") < 570


def test_money_and_fees_sum_to_the_cent():
    statement = a_statement(1, 1, 1)
    allocations, _ = allocate(statement, [a_day(3, "100.00", fee="0.01")])

    assert sum(each.gross_amount for each in allocations) == Decimal("100.00")
    assert sorted(each.gross_amount for each in allocations) == [Decimal("33.33"), Decimal("33.33"), Decimal("33.34")]
    assert sum(each.fee for each in allocations) == Decimal("0.01")


def test_fractional_increments_are_allocated_in_increments():
    allocations, _ = allocate(a_statement(1500, 2500, increment="0.001"), [a_day("2.001", "200.10")])

    assert sum(each.quantity for each in allocations) == Decimal("2.001")
    assert {each.quantity for each in allocations} == {Decimal("0.750"), Decimal("1.251")}


def test_a_fill_that_is_not_in_increments_is_refused():
    with pytest.raises(ValueError, match="not in increments"):
        allocate(a_statement(5), [a_day("1.5", 1)])


@given(partly_filled_blocks(), st.lists(st.integers(1, 9), min_size=1, max_size=4))
def test_days_share_what_all_of_it_gives_and_each_day_sums_exactly(case, weights):
    statement, filled = case
    cuts = share_money(Decimal(filled) / 100, weights, [str(n) for n in range(len(weights))], "days")
    quantities = [int(cut * 100) for cut in cuts]
    days = [a_day(q, q * 10 + 1, n, fee=f"0.0{n}") for n, q in enumerate(quantities) if q]
    allocations, parts = allocate(statement, days)

    assert parts == allocate_pro_rata(statement, filled)
    for part in parts:
        assert sum(each.quantity for each in allocations if each.order_id == part.order_id) == part.filled
    for day in days:
        of_day = [each for each in allocations if each.trade_date == day.trade_date]
        assert sum(each.quantity for each in of_day) == day.quantity
        assert sum(each.gross_amount for each in of_day) == day.gross_amount
        assert sum(each.fee for each in of_day) == day.fee
        assert all(each.quantity > 0 for each in of_day)


def test_days_that_are_not_all_of_it_are_refused():
    with pytest.raises(ValueError, match="days sum to 3, what is split to 4"):
        split_by_day([4], [1, 2], ["a"])


@given(st.integers(-(10**9), 10**9), st.lists(st.integers(0, 10**6), min_size=1, max_size=20))
def test_shared_money_sums_exactly_and_in_proportion(cents, weights):
    amount = Decimal(cents) / 100
    if sum(weights) == 0:
        weights[0] = 1
    parts = share_money(amount, weights, [str(index) for index in range(len(weights))], "salt")

    assert sum(parts) == amount
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part * sum(weights) - amount * weight) < Decimal("0.01") * sum(weights)


def test_a_statement_refuses_an_order_twice_and_nobody_at_all():
    share = Share("order-1", "acc-1", 1)
    with pytest.raises(ValueError, match="twice"):
        Statement("block", Decimal(1), (share, share))
    with pytest.raises(ValueError, match="no shares"):
        Statement("block", Decimal(1), ())


def test_a_large_block_is_shared_by_the_same_rule():
    rng = random.Random(1)
    statement = a_statement(*[rng.randint(1, 100) for _ in range(20_000)])
    filled = statement.quantity * 2 // 3

    assert sum(part.filled for part in allocate_pro_rata(statement, filled)) == filled
