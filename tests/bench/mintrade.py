"""Minimum trades: the road of columns, which proves its plans by branch and bound, beside SCIP.

The peer gets the same accounts in floating point, as its user writes it: binaries for "sells" and "buys" of every
instrument, and a trade that is at least so large or everything. It takes the quadratic objective as it is. Ours goes on
to whole cents, the exact check and the explanation; the peer stops at weights.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version

import numpy as np
import pyscipopt

from services.decision.domain.bulk.columns import (
    DUAL,
    HOLD,
    OUTCOME,
    PRIMAL,
    TRADE,
    UNPROVEN,
    Inputs,
)
from services.decision.domain.bulk.road import decide_columns
from services.decision.domain.convex import BPS_PER_ONE
from tests.bench.accounts import LARGE, exact_columns, is_decided
from tests.bench.results import Result

# Smallest trades, in cents: half a percent of an account of a hundred thousand, and a tenth of one.
SMALL_MINIMUM, LARGE_MINIMUM = 50_000, 10_000
# In basis points: what a search may leave unproven.
GAP_BPS = 1e-2
ACCOUNTS, PEER_ACCOUNTS = 300, 12
NODES_MAX = 20_000
PEER_S_MAX = 20.0
B500_ACCOUNTS = 12


def against_scip() -> Sequence[Result]:
    """Decide small accounts with a minimum trade, one call each, and some of them with SCIP."""
    inputs = exact_columns(ACCOUNTS, 3, minimum_cents=SMALL_MINIMUM)
    parts = [account_of(inputs, account) for account in range(ACCOUNTS)]
    decide_columns(parts[0])
    taken, values, unproven = [], [], []
    for part in parts:
        started = time.process_time()
        plans = decide_columns(part, NODES_MAX, GAP_BPS)
        taken.append(time.process_time() - started)
        told = plans.accounts[0]
        values.append((told[PRIMAL] if told[OUTCOME] == TRADE else told[HOLD]) / 1e6)
        unproven.append(told[UNPROVEN] / 1e6 if is_decided(plans)[0] else math.inf)
    theirs_s, worse = [], []
    for part, value in list(zip(parts, values, strict=True))[:PEER_ACCOUNTS]:
        seconds, found = by_scip(part, PEER_S_MAX)
        theirs_s.append(seconds)
        worse.append(found - value)
    ours, theirs = float(np.mean(taken)), float(np.mean(theirs_s))
    proven = int((np.array(unproven) <= 1.001 * GAP_BPS).sum())
    said = f"SCIP, mean {np.mean(worse):+.2f} bp from ours; ours proven {proven} of {ACCOUNTS}"
    versions = {"pyscipopt": version("pyscipopt")}
    return [
        Result("decision.mintrade.vs_scip", 1e3 * ours, "ms", said, 1e3 * theirs, theirs / ours, versions),
        Result("decision.mintrade.p99_ms", 1e3 * float(np.quantile(taken, 0.99)), "ms an account"),
    ]


def b500() -> Sequence[Result]:
    """Decide accounts of 500 names and 4 lots with a minimum trade."""
    inputs = exact_columns(B500_ACCOUNTS, 5, minimum_cents=LARGE_MINIMUM, size=replace(LARGE, lots=50.0), lots_max=4)
    taken, gaps = [], []
    for account in range(B500_ACCOUNTS):
        part = account_of(inputs, account)
        started = time.perf_counter()
        plans = decide_columns(part)
        taken.append(time.perf_counter() - started)
        told = plans.accounts[0]
        gap = (told[PRIMAL] - told[DUAL]) / max(abs(told[PRIMAL]), abs(told[HOLD]), 1)
        gaps.append(gap if is_decided(plans)[0] else math.inf)
    said = f"certified gap at most {max(gaps):.1e} of the objective"
    return [Result("decision.b500.p99_s", float(np.quantile(taken, 0.99)), f"s an account, {said}")]


def account_of(inputs: Inputs, account: int) -> Inputs:
    """Return one account's columns by themselves."""
    i0, i1 = inputs.instrument_at[account], inputs.instrument_at[account + 1]
    l0, l1 = inputs.lot_at[i0], inputs.lot_at[i1]
    return inputs._replace(
        instrument_at=np.array([0, i1 - i0]),
        lot_at=inputs.lot_at[i0 : i1 + 1] - l0,
        group_at=np.zeros(2, dtype=np.int64),
        accounts=np.ascontiguousarray(inputs.accounts[account : account + 1]),
        objectives=np.ascontiguousarray(inputs.objectives[account : account + 1]),
        instruments=np.ascontiguousarray(inputs.instruments[:, i0:i1]),
        daily_value=np.ascontiguousarray(inputs.daily_value[i0:i1]),
        lots=np.ascontiguousarray(inputs.lots[:, l0:l1]),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """One account in weights, from the exact columns, with no help of the code that is measured."""

    start: np.ndarray
    target: np.ndarray
    band: np.ndarray
    cost: np.ndarray
    may_buy: np.ndarray
    row: np.ndarray
    cap: np.ndarray
    tax: np.ndarray
    smallest: float
    cash: float
    floor: float
    turnover: float
    aversion: float
    band_price: float


def weights_of(inputs: Inputs) -> Weights:
    """Return the account that a peer is asked about."""
    price, quantity = inputs.instruments[0] / 100.0, inputs.lots[0] / 1e4
    row = np.repeat(np.arange(len(price)), np.diff(inputs.lot_at))
    worth = quantity * price[row]
    cash = inputs.accounts[0, 3] / 1e6
    value = cash + worth.sum()
    gain = 1.0 - inputs.lots[1] / 100.0 / worth
    return Weights(
        start=np.bincount(row, worth, minlength=len(price)) / value,
        target=inputs.instruments[2] / 1e12,
        band=inputs.instruments[3] / 1e12,
        cost=inputs.instruments[5] / 1e6 / 2.0 / BPS_PER_ONE,
        may_buy=inputs.instruments[12] == 0,
        row=row,
        cap=np.where(inputs.lots[4] == 0, worth / value, 0.0),
        tax=0.5 * gain * inputs.lots[2] / 1e9,
        smallest=float(inputs.instruments[8, 0]) / 1e6 / value,
        cash=cash / value,
        floor=inputs.accounts[0, 5] / 1e12,
        turnover=inputs.accounts[0, 9] / 1e12,
        aversion=float(inputs.objectives[0, 0]),
        band_price=float(inputs.objectives[0, 1]),
    )


def by_scip(inputs: Inputs, seconds_max: float) -> tuple[float, float]:
    """Return the processor time that SCIP takes, and the value in basis points of its plan; infinite without one."""
    account = weights_of(inputs)
    n = len(account.start)
    started = time.process_time()
    model = pyscipopt.Model()
    model.hideOutput()
    model.setParam("limits/time", seconds_max)
    model.setParam("limits/absgap", GAP_BPS / BPS_PER_ONE)
    total = pyscipopt.quicksum
    sold = [model.addVar(lb=0.0, ub=float(cap)) for cap in account.cap]
    bought = [model.addVar(lb=0.0, ub=1.0 if may else 0.0) for may in account.may_buy]
    sells, buys = [model.addVar(vtype="B") for _ in range(n)], [model.addVar(vtype="B") for _ in range(n)]
    excess = [model.addVar(lb=0.0) for _ in range(n)]
    deviation = model.addVar(lb=0.0)
    lots_of = [np.flatnonzero(account.row == i) for i in range(n)]
    away = []
    for i in range(n):
        sale = total(sold[lot] for lot in lots_of[i])
        full = float(account.cap[lots_of[i]].sum())
        model.addCons(sells[i] + buys[i] <= 1)
        model.addCons(bought[i] <= buys[i])
        model.addCons(bought[i] >= account.smallest * buys[i])
        model.addCons(sale <= full * sells[i])
        model.addCons(sale >= min(account.smallest, full) * sells[i])
        d = model.addVar(lb=None)
        model.addCons(d == account.start[i] - account.target[i] + bought[i] - sale)
        model.addCons(excess[i] >= d - account.band[i])
        model.addCons(excess[i] >= -d - account.band[i])
        away.append(d)
    exposed = []
    for f in range(inputs.exposures.shape[1]):
        y = model.addVar(lb=None)
        model.addCons(y == total(float(inputs.exposures[i, f]) * away[i] for i in range(n)))
        exposed.append(y)
    own = total(float(inputs.specific_variance[i]) * away[i] * away[i] for i in range(n))
    model.addCons(0.5 * account.aversion * (own + total(y * y for y in exposed)) <= deviation)
    paid = total(float(account.cost[account.row[lot]]) * sold[lot] for lot in range(len(sold)))
    paid += total(float(account.cost[i]) * bought[i] for i in range(n))
    net = total(sold) - total(bought)
    model.addCons(account.cash + net - paid >= account.floor)
    model.addCons(total(sold) + total(bought) <= account.turnover)
    tax = total(float(account.tax[lot]) * sold[lot] for lot in range(len(sold)))
    model.setObjective(deviation + account.band_price * total(excess) + paid + tax)
    model.optimize()
    value = float(model.getObjVal()) if model.getNSols() else math.inf
    return time.process_time() - started, BPS_PER_ONE * value
