"""Random accounts as arrays, for tests of solvers and bounds: everything that may bind does so in some of them."""

from dataclasses import replace

import numpy as np

from services.decision.domain.convex import ConvexProblem, ConvexSolution, Prices


def a_convex_problem(
    seed: int, *, instruments: int = 8, lots_max: int = 5, groups: int = 2, impact: bool = False, losses: bool = False
) -> ConvexProblem:
    """Return a random account. Without `losses` no round trip pays, so that one way for each instrument is best."""
    rng = np.random.default_rng(seed)
    n = instruments
    volatility = rng.uniform(0.05, 0.3, n)
    target = 0.98 * rng.dirichlet(np.full(n, 2.0))
    counts = rng.integers(0, lots_max + 1, n)
    counts[rng.integers(n)] = lots_max
    lot_instrument = np.repeat(np.arange(n), counts)
    held = target * np.exp(0.3 * rng.standard_normal(n)) * (counts > 0)
    held *= rng.uniform(0.9, 0.995) / held.sum()
    parts = rng.uniform(0.1, 1.0, len(lot_instrument))
    totals = np.bincount(lot_instrument, parts, minlength=n)
    lot_weight = parts / totals[lot_instrument] * held[lot_instrument]
    gain = 1.0 - np.exp(rng.normal(-0.3, 0.3, len(lot_instrument)))
    if not losses:
        gain = np.abs(gain)
    rate = np.where(rng.random(len(lot_instrument)) < 0.6, 0.15, 0.35)
    members = (rng.random((groups, n)) < 0.4).astype(float)
    in_groups = members @ held
    cash = 1.0 - held.sum()
    return ConvexProblem(
        risk_aversion=float(rng.choice([1.0, 10.0, 100.0])),
        band_price=float(rng.choice([0.0, 0.05])),
        cost_weight=float(rng.choice([0.5, 1.0])),
        start=held,
        target=target,
        exposures=0.5 * volatility[:, None] * rng.standard_normal((n, 3)),
        specific_variance=(0.6 * volatility) ** 2,
        band=rng.choice([0.0, 0.01, 0.03], n),
        cost=rng.uniform(1e-4, 1e-3, n),
        impact=rng.uniform(1e-4, 3e-3, n) * impact,
        buy_cap=np.where(rng.random(n) < 0.1, 0.0, 1.0 - held),
        identity=np.arange(n),
        lot_instrument=lot_instrument,
        lot_cap=np.where(rng.random(len(lot_instrument)) < 0.1, 0.0, lot_weight),
        lot_tax=gain * rate,
        lot_gain=gain,
        lot_wash=gain < 0,
        cash=cash,
        cash_floor=float(rng.choice([0.0, 0.9 * cash, 1.2 * cash])),
        cash_ceiling=float(rng.choice([1.0, 1.3 * cash])),
        turnover=float(rng.choice([0.1, 0.5, np.inf])),
        gain_budget=float(rng.choice([0.01, np.inf])),
        groups=members,
        group_min=in_groups * rng.choice([0.0, 0.95], groups),
        group_max=np.minimum(1.0, in_groups * rng.choice([1.02, 2.0], groups) + 0.02),
    )


def hinged(convex: ConvexProblem, seed: int, hinges: int = 1) -> ConvexProblem:
    """Return the account with hinges in its tax, as netting has them: the first units of gain cost less than others.

    Each counts short-term gains, long-term gains, or both, and bends near what the account's sales gain.
    """
    rng = np.random.default_rng([seed, 7])
    short = rng.random(len(convex.lot_gain)) < 0.5
    ways = [(1.0, 0.0), (0.0, 1.0), (1.0, 1.0)]
    chosen = [ways[way] for way in rng.choice(3, hinges, replace=False)]
    lots = np.stack([np.where(short, a * convex.lot_gain, b * convex.lot_gain) for a, b in chosen])
    return replace(
        convex,
        hinge_lots=lots,
        hinge_above=rng.choice([0.0, 0.002, 0.01, -0.005], hinges),
        hinge_price=rng.choice([0.02, 0.1, 0.2], hinges),
        tax_constant=float(rng.choice([0.0, 0.001])),
    )


def one_way(convex: ConvexProblem) -> ConvexProblem:
    """Close the purchase of what is torn, or the sale, in turns."""
    sells = np.arange(len(convex.start)) % 2 == 0
    return convex.restricted(may_buy=~(convex.torn & sells), may_sell=~(convex.torn & ~sells))


def one_instrument(**parts: float | np.ndarray) -> ConvexProblem:
    """Return an account half in one instrument of variance 0.04, as it should be, half in cash; nothing has a cost."""
    given: dict[str, object] = {
        "risk_aversion": 10.0,
        "band_price": 0.0,
        "cost_weight": 1.0,
        "start": np.array([0.5]),
        "target": np.array([0.5]),
        "exposures": np.zeros((1, 1)),
        "specific_variance": np.array([0.04]),
        "band": np.zeros(1),
        "cost": np.zeros(1),
        "impact": np.zeros(1),
        "buy_cap": np.array([1.0]),
        "identity": np.array([0]),
        "lot_instrument": np.array([0]),
        "lot_cap": np.array([0.5]),
        "lot_tax": np.zeros(1),
        "lot_gain": np.zeros(1),
        "cash": 0.5,
        "cash_floor": 0.0,
        "cash_ceiling": 1.0,
        "turnover": np.inf,
        "gain_budget": np.inf,
        "groups": np.zeros((0, 1)),
        "group_min": np.zeros(0),
        "group_max": np.zeros(0),
    }
    given |= parts
    return ConvexProblem(lot_wash=np.asarray(given["lot_gain"]) < 0, **given)  # type: ignore[arg-type]  # as the case gives them


def doing(convex: ConvexProblem, sold: np.ndarray, bought: np.ndarray, **prices: float) -> ConvexSolution:
    """Return a solution with these trades and prices; prices not said are zero."""
    none = np.zeros(len(convex.group_min))
    single = {name: prices.get(name, 0.0) for name in ("cash", "ceiling", "turnover", "gains")}
    return ConvexSolution(sold, bought, Prices(**single, group_min=none, group_max=none, hinges=np.zeros(0)))
