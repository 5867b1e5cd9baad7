"""When may a session be logged on, and when do its numbers begin anew?

At the start of a period, and at no other time, both sides begin at 1. Periods are daily or weekly, in the
counterparty's time zone, so a change to summer time moves them as it moves the counterparty's clocks.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

_DAY = timedelta(days=1)
_WEEK = 7
WEEKDAYS = frozenset(range(5))
EVERY_DAY = frozenset(range(7))


@dataclass(frozen=True, slots=True)
class Period:
    """From `start` on, up to but without `end`; UTC."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Schedule:
    """Periods that begin on some weekdays at a wall-clock time and last some days until another.

    Attributes:
        opens: Wall-clock time of the start.
        closes: Wall-clock time of the end; with `days` 0 and not after `opens`, on the next day.
        zone: IANA name of the time zone.
        starts_on: Weekdays on which a period starts, Monday 0.
        days: Whole days between the date of the start and that of the end, for weekly sessions.
    """

    opens: time
    closes: time
    zone: str = "UTC"
    starts_on: frozenset[int] = EVERY_DAY
    days: int = 0

    def __post_init__(self) -> None:
        """Refuse a schedule that has no periods, or periods that overlap."""
        ZoneInfo(self.zone)
        if not self.starts_on or not self.starts_on <= EVERY_DAY:
            raise ValueError(f"a session must start on weekdays 0 to 6, was {sorted(self.starts_on)}")
        if not 0 <= self.days <= _WEEK:
            raise ValueError(f"a session must end within 7 days, was {self.days}")
        if self.days and len(self.starts_on) > 1:
            raise ValueError(f"a session over {self.days} days must start once a week, was {sorted(self.starts_on)}")
        if self.days == _WEEK and self.closes > self.opens:
            raise ValueError(f"a session must end before the next one starts, was {self.closes} after {self.opens}")

    def period(self, now: datetime) -> Period | None:
        """Return the period that `now` is in; None between periods."""
        return next((each for each in self._around(now) if each.start <= now < each.end), None)

    def next_start(self, now: datetime) -> datetime:
        """Return when the next period after `now` starts."""
        return min(each.start for each in self._around(now) if each.start > now)

    def _around(self, now: datetime) -> list[Period]:
        zone = ZoneInfo(self.zone)
        today = now.astimezone(zone).date()
        length = self.days or (0 if self.closes > self.opens else 1)
        periods = []
        for offset in range(-_WEEK - 1, _WEEK + 2):
            date = today + offset * _DAY
            if date.weekday() in self.starts_on:
                start = datetime.combine(date, self.opens, zone)
                end = datetime.combine(date + length * _DAY, self.closes, zone)
                periods.append(Period(start.astimezone(UTC), end.astimezone(UTC)))
        return periods


class Always:
    """A session that never ends; its numbers begin anew only when both sides agree to."""

    _EVER = Period(datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))

    def period(self, now: datetime) -> Period | None:  # noqa: ARG002 - the same at any time
        """Return the one period there is."""
        return self._EVER

    def next_start(self, now: datetime) -> datetime:
        """Return `now`."""
        return now


ALWAYS = Always()
