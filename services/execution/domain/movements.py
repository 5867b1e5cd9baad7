"""What moved at a custodian that is no trade: deposits, dividends, taxes, fees, transfers, corporate actions.

A custodian tells each with a reference, and may tell it again, late, or otherwise than before. It counts once, in the
statement that tells it first; told otherwise, what is different counts. One of a day that the custodian spoke of before
was either left out of what should have been there, or is in what was taken as it was: in an account's first statement,
or where a person settled what the custodian had. It counts in the former case alone.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum

from services.kernel.decimals import plain
from services.kernel.ids import AccountId, InstrumentId

ZERO = Decimal(0)


class MovementKind(StrEnum):
    """Why units or cash moved."""

    DEPOSIT = "DEPOSIT"
    WITHDRAWAL = "WITHDRAWAL"
    DIVIDEND = "DIVIDEND"
    INTEREST = "INTEREST"  # Below zero on an overdraft.
    TAX = "TAX"
    FEE = "FEE"
    TRANSFER_IN = "TRANSFER_IN"
    TRANSFER_OUT = "TRANSFER_OUT"
    CORPORATE_ACTION = "CORPORATE_ACTION"
    CORRECTION = "CORRECTION"  # Takes back, gives back or mends what was told before.


@dataclass(frozen=True, slots=True)
class Delta:
    """What is added to an account's units of an instrument, or to its cash where there is none; signed."""

    instrument_id: InstrumentId | None
    amount: Decimal


@dataclass(frozen=True, slots=True)
class CustodianMovement:
    """One movement, as a custodian tells it.

    `units` and `cash` are signed, plus is what the account gets; `cash` is in its currency. `day` is from which on the
    custodian's positions and cash have it. Where there are no units, the instrument is what paid or cost the cash.
    """

    account_id: AccountId
    reference: str
    kind: MovementKind
    day: date
    instrument_id: InstrumentId | None
    units: Decimal
    cash: Decimal

    @property
    def changes(self) -> tuple[Delta, ...]:
        """Return what it does to the account, cash last."""
        both = (Delta(self.instrument_id, self.units), Delta(None, self.cash))
        return tuple(each for each in both if each.amount)


MovementKey = tuple[AccountId, date, str]


def key_of(movement: CustodianMovement) -> MovementKey:
    """Return what says that two told movements are the same one: custodians may count anew each day."""
    return movement.account_id, movement.day, movement.reference


@dataclass(frozen=True, slots=True)
class News:
    """A movement that was not told before, or otherwise (`earlier`), and what of it counts."""

    movement: CustodianMovement
    earlier: CustodianMovement | None
    changes: tuple[Delta, ...]


@dataclass(frozen=True, slots=True)
class Taken:
    """Up to which day what a custodian said of an account was taken as it was.

    `first` is the day that it spoke of first; `settled` those that it had spoken of when a person took its units of an
    instrument, or its cash under None.
    """

    first: date
    settled: Mapping[InstrumentId | None, date]

    def has(self, instrument_id: InstrumentId | None, day: date) -> bool:
        """Return whether what was taken has what moved on `day`."""
        return day <= max(self.first, self.settled.get(instrument_id, self.first))


def news(
    told: Iterable[CustodianMovement], known: Mapping[MovementKey, CustodianMovement], taken: Mapping[AccountId, Taken]
) -> list[News]:
    """Return what of told movements is new, by account, day and reference.

    Args:
        told: What a statement tells, each key once.
        known: What the custodian told before, by key; it may have more.
        taken: For each account that the custodian spoke of before. Of others nothing counts: what a first statement
            says of them is taken as it is.
    """
    found = []
    for movement in sorted(told, key=key_of):
        earlier = known.get(key_of(movement))
        if movement == earlier:
            continue
        before = taken.get(movement.account_id)
        if before is None:
            changes: tuple[Delta, ...] = ()
        elif earlier is not None:
            undone = tuple(Delta(each.instrument_id, -each.amount) for each in earlier.changes)
            changes = (*undone, *movement.changes)
        else:
            changes = tuple(each for each in movement.changes if not before.has(each.instrument_id, movement.day))
        found.append(News(movement, earlier, changes))
    return found


_ANY = frozenset({-1, 0, 1})
_PLUS, _MINUS, _NONE = frozenset({1}), frozenset({-1}), frozenset({0})
_WORDS = {
    _PLUS: "above 0",
    _MINUS: "below 0",
    _NONE: "absent or 0",
    _PLUS | _NONE: "at least 0",
    _MINUS | _NONE: "at most 0",
    _PLUS | _MINUS: "other than 0",
}
# Which signs cash and units may have.
_SIGNS: Mapping[MovementKind, tuple[frozenset[int], frozenset[int]]] = {
    MovementKind.DEPOSIT: (_PLUS, _NONE),
    MovementKind.WITHDRAWAL: (_MINUS, _NONE),
    MovementKind.DIVIDEND: (_PLUS | _NONE, _PLUS | _NONE),
    MovementKind.INTEREST: (_PLUS | _MINUS, _NONE),
    MovementKind.TAX: (_MINUS, _NONE),
    # Some platforms sell units to be paid.
    MovementKind.FEE: (_MINUS | _NONE, _MINUS | _NONE),
    MovementKind.TRANSFER_IN: (_NONE, _PLUS),
    MovementKind.TRANSFER_OUT: (_NONE, _MINUS),
    MovementKind.CORPORATE_ACTION: (_ANY, _ANY),
    MovementKind.CORRECTION: (_ANY, _ANY),
}
_OF_NO_INSTRUMENT = frozenset({MovementKind.DEPOSIT, MovementKind.WITHDRAWAL})


def faults(movement: CustodianMovement) -> Iterator[tuple[str, str]]:
    """Yield what cannot be about a movement: the field, empty for the whole, and what it must be."""
    fair = True
    for name, amount, signs in zip(
        ("cash", "units"), (movement.cash, movement.units), _SIGNS[movement.kind], strict=True
    ):
        if (amount > 0) - (amount < 0) not in signs:
            fair = False
            yield name, f"must be {_WORDS[signs]} for {movement.kind}, was {plain(amount)}"
    if movement.units and movement.instrument_id is None:
        yield "instrument_id", f"must say of what {plain(movement.units)} units are"
    if movement.instrument_id is not None and movement.kind in _OF_NO_INSTRUMENT:
        yield "instrument_id", f"must be empty for {movement.kind}, was {movement.instrument_id}"
    if fair and not movement.changes:
        yield "", "must change cash or units, changed neither"
