"""`evenkeel.audit.v1.ExportService`: who exports what is recorded, then it is streamed."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import grpc.aio

from evenkeel.audit.v1 import export_service_pb2 as pb
from evenkeel.audit.v1.export_service_pb2_grpc import ExportServiceServicer
from services.audit.api.messages import filter_of, question_of
from services.audit.api.reading import AccessRecorder
from services.audit.app import Access, Exporter, ExportOrder, Form
from services.audit.app.access import EXPORTED_KIND
from services.audit.domain.errors import LogUnknown
from services.audit.domain.logs import EVENTS
from services.kernel.canonical import JsonValue
from services.kernel.clock import Clock
from services.kernel.errors import Invalid, Violations
from services.runtime.context import current_caller

# Bytes of one message.
PIECE_BYTES_MAX = 1_000_000

_FORMS = {pb.ExportRequest.FORM_CSV: Form.CSV, pb.ExportRequest.FORM_TEXT: Form.TEXT}


class ExportServicer(ExportServiceServicer):
    """Streams exports."""

    def __init__(self, exporters: Mapping[str, Exporter], access: AccessRecorder, clock: Clock) -> None:
        """Export the logs of `exporters`, by their names, and have `access` write down who does."""
        self._exporters = exporters
        self._access = access
        self._clock = clock

    async def Export(
        self, request: pb.ExportRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[pb.ExportResponse]:
        log = request.log or EVENTS
        exporter = self._exporters.get(log)
        if exporter is None:
            raise LogUnknown(f"there is no log {log}; there are {', '.join(self._exporters)}", log=log)
        violations = Violations()
        stop = request.stop_index if request.HasField("stop_index") else None
        if stop is not None and stop < request.start_index:
            violations.add("stop_index", f"must be at least the start index, {request.start_index}, was {stop}")
        violations.raise_if_any(Invalid)
        wanted = filter_of(request.filter)
        size = request.tree_size if request.HasField("tree_size") else None
        question: dict[str, JsonValue] = {
            **question_of(wanted),
            "forms": sorted(_FORMS[each] for each in request.forms),
            "reason": request.reason,
            "start_index": request.start_index,
            "stop_index": stop,
            "tree_size": size,
        }
        index = await self._access.record(context, Access(log, wanted.subjects, question, kind=EXPORTED_KIND))
        caller = current_caller()
        order = ExportOrder(
            log=log,
            wanted=wanted,
            forms=frozenset(_FORMS[each] for each in request.forms),
            exporter="" if caller is None else caller.subject,
            access_index=index,
            tree_size=size,
            start_index=request.start_index,
            stop_index=stop,
        )
        async for path, content in exporter.export(order, self._clock.now()):
            for at in range(0, max(1, len(content)), PIECE_BYTES_MAX):
                yield pb.ExportResponse(path=path, content=content[at : at + PIECE_BYTES_MAX])
