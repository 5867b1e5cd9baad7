"""Writes down on which days exchanges trade, and compares what is written with its source.

The source is the package `exchange_calendars`. Its days are compiled into modules of plain words, so that what runs
needs neither the package nor pandas, starts at once, and shows in a diff what a new version of the package changes.

    python -m tools.checks.calendars generate
    python -m tools.checks.calendars check
"""

import sys
from collections.abc import Iterator
from datetime import date, timedelta
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WRITTEN = ROOT / "services" / "execution" / "domain" / "market_days"

# By market identifier code, ISO 10383. One session a day, Monday to Friday.
EXCHANGES = ("XAMS", "XBRU", "XDUB", "XETR", "XLIS", "XLON", "XMIL", "XNYS", "XPAR", "XSWX", "XTSE")
FIRST_YEAR, LAST_YEAR = 2010, 2030
SATURDAY = 5

_HEAD = '''"""On which days exchanges trade, and until when. Written by `make calendars`; nobody edits it.

Source: the package exchange_calendars. For each exchange, by its market identifier code (ISO 10383): its time zone and
the regular hours of its session; the weekdays of each year on which it is closed, as month and day; and the days on
which it closes early, with the time.
"""

from services.execution.domain.market_days.closed import CLOSED
from services.execution.domain.market_days.early import EARLY

__all__ = ["CLOSED", "EARLY", "FIRST_YEAR", "HOURS", "LAST_YEAR", "SOURCE"]

SOURCE = "exchange_calendars {version}"
FIRST_YEAR, LAST_YEAR = {first}, {last}

# Time zone, opening, close.
HOURS = {{
{hours}
}}
'''
_DAYS = '''"""{what}.

Written by `make calendars`; nobody edits it.
"""

{name} = {{
{days}
}}
'''


def written() -> dict[str, str]:
    """Return the modules by their file's name, from the installed version of the package.

    Raises:
        ValueError: An exchange has hours that cannot be said this way.
    """
    hours, closed, early = [], [], []
    for mic in EXCHANGES:
        regular, closings, ends = _days_of(mic)
        hours.append(f'    "{mic}": ({", ".join(f"{each!r}" for each in regular)}),'.replace("'", '"'))
        closed.append(f'    "{mic}": """\n' + "\n".join(_by_year(closings)) + '\n""",')
        early.append(f'    "{mic}": """\n' + "\n".join(_by_year(ends)) + '\n""",')
    head = _HEAD.format(version=version("exchange_calendars"), first=FIRST_YEAR, last=LAST_YEAR, hours="\n".join(hours))
    closing = "The weekdays of each year on which exchanges are closed, as month and day"
    ending = "The days of each year on which exchanges close early, as month and day with the time"
    return {
        "__init__.py": head,
        "closed.py": _DAYS.format(what=closing, name="CLOSED", days="\n".join(closed)),
        "early.py": _DAYS.format(what=ending, name="EARLY", days="\n".join(early)),
    }


def _days_of(mic: str) -> tuple[tuple[str, str, str], dict[date, str], dict[date, str]]:
    from exchange_calendars import get_calendar  # noqa: PLC0415 - needs a second, and only here

    # The package's window is short unless it is told.
    calendar = get_calendar(mic, start=f"{FIRST_YEAR}-01-01", end=f"{LAST_YEAR}-12-31")
    zone = str(calendar.tz)
    opens = [each.strftime("%H:%M") for each in calendar.opens.dt.tz_convert(zone)]
    closes = [each.strftime("%H:%M") for each in calendar.closes.dt.tz_convert(zone)]
    days = [each.date() for each in calendar.sessions]
    opening, close = max(set(opens), key=opens.count), max(set(closes), key=closes.count)
    if set(opens) != {opening}:
        raise ValueError(f"{mic} must open at one time of day, opens at {sorted(set(opens))}")
    if any(day.weekday() >= SATURDAY for day in days):
        raise ValueError(f"{mic} must trade from Monday to Friday only")
    trading = set(days)
    closings = {day: f"{day:%m%d}" for day in _weekdays() if day not in trading}
    ends = {day: f"{day:%m%d}={at.replace(':', '')}" for day, at in zip(days, closes, strict=True) if at != close}
    return (zone, opening, close), closings, ends


def _weekdays() -> Iterator[date]:
    day = date(FIRST_YEAR, 1, 1)
    while day.year <= LAST_YEAR:
        if day.weekday() < SATURDAY:
            yield day
        day += timedelta(days=1)


def _by_year(days: dict[date, str]) -> Iterator[str]:
    for year in range(FIRST_YEAR, LAST_YEAR + 1):
        said = [days[day] for day in sorted(days) if day.year == year]
        if said:
            yield f"{year} {' '.join(said)}"


def main(asked: str) -> int:
    """Write the modules, or compare them; return 1 when one differs."""
    modules = written()
    if asked == "generate":
        WRITTEN.mkdir(exist_ok=True)
        for name, text in modules.items():
            (WRITTEN / name).write_text(text)
        return 0
    if all((WRITTEN / name).read_text() == text for name, text in modules.items()):
        return 0
    print("market_days differs from exchange_calendars: make calendars", file=sys.stderr)  # noqa: T201 - a check
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "check"))
