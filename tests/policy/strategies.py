"""Documents, guardrails and histories as hypothesis draws them."""

from datetime import timedelta
from decimal import Decimal

from hypothesis import strategies as st

from services.kernel.ids import ChangeId, InstrumentId, PolicyNodeId, PolicyVersionId
from services.kernel.money import Money
from services.policy.domain.document import (
    FIELDS,
    Guardrail,
    Restriction,
    RestrictionKind,
    TargetGroup,
    TargetWeight,
)
from services.policy.domain.guardrails import texts_of
from services.policy.domain.history import Activation, newest
from tests.policy.builders import NOON

_FRACTIONS = st.integers(0, 20).map(lambda n: Decimal(n) / 20)
_INSTRUMENTS = st.sampled_from(["AAA", "BBB", "CCC", "DDD"]).map(InstrumentId)
_WORDS = st.sampled_from(["US", "DE", "growth", "XNAS"])

_WEIGHTS = st.recursive(
    st.builds(TargetWeight, _FRACTIONS, _INSTRUMENTS),
    lambda inner: st.builds(
        lambda weight, name, members: TargetWeight(weight, group=TargetGroup(name, tuple(members))),
        _FRACTIONS,
        _WORDS,
        st.lists(inner, min_size=1, max_size=3),
    ),
    max_leaves=4,
)
_RESTRICTIONS = st.builds(
    Restriction,
    _INSTRUMENTS,
    st.sampled_from(RestrictionKind),
    st.just("a reason"),
    st.none() | st.integers(-3, 3).map(lambda days: NOON + timedelta(days=days)),
)


def values(field):
    """Draw values that `field` could hold."""
    if field.kind is TargetWeight:
        return st.lists(_WEIGHTS, min_size=1, max_size=3).map(lambda lines: tuple(sorted(lines, key=_name)))
    if field.kind is Restriction:
        return st.lists(_RESTRICTIONS, min_size=1, max_size=3).map(_sorted_restrictions)
    if field.kind is Guardrail:
        return st.lists(guardrails(), min_size=1, max_size=3).map(tuple)
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


@st.composite
def guardrails(draw):
    """Draw a guardrail of some field that can be bounded."""
    field = draw(st.sampled_from([f for f in FIELDS if f.path != "guardrails"]))
    bound = st.none() | st.integers(0, 20).map(lambda n: Decimal(n) / 20)
    number = field.number is not None
    return Guardrail(
        field.path,
        minimum=draw(bound) if number else None,
        maximum=draw(bound) if number else None,
        allowed=tuple(draw(st.just(()) | st.lists(values(field), max_size=2).map(_texts))),
        locked=draw(st.booleans()) and draw(st.booleans()),
    )


@st.composite
def documents(draw):
    """Draw a partial document; most fields are left out."""
    chosen = draw(st.lists(st.sampled_from(list(FIELDS)), unique_by=lambda f: f.path, max_size=8))
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
    return (1, line.group.name) if line.group is not None else (0, line.instrument_id)


def _sorted_restrictions(items):
    return tuple(sorted(items, key=lambda r: (r.instrument_id, r.kind, r.reason)))
