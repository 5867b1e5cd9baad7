"""Does anything ask for a rebalance? Exact, and separate from where a rebalance goes.

A weight asks when it is farther from its target than its band's trigger (the edge is inside); cash when it is outside
its corridor; a deposit or withdrawal always; and so does a person.
"""

from services.decision.domain.decision import Trigger, TriggerKind
from services.decision.domain.problem import ZERO, AccountProblem, DecideOptions
from services.decision.domain.words import cents, money, percent, weight


def triggers(problem: AccountProblem, options: DecideOptions) -> tuple[Trigger, ...]:
    """Return what asks, drifts first and largest first, ties by id; empty when nothing does."""
    return (*_drifts(problem), *_cash(problem), *_requested(options))


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


def _requested(options: DecideOptions) -> list[Trigger]:
    if not options.ignore_triggers:
        return []
    return [Trigger(TriggerKind.REQUESTED, None, ZERO, ZERO, "A rebalance was asked for.")]
