"""Tax law of the United States in whole numbers, compiled. One file, as the compiler's cache watches no other.

Money is in cents and units in millionths, both in 64 bits; days are ordinals as `date.toordinal` counts; rates are in
ten-thousandths. A product of money and units does not fit, its quotient does: it is guessed in floating point, and the
guess is corrected by its remainder, which wraps around to the right number.

The law is that of `assessment.wash_sales` and `assessment.united_states`, where its sources stand; a test holds the two
to each other to the cent.
"""

from typing import TypeAlias

import numba
import numpy as np
from numpy.typing import NDArray

Ints: TypeAlias = NDArray[np.int64]
Flags: TypeAlias = NDArray[np.bool_]

compiled = numba.njit(cache=True, nogil=True)

# Units of a column are in steps of a millionth.
UNIT_SCALE = 6
UNIT = 10**UNIT_SCALE
# Units and price are in millionths, and a cent is a hundredth.
VALUE_STEP = UNIT * UNIT // 100
_PER_CENT = 1.0 / VALUE_STEP


@compiled
def share(amount: int, units: int, of: int) -> int:
    """Return `amount` · `units` / `of` half to even: what `units` bear of an amount that belongs to `of` units.

    Exact while the result is below 2 ** 52 and `of` below 2 ** 61.
    """
    if units == of:
        return amount
    quotient = int(float(amount) * (float(units) / float(of)))
    # Both products wrap around in 64 bits; their difference is small and so is right.
    rest = amount * units - quotient * of
    while rest < 0:
        quotient -= 1
        rest += of
    while rest >= of:
        quotient += 1
        rest -= of
    twice = 2 * rest
    if twice > of or (twice == of and quotient % 2 != 0):
        quotient += 1
    return quotient


@compiled
def value(units: int, price: int) -> int:
    """Return what `units` are worth in cents, half to even; `price` is of one unit in millionths of the currency.

    Exact while the result is below 2 ** 52.
    """
    quotient = int(float(units) * float(price) * _PER_CENT)
    rest = units * price - quotient * VALUE_STEP
    if rest < 0:
        quotient -= 1
        rest += VALUE_STEP
    elif rest >= VALUE_STEP:
        quotient += 1
        rest -= VALUE_STEP
    twice = 2 * rest
    if twice > VALUE_STEP or (twice == VALUE_STEP and quotient % 2 != 0):
        quotient += 1
    return quotient


@compiled
def rounded(amount: int, step: int) -> int:
    """Return `amount` / `step` as a whole number, half to even."""
    quotient, rest = amount // step, amount % step
    if 2 * rest > step or (2 * rest == step and quotient % 2 != 0):
        quotient += 1
    return quotient


@compiled
def civil(ordinal: int) -> tuple[int, int, int]:
    """Return year, month and day of a day by its number, as `date.toordinal` counts.

    The days of 400 years repeat (Hinnant, chrono-compatible low-level date algorithms, `civil_from_days`).
    """
    days = ordinal + 305
    era = days // 146_097
    of_era = days - era * 146_097
    year_of_era = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * of_year + 2) // 153
    day = of_year - (153 * shifted + 2) // 5 + 1
    month = shifted + 3 if shifted < 10 else shifted - 9
    return year_of_era + era * 400 + (1 if month <= 2 else 0), month, day


@compiled
def ordinal(year: int, month: int, day: int) -> int:
    """Return the number of a day, as `date.toordinal` counts (`days_from_civil`, as above)."""
    shifted_year = year - (1 if month <= 2 else 0)
    era = shifted_year // 400
    year_of_era = shifted_year - era * 400
    of_year = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 + day - 1
    of_era = year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + of_year
    return era * 146_097 + of_era - 305


