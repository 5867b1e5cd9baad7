"""Which producers are silent, and how far are the clocks apart?

Silence: a relay says every few seconds that it works. A log cannot tell a producer that has nothing to say from one
that cannot speak, and a record with a hole that nobody noticed is worth little (Reg. (EU) 2024/1774 Art. 12: detect the
failure of logging).

Clocks: an offset is measured as in RFC 5905, section 8, and is known no better than half of the round trip. So a
measurement is within a limit *for certain* only when offset and uncertainty together are.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from services.kernel.canonical import JsonValue

SILENT_KIND = "audit.producer.silent"
HEARD_KIND = "audit.producer.heard"
CLOCK_KIND = "audit.clock.checked"

# FINRA 4590: computer clocks within 50 ms of NIST. Reg. (EU) 2025/1155: within 1 ms of UTC, outside high frequency.
LIMIT_FINRA_US = 50_000
LIMIT_EU_US = 1_000
# Half of what is allowed: time to act.
ALARM_US = 25_000

_MICROSECOND = timedelta(microseconds=1)


class ClockKind(StrEnum):
    """What a clock is that ours is compared with."""

    DATABASE = "DATABASE"
    PRODUCER = "PRODUCER"
    NTP = "NTP"


@dataclass(frozen=True, slots=True)
class Measurement:
    """How far our clock is ahead of another, and within how much of that the truth is, in microseconds.

    `stratum` is a time server's distance from a reference clock; None of clocks that do not say one.
    """

    source: str
    kind: ClockKind
    offset_us: int
    uncertainty_us: int
    measured_time: datetime
    stratum: int | None = None

    def within(self, limit_us: int) -> bool:
        """Return whether the clocks are within `limit_us` for certain."""
        return abs(self.offset_us) + self.uncertainty_us <= limit_us

    def beyond(self, limit_us: int) -> bool:
        """Return whether the clocks are further apart than `limit_us` for certain.

        A measurement that took long is often neither this nor within the limit.
        """
        return abs(self.offset_us) - self.uncertainty_us > limit_us

    def data(self) -> dict[str, JsonValue]:
        """Return it as the log records it."""
        return {
            "source": self.source,
            "source_kind": self.kind.value,
            "offset_us": self.offset_us,
            "uncertainty_us": self.uncertainty_us,
            "stratum": self.stratum,
            "within_50_ms": self.within(LIMIT_FINRA_US),
            "within_1_ms": self.within(LIMIT_EU_US),
        }


def ahead(sent: datetime, received: datetime, answered: datetime, returned: datetime) -> tuple[int, int]:
    """Return how far the answerer's clock is ahead of the asker's, and the uncertainty, in microseconds.

    Args:
        sent: By the asker's clock.
        received: By the answerer's.
        answered: By the answerer's.
        returned: By the asker's.
    """
    offset = ((received - sent) + (answered - returned)) / 2
    delay = (returned - sent) - (answered - received)
    return round(offset / _MICROSECOND), max(0, -(-delay // (2 * _MICROSECOND)))


@dataclass(slots=True)
class Producer:
    """What is known of a producer. `since` is when watching it began."""

    name: str
    since: datetime
    heard_time: datetime | None = None
    waiting_events: int = 0
    silent: bool = False


@dataclass(slots=True)
class Watching:
    """Which producers speak."""

    silent_after: timedelta
    producers: dict[str, Producer] = field(default_factory=dict)

    def expect(self, names: Iterable[str], now: datetime) -> None:
        """Begin to watch these; what is known of them is forgotten."""
        self.producers = {name: Producer(name, now) for name in names}

    def heard(self, name: str, waiting_events: int, now: datetime) -> bool:
        """Note that a producer spoke; return whether it was silent."""
        producer = self.producers.setdefault(name, Producer(name, now))
        was_silent, producer.silent = producer.silent, False
        producer.heard_time, producer.waiting_events = now, waiting_events
        return was_silent

    def fallen_silent(self, now: datetime) -> list[Producer]:
        """Return those that are silent now and were not when last asked."""
        found = [
            each
            for each in self.producers.values()
            if not each.silent and now - (each.heard_time or each.since) > self.silent_after
        ]
        for each in found:
            each.silent = True
        return found


def clocks_data(measurements: Mapping[str, Measurement]) -> dict[str, JsonValue]:
    """Return what a clock check records."""
    return {
        "host_clock": "CLOCK_REALTIME",
        "stamped_at": "the sequencer, when a commit is made",
        "sources": [measurements[name].data() for name in sorted(measurements)],
    }
