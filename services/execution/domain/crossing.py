"""When may opposite orders of clients meet here, and at which price?

Two clients who trade the same thing in opposite directions both pay half the spread to strangers. Where both agreed to
it beforehand, and the firm offers it, their orders meet inside instead: at our reference price, an independent one that
is fresh, the same for both sides, and without a fee or commission. So nobody is favored and the firm earns nothing:
what 17 CFR 270.17a-7(b) and (d) ask of funds, and no compensation that would make it a transaction of 15 U.S.C. §
80b-6(3). What one side has too much goes to the market with everything else.

Never crossed: an order whose account did not agree; the firm's own accounts, because that is dealing with clients as
principal; two accounts of one client, because nothing would change its owner (15 U.S.C. § 78i(a)(1)); an order whose
limit, or whose money set aside, is not good enough for the price. Retirement accounts do not come with a consent:
decision withholds it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

from services.execution.domain.blocks import Block, Piece, Terms, block_of
from services.execution.domain.words import OrderType, Side, TimeInForce
from services.kernel.ids import AccountId, InstrumentId, VenueId

# Where blocks are that never left.
INTERNAL = VenueId("internal")

Market = tuple[InstrumentId, str, str, Decimal]


@dataclass(frozen=True, slots=True)
class Offer:
    """What of an order may be crossed.

    `client` is whose money it is: the household, else the account. `unit_cost_max` is what is set aside for a unit that
    is bought.
    """

    piece: Piece
    client: str
    unit_cost_max: Decimal


@dataclass(frozen=True, slots=True)
class Cross:
    """Two blocks that fill each other.

    `quantity` is above 0: all of the smaller block, and as much of the larger, whose statement says who gets it.
    """

    sell: Block
    buy: Block
    price: Decimal
    quantity: Decimal = field(init=False)

    def __post_init__(self) -> None:
        """Reckon what meets."""
        object.__setattr__(self, "quantity", min(self.sell.quantity, self.buy.quantity))


def form_crosses(
    offers: Iterable[Offer], *, prices: Mapping[InstrumentId, Decimal], carries: Mapping[AccountId, int]
) -> tuple[Cross, ...]:
    """Return what meets, by instrument, currency, custodian and increment; each offer is in one cross at most.

    Args:
        offers: Of accounts that agreed; each order at most once.
        prices: Fresh reference prices in the currency of the offers. What has none is not crossed.
        carries: What earlier blocks left each account short by, as `allocation` counts it.

    Raises:
        ValueError: An offer is not a whole number of its increments.
    """
    markets: dict[Market, list[Offer]] = {}
    for offer in offers:
        terms = offer.piece.terms
        price = prices.get(terms.instrument_id)
        if price is not None and _good_enough(offer, price):
            market = (terms.instrument_id, terms.currency, terms.custodian, terms.increment)
            markets.setdefault(market, []).append(offer)
    crosses: list[Cross] = []
    for market in sorted(markets):
        price = prices[market[0]]
        both = {side: {each.client for each in markets[market] if each.piece.terms.side is side} for side in Side}
        twice = both[Side.BUY] & both[Side.SELL]
        pieces = [each.piece for each in markets[market] if each.client not in twice]
        sides = {side: [piece for piece in pieces if piece.terms.side is side] for side in Side}
        if sides[Side.BUY] and sides[Side.SELL]:
            sell, buy = (_block(sides[side], price, carries) for side in (Side.SELL, Side.BUY))
            crosses.append(Cross(sell, buy, price))
    return tuple(crosses)


def _good_enough(offer: Offer, price: Decimal) -> bool:
    limit = offer.piece.terms.limit_price
    if offer.piece.terms.side is Side.SELL:
        return limit is None or price >= limit
    return price <= offer.unit_cost_max and (limit is None or price <= limit)


def _block(pieces: list[Piece], price: Decimal, carries: Mapping[AccountId, int]) -> Block:
    terms: Terms = replace(
        pieces[0].terms,
        venue_id=INTERNAL,
        order_type=OrderType.LIMIT,
        limit_price=price,
        time_in_force=TimeInForce.IMMEDIATE_OR_CANCEL,
    )
    return block_of(terms, sorted(pieces, key=lambda piece: piece.order_id), carries)
