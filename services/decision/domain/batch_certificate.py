"""How good the plans of a whole batch provably are: what `certificate` says of one account, compiled, for many.

It shares the layout of the columns with the kernel and none of its code: trades are added up again, lots sorted again,
and the bound of given prices is computed from the formula in `certificate`. Wrong prices make a bound weaker, never
false; wrong trades show as a value above the bound, or as a limit that is broken.
"""

from dataclasses import dataclass

import numpy as np

from services.decision.domain.compiling import compiled, part
from services.decision.domain.convex import Floats
from services.decision.domain.kernel.arrays import (
    ACCOUNT_COLUMNS,
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
    HINGE_ABOVE,
    HINGE_PRICE,
    HINGED,
    IMPACT,
    INSTRUMENT_ROWS,
    LEAST,
    LOT_ROWS,
    MOST,
    RISK,
    START,
    TARGET,
    TAX,
    TAX_CONSTANT,
    TURNOVER_MAX,
    VARIANCE,
    Batch,
    Integers,
    Results,
    check_layout,
)


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


def certify(batch: Batch, found: Results, least: Floats | None = None) -> Certificates:
    """Return the certificates of trades and prices, whoever found them.

    Args:
        batch: The accounts.
        found: Their trades and prices.
        least: As in `certificate.dual_bound`, shape (2, instruments).

    Raises:
        ValueError: The arrays are not laid out as compiled code reads them.
    """
    check_layout(batch)
    accounts = len(batch.accounts)
    sizes = np.diff(batch.instrument_at)
    made = Certificates(np.empty(accounts), np.empty(accounts), np.empty(accounts))
    lots = np.diff(batch.lot_at).max(initial=0)
    room = np.empty((7, int(sizes.max(initial=0))))
    order = np.empty(int(lots), dtype=np.int64)
    factor = np.empty(batch.exposures.shape[1])
    sizes = np.zeros((3, batch.instruments.shape[1]))
    if least is not None:
        sizes[:2] = least
    values = made.primal_bps, made.dual_bps, made.broken
    _certify(batch, found.prices, found.sold, found.bought, room, order, factor, sizes, *values)
    return made


def warm_up() -> None:
    """Compile, or load what was compiled."""
    at, none = np.zeros(1, dtype=np.int64), np.zeros(0)
    empty = none.reshape(0, 1)
    batch = Batch(
        instrument_at=at,
        lot_at=at,
        group_at=at,
        member_at=at,
        member=none,
        accounts=np.zeros((0, ACCOUNT_COLUMNS)),
        instruments=np.zeros((INSTRUMENT_ROWS, 0)),
        lots=np.zeros((LOT_ROWS, 0)),
        groups=np.zeros((0, 2)),
        exposure_at=at[:0],
        exposures=empty,
    )
    certify(batch, Results(empty, none, none, none, at[:0], np.zeros(0, dtype=np.bool_)))


@compiled
def _certify(
    b: Batch,
    prices: Floats,
    sold: Floats,
    bought: Floats,
    room: Floats,
    order: Integers,
    factor: Floats,
    sizes: Floats,
    primal: Floats,
    dual: Floats,
    broken: Floats,
) -> None:
    k = b.exposures.shape[1]
    for account in range(len(b.accounts)):
        i0, i1 = b.instrument_at[account], b.instrument_at[account + 1]
        own_sold, own_bought = sold[b.lot_at[i0] : b.lot_at[i1]], bought[i0:i1]
        primal[account], broken[account] = added_up(b, account, own_sold, own_bought, room, factor)
        dual[account] = bound_below(b, account, prices[account, k:], room, factor, order, sizes[:, i0:i1])


