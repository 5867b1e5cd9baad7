"""Which accounts' orders may travel together.

Orders of many accounts for the same thing on the same terms go to the venue as one block: the same price for all, and
less cost. They may share a block only when instrument, side, venue, terms, currency and custodian are the same and the
account agreed to it; one that did not goes alone. Buys and sells are never netted here; `crossing` says when opposite
orders may meet before what is left of them travels.

The id of a block, and the id the venue knows it by, follow from what is in it: forming the same block twice, before and
after a crash, names the same block.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from operator import attrgetter

from services.execution.domain.allocation import Share, Statement
from services.execution.domain.words import Algorithm, OrderType, Side, TimeInForce
from services.kernel.decimals import plain
from services.kernel.ids import AccountId, BlockId, InstrumentId, OrderId, VenueId, derived_id


@dataclass(frozen=True, slots=True)
class Terms:
    """What orders must share to travel in one block.

    `participation_max`: the largest share of what is traded that may be ours, above 0 and below 1; None for any.
    `account_currency`: the accounts' own, where it is traded in another.
    """

    instrument_id: InstrumentId
    side: Side
    venue_id: VenueId
    order_type: OrderType
    limit_price: Decimal | None
    time_in_force: TimeInForce
    currency: str
    custodian: str
    increment: Decimal
    algorithm: Algorithm = Algorithm.IMMEDIATE
    participation_max: Decimal | None = None
    account_currency: str | None = None

    def __post_init__(self) -> None:
        """Refuse terms that contradict themselves.

        Raises:
            ValueError: A limit order without a limit, a market order with one, or an increment that is not positive.
        """
        if (self.order_type is OrderType.LIMIT) != (self.limit_price is not None):
            raise ValueError(f"a limit order has a limit price and a market order none, was {self.limit_price}")
        if self.limit_price is not None and self.limit_price <= 0:
            raise ValueError(f"a limit price is positive, was {self.limit_price}")
        if self.increment <= 0:
            raise ValueError(f"an increment is positive, was {self.increment}")
        if self.participation_max is not None and not 0 < self.participation_max < 1:
            raise ValueError(f"a share of the volume is above 0 and below 1, was {self.participation_max}")
        if self.account_currency == self.currency:
            raise ValueError(f"accounts' currency is named where it differs, was {self.account_currency}")

    @property
    def booked_in(self) -> str:
        """Return the currency of the accounts."""
        return self.account_currency or self.currency


@dataclass(frozen=True, slots=True)
class Piece:
    """The part of an account's order that is ready to be sent.

    `placed_before` is how much of the order earlier blocks hold; `may_aggregate` whether the account agreed to travel
    with others. `block_before` is the last block it was in: one that was canceled unfilled leaves no other trace.
    """

    order_id: OrderId
    account_id: AccountId
    terms: Terms
    quantity: Decimal
    placed_before: Decimal
    may_aggregate: bool
    block_before: BlockId | None = None


@dataclass(frozen=True, slots=True)
class Block:
    """Several accounts' orders, sent as one.

    `client_order_id` is what the venue knows it by: the same for every attempt to send it.
    """

    block_id: BlockId
    client_order_id: str
    terms: Terms
    statement: Statement

    @property
    def quantity(self) -> Decimal:
        """Return what the block orders in all."""
        return self.statement.quantity * self.statement.increment


def form_blocks(
    pieces: Iterable[Piece],
    *,
    carries: Mapping[AccountId, int],
    orders_per_block_max: int,
    own: Collection[AccountId] = frozenset(),
) -> tuple[Block, ...]:
    """Return the blocks in which `pieces` are sent, sells first, then by block id.

    Args:
        pieces: What is ready; each order at most once.
        carries: What earlier blocks left each account short by, as `allocation` counts it.
        orders_per_block_max: A group with more orders makes several blocks.
        own: The firm's own accounts, which come behind all clients of their block.

    Raises:
        ValueError: A piece is not a whole number of its increments.
    """
    groups = travelling_together(pieces, orders_per_block_max=orders_per_block_max)
    blocks = [block_of(terms, group, carries, own) for terms, group in groups]
    blocks.sort(key=lambda block: (block.terms.side is Side.BUY, block.block_id))
    return tuple(blocks)


def travelling_together(pieces: Iterable[Piece], *, orders_per_block_max: int) -> list[tuple[Terms, Sequence[Piece]]]:
    """Return which of `pieces` each block has, by order id, with their terms: sells first, then by first order id.

    Sells bring the cash that buys wait for. The arguments are those of `form_blocks`.
    """
    groups: dict[tuple[Terms, OrderId | None], list[Piece]] = {}
    # Looking at twelve terms takes longer than all else here, and most pieces have the same object.
    same: dict[int, list[Piece]] = {}
    for piece in pieces:
        if not piece.may_aggregate:
            groups[piece.terms, piece.order_id] = [piece]
            continue
        group = same.get(id(piece.terms))
        if group is None:
            group = same[id(piece.terms)] = groups.setdefault((piece.terms, None), [])
        group.append(piece)
    together: list[tuple[Terms, Sequence[Piece]]] = []
    for (terms, _), group in groups.items():
        group.sort(key=attrgetter("order_id"))
        starts = range(0, len(group), orders_per_block_max)
        together.extend((terms, group[start : start + orders_per_block_max]) for start in starts)
    together.sort(key=lambda each: (each[0].side is Side.BUY, each[1][0].order_id))
    return together


def client_order_id(block_id: BlockId, revision: int) -> str:
    """Return what the venue knows a block's order by; `revision` counts its replaces, from 0."""
    return derived_id("c", block_id, str(revision))


def block_of(
    terms: Terms, pieces: Sequence[Piece], carries: Mapping[AccountId, int], own: Collection[AccountId] = frozenset()
) -> Block:
    """Return the block of `pieces` on some terms, with its statement; the arguments are those of `form_blocks`.

    Raises:
        ValueError: There is no piece, or one is not a whole number of increments.
    """
    block_id = BlockId(
        derived_id(
            "block",
            *(
                part
                for p in pieces
                for part in (p.order_id, plain(p.quantity), plain(p.placed_before), p.block_before or "")
            ),
        )
    )
    shares = tuple(
        Share(
            order_id=piece.order_id,
            account_id=piece.account_id,
            ordered=whole_increments(piece.quantity, terms.increment),
            carry=carries.get(piece.account_id, 0),
            own=piece.account_id in own,
        )
        for piece in pieces
    )
    return Block(
        block_id=block_id,
        client_order_id=client_order_id(block_id, 0),
        terms=terms,
        statement=Statement(block_id, terms.increment, shares),
    )


def whole_increments(quantity: Decimal, increment: Decimal) -> int:
    """Return how many increments `quantity` is.

    Raises:
        ValueError: It is not a whole number of them.
    """
    increments, rest = divmod(quantity, increment)
    if rest:
        raise ValueError(f"quantity {quantity} is not a whole number of increments of {increment}")
    return int(increments)
