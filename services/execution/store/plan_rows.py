"""Rows ↔ values of plans, and of what plans are checked against."""

from services.execution.app.records import KnownPlan, PlanBasis, PlanRecord
from services.execution.domain.pretrade import Reason, Refusal
from services.execution.domain.trading_state import Halt, Scope, ScopeKind, TradingState
from services.execution.domain.words import ReferencePrice
from services.execution.store.rows import AnyRow, Values
from services.kernel.ids import AccountId, InstrumentId, PlanId, PolicyHash


def plan_values(record: PlanRecord) -> Values:
    """Return the row of a submitted plan."""
    plan = record.plan
    return {
        "plan_id": plan.plan_id,
        "payload": record.payload,
        "payload_hash": record.payload_hash,
        "key_id": record.signature.key_id,
        "signature": record.signature.value,
        "run_id": plan.run_id,
        "account_id": plan.account_id,
        # Below 0 where sells must bring cash before buys may use any.
        "available_cash": plan.opening_cash,
        "currency": plan.currency,
        "accepted": record.accepted,
        "refusals": [[each.reason, each.description, each.instrument_id] for each in record.refusals],
        "trace_parent": record.trace_parent,
        "submit_time": record.submit_time,
        "policy_version_hashes": list(plan.policy_version_hashes),
    }


def known_plan(row: AnyRow) -> KnownPlan:
    """Return what we said to a plan."""
    refusals = tuple(
        Refusal(Reason(reason), description, None if instrument_id is None else InstrumentId(instrument_id))
        for reason, description, instrument_id in row.refusals
    )
    return KnownPlan(PlanId(row.plan_id), row.payload_hash, refusals)


def basis_of(row: AnyRow) -> PlanBasis:
    """Return what a plan rests on."""
    return PlanBasis(PlanId(row.plan_id), AccountId(row.account_id), tuple(map(PolicyHash, row.policy_version_hashes)))


def price_values(price: ReferencePrice) -> Values:
    """Return the row of a reference price."""
    return {
        "instrument_id": price.instrument_id,
        "price": price.price,
        "currency": price.currency,
        "as_of_time": price.as_of_time,
        "source": price.source,
    }


def price_of(row: AnyRow) -> ReferencePrice:
    """Return a reference price."""
    return ReferencePrice(InstrumentId(row.instrument_id), row.price, row.currency, row.as_of_time, row.source)


def halt_values(halt: Halt) -> Values:
    """Return the row of a halt."""
    return {
        "kind": halt.scope.kind,
        "subject_id": halt.scope.subject_id,
        "state": halt.state,
        "halted_by": halt.halted_by,
        "halt_time": halt.halt_time,
        "why": halt.why,
        "persons": sorted(halt.persons),
    }


def halt_of(row: AnyRow) -> Halt:
    """Return a halt."""
    scope = Scope(ScopeKind(row.kind), row.subject_id)
    return Halt(scope, TradingState(row.state), row.halted_by, row.halt_time, row.why).joined_by(row.persons)
