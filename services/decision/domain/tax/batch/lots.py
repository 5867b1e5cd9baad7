"""What sales of one group of identical assets take out of its lots, and which losses purchases wash, compiled.

The law is that of `assessment.wash_sales`, where its sources stand; a test holds the two to each other to the cent.
"""

import numpy as np

from services.decision.domain.tax.batch.days import civil, long_from
from services.decision.domain.tax.batch.whole import Flags, Ints, compiled, share, value

# Lots. A group's are few, so they stay in one array in the order of purchase, and a part that replaced something is
# put right before the rest of its lot.

PURCHASE, ACCOUNT, ASSET, DAY, HELD_FROM, UNITS, BASIS, UNUSED = range(8)
LOT_FIELDS = 8
# Of what was sold on one day: as above, and then.
SOLD_PROCEEDS, SOLD_SALE = 8, 9
SOLD_FIELDS = 10

# Columns of what a group comes to.
SHORT, LONG, DISALLOWED, LOST, LAST_LOSS, MISSING, FULL = range(7)
GROUP_FIELDS = 7

WINDOW_DAYS = 30


@compiled
def split(lots: Ints, row: int, units: int, into: Ints) -> None:
    """Take `units` out of a lot into a row of its own."""
    basis = share(lots[row, BASIS], units, lots[row, UNITS])
    for field in range(LOT_FIELDS):
        into[field] = lots[row, field]
    into[UNITS] = units
    into[BASIS] = basis
    lots[row, UNITS] -= units
    lots[row, BASIS] -= basis


@compiled
def taken(lots: Ints, count: int, sale: Ints, named: Ints, number: int, sold: Ints, sold_count: int) -> tuple[int, int]:
    """Take a sale's units out of its account's lots: those `named`, in their order, then the oldest first.

    Returns:
        How many rows of `sold` there are now, and how many units are missing.
    """
    account, asset, day, left, proceeds = sale[0], sale[1], sale[2], sale[3], sale[4]
    for turn in range(len(named) + 1):
        for row in range(count):
            if left == 0 or lots[row, DAY] > day:
                break
            if turn < len(named) and lots[row, PURCHASE] != named[turn]:
                continue
            if lots[row, ACCOUNT] != account or lots[row, ASSET] != asset or lots[row, UNITS] == 0:
                continue
            units = min(left, lots[row, UNITS])
            paid = share(proceeds, units, left)
            split(lots, row, units, sold[sold_count])
            sold[sold_count, SOLD_PROCEEDS] = paid
            sold[sold_count, SOLD_SALE] = number
            sold_count += 1
            left -= units
            proceeds -= paid
    return sold_count, left


@compiled
def in_order(sold: Ints, count: int) -> None:
    """Sort what was sold on a day by purchase, keeping the order of equals. There are few."""
    for row in range(1, count):
        at = row
        while at > 0 and sold[at - 1, PURCHASE] > sold[at, PURCHASE]:
            for field in range(SOLD_FIELDS):
                sold[at - 1, field], sold[at, field] = sold[at, field], sold[at - 1, field]
            at -= 1


