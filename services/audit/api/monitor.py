"""`evenkeel.audit.v1.MonitorService`: heartbeats, and whether all is well."""

from typing import Any

import grpc.aio

from evenkeel.audit.v1 import monitor_service_pb2 as pb
from evenkeel.audit.v1.monitor_service_pb2_grpc import MonitorServiceServicer
from services.audit.app.monitor import Monitor
from services.audit.domain.errors import ProducerForeign
from services.kernel.clock import Clock
from services.runtime.context import current_caller
from services.runtime.wire import instant_message

_Context = grpc.aio.ServicerContext[Any, Any]


class MonitorServicer(MonitorServiceServicer):
    """Hears producers, and tells whether they speak."""

    def __init__(self, monitor: Monitor, clock: Clock) -> None:
        """Answer by `monitor`."""
        self._monitor = monitor
        self._clock = clock

    async def Heartbeat(self, request: pb.HeartbeatRequest, context: _Context) -> pb.HeartbeatResponse:
        caller = current_caller()
        if caller is None or f"{request.producer}_service" not in caller.roles:
            raise ProducerForeign(f"a caller speaks for itself, not for {request.producer}", producer=request.producer)
        said = request.measurement
        measured = (said.offset_us, said.uncertainty_us) if request.HasField("measurement") else None
        heard = await self._monitor.heartbeat(request.producer, request.waiting_events, measured)
        return pb.HeartbeatResponse(receive_time=instant_message(heard), answer_time=instant_message(self._clock.now()))

    async def GetStatus(self, request: pb.GetStatusRequest, context: _Context) -> pb.GetStatusResponse:
        producers, measurements = self._monitor.watching.producers, self._monitor.measurements
        return pb.GetStatusResponse(
            producers=(
                pb.ProducerStatus(
                    producer=name,
                    silent=producers[name].silent,
                    heard_time=None if (heard := producers[name].heard_time) is None else instant_message(heard),
                    waiting_events=producers[name].waiting_events,
                )
                for name in sorted(producers)
            ),
            clocks=(
                pb.ClockStatus(
                    source=name,
                    measurement=pb.ClockMeasurement(
                        offset_us=measurements[name].offset_us, uncertainty_us=measurements[name].uncertainty_us
                    ),
                    measure_time=instant_message(measurements[name].measured_time),
                )
                for name in sorted(measurements)
            ),
        )
