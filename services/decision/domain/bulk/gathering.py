"""From the columns that a caller brings to the columns that are decided: every account checked and laid out, compiled.

Two passes: `survey` looks at each account and says what is wrong with it, or how much room it needs; `gather` fills
that room. Tax is that of the United States for individuals, as `tax.united_states` says of one account: long-term after
a year, and what is at a loss is kept while what is identical to it was bought in the last 30 days.
"""

from typing import NamedTuple, cast

import numpy as np

from services.decision.domain.bulk import columns as c
from services.decision.domain.bulk.columns import NONE, Inputs, Integers
from services.decision.domain.bulk.exact import whole
from services.decision.domain.compiling import compiled, part, within
from services.decision.domain.tax.windows import WINDOW

# Amounts are below this, in the units of their column; see `layout.AMOUNT_MAX`.
LARGE = cast(int, np.int64(2**59))
WINDOW_DAYS = WINDOW.days

# What may be wrong with an account. Each is about a row of the columns that `WHERE` names.
(
    RIGHT,
    CURRENCY_IS,
    MODEL_IS,
    SHORT_RATE_IS,
    LONG_RATE_IS,
    RESERVED_IS,
    BUDGET_IS,
    QUANTITY_IS,
    TWICE,
    POSITION_HAS_NO_PRICE,
    TARGET_HAS_NO_PRICE,
    LOT_QUANTITY_IS,
    BASIS_IS,
    DAY_IS,
    LOTS_SUM,
    CASH_IS_LARGE,
    WORTHLESS,
    ACCOUNT_TWICE,
) = range(18)

# Rows of `Request.accounts`.
MODEL, CASH, RESERVED, SHORT_RATE, LONG_RATE, SHORT_GAIN, LONG_GAIN, BUDGET, TAXABLE, ASKED, BAD = range(11)
# Rows of `Request.positions`; INSTRUMENT is its place among ids in order.
INSTRUMENT, HELD, POSITION_NO_BUY, POSITION_NO_SELL = range(4)
# Rows of `Request.lots`.
DAY, UNITS, COST, LOT_KEPT = range(4)
# Rows of `Request.instruments`, in the order of their ids.
PRICE, INCREMENT, SPREAD, IDENTITY = range(4)
# Rows of `Request.models`.
TRIGGER, NEAR, FLOOR, CEILING, TURNOVER, SMALLEST, COMMISSION, BENEFIT = range(8)


class Request(NamedTuple):
    """What a caller brings, at the scales of `columns.Inputs`.

    Attributes:
        position_at: Offset of each account's first position, shape (accounts + 1,).
        lot_at: Offset of each position's first lot, shape (positions + 1,).
        target_at: Offset of each model's first target, shape (models + 1,).
        targets: Instrument, in order within a model, and weight, shape (2, targets).
        accounts: Rows from `MODEL` on; BAD is 0, or what is known to be wrong, shape (11, accounts).
        positions: Rows from `INSTRUMENT` on, shape (4, positions).
        lots: Rows from `DAY` on, shape (4, lots).
        instruments: Rows from `PRICE` on, shape (4, n).
        models: Rows from `TRIGGER` on, shape (8, models).
    """

    position_at: Integers
    lot_at: Integers
    target_at: Integers
    targets: Integers
    accounts: Integers
    positions: Integers
    lots: Integers
    instruments: Integers
    models: Integers


class Desk(NamedTuple):
    """Room for one account.

    Attributes:
        order: Its positions by instrument, as many as there are instruments.
        rows: Instrument, position or −1, target or −1 of each row, shape (3, n).
        seen: The account in which each instrument was seen last, shape (n,).
        first_of: The row that first had an identity, and the account in which it did, shape (2, n).
        bought: Lots of an identity that were bought lately, and the account that it was counted for, shape (2, n).
        days: The day decided for, the last day of acquisition that is long-term, the scales of value and basis, and of
            quantities, shape (5,).
    """

    order: Integers
    rows: Integers
    seen: Integers
    first_of: Integers
    bought: Integers
    days: Integers


