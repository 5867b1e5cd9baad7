import random
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.execution.domain.blocks import Piece, Terms, form_blocks, travelling_together
from services.execution.domain.words import OrderType, Side, TimeInForce

TERMS = Terms(
    instrument_id="VTI",
    side=Side.BUY,
    venue_id="sandbox",
    order_type=OrderType.MARKET,
    limit_price=None,
    time_in_force=TimeInForce.DAY,
    currency="USD",
    custodian="custodian-a",
    increment=Decimal(1),
)


def a_piece(number, quantity=10, *, terms=TERMS, consent=True, placed=0):
    return Piece(f"order-{number}", f"acc-{number}", terms, Decimal(quantity), Decimal(placed), consent)


def formed(pieces, most=1000, carries=None):
    return form_blocks(pieces, carries=carries or {}, orders_per_block_max=most)


def test_the_same_terms_make_one_block():
    (block,) = formed([a_piece(1, 10), a_piece(2, 20)])

    assert block.quantity == 30
    assert [share.account_id for share in block.statement.shares] == ["acc-1", "acc-2"]


@pytest.mark.parametrize(
    "other",
    [
        {"instrument_id": "BND"},
        {"side": Side.SELL},
        {"venue_id": "elsewhere"},
        {"order_type": OrderType.LIMIT, "limit_price": Decimal(100)},
        {"currency": "EUR"},
        {"custodian": "custodian-b"},
        {"time_in_force": TimeInForce.FILL_OR_KILL},
        {"increment": Decimal("0.5")},
    ],
)
def test_other_terms_make_another_block(other):
    assert len(formed([a_piece(1), a_piece(2, terms=replace(TERMS, **other))])) == 2


def test_what_travels_together_comes_sells_first_then_by_its_first_order():
    sells = replace(TERMS, side=Side.SELL)
    pieces = [a_piece(5), a_piece(4), a_piece(3), a_piece(2, consent=False), a_piece(9, terms=sells)]

    together = travelling_together(pieces, orders_per_block_max=2)

    assert [(terms, [piece.order_id for piece in of_block]) for terms, of_block in together] == [
        (sells, ["order-9"]),
        (TERMS, ["order-2"]),
        (TERMS, ["order-3", "order-4"]),
        (TERMS, ["order-5"]),
    ]


def test_an_account_that_did_not_agree_goes_alone():
    blocks = formed([a_piece(1), a_piece(2, consent=False), a_piece(3), a_piece(4, consent=False)])

    assert sorted(len(block.statement.shares) for block in blocks) == [1, 1, 2]


def test_sells_come_before_buys():
    blocks = formed([a_piece(1), a_piece(2, terms=replace(TERMS, side=Side.SELL))])

    assert [block.terms.side for block in blocks] == [Side.SELL, Side.BUY]


def test_a_large_group_makes_several_blocks():
    assert sorted(len(b.statement.shares) for b in formed([a_piece(n) for n in range(5)], most=2)) == [1, 2, 2]


@given(st.randoms(use_true_random=False))
def test_blocks_and_their_ids_do_not_depend_on_the_order_of_arrival(rng: random.Random):
    pieces = [a_piece(n, n + 1, consent=n % 3 > 0) for n in range(12)]
    shuffled = pieces[:]
    rng.shuffle(shuffled)

    assert formed(shuffled) == formed(pieces)


def test_the_next_part_of_an_order_is_another_block():
    (first,), (second,) = formed([a_piece(1)]), formed([a_piece(1, placed=10)])

    assert first.block_id != second.block_id
    assert first.client_order_id != second.client_order_id


def test_what_earlier_blocks_owe_is_frozen_in_the_statement():
    (block,) = formed([a_piece(1), a_piece(2)], carries={"acc-1": 7})

    assert [share.carry for share in block.statement.shares] == [7, 0]


def test_half_an_increment_cannot_be_sent():
    with pytest.raises(ValueError, match="whole number of increments"):
        formed([a_piece(1, "1.5")])


def test_terms_that_contradict_themselves_are_refused():
    with pytest.raises(ValueError, match="limit"):
        replace(TERMS, order_type=OrderType.LIMIT)
    with pytest.raises(ValueError, match="limit"):
        replace(TERMS, limit_price=Decimal(1))
