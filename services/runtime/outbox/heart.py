"""Says to audit that this service's relay works, and measures how far the clocks are apart on the way."""

from typing import TYPE_CHECKING

import grpc.aio
from opentelemetry import trace

from evenkeel.audit.v1 import monitor_service_pb2 as monitor
from evenkeel.audit.v1.monitor_service_pb2_grpc import MonitorServiceStub
from services.kernel.clock import Clock
from services.kernel.errors import Fact
from services.runtime.client.errors import PeerFault, peer_errors
from services.runtime.logging import get_logger
from services.runtime.wire import instant_message, instant_of

if TYPE_CHECKING:
    # Exists for the type checker only.
    from evenkeel.audit.v1.monitor_service_pb2_grpc import MonitorServiceAsyncStub

log = get_logger()

# Between two heartbeats, in seconds; audit says that a producer is silent after several that did not come.
BEAT_S = 10.0
ANSWER_S_MAX = 2.0


# What happens within is not sampled, here and at audit: a heartbeat is nobody's trace.
_UNTRACED = trace.NonRecordingSpan(trace.SpanContext(1, 1, is_remote=False, trace_flags=trace.TraceFlags(0)))


class Heart:
    """Sends heartbeats, at most one every `BEAT_S`."""

    def __init__(self, channel: grpc.aio.Channel, producer: str, clock: Clock) -> None:
        """Speak for `producer` over `channel`."""
        self._stub: MonitorServiceAsyncStub = MonitorServiceStub(channel)
        self._producer = producer
        self._clock = clock
        self._beaten_s = float("-inf")
        self._measured: monitor.ClockMeasurement | None = None
        self._heard = True

    async def beat(self, waiting_events: int, now_s: float) -> None:
        """Send one when it is time: `now_s` on a clock that only goes forward. That audit is away is no error."""
        if now_s - self._beaten_s < BEAT_S:
            return
        self._beaten_s = now_s
        sent = self._clock.now()
        request = monitor.HeartbeatRequest(
            producer=self._producer,
            send_time=instant_message(sent),
            waiting_events=waiting_events,
            measurement=self._measured,
        )
        self._measured = None
        try:
            with trace.use_span(_UNTRACED), peer_errors("audit"):
                answer = await self._stub.Heartbeat(request, timeout=ANSWER_S_MAX)
        except (Fact, PeerFault) as failure:
            # An audit of an earlier version knows no heartbeats. Shipping goes on.
            if self._heard:
                log.info("audit does not hear heartbeats", why=str(failure))
            self._heard = False
            return
        self._heard = True
        returned = self._clock.now()
        received = instant_of(answer.receive_time, "receive_time")
        answered = instant_of(answer.answer_time, "answer_time")
        # RFC 5905, section 8: offset and half of the round trip.
        offset = ((received - sent) + (answered - returned)) / 2
        delay = (returned - sent) - (answered - received)
        self._measured = monitor.ClockMeasurement(
            offset_us=round(offset.total_seconds() * 1e6), uncertainty_us=max(0, round(delay.total_seconds() * 5e5))
        )
