"""Makes reports from the log alone."""

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from services.audit.app.ports import LogReader
from services.audit.domain.checkpoint import SignedCheckpoint
from services.audit.domain.errors import ReportUnknown, TreeSizeUnknown
from services.audit.domain.filter import EntryFilter
from services.audit.domain.reports.base import Fact, Report, Row, missing
from services.audit.domain.reports.standing import (
    CLIENT_KINDS,
    CONSENTED,
    IDENTIFIED,
    PROFILE,
    STANDING_KINDS,
    WITHDRAWN,
)
from services.kernel.errors import Invalid, Violations

# Entries that one report may be made from; they are in memory at once, about 2 KB each.
ENTRIES_MAX = 300_000
_STEP_ENTRIES = 1_000
ROWS_AT_ONCE = 100

# Reads every kind.
EVERY_KIND = ".*"

# The kinds of things that an order's story leads to from what was asked about, and how far.
_LEADS = ("plan", "run", "block")
# What holds until the next of its kind, by the kinds of things that it is said of.
_STANDING: Mapping[str, Sequence[str]] = {
    "instrument": (IDENTIFIED,),
    **dict.fromkeys(CLIENT_KINDS, (PROFILE, CONSENTED, WITHDRAWN)),
}


@dataclass(frozen=True, slots=True)
class ReportPart:
    """The next rows of a report, each with the names of what it misses."""

    rows: Sequence[tuple[Row, Sequence[str]]]


@dataclass(frozen=True, slots=True)
class ReportEnd:
    """What a report came to."""

    rows: int
    entries: int
    missing: Mapping[str, int] = field(default_factory=dict)


class Reporter:
    """Makes each of the reports that are installed."""

    def __init__(self, reports: Sequence[Report], readers: Mapping[str, LogReader]) -> None:
        """Make `reports`, each from the log it names of `readers`.

        Raises:
            ValueError: Two have one name, or one is made from a log that is not there.
        """
        self.reports = {each.name: each for each in sorted(reports, key=lambda each: each.name)}
        if len(self.reports) != len(reports):
            raise ValueError(f"two reports have one name among {', '.join(sorted(each.name for each in reports))}")
        for each in reports:
            if each.log not in readers:
                raise ValueError(f"report {each.name} is made from the log {each.log}, which is not there")
        self._readers = readers

    def named(self, name: str) -> Report:
        """Return the report `name`.

        Raises:
            ReportUnknown: None has this name.
        """
        if name not in self.reports:
            raise ReportUnknown(f"there is no report {name}; there are {', '.join(self.reports)}", report=name)
        return self.reports[name]

    async def checkpoint(self, report: Report) -> SignedCheckpoint:
        """Return the newest checkpoint of the log that a report is made from.

        Raises:
            TreeSizeUnknown: Nobody has written to it yet.
        """
        signed = await self._readers[report.log].checkpoint()
        if signed is None:
            raise TreeSizeUnknown("the log has no checkpoint yet")
        return signed

    async def make(
        self,
        report: Report,
        *,
        size: int,
        subjects: Mapping[str, str],
        start_time: datetime | None,
        end_time: datetime | None,
    ) -> AsyncIterator[ReportPart | ReportEnd]:
        """Yield the report in parts, and its end.

        What is asked about is looked for in the period; what that leads to (the plan of an order, the run of a plan,
        the block of an order, who its client is) is read whenever it was recorded.

        Args:
            report: Which.
            size: How much of the log to read.
            subjects: Only about all of these.
            start_time: Only from entries recorded then or later.
            end_time: Only from entries recorded before.

        Raises:
            Invalid: There are too many entries.
        """
        log = self._readers[report.log]
        facts: dict[int, Fact] = {}
        for kind in report.kinds:
            wanted = EntryFilter(
                None if kind == EVERY_KIND else kind, subjects, start_time=start_time, end_time=end_time
            )
            await self._read(log, wanted, size, facts)
        asked = frozenset(facts)
        if subjects or start_time is not None or end_time is not None:
            await self._lead_on(report, log, size, facts)
        counts: Counter[str] = Counter()
        rows = 0
        part: list[tuple[Row, Sequence[str]]] = []
        for row in report.rows(facts[index] for index in sorted(facts)):
            # What an order leads to has other orders too, which nobody asked about.
            if subjects and asked.isdisjoint(row.evidence):
                continue
            lacks = missing(report, row)
            counts.update(lacks)
            rows += 1
            part.append((row, lacks))
            if len(part) == ROWS_AT_ONCE:
                yield ReportPart(part)
                part = []
        if part:
            yield ReportPart(part)
        yield ReportEnd(rows, len(facts), dict(sorted(counts.items())))

    async def _lead_on(self, report: Report, log: LogReader, size: int, facts: dict[int, Fact]) -> None:
        """Read what the entries found lead to, for reports whose kinds are told about plans, runs and blocks."""
        if not any(kind.startswith("execution.order") for kind in report.kinds):
            return
        for lead in _LEADS:
            found = dict.fromkeys(each for fact in facts.values() if (each := fact.about(lead)))
            for identifier in found:
                for kind in report.kinds:
                    if kind in STANDING_KINDS:
                        continue
                    # A run has thousands of plans; what it leads to is how it began.
                    if lead != "run" or kind == "decision.run.started":
                        await self._read(log, EntryFilter(kind, {lead: identifier}), size, facts)
        for lead, kinds in _STANDING.items():
            for identifier in dict.fromkeys(each for fact in facts.values() if (each := fact.about(lead))):
                for kind in kinds:
                    if kind in report.kinds:
                        await self._read(log, EntryFilter(kind, {lead: identifier}), size, facts)

    async def _read(self, log: LogReader, wanted: EntryFilter, size: int, facts: dict[int, Fact]) -> None:
        start = 0
        while start < size:
            found = await log.matching(wanted, start=start, stop=size, limit=_STEP_ENTRIES)
            for entry in found:
                facts[entry.index] = Fact.of(entry)
                start = entry.index + 1
            if len(facts) > ENTRIES_MAX:
                violations = Violations()
                violations.add("end_time", f"the period has more than {ENTRIES_MAX} entries; ask for a shorter one")
                violations.raise_if_any(Invalid)
            if len(found) < _STEP_ENTRIES:
                return
