"""Why does a node have this value?

The answer is what every level of the path said about the field, from the root down, and what became of it: it holds, a
lower level replaced it, or a guardrail overruled it. And what a level below could still say.
"""

from dataclasses import dataclass
from enum import StrEnum

from services.policy.domain.document import FIELDS
from services.policy.domain.fields import Merge
from services.policy.domain.guardrails import Bound
from services.policy.domain.merge import Effective, Layer
from services.policy.domain.plain import Plain


class Outcome(StrEnum):
    """What became of what a level said."""

    HOLDS = "holds"
    REPLACED = "replaced"
    OVERRULED = "overruled"


@dataclass(frozen=True, slots=True)
class Said:
    """What one level said about a field.

    Attributes:
        bound: The guardrail that overruled it; None for other outcomes.
    """

    layer: Layer
    value: object
    outcome: Outcome
    bound: Bound | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a field has its value.

    Attributes:
        value: As it is acted on; None if nobody set it.
        said: What the levels said, root first; those that said nothing are left out. Last come those from which it
            follows otherwise: the models in a mix, a pause whose time it is.
        bounds: The guardrails that bind the node below this path.
    """

    path: str
    value: object
    said: tuple[Said, ...]
    bounds: tuple[Bound, ...]


def explain(effective: Effective, path: str, plain: Plain | None = None) -> Explanation:
    """Return why the field at `path` has its value.

    Args:
        effective: What applies.
        path: The field.
        plain: What it comes to; what follows there from other fields is explained, too.

    Raises:
        KeyError: There is no such field.
    """
    field = FIELDS[path]
    holding = effective.sources.get(path, ())
    overruled = {id(each.layer): each.bound for each in effective.overruled if each.path == path}
    said: list[Said] = []
    for layer in effective.layers:
        value = field.read(layer.document)
        if value is None or value == ():
            continue
        bound = overruled.get(id(layer))
        if bound is not None:
            said.append(Said(layer, value, Outcome.OVERRULED, bound))
        elif field.merge is Merge.GATHER or layer in holding:
            said.append(Said(layer, value, Outcome.HOLDS))
        else:
            said.append(Said(layer, value, Outcome.REPLACED))
    value = field.read(effective.document)
    if plain is not None and path in plain.sources:
        told = {id(each.layer) for each in said}
        others = [layer for layer in plain.sources[path] if id(layer) not in told]
        said += (Said(layer, field.read(layer.document), Outcome.HOLDS) for layer in others)
        value = field.read(plain.document)
    return Explanation(path, None if value == () else value, tuple(said), effective.bounds.get(path, ()))
