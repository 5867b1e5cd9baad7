"""Columns of accounts that are given as values: what `decide` is asked, in the form in which many are decided at once.

What does not fit the columns is not squeezed in: the account is named with the reason, and takes the other road. So is
an account that uses a field which these columns do not know, because a later build added it.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from itertools import chain
from typing import Any, TypeAlias

import numpy as np

from services.decision.domain.bulk.columns import EXEMPT, LONG, NONE, SHORT, Inputs
from services.decision.domain.decision import Character
from services.decision.domain.entering import gain_budget_left, ordered_holdings, ordered_lots
from services.decision.domain.problem import (
    ZERO,
    AccountProblem,
    Band,
    CashRule,
    GroupLimit,
    Holding,
    Limits,
    LotState,
    Objective,
    RiskModel,
    TaxProfile,
)
from services.decision.domain.tax import LotTax, TaxView
from services.kernel.ids import InstrumentId

# Scales of weights, rates and basis points.
WEIGHT_PLACES, RATE_PLACES, BPS_PLACES = 12, 9, 6
# The finest that quantities, and amounts of money, may be; the columns' powers of ten end there.
QUANTITY_PLACES_MAX, VALUE_PLACES_MAX, BASIS_PLACES_MAX = 9, 17, 9
INTEGER_MAX = 2**59
CHARACTERS = {Character.EXEMPT: EXEMPT, Character.SHORT: SHORT, Character.LONG: LONG}

# What the columns know of each value; a field besides must be at its default.
KNOWN: Mapping[type, frozenset[str]] = {
    kind: frozenset(names.split())
    for kind, names in {
        AccountProblem: """
            account_id currency as_of_date cash holdings tax objective cash_rule limits recent_trades
        """,
        Holding: """
            instrument_id price quantity_increment target_weight band lots spread_bps commission_bps
            commission_per_trade average_daily_value minimum_trade held_away_value weight_max identity_set
            no_buy no_sell asset_kind
        """,
        CashRule: "floor floor_weight ceiling_weight withdrawal flow",
        TaxProfile: """
            jurisdiction taxable short_rate long_rate gain_budget realized_short realized_long
            carried_short carried_long allowance
        """,
        Objective: """
            risk_aversion band_excess_price tax_weight cost_weight loss_credit_weight impact_coefficient
            net_benefit_min horizon_years
        """,
        Limits: "turnover groups",
        GroupLimit: "name instrument_ids weight_min weight_max",
        LotState: "lot_id acquired_date quantity basis_total",
        Band: "trigger destination",
        TaxView: "lots no_buy liability",
        LotTax: "character gain_per_unit rate no_sell source long_from exempt",
    }.items()
}


# A dataclass, known at run time only.
Kind: TypeAlias = Any


class DoesNotFit(Exception):
    """The account does not fit the columns; the text says why."""


@dataclass(frozen=True, slots=True, eq=False)
class AccountColumns:
    """One account's part of the columns; see `columns.Inputs`."""

    accounts: list[int]
    objectives: list[float]
    instruments: list[list[int]]
    daily_value: list[float]
    lots: list[list[int]]
    lot_counts: list[int]
    groups: list[list[int]]
    members: list[list[float]]
    pieces: list[list[float]]


