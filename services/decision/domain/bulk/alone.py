"""Accounts of a batch that the columns leave open: each is decided by itself, and its answer put into the columns.

What the columns cannot do (a limit on names or a least position that binds, no aversion to risk, an optimum that is not
reached, a plan that does not survive rounding) `decide` can, from the same inputs as values. What it cannot do either
is said: the limits in conflict, in words.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import numpy as np

from services.decision.domain.batches import Batch
from services.decision.domain.bulk import columns as c
from services.decision.domain.bulk.gathered import Gathered
from services.decision.domain.bulk.rendering import CENT, HUNDREDTH, MILLIONTH, REQUIRED, SENTENCES
from services.decision.domain.columns import EPOCH
from services.decision.domain.decide import decide
from services.decision.domain.decision import (
    ConstraintKind,
    Decision,
    Fallback,
    LotSale,
    Outcome,
    Summary,
    Trade,
    TradeReason,
)
from services.decision.domain.problem import (
    AccountProblem,
    Band,
    CashRule,
    DecideOptions,
    Engine,
    Holding,
    Limits,
    LotId,
    LotState,
    Objective,
    RiskModel,
    Side,
    TaxProfile,
)
from services.decision.domain.tax import TaxView, jurisdiction
from services.kernel.ids import AccountId, InstrumentId

# Accounts of one batch that are decided so: each takes some hundredths of a second, the columns some microseconds.
ALONE_MAX = 1000

BARRED = "the caller's flag"
PRICES = {
    ConstraintKind.CASH_FLOOR: c.FLOOR_PRICE,
    ConstraintKind.TURNOVER: c.TURNOVER_PRICE,
    ConstraintKind.GAIN_BUDGET: c.BUDGET_PRICE,
}
WHY_OF = {reason: why for why, (reason, _) in SENTENCES.items()}
# What the columns know, and the limit on names.
REQUIRED_OF = {**{kind: number for number, kind in REQUIRED.items()}, ConstraintKind.NAMES: len(REQUIRED)}


def decide_alone(batch: Batch, gathered: Gathered, plans: c.Plans) -> Mapping[int, str]:
    """Decide what the columns leave open, fill in the plans, and return by row why an account has none all the same.

    Args:
        batch: The request.
        gathered: The same laid out.
        plans: What the columns answered; rows of accounts that are decided here are written over.
    """
    inputs = gathered.inputs
    ids = tuple(InstrumentId(batch.instrument_ids[row]) for row in _order(batch))
    risk = RiskModel(ids, inputs.exposures, inputs.specific_variance, "of the batch")
    left = np.flatnonzero((plans.accounts[:, c.OUTCOME] == c.OTHER_ROAD) & (plans.accounts[:, c.WHY] != c.TOO_LARGE))
    without = {
        int(gathered.chosen[index]): f"only {ALONE_MAX} accounts of a batch are decided one by one: decide it by itself"
        for index in left[ALONE_MAX:]
    }
    for index in left[:ALONE_MAX].tolist():
        problem = problem_of(batch, gathered, index)
        asked = bool(inputs.accounts[index, c.ASKED])
        decision = decide(
            problem,
            risk,
            DecideOptions(ignore_triggers=asked, engine=Engine.KERNEL),
            tax=_view(batch, gathered, index, problem),
        )
        if decision.certificate.fallback is Fallback.NONE and decision.outcome in (Outcome.TRADE, Outcome.NO_TRADE):
            _fill(gathered, plans, index, problem, decision)
        else:
            without[int(gathered.chosen[index])] = decision.explanation.summary.sentence
    return without


def problem_of(batch: Batch, gathered: Gathered, index: int) -> AccountProblem:
    """Return an account of the columns as values."""
    inputs, row = gathered.inputs, int(gathered.chosen[index])
    own = inputs.accounts[index].tolist()
    goals = [Decimal(repr(each)) for each in inputs.objectives[index].tolist()]
    money = own[c.VALUE_SCALE]
    numbers = batch.numbers

    def of_account(name: str) -> Decimal:
        column = numbers[f"accounts.{name}"]
        return Decimal(int(column.units[row])).scaleb(-column.scale) if len(column.units) else Decimal(0)

    short, long = of_account("short_term_gains"), of_account("long_term_gains")
    budget = None if own[c.BUDGET_LEFT] == c.NONE else _kept(own[c.BUDGET_LEFT], money) + short + long
    i0, i1 = inputs.instrument_at[index], inputs.instrument_at[index + 1]
    model, names = int(batch.rows["accounts.models"][row]), batch.rows["models.names_limits"]
    least = numbers["models.minimum_positions"]
    position = Decimal(int(least.units[model])).scaleb(-least.scale) if len(least.units) else Decimal(0)
    return AccountProblem(
        account_id=AccountId(batch.accounts[row]),
        currency=batch.currency,
        as_of_date=batch.as_of_date,
        cash=_kept(own[c.MONEY], money),
        holdings=tuple(_holding(batch, gathered, own, i0, i, position) for i in range(i0, i1)),
        tax=TaxProfile(
            "US",
            taxable=bool(own[c.TAXABLE]),
            short_rate=of_account("short_term_rates"),
            long_rate=of_account("long_term_rates"),
            gain_budget=budget,
            realized_short=short,
            realized_long=long,
        ),
        objective=Objective(
            risk_aversion=goals[c.AVERSION],
            band_excess_price=goals[c.EXCESS_PRICE],
            cost_weight=goals[c.COST_WEIGHT],
            tax_weight=goals[c.TAX_WEIGHT],
            loss_credit_weight=goals[c.CREDIT_WEIGHT],
            impact_coefficient=goals[c.IMPACT_COEFFICIENT],
            net_benefit_min=_kept(own[c.NET_BENEFIT_MIN], money),
        ),
        cash_rule=CashRule(
            floor_weight=_weight(own[c.FLOOR_WEIGHT]),
            ceiling_weight=_weight(own[c.CEILING_WEIGHT]),
            withdrawal=_kept(own[c.WITHDRAWAL], money),
        ),
        limits=Limits(
            turnover=None if own[c.TURNOVER_LIMIT] == c.NONE else _weight(own[c.TURNOVER_LIMIT]),
            names=int(names[model]) or None if len(names) else None,
        ),
    )


def _holding(batch: Batch, gathered: Gathered, own: list[int], i0: int, i: int, least: Decimal) -> Holding:
    inputs = gathered.inputs
    quantity, money = own[c.QUANTITY_SCALE], own[c.VALUE_SCALE]
    of = inputs.instruments[:, i].tolist()
    volume = float(inputs.daily_value[i])
    name = InstrumentId(batch.instrument_ids[int(gathered.places[i])])
    return Holding(
        instrument_id=name,
        price=_kept(of[c.PRICE], money - quantity),
        quantity_increment=_kept(of[c.INCREMENT], quantity),
        target_weight=_weight(of[c.AIM]),
        band=Band(_weight(of[c.OUTER]), _weight(of[c.DESTINATION])),
        lots=tuple(_lot(batch, gathered, own, lot) for lot in range(inputs.lot_at[i], inputs.lot_at[i + 1])),
        spread_bps=_kept(of[c.SPREAD_BPS], MILLIONTH),
        commission_per_trade=_kept(of[c.COMMISSION], CENT),
        average_daily_value=Decimal(repr(volume)) if volume > 0 else None,
        minimum_trade=_kept(of[c.MINIMUM], money),
        minimum_position=least,
        # Those that are identical share the id of the first.
        identity_set=batch.instrument_ids[int(gathered.places[i0 + of[c.IDENTICAL]])],
        no_buy=BARRED if of[c.NO_BUY] else None,
        no_sell=BARRED if of[c.NO_SELL] else None,
    )


def _lot(batch: Batch, gathered: Gathered, own: list[int], lot: int) -> LotState:
    row = int(gathered.lots[lot])
    return LotState(
        lot_id=_lot_id(row),
        acquired_date=EPOCH + timedelta(days=int(batch.rows["lots.acquired_dates"][row])),
        quantity=_kept(int(gathered.inputs.lots[c.QUANTITY, lot]), own[c.QUANTITY_SCALE]),
        basis_total=_kept(int(gathered.inputs.lots[c.BASIS, lot]), own[c.BASIS_SCALE]),
    )


def _view(batch: Batch, gathered: Gathered, index: int, problem: AccountProblem) -> TaxView:
    """Return what the law says of the account, with the lots kept that the caller keeps."""
    view = jurisdiction(problem.tax.jurisdiction).view(problem)
    kept = batch.flags["lots.kept"]
    inputs = gathered.inputs
    i0, i1 = inputs.instrument_at[index], inputs.instrument_at[index + 1]
    rows = gathered.lots[inputs.lot_at[i0] : inputs.lot_at[i1]].tolist()
    barred = {_lot_id(row) for row in rows if len(kept) and kept[row]}
    lots = {key: replace(each, no_sell=BARRED) if key in barred else each for key, each in view.lots.items()}
    return replace(view, lots=lots)


def _fill(gathered: Gathered, plans: c.Plans, index: int, problem: AccountProblem, decision: Decision) -> None:
    """Write a decision into the columns of its account."""
    inputs = gathered.inputs
    i0, i1 = int(inputs.instrument_at[index]), int(inputs.instrument_at[index + 1])
    l0, l1 = int(inputs.lot_at[i0]), int(inputs.lot_at[i1])
    plans.instruments[:, i0:i1] = 0
    plans.lots[:, l0:l1] = 0
    asked_by = int(plans.accounts[index, c.ASKED_BY])
    plans.accounts[index] = 0
    told = plans.accounts[index]
    traded = decision.outcome is Outcome.TRADE
    told[c.ASKED_BY] = asked_by
    told[c.OUTCOME] = c.TRADE if traded else c.NO_TRADE
    reason = decision.explanation.no_trade_reason
    told[c.WHY] = 0 if reason is None else WHY_OF[reason]
    for place, (value, places) in _figures(decision).items():
        told[place] = _units(value, places)
    for each in decision.explanation.binding:
        if each.kind in PRICES:
            told[PRICES[each.kind]] = _units(each.price, MILLIONTH)
    row_of = {holding.instrument_id: row for row, holding in enumerate(problem.holdings)}
    lot_of = {_lot_id(int(row)): l0 + at for at, row in enumerate(gathered.lots[l0:l1])}
    scale = int(inputs.accounts[index, c.QUANTITY_SCALE])
    why = {each.instrument_id: each for each in decision.explanation.trades}
    for trade in decision.trades:
        at = i0 + row_of[trade.instrument_id]
        increment = problem.holdings[at - i0].quantity_increment
        _fill_trade(plans, at, trade, why[trade.instrument_id], increment)
        for sale in trade.lot_sales:
            _fill_sale(plans, lot_of[sale.lot_id], sale, scale)


def _figures(decision: Decision) -> Mapping[int, tuple[Decimal, int]]:
    """Return the figures of an account by their column, each with its places."""
    made, proof = decision.explanation.summary, decision.certificate
    return {
        c.PRIMAL: (proof.primal_bps, MILLIONTH),
        c.DUAL: (proof.dual_bps, MILLIONTH),
        c.HOLD: (proof.hold_bps, MILLIONTH),
        **_summary_figures(made),
    }


def _summary_figures(made: Summary) -> Mapping[int, tuple[Decimal, int]]:
    return {
        c.MIX_VALUE: (made.mix_value, CENT),
        c.DRIFT_BEFORE: (made.drift_before, MILLIONTH),
        c.DRIFT_AFTER: (made.drift_after, MILLIONTH),
        c.ERROR_BEFORE: (made.tracking_error_before_bps, HUNDREDTH),
        c.ERROR_AFTER: (made.tracking_error_after_bps, HUNDREDTH),
        c.CASH_BEFORE: (made.cash_before, CENT),
        c.CASH_AFTER: (made.cash_after, CENT),
        c.BOUGHT: (made.bought_value, CENT),
        c.SOLD: (made.sold_value, CENT),
        c.COST: (made.cost, CENT),
        c.GAIN_SHORT: (made.gain_short, CENT),
        c.GAIN_LONG: (made.gain_long, CENT),
        c.TAX_REALIZED: (made.tax_realized, CENT),
        c.TAX_SAVED: (made.tax_saved, CENT),
        c.NET_BENEFIT: (made.net_benefit, CENT),
    }


def _fill_trade(plans: c.Plans, at: int, trade: Trade, why: TradeReason, increment: Decimal) -> None:
    steps = int(trade.quantity / increment)
    figures = {
        c.STEPS: (Decimal(steps if trade.side is Side.BUY else -steps), 0),
        c.VALUE: (trade.value, CENT),
        c.SPREAD: (trade.cost.spread, CENT),
        c.PAID_COMMISSION: (trade.cost.commission, CENT),
        c.IMPACT: (trade.cost.impact, CENT),
        c.TAX: (trade.tax, CENT),
        c.GAIN: (sum((sale.gain for sale in trade.lot_sales), Decimal(0)), CENT),
        c.WEIGHT_BEFORE: (why.weight_before, MILLIONTH),
        c.WEIGHT_AFTER: (why.weight_after, MILLIONTH),
        c.BENEFIT: (why.deviation_benefit, CENT),
        c.NET: (why.net_benefit, CENT),
        c.RISK: (why.risk_benefit_bps, HUNDREDTH),
        c.REQUIRED_BY: (Decimal(REQUIRED_OF[why.required_by]), 0),
    }
    for place, (value, places) in figures.items():
        plans.instruments[place, at] = _units(value, places)


def _fill_sale(plans: c.Plans, at: int, sale: LotSale, scale: int) -> None:
    figures = {
        c.SOLD_QUANTITY: (sale.quantity, scale),
        c.PROCEEDS: (sale.proceeds, CENT),
        c.SOLD_BASIS: (sale.basis, CENT),
        c.LOT_GAIN: (sale.gain, CENT),
        c.LOT_TAX: (sale.tax, CENT),
    }
    for place, (value, places) in figures.items():
        plans.lots[place, at] = _units(value, places)


def _order(batch: Batch) -> list[int]:
    return sorted(range(len(batch.instrument_ids)), key=lambda row: batch.instrument_ids[row])


def _lot_id(row: int) -> LotId:
    return LotId(f"{row:08}")


def _kept(units: int, places: int) -> Decimal:
    return Decimal(units).scaleb(-places)


def _weight(units: int) -> Decimal:
    return Decimal(units) / int(c.WEIGHT_ONE)


def _units(value: Decimal, places: int) -> int:
    return int(value.scaleb(places).to_integral_value())
