"""Entries as people and spreadsheets read them.

Both forms follow from an entry's body alone, so whoever holds the bodies can make them again and compare. The offline
verifier does, with code of its own; the forms are therefore fixed.

CSV is RFC 4180: lines end in CRLF, a cell with a comma, a quote or a line break is quoted. Text is one block an entry.
"""

import csv
import json
from collections.abc import Iterable
from typing import Any

from services.kernel.canonical import canonical_json

COLUMNS = (
    "index",
    "recorded_time",
    "occurred_time",
    "kind",
    "producer",
    "actor",
    "account",
    "account_sequence",
    "subjects",
    "event_id",
    "trace_parent",
    "data",
)


def csv_header() -> bytes:
    """Return the first line of a CSV file."""
    return _csv([COLUMNS])


def csv_lines(bodies: Iterable[bytes]) -> bytes:
    """Return the lines of entries, by their bodies."""
    return _csv(_cells(json.loads(body)) for body in bodies)


def text_blocks(bodies: Iterable[bytes]) -> bytes:
    """Return entries, by their bodies, as blocks of text that an empty line ends."""
    return "".join(_block(json.loads(body)) for body in bodies).encode()


def _cells(entry: dict[str, Any]) -> list[object]:
    derived = {
        "account": entry["subjects"].get("account", ""),
        "subjects": _json(entry["subjects"]),
        "data": _json(entry["data"]),
    }
    return [derived.get(column, entry.get(column)) for column in COLUMNS]


def _block(entry: dict[str, Any]) -> str:
    about = ", ".join(f"{kind} {each}" for kind, each in entry["subjects"].items())
    number = f" (number {entry['account_sequence']} of its account)" if entry["account_sequence"] else ""
    lines = [
        f"#{entry['index']}  {entry['recorded_time']}  {entry['kind']}",
        f"  by {entry['actor']}, told by {entry['producer']}, occurred {entry['occurred_time']}",
        f"  about {about or 'nothing'}{number}",
        *(f"  {name}: {value if isinstance(value, str) else _json(value)}" for name, value in entry["data"].items()),
        f"  event {entry['event_id']}" + (f", trace {entry['trace_parent']}" if entry["trace_parent"] else ""),
    ]
    return "\n".join(lines) + "\n\n"


def _csv(rows: Iterable[Iterable[object]]) -> bytes:
    lines = _Lines()
    csv.writer(lines).writerows(rows)
    return "".join(lines).encode()


class _Lines(list[str]):
    """Takes what a CSV writer writes."""

    def write(self, line: str) -> None:
        self.append(line)


def _json(value: Any) -> str:  # noqa: ANN401 - JSON
    return canonical_json(value).decode()