@part
def added_up(b: Batch, account: int, sold: Floats, bought: Floats, room: Floats, factor: Floats) -> tuple[float, float]:
    """Return the objective of an account's trades in basis points, and the weight by which they break a limit.

    Fills in where they lead to, which `bound_below` takes for its tangents: what is sold and bought of each instrument
    and its deviation, rows 0, 3 and 1 of `room`; what the deviations are exposed to, `factor`.
    """
    i0, i1 = b.instrument_at[account], b.instrument_at[account + 1]
    base = b.lot_at[i0]
    risk, band_price = b.accounts[account, RISK], b.accounts[account, BAND_PRICE]
    free, floor = b.accounts[account, FREE_CASH], b.accounts[account, CASH_FLOOR]
    value = b.accounts[account, TAX_CONSTANT]
    net = linear = impact = traded = gained = counted = over = 0.0
    for i in range(i0, i1):
        amount = 0.0
        for lot in range(b.lot_at[i], b.lot_at[i + 1]):
            part = sold[lot - base]
            amount += part
            gained += b.lots[GAIN, lot] * part
            counted += b.lots[HINGED, lot] * part
            value += b.lots[TAX, lot] * part
            over = max(over, -part, part - b.lots[CAP, lot])
        purchase = bought[i - i0]
        over = max(over, -purchase, purchase - b.instruments[BUY_CAP, i])
        d = b.instruments[START, i] - amount + purchase - b.instruments[TARGET, i]
        room[0, i - i0], room[1, i - i0], room[3, i - i0] = amount, d, purchase
        net += amount - purchase
        traded += amount + purchase
        linear += b.instruments[COST, i] * (amount + purchase)
        impact += b.instruments[IMPACT, i] * (amount * np.sqrt(max(amount, 0.0)))
        impact += b.instruments[IMPACT, i] * (purchase * np.sqrt(max(purchase, 0.0)))
        value += 0.5 * risk * b.instruments[VARIANCE, i] * d * d
        value += band_price * max(abs(d) - b.instruments[BAND, i], 0.0)
    value += b.accounts[account, HINGE_PRICE] * max(counted - b.accounts[account, HINGE_ABOVE], 0.0)
    squares = exposed(b, account, room, factor)
    value += 0.5 * risk * squares + b.accounts[account, COST_PRICE] * (linear + impact)
    value += band_price * max(free + net - linear - b.accounts[account, CASH_CEILING], 0.0)
    over = max(over, floor - (free + net - linear - impact), traded - b.accounts[account, TURNOVER_MAX])
    over = max(over, gained - b.accounts[account, GAIN_BUDGET])
    for g in range(b.group_at[account], b.group_at[account + 1]):
        held = 0.0
        for i in range(i0, i1):
            held += b.member[b.member_at[g] + i - i0] * (room[1, i - i0] + b.instruments[TARGET, i])
        over = max(over, b.groups[g, LEAST] - held, held - b.groups[g, MOST])
    return value, over


@part
def exposed(b: Batch, account: int, room: Floats, factor: Floats) -> float:
    """Fill in what the deviations in row 1 of `room` are exposed to, and return the sum of its squares."""
    k = b.exposures.shape[1]
    i0 = b.instrument_at[account]
    for f in range(k):
        factor[f] = 0.0
    for i in range(i0, b.instrument_at[account + 1]):
        d = room[1, i - i0]
        line = b.exposures[b.exposure_at[i]]
        for f in range(k):
            factor[f] += line[f] * d
    squares: float = 0.0
    for f in range(k):
        squares += factor[f] * factor[f]
    return squares


@part
def bound_below(
    b: Batch, account: int, y: Floats, room: Floats, factor: Floats, order: Integers, sizes: Floats
) -> float:
    """Return the bound at the prices y of the limits, with tangents where `added_up` has been.

    Constants first, then each instrument alone. Row 2 of `room` ends as each one's pull on factors and groups; rows 4
    to 6 as what no trade, a sale and a purchase cost it beyond the least of the three: by so much the bound rises when
    nothing else is left. Rows of `sizes`, shape (3, n): least weight of a sale, and of a purchase, infinite where there
    is none; and what no trade costs, zero, or infinite where one must be made.
    """
    k = b.exposures.shape[1]
    i0, i1 = b.instrument_at[account], b.instrument_at[account + 1]
    g0, groups = b.group_at[account], b.group_at[account + 1] - b.group_at[account]
    risk, band_price = b.accounts[account, RISK], b.accounts[account, BAND_PRICE]
    own_price = b.accounts[account, COST_PRICE]
    free, floor = b.accounts[account, FREE_CASH], b.accounts[account, CASH_FLOOR]
    cash, ceiling = max(y[0], 0.0), min(max(y[1], 0.0), band_price)
    turnover, gains = max(y[2], 0.0), max(y[3], 0.0)
    hinge = min(max(y[4], 0.0), b.accounts[account, HINGE_PRICE])
    bound: float = cash * (floor - free) + ceiling * (free - b.accounts[account, CASH_CEILING])
    bound -= turnover * b.accounts[account, TURNOVER_MAX] + gains * b.accounts[account, GAIN_BUDGET]
    bound += b.accounts[account, TAX_CONSTANT] - hinge * b.accounts[account, HINGE_ABOVE]
    squares = 0.0
    for f in range(k):
        squares += factor[f] * factor[f]
    impact = 0.0
    for i in range(i0, i1):
        amount, purchase = max(room[0, i - i0], 0.0), max(room[3, i - i0], 0.0)
        impact += b.instruments[IMPACT, i] * (amount * np.sqrt(amount) + purchase * np.sqrt(purchase))
        line = b.exposures[b.exposure_at[i]]
        pull = 0.0
        for f in range(k):
            pull += line[f] * factor[f]
        room[2, i - i0] = risk * pull
    bound -= 0.5 * risk * squares + 0.5 * (own_price + cash) * impact
    for g in range(g0, g0 + groups):
        low, high = max(y[5 + g - g0], 0.0), max(y[5 + groups + g - g0], 0.0)
        aimed = 0.0
        for i in range(i0, i1):
            member = b.member[b.member_at[g] + i - i0]
            aimed += member * b.instruments[TARGET, i]
            room[2, i - i0] += member * (high - low)
        bound += low * (b.groups[g, LEAST] - aimed) - high * (b.groups[g, MOST] - aimed)
    for i in range(i0, i1):
        spread = (own_price + cash - ceiling) * b.instruments[COST, i] + turnover
        bend = 1.5 * (own_price + cash) * b.instruments[IMPACT, i]
        sell = spread + bend * np.sqrt(max(room[0, i - i0], 0.0)) - cash + ceiling
        buy = spread + bend * np.sqrt(max(room[3, i - i0], 0.0)) + cash - ceiling
        size = sizes[0, i - i0], sizes[1, i - i0], sizes[2, i - i0]
        stands, sold, bought = _ways(b, i, room[2, i - i0], sell, buy, gains, hinge, risk, band_price, order, size)
        least = min(stands, sold, bought)
        room[4, i - i0], room[5, i - i0], room[6, i - i0] = stands - least, sold - least, bought - least
        bound += least
    return bound


