"""Previews and explanations as messages."""

from collections.abc import Mapping
from decimal import Decimal

from google.type import money_pb2

from evenkeel.common.v1 import values_pb2
from evenkeel.decision.v1 import explanation_pb2 as explanation_pb
from evenkeel.decision.v1 import plan_service_pb2 as pb
from services.decision.api.plan_messages import (
    NO_TRADE_REASONS,
    SIDES,
    binding_message,
    bps_message,
    draft_message,
    plan_message,
    weight_message,
)
from services.decision.app.explaining import ExplainedNoTrade, ExplainedPlan
from services.decision.app.previewing import Previewed, Wish
from services.decision.domain import decision as domain
from services.decision.domain.hypotheses import Scenario, WhatIf
from services.decision.domain.lot_reasons import LotReason
from services.decision.domain.prices import PriceSetId
from services.decision.domain.raised_cash import RaisedCash
from services.decision.domain.waiting import Waiting
from services.kernel.errors import Violations
from services.kernel.ids import AccountId, InstrumentId
from services.kernel.money import Money
from services.runtime.wire import date_message, decimal_message, decimal_of, money_message, money_of

_CAUSES: Mapping[domain.Cause, explanation_pb.NotTraded.Cause.ValueType] = {
    domain.Cause.ON_TARGET: explanation_pb.NotTraded.CAUSE_ON_TARGET,
    domain.Cause.BARRED: explanation_pb.NotTraded.CAUSE_BARRED,
    domain.Cause.BELOW_MINIMUM: explanation_pb.NotTraded.CAUSE_BELOW_MINIMUM,
    domain.Cause.NOT_TRIGGERED: explanation_pb.NotTraded.CAUSE_NOT_TRIGGERED,
    domain.Cause.NOT_WORTH_IT: explanation_pb.NotTraded.CAUSE_NOT_WORTH_IT,
    domain.Cause.LIMIT: explanation_pb.NotTraded.CAUSE_LIMIT,
    domain.Cause.WITHIN_GAP: explanation_pb.NotTraded.CAUSE_WITHIN_GAP,
}

_CHARACTERS: Mapping[domain.Character, explanation_pb.LotReason.Character.ValueType] = {
    domain.Character.SHORT: explanation_pb.LotReason.CHARACTER_SHORT,
    domain.Character.LONG: explanation_pb.LotReason.CHARACTER_LONG,
    domain.Character.ANY: explanation_pb.LotReason.CHARACTER_ANY,
    domain.Character.POOLED: explanation_pb.LotReason.CHARACTER_POOLED,
    domain.Character.EXEMPT: explanation_pb.LotReason.CHARACTER_EXEMPT,
    domain.Character.SHARE: explanation_pb.LotReason.CHARACTER_SHARE,
}


def wish_of(request: pb.PreviewPlanRequest) -> Wish:
    """Return what a request asks for.

    Raises:
        Invalid: A scenario says what cannot be; with one violation per field.
    """
    found = Violations()
    if request.philosophies and request.scenarios:
        found.add("philosophies", "must be false when scenarios are given")
    scenarios = tuple(_scenario(each, f"scenarios[{row}]", found) for row, each in enumerate(request.scenarios))
    names = [each.name for each in scenarios]
    for row, name in enumerate(names):
        if name in names[:row]:
            found.add(f"scenarios[{row}].name", f"must be unique, was {name} again")
    found.raise_if_any()
    return Wish(
        AccountId(request.account_id),
        PriceSetId(request.price_set_id) if request.price_set_id else None,
        scenarios,
        request.philosophies,
        request.largest_withdrawals,
    )


def scenario_of(said: explanation_pb.Scenario) -> Scenario:
    """Return a scenario of a request that has one.

    Raises:
        Invalid: It says what cannot be; with one violation per field.
    """
    found = Violations()
    scenario = _scenario(said, "scenario", found)
    found.raise_if_any()
    return scenario


def _scenario(said: explanation_pb.Scenario, field: str, found: Violations) -> Scenario:
    flows: dict[str, Money] = {}
    for name in ("deposit", "withdrawal"):
        if said.HasField(name):
            message: money_pb2.Money = getattr(said, name)
            flows[name] = money_of(message, f"{field}.{name}")
            if flows[name].amount < 0:
                found.add(f"{field}.{name}", f"must be at least 0, was {flows[name]}")
    currencies = sorted({each.currency for each in flows.values()})
    if len(currencies) > 1:
        found.add(f"{field}.withdrawal", f"must be in the currency of the deposit, was {flows['withdrawal']}")
    prices: dict[InstrumentId, Decimal] = {}
    for row, each in enumerate(said.prices):
        price = decimal_of(each.price, f"{field}.prices[{row}].price")
        if price <= 0:
            found.add(f"{field}.prices[{row}].price", f"must be above 0, was {price}")
        if each.instrument_id in prices:
            found.add(f"{field}.prices[{row}].instrument_id", f"must be named once, was {each.instrument_id} again")
        prices[InstrumentId(each.instrument_id)] = price
    if said.whole_policy and said.preset:
        found.add(f"{field}.preset", "must be empty when the whole policy is given")
    nothing = Money(Decimal(0), currencies[0] if currencies else "USD")
    return Scenario(
        name=said.name,
        preset=said.preset,
        policy_document=said.policy_document,
        deposit=flows.get("deposit", nothing).amount,
        withdrawal=flows.get("withdrawal", nothing).amount,
        currency=currencies[0] if currencies else "",
        prices=prices,
        untouched=tuple(InstrumentId(each) for each in said.untouched_instrument_ids),
        ignore_triggers=said.ignore_triggers,
        event=said.event,
        whole_policy=said.whole_policy,
    )