def account_columns(
    problem: AccountProblem, tax: TaxView, rows: Mapping[InstrumentId, int], *, asked: bool
) -> AccountColumns:
    """Return an account as columns.

    Args:
        problem: The account.
        tax: What tax rules say of it.
        rows: Row of each instrument in the risk model.
        asked: Decide even if nothing is outside its trigger.

    Raises:
        DoesNotFit: It does not fit.
    """
    check_known(problem, tax)
    pieces = _pieces(problem, tax)
    holdings = ordered_holdings(problem)
    quantity_scale, value_scale, basis_scale = _scales(problem, holdings)
    price_scale = value_scale - quantity_scale
    first_of: dict[str, int] = {}
    instruments, daily_value, lots, counts = [], [], [], []
    for row, holding in enumerate(holdings):
        no_buy = holding.no_buy is not None or holding.instrument_id in tax.no_buy
        instruments.append(
            [
                units(holding.price, price_scale),
                units(holding.quantity_increment, quantity_scale),
                units(holding.target_weight, WEIGHT_PLACES),
                units(holding.band.destination, WEIGHT_PLACES),
                units(holding.band.trigger, WEIGHT_PLACES),
                units(holding.spread_bps, BPS_PLACES),
                units(holding.commission_bps, BPS_PLACES),
                units(holding.commission_per_trade, 2),
                units(holding.minimum_trade, value_scale),
                units(holding.held_away_value, value_scale),
                NONE if holding.weight_max is None else units(holding.weight_max, WEIGHT_PLACES),
                first_of.setdefault(holding.identity, row),
                int(no_buy),
                int(holding.no_sell is not None),
                _row(rows, holding.instrument_id),
            ]
        )
        volume = holding.average_daily_value
        daily_value.append(0.0 if volume is None else float(volume))
        ordered = ordered_lots(holding)
        counts.append(len(ordered))
        for lot in ordered:
            taxed = tax.lots[lot.lot_id]
            lots.append(
                [
                    units(lot.quantity, quantity_scale),
                    units(lot.basis_total, basis_scale),
                    units(taxed.rate, RATE_PLACES),
                    CHARACTERS[taxed.character],
                    int(taxed.no_sell is not None),
                ]
            )
    cash, limits, objective = problem.cash_rule, problem.limits, problem.objective
    budget = gain_budget_left(problem)
    return AccountColumns(
        accounts=[
            quantity_scale,
            value_scale,
            basis_scale,
            units(problem.cash, value_scale),
            units(cash.floor, value_scale),
            units(cash.floor_weight, WEIGHT_PLACES),
            units(cash.ceiling_weight, WEIGHT_PLACES),
            units(cash.withdrawal, value_scale),
            units(cash.flow, value_scale),
            NONE if limits.turnover is None else units(limits.turnover, WEIGHT_PLACES),
            NONE if budget is None else units(budget, value_scale),
            units(objective.net_benefit_min, value_scale),
            int(asked),
            int(problem.tax.taxable),
        ],
        objectives=[
            float(each)
            for each in (
                objective.risk_aversion,
                objective.band_excess_price,
                objective.cost_weight,
                objective.tax_weight,
                objective.loss_credit_weight,
                objective.impact_coefficient,
            )
        ],
        instruments=instruments,
        daily_value=daily_value,
        lots=lots,
        lot_counts=counts,
        groups=[
            [units(each.weight_min, WEIGHT_PLACES), units(each.weight_max, WEIGHT_PLACES)] for each in limits.groups
        ],
        members=[
            [float(holding.instrument_id in members) for holding in holdings]
            for members in (frozenset(group.instrument_ids) for group in limits.groups)
        ],
        pieces=pieces,
    )


def joined(accounts: Sequence[AccountColumns], risk: RiskModel) -> Inputs:
    """Return accounts end to end."""
    sizes = [len(each.instruments) for each in accounts]
    groups = [len(each.groups) for each in accounts]
    return Inputs(
        instrument_at=_offsets(sizes),
        lot_at=_offsets([count for each in accounts for count in each.lot_counts]),
        group_at=_offsets(groups),
        member_at=_offsets([size for size, count in zip(sizes, groups, strict=True) for _ in range(count)]),
        member=np.array([flag for each in accounts for group in each.members for flag in group], dtype=np.float64),
        groups=_table([group for each in accounts for group in each.groups], 2),
        accounts=_table([each.accounts for each in accounts], 14),
        objectives=np.array([each.objectives for each in accounts], dtype=np.float64).reshape(-1, 6),
        instruments=np.ascontiguousarray(_table([row for each in accounts for row in each.instruments], 15).T),
        daily_value=np.array([value for each in accounts for value in each.daily_value], dtype=np.float64),
        lots=np.ascontiguousarray(_table([lot for each in accounts for lot in each.lots], 5).T),
        piece_at=_offsets([len(each.pieces) for each in accounts]),
        pieces=np.array([piece for each in accounts for piece in each.pieces], dtype=np.float64).reshape(-1, 7),
        exposures=np.array(risk.exposures, dtype=np.float64, order="C"),
        specific_variance=np.array(risk.specific_variance, dtype=np.float64),
    )


def units(value: Decimal, places: int) -> int:
    """Return `value` times 10^places.

    Raises:
        DoesNotFit: That is no integer, or too large.
    """
    scaled = value.scaleb(places)
    whole = int(scaled)
    if whole != scaled or abs(whole) > INTEGER_MAX:
        raise DoesNotFit(f"{value} does not fit {places} places")
    return whole


