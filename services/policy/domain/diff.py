"""What is different between two documents, in words and as data.

Lists are compared by what they are about: a target by its place in the mix, a restriction by its instrument and kind, a
guardrail by the field it bounds. So moving one instrument's weight is one difference, not a new list.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from services.kernel.canonical import canonical_json
from services.policy.domain.content import plain_value
from services.policy.domain.document import (
    FIELDS,
    ApprovalRule,
    Document,
    Guardrail,
    Pause,
    Restriction,
    YearlyGainBudget,
)
from services.policy.domain.eligibility import BuyList, EquivalenceSet, Screen
from services.policy.domain.fields import Field
from services.policy.domain.guardrails import number_of
from services.policy.domain.mixes import TargetGroup, TargetWeight
from services.policy.domain.personal_rules import (
    AgeBudget,
    BudgetModel,
    HorizonBudget,
    IncomeBudget,
    LiquidityBudget,
    ToleranceBudget,
)
from services.policy.domain.risk_limits import ClassLimit, FactorLimit, StressLimit

# Longest value that a sentence quotes.
_QUOTED_MAX = 120

Items = dict[str, object]


class Step(StrEnum):
    """How a value became another."""

    SET = "set"
    CLEARED = "cleared"
    RAISED = "raised"
    LOWERED = "lowered"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is different.

    Attributes:
        path: The field.
        item: Which line of a list field, for instance `stocks/VTI`; empty for other fields.
        step: How the value changed.
        before: None if it was not set.
        after: None if it is not set any more.
    """

    path: str
    item: str
    step: Step
    before: object
    after: object

    @property
    def description(self) -> str:
        """Return the difference as a sentence."""
        what = f"{self.path} of {self.item}" if self.item else self.path
        match self.step:
            case Step.SET:
                return f"{what} is set to {quoted(self.after)}"
            case Step.CLEARED:
                return f"{what} is no longer {quoted(self.before)}"
            case _:
                return f"{what} is {self.step} from {quoted(self.before)} to {quoted(self.after)}"


def differences(before: Document, after: Document) -> tuple[Difference, ...]:
    """Return what `after` says otherwise than `before`, in the order of the fields."""
    return tuple(
        difference for field in FIELDS for difference in _in_field(field, field.read(before), field.read(after))
    )


def quoted(value: object) -> str:
    """Return `value` as a sentence shows it: its canonical text, cut when long."""
    text = canonical_json(plain_value(value)).decode().strip('"')
    return text if len(text) <= _QUOTED_MAX else text[: _QUOTED_MAX - 1] + "…"


def _in_field(field: Field, before: object, after: object) -> Iterator[Difference]:
    if before == after:
        return
    if field.many and isinstance(before, tuple) and isinstance(after, tuple):
        old, new = _items(before), _items(after)
        if old is not None and new is not None:
            for item in sorted(old.keys() | new.keys()):
                if old.get(item) != new.get(item):
                    yield _difference(field.path, item, old.get(item), new.get(item))
            return
    yield _difference(field.path, "", before if before != () else None, after if after != () else None)


def _difference(path: str, item: str, before: object, after: object) -> Difference:
    old, new = number_of(before), number_of(after)
    if before is None:
        step = Step.SET
    elif after is None:
        step = Step.CLEARED
    elif old is not None and new is not None and old != new:
        step = Step.RAISED if new > old else Step.LOWERED
    else:
        step = Step.CHANGED
    return Difference(path, item, step, before, after)


def _items(values: tuple[object, ...]) -> Items | None:
    """Return the lines of a list by what they are about; None if two are about the same."""
    found: Items = {}
    for value in values:
        for name, part in _named(value):
            if name in found:
                return None
            found[name] = part
    return found


def _named(value: object) -> Iterable[tuple[str, object]]:
    match value:
        case TargetWeight():
            return _named_weights((value,), "")
        case Restriction():
            return [(f"{value.subject} {value.kind}", value)]
        case Guardrail():
            return [(value.field, value)]
        case ClassLimit():
            return [(value.asset_class, value)]
        case FactorLimit() | StressLimit():
            return [(value.name, value)]
        case YearlyGainBudget():
            return [(str(value.tax_year), value.amount)]
        case Pause():
            return [(f"{value.start_time.isoformat()} to {value.end_time.isoformat()}", value)]
        case BuyList() | Screen() | EquivalenceSet():
            return [(value.name, value)]
        case str():
            return [(value, value)]
        case BudgetModel():
            return [(value.model_node_id, value)]
        case ToleranceBudget() | HorizonBudget() | LiquidityBudget() | IncomeBudget() | AgeBudget():
            return [(value.about, value)]
        case ApprovalRule():
            about = ",".join(value.fields) or "any change"
            return [(f"{value.role or 'anyone'} from {value.account_minimum or 0} accounts for {about}", value)]
        case _:
            raise TypeError(f"{type(value).__name__} is no line of a list")


def _named_weights(lines: tuple[TargetWeight, ...], above: str) -> Iterator[tuple[str, object]]:
    for line in lines:
        if line.group is not None:
            name = f"{above}{line.group.name}/"
            yield name, _weight_of(replace(line, group=replace(line.group, members=())))
            yield from _named_weights(line.group.members, name)
        else:
            yield f"{above}{line.instrument_id or f'model {line.model_node_id}'}", _weight_of(line)


def _weight_of(line: TargetWeight) -> object:
    """Return the weight alone where a line says nothing else, as almost all do."""
    alone = TargetWeight(line.weight, line.instrument_id, line.group, line.model_node_id)
    if line == alone and (line.group is None or line.group == TargetGroup(line.group.name, ())):
        return line.weight
    return line
