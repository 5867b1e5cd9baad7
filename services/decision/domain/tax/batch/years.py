"""What a year's nets come to by the law of the United States, compiled.

The law is that of `assessment.united_states`, where its sources stand; a test holds the two to each other to the cent.
"""

import numpy as np

from services.decision.domain.tax.batch.lots import LONG, SHORT
from services.decision.domain.tax.batch.whole import RATE_SCALE, Ints, compiled, rounded

# Columns of a household's year, in the order of the assessment's lines.
NET_SHORT, NET_LONG, NET, DEDUCTED, SHORT_FORWARD, LONG_FORWARD, INCOME_TAX, INVESTMENT_TAX, STATE_TAX, TAX = range(10)
YEAR_FIELDS = 10
# Where lines of the assessment stand; the others are of what columns cannot say.
LINES = {
    "net_short_term": NET_SHORT,
    "net_long_term": NET_LONG,
    "net_gain": NET,
    "loss_deducted": DEDUCTED,
    "short_term_carried_forward": SHORT_FORWARD,
    "long_term_carried_forward": LONG_FORWARD,
    "income_tax": INCOME_TAX,
    "net_investment_income_tax": INVESTMENT_TAX,
    "state_tax": STATE_TAX,
    "tax": TAX,
}


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
    gain = max(min(long, net), 0)
    ordinary = income + max(net - gain, 0) - deducted
    counted = net if net > 0 else -deducted
    year[NET_SHORT], year[NET_LONG], year[NET], year[DEDUCTED] = short, long, net, deducted
    year[SHORT_FORWARD], year[LONG_FORWARD] = carried(short, long, cap)
    with_gains = income_tax(ordinary, gain, tops, rates, gain_tops, gain_rates)
    without = income_tax(income, 0, tops, rates, gain_tops, gain_rates)
    year[INCOME_TAX] = rounded(with_gains - without, RATE_SCALE)
    invested = investment_tax(investment + counted, income + counted, threshold, investment_rate)
    year[INVESTMENT_TAX] = rounded(
        invested - investment_tax(investment, income, threshold, investment_rate), RATE_SCALE
    )
    year[STATE_TAX] = rounded(counted * state_rate, RATE_SCALE)
    year[TAX] = year[INCOME_TAX] + year[INVESTMENT_TAX] + year[STATE_TAX]


@compiled
def carried(short: int, long: int, cap: int) -> tuple[int, int]:
    """Return what of a year's nets is carried on by kind, 0 or more: as `united_states.carried`."""
    net = short + long
    if net >= 0:
        return 0, 0
    deducted = min(-net, cap)
    short_loss, long_loss = max(-short - max(long, 0), 0), max(-long - max(short, 0), 0)
    from_short = min(deducted, short_loss)
    return short_loss - from_short, long_loss - (deducted - from_short)


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
    earlier_caps: Ints,
    thresholds: Ints,
    investment_rate: int,
    nets: Ints,
    earlier: Ints,
    harvest: Ints,
    years: Ints,
    savings: Ints,
) -> None:
    """Fill each household's year, and what harvesting `harvest` (short-term, long-term) would save of its tax.

    Losses of the years of `earlier` are carried through them, and added to what is stated; `earlier_caps` is the cap of
    each of these years by filing status.
    """
    other = np.zeros(YEAR_FIELDS, dtype=np.int64)
    for row in range(len(status)):
        filed = status[row]
        old_short, old_long = 0, 0
        for year in range(earlier.shape[1]):
            net_short, net_long = earlier[row, year, SHORT] - old_short, earlier[row, year, LONG] - old_long
            old_short, old_long = carried(net_short, net_long, earlier_caps[year, filed])
        short = nets[row, SHORT] - short_forward[row] - old_short
        long = nets[row, LONG] - long_forward[row] - old_long
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
