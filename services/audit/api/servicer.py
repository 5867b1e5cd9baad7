"""`evenkeel.audit.v1.AuditService`: message → values → use case → message."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, ClassVar

import grpc.aio

from evenkeel.audit.v1 import audit_service_pb2 as pb
from evenkeel.audit.v1.audit_service_pb2_grpc import AuditServiceServicer
from services.audit.api.messages import (
    EventsReader,
    checkpoint_message,
    entry_message,
    filter_of,
    question_of,
    told,
)
from services.audit.api.reading import AccessRecorder
from services.audit.app import Access, Appended, Logs, accounts_in
from services.audit.domain.entry import TRACE_ID, Event
from services.audit.domain.errors import LogReserved, ProducerForeign
from services.audit.domain.logs import OWN
from services.kernel.canonical import JsonValue
from services.runtime.context import continued, current_caller
from services.runtime.interceptors.validation import Validation
from services.runtime.paging import Page, PageTokenInvalid, read_page

# Messages of one append stream that wait for the log; the next is read when one of them is answered.
STREAM_MESSAGES_MAX = 8

PAGE_DEFAULT = 100
PAGE_MAX = 1_000

# A workload's role is its service's name and this.
_ROLE_SUFFIX = "_service"

_Context = grpc.aio.ServicerContext[Any, Any]


class AuditServicer(AuditServiceServicer):
    """Answers callers of the log."""

    # What is appended is read and checked at once, which is much faster; see `EventsReader`.
    CHECKED: ClassVar = frozenset({"Append", "AppendStream"})

    def __init__(self, logs: Logs, access: AccessRecorder) -> None:
        """Answer from `logs`, and have `access` write down who reads."""
        self._logs = logs
        self._access = access
        self._reader = EventsReader(Validation().check)

    async def Append(self, request: pb.AppendRequest, context: _Context) -> pb.AppendResponse:
        return told(await self._append(request), pb.AppendResponse())

    async def AppendStream(
        self, requests: AsyncIterator[pb.AppendStreamRequest], context: _Context
    ) -> AsyncIterator[pb.AppendStreamResponse]:
        # Tasks begin in the order in which they are made: messages are queued for the log in the stream's order.
        flight = asyncio.Semaphore(STREAM_MESSAGES_MAX)
        begun: asyncio.Queue[asyncio.Task[Appended] | None] = asyncio.Queue()

        async def take() -> None:
            try:
                async for request in requests:
                    await flight.acquire()
                    begun.put_nowait(asyncio.create_task(self._append(request)))
            finally:
                begun.put_nowait(None)

        taking = asyncio.create_task(take())
        try:
            while (appending := await begun.get()) is not None:
                appended = await appending
                flight.release()
                yield told(appended, pb.AppendStreamResponse())
            await taking
        finally:
            # A caller that has gone is not waited for; what was queued is appended or not, and it will repeat it.
            taking.cancel()
            await asyncio.gather(taking, return_exceptions=True)
            while not begun.empty():
                rest = begun.get_nowait()
                if rest is not None:
                    rest.cancel()
                    await asyncio.gather(rest, return_exceptions=True)

    async def _append(self, request: pb.AppendRequest | pb.AppendStreamRequest) -> Appended:
        events = self._reader.events_of(request)
        log = self._logs.named(request.log)
        if log.name in OWN:
            raise LogReserved(f"only the audit service itself writes to the log {log.name}", log=log.name)
        _require_own(events)
        with _in_their_traces(events):
            return await log.app.append(events)

    async def GetEntry(self, request: pb.GetEntryRequest, context: _Context) -> pb.GetEntryResponse:
        log = self._logs.named(request.log)
        if request.WhichOneof("key") == "event_id":
            entry = await log.app.entry_of_event(request.event_id)
        else:
            entry = await log.app.entry(request.index)
        subjects = entry.event.subjects
        question: dict[str, JsonValue] = {"event_id": entry.event.event_id, "index": entry.index}
        await self._access.record(context, Access(log.name, subjects, question, accounts_in([entry])))
        return pb.GetEntryResponse(entry=entry_message(entry))

    async def ListEntries(self, request: pb.ListEntriesRequest, context: _Context) -> pb.ListEntriesResponse:
        log = self._logs.named(request.log)
        page = read_page(request, default=PAGE_DEFAULT, most=PAGE_MAX)
        tree_size, cursor = _position(page)
        wanted = filter_of(request.filter)
        found = await log.app.entries(
            wanted, limit=page.size, descending=request.descending, tree_size=tree_size, cursor=cursor
        )
        question = question_of(wanted) | {"shown": len(found.entries), "tree_size": found.tree_size}
        if found.entries:
            question |= {"first": found.entries[0].index, "last": found.entries[-1].index}
        await self._access.record(context, Access(log.name, wanted.subjects, question, accounts_in(found.entries)))
        return pb.ListEntriesResponse(
            entries=map(entry_message, found.entries),
            next_page_token="" if found.cursor is None else page.token((found.tree_size, found.cursor)),
            tree_size=found.tree_size,
        )

    async def StreamEntries(
        self, request: pb.StreamEntriesRequest, context: _Context
    ) -> AsyncIterator[pb.StreamEntriesResponse]:
        log = self._logs.named(request.log)
        wanted = filter_of(request.filter)
        question = question_of(wanted) | {"follow": request.follow, "start_index": request.start_index}
        await self._access.record(context, Access(log.name, wanted.subjects, question))
        tail = log.app.tail(wanted, start=request.start_index, follow=request.follow)
        async for entries, next_index in tail:
            yield pb.StreamEntriesResponse(entries=map(entry_message, entries), next_index=next_index)

    async def GetCheckpoint(self, request: pb.GetCheckpointRequest, context: _Context) -> pb.GetCheckpointResponse:
        size = request.size if request.HasField("size") else None
        signed = await self._logs.named(request.log).app.checkpoint(size)
        return pb.GetCheckpointResponse(checkpoint=checkpoint_message(signed))

    async def GetInclusionProof(
        self, request: pb.GetInclusionProofRequest, context: _Context
    ) -> pb.GetInclusionProofResponse:
        size = request.tree_size if request.HasField("tree_size") else None
        proof = await self._logs.named(request.log).app.inclusion_proof(request.index, size)
        return pb.GetInclusionProofResponse(
            index=proof.index,
            leaf_hash=proof.leaf,
            hashes=proof.hashes,
            checkpoint=checkpoint_message(proof.checkpoint),
        )

    async def GetConsistencyProof(
        self, request: pb.GetConsistencyProofRequest, context: _Context
    ) -> pb.GetConsistencyProofResponse:
        second_size = request.second_size if request.HasField("second_size") else None
        proof = await self._logs.named(request.log).app.consistency_proof(request.first_size, second_size)
        return pb.GetConsistencyProofResponse(hashes=proof.hashes, checkpoint=checkpoint_message(proof.checkpoint))


def _require_own(events: Sequence[Event]) -> None:
    """Refuse events that their sender says another service produced.

    Raises:
        ProducerForeign: There is one.
    """
    caller = current_caller()
    roles = caller.roles if caller is not None else frozenset[str]()
    own = {role.removesuffix(_ROLE_SUFFIX) for role in roles if role.endswith(_ROLE_SUFFIX)}
    if own.issuperset({event.producer for event in events}):
        return
    for event in events:
        if event.producer not in own:
            raise ProducerForeign(
                f"a caller appends its own events; the producer of {event.event_id} is {event.producer}",
                event_id=event.event_id,
                producer=event.producer,
            )


@contextmanager
def _in_their_traces(events: Sequence[Event]) -> Iterator[None]:
    """Be a span in each trace that one of `events` happened in, so that each ends where it is recorded."""
    counts: dict[str, int] = {}
    parents: dict[str, str] = {}
    for trace_parent, count in Counter([event.trace_parent for event in events]).items():
        if trace_parent:
            trace_id = trace_parent[TRACE_ID]
            parents.setdefault(trace_id, trace_parent)
            counts[trace_id] = counts.get(trace_id, 0) + count
    with ExitStack() as spans:
        for trace_id, trace_parent in parents.items():
            spans.enter_context(continued(trace_parent, "audit.append", evenkeel__events=counts[trace_id]))
        yield


def _position(page: Page) -> tuple[int | None, int | None]:
    """Return the log size and the cursor that the page's token says, None for the first page.

    Raises:
        PageTokenInvalid: It says something else.
    """
    match page.after:
        case None:
            return None, None
        case (int() as tree_size, int() as cursor) if 0 <= cursor <= tree_size:
            return tree_size, cursor
        case _:
            raise PageTokenInvalid("page_token: must be a token that this list gave for this filter")
