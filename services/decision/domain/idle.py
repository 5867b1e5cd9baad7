"""About which accounts of a run does nothing ask? Answered from columns, before anything of an account is laid out.

On most days most accounts are inside their bands. Each of those must have its plan that says so, and needs no lots, tax
rules or limits for it. So a run's accounts are first screened (`screening`), by what asks under each one's policy:
weights, cash, all deviations together, tracking error. Money that came or went, the calendar, and an event are looked
at one by one. Whoever is not clearly left alone by all of them is decided in full, as if nobody had looked before: an
account gets the verdict that `decide` gives, and only sooner.

What a policy asks is read off an account that it is asked about: an empty one, which holds a unit of everything that
the screened accounts hold. So nothing about policies is said twice. The certificate of an account that is screened is
cheap and far: no objective is below what selling every loss would save, by the higher of its rates. In each country's
rules a plan's liability falls by no more than that rate for each unit of loss.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import ROUND_CEILING, Decimal

import numpy as np

from services.decision.domain.account_problem import account_problem
from services.decision.domain.book import AccountBook, HoldingKind, Position, TaxWrapper
from services.decision.domain.case import NO_SOLVER, options_told
from services.decision.domain.convex import BPS_PER_ONE, Floats, exact
from services.decision.domain.decide import EVERYTHING_WITHIN
from services.decision.domain.deciding import AccountInputs, Basis, options_of
from services.decision.domain.decision import (
    Certificate,
    Decision,
    DriftFigures,
    Explanation,
    NoTradeReason,
    ObjectiveTerms,
    Outcome,
    Summary,
)
from services.decision.domain.explanation import drift_figures, summary_sentence
from services.decision.domain.freshness import check_ages
from services.decision.domain.policy import Policy
from services.decision.domain.problem import ONE, ZERO, AccountProblem, Holding, LotId
from services.decision.domain.screening import screen, suffered
from services.decision.domain.tax import jurisdiction
from services.decision.domain.words import BPS_UNIT, CERTIFIED_BPS_UNIT, cents, weight
from services.kernel.errors import Fact
from services.kernel.ids import InstrumentId

# State of the certificate of an account that was only screened.
SCREENED = "SCREENED"
# A tracking error this near below what asks, in basis points, is looked at exactly: it is told to a hundredth.
TRACKING_SLACK_BPS = 0.02
BPS = Decimal(10_000)


def idle_decisions(inputs: Sequence[AccountInputs], basis: Basis) -> list[Decision | None]:
    """Return the decision about each account that nothing asks about, in order; None for one that must be decided.

    An account gets the same decision whichever others it is screened with.

    Args:
        inputs: Accounts with a policy.
        basis: Of the run.
    """
    decisions: list[Decision | None] = [None] * len(inputs)
    fine = _priced(basis)
    candidates = [at for at, each in enumerate(inputs) if _may_be_idle(each, basis, fine)]
    models = _models([inputs[at] for at in candidates], basis)
    kept = [at for at in candidates if _asks_by(inputs[at], models.get(_key(inputs[at])))]
    if not kept:
        return decisions
    names = sorted({name for model in models.values() for name in model.holdings})
    columns = _Columns.of([inputs[at] for at in kept], models, names, basis)
    for row, at in enumerate(kept):
        if not columns.asks[row]:
            decisions[at] = columns.decision(row, inputs[at], basis)
    return decisions


def _may_be_idle(inputs: AccountInputs, basis: Basis, fine: frozenset[InstrumentId]) -> bool:
    """Return whether nothing but weights and cash can ask about the account, and nothing is wrong with its book."""
    account, policy = inputs.account, inputs.policy
    if policy is None or policy.tax.gain_harvest_room is not None:
        return False
    if inputs.event or inputs.looked_regardless or inputs.requested:
        return False
    flow = policy.cash_flow_minimum
    if flow is not None and abs(inputs.cash_flow) >= flow.amount:
        return False
    if any(each.instrument_id not in fine for each in account.positions) or not fine.issuperset(policy.weights):
        return False
    try:
        check_ages(account, policy, basis.market.prices, basis.as_of_time)
    except Fact:
        return False
    return _sound(account, basis.as_of_time.date())


def _sound(account: AccountBook, today: date) -> bool:
    """Return whether the account's numbers can be; where they cannot, `AccountProblem` says what is wrong."""
    seen: set[LotId] = set()
    count = 0
    for position in account.positions:
        count += len(position.lots)
        for lot in position.lots:
            seen.add(lot.lot_id)
            if not lot.quantity > 0 or not lot.basis_total >= 0 or lot.acquired_date > today:
                return False
    return len(seen) == count and account.cash.is_finite() and account.reserved_cash >= 0


def _priced(basis: Basis) -> frozenset[InstrumentId]:
    """Return the instruments that can be decided about: known, priced, in the run's currency, with a risk."""
    known, quotes = basis.market.instruments, basis.market.prices.quotes
    return frozenset(
        each
        for each in basis.risk_model.instrument_ids
        if each in quotes and each in known and known[each].currency == basis.currency
    )


