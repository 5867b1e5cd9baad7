"""What the law says from a day, or a year, on."""

from collections.abc import Mapping
from datetime import date
from typing import TypeVar

_When = TypeVar("_When", int, date)
_Said = TypeVar("_Said")


def in_force(said: Mapping[_When, _Said], when: _When) -> _Said:
    """Return what holds at `when`: what began last until then.

    Raises:
        ValueError: Nothing had begun.
    """
    return said[max(begin for begin in said if begin <= when)]