@compiled
def long_from(held_from: int) -> int:
    """Return the first day on which units held from `held_from` are long-term: as `united_states.long_term_from`."""
    year, month, day = civil(held_from + 1)
    if month == 2 and day == 29:
        return ordinal(year + 1, 3, 1)
    return ordinal(year + 1, month, day)


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
def taken(lots: Ints, count: int, sale: Ints, number: int, sold: Ints, sold_count: int) -> tuple[int, int]:
    """Take a sale's units out of its account's lots, the oldest first.

    Returns:
        How many rows of `sold` there are now, and how many units are missing.
    """
    account, asset, day, left, proceeds = sale[0], sale[1], sale[2], sale[3], sale[4]
    for row in range(count):
        if left == 0 or lots[row, DAY] > day:
            break
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
    first_day: int,
    last_day: int,
    taxed: Flags,
    sheltered: Flags,
    sold: Ints,
    spare: Ints,
    found: Ints,
) -> int:
    """Walk a group's sales in order, and return how many lots there are afterwards.

    Args:
        lots: The group's, with room for what is taken out of them.
        count: How many there are.
        sales: Account, asset, day, units and proceeds of each, by day and id.
        first_day: First day of the tax year; what is counted into `found` is from it on.
        last_day: Last day of the tax year, inside.
        taxed: Of each account.
        sheltered: Of each account.
        sold: Room for what is sold on one day.
        spare: Room for one lot.
        found: What the group comes to, shape (GROUP_FIELDS,); `FULL` is 1 when there was no room, and then nothing else
            of it counts.
    """
    begin = 0
    while begin < len(sales) and found[FULL] == 0:
        day = sales[begin, 2]
        end = begin
        sold_count = 0
        while end < len(sales) and sales[end, 2] == day:
            sold_count, missing = taken(lots, count, sales[end], end, sold, sold_count)
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
            if counts and sold[row, UNITS] > 0:
                gain = sold[row, SOLD_PROCEEDS] - sold[row, BASIS]
                found[LONG if day >= long_from(sold[row, HELD_FROM]) else SHORT] += gain
        begin = end
    return count


# The year.

# Rates travel in ten-thousandths, so that a tax before rounding is in ten-thousandths of a cent.
RATE_SCALE = 10_000
# Columns of a household's year, in the order of the assessment's lines.
NET_SHORT, NET_LONG, NET, DEDUCTED, SHORT_FORWARD, LONG_FORWARD, INCOME_TAX, INVESTMENT_TAX, STATE_TAX, TAX = range(10)
YEAR_FIELDS = 10


@compiled
def through(start: int, end: int, tops: Ints, rates: Ints) -> int:
    """Return the tax on income from `start` to `end` through brackets that end at `tops`."""
    tax, bottom = 0, 0
    for row in range(len(tops)):
        tax += max(min(end, tops[row]) - max(start, bottom), 0) * rates[row]
        bottom = tops[row]
    return tax


@compiled
def income_tax(ordinary: int, gain: int, tops: Ints, rates: Ints, gain_tops: Ints, gain_rates: Ints) -> int:
    """Return the tax on ordinary income with a net capital gain on top of it."""
    taxable = max(gain + min(ordinary, 0), 0)
    base = max(ordinary, 0)
    return through(0, base, tops, rates) + through(base, base + taxable, gain_tops, gain_rates)


@compiled
def investment_tax(investment: int, income: int, threshold: int, rate: int) -> int:
    """Return the tax on net investment income."""
    return max(min(investment, income - threshold), 0) * rate


@compiled
def liability(
    short: int,
    long: int,
    income: int,
    investment: int,
    state_rate: int,
    tops: Ints,
    gain_tops: Ints,
    rates: Ints,
    gain_rates: Ints,
    cap: int,
    threshold: int,
    investment_rate: int,
    year: Ints,
) -> None:
    """Fill `year`, shape (YEAR_FIELDS,), from the nets after what is brought forward."""
    net = short + long
    deducted = min(-net, cap) if net < 0 else 0
    short_loss, long_loss = max(-short - max(long, 0), 0), max(-long - max(short, 0), 0)
    from_short = min(deducted, short_loss)
    gain = max(min(long, net), 0)
    ordinary = income + max(net - gain, 0) - deducted
    counted = net if net > 0 else -deducted
    year[NET_SHORT], year[NET_LONG], year[NET], year[DEDUCTED] = short, long, net, deducted
    year[SHORT_FORWARD] = short_loss - from_short if net < 0 else 0
    year[LONG_FORWARD] = long_loss - (deducted - from_short) if net < 0 else 0
    with_gains = income_tax(ordinary, gain, tops, rates, gain_tops, gain_rates)
    without = income_tax(income, 0, tops, rates, gain_tops, gain_rates)
    year[INCOME_TAX] = rounded(with_gains - without, RATE_SCALE)
    invested = investment_tax(investment + counted, income + counted, threshold, investment_rate)
    year[INVESTMENT_TAX] = rounded(
        invested - investment_tax(investment, income, threshold, investment_rate), RATE_SCALE
    )
    year[STATE_TAX] = rounded(counted * state_rate, RATE_SCALE)
    year[TAX] = year[INCOME_TAX] + year[INVESTMENT_TAX] + year[STATE_TAX]


