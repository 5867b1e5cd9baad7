"""The clocks of a running service.

`SystemClock` says when things were recorded. `ShiftedClock` is the market's time: the demo trades on prices of a past
day, so its market clock stands there, while everything recorded carries the real instant.
"""

from datetime import UTC, datetime, timedelta


class SystemClock:
    """The computer's clock."""

    def now(self) -> datetime:
        """Return the present instant, in UTC."""
        return datetime.now(UTC)


class ShiftedClock:
    """The computer's clock, moved by a fixed time."""

    def __init__(self, offset: timedelta = timedelta(0)) -> None:
        """Run `offset` ahead of the computer's clock; behind it when negative."""
        self._offset = offset

    def now(self) -> datetime:
        """Return the shifted instant, in UTC."""
        return datetime.now(UTC) + self._offset
