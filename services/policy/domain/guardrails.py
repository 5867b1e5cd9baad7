"""What descendants may set.

A guardrail in a node's document binds every node below it, not the node itself. Guardrails add up along the path: a
value must satisfy those of all ancestors at once, and a lower guardrail can only narrow what a higher one leaves.

A guardrail of the target mix bounds each weight by itself: of an instrument or a model its weight in the account, with
groups multiplied out. What a mix does not name weighs nothing in it.

A largest step is measured from the value that holds at the guardrail's own node. So it means the same at every level
below: levels cannot add up to more than one step, and when the node's value moves, what is too far from it gives way.

They are enforced twice. When a version is written, a value that a guardrail forbids is refused, with the bound. When
documents are merged, such a value does not count, because the guardrail may be younger than the value.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import TypeAlias

from services.kernel.decimals import EXACT, parse_decimal, plain
from services.kernel.errors import Violations
from services.kernel.ids import InstrumentId, PolicyNodeId, PolicyVersionId
from services.kernel.money import Money
from services.policy.domain.document import EMPTY, FIELDS, Document, Guardrail, Restriction
from services.policy.domain.errors import GuardrailExceeded
from services.policy.domain.fields import Field, Number
from services.policy.domain.mixes import TargetGroup, TargetWeight
from services.policy.domain.units import WEIGHT

_ZERO, _ONE = Decimal(0), Decimal(1)


@dataclass(frozen=True, slots=True)
class Bound:
    """A guardrail, and the version that set it.

    Attributes:
        anchor: The numbers that hold at the guardrail's node, by name as `numbers_of` gives them, from which steps are
            measured; none without a value.
    """

    guardrail: Guardrail
    node_id: PolicyNodeId
    version_id: PolicyVersionId
    anchor: "Numbers" = dataclasses.field(default_factory=dict)

    def violation(self, field: Field, value: object) -> str | None:
        """Return why `value` may not stand in `field` below the guardrail's node, or None."""
        broken = violation(self.guardrail, field, value, self.anchor)
        if broken is None:
            return None
        why = f" ({self.guardrail.reason})" if self.guardrail.reason else ""
        return f"{broken}, says the guardrail of {self.node_id}{why}"


Numbers: TypeAlias = Mapping[str, Decimal]

Bounds = Mapping[str, tuple[Bound, ...]]
"""The guardrails that bind a node, by field path, root first."""


def violation(guardrail: Guardrail, field: Field, value: object, anchor: Numbers) -> str | None:
    """Return what `guardrail` has against `value` in `field`, with value and limit, or None.

    Args:
        guardrail: Set above.
        field: Where the value would stand.
        value: The value.
        anchor: The numbers that hold in `field` at the guardrail's node; none if it has no value there.
    """
    if guardrail.locked:
        return "is locked"
    numbers = numbers_of(value)
    for name, number in sorted(numbers.items()):
        if guardrail.minimum is not None and number < guardrail.minimum:
            return f"{_of(name)}must be at least {plain(guardrail.minimum)}, was {plain(number)}"
        if guardrail.maximum is not None and number > guardrail.maximum:
            return f"{_of(name)}must be at most {plain(guardrail.maximum)}, was {plain(number)}"
    step = guardrail.maximum_step
    if step is not None and anchor and numbers:
        for name in sorted(numbers.keys() | anchor.keys()):
            number, around = numbers.get(name, _ZERO), anchor.get(name, _ZERO)
            if abs(EXACT.subtract(number, around)) > step:
                return f"{_of(name)}must be at most {plain(step)} away from {plain(around)}, was {plain(number)}"
    if guardrail.allowed:
        allowed = {allowed_text(field, text) for text in guardrail.allowed}
        for text in texts_of(value):
            if text not in allowed:
                return f"must be one of {', '.join(guardrail.allowed)}, was {text}"
    return None