@compiled
def washed(
    lots: Ints, count: int, sold: Ints, day: int, sheltered: Flags, spare: Ints, counts: bool, found: Ints
) -> int:
    """Match a sold row that lost with its replacements, and return how many lots there are now.

    Losses that are disallowed in the year go to `found`; what is left of the row counts as it is.
    """
    row = 0
    while row < count and sold[UNITS] > 0:
        lot_day = lots[row, DAY]
        if lot_day > day + WINDOW_DAYS:
            break
        replaces = lots[row, UNUSED] == 1 and lots[row, UNITS] > 0 and lots[row, PURCHASE] != sold[PURCHASE]
        if not replaces or lot_day < day - WINDOW_DAYS:
            row += 1
            continue
        if count == len(lots):
            found[FULL] = 1
            break
        units = min(sold[UNITS], lots[row, UNITS])
        paid = share(sold[SOLD_PROCEEDS], units, sold[UNITS])
        basis = share(sold[BASIS], units, sold[UNITS])
        loss = basis - paid
        sold[SOLD_PROCEEDS] -= paid
        sold[BASIS] -= basis
        sold[UNITS] -= units
        if counts:
            found[DISALLOWED] += loss
        split(lots, row, units, spare)
        spare[UNUSED] = 0
        if sheltered[lots[row, ACCOUNT]]:
            found[LOST] += loss
        else:
            spare[BASIS] += loss
            spare[HELD_FROM] = lot_day - (day - sold[HELD_FROM])
        for move in range(count, row, -1):
            for field in range(LOT_FIELDS):
                lots[move, field] = lots[move - 1, field]
        for field in range(LOT_FIELDS):
            lots[row, field] = spare[field]
        count += 1
        # The rest of the lot is right behind what was taken out of it.
        row += 1
    return count


@compiled
def walk(
    lots: Ints,
    count: int,
    sales: Ints,
    first_sale: int,
    named_starts: Ints,
    named: Ints,
    first_day: int,
    last_day: int,
    taxed: Flags,
    sheltered: Flags,
    sold: Ints,
    spare: Ints,
    found: Ints,
    earlier: Ints,
) -> int:
    """Walk a group's sales in order, and return how many lots there are afterwards.

    Args:
        lots: The group's, with room for what is taken out of them.
        count: How many there are.
        sales: Account, asset, day, units and proceeds of each, by day and id.
        first_sale: Where the group's sales begin among all.
        named_starts: Where the lots that each sale of all names begin; one more than there are sales.
        named: Row of each lot that is named.
        first_day: First day of the tax year; what is counted into `found` is from it on.
        last_day: Last day of the tax year, inside.
        taxed: Of each account.
        sheltered: Of each account.
        sold: Room for what is sold on one day.
        spare: Room for one lot.
        found: What the group comes to, shape (GROUP_FIELDS,); `FULL` is 1 when there was no room, and then nothing else
            of it counts.
        earlier: Net short-term and long-term gain of each calendar year before, the last one last, shape (years, 2).
    """
    begin = 0
    this_year = civil(first_day)[0]
    while begin < len(sales) and found[FULL] == 0:
        day = sales[begin, 2]
        end = begin
        sold_count = 0
        while end < len(sales) and sales[end, 2] == day:
            of_sale = named[named_starts[first_sale + end] : named_starts[first_sale + end + 1]]
            sold_count, missing = taken(lots, count, sales[end], of_sale, end, sold, sold_count)
            found[MISSING] += missing
            end += 1
        in_order(sold, sold_count)
        for row in range(sold_count):
            account = sold[row, ACCOUNT]
            counts = taxed[account] and first_day <= day <= last_day
            if sold[row, SOLD_PROCEEDS] < sold[row, BASIS] and not sheltered[account]:
                if taxed[account]:
                    found[LAST_LOSS] = max(found[LAST_LOSS], day)
                count = washed(lots, count, sold[row], day, sheltered, spare, counts, found)
            if taxed[account] and day <= last_day and sold[row, UNITS] > 0:
                gain = sold[row, SOLD_PROCEEDS] - sold[row, BASIS]
                term = LONG if day >= long_from(sold[row, HELD_FROM]) else SHORT
                if counts:
                    found[term] += gain
                else:
                    earlier[len(earlier) - (this_year - civil(day)[0]), term] += gain
        begin = end
    return count


