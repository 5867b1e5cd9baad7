"""Does a plan keep every hard limit? Added up again from the account and the trades alone, exactly, in `Decimal`.

It shares no code with the solver or the rounding, so that their mistakes are found and not repeated. No plan with a
violation is released. Costs are recomputed and must not be understated; market impact is an estimate of a risk
model that this module does not know, so it is only required not to be negative.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum

from services.decision.domain.decision import CENT, Character, LotSale, Trade
from services.decision.domain.problem import ZERO, AccountProblem, Holding, LimitKind, LotMethod, LotState, Side
from services.decision.domain.tax import jurisdiction
from services.kernel.ids import InstrumentId

BPS = Decimal("0.0001")
# Money that belongs to one lot is rounded once; two ways of rounding differ by less than this.
ROUNDING = CENT
# Rates are told to nine places.
RATE_ROUNDING = Decimal("1e-9")


class Rule(StrEnum):
    """What a plan must keep."""

    KNOWN_INSTRUMENT = "KNOWN_INSTRUMENT"
    ONE_TRADE_PER_INSTRUMENT = "ONE_TRADE_PER_INSTRUMENT"
    INCREMENT = "INCREMENT"
    MINIMUM_TRADE = "MINIMUM_TRADE"
    MINIMUM_POSITION = "MINIMUM_POSITION"
    PRICE_AND_VALUE = "PRICE_AND_VALUE"
    COST = "COST"
    LOTS = "LOTS"
    LOT_ORDER = "LOT_ORDER"
    GAIN_AND_TAX = "GAIN_AND_TAX"
    NO_BUY = "NO_BUY"
    NO_SELL = "NO_SELL"
    TAX_RULE = "TAX_RULE"
    WEIGHT_MAX = "WEIGHT_MAX"
    CASH_FLOOR = "CASH_FLOOR"
    TURNOVER = "TURNOVER"
    GAIN_BUDGET = "GAIN_BUDGET"
    GROUP_MIN = "GROUP_MIN"
    GROUP_MAX = "GROUP_MAX"
    FACTOR_MIN = "FACTOR_MIN"
    FACTOR_MAX = "FACTOR_MAX"
    LEVERAGE = "LEVERAGE"
    STRESS_LOSS = "STRESS_LOSS"
    MINIMUM_HOLD = "MINIMUM_HOLD"
    NAMES = "NAMES"


_LEAST_AND_MOST = {
    LimitKind.GROUP: (Rule.GROUP_MIN, Rule.GROUP_MAX),
    LimitKind.FACTOR: (Rule.FACTOR_MIN, Rule.FACTOR_MAX),
    LimitKind.LEVERAGE: (Rule.LEVERAGE, Rule.LEVERAGE),
    LimitKind.STRESS: (Rule.STRESS_LOSS, Rule.STRESS_LOSS),
}
_LEAST = frozenset({Rule.CASH_FLOOR, Rule.GROUP_MIN, Rule.FACTOR_MIN})


@dataclass(frozen=True, slots=True)
class PlanViolation:
    """A broken rule: of what, and by which figures."""

    rule: Rule
    subject: str
    description: str


def violations(problem: AccountProblem, trades: Sequence[Trade]) -> tuple[PlanViolation, ...]:
    """Return every rule that the trades break, in a stable order; empty when the plan may be released."""
    holdings = {holding.instrument_id: holding for holding in problem.holdings}
    found: list[PlanViolation] = []
    known: list[Trade] = []
    for trade in sorted(trades, key=lambda each: each.instrument_id):
        holding = holdings.get(trade.instrument_id)
        if holding is None:
            found.append(PlanViolation(Rule.KNOWN_INSTRUMENT, trade.instrument_id, "is not in the account"))
            continue
        if known and known[-1].instrument_id == trade.instrument_id:
            found.append(PlanViolation(Rule.ONE_TRADE_PER_INSTRUMENT, trade.instrument_id, "is traded twice"))
        known.append(trade)
        found += _of_trade(trade, holding)
        found += _of_lots(trade, holding)
        found += _of_lot_order(problem, trade, holding)
    found += _of_taxes(problem, known)
    found += _of_account(problem, holdings, known)
    found += _of_names(problem, holdings, known)
    return tuple(found)


def _of_trade(trade: Trade, holding: Holding) -> list[PlanViolation]:
    found: list[PlanViolation] = []

    def broken(rule: Rule, description: str) -> None:
        found.append(PlanViolation(rule, trade.instrument_id, description))

    if trade.quantity <= 0 or trade.quantity % holding.quantity_increment != 0:
        broken(Rule.INCREMENT, f"quantity {trade.quantity} is not a positive multiple of {holding.quantity_increment}")
    value = (trade.quantity * holding.price).quantize(CENT, rounding=ROUND_HALF_EVEN)
    if trade.price != holding.price or trade.value != value:
        broken(
            Rule.PRICE_AND_VALUE, f"{trade.quantity} at {holding.price} is {value}, not {trade.value} at {trade.price}"
        )
    spread = value * holding.spread_bps / 2 * BPS
    commission = value * holding.commission_bps * BPS + holding.commission_per_trade
    if trade.cost.spread < spread or trade.cost.commission < commission or trade.cost.impact < 0:
        broken(Rule.COST, f"spread {spread} and commission {commission} are understated")
    # What cannot be sold in whole increments is left behind, so the position is emptied when less than one is left.
    emptied = trade.side is Side.SELL and holding.quantity - trade.quantity < holding.quantity_increment
    if trade.quantity * holding.price < holding.minimum_trade and not emptied:
        broken(Rule.MINIMUM_TRADE, f"{value} is less than {holding.minimum_trade}")
    units = trade.quantity if trade.side is Side.BUY else -trade.quantity
    left = (holding.quantity + units) * holding.price
    if left < holding.minimum_position and not emptied:
        broken(Rule.MINIMUM_POSITION, f"{left} is left, less than {holding.minimum_position}")
    if trade.side is Side.BUY and holding.no_buy is not None:
        broken(Rule.NO_BUY, holding.no_buy)
    if trade.side is Side.SELL and holding.no_sell is not None:
        broken(Rule.NO_SELL, holding.no_sell)
    return found


def _of_lots(trade: Trade, holding: Holding) -> list[PlanViolation]:
    lots = {lot.lot_id: lot for lot in holding.lots}
    found: list[PlanViolation] = []

    def broken(rule: Rule, subject: str, description: str) -> None:
        found.append(PlanViolation(rule, subject, description))

    if trade.side is Side.BUY:
        if trade.lot_sales:
            broken(Rule.LOTS, trade.instrument_id, "a purchase sells no lots")
        return found
    if len({sale.lot_id for sale in trade.lot_sales}) != len(trade.lot_sales):
        broken(Rule.LOTS, trade.instrument_id, "a lot is sold twice")
    quantity = sum((sale.quantity for sale in trade.lot_sales), ZERO)
    proceeds = sum((sale.proceeds for sale in trade.lot_sales), ZERO)
    if quantity != trade.quantity or proceeds != trade.value:
        broken(
            Rule.LOTS,
            trade.instrument_id,
            f"lots give {quantity} for {proceeds}, not {trade.quantity} for {trade.value}",
        )
    for sale in trade.lot_sales:
        lot = lots.get(sale.lot_id)
        if lot is None:
            broken(Rule.LOTS, sale.lot_id, f"is not a lot of {trade.instrument_id}")
        elif not 0 < sale.quantity <= lot.quantity or sale.acquired_date != lot.acquired_date:
            broken(Rule.LOTS, sale.lot_id, f"{sale.quantity} of {lot.quantity} bought on {lot.acquired_date}")
        elif not _money_is_right(sale, lot, holding):
            broken(
                Rule.GAIN_AND_TAX, sale.lot_id, f"basis {sale.basis}, gain {sale.gain}, tax {sale.tax} do not follow"
            )
    return found


def _of_lot_order(problem: AccountProblem, trade: Trade, holding: Holding) -> list[PlanViolation]:
    """Return where a sale leaves something of a lot that the policy's method takes first."""
    method = problem.tax.lot_method
    if method is LotMethod.LOWEST_TAX:
        return []
    barred = {
        lot_id for lot_id, each in jurisdiction(problem.tax.jurisdiction).view(problem).lots.items() if each.no_sell
    }
    left = {lot.lot_id: lot.quantity for lot in holding.lots if lot.lot_id not in barred}
    for sale in trade.lot_sales:
        left[sale.lot_id] = left.get(sale.lot_id, ZERO) - sale.quantity
    lots = {lot.lot_id: lot for lot in holding.lots}
    found = []
    for sale in trade.lot_sales:
        for lot_id, units in left.items():
            if units > 0 and sale.lot_id in lots and _before(method, lots[lot_id], lots[sale.lot_id]):
                found.append(PlanViolation(Rule.LOT_ORDER, sale.lot_id, f"{method} takes {lot_id} first"))
    return found


