"""How long must an entry be kept, and which rule says so?

A *retention class* is governed data: which kinds of entries it covers, for how many years, from when on the years
count, and the words of law behind it. An entry is kept until the latest end of all classes that cover its kind; a kind
that no class covers is kept for ever, because nobody has said that it may go.

A class changes by a new version of itself, which two people made. A version that keeps longer reaches back to what was
recorded before; one that keeps shorter does not: an entry recorded under a promise keeps it.

Instants are UTC. A year that ends "at the end of a day" ends when that day has ended in every time zone, 12 hours after
it ended in UTC.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any

from services.kernel.canonical import JsonValue

YEARS_MAX = 100
KINDS_MAX = 50
_BELOW = ".*"

# The westernmost time zone is 12 hours behind UTC.
_DAY_ENDS_EVERYWHERE = timedelta(hours=12)

# A year without a leap day: a fiscal year that ends on 29 February ends on the 28th in other years.
_DAYS_OF_MONTH = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


class StartRule(StrEnum):
    """From when on the years of a class count."""

    # The instant at which the entry was recorded (17 CFR 240.17a-4: a period of years from the making of the record).
    RECORDED = "RECORDED"
    # The end of the calendar year in which it was recorded.
    CALENDAR_YEAR_END = "CALENDAR_YEAR_END"
    # The end of the fiscal year in which it was recorded (17 CFR 275.204-2(e)(1)).
    FISCAL_YEAR_END = "FISCAL_YEAR_END"


class ClassInvalid(ValueError):
    """A retention class contradicts itself."""

    def __init__(self, field: str, description: str) -> None:
        """Say which field, and what is wrong with it."""
        super().__init__(f"{field}: {description}")
        self.field = field
        self.description = description


@dataclass(frozen=True, slots=True)
class RetentionClass:
    """For how long entries of some kinds are kept, and why.

    Attributes:
        class_id: Its name.
        title: What it is.
        citation: The law, rule or contract that asks for it.
        kinds: The kinds of events it covers, or with a trailing `.*` all kinds below one.
        years: How many; 0 for what no duty keeps.
        accessible_years: How many of them, from the same start, entries must be answerable at once (SEC 17a-4: "in an
            easily accessible place").
        start_rule: From when on the years count.
        fiscal_year_end: Month and day; None unless the start rule needs it.
    """

    class_id: str
    title: str
    citation: str
    kinds: tuple[str, ...]
    years: int
    accessible_years: int
    start_rule: StartRule
    fiscal_year_end: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        """Refuse what contradicts itself.

        Raises:
            ClassInvalid: A field is out of range, or the start rule and the fiscal year's end do not fit.
        """
        if not 0 <= self.years <= YEARS_MAX:
            raise ClassInvalid("years", f"must be 0 to {YEARS_MAX}, was {self.years}")
        if not 0 <= self.accessible_years <= self.years:
            raise ClassInvalid("accessible_years", f"must be 0 to {self.years}, the years, was {self.accessible_years}")
        if not 1 <= len(self.kinds) <= KINDS_MAX or len(set(self.kinds)) != len(self.kinds):
            raise ClassInvalid("kinds", f"must be 1 to {KINDS_MAX}, each once, were {len(self.kinds)}")
        if not self.citation.strip():
            raise ClassInvalid("citation", "must name the law, rule or contract that asks for this")
        needs_end = self.start_rule is StartRule.FISCAL_YEAR_END
        if needs_end != (self.fiscal_year_end is not None):
            raise ClassInvalid(
                "fiscal_year_end", f"must be {'set' if needs_end else 'absent'} when the start is {self.start_rule}"
            )
        if self.fiscal_year_end is not None:
            month, day = self.fiscal_year_end
            if not 1 <= month <= 12 or not 1 <= day <= _DAYS_OF_MONTH[month - 1]:
                raise ClassInvalid("fiscal_year_end", f"must be a month and its day, was {month}-{day}")

    def covers(self, kind: str) -> bool:
        """Return whether entries of `kind` are in this class."""
        return any(
            each == kind or (each.endswith(_BELOW) and kind.startswith(each.removesuffix("*"))) for each in self.kinds
        )

    def start(self, recorded_time: datetime) -> datetime:
        """Return from when on the years of an entry count."""
        match self.start_rule:
            case StartRule.RECORDED:
                return recorded_time
            case StartRule.CALENDAR_YEAR_END:
                return _year_end(recorded_time, 12, 31)
            case StartRule.FISCAL_YEAR_END:
                month, day = self.fiscal_year_end or (12, 31)
                return _year_end(recorded_time, month, day)

    def end(self, recorded_time: datetime) -> datetime:
        """Return from when on this class lets an entry go."""
        return _years_later(self.start(recorded_time), self.years)

    def accessible_until(self, recorded_time: datetime) -> datetime:
        """Return until when an entry must be answerable at once."""
        return _years_later(self.start(recorded_time), self.accessible_years)

    def data(self) -> dict[str, JsonValue]:
        """Return the class as the log records it."""
        return {
            "class_id": self.class_id,
            "title": self.title,
            "citation": self.citation,
            "kinds": list(self.kinds),
            "years": self.years,
            "accessible_years": self.accessible_years,
            "start_rule": self.start_rule.value,
            "fiscal_year_end": None if self.fiscal_year_end is None else list(self.fiscal_year_end),
        }

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> "RetentionClass":
        """Return the class that `data()` gave."""
        end = data["fiscal_year_end"]
        return cls(
            class_id=data["class_id"],
            title=data["title"],
            citation=data["citation"],
            kinds=tuple(data["kinds"]),
            years=data["years"],
            accessible_years=data["accessible_years"],
            start_rule=StartRule(data["start_rule"]),
            fiscal_year_end=None if end is None else (end[0], end[1]),
        )


@dataclass(frozen=True, slots=True)
class ClassVersion:
    """A class as it was approved at an instant; `index` is the entry that approved it."""

    rule: RetentionClass
    approved_time: datetime
    index: int


@dataclass(frozen=True, slots=True)
class Kept:
    """Until when an entry is kept, and by which class; `until` is None when for ever, because no class covers it."""

    until: datetime | None
    accessible_until: datetime | None
    rule: RetentionClass | None


def kept(kind: str, recorded_time: datetime, classes: Iterable[Sequence[ClassVersion]]) -> Kept:
    """Return until when an entry of `kind` is kept.

    Args:
        kind: Of the entry's event.
        recorded_time: When the log recorded it.
        classes: Of each class its versions, oldest first.
    """
    best = Kept(None, None, None)
    accessible: datetime | None = None
    for versions in classes:
        for rule in _bound_by(recorded_time, versions):
            if not rule.covers(kind):
                continue
            until, reachable = rule.end(recorded_time), rule.accessible_until(recorded_time)
            accessible = reachable if accessible is None else max(accessible, reachable)
            if best.until is None or until > best.until:
                best = Kept(until, None, rule)
    return Kept(best.until, accessible, best.rule)


def _bound_by(recorded_time: datetime, versions: Sequence[ClassVersion]) -> list[RetentionClass]:
    """Return the versions that bind an entry: the newest, and the one it was recorded under."""
    promised = [each.rule for each in versions if each.approved_time <= recorded_time]
    return [versions[-1].rule, *promised[-1:]]


def _year_end(recorded_time: datetime, month: int, day: int) -> datetime:
    """Return when the year ended, everywhere, that ends on `month` and `day` and in which `recorded_time` lies."""
    on = recorded_time.astimezone(UTC).date()
    year = on.year if on <= _date(on.year, month, day) else on.year + 1
    return (
        datetime.combine(_date(year, month, day) + timedelta(days=1), datetime.min.time(), UTC) + _DAY_ENDS_EVERYWHERE
    )


def _years_later(instant: datetime, years: int) -> datetime:
    """Return the same instant of the year `years` later; of 29 February, 1 March in a year without one."""
    try:
        return instant.replace(year=instant.year + years)
    except ValueError:
        return instant.replace(year=instant.year + years, month=3, day=1)


def _date(year: int, month: int, day: int) -> date:
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return date(year, month, 28 if (month, day) == (2, 29) and not leap else day)