@compiled
def each_group(
    group_households: Ints,
    lot_starts: Ints,
    lot_accounts: Ints,
    lot_assets: Ints,
    lot_days: Ints,
    lot_units: Ints,
    lot_bases: Ints,
    sale_starts: Ints,
    sales: Ints,
    named_starts: Ints,
    named: Ints,
    taxed: Flags,
    sheltered: Flags,
    prices: Ints,
    first_day: int,
    last_day: int,
    today: int,
    nets: Ints,
    earlier: Ints,
    harvest: Ints,
    losses: Ints,
    losing: Ints,
    free: Ints,
    no_buy: Ints,
) -> None:
    """Walk every group; fill `nets`, `earlier` and `harvest` of households, the lots' columns, `no_buy` of groups."""
    lots = np.zeros((16, LOT_FIELDS), dtype=np.int64)
    # On one day each sale takes from at most all lots, and leaves at most one of them with units.
    sold = np.zeros((32, SOLD_FIELDS), dtype=np.int64)
    spare = np.zeros(LOT_FIELDS, dtype=np.int64)
    found = np.zeros(GROUP_FIELDS, dtype=np.int64)
    before = np.zeros(earlier.shape[1:], dtype=np.int64)
    for group in range(len(group_households)):
        begin, end = lot_starts[group], lot_starts[group + 1]
        of_group = sales[sale_starts[group] : sale_starts[group + 1]]
        room = 2 * (end - begin) + 2 * len(of_group) + 4
        while True:
            if room > len(lots):
                lots = np.zeros((2 * room, LOT_FIELDS), dtype=np.int64)
                sold = np.zeros((2 * len(lots), SOLD_FIELDS), dtype=np.int64)
            for row in range(begin, end):
                lot = lots[row - begin]
                lot[PURCHASE], lot[ACCOUNT], lot[ASSET] = row, lot_accounts[row], lot_assets[row]
                lot[DAY], lot[HELD_FROM] = lot_days[row], lot_days[row]
                lot[UNITS], lot[BASIS], lot[UNUSED] = lot_units[row], lot_bases[row], 1
            found[:] = 0
            before[:] = 0
            count = walk(
                lots,
                end - begin,
                of_group,
                sale_starts[group],
                named_starts,
                named,
                first_day,
                last_day,
                taxed,
                sheltered,
                sold,
                spare,
                found,
                before,
            )
            if found[FULL] == 0:
                break
            room = 2 * len(lots)
        household = group_households[group]
        for field in range(GROUP_FIELDS):
            nets[household, field] += found[field]
        earlier[household] += before
        if found[LAST_LOSS] + WINDOW_DAYS >= today:
            no_buy[group] = found[LAST_LOSS] + WINDOW_DAYS + 1
        _harvest(lots, count, taxed, prices, today, harvest[household], losses, losing, free)


@compiled
def _harvest(
    lots: Ints,
    count: int,
    taxed: Flags,
    prices: Ints,
    today: int,
    harvest: Ints,
    losses: Ints,
    losing: Ints,
    free: Ints,
) -> None:
    """Find what a group's lots would lose today, and until when a purchase of the last 30 days would wash it."""
    latest, purchase, before = 0, -1, 0
    for row in range(count):
        day = lots[row, DAY]
        if lots[row, UNUSED] == 1 and lots[row, UNITS] > 0 and today - WINDOW_DAYS <= day <= today:
            if lots[row, PURCHASE] != purchase:
                before = latest
            latest, purchase = day, lots[row, PURCHASE]
    for row in range(count):
        price = prices[lots[row, ASSET]]
        units = lots[row, UNITS]
        if units == 0 or price == 0 or lots[row, DAY] > today or not taxed[lots[row, ACCOUNT]]:
            continue
        loss = lots[row, BASIS] - value(units, price)
        if loss <= 0:
            continue
        lot = lots[row, PURCHASE]
        losses[lot] += loss
        losing[lot] += units
        # A lot is no replacement of itself: then the latest of the others counts.
        washes = before if lot == purchase else latest
        if washes > 0:
            free[lot] = washes + WINDOW_DAYS + 1
        else:
            harvest[1 if today >= long_from(lots[row, HELD_FROM]) else 0] += loss
