"""Amounts of law by name, so that a person can read, propose and review them, and rules can be made of them again.

A country's table has its amounts of each tax year, as released. A name is one amount or rate; `name@2024-10-30` is the
same from that day on, where a country changes one within a year.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any, Protocol, TypeVar

from services.decision.domain.problem import ZERO
from services.kernel.errors import Violations

Year = TypeVar("Year")

ONE = Decimal(1)
# A table of one country: its amounts by tax year. Each country's rules know what their own are.
Years = Mapping[int, Any]


class AmountKind(StrEnum):
    """What an amount may be."""

    # In the country's currency, 0 or more.
    MONEY = "MONEY"
    # A fraction, 0 to 1.
    RATE = "RATE"
    # A fraction, -1 to 1.
    SIGNED_RATE = "SIGNED_RATE"


LEAST = {AmountKind.MONEY: ZERO, AmountKind.RATE: ZERO, AmountKind.SIGNED_RATE: -ONE}
MOST = {AmountKind.MONEY: Decimal(10) ** 12, AmountKind.RATE: ONE, AmountKind.SIGNED_RATE: ONE}


@dataclass(frozen=True, slots=True)
class Named:
    """A name of a table. `dated`: it may change within a year. `after`: the name whose value it must not be below."""

    name: str
    kind: AmountKind
    dated: bool = False
    after: str = ""


class LawTable(Protocol[Year]):
    """The amounts of one country."""

    @property
    def names(self) -> tuple[Named, ...]:
        """Every amount that a year has, in the order in which people read them."""
        ...

    @property
    def years(self) -> Mapping[int, Year]:
        """The amounts as released, by tax year."""
        ...

    def first_date(self, tax_year: int) -> date:
        """Return the first day of a tax year."""
        ...

    def amounts(self, year: Year) -> Mapping[str, Decimal]:
        """Return a year's amounts by name."""
        ...

    def year(self, amounts: Mapping[str, Decimal]) -> Year:
        """Return the year of amounts that `check_amounts` accepts."""
        ...


def check_amounts(table: LawTable[Any], tax_year: int, amounts: Mapping[str, Decimal], found: Violations) -> None:
    """Note what is wrong with a year's amounts, by name."""
    known = {each.name: each for each in table.names}
    first, after_last = table.first_date(tax_year), table.first_date(tax_year + 1)
    for name, value in sorted(amounts.items()):
        plain, _, from_day = name.partition("@")
        named = known.get(plain)
        if named is None or (from_day and not named.dated):
            found.add(f"amounts.{name}", f"must be one of {', '.join(sorted(known))}, was {name!r}")
        elif not LEAST[named.kind] <= value <= MOST[named.kind]:
            limits = f"{LEAST[named.kind]} to {MOST[named.kind]:f}"
            found.add(f"amounts.{name}", f"must be {limits}, was {value}")
        elif from_day and not _within(from_day, first, after_last):
            found.add(f"amounts.{name}", f"must be from a day after {first} and before {after_last}")
    for each in table.names:
        if each.name not in amounts:
            found.add(f"amounts.{each.name}", "must be given, was absent")
        elif each.after in amounts and amounts[each.name] < amounts[each.after]:
            least = amounts[each.after]
            found.add(f"amounts.{each.name}", f"must be at least {each.after}, {least}, was {amounts[each.name]}")


def _within(text: str, first: date, after_last: date) -> bool:
    try:
        return first < date.fromisoformat(text) < after_last
    except ValueError:
        return False