def desk_for(instruments: int, today: int, long_until: int, value: int, basis: int, quantity: int) -> Desk:
    """Return room for accounts among so many instruments."""
    return Desk(
        np.zeros(instruments, dtype=np.int64),
        np.zeros((3, instruments), dtype=np.int64),
        np.full(instruments, -1, dtype=np.int64),
        np.full((2, instruments), -1, dtype=np.int64),
        np.full((2, instruments), -1, dtype=np.int64),
        np.array([today, long_until, value, basis, quantity], dtype=np.int64),
    )


@compiled
def survey(request: Request, desk: Desk, found: Integers) -> None:
    """Fill in what is wrong with each account, where, and how many instruments and lots it has, shape (accounts, 4)."""
    for account in range(len(found)):
        kind, where = wrong_with(request, desk, account)
        found[account, 0], found[account, 1] = kind, where
        if kind == RIGHT:
            found[account, 2] = lines_of(request, desk, account)
            first, end = request.position_at[account], request.position_at[account + 1]
            found[account, 3] = request.lot_at[end] - request.lot_at[first]


@part
def wrong_with(request: Request, desk: Desk, account: int) -> tuple[int, int]:  # noqa: C901 - one rule after the other
    """Return the first thing that is wrong with an account, and its row; RIGHT when nothing is."""
    own = request.accounts
    if own[BAD, account] != RIGHT:
        return own[BAD, account], account
    model = own[MODEL, account]
    if own[SHORT_RATE, account] < 0 or own[SHORT_RATE, account] > c.RATE_ONE:
        return SHORT_RATE_IS, account
    if own[LONG_RATE, account] < 0 or own[LONG_RATE, account] > c.RATE_ONE:
        return LONG_RATE_IS, account
    if own[RESERVED, account] < 0 or own[RESERVED, account] > LARGE:
        return RESERVED_IS, account
    if own[BUDGET, account] < NONE or own[BUDGET, account] > LARGE:
        return BUDGET_IS, account
    if abs(own[CASH, account]) > LARGE:
        return CASH_IS_LARGE, account
    worth = np.float64(own[CASH, account]) - np.float64(own[RESERVED, account])
    for position in range(request.position_at[account], request.position_at[account + 1]):
        instrument = request.positions[INSTRUMENT, position]
        held = request.positions[HELD, position]
        if held <= 0 or held > LARGE:
            return QUANTITY_IS, position
        if request.instruments[PRICE, instrument] <= 0:
            return POSITION_HAS_NO_PRICE, position
        if desk.seen[instrument] == account:
            return TWICE, position
        desk.seen[instrument] = account
        left = held
        for lot in range(request.lot_at[position], request.lot_at[position + 1]):
            units = request.lots[UNITS, lot]
            if units <= 0 or units > LARGE:
                return LOT_QUANTITY_IS, lot
            if request.lots[COST, lot] < 0 or request.lots[COST, lot] > LARGE:
                return BASIS_IS, lot
            if request.lots[DAY, lot] > desk.days[0]:
                return DAY_IS, lot
            left -= units
            if left < 0:
                return LOTS_SUM, position
        if left != 0:
            return LOTS_SUM, position
        worth += np.float64(held) * np.float64(request.instruments[PRICE, instrument])
    for target in range(request.target_at[model], request.target_at[model + 1]):
        if request.instruments[PRICE, request.targets[0, target]] <= 0:
            return TARGET_HAS_NO_PRICE, target
    if worth <= 0.0 or worth > LARGE:
        return WORTHLESS, account
    return RIGHT, -1