def _before(method: LotMethod, one: LotState, other: LotState) -> bool:
    if method is LotMethod.FIRST_IN_FIRST_OUT:
        return one.acquired_date < other.acquired_date
    return one.basis_total * other.quantity > other.basis_total * one.quantity


def _money_is_right(sale: LotSale, lot: LotState, holding: Holding) -> bool:
    # The last lot sold takes what rounding the others left: a cent each, at most.
    slack = ROUNDING * len(holding.lots)
    basis = lot.basis_total * sale.quantity / lot.quantity
    return (
        abs(sale.proceeds - sale.quantity * holding.price) <= slack
        and abs(sale.basis - basis) <= ROUNDING
        and sale.gain == sale.proceeds - sale.basis
        and abs(sale.tax - sale.gain * sale.rate) <= ROUNDING + abs(sale.gain) * RATE_ROUNDING
    )


def _of_taxes(problem: AccountProblem, trades: Sequence[Trade]) -> list[PlanViolation]:
    rules = jurisdiction(problem.tax.jurisdiction)
    view = rules.view(problem)
    found = [
        PlanViolation(Rule.TAX_RULE, problem.account_id, sentence) for sentence in rules.broken_rules(problem, trades)
    ]
    for trade in trades:
        if trade.side is Side.BUY and trade.instrument_id in view.no_buy:
            found.append(PlanViolation(Rule.NO_BUY, trade.instrument_id, view.no_buy[trade.instrument_id]))
        for sale in trade.lot_sales:
            lot = view.lots.get(sale.lot_id)
            if lot is None:
                continue
            if problem.tax.defer_short_term_gains and lot.character is Character.SHORT and sale.gain > 0:
                found.append(PlanViolation(Rule.NO_SELL, sale.lot_id, "a short-term gain is to wait"))
            if lot.no_sell is not None:
                found.append(PlanViolation(Rule.NO_SELL, sale.lot_id, lot.no_sell))
            if sale.character is not lot.character:
                taxed = f"is {lot.character}, not {sale.character}"
                found.append(PlanViolation(Rule.GAIN_AND_TAX, sale.lot_id, taxed))
            if abs(sale.exempt_gain - sale.gain * lot.exempt) > CENT / 2:
                exempt = f"{lot.exempt} of {sale.gain} is exempt, not {sale.exempt_gain}"
                found.append(PlanViolation(Rule.GAIN_AND_TAX, sale.lot_id, exempt))
    return found + _of_liability(problem, trades)


