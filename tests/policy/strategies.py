"""Documents, guardrails and histories as hypothesis draws them."""

from datetime import timedelta
from decimal import Decimal
from functools import cache

from hypothesis import strategies as st

from services.kernel.ids import ChangeId, InstrumentId, PolicyNodeId, PolicyVersionId
from services.kernel.money import Money
from services.policy.domain.document import (
    FIELDS,
    ApprovalRule,
    Guardrail,
    Pause,
    Restriction,
    RestrictionCause,
    RestrictionKind,
    YearlyGainBudget,
)
from services.policy.domain.eligibility import BuyList, EquivalenceSet, Screen
from services.policy.domain.guardrails import bounded, texts_of
from services.policy.domain.history import Activation, newest
from services.policy.domain.mixes import Combine, Distance, TargetGroup, TargetWeight
from services.policy.domain.personal_rules import (
    AgeBudget,
    BudgetModel,
    HorizonBudget,
    IncomeBudget,
    IncomePath,
    LiquidityBudget,
    ToleranceBudget,
)
from services.policy.domain.risk_limits import ClassLimit, FactorExposure, FactorLimit, StressLimit, StressMove
from tests.policy.builders import NOON

_FRACTIONS = st.integers(0, 20).map(lambda n: Decimal(n) / 20)
_INSTRUMENTS = st.sampled_from(["AAA", "BBB", "CCC", "DDD"]).map(InstrumentId)
_WORDS = st.sampled_from(["US", "DE", "growth", "XNAS"])

_DISTANCES = st.just(Distance()) | st.builds(
    Distance, st.none() | _FRACTIONS, st.none() | _FRACTIONS, st.none() | st.sampled_from(Combine)
)
_WEIGHTS = st.recursive(
    st.builds(
        lambda weight, instrument, others, trigger: TargetWeight(
            weight, instrument, substitutes=tuple(others), trigger=trigger
        ),
        _FRACTIONS,
        _INSTRUMENTS,
        st.just(()) | st.lists(_INSTRUMENTS, max_size=2),
        _DISTANCES,
    )
    | st.builds(lambda weight, model: TargetWeight(weight, model_node_id=model), _FRACTIONS, _WORDS.map(PolicyNodeId)),
    lambda inner: st.builds(
        lambda weight, name, members, cash: TargetWeight(weight, group=TargetGroup(name, tuple(members), cash)),
        _FRACTIONS,
        _WORDS,
        st.lists(inner, min_size=1, max_size=3),
        st.none() | _FRACTIONS,
    ),
    max_leaves=4,
)
_RESTRICTIONS = st.builds(
    Restriction,
    _INSTRUMENTS,
    st.sampled_from(RestrictionKind),
    st.just("a reason"),
    st.none() | st.integers(-3, 3).map(lambda days: NOON + timedelta(days=days)),
    st.none(),
    st.none() | st.sampled_from(RestrictionCause),
)
_INSTANTS = st.integers(-3, 3).map(lambda days: NOON + timedelta(days=days))
_SOME = st.lists(_INSTRUMENTS, min_size=1, max_size=3).map(tuple)
_COUNTRIES = st.none() | st.sampled_from(["DE", "US"])
_ROWS = {
    FactorLimit: st.builds(
        FactorLimit,
        _WORDS,
        st.lists(st.builds(FactorExposure, _INSTRUMENTS, _FRACTIONS), min_size=1, max_size=3).map(tuple),
        st.none() | _FRACTIONS,
        st.none() | _FRACTIONS,
    ),
    StressLimit: st.builds(
        StressLimit,
        _WORDS,
        st.lists(
            st.builds(StressMove, _FRACTIONS, _INSTRUMENTS) | st.builds(StressMove, _FRACTIONS, st.none(), _WORDS),
            min_size=1,
            max_size=3,
        ).map(tuple),
        _FRACTIONS,
        st.sampled_from(["", "a source"]),
    ),
    YearlyGainBudget: st.builds(
        YearlyGainBudget, st.integers(2026, 2030), st.integers(0, 5).map(lambda n: Money(Decimal(n * 100), "USD"))
    ),
    ClassLimit: st.builds(ClassLimit, _WORDS, st.none() | _FRACTIONS, st.none() | _FRACTIONS),
    Pause: st.builds(Pause, _INSTANTS, _INSTANTS, st.just("a reason")),
    BuyList: st.builds(BuyList, _WORDS, _COUNTRIES, st.none(), _SOME, st.none() | _INSTANTS, st.none() | _INSTANTS),
    Screen: st.builds(Screen, _WORDS, _SOME),
    EquivalenceSet: st.builds(EquivalenceSet, _WORDS, _SOME, st.none() | _FRACTIONS),
    ToleranceBudget: st.builds(ToleranceBudget, st.integers(1, 10), _FRACTIONS),
    HorizonBudget: st.builds(HorizonBudget, st.integers(0, 30), _FRACTIONS),
    LiquidityBudget: st.builds(LiquidityBudget, _FRACTIONS, _FRACTIONS),
    IncomeBudget: st.builds(IncomeBudget, st.sampled_from(IncomePath), _FRACTIONS),
    AgeBudget: st.builds(AgeBudget, st.integers(0, 99), _FRACTIONS),
    BudgetModel: st.builds(BudgetModel, _FRACTIONS, _WORDS.map(PolicyNodeId)),
}


