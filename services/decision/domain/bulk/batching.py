"""Many accounts that a caller brings along: from the columns of a request to the columns of its answer.

One broken account keeps no other from its plan. What all share must be right, and is checked by `batch_check`.
"""

from collections.abc import Mapping
from datetime import timedelta

import numpy as np

from services.decision.domain.batches import Batch, BatchAnswer, BatchError, PackedColumn, PlanUnsolved
from services.decision.domain.book.check import BookInvalid
from services.decision.domain.bulk import columns as c
from services.decision.domain.bulk import gathering as g
from services.decision.domain.bulk.alone import decide_alone
from services.decision.domain.bulk.columns import Inputs, Integers, Plans
from services.decision.domain.bulk.gathered import Gathered
from services.decision.domain.bulk.left_open import leave_open
from services.decision.domain.bulk.packing import packed
from services.decision.domain.bulk.requesting import (
    CENTS,
    FINE,
    HUNDREDTH,
    floats_of,
    long_until,
    objectives_of,
    request_of,
    risk_of,
    target_order,
    true_scale,
)
from services.decision.domain.bulk.road import decide_columns
from services.decision.domain.bulk.united_states import liability_pieces
from services.decision.domain.columns import EPOCH, plain_number


def decide_batch(batch: Batch) -> BatchAnswer:
    """Decide the accounts of a batch that was checked by `batch_check.check`."""
    gathered = gather(batch)
    plans = decide_columns(gathered.inputs)
    leave_open(batch, gathered, plans)
    return answer(batch, gathered, plans, decide_alone(batch, gathered, plans))


def warm_up() -> None:
    """Compile, or load what was compiled."""
    none, one = np.zeros(0, dtype=np.int64), np.zeros(1, dtype=np.int64)
    request = g.Request(one, one, one, *(np.zeros((rows, 0), dtype=np.int64) for rows in (2, 11, 4, 4, 4, 8)))
    desk = g.desk_for(1, 0, 0, 2, 2, 0)
    g.survey(request, desk, np.zeros((0, 4), dtype=np.int64))
    inputs = Inputs(
        instrument_at=one,
        lot_at=one,
        group_at=one,
        member_at=one,
        member=np.zeros(0),
        groups=np.zeros((0, 2), dtype=np.int64),
        accounts=np.zeros((0, 14), dtype=np.int64),
        objectives=np.zeros((0, 6)),
        instruments=np.zeros((15, 0), dtype=np.int64),
        daily_value=np.zeros(0),
        lots=np.zeros((5, 0), dtype=np.int64),
        piece_at=one,
        pieces=np.zeros((0, 7)),
        exposures=np.zeros((1, 1)),
        specific_variance=np.ones(1),
    )
    g.gather(request, desk, none, inputs, none, none)
    packed(none, signed=True)