def _of_liability(problem: AccountProblem, trades: Sequence[Trade]) -> list[PlanViolation]:
    """Return whether the lots' taxes are not, together, what the law makes of the year with the plan and without."""
    sales = [sale for trade in trades for sale in trade.lot_sales]
    if not sales:
        return []
    rules = jurisdiction(problem.tax.jurisdiction)
    short = sum((sale.counted_gain for sale in sales if sale.character.apart), ZERO)
    other = sum((sale.counted_gain for sale in sales if not sale.character.apart), ZERO)
    with_plan, without = rules.year(problem.tax, short, other), rules.year(problem.tax, ZERO, ZERO)
    owed, told = with_plan.liability - without.liability, sum((sale.tax for sale in sales), ZERO)
    if abs(told - owed) > ROUNDING * len(sales):
        return [PlanViolation(Rule.GAIN_AND_TAX, problem.account_id, f"the sales owe {owed} together, not {told}")]
    return []


def _of_account(
    problem: AccountProblem, holdings: Mapping[InstrumentId, Holding], trades: Sequence[Trade]
) -> list[PlanViolation]:
    found: list[PlanViolation] = []
    mix_value = problem.mix_value
    cash = problem.cash
    values = {instrument_id: holding.mix_value for instrument_id, holding in holdings.items()}
    for trade in trades:
        signed = trade.value if trade.side is Side.BUY else -trade.value
        cash -= signed + trade.cost.total
        values[trade.instrument_id] += signed

    def broken(rule: Rule, subject: str, value: Decimal, limit: Decimal) -> None:
        beyond = "below" if rule in _LEAST else "above"
        found.append(PlanViolation(rule, subject, f"{value} is {beyond} {limit}"))

    if cash < problem.cash_floor:
        broken(Rule.CASH_FLOOR, problem.account_id, cash, problem.cash_floor)
    traded = sum((trade.value for trade in trades), ZERO)
    if problem.limits.turnover is not None and traded > problem.limits.turnover * mix_value:
        broken(Rule.TURNOVER, problem.account_id, traded, problem.limits.turnover * mix_value)
    gain = sum((sale.counted_gain for trade in trades for sale in trade.lot_sales), ZERO)
    tax = problem.tax
    if tax.taxable and tax.gain_budget is not None:
        left = max(ZERO, tax.gain_budget - tax.realized_short - tax.realized_long)
        if gain > left:
            broken(Rule.GAIN_BUDGET, problem.account_id, gain, left)
    days = problem.limits.minimum_hold_days
    for sale in (sale for trade in trades for sale in trade.lot_sales):
        held = (problem.as_of_date - sale.acquired_date).days
        if held < days:
            found.append(PlanViolation(Rule.MINIMUM_HOLD, sale.lot_id, f"held for {held} days, not {days}"))
    for trade in trades:
        holding = holdings[trade.instrument_id]
        if trade.side is Side.SELL or holding.weight_max is None:
            continue
        # Half a cent is the rounding of the trade's own value.
        if values[trade.instrument_id] > holding.weight_max * mix_value + CENT / 2:
            broken(Rule.WEIGHT_MAX, trade.instrument_id, values[trade.instrument_id], holding.weight_max * mix_value)
    for group in problem.limits.groups:
        exposures = group.exposures or (Decimal(1),) * len(group.instrument_ids)
        parts = zip(exposures, group.instrument_ids, strict=True)
        value = sum((exposure * values[instrument_id] for exposure, instrument_id in parts), ZERO)
        least, most = _LEAST_AND_MOST[group.kind]
        if value < group.weight_min * mix_value:
            broken(least, group.name, value, group.weight_min * mix_value)
        if value > group.weight_max * mix_value:
            broken(most, group.name, value, group.weight_max * mix_value)
    return found


def _of_names(
    problem: AccountProblem, holdings: Mapping[InstrumentId, Holding], trades: Sequence[Trade]
) -> list[PlanViolation]:
    most = problem.limits.names
    left = {instrument_id: holding.quantity for instrument_id, holding in holdings.items()}
    for trade in trades:
        left[trade.instrument_id] += trade.quantity if trade.side is Side.BUY else -trade.quantity
    # Less than an increment cannot be sold, and is no holding.
    held = sum(left[instrument_id] >= holding.quantity_increment for instrument_id, holding in holdings.items())
    if most is None or held <= most:
        return []
    return [PlanViolation(Rule.NAMES, problem.account_id, f"{held} instruments are held, more than {most}")]