def previewed_message(previewed: Previewed) -> pb.PreviewedPlan:
    """Return the message of a hypothetical plan."""
    message = pb.PreviewedPlan(name=previewed.name, plan=draft_message(previewed.draft))
    if previewed.beside_first is not None:
        message.beside_first.CopyFrom(_what_if(previewed.beside_first))
    return message


def explained_message(explained: ExplainedPlan) -> pb.ExplainPlanResponse:
    """Return the message of an explained plan."""
    plan = explained.plan
    shown = plan_message(plan)
    message = pb.ExplainPlanResponse(
        plan_id=plan.plan_id,
        plan_hash=plan.plan_hash,
        explanation=shown.explanation,
        certificate=shown.certificate,
    )
    decision = None if plan.content is None else plan.content.decision
    if decision is None:
        return message
    why, currency = decision.explanation, plan.outline.currency
    summary = why.summary
    message.net_benefit.CopyFrom(_money(summary.net_benefit, currency))
    if summary.objective_before is not None and summary.objective_after is not None:
        message.objective_before.CopyFrom(_terms(summary.objective_before))
        message.objective_after.CopyFrom(_terms(summary.objective_after))
    if summary.break_even_years is not None:
        message.break_even_years.CopyFrom(decimal_message(summary.break_even_years))
    for name, figures in (
        ("drift_before", summary.drift_figures_before),
        ("drift_after", summary.drift_figures_after),
    ):
        if figures is not None:
            getattr(message, name).CopyFrom(_drift(figures))
    if summary.taxes is not None:
        message.tax.CopyFrom(_taxes(summary.taxes, currency))
    message.lots.extend(_lot(each, currency) for each in explained.lots)
    if explained.raised is not None:
        message.raised.CopyFrom(_raised(explained.raised, currency))
    message.triggers.extend(_trigger(each) for each in why.triggers)
    ordered = sorted(why.trades, key=lambda each: each.instrument_id)
    message.trades.extend(_trade(each, explained.without.get(each.instrument_id), currency) for each in ordered)
    return message


def not_traded_message(explained: ExplainedNoTrade) -> pb.ExplainNoTradeResponse:
    """Return the message that says why an account's instruments are not traded."""
    plan = explained.plan
    currency = plan.outline.currency
    message = pb.ExplainNoTradeResponse(
        plan_id=plan.plan_id,
        reason=NO_TRADE_REASONS.get(plan.outline.no_trade_reason, explanation_pb.NO_TRADE_REASON_UNSPECIFIED),
        sentence=plan.outline.sentence,
        instruments=[_not_traded(each, currency) for each in explained.instruments],
    )
    decision = None if plan.content is None else plan.content.decision
    if decision is not None:
        message.binding_constraints.extend(binding_message(each) for each in decision.explanation.binding)
    if explained.regardless is not None:
        message.regardless.CopyFrom(draft_message(explained.regardless))
    return message


def _trade(why: domain.TradeReason, without: WhatIf | None, currency: str) -> explanation_pb.TradeReason:
    message = explanation_pb.TradeReason(
        instrument_id=why.instrument_id,
        side=SIDES[why.side],
        weight_before=weight_message(why.weight_before),
        weight_after=weight_message(why.weight_after),
        target_weight=weight_message(why.target_weight),
        deviation_benefit=_money(why.deviation_benefit, currency),
        risk_benefit_bps=bps_message(why.risk_benefit_bps),
        spread=_money(why.cost.spread, currency),
        commission=_money(why.cost.commission, currency),
        impact=_money(why.cost.impact, currency),
        tax=_money(why.tax, currency),
        net_benefit=_money(why.net_benefit, currency),
        required_by="" if why.required_by is None else why.required_by.value,
        sentence=why.sentence,
        without=why.without,
    )
    if without is not None:
        message.resolved_without.CopyFrom(_what_if(without))
    return message


def _not_traded(told: domain.NotTraded, currency: str) -> explanation_pb.NotTraded:
    return explanation_pb.NotTraded(
        instrument_id=told.instrument_id,
        cause=_CAUSES[told.cause],
        weight=weight_message(told.weight),
        target_weight=weight_message(told.target_weight),
        trigger=weight_message(told.trigger),
        side=values_pb2.SIDE_UNSPECIFIED if told.side is None else SIDES[told.side],
        value=_money(told.value, currency),
        deviation_benefit=_money(told.deviation_benefit, currency),
        trading_cost=_money(told.cost, currency),
        tax=_money(told.tax, currency),
        net_benefit=_money(told.net_benefit, currency),
        sentence=told.sentence,
    )