def gather(batch: Batch) -> Gathered:
    """Return the batch as the columns that are decided."""
    numbers = batch.numbers
    order = np.array(sorted(range(len(batch.instrument_ids)), key=lambda row: batch.instrument_ids[row]), np.int64)
    place_of = np.empty(len(order), dtype=np.int64)
    place_of[order] = np.arange(len(order))
    quantity = max(
        true_scale(numbers[name])
        for name in ("instruments.quantity_increments", "positions.quantities", "lots.quantities")
    )
    amounts = (
        "accounts.cash",
        "accounts.reserved_cash",
        "accounts.gain_budgets",
        "models.minimum_trades",
        "models.minimum_positions",
        "models.net_benefit_minimums",
    )
    value = max(
        quantity + true_scale(numbers["instruments.prices"]), CENTS, *(true_scale(numbers[name]) for name in amounts)
    )
    basis = max(true_scale(numbers["lots.bases"]), CENTS)
    request = request_of(batch, order, place_of, quantity, value, basis)
    today = (batch.as_of_date - EPOCH).days
    desk = g.desk_for(len(order), today, long_until(batch.as_of_date), value, basis, quantity)
    found = np.zeros((len(batch.accounts), 4), dtype=np.int64)
    g.survey(request, desk, found)
    chosen = np.flatnonzero(found[:, 0] == g.RIGHT)
    instruments, lots = found[chosen, 2], found[chosen, 3]
    exposures, specific = risk_of(batch, order)
    models = request.accounts[g.MODEL, chosen]
    daily = floats_of(numbers["instruments.daily_values"], len(order))[order]
    total = int(instruments.sum())
    none = np.zeros(1, dtype=np.int64)
    own = request.accounts[:, chosen]
    taxed = own[g.TAXABLE] != 0
    pieces = liability_pieces(
        own[g.SHORT_RATE] / c.RATE_ONE,
        own[g.LONG_RATE] / c.RATE_ONE,
        own[g.SHORT_GAIN] / 10 ** (FINE + CENTS),
        own[g.LONG_GAIN] / 10 ** (FINE + CENTS),
    )
    inputs = Inputs(
        instrument_at=np.concatenate([none, np.cumsum(instruments)]),
        lot_at=np.zeros(total + 1, dtype=np.int64),
        group_at=np.zeros(len(chosen) + 1, dtype=np.int64),
        member_at=none,
        member=np.zeros(0),
        groups=np.zeros((0, 2), dtype=np.int64),
        accounts=np.zeros((len(chosen), 14), dtype=np.int64),
        objectives=np.ascontiguousarray(objectives_of(batch)[models]),
        instruments=np.zeros((15, total), dtype=np.int64),
        daily_value=np.zeros(total),
        lots=np.zeros((5, int(lots.sum())), dtype=np.int64),
        piece_at=np.concatenate([none, np.cumsum(2 * taxed)]),
        pieces=pieces[taxed].reshape(-1, 7),
        exposures=exposures,
        specific_variance=specific,
    )
    places, lot_places = np.zeros(total, dtype=np.int64), np.zeros(inputs.lots.shape[1], dtype=np.int64)
    g.gather(request, desk, chosen, inputs, places, lot_places)
    inputs.daily_value[:] = daily[places]
    return Gathered(inputs, chosen, order[places], lot_places, found)


def answer(batch: Batch, gathered: Gathered, plans: Plans, without: Mapping[int, str]) -> BatchAnswer:
    """Return the plans of a batch as its answer's columns; `without` says by row why an account has none."""
    chosen, told = gathered.chosen, plans.accounts
    traded = np.flatnonzero(plans.instruments[c.STEPS])
    account = np.repeat(np.arange(len(chosen)), np.diff(gathered.inputs.instrument_at))[traded]
    steps = plans.instruments[c.STEPS, traded]
    quantity = int(gathered.inputs.accounts[0, c.QUANTITY_SCALE]) if len(chosen) else 0
    sold = np.flatnonzero(plans.lots[c.SOLD_QUANTITY])
    seller = np.searchsorted(gathered.inputs.lot_at, sold, side="right") - 1

    def own(figure: int, scale: int) -> PackedColumn:
        column = np.zeros(len(batch.accounts), dtype=np.int64)
        column[chosen] = told[:, figure]
        return PackedColumn(packed(column, signed=True), scale)

    def of_trade(figure: int, scale: int) -> PackedColumn:
        return PackedColumn(packed(plans.instruments[figure, traded], signed=True), scale)

    def of_sale(figure: int, scale: int) -> PackedColumn:
        return PackedColumn(packed(plans.lots[figure, sold], signed=True), scale)

    outcomes, reasons, asked = _outcomes(len(batch.accounts), chosen, told)
    cost = plans.instruments[c.SPREAD, traded] + plans.instruments[c.PAID_COMMISSION, traded]
    cost += plans.instruments[c.IMPACT, traded]
    return BatchAnswer(
        plans={
            "outcomes": PackedColumn(packed(outcomes, signed=False)),
            "no_trade_reasons": PackedColumn(packed(reasons, signed=False)),
            "triggers": PackedColumn(packed(asked, signed=False)),
            **{name: own(figure, scale) for name, (figure, scale) in PLAN_FIGURES.items()},
        },
        trades={
            "accounts": PackedColumn(packed(chosen[account], signed=False)),
            "instruments": PackedColumn(packed(gathered.places[traded], signed=False)),
            "quantities": PackedColumn(
                packed(steps * gathered.inputs.instruments[c.INCREMENT, traded], signed=True), quantity
            ),
            "trading_costs": PackedColumn(packed(cost, signed=True), CENTS),
            "required_by": PackedColumn(packed(plans.instruments[c.REQUIRED_BY, traded], signed=False)),
            **{name: of_trade(figure, scale) for name, (figure, scale) in TRADE_FIGURES.items()},
        },
        sales={
            "trades": PackedColumn(packed(np.searchsorted(traded, seller), signed=False)),
            "lots": PackedColumn(packed(gathered.lots[sold], signed=False)),
            "quantities": of_sale(c.SOLD_QUANTITY, quantity),
            "proceeds": of_sale(c.PROCEEDS, CENTS),
            "gains": of_sale(c.LOT_GAIN, CENTS),
            "taxes": of_sale(c.LOT_TAX, CENTS),
        },
        errors=_errors(batch, gathered, told, without),
    )


