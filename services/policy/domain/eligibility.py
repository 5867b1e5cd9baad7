"""Who may buy what, and what counts as the same: lists that are data, and rules that read them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from services.kernel.ids import InstrumentId
from services.policy.domain.fields import Merge
from services.policy.domain.units import Fraction


@dataclass(frozen=True, slots=True)
class BuyList:
    """What accounts of a residence and a wrapper may buy; None stands for any of them.

    It holds from `start_time` on and no longer from `expire_time` on; None leaves a side open.
    """

    name: str
    residence: str | None = None
    wrapper: str | None = None
    instrument_ids: tuple[InstrumentId, ...] = ()
    start_time: datetime | None = None
    expire_time: datetime | None = None

    def __post_init__(self) -> None:
        """Sort the instruments, each once."""
        object.__setattr__(self, "instrument_ids", tuple(sorted(set(self.instrument_ids))))

    def is_for(self, residence: str | None, wrapper: str | None, at: datetime) -> bool:
        """Return whether an account of `residence` and `wrapper` must keep to the list at the instant `at`."""
        return self.residence in (None, residence) and self.wrapper in (None, wrapper) and self.holds(at)

    def holds(self, at: datetime) -> bool:
        """Return whether the list holds at the instant `at`."""
        began = self.start_time is None or self.start_time <= at
        return began and (self.expire_time is None or at < self.expire_time)


@dataclass(frozen=True, slots=True)
class Screen:
    """A named list of instruments that restrictions refer to."""

    name: str
    instrument_ids: tuple[InstrumentId, ...] = ()
    source: str | None = None

    def __post_init__(self) -> None:
        """Sort the instruments, each once."""
        object.__setattr__(self, "instrument_ids", tuple(sorted(set(self.instrument_ids))))


@dataclass(frozen=True, slots=True)
class EquivalenceSet:
    """Instruments of which each is substantially identical to every other; `confidence` and `reason` are for people."""

    name: str
    instrument_ids: tuple[InstrumentId, ...] = ()
    confidence: Fraction = None
    reason: str | None = None

    def __post_init__(self) -> None:
        """Sort the instruments, each once."""
        object.__setattr__(self, "instrument_ids", tuple(sorted(set(self.instrument_ids))))


def _listed(item: BuyList) -> tuple[str, ...]:
    said = (item.residence, item.wrapper, item.start_time, item.expire_time, item.instrument_ids)
    return (item.name, *map(str, said))


def _same(item: Screen | EquivalenceSet) -> tuple[str, ...]:
    return (item.name, str(item.instrument_ids), str(item))


@dataclass(frozen=True, slots=True)
class Eligibility:
    """Who may buy what, and what counts as the same. Lists of all nodes on a path hold at once."""

    residence: str | None = None
    wrapper: str | None = None
    buy_lists: Annotated[tuple[BuyList, ...], Merge.GATHER] = ()
    screens: Annotated[tuple[Screen, ...], Merge.GATHER] = ()
    equivalences: Annotated[tuple[EquivalenceSet, ...], Merge.GATHER] = ()

    def __post_init__(self) -> None:
        """Sort the lists, each once."""
        object.__setattr__(self, "buy_lists", tuple(sorted(set(self.buy_lists), key=_listed)))
        object.__setattr__(self, "screens", tuple(sorted(set(self.screens), key=_same)))
        object.__setattr__(self, "equivalences", tuple(sorted(set(self.equivalences), key=_same)))

    def lists_for(self, at: datetime) -> tuple[BuyList, ...]:
        """Return the lists that the account must keep to at the instant `at`."""
        return tuple(each for each in self.buy_lists if each.is_for(self.residence, self.wrapper, at))

    def screened(self, name: str) -> frozenset[InstrumentId]:
        """Return the instruments on all screens of this name."""
        return frozenset(each for screen in self.screens if screen.name == name for each in screen.instrument_ids)


NO_LISTS = Eligibility()
"""Says nothing."""


def not_listed(instrument_id: InstrumentId, lists: Iterable[BuyList]) -> BuyList | None:
    """Return the first of `lists` that does not name the instrument, or None if it may be bought."""
    return next((each for each in lists if instrument_id not in each.instrument_ids), None)
