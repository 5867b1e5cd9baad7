"""Is a message as most of its type are? Then a look at each value is enough to know that it is right."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

# So many sequences of tags are remembered of each type of message.
SHAPES_MAX = 64

Checks = tuple[Callable[[bytes], object], ...]


@dataclass(frozen=True, slots=True)
class Quick:
    """What most messages of a type keep to: fields of its own level only, each at most once.

    Attributes:
        fields: Of each field outside of groups its part (0 header, 1 body, 2 trailer), and what returns something true
            for a value that is certainly right.
        required: Those it must contain.
    """

    fields: Mapping[int, tuple[int, Callable[[bytes], object]]]
    required: frozenset[int]
    _known: dict[tuple[int, ...], Checks] = field(init=False, default_factory=dict, compare=False, repr=False)

    def checks(self, tags: tuple[int, ...]) -> Checks | None:
        """Return what says of each value whether it is right, in the order of `tags`; None if these are not ordinary.

        A counterparty sends few sequences of tags, and those again and again: they are remembered.
        """
        known = self._known.get(tags)
        if known is None and self._is_ordinary(tags):
            if len(self._known) >= SHAPES_MAX:
                self._known.clear()
            known = self._known[tags] = tuple(self.fields[tag][1] for tag in tags)
        return known

    def _is_ordinary(self, tags: Sequence[int]) -> bool:
        """Return whether each is known, none is there twice, none is missing, and all are in their part's place."""
        places = set(tags)
        if len(places) != len(tags) or not self.required <= places or not places <= self.fields.keys():
            return False
        parts = [self.fields[tag][0] for tag in tags]
        return parts == sorted(parts)