_APPROVAL_RULES = st.builds(
    ApprovalRule,
    st.integers(1, 3),
    role=st.none() | st.sampled_from(["risk_officer", "compliance_officer"]),
    account_minimum=st.none() | st.integers(1, 100),
    fields=st.lists(st.sampled_from(["risk", "targets.weights", "approvals"]), max_size=2).map(tuple),
    reason=st.none() | _WORDS,
)


@cache
def values(field):
    """Draw values that `field` could hold."""
    if field.kind is TargetWeight:
        return st.lists(_WEIGHTS, min_size=1, max_size=3).map(lambda lines: tuple(sorted(lines, key=_name)))
    if field.kind in _ROWS:
        return st.lists(_ROWS[field.kind], min_size=1, max_size=3).map(tuple)
    if field.kind is str and field.many:
        return st.lists(_WORDS, min_size=1, max_size=2).map(lambda words: tuple(sorted(set(words))))
    if field.kind is Restriction:
        return st.lists(_RESTRICTIONS, min_size=1, max_size=3).map(_sorted_restrictions)
    if field.kind is Guardrail:
        return st.lists(guardrails(), min_size=1, max_size=3).map(tuple)
    if field.kind is ApprovalRule:
        return st.lists(_APPROVAL_RULES, min_size=1, max_size=3).map(tuple)
    if field.kind is Decimal:
        return st.integers(1, 20).map(lambda n: Decimal(n) / 20)
    if field.kind is Money:
        return st.integers(0, 5).map(lambda n: Money(Decimal(n * 100), "USD"))
    if field.kind is bool:
        return st.booleans()
    if field.kind is int:
        return st.integers(1, 10)
    if field.kind is str:
        return _WORDS
    return st.sampled_from(field.kind)


_BOUNDED = st.sampled_from([field for field in FIELDS if field.path not in ("guardrails", "approvals")])
_BOUNDS = st.none() | _FRACTIONS
_CHOSEN = st.lists(st.sampled_from(list(FIELDS)), unique_by=lambda field: field.path, max_size=8)


@st.composite
def guardrails(draw):
    """Draw a guardrail of some field that can be bounded."""
    field = draw(_BOUNDED)
    number = bounded(field) is not None
    return Guardrail(
        field.path,
        minimum=draw(_BOUNDS) if number else None,
        maximum=draw(_BOUNDS) if number else None,
        allowed=tuple(draw(st.just(()) | st.lists(values(field), max_size=2).map(_texts))),
        locked=draw(st.booleans()) and draw(st.booleans()),
        maximum_step=draw(_BOUNDS) if number else None,
    )


@st.composite
def documents(draw):
    """Draw a partial document; most fields are left out."""
    chosen = draw(_CHOSEN)
    return FIELDS.document({field.path: draw(values(field)) for field in chosen})


@st.composite
def histories(draw):
    """Draw the activations of one node, as a service would record them over some days."""
    history = []
    for number in range(draw(st.integers(0, 6))):
        last = newest(history)
        recorded = NOON + timedelta(days=number)
        if history and draw(st.booleans()) and last is not None and last.effective_time > recorded:
            history[history.index(last)] = last.revoked(recorded)
            last = newest(history)
        earliest = recorded if last is None else max(recorded, last.effective_time + timedelta(hours=1))
        history.append(
            Activation(
                PolicyNodeId("node"),
                number + 1,
                None if last is None else last.sequence,
                PolicyVersionId(f"v{number}"),
                ChangeId(f"c{number}"),
                earliest + timedelta(days=draw(st.integers(0, 3))),
                recorded,
            )
        )
    return history


def _texts(found):
    return [text for value in found for text in texts_of(value)]


def _name(line):
    if line.group is not None:
        return (1, line.group.name)
    return (0, line.instrument_id) if line.instrument_id is not None else (2, line.model_node_id)


def _sorted_restrictions(items):
    return tuple(sorted(items, key=lambda r: (r.instrument_id, r.kind, r.reason)))