@part
def lines_of(request: Request, desk: Desk, account: int) -> int:
    """Fill in the rows of `desk`: what the account holds and what it aims for, by instrument; return how many."""
    first, count = request.position_at[account], 0
    for position in range(first, request.position_at[account + 1]):
        place = count
        while place > 0:
            before = desk.order[place - 1]
            if request.positions[INSTRUMENT, before] < request.positions[INSTRUMENT, position]:
                break
            desk.order[place] = before
            place -= 1
        desk.order[place] = position
        count += 1
    model = request.accounts[MODEL, account]
    target, targets = request.target_at[model], request.target_at[model + 1]
    at = rows = 0
    while at < count or target < targets:
        held = request.positions[INSTRUMENT, desk.order[at]] if at < count else LARGE
        aimed = request.targets[0, target] if target < targets else LARGE
        desk.rows[0, rows] = min(held, aimed)
        desk.rows[1, rows] = desk.order[at] if held <= aimed else -1
        desk.rows[2, rows] = target if aimed <= held else -1
        if held <= aimed:
            at += 1
        if aimed <= desk.rows[0, rows]:
            target += 1
        rows += 1
    return rows


@compiled
def gather(request: Request, desk: Desk, chosen: Integers, inputs: Inputs, places: Integers, lots: Integers) -> None:
    """Fill in the columns of the chosen accounts.

    Args:
        request: What they are filled from.
        desk: Room.
        chosen: Rows of the accounts.
        inputs: Has its offsets of accounts; everything else of accounts, instruments and lots is filled in.
        places: Takes the place of each row's instrument, shape (instruments,).
        lots: Takes each lot's row, shape (lots,).
    """
    lot = 0
    for index in range(len(chosen)):
        account = chosen[index]
        rows = lines_of(request, desk, account)
        fill_account(request, desk, account, inputs.accounts[index])
        count_recent(request, desk, account)
        rates = marginal(request, account)
        i0 = inputs.instrument_at[index]
        for row in range(rows):
            i = i0 + row
            place, position, target = desk.rows[0, row], desk.rows[1, row], desk.rows[2, row]
            places[i] = place
            fill_instrument(request, desk, account, inputs.instruments, i, row)
            inputs.instruments[c.AIM, i] = request.targets[1, target] if target >= 0 else 0
            inputs.lot_at[i] = lot
            if position < 0:
                continue
            inputs.instruments[c.NO_BUY, i] = request.positions[POSITION_NO_BUY, position]
            inputs.instruments[c.NO_SELL, i] = request.positions[POSITION_NO_SELL, position]
            for own in range(request.lot_at[position], request.lot_at[position + 1]):
                lots[lot] = own
                fill_lot(request, desk, account, inputs.lots, lot, own, place, rates[0], rates[1])
                lot += 1
    inputs.lot_at[len(inputs.lot_at) - 1] = lot


@part
def fill_account(request: Request, desk: Desk, account: int, into: Integers) -> None:
    """Fill in one account's own columns."""
    own = request.accounts
    model = own[MODEL, account]
    rules = request.models
    into[c.QUANTITY_SCALE], into[c.VALUE_SCALE], into[c.BASIS_SCALE] = desk.days[4], desk.days[2], desk.days[3]
    into[c.MONEY], into[c.WITHDRAWAL] = own[CASH, account], own[RESERVED, account]
    into[c.FLOOR], into[c.FLOOR_WEIGHT] = 0, rules[FLOOR, model]
    into[c.CEILING_WEIGHT], into[c.FLOW] = rules[CEILING, model], 0
    into[c.TURNOVER_LIMIT] = rules[TURNOVER, model]
    taxed = own[TAXABLE, account] != 0
    into[c.BUDGET_LEFT] = own[BUDGET, account] if taxed else whole(NONE)
    into[c.NET_BENEFIT_MIN] = rules[BENEFIT, model]
    into[c.ASKED], into[c.TAXABLE] = own[ASKED, account], own[TAXABLE, account]