# Whole batches.


@compiled
def each_household(
    status: Ints,
    income: Ints,
    short_forward: Ints,
    long_forward: Ints,
    investment: Ints,
    state_rate: Ints,
    tops: Ints,
    gain_tops: Ints,
    rates: Ints,
    gain_rates: Ints,
    caps: Ints,
    thresholds: Ints,
    investment_rate: int,
    nets: Ints,
    harvest: Ints,
    years: Ints,
    savings: Ints,
) -> None:
    """Fill each household's year, and what harvesting `harvest` (short-term, long-term) would save of its tax."""
    other = np.zeros(YEAR_FIELDS, dtype=np.int64)
    for row in range(len(status)):
        filed = status[row]
        short = nets[row, SHORT] - short_forward[row]
        long = nets[row, LONG] - long_forward[row]
        for times in range(2):
            liability(
                short - times * harvest[row, 0],
                long - times * harvest[row, 1],
                income[row],
                investment[row],
                state_rate[row],
                tops[filed],
                gain_tops[filed],
                rates,
                gain_rates,
                caps[filed],
                thresholds[filed],
                investment_rate,
                years[row] if times == 0 else other,
            )
        savings[row] = years[row, TAX] - other[TAX]


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
    taxed: Flags,
    sheltered: Flags,
    prices: Ints,
    first_day: int,
    last_day: int,
    today: int,
    nets: Ints,
    harvest: Ints,
    losses: Ints,
    losing: Ints,
    free: Ints,
    no_buy: Ints,
) -> None:
    """Walk every group; fill `nets` and `harvest` of households, the lots' columns, and `no_buy` of groups."""
    lots = np.zeros((16, LOT_FIELDS), dtype=np.int64)
    # On one day each sale takes from at most all lots, and leaves at most one of them with units.
    sold = np.zeros((32, SOLD_FIELDS), dtype=np.int64)
    spare = np.zeros(LOT_FIELDS, dtype=np.int64)
    found = np.zeros(GROUP_FIELDS, dtype=np.int64)
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
            count = end - begin
            count = walk(lots, count, of_group, first_day, last_day, taxed, sheltered, sold, spare, found)
            if found[FULL] == 0:
                break
            room = 2 * len(lots)
        household = group_households[group]
        for field in range(GROUP_FIELDS):
            nets[household, field] += found[field]
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


@compiled
def each_lot(
    starts: Ints,
    days: Ints,
    units: Ints,
    bases: Ints,
    prices: Ints,
    realized: Ints,
    rates: Ints,
    today: int,
    gains: Ints,
    taxed: Ints,
    long: Flags,
) -> None:
    """Fill each lot's gain, rate and term; see `marginal.marginal_costs`."""
    # What was bought later is short-term: `long_from` never falls as days go on.
    newest = today - 366
    while long_from(newest) > today:
        newest -= 1
    for account in range(len(starts) - 1):
        short_net, long_net = realized[account, 0], realized[account, 1]
        short_rate, long_rate = rates[account, 0], rates[account, 1]
        if short_net < 0 or long_net < 0:
            if short_net + long_net <= 0:
                short_rate = min(short_rate, long_rate)
            elif short_net < 0:
                short_rate = long_rate
            long_rate = short_rate
        for row in range(starts[account], starts[account + 1]):
            held_long = days[row] <= newest
            gains[row] = value(units[row], prices[row]) - bases[row]
            taxed[row] = long_rate if held_long else short_rate
            long[row] = held_long