def with_guardrails(
    bounds: Bounds,
    guardrails: Iterable[Guardrail],
    node_id: PolicyNodeId,
    version_id: PolicyVersionId,
    document: Document = EMPTY,
) -> Bounds:
    """Return `bounds` and those that a version of `node_id` adds for the nodes below it; `document` applies there."""
    added: dict[str, tuple[Bound, ...]] = {}
    for guardrail in guardrails:
        field = FIELDS.get(guardrail.field)
        anchor = {} if field is None else numbers_of(field.read(document))
        bound = Bound(guardrail, node_id, version_id, anchor)
        added[guardrail.field] = (*added.get(guardrail.field, bounds.get(guardrail.field, ())), bound)
    return {**bounds, **added} if added else bounds


def check_guardrails(document: Document, bounds: Bounds) -> None:
    """Refuse what the guardrails of a node's ancestors forbid it to set.

    Raises:
        GuardrailExceeded: With a violation for each field and guardrail.
    """
    violations = Violations()
    for field, value in FIELDS.set_in(document):
        for bound in bounds.get(field.path, ()):
            if (broken := bound.violation(field, value)) is not None:
                violations.add(f"document.{field.path}", broken)
    violations.raise_if_any(GuardrailExceeded)


def number_of(value: object) -> Decimal | None:
    """Return the number that `value` is, for money its amount; None for what is no number."""
    match value:
        case bool():
            return None
        case int():
            return Decimal(value)
        case Decimal():
            return value
        case Money():
            return value.amount
        case _:
            return None


def numbers_of(value: object) -> Numbers:
    """Return the numbers that a guardrail of `value` bounds: of a mix the weights by name, else its number as ``."""
    number = number_of(value)
    if number is not None:
        return {"": number}
    found: dict[str, Decimal] = {}
    if isinstance(value, tuple):
        for name, weight in _weights(value, _ONE):
            found[name] = EXACT.add(found.get(name, _ZERO), weight)
    return found


def bounded(field: Field) -> Number | None:
    """Return what the numbers of `field` may be that guardrails bound; None if it has none."""
    return WEIGHT if field.many and field.kind is TargetWeight else field.number


def _weights(items: tuple[object, ...], of: Decimal) -> Iterator[tuple[str, Decimal]]:
    for item in items:
        if not isinstance(item, TargetWeight) or not item.weight.is_finite():
            continue
        weight = EXACT.multiply(of, item.weight)
        if item.group is not None:
            yield from _weights(item.group.members, weight)
        else:
            yield item.instrument_id or item.model_node_id or "", weight


def _of(name: str) -> str:
    return f"the weight of {name} " if name else ""


def texts_of(value: object) -> Iterator[str]:
    """Yield `value` as the texts that `Guardrail.allowed` lists; for lists, the instruments and models they name."""
    match value:
        case bool():
            yield "true" if value else "false"
        case StrEnum():
            yield value.value
        case Money():
            yield f"{plain(value.amount)} {value.currency}"
        case int() | Decimal():
            yield plain(Decimal(value))
        case str():
            yield value
        case tuple():
            # What may take an instrument's place, and what a model brings, is named too: nothing comes in unseen.
            yield from instruments_of(value)
            yield from _others_of(value)


def instruments_of(items: tuple[object, ...]) -> Iterator[InstrumentId]:
    """Yield the instruments that a list of target weights or restrictions is about, not their substitutes."""
    for item in items:
        match item:
            case TargetWeight(group=TargetGroup() as group):
                yield from instruments_of(group.members)
            case TargetWeight(instrument_id=str() as instrument_id) | Restriction(instrument_id=str() as instrument_id):
                yield instrument_id


def _others_of(items: tuple[object, ...]) -> Iterator[str]:
    for item in items:
        match item:
            case TargetWeight(group=TargetGroup() as group):
                yield from _others_of(group.members)
            case TargetWeight(model_node_id=str() as model_node_id):
                yield model_node_id
            case TargetWeight(substitutes=substitutes):
                yield from substitutes


def allowed_text(field: Field, text: str) -> str:
    """Return `text`, a value that a guardrail allows for `field`, as `texts_of` would write it.

    Raises:
        ValueError: The field holds numbers and `text` is none.
    """
    if field.kind in (Decimal, int):
        return plain(parse_decimal(text))
    if field.kind is Money:
        amount, _, currency = text.partition(" ")
        return f"{plain(parse_decimal(amount))} {currency}"
    return text