def check_known(problem: AccountProblem, tax: TaxView) -> None:
    """Check that an account uses nothing that the columns do not know.

    Raises:
        DoesNotFit: It does.
    """
    whole = (problem, problem.cash_rule, problem.tax, problem.objective, problem.limits, tax)
    lots = (lot for holding in problem.holdings for lot in holding.lots)
    bands = (holding.band for holding in problem.holdings)
    parts: Iterable[Any] = chain(whole, problem.holdings, problem.limits.groups, lots, bands, tax.lots.values())
    for part in parts:
        kind: Kind = type(part)
        for name, default in _unknown(kind):
            if getattr(part, name) != default:
                raise DoesNotFit(f"{kind.__name__}.{name} is not among the columns")
    for taxed in tax.lots.values():
        if taxed.character not in CHARACTERS:
            raise DoesNotFit(f"a gain that is {taxed.character} is not among the columns")


def _pieces(problem: AccountProblem, tax: TaxView) -> list[list[float]]:
    """Return the pieces of what gains come to together; none where each lot is taxed by itself.

    Raises:
        DoesNotFit: One has several hinges.
    """
    if tax.liability is None or not problem.tax.taxable:
        return []
    found: list[list[float]] = []
    # All of them, whatever the lots can reach: so an account has the same plan as one of a batch of columns.
    for piece in tax.liability.pieces:
        if len(piece.hinges) > 1:
            raise DoesNotFit("what a gain costs changes more than once")
        hinge = [(each.rate, each.short, each.long, each.above) for each in piece.hinges] or [(ZERO,) * 4]
        found.append([float(each) for each in (piece.short, piece.long, piece.constant, *hinge[0])])
    return found


@cache
def _unknown(kind: Kind) -> tuple[tuple[str, object], ...]:
    """Return the fields of a value that the columns do not know, each with its default."""
    found: list[tuple[str, object]] = []
    for each in dataclasses.fields(kind):
        if each.name in KNOWN[kind]:
            continue
        made = each.default_factory() if each.default_factory is not dataclasses.MISSING else each.default
        found.append((each.name, made))
    return tuple(found)


def _scales(problem: AccountProblem, holdings: Sequence[Holding]) -> tuple[int, int, int]:
    lots = [lot for holding in holdings for lot in holding.lots]
    quantity = _places(
        [*(lot.quantity for lot in lots), *(holding.quantity_increment for holding in holdings)], QUANTITY_PLACES_MAX
    )
    price = _places([holding.price for holding in holdings], VALUE_PLACES_MAX)
    cash, budget = problem.cash_rule, gain_budget_left(problem)
    amounts = [problem.cash, cash.floor, cash.withdrawal, cash.flow, problem.objective.net_benefit_min, budget or ZERO]
    amounts += [part for each in holdings for part in (each.minimum_trade, each.held_away_value)]
    value = max(quantity + price, _places(amounts, VALUE_PLACES_MAX), 2)
    basis = max(_places([lot.basis_total for lot in lots], BASIS_PLACES_MAX), 2)
    if value > VALUE_PLACES_MAX:
        raise DoesNotFit(f"amounts would need {value} places")
    return quantity, value, basis


def _places(values: Iterable[Decimal], most: int) -> int:
    """Return the most decimal places that a value has."""
    found = 0
    for value in values:
        exponent = value.as_tuple().exponent
        if not isinstance(exponent, int):
            raise DoesNotFit(f"{value} is not a number")
        if -exponent > found:
            exponent = value.normalize().as_tuple().exponent
            found = max(found, -int(exponent))
    if found > most:
        raise DoesNotFit(f"a number has {found} places, more than {most}")
    return found


def _row(rows: Mapping[InstrumentId, int], instrument_id: InstrumentId) -> int:
    if instrument_id not in rows:
        raise DoesNotFit(f"the risk model has no row for {instrument_id}")
    return rows[instrument_id]


def _offsets(sizes: Sequence[int]) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(np.array(sizes, dtype=np.int64))]).astype(np.int64)


def _table(rows: Sequence[Sequence[int]], width: int) -> np.ndarray:
    return np.array(rows, dtype=np.int64).reshape(-1, width)
