"""On which days exchanges trade, and until when. Written by `make calendars`; nobody edits it.

Source: the package exchange_calendars. For each exchange, by its market identifier code (ISO 10383): its time zone and
the regular hours of its session; the weekdays of each year on which it is closed, as month and day; and the days on
which it closes early, with the time.
"""

from services.execution.domain.market_days.closed import CLOSED
from services.execution.domain.market_days.early import EARLY

__all__ = ["CLOSED", "EARLY", "FIRST_YEAR", "HOURS", "LAST_YEAR", "SOURCE"]

SOURCE = "exchange_calendars 4.13.2"
FIRST_YEAR, LAST_YEAR = 2010, 2030

# Time zone, opening, close.
HOURS = {
    "XAMS": ("Europe/Amsterdam", "09:00", "17:30"),
    "XBRU": ("Europe/Brussels", "09:00", "17:30"),
    "XDUB": ("Europe/Dublin", "08:00", "16:28"),
    "XETR": ("Europe/Berlin", "09:00", "17:30"),
    "XLIS": ("Europe/Lisbon", "08:00", "16:30"),
    "XLON": ("Europe/London", "08:00", "16:30"),
    "XMIL": ("Europe/Rome", "09:00", "17:30"),
    "XNYS": ("America/New_York", "09:30", "16:00"),
    "XPAR": ("Europe/Paris", "09:00", "17:30"),
    "XSWX": ("Europe/Zurich", "09:00", "17:30"),
    "XTSE": ("America/Toronto", "09:30", "16:00"),
}
