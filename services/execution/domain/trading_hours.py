"""When may an order leave for the market, and what becomes of it when it is too late for today?

A session has a cut-off, some time before it closes: what has not left by then does not leave any more. The next session
may have it (carry), while its plan lives, or it is given up (cancel). An order for an auction has its own time. A
simulated venue that never closes takes orders at any time (send).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from services.execution.domain.exchanges import Exchange, Session
from services.execution.domain.words import TimeInForce

AUCTIONS = frozenset({TimeInForce.AT_THE_OPENING, TimeInForce.AT_THE_CLOSE})


class Outside(StrEnum):
    """What becomes of orders that wait while the exchange is closed."""

    SEND = "SEND"
    CARRY = "CARRY"
    CANCEL = "CANCEL"


@dataclass(frozen=True, slots=True)
class TradingHours:
    """An exchange's hours for us: nothing new leaves from `cut_off` before the close on."""

    exchange: Exchange
    outside: Outside
    cut_off: timedelta

    def open_at(self, now: datetime) -> bool:
        """Return whether an order that is not for an auction may leave now."""
        return self.outside is Outside.SEND or self.next_open(now) <= now

    def next_open(self, now: datetime) -> datetime:
        """Return from when on orders may leave: an instant that has passed while they may."""
        return self._session(now).open_time

    def cut_off_after(self, now: datetime) -> datetime:
        """Return until when an order that comes now may leave, by the hours alone: in this session or the next."""
        return self._session(now).close_time - self.cut_off

    def expire_time(self, now: datetime, plans: datetime, time_in_force: TimeInForce) -> datetime:
        """Return when an order that is taken now expires, whose plan expires at `plans`."""
        if self.outside is not Outside.CANCEL or time_in_force in AUCTIONS:
            return plans
        return min(plans, self.cut_off_after(now))

    def is_cut_off(self, instant: datetime) -> bool:
        """Return whether an order that expired at this instant missed its session, rather than outlived its plan."""
        day = self.exchange.date_at(instant)
        return (
            self.outside is Outside.CANCEL
            and self.exchange.trades_on(day)
            and self.exchange.session_of(day).close_time - self.cut_off == instant
        )

    def _session(self, now: datetime) -> Session:
        """Return the session whose cut-off comes next."""
        return self.exchange.session_after(now + self.cut_off)