@within
def fill_instrument(request: Request, desk: Desk, account: int, into: Integers, i: int, row: int) -> None:
    """Fill in what an account's row says of its instrument."""
    place = desk.rows[0, row]
    model = request.accounts[MODEL, account]
    of, rules = request.instruments, request.models
    identity = of[IDENTITY, place]
    if desk.first_of[1, identity] != account:
        desk.first_of[0, identity], desk.first_of[1, identity] = row, account
    into[c.PRICE, i], into[c.INCREMENT, i], into[c.SPREAD_BPS, i] = (
        of[PRICE, place],
        of[INCREMENT, place],
        of[SPREAD, place],
    )
    into[c.DESTINATION, i], into[c.OUTER, i] = rules[NEAR, model], rules[TRIGGER, model]
    into[c.COMMISSION_BPS, i], into[c.COMMISSION, i] = 0, rules[COMMISSION, model]
    into[c.MINIMUM, i], into[c.AWAY, i], into[c.WEIGHT_MAX, i] = rules[SMALLEST, model], 0, NONE
    into[c.IDENTICAL, i] = desk.first_of[0, identity]
    into[c.NO_BUY, i] = into[c.NO_SELL, i] = 0
    into[c.RISK_ROW, i] = place


@part
def count_recent(request: Request, desk: Desk, account: int) -> None:
    """Count the lots of each identity that were bought within the window."""
    for position in range(request.position_at[account], request.position_at[account + 1]):
        identity = request.instruments[IDENTITY, request.positions[INSTRUMENT, position]]
        if desk.bought[1, identity] != account:
            desk.bought[0, identity], desk.bought[1, identity] = 0, account
        for lot in range(request.lot_at[position], request.lot_at[position + 1]):
            if desk.days[0] - request.lots[DAY, lot] <= WINDOW_DAYS:
                desk.bought[0, identity] += 1


@part
def marginal(request: Request, account: int) -> tuple[int, int]:
    """Return the rates of one more unit of short-term and of long-term gain; see `united_states.marginal_rates`."""
    own = request.accounts
    if own[TAXABLE, account] == 0:
        return whole(0), whole(0)
    short, long = own[SHORT_GAIN, account], own[LONG_GAIN, account]
    short_rate, long_rate = own[SHORT_RATE, account], own[LONG_RATE, account]
    if short >= 0 and long >= 0:
        return short_rate, long_rate
    if short + long <= 0:
        return min(short_rate, long_rate), min(short_rate, long_rate)
    rate = long_rate if short < 0 else short_rate
    return rate, rate


@within
def fill_lot(
    request: Request,
    desk: Desk,
    account: int,
    into: Integers,
    lot: int,
    own: int,
    place: int,
    short_rate: int,
    long_rate: int,
) -> None:
    """Fill in one lot: how it is taxed, and whether it is kept."""
    taxed = request.accounts[TAXABLE, account] != 0
    day, units, cost = request.lots[DAY, own], request.lots[UNITS, own], request.lots[COST, own]
    long = day <= desk.days[1]
    into[c.QUANTITY, lot], into[c.BASIS, lot] = units, cost
    into[c.RATE, lot] = (long_rate if long else short_rate) if taxed else 0
    into[c.CHARACTER, lot] = (c.LONG if long else c.SHORT) if taxed else c.EXEMPT
    kept = request.lots[LOT_KEPT, own]
    if taxed and kept == 0:
        recent = desk.bought[0, request.instruments[IDENTITY, place]]
        if desk.days[0] - day <= WINDOW_DAYS:
            recent -= 1
        if recent > 0 and at_loss(units * request.instruments[PRICE, place], cost, desk.days[2] - desk.days[3]):
            kept = 1
    into[c.KEPT, lot] = kept


@within
def at_loss(worth: int, cost: int, finer: int) -> bool:
    """Return whether `worth` is below `cost`; its scale is `finer` by so many places, or coarser if negative."""
    more = less = 1
    for _ in range(finer):
        more *= 10
    for _ in range(-finer):
        less *= 10
    # Floating point decides where the integers might not hold the product: there the two are far apart, or a part of
    # 2^-52 of each other, which no loss worth keeping is.
    near = np.float64(cost) * np.float64(more), np.float64(worth) * np.float64(less)
    if max(near[0], near[1]) > 2.0**62:
        return bool(near[1] < near[0])
    below: bool = worth * less < cost * more
    return below