def _taxes(told: domain.TaxFigures, currency: str) -> explanation_pb.TaxOfPlan:
    return explanation_pb.TaxOfPlan(
        short_term_before=_money(told.short_before, currency),
        long_term_before=_money(told.long_before, currency),
        short_term_after=_money(told.short_after, currency),
        long_term_after=_money(told.long_after, currency),
        net_after=_money(told.net_after, currency),
        tax=_money(told.tax, currency),
        carried=_money(told.carried, currency),
        carried_worth=_money(told.carried_worth, currency),
        alone=_money(told.alone, currency),
        short_term_marginal_rate=decimal_message(told.short_marginal),
        long_term_marginal_rate=decimal_message(told.long_marginal),
        source=told.source,
        sentence=told.sentence,
        short_term_carried=_money(told.carried_apart, currency),
    )


def _lot(told: LotReason, currency: str) -> explanation_pb.LotReason:
    message = explanation_pb.LotReason(
        instrument_id=told.instrument_id,
        lot_id=told.lot_id,
        acquired_date=date_message(told.acquired_date),
        quantity=decimal_message(told.quantity),
        sold=told.sold,
        gain=_money(told.gain, currency),
        character=_CHARACTERS[told.character],
        rate=decimal_message(told.rate),
        tax=_money(told.tax, currency),
        avoided=_money(told.avoided, currency),
        barred=told.barred,
        source=told.source,
        sentence=told.sentence,
        gift_source=told.gift_source,
    )
    if told.long_from is not None:
        message.long_term_date.CopyFrom(date_message(told.long_from))
    if told.waiting is not None:
        message.waiting.CopyFrom(_waiting(told.waiting, currency))
    return message


def _raised(told: RaisedCash, currency: str) -> explanation_pb.RaisedCash:
    return explanation_pb.RaisedCash(
        amount=_money(told.amount, currency),
        tax=_money(told.tax, currency),
        elsewhere=[
            explanation_pb.RaisedCash.Elsewhere(
                wrapper=each.wrapper,
                income=_money(each.income, currency),
                tax=None if each.tax is None else _money(each.tax, currency),
                early_charge=_money(each.early, currency),
                early_income=_money(each.early_income, currency),
                source=each.source,
            )
            for each in told.elsewhere
        ],
        sentence=told.sentence,
    )


def _waiting(told: Waiting, currency: str) -> explanation_pb.Waiting:
    return explanation_pb.Waiting(
        years=told.years,
        trading_cost=_money(told.cost, currency),
        right_value=_money(told.right, currency),
        outlooks=[
            explanation_pb.Waiting.Outlook(
                growth=decimal_message(each.growth),
                taxes_now=_money(each.taxes_now, currency),
                taxes_waiting=_money(each.taxes_waiting, currency),
                advantage=_money(each.advantage, currency),
            )
            for each in told.outlooks
        ],
        source=told.source,
        sentence=told.sentence,
    )


def _drift(told: domain.DriftFigures) -> explanation_pb.DriftFigures:
    return explanation_pb.DriftFigures(
        half_sum=weight_message(told.half_sum),
        largest=weight_message(told.largest),
        largest_relative=weight_message(told.largest_relative),
        euclidean=weight_message(told.euclidean),
        tracking_error_bps=bps_message(told.tracking_error_bps),
    )


def _what_if(told: WhatIf) -> explanation_pb.WhatIf:
    message = explanation_pb.WhatIf(
        name=told.name,
        outcome=told.outcome.value,
        drift_after=weight_message(told.drift_after),
        trading_cost=_money(told.trading_cost, told.currency),
        tax=_money(told.tax, told.currency),
        turnover=_money(told.turnover, told.currency),
        sentence=told.sentence,
    )
    if told.objective_bps is not None:
        message.objective_bps.CopyFrom(bps_message(told.objective_bps))
    return message


def _trigger(told: domain.Trigger) -> explanation_pb.TriggerFact:
    return explanation_pb.TriggerFact(
        name=told.kind.value,
        instrument_id=told.instrument_id or "",
        value=decimal_message(told.value),
        limit=decimal_message(told.limit),
        sentence=told.sentence,
    )


def _terms(told: domain.ObjectiveTerms) -> explanation_pb.ObjectiveTerms:
    return explanation_pb.ObjectiveTerms(
        deviation_bps=decimal_message(told.deviation_bps),
        outside_band_bps=decimal_message(told.outside_band_bps),
        idle_cash_bps=decimal_message(told.idle_cash_bps),
        cost_bps=decimal_message(told.cost_bps),
        tax_bps=decimal_message(told.tax_bps),
        total_bps=decimal_message(told.total_bps),
    )


def _money(amount: Decimal, currency: str) -> money_pb2.Money:
    return money_message(Money(amount, currency).to_cents())
