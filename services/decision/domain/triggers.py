"""Does anything ask for a rebalance? Exact, and separate from where a rebalance goes.

A weight asks when it is farther from its target than its band's trigger (the edge is inside); cash when it is outside
its corridor; a deposit or withdrawal always; all deviations together, or the risk that they are, where the policy says
so; and so does an event, the calendar or a person.
"""

from decimal import Decimal

from services.decision.domain.decision import Trigger, TriggerKind
from services.decision.domain.problem import ONE, ZERO, AccountProblem, DecideOptions
from services.decision.domain.words import cents, money, percent, weight

BPS_PER_ONE = Decimal(10_000)


def triggers(
    problem: AccountProblem, options: DecideOptions, tracking_error_bps: Decimal = ZERO
) -> tuple[Trigger, ...]:
    """Return what asks, drifts first and largest first, ties by id; empty when nothing does.

    Args:
        problem: The account.
        options: How it is decided.
        tracking_error_bps: Of the account as it is, a year.
    """
    return (*_drifts(problem), *_totals(problem, tracking_error_bps), *_cash(problem), *_requested(options))


def only_money_asks(problem: AccountProblem, options: DecideOptions) -> bool:
    """Return whether money asks for a rebalance and nothing else does: then it is used without trading back."""
    rule = problem.cash_rule
    ceiling = rule.ceiling_weight * problem.mix_value + rule.withdrawal
    if rule.flow == 0 and problem.cash_floor <= problem.cash <= ceiling:
        return False
    limits = problem.total_triggers
    return (
        not (options.ignore_triggers or options.event or limits.tracking_error is not None)
        and not _drifts(problem)
        and not _totals(problem, ZERO)
    )


def _drifts(problem: AccountProblem) -> list[Trigger]:
    found = []
    for holding in problem.holdings:
        drift = holding.mix_value / problem.mix_value - holding.target_weight
        if abs(drift) > holding.band.trigger:
            side = "above" if drift > 0 else "below"
            shown, limit = weight(abs(drift)), weight(holding.band.trigger)
            sentence = (
                f"{holding.instrument_id} is {percent(shown)} {side} its target, outside its band of {percent(limit)}."
            )
            found.append(Trigger(TriggerKind.DRIFT, holding.instrument_id, weight(drift), limit, sentence))
    return sorted(found, key=lambda each: (-abs(each.value), each.instrument_id or ""))


def _cash(problem: AccountProblem) -> list[Trigger]:
    found = []
    rule, cash, currency = problem.cash_rule, cents(problem.cash), problem.currency
    floor = cents(problem.cash_floor)
    ceiling = cents(rule.ceiling_weight * problem.mix_value + rule.withdrawal)
    if problem.cash < problem.cash_floor:
        sentence = f"Cash of {money(cash, currency)} is below the {money(floor, currency)} that must be there."
        found.append(Trigger(TriggerKind.CASH_FLOOR, None, cash, floor, sentence))
    elif problem.cash > rule.ceiling_weight * problem.mix_value + rule.withdrawal:
        sentence = f"Cash of {money(cash, currency)} is above the {money(ceiling, currency)} that may stay idle."
        found.append(Trigger(TriggerKind.CASH_CEILING, None, cash, ceiling, sentence))
    if rule.flow != 0:
        flow, word = cents(abs(rule.flow)), "came in" if rule.flow > 0 else "went out"
        sentence = f"{money(flow, currency)} {word} since the last decision."
        found.append(Trigger(TriggerKind.CASH_FLOW, None, cents(rule.flow), ZERO, sentence))
    return found


def _totals(problem: AccountProblem, tracking_error_bps: Decimal) -> list[Trigger]:
    limits, found = problem.total_triggers, []
    if limits.drift is not None:
        cash = problem.cash - problem.cash_rule.withdrawal
        left = ONE - sum((holding.target_weight for holding in problem.holdings), ZERO)
        apart = [abs(each.mix_value / problem.mix_value - each.target_weight) for each in problem.holdings]
        total = sum(apart, abs(cash / problem.mix_value - left)) / 2
        if total > limits.drift:
            shown, limit = weight(total), weight(limits.drift)
            sentence = f"All deviations together are {percent(shown)}, above {percent(limit)}."
            found.append(Trigger(TriggerKind.TOTAL_DRIFT, None, shown, limit, sentence))
    if limits.tracking_error is not None and tracking_error_bps > limits.tracking_error * BPS_PER_ONE:
        shown, limit = weight(tracking_error_bps / BPS_PER_ONE), weight(limits.tracking_error)
        sentence = f"Tracking error is {percent(shown)} a year, above {percent(limit)}."
        found.append(Trigger(TriggerKind.TRACKING_ERROR, None, shown, limit, sentence))
    return found


def _requested(options: DecideOptions) -> list[Trigger]:
    found = []
    if options.event:
        found.append(Trigger(TriggerKind.EVENT, None, ZERO, ZERO, f"Something happened: {options.event}."))
    if options.due:
        sentence = "It was not decided for as many days as the policy lets pass."
        found.append(Trigger(TriggerKind.CALENDAR, None, ZERO, ZERO, sentence))
    elif options.ignore_triggers and not options.event:
        found.append(Trigger(TriggerKind.REQUESTED, None, ZERO, ZERO, "A rebalance was asked for."))
    return found
