"""May we trade at all? The switch, by scope.

A halt covers everything, a venue, an instrument or an account. Several may cover one order; the strictest counts. A
person stops, and another person lets go again: nobody undoes alone what they did alone. Where several stopped the same
scope, one after the other, none of them lets go of it, whose halt counts or not.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from services.execution.domain.errors import SelfResume
from services.execution.domain.words import Side


class TradingState(StrEnum):
    """What may leave within a scope."""

    ACTIVE = "ACTIVE"  # Everything.
    REDUCING = "REDUCING"  # Only sells: positions may shrink, not grow.
    HALTED = "HALTED"  # Nothing.


class ScopeKind(StrEnum):
    """What a halt covers."""

    ALL = "ALL"
    VENUE = "VENUE"
    INSTRUMENT = "INSTRUMENT"
    ACCOUNT = "ACCOUNT"


@dataclass(frozen=True, slots=True, order=True)
class Scope:
    """One thing that can be halted; `subject_id` is empty for all."""

    kind: ScopeKind
    subject_id: str = ""

    def __post_init__(self) -> None:
        """Refuse a scope that covers nothing or two things.

        Raises:
            ValueError: A scope other than all names no subject, or all names one.
        """
        if self.kind is ScopeKind.ALL and self.subject_id:
            raise ValueError(f"must be empty for ALL, was {self.subject_id!r}")
        if self.kind is not ScopeKind.ALL and not self.subject_id:
            raise ValueError(f"must name which {self.kind.lower()}, was empty")


EVERYTHING = Scope(ScopeKind.ALL)


@dataclass(frozen=True, slots=True)
class Halt:
    """A scope in which trading is restricted, by whom, since when and why.

    Attributes:
        also_halted_by: Who else halted the scope since it was last resumed, each once, sorted.
    """

    scope: Scope
    state: TradingState
    halted_by: str
    halt_time: datetime
    why: str
    also_halted_by: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse others who are not each named once, in order.

        Raises:
            ValueError: `also_halted_by` names `halted_by`, one twice, or is not sorted.
        """
        if list(self.also_halted_by) != sorted({*self.also_halted_by} - {self.halted_by}):
            raise ValueError(
                f"also_halted_by must be sorted, each once and without {self.halted_by!r}, was {self.also_halted_by!r}"
            )

    @property
    def persons(self) -> frozenset[str]:
        """Return all who halted the scope since it was last resumed."""
        return frozenset({self.halted_by, *self.also_halted_by})

    def joined_by(self, persons: Iterable[str]) -> "Halt":
        """Return the halt with `persons` among those who halted."""
        return replace(self, also_halted_by=tuple(sorted({*self.also_halted_by, *persons} - {self.halted_by})))


def scopes(*, venue_id: str, instrument_id: str, account_id: str | None) -> tuple[Scope, ...]:
    """Return every scope that covers an order; a block has no single account."""
    covering = [EVERYTHING, Scope(ScopeKind.VENUE, venue_id), Scope(ScopeKind.INSTRUMENT, instrument_id)]
    if account_id is not None:
        covering.append(Scope(ScopeKind.ACCOUNT, account_id))
    return tuple(covering)


_STRICTNESS = {TradingState.ACTIVE: 0, TradingState.REDUCING: 1, TradingState.HALTED: 2}


def strictest(halts: Mapping[Scope, Halt], covering: Iterable[Scope]) -> Halt | None:
    """Return the halt that counts among those that cover an order; None when trading is active."""
    found = [halts[scope] for scope in covering if scope in halts]
    return max(found, key=lambda halt: (_STRICTNESS[halt.state], halt.scope), default=None)


def stricter(one: Halt, other: Halt) -> bool:
    """Return whether `one` restricts more than `other`."""
    return _STRICTNESS[one.state] > _STRICTNESS[other.state]


def in_force(before: Halt | None, asked: Halt) -> Halt:
    """Return the halt of a scope after `asked`, where `before` was in force.

    The one asked for last counts, unless the other is stricter; all who asked for either are kept.
    """
    if before is None:
        return asked
    counts = before if stricter(before, asked) else asked
    return counts.joined_by(before.persons | asked.persons)


def may_leave(halt: Halt | None, side: Side) -> bool:
    """Return whether an order of `side` may leave under the halt that counts."""
    if halt is None or halt.state is TradingState.ACTIVE:
        return True
    return halt.state is TradingState.REDUCING and side is Side.SELL


def check_resume(halt: Halt, resumed_by: str) -> None:
    """Check that `resumed_by` may lift `halt`.

    Raises:
        SelfResume: It is one of the persons who halted.
    """
    if resumed_by not in halt.persons:
        return
    what = f"{halt.scope.kind} {halt.scope.subject_id}".strip()
    others = ", ".join(sorted(halt.persons - {resumed_by}))
    who = f", and so did {others}; a person who did not" if others else "; another person"
    raise SelfResume(
        f"{resumed_by} halted {what}{who} must resume",
        scope=halt.scope.kind,
        subject_id=halt.scope.subject_id,
        halted_by=halt.halted_by,
        also_halted_by=", ".join(halt.also_halted_by),
    )