@dataclass(frozen=True, slots=True)
class _Model:
    """What a policy asks of the accounts of one tax wrapper: of `problem`, an account that has nothing of its own."""

    problem: AccountProblem
    policy: Policy
    holdings: Mapping[InstrumentId, Holding]


# Accounts with the same key are asked about by the same rules.
_Key = tuple[str, TaxWrapper]


def _key(inputs: AccountInputs) -> _Key:
    return inputs.policy_hash, inputs.account.tax_wrapper


def _models(inputs: Sequence[AccountInputs], basis: Basis) -> Mapping[_Key, _Model]:
    """Return what each policy asks; those that nothing can be asked by are left out, and say why account by account."""
    held: dict[_Key, set[InstrumentId]] = {}
    first: dict[_Key, AccountInputs] = {}
    for each in inputs:
        first.setdefault(_key(each), each)
        held.setdefault(_key(each), set()).update(position.instrument_id for position in each.account.positions)
    found: dict[_Key, _Model] = {}
    for key, each in first.items():
        if each.policy is None:
            continue
        empty = replace(
            each.account,
            cash=ONE,
            reserved_cash=ZERO,
            positions=tuple(Position(name, HoldingKind.HELD_AWAY, ONE) for name in sorted(held[key])),
            as_of_time=basis.as_of_time,
            recent_trades=(),
        )
        try:
            problem = account_problem(empty, each.policy, basis.market, basis.as_of_time)
        except Fact:
            continue
        found[key] = _Model(problem, each.policy, {holding.instrument_id: holding for holding in problem.holdings})
    return found


def _asks_by(inputs: AccountInputs, model: _Model | None) -> bool:
    """Return whether the model is that of the account's policy."""
    return model is not None and (inputs.policy is model.policy or inputs.policy == model.policy)


@dataclass(frozen=True, slots=True, eq=False)
class _Columns:
    """Screened accounts.

    Attributes:
        models: Of each account.
        values: Exact, of what each account holds of each instrument.
        asks: Whether it must be decided, shape (accounts,).
        tracking: Tracking variance of a year, shape (accounts,); `outside` what is outside destinations together.
    """

    models: Sequence[_Model]
    values: Sequence[Mapping[InstrumentId, Decimal]]
    asks: Sequence[bool]
    tracking: Floats
    outside: Floats

    @classmethod
    def of(
        cls,
        inputs: Sequence[AccountInputs],
        models: Mapping[_Key, _Model],
        names: Sequence[InstrumentId],
        basis: Basis,
    ) -> "_Columns":
        """Screen accounts whose models hold no instrument but `names`."""
        column = {name: at for at, name in enumerate(names)}
        number = {key: row for row, key in enumerate(models)}
        exact_values = [_values(each.account, basis) for each in inputs]
        values = np.zeros((len(inputs), len(names)))
        for row, held in enumerate(exact_values):
            for name, value in held.items():
                values[row, column[name]] = float(value)
        cash = np.array([float(each.account.cash - each.account.reserved_cash) for each in inputs])
        model = np.array([number[_key(each)] for each in inputs], dtype=np.int32)
        targets, destinations, edges, totals = _rules(list(models.values()), column)
        _, asks = screen(values, cash, model, targets, edges, totals[:, 0])
        rows = {name: at for at, name in enumerate(basis.risk_model.instrument_ids)}
        risk = [rows[name] for name in names]
        worth = np.where(asks, np.maximum(1.0, cash), cash)
        tracking, outside = suffered(
            values,
            worth,
            model,
            targets,
            destinations,
            np.ascontiguousarray(basis.risk_model.exposures[risk]),
            basis.risk_model.specific_variance[risk],
        )
        asks = asks | (BPS_PER_ONE * np.sqrt(tracking) > totals[model, 1])
        return cls([models[_key(each)] for each in inputs], exact_values, asks.tolist(), tracking, outside)

    def decision(self, row: int, inputs: AccountInputs, basis: Basis) -> Decision:
        """Return the decision to leave an account alone."""
        account, model = inputs.account, self.models[row]
        objective = model.problem.objective
        mix = account.cash - account.reserved_cash + sum(self.values[row].values(), ZERO)
        error = exact(float(BPS_PER_ONE * np.sqrt(self.tracking[row])), BPS_UNIT)
        half = BPS_PER_ONE * float(objective.risk_aversion) / 2
        suffers = ObjectiveTerms(
            exact(half * float(self.tracking[row]), CERTIFIED_BPS_UNIT),
            exact(BPS_PER_ONE * float(objective.band_excess_price) * float(self.outside[row]), CERTIFIED_BPS_UNIT),
            ZERO,
            ZERO,
            ZERO,
        )
        hold = suffers.deviation_bps + suffers.outside_band_bps
        bound = _bound(account, model.problem, mix, basis)
        return Decision(
            outcome=Outcome.NO_TRADE,
            trades=(),
            certificate=Certificate(
                primal_bps=hold,
                dual_bps=bound,
                gap_bps=hold - bound,
                hold_bps=hold,
                convex_gap_bps=ZERO,
                solver=NO_SOLVER,
                solver_version="",
                status=SCREENED,
                options=options_told(options_of(inputs, basis)),
            ),
            explanation=Explanation(
                triggers=(),
                trades=(),
                binding=(),
                summary=_summary(account, _drift(model, self.values[row], account, mix, error), mix, suffers),
                no_trade_reason=NoTradeReason.WITHIN_BANDS,
            ),
        )


