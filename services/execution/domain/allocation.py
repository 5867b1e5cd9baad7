"""Who gets what of a block's fills: exactly, fairly, and by a rule written down before the block is sent.

Several accounts' orders travel as one block, and the venue may fill part of it. The rule (SEC staff letter SMC Capital,
1995; FCA COBS 11.3): every account pays the same average price, shares the fill pro rata to what it ordered, and shares
the costs. Whole increments do not divide evenly, so someone gets the odd one. The largest remainder gets it, where an
account's remainder includes what it was left short by (or given over) in earlier blocks: its *carry*. So nobody is
favored in the long run, whatever the sizes. The firm's own accounts come last: they share, by the same rule, what is
left when every client has all it ordered, and the later fills. What is still tied is settled by a hash of block and
account: no order of rows, names or time can win.

Quantities are whole numbers of the block's increment here: integers divide exactly.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from itertools import pairwise

from services.execution.domain.changed import maker
from services.kernel.ids import AccountId, BlockId, OrderId
from services.kernel.money import CENT, in_cents

# Carries are kept in millionths of an increment: integers, so that sums stay exact.
CARRY_SCALE = 1_000_000

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Share:
    """What one account's order has in a block.

    `ordered` counts whole increments and is positive; `carry` is what earlier blocks left the account short by, in
    millionths of an increment, negative when they gave it more than its share. `own` says that the account is the
    firm's, which comes behind all clients.
    """

    order_id: OrderId
    account_id: AccountId
    ordered: int
    carry: int = 0
    own: bool = False

    def __post_init__(self) -> None:
        """Refuse an empty share.

        Raises:
            ValueError: `ordered` is not positive.
        """
        if self.ordered <= 0:
            raise ValueError(f"a share orders at least one increment, was {self.ordered}")


@dataclass(frozen=True, slots=True)
class Statement:
    """Says before a block is sent how its fills will be split. Never changes after.

    `increment` is the smallest quantity the block trades in; `shares` are in the order of their order ids.
    """

    block_id: BlockId
    increment: Decimal
    shares: tuple[Share, ...]
    quantity: int = field(init=False)

    def __post_init__(self) -> None:
        """Put the shares in order and add them up.

        Raises:
            ValueError: There is no share, an order is in it twice, or `increment` is not positive.
        """
        if not self.shares:
            raise ValueError(f"block {self.block_id} has no shares")
        if self.increment <= 0:
            raise ValueError(f"an increment is positive, was {self.increment}")
        ordered = tuple(sorted(self.shares, key=lambda share: share.order_id))
        if any(one.order_id == other.order_id for one, other in pairwise(ordered)):
            raise ValueError(f"block {self.block_id} has an order twice")
        object.__setattr__(self, "shares", ordered)
        object.__setattr__(self, "quantity", sum(share.ordered for share in ordered))


@dataclass(frozen=True, slots=True)
class Part:
    """What one order gets of a block: whole increments, and the carry it takes to the next block."""

    order_id: OrderId
    account_id: AccountId
    filled: int
    carry: int


@dataclass(frozen=True, slots=True)
class DayFills:
    """What a block's live fills of one trade date are together.

    `quantity` is above 0, `gross_amount` the exact sum of quantity times price, `average_price` what every account is
    told it paid, `fee` what the venue took, zero or more.
    """

    trade_date: date
    quantity: Decimal
    gross_amount: Decimal
    average_price: Decimal
    fee: Decimal


@dataclass(frozen=True, slots=True)
class Traded:
    """What an allocation was in the currency in which it was traded, where that is not the account's."""

    currency: str
    price: Decimal
    amount: Decimal
    fees: Decimal


@dataclass(frozen=True, slots=True)
class Allocation:
    """One order's part of a block's fills of one day, in units and money.

    `gross_amount` and `fee` are whole cents; over the block they sum to the venue's amounts of the day, to the cent. In
    the account's own currency that holds of `traded`.
    """

    order_id: OrderId
    account_id: AccountId
    trade_date: date
    quantity: Decimal
    average_price: Decimal
    gross_amount: Decimal
    fee: Decimal
    traded: Traded | None = None


_allocation = maker(Allocation)


