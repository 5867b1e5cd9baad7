"""How good the plans of a whole batch provably are: what `certificate` says of one account, compiled, for many.

It shares the layout of the columns with the kernel and none of its code: trades are added up again, lots sorted again,
and the bound of given prices is computed from the formula in `certificate`. Wrong prices make a bound weaker, never
false; wrong trades show as a value above the bound, or as a limit that is broken.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar, cast

import numpy as np
from numba import njit

from services.decision.domain.convex import Floats
from services.decision.domain.kernel.arrays import (
    BAND,
    BAND_PRICE,
    BUY_CAP,
    CAP,
    CASH_CEILING,
    CASH_FLOOR,
    COST,
    COST_PRICE,
    FREE_CASH,
    GAIN,
    GAIN_BUDGET,
    IMPACT,
    LEAST,
    MOST,
    RISK,
    START,
    TARGET,
    TAX,
    TURNOVER_MAX,
    VARIANCE,
    Batch,
    Integers,
    Results,
)

Function = TypeVar("Function", bound=Callable[..., object])


def compiled(function: Function) -> Function:
    """Compile a function when it is first called, or load what was compiled."""
    return cast(Function, njit(cache=True, nogil=True, error_model="numpy")(function))


@dataclass(frozen=True, slots=True, eq=False)
class Certificates:
    """Of each account, shape (accounts,).

    Attributes:
        primal_bps: Objective of the trades, in basis points.
        dual_bps: No plan within the limits is below it.
        broken: Largest weight by which the trades break a limit.
    """

    primal_bps: Floats
    dual_bps: Floats
    broken: Floats

    @property
    def gap_bps(self) -> Floats:
        """How far the trades can at most be from the best."""
        return self.primal_bps - self.dual_bps


def certify(batch: Batch, found: Results) -> Certificates:
    """Return the certificates of trades and prices, whoever found them."""
    accounts = len(batch.accounts)
    sizes = np.diff(batch.instrument_at)
    made = Certificates(np.empty(accounts), np.empty(accounts), np.empty(accounts))
    lots = np.diff(batch.lot_at).max(initial=0)
    room = np.empty((4, int(sizes.max(initial=0))))
    order = np.empty(int(lots), dtype=np.int64)
    factor = np.empty(batch.exposures.shape[1])
    _certify(
        batch, found.prices, found.sold, found.bought, room, order, factor, made.primal_bps, made.dual_bps, made.broken
    )
    return made


@compiled
def _certify(
    b: Batch,
    prices: Floats,
    sold: Floats,
    bought: Floats,
    room: Floats,
    order: Integers,
    factor: Floats,
    primal: Floats,
    dual: Floats,
    broken: Floats,
) -> None:
    k = b.exposures.shape[1]
    for account in range(len(b.accounts)):
        i0, i1 = b.instrument_at[account], b.instrument_at[account + 1]
        g0, groups = b.group_at[account], b.group_at[account + 1] - b.group_at[account]
        risk, band_price = b.accounts[account, RISK], b.accounts[account, BAND_PRICE]
        own_price = b.accounts[account, COST_PRICE]
        free, floor = b.accounts[account, FREE_CASH], b.accounts[account, CASH_FLOOR]
        ceiling_at, turnover_at = b.accounts[account, CASH_CEILING], b.accounts[account, TURNOVER_MAX]
        budget = b.accounts[account, GAIN_BUDGET]
        y = prices[account, k:]
        cash, ceiling = max(y[0], 0.0), min(max(y[1], 0.0), band_price)
        turnover, gains = max(y[2], 0.0), max(y[3], 0.0)

        # The trades, added up.
        value = 0.0
        net = linear = impact = traded = gained = over = 0.0
        for f in range(k):
            factor[f] = 0.0
        for i in range(i0, i1):
            amount = 0.0
            for lot in range(b.lot_at[i], b.lot_at[i + 1]):
                amount += sold[lot]
                gained += b.lots[GAIN, lot] * sold[lot]
                value += b.lots[TAX, lot] * sold[lot]
                over = max(over, -sold[lot], sold[lot] - b.lots[CAP, lot])
            purchase = bought[i]
            over = max(over, -purchase, purchase - b.instruments[BUY_CAP, i])
            d = b.instruments[START, i] - amount + purchase - b.instruments[TARGET, i]
            room[0, i - i0], room[1, i - i0] = amount, d
            net += amount - purchase
            traded += amount + purchase
            linear += b.instruments[COST, i] * (amount + purchase)
            impact += b.instruments[IMPACT, i] * (amount * np.sqrt(max(amount, 0.0)))
            impact += b.instruments[IMPACT, i] * (purchase * np.sqrt(max(purchase, 0.0)))
            value += 0.5 * risk * b.instruments[VARIANCE, i] * d * d
            value += band_price * max(abs(d) - b.instruments[BAND, i], 0.0)
            line = b.exposures[b.exposure_at[i]]
            for f in range(k):
                factor[f] += line[f] * d
        squares = 0.0
        for f in range(k):
            squares += factor[f] * factor[f]
        value += 0.5 * risk * squares + own_price * (linear + impact)
        value += band_price * max(free + net - linear - ceiling_at, 0.0)
        over = max(over, floor - (free + net - linear - impact), traded - turnover_at, gained - budget)

        # The bound at the prices: constants first, then each instrument alone.
        bound = cash * (floor - free) + ceiling * (free - ceiling_at) - turnover * turnover_at - gains * budget
        bound -= 0.5 * risk * squares + 0.5 * (own_price + cash) * impact
        for i in range(i0, i1):
            line = b.exposures[b.exposure_at[i]]
            pull = 0.0
            for f in range(k):
                pull += line[f] * factor[f]
            room[2, i - i0] = risk * pull
        for g in range(g0, g0 + groups):
            low, high = max(y[4 + g - g0], 0.0), max(y[4 + groups + g - g0], 0.0)
            held = aimed = 0.0
            for i in range(i0, i1):
                member = b.member[b.member_at[g] + i - i0]
                held += member * (room[1, i - i0] + b.instruments[TARGET, i])
                aimed += member * b.instruments[TARGET, i]
                room[2, i - i0] += member * (high - low)
            bound += low * (b.groups[g, LEAST] - aimed) - high * (b.groups[g, MOST] - aimed)
            over = max(over, b.groups[g, LEAST] - held, held - b.groups[g, MOST])
        for i in range(i0, i1):
            spread = (own_price + cash - ceiling) * b.instruments[COST, i] + turnover
            bend = 1.5 * (own_price + cash) * b.instruments[IMPACT, i]
            sell = spread + bend * np.sqrt(max(room[0, i - i0], 0.0)) - cash + ceiling
            buy = spread + bend * np.sqrt(max(bought[i], 0.0)) + cash - ceiling
            bound += _least(b, i, room[2, i - i0], sell, buy, gains, risk, band_price, order)
        primal[account], dual[account], broken[account] = value, bound, over


@compiled
def _least(
    b: Batch,
    i: int,
    there: float,
    sell: float,
    buy: float,
    gains: float,
    risk: float,
    band_price: float,
    order: Integers,
) -> float:
    """Return the least that an instrument can cost at the prices, going one way or staying where it is."""
    start, t, band = b.instruments[START, i], b.instruments[TARGET, i], b.instruments[BAND, i]
    q = risk * b.instruments[VARIANCE, i]
    count = 0
    edge = start
    spent = 0.0
    for lot in range(b.lot_at[i], b.lot_at[i + 1]):
        if b.lots[CAP, lot] <= 0.0:
            continue
        price = b.lots[TAX, lot] + gains * b.lots[GAIN, lot]
        edge -= b.lots[CAP, lot]
        spent += (sell + price) * b.lots[CAP, lot]
        place = count
        while place > 0 and b.lots[TAX, order[place - 1]] + gains * b.lots[GAIN, order[place - 1]] < price:
            order[place] = order[place - 1]
            place -= 1
        order[place] = lot
        count += 1
    least = _own(start, t, band, there, q, band_price)
    # From everything sold upwards, the dearest lot is kept first: convex, so it ends where it stops falling.
    for place in range(count):
        lot = order[place]
        price = sell + b.lots[TAX, lot] + gains * b.lots[GAIN, lot]
        right = edge + b.lots[CAP, lot]
        w = min(max(_level(t, band, there - price, q, band_price), edge), right)
        least = min(least, spent - price * (w - edge) + _own(w, t, band, there, q, band_price))
        if w < right:
            break
        spent -= price * b.lots[CAP, lot]
        edge = right
    cap = b.instruments[BUY_CAP, i]
    if cap > 0.0:
        w = min(max(_level(t, band, there + buy, q, band_price), start), start + cap)
        least = min(least, buy * (w - start) + _own(w, t, band, there, q, band_price))
    return least


@compiled
def _own(w: float, t: float, band: float, there: float, q: float, band_price: float) -> float:
    d = w - t
    value: float = 0.5 * q * d * d + there * d + band_price * max(abs(d) - band, 0.0)
    return value


@compiled
def _level(t: float, band: float, slope: float, q: float, band_price: float) -> float:
    """Return where q d + slope + band_price · sign(d) outside the band crosses zero; infinite where it never does."""
    if abs(slope) > q * band:
        left = max(abs(slope) - band_price - q * band, 0.0)
        beyond = left / q if q > 0.0 else (np.inf if left > 0.0 else 0.0)
        return t - band - beyond if slope > 0.0 else t + band + beyond
    return t - slope / q if q > 0.0 else t
