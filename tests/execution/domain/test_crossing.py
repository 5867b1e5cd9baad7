"""Opposite orders meet only where both sides agreed, at one price, and nothing is made or lost by it."""

from dataclasses import replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from services.execution.domain.allocation import allocate_pro_rata
from services.execution.domain.crossing import INTERNAL, Offer, form_crosses
from services.execution.domain.words import OrderType, Side
from tests.execution.domain.test_blocks import TERMS, a_piece

PRICES = {"VTI": Decimal(100), "BND": Decimal("50.125")}


def an_offer(number, side, quantity=10, *, client=None, limit=None, unit_cost_max=1000, **terms):
    if limit is not None:
        terms |= {"order_type": OrderType.LIMIT, "limit_price": Decimal(limit)}
    piece = a_piece(number, quantity, terms=replace(TERMS, side=side, **terms))
    return Offer(piece, client or f"client-{number}", Decimal(unit_cost_max))


def crossed(*offers, prices=PRICES):
    return form_crosses(offers, prices=prices, carries={})


def test_the_smaller_side_is_crossed_whole_at_the_reference_price():
    (cross,) = crossed(an_offer(1, Side.BUY, 30), an_offer(2, Side.SELL, 8), an_offer(3, Side.SELL, 4))

    assert (cross.price, cross.quantity, cross.buy.quantity, cross.sell.quantity) == (100, 12, 30, 12)
    assert {block.terms.venue_id for block in (cross.buy, cross.sell)} == {INTERNAL}
    assert cross.buy.block_id != cross.sell.block_id


def test_one_side_alone_is_not_crossed():
    assert crossed(an_offer(1, Side.BUY), an_offer(2, Side.BUY)) == ()


def test_without_a_price_nothing_is_crossed():
    assert crossed(an_offer(1, Side.BUY), an_offer(2, Side.SELL), prices={}) == ()


def test_accounts_of_one_client_do_not_trade_with_each_other_nor_with_others_on_both_sides():
    twins = an_offer(1, Side.BUY, client="household"), an_offer(2, Side.SELL, client="household")
    assert crossed(*twins) == ()

    (cross,) = crossed(*twins, an_offer(3, Side.BUY), an_offer(4, Side.SELL))

    assert {share.account_id for block in (cross.buy, cross.sell) for share in block.statement.shares} == {
        "acc-3",
        "acc-4",
    }


def test_a_limit_and_the_money_set_aside_are_kept():
    buyer, seller = an_offer(1, Side.BUY), an_offer(2, Side.SELL)

    assert crossed(an_offer(1, Side.BUY, limit="99.99"), seller) == ()
    assert crossed(buyer, an_offer(2, Side.SELL, limit="100.01")) == ()
    assert crossed(an_offer(1, Side.BUY, unit_cost_max="99.99"), seller) == ()
    # Edges inside.
    assert crossed(an_offer(1, Side.BUY, limit=100, unit_cost_max=100), an_offer(2, Side.SELL, limit=100))


def test_other_custodians_currencies_and_increments_do_not_meet():
    for other in ({"custodian": "custodian-b"}, {"currency": "EUR"}, {"increment": Decimal("0.5")}):
        assert crossed(an_offer(1, Side.BUY), an_offer(2, Side.SELL, **other)) == (), other


@st.composite
def offers(draw):
    number = draw(st.integers(min_value=1, max_value=12))
    return [
        an_offer(
            n,
            draw(st.sampled_from(Side)),
            draw(st.integers(min_value=1, max_value=50)),
            client=f"client-{draw(st.integers(min_value=1, max_value=8))}",
            instrument_id=draw(st.sampled_from(["VTI", "BND", "GLD"])),
            limit=draw(st.sampled_from([None, None, 50, 100])),
            unit_cost_max=draw(st.sampled_from([60, 100, 1000])),
        )
        for n in range(number)
    ]


@given(offers(), st.randoms(use_true_random=False))
def test_what_is_bought_is_sold_and_nobody_is_in_it_who_should_not(case, rng):
    crosses = crossed(*case)
    shuffled = case[:]
    rng.shuffle(shuffled)
    by_order = {offer.piece.order_id: offer for offer in case}
    seen = set()

    assert crossed(*shuffled) == crosses
    for cross in crosses:
        sides = {}
        for block in (cross.buy, cross.sell):
            filled = allocate_pro_rata(block.statement, int(cross.quantity / block.terms.increment))
            sides[block.terms.side] = sum(part.filled for part in filled)
            for part, share in zip(filled, block.statement.shares, strict=True):
                offer = by_order[part.order_id]
                limit = offer.piece.terms.limit_price
                good = limit is None or (limit >= cross.price if block is cross.buy else limit <= cross.price)
                assert good
                assert part.filled <= share.ordered == offer.piece.quantity
                assert offer.piece.terms.instrument_id == block.terms.instrument_id
                assert (part.order_id in seen) is False
                seen.add(part.order_id)
        clients = [
            {by_order[share.order_id].client for share in block.statement.shares} for block in (cross.buy, cross.sell)
        ]
        assert sides[Side.BUY] == sides[Side.SELL] == cross.quantity > 0
        assert cross.price == PRICES[cross.buy.terms.instrument_id]
        assert clients[0].isdisjoint(clients[1])