def allocate_pro_rata(statement: Statement, filled: int) -> tuple[Part, ...]:
    """Return each order's part of `filled`, in the order of the statement.

    Args:
        statement: The rule as it was frozen before the block was sent.
        filled: Filled quantity in whole increments, at most what was ordered.

    Returns:
        One part per share. They sum to `filled`, and none exceeds what its order asked for. The firm's own accounts get
        nothing while a client lacks anything. Among the clients, and among the own accounts, none differs from the
        exact pro rata by a whole increment or more.

    Raises:
        ValueError: `filled` is negative or more than was ordered.
    """
    total = statement.quantity
    if not 0 <= filled <= total:
        raise ValueError(f"filled must be 0 to {total}, was {filled}")
    parts: list[Part] = []
    for shares in _in_turn(statement):
        taken = min(filled, sum(share.ordered for share in shares))
        parts += _pro_rata(statement.block_id, shares, taken)
        filled -= taken
    return tuple(sorted(parts, key=lambda part: part.order_id))


def certain_increments(statement: Statement, filled: int) -> dict[OrderId, int]:
    """Return what each order gets at least, however the rest of the block fills.

    The largest remainder may take an odd increment back when more is filled; the whole part never shrinks. Proceeds may
    be spent on this much before the block is complete.
    """
    certain: dict[OrderId, int] = {}
    for shares in _in_turn(statement):
        total = sum(share.ordered for share in shares)
        taken = min(filled, total)
        certain |= {share.order_id: taken * share.ordered // total for share in shares}
        filled -= taken
    return certain


def allocate(statement: Statement, days: Sequence[DayFills]) -> tuple[tuple[Allocation, ...], tuple[Part, ...]]:
    """Return the allocations of a block's fills, and the parts with the carries they leave.

    What an order gets of the block follows from all of its fills; what of it was traded on which day is split after.
    So one day or several make no difference to who gets how much, and each day settles with the trades of that day.

    Args:
        statement: The rule as it was frozen before the block was sent.
        days: The live fills by trade date, each date once, in order.

    Raises:
        ValueError: A day's quantity is not a whole number of increments, or all are more than was ordered.
    """
    increments = [_whole(day.quantity, statement.increment) for day in days]
    parts = allocate_pro_rata(statement, sum(increments))
    names = [part.order_id for part in parts]
    allocations: list[Allocation] = []
    for day, weights in zip(days, _days_in_turn(statement, parts, increments), strict=True):
        # Another day, another draw for the odd cent.
        salt = f"{statement.block_id}/{day.trade_date.isoformat()}"
        amounts = share_money(in_cents(day.gross_amount), weights, names, salt)
        fees = share_money(in_cents(day.fee), weights, names, salt)
        allocations.extend(
            _allocation(
                order_id=part.order_id,
                account_id=part.account_id,
                trade_date=day.trade_date,
                quantity=weight * statement.increment,
                average_price=day.average_price,
                gross_amount=amount,
                fee=part_of_fee,
            )
            for part, weight, amount, part_of_fee in zip(parts, weights, amounts, fees, strict=True)
            if weight
        )
    return tuple(allocations), parts


def _in_turn(statement: Statement) -> list[list[Share]]:
    """Return the shares that are served together, in the order in which they are: clients, then own accounts."""
    return [shares for own in (False, True) if (shares := [share for share in statement.shares if share.own is own])]


def _pro_rata(block_id: BlockId, shares: Sequence[Share], filled: int) -> list[Part]:
    """Return the parts of `filled`, at most what the shares ordered, by largest remainder plus carry."""
    total = sum(share.ordered for share in shares)
    products = [filled * share.ordered for share in shares]
    floors = [product // total for product in products]
    remainders = [product % total for product in products]
    favored = _largest_claims(block_id, shares, remainders, filled - sum(floors))
    return [
        Part(
            order_id=share.order_id,
            account_id=share.account_id,
            filled=floor + (index in favored),
            carry=share.carry + remainder * CARRY_SCALE // total - (CARRY_SCALE if index in favored else 0),
        )
        for index, (share, floor, remainder) in enumerate(zip(shares, floors, remainders, strict=True))
    ]


def _days_in_turn(statement: Statement, parts: Sequence[Part], days: Sequence[int]) -> list[list[int]]:
    """Return how much of each part falls on each day, in the order of the parts: clients have the earlier fills."""
    place = {part.order_id: index for index, part in enumerate(parts)}
    left = list(days)
    split = [[0] * len(parts) for _ in days]
    for shares in _in_turn(statement):
        wholes = [parts[place[share.order_id]].filled for share in shares]
        rest, taken = sum(wholes), []
        for day in left:
            taken.append(min(day, rest))
            rest -= taken[-1]
        left = [before - each for before, each in zip(left, taken, strict=True)]
        names = [share.order_id for share in shares]
        for row, weights in zip(split, split_by_day(wholes, taken, names), strict=True):
            for name, weight in zip(names, weights, strict=True):
                row[place[name]] = weight
    return split


def split_by_day(wholes: Sequence[int], days: Sequence[int], names: Sequence[str]) -> list[list[int]]:
    """Return how much of each whole falls on each day: rows sum to `days`, columns to `wholes`, all exactly.

    Each day takes of what is left in proportion, by largest remainder; ties are settled by a hash of day and name.

    Raises:
        ValueError: The days do not sum to the wholes.
    """
    left = list(wholes)
    if sum(left) != sum(days):
        raise ValueError(f"days sum to {sum(days)}, what is split to {sum(left)}")
    split: list[list[int]] = []
    for number, day in enumerate(days):
        row = left if number == len(days) - 1 else proportional(day, left, names, str(number))
        split.append(list(row))
        left = [before - taken for before, taken in zip(left, row, strict=True)]
    return split


def share_money(amount: Decimal, weights: Sequence[int], names: Sequence[str], salt: str) -> list[Decimal]:
    """Return `amount` split in proportion to `weights`, in whole cents that sum to it exactly.

    Cents left over go to the largest remainders; ties are settled by a hash of `salt` and name.

    Raises:
        ValueError: `amount` is not whole cents, or is not zero while all weights are.
    """
    cents = amount / CENT
    whole = int(cents)
    if cents != whole:
        raise ValueError(f"an amount to share is whole cents, was {amount}")
    if sum(weights) == 0:
        if whole:
            raise ValueError(f"{amount} cannot be shared among nobody")
        return [ZERO for _ in weights]
    sign = -1 if whole < 0 else 1
    return [sign * part * CENT for part in proportional(abs(whole), weights, names, salt)]


def carries(parts: Iterable[Part], before: Mapping[AccountId, int]) -> dict[AccountId, int]:
    """Return the accounts' carries after a block, from those its statement was frozen with.

    Blocks are formed side by side with the same carries, so what is kept is the change.

    Args:
        parts: What the block gave.
        before: The carry each account's shares had in the statement.

    Returns:
        The change of each account's carry in the block.
    """
    changes: dict[AccountId, int] = {}
    for part in parts:
        changes[part.account_id] = changes.get(part.account_id, 0) + part.carry - before[part.account_id]
    return changes


def _largest_claims(block_id: BlockId, shares: Sequence[Share], remainders: Sequence[int], left: int) -> frozenset[int]:
    """Return the indexes of the `left` shares with the largest remainder plus carry."""
    if left == 0:
        return frozenset()
    total = sum(share.ordered for share in shares)

    # Where nothing remains nothing is owed: an account with an exact share gets neither more nor less.
    claims = {
        index: remainder * CARRY_SCALE // total + shares[index].carry
        for index, remainder in enumerate(remainders)
        if remainder
    }
    edge = sorted(claims.values(), reverse=True)[left - 1]
    sure = [index for index, claim in claims.items() if claim > edge]
    tied = [index for index, claim in claims.items() if claim == edge]
    tied.sort(key=lambda index: (_lot_drawn(block_id, shares[index].account_id), shares[index].order_id))
    return frozenset(sure + tied[: left - len(sure)])


def proportional(amount: int, weights: Sequence[int], names: Sequence[str], salt: str) -> list[int]:
    """Return `amount` in proportion to `weights`, by largest remainder; ties are settled by a hash of salt and name.

    Where `amount` is at most their sum, no part is more than its weight.
    """
    total = sum(weights)
    if total == 0:
        return [0] * len(weights)
    products = [amount * weight for weight in weights]
    parts = [product // total for product in products]
    left = amount - sum(parts)
    if left:
        remainders = [product % total for product in products]
        edge = sorted(remainders, reverse=True)[left - 1]
        tied = [index for index, remainder in enumerate(remainders) if remainder == edge]
        tied.sort(key=lambda index: (_lot_drawn(salt, names[index]), names[index]))
        sure = [index for index, remainder in enumerate(remainders) if remainder > edge]
        for index in sure + tied[: left - len(sure)]:
            parts[index] += 1
    return parts


def _whole(quantity: Decimal, increment: Decimal) -> int:
    increments = quantity / increment
    if increments != int(increments):
        raise ValueError(f"filled quantity {quantity} is not in increments of {increment}")
    return int(increments)


def _lot_drawn(salt: str, name: str) -> bytes:
    return hashlib.sha256(f"{salt}\x00{name}".encode()).digest()