def _values(account: AccountBook, basis: Basis) -> Mapping[InstrumentId, Decimal]:
    """Return what the account has of each instrument, wherever it is, in currency."""
    quotes = basis.market.prices.quotes
    found: dict[InstrumentId, Decimal] = {}
    for position in account.positions:
        value = position.quantity * quotes[position.instrument_id].price
        found[position.instrument_id] = found.get(position.instrument_id, ZERO) + value
    return found


def _rules(models: Sequence[_Model], column: Mapping[InstrumentId, int]) -> tuple[Floats, Floats, Floats, Floats]:
    """Return targets, destinations and edges of models as the screen takes them, and what asks of all weights together.

    That is drift, and tracking error in basis points, shape (models, 2).
    """
    n = len(column)
    targets, destinations = np.zeros((len(models), n)), np.zeros((len(models), n))
    edges, totals = np.ones((len(models), 2, n + 1)), np.full((len(models), 2), np.inf)
    edges[:, 0] = 0.0
    for row, model in enumerate(models):
        problem, pause = model.problem, model.policy.safety.pause_drift
        for name, holding in model.holdings.items():
            at, target = column[name], holding.target_weight
            far = holding.band.trigger if pause is None else min(holding.band.trigger, pause)
            targets[row, at], destinations[row, at] = float(target), float(holding.band.destination)
            edges[row, :, at] = float(target - far), float(target + far)
        edges[row, :, n] = float(problem.cash_rule.floor_weight), float(problem.cash_rule.ceiling_weight)
        if problem.cash_rule.ceiling_weight == ONE:
            # All of it may stay in cash, and without purchases on credit there is no more.
            edges[row, 1, n] = np.inf
        limits = problem.total_triggers
        if limits.drift is not None:
            totals[row, 0] = float(limits.drift)
        if limits.tracking_error is not None:
            totals[row, 1] = BPS_PER_ONE * float(limits.tracking_error) - TRACKING_SLACK_BPS
    return targets, destinations, edges, totals


def _drift(
    model: _Model, values: Mapping[InstrumentId, Decimal], account: AccountBook, mix: Decimal, error: Decimal
) -> DriftFigures:
    """Return how far the account is from its targets; what it neither holds nor wants is no part of it."""
    names = sorted({*values, *model.policy.weights})
    targets = [model.holdings[name].target_weight for name in names]
    drifts = [abs(values.get(name, ZERO) / mix - target) for name, target in zip(names, targets, strict=True)]
    cash = (account.cash - account.reserved_cash) / mix
    return drift_figures(targets, [*drifts, abs(cash - (ONE - sum(targets, ZERO)))], error)


def _summary(account: AccountBook, drift: DriftFigures, mix: Decimal, suffers: ObjectiveTerms) -> Summary:
    made = Summary(
        mix_value=cents(mix),
        drift_before=drift.half_sum,
        drift_after=drift.half_sum,
        drift_max_before=drift.largest,
        drift_max_after=drift.largest,
        tracking_error_before_bps=drift.tracking_error_bps,
        tracking_error_after_bps=drift.tracking_error_bps,
        cash_before=cents(account.cash),
        cash_after=cents(account.cash),
        bought_value=ZERO,
        sold_value=ZERO,
        turnover=weight(ZERO),
        cost=ZERO,
        gain_short=ZERO,
        gain_long=ZERO,
        tax_realized=ZERO,
        tax_saved=ZERO,
        net_benefit=cents(ZERO),
        sentence="",
        objective_before=suffers,
        objective_after=suffers,
        break_even_years=None,
        drift_figures_before=drift,
        drift_figures_after=drift,
    )
    return replace(made, sentence=summary_sentence(made, account.currency, EVERYTHING_WITHIN))


def _bound(account: AccountBook, asked: AccountProblem, mix: Decimal, basis: Basis) -> Decimal:
    """Return a value, in basis points, that no plan of the account is below: all losses sold, and nothing suffered."""
    tax, objective = asked.tax, asked.objective
    price = (
        objective.tax_weight
        * objective.loss_credit_weight
        * (max(tax.short_rate, tax.long_rate) if tax.brackets is None else tax.brackets.highest)
    )
    if not tax.taxable or price == 0:
        return ZERO
    rules, quotes = jurisdiction(tax.jurisdiction), basis.market.prices.quotes
    losses = ZERO
    for position in account.positions:
        unit = quotes[position.instrument_id].price
        for lot in rules.costed(position.lots):
            losses += max(lot.basis_total - lot.quantity * unit, ZERO)
    return ZERO - (price * losses / mix * BPS).quantize(CERTIFIED_BPS_UNIT, ROUND_CEILING)