PLAN_FIGURES = {
    "values": (c.MIX_VALUE, CENTS),
    "primal_bps": (c.PRIMAL, FINE),
    "dual_bound_bps": (c.DUAL, FINE),
    "idle_bps": (c.HOLD, FINE),
    "net_benefits": (c.NET_BENEFIT, CENTS),
    "drifts_before": (c.DRIFT_BEFORE, FINE),
    "drifts_after": (c.DRIFT_AFTER, FINE),
    "tracking_errors_before_bps": (c.ERROR_BEFORE, HUNDREDTH),
    "tracking_errors_after_bps": (c.ERROR_AFTER, HUNDREDTH),
    "cash_after": (c.CASH_AFTER, CENTS),
    "bought_values": (c.BOUGHT, CENTS),
    "sold_values": (c.SOLD, CENTS),
    "trading_costs": (c.COST, CENTS),
    "short_term_gains": (c.GAIN_SHORT, CENTS),
    "long_term_gains": (c.GAIN_LONG, CENTS),
    "taxes": (c.TAX_REALIZED, CENTS),
    "tax_credits": (c.TAX_SAVED, CENTS),
    "cash_floor_prices": (c.FLOOR_PRICE, FINE),
    "turnover_prices": (c.TURNOVER_PRICE, FINE),
    "gain_budget_prices": (c.BUDGET_PRICE, FINE),
}
TRADE_FIGURES = {
    "values": (c.VALUE, CENTS),
    "taxes": (c.TAX, CENTS),
    "gains": (c.GAIN, CENTS),
    "benefits": (c.BENEFIT, CENTS),
    "net_benefits": (c.NET, CENTS),
    "risk_benefits_bps": (c.RISK, HUNDREDTH),
    "weights_before": (c.WEIGHT_BEFORE, FINE),
    "weights_after": (c.WEIGHT_AFTER, FINE),
}
# Outcomes and reasons as the contract numbers them; a test holds the two to each other.
TRADED, NOT_TRADED, UNSOLVED, FAILED = 1, 2, 4, 5
REASON_OF_WHY = {c.WITHIN_BANDS: 1, c.NOT_WORTH_IT: 2, c.BELOW_MINIMUM: 3}
REASON_UNSOLVED, REASON_FAILED = 5, 6
# What is said of an account that cannot be put into columns.
TOO_LARGE = "its amounts do not fit 64 bits at the scales of the batch"
# Column, and what its rows are of, of each mistake that `gathering` finds.
WHERE: Mapping[int, tuple[str, str]] = {
    g.SHORT_RATE_IS: ("accounts.short_term_rates", "must be from 0 to 1, was {}"),
    g.LONG_RATE_IS: ("accounts.long_term_rates", "must be from 0 to 1, was {}"),
    g.RESERVED_IS: ("accounts.reserved_cash", "must be at least 0 and fit 59 bits, was {}"),
    g.BUDGET_IS: ("accounts.gain_budgets", "must be at least 0 and fit 59 bits, was {}"),
    g.CASH_IS_LARGE: ("accounts.cash", "must fit 59 bits at the scale of the batch, was {}"),
    g.WORTHLESS: ("accounts.cash", "the account must be worth more than 0 and fit 59 bits; its cash was {}"),
    g.QUANTITY_IS: ("positions.quantities", "must be above 0 and fit 59 bits, was {}"),
    g.LOTS_SUM: ("positions.quantities", "must be the sum of its lots, which is {sum}, was {}"),
    g.LOT_QUANTITY_IS: ("lots.quantities", "must be above 0 and fit 59 bits, was {}"),
    g.BASIS_IS: ("lots.bases", "must be at least 0 and fit 59 bits, was {}"),
}