@part
def _ways(
    b: Batch,
    i: int,
    there: float,
    sell: float,
    buy: float,
    gains: float,
    hinge: float,
    risk: float,
    band_price: float,
    order: Integers,
    size: tuple[float, float, float],
) -> tuple[float, float, float]:
    """Return the least that an instrument can cost at the prices: staying where it is, sold, and bought.

    What it cannot do is infinite; where everything can be, a sale and a purchase may be of nothing. `size` is the
    instrument's column of `sizes`.
    """
    least_sold, least_bought, standing = size
    start, t, band = b.instruments[START, i], b.instruments[TARGET, i], b.instruments[BAND, i]
    q = risk * b.instruments[VARIANCE, i]
    count = 0
    edge = start
    spent = 0.0
    for lot in range(b.lot_at[i], b.lot_at[i + 1]):
        if b.lots[CAP, lot] <= 0.0:
            continue
        price = b.lots[TAX, lot] + gains * b.lots[GAIN, lot] + hinge * b.lots[HINGED, lot]
        edge -= b.lots[CAP, lot]
        spent += (sell + price) * b.lots[CAP, lot]
        place = count
        while place > 0:
            before = order[place - 1]
            if b.lots[TAX, before] + gains * b.lots[GAIN, before] + hinge * b.lots[HINGED, before] >= price:
                break
            order[place] = before
            place -= 1
        order[place] = lot
        count += 1
    stands: float = standing + _own(start, t, band, there, q, band_price)
    sold: float = np.inf
    bought: float = np.inf
    # From everything sold upwards, the dearest lot is kept first: convex, so it ends where it stops falling.
    end = max(start - least_sold, edge)
    for place in range(count):
        if least_sold == np.inf:
            break
        lot = order[place]
        price = sell + b.lots[TAX, lot] + gains * b.lots[GAIN, lot] + hinge * b.lots[HINGED, lot]
        right = edge + b.lots[CAP, lot]
        w = min(max(_level(t, band, there - price, q, band_price), edge), right, end)
        sold = min(sold, spent - price * (w - edge) + _own(w, t, band, there, q, band_price))
        if w < right:
            break
        spent -= price * b.lots[CAP, lot]
        edge = right
    cap = b.instruments[BUY_CAP, i]
    if cap > 0.0 and least_bought <= cap:
        w = min(max(_level(t, band, there + buy, q, band_price), start + least_bought), start + cap)
        bought = buy * (w - start) + _own(w, t, band, there, q, band_price)
    return stands, sold, bought


@part
def _own(w: float, t: float, band: float, there: float, q: float, band_price: float) -> float:
    d = w - t
    value: float = 0.5 * q * d * d + there * d + band_price * max(abs(d) - band, 0.0)
    return value


@part
def _level(t: float, band: float, slope: float, q: float, band_price: float) -> float:
    """Return where q d + slope + band_price · sign(d) outside the band crosses zero; infinite where it never does."""
    if abs(slope) > q * band:
        left = max(abs(slope) - band_price - q * band, 0.0)
        beyond = left / q if q > 0.0 else (np.inf if left > 0.0 else 0.0)
        return t - band - beyond if slope > 0.0 else t + band + beyond
    return t - slope / q if q > 0.0 else t
