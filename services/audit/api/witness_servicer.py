"""`evenkeel.audit.v1.WitnessService`: what witnesses have seen of the logs."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import grpc.aio

from evenkeel.audit.v1 import witness_service_pb2 as pb
from evenkeel.audit.v1.witness_service_pb2_grpc import WitnessServiceServicer
from services.audit.api.messages import checkpoint_message
from services.audit.app import Logs
from services.audit.app.witnesses import Standing, Witnesses
from services.audit.domain.errors import LogUnwitnessed
from services.runtime.paging import cut, read_page
from services.runtime.wire import instant_message

WITNESSES_MAX = 100

_Context = grpc.aio.ServicerContext[Any, Any]


class WitnessServicer(WitnessServiceServicer):
    """Answers who wants to know what others have seen."""

    def __init__(self, logs: Logs, witnesses: Mapping[str, Witnesses]) -> None:
        """Answer by `witnesses`, by the log's name."""
        self._logs = logs
        self._witnesses = witnesses

    async def GetWitnessedCheckpoint(
        self, request: pb.GetWitnessedCheckpointRequest, context: _Context
    ) -> pb.GetWitnessedCheckpointResponse:
        log = self._logs.named(request.log)
        witnesses = self._witnesses[log.name]
        newest = await witnesses.newest()
        if newest is None:
            raise LogUnwitnessed(
                f"no checkpoint of {log.origin} is signed by {witnesses.needed} witnesses", log=log.name
            )
        signed, seen = newest
        note = signed.note + "".join(seen[name].line for name in sorted(seen))
        return pb.GetWitnessedCheckpointResponse(
            checkpoint=checkpoint_message(dataclasses.replace(signed, note=note)),
            witnesses=sorted(seen),
            quorum=witnesses.needed,
        )

    async def ListWitnesses(self, request: pb.ListWitnessesRequest, context: _Context) -> pb.ListWitnessesResponse:
        witnesses = self._witnesses[self._logs.named(request.log).name]
        page = read_page(request, default=WITNESSES_MAX, most=WITNESSES_MAX)
        after = str(page.after[0]) if page.after else ""
        standings = [each for name, each in sorted(witnesses.standings.items()) if name > after]
        shown, token = cut(standings[: page.size + 1], page, lambda each: (each.key.name,))
        return pb.ListWitnessesResponse(witnesses=map(_message, shown), next_page_token=token, quorum=witnesses.needed)


def _message(standing: Standing) -> pb.Witness:
    message = pb.Witness(
        name=standing.key.name,
        verifier_key=str(standing.key),
        seen_size=standing.held_size,
        trouble=standing.trouble,
    )
    if standing.seen_time is not None:
        message.sign_time.CopyFrom(instant_message(standing.seen_time))
    return message