def _outcomes(count: int, chosen: Integers, told: Integers) -> tuple[Integers, Integers, Integers]:
    outcomes, reasons = np.full(count, FAILED, dtype=np.int64), np.full(count, REASON_FAILED, dtype=np.int64)
    asked = np.zeros(count, dtype=np.int64)
    outcomes[chosen] = np.select(
        [told[:, c.OUTCOME] == c.TRADE, told[:, c.OUTCOME] == c.NO_TRADE], [TRADED, NOT_TRADED], UNSOLVED
    )
    why = np.full(len(chosen), REASON_UNSOLVED, dtype=np.int64)
    why[told[:, c.OUTCOME] == c.TRADE] = 0
    for ours, theirs in REASON_OF_WHY.items():
        why[(told[:, c.OUTCOME] == c.NO_TRADE) & (told[:, c.WHY] == ours)] = theirs
    reasons[chosen] = why
    asked[chosen] = told[:, c.ASKED_BY]
    return outcomes, reasons, asked


def _errors(batch: Batch, gathered: Gathered, told: Integers, without: Mapping[int, str]) -> list[BatchError]:
    """Return what is wrong with accounts, in their order."""
    found = {int(row): _mistake(batch, int(row), gathered.found[row]) for row in np.flatnonzero(gathered.found[:, 0])}
    for index in np.flatnonzero(told[:, c.OUTCOME] == c.OTHER_ROAD):
        row = int(gathered.chosen[index])
        why = without.get(row, TOO_LARGE)
        found[row] = BatchError(row, batch.accounts[row], PlanUnsolved.reason, f"accounts.account_ids[{row}]", why)
    return [found[row] for row in sorted(found)]


def _mistake(batch: Batch, row: int, found: Integers) -> BatchError:
    kind, where = int(found[0]), int(found[1])
    ids = batch.instrument_ids
    match kind:
        case g.CURRENCY_IS:
            words, indexes = batch.words["accounts.currencies"]
            index = int(indexes[row])
            was = words[index] if index < len(words) else f"word {index} of {len(words)}"
            field, said = f"accounts.currencies[{row}]", f"must be {batch.currency}, was {was}"
        case g.MODEL_IS:
            models = len(batch.numbers["models.triggers"].units)
            was = str(int(batch.rows["accounts.models"][row]))
            field, said = f"accounts.models[{row}]", f"must be below {models}, was {was}"
        case g.ACCOUNT_TWICE:
            field, said = f"accounts.account_ids[{row}]", f"{batch.accounts[row]} must be there once"
        case g.TWICE:
            instrument = ids[int(batch.rows["positions.instruments"][where])]
            field, said = f"positions.instruments[{where}]", f"{instrument} must be there once in an account"
        case g.POSITION_HAS_NO_PRICE:
            instrument = ids[int(batch.rows["positions.instruments"][where])]
            field, said = f"positions.instruments[{where}]", f"{instrument} has no price"
        case g.TARGET_HAS_NO_PRICE:
            # Targets of a model are in order of their instruments inside.
            target = int(target_order(batch)[where])
            instrument = ids[int(batch.rows["models.target_instruments"][target])]
            field, said = f"models.target_instruments[{target}]", f"{instrument} has no price"
        case g.DAY_IS:
            day = int(batch.rows["lots.acquired_dates"][where])
            field = f"lots.acquired_dates[{where}]"
            said = f"must not be after {batch.as_of_date}, was {_day(day)}"
        case _:
            column, text = WHERE[kind]
            field = f"{column}[{where}]"
            sums = _sum_of_lots(batch, where) if kind == g.LOTS_SUM else ""
            said = text.format(batch.numbers[column].said(where), sum=sums)
    return BatchError(row, batch.accounts[row], BookInvalid.reason, field, said)


def _sum_of_lots(batch: Batch, position: int) -> str:
    lots = batch.numbers["lots.quantities"]
    own = batch.rows["lots.positions"] == position
    return plain_number(sum(int(each) for each in lots.units[own]), lots.scale)


def _day(days: int) -> str:
    try:
        return str(EPOCH + timedelta(days=days))
    except OverflowError:
        return f"day {days}"
