"""What a report is: rows of fields, each with the rule that asks for it, made from entries and from nothing else.

A field that the entries do not tell stays empty and is named as missing; no report makes up a value. Each row names the
entries that it rests on, so that whoever doubts it can have them proven.

Another report is a class with the members of `Report`, named as an entry point of the group `evenkeel.audit.reports`.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from services.audit.domain.entry import Entry
from services.kernel.canonical import JsonValue

# The group of entry points that reports are named in.
GROUP = "evenkeel.audit.reports"


@dataclass(frozen=True, slots=True)
class ReportField:
    """A column: its name, what it says, and the paragraph that asks for it; not `required` where a row may lack it.

    `absent` says why a column that the rule lists can never have a value here.
    """

    name: str
    says: str
    rule: str
    required: bool = True
    absent: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """Values by the name of their field, and the indexes of the entries that they come from.

    `lacking` names required fields that this row may be without, for instance the limit of a market order.
    """

    values: Mapping[str, JsonValue]
    evidence: Sequence[int]
    lacking: frozenset[str] = field(default=frozenset())


@dataclass(frozen=True, slots=True)
class Fact:
    """An entry whose data was read."""

    entry: Entry
    data: Mapping[str, Any]

    @classmethod
    def of(cls, entry: Entry) -> "Fact":
        """Read `entry`."""
        return cls(entry, json.loads(entry.event.data))

    @property
    def kind(self) -> str:
        """What happened."""
        return self.entry.event.kind

    @property
    def index(self) -> int:
        """Where it stands."""
        return self.entry.index

    def about(self, kind: str) -> str | None:
        """Return which thing of this kind it is about."""
        return self.entry.event.subjects.get(kind)


class Report(Protocol):
    """A report.

    Attributes:
        name: By which it is asked for, for instance `order-memorandum`.
        title: Its heading.
        citation: The rule that asks for it.
        log: The log that it is made from.
        kinds: The kinds of entries that it reads, or with a trailing `.*` all kinds below one.
        fields: Its columns, in order.
    """

    name: str
    title: str
    citation: str
    log: str
    kinds: Sequence[str]
    fields: Sequence[ReportField]

    def rows(self, facts: Iterable[Fact]) -> Iterator[Row]:
        """Yield the rows that `facts`, in the order of the log, add up to."""
        ...


def missing(report: Report, row: Row) -> list[str]:
    """Return the fields that the rule asks for and `row` does not have."""
    return [
        each.name
        for each in report.fields
        if each.required and each.name not in row.lacking and row.values.get(each.name) in (None, "", [])
    ]
