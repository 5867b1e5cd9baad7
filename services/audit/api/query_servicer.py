"""`evenkeel.audit.v1.AuditQueryService`: what compliance asks."""

from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import grpc.aio

from evenkeel.audit.v1 import audit_service_pb2 as log_pb
from evenkeel.audit.v1 import query_service_pb2 as pb
from evenkeel.audit.v1.query_service_pb2_grpc import AuditQueryServiceServicer
from services.audit.api.messages import checkpoint_message, entry_message, period_of
from services.audit.api.reading import AccessRecorder
from services.audit.app import Access, Logs, accounts_in
from services.audit.app.account_record import AccountRecord, AccountRecords
from services.audit.app.queries import Queries
from services.audit.domain.account_record import CloseProof, ProvenEntry
from services.audit.domain.approvals import Approval
from services.audit.domain.entry import ACCOUNT, Entry, parse_entry, printable
from services.audit.domain.errors import TreeSizeUnknown
from services.audit.domain.filter import EntryFilter
from services.audit.domain.logs import ACCESS
from services.audit.domain.story import Chapter, chapter_of
from services.kernel.canonical import JsonValue, rfc3339
from services.kernel.errors import Invalid, Violations
from services.runtime.paging import Page, PageTokenInvalid, read_page
from services.runtime.wire import instant_message, instant_of

PAGE_DEFAULT = 100
PAGE_MAX = 1_000

_Context = grpc.aio.ServicerContext[Any, Any]

_CHAPTERS = {chapter: pb.StoryEntry.Chapter.Value(f"CHAPTER_{chapter.value}") for chapter in Chapter}


@dataclass(frozen=True, slots=True)
class LogQueries:
    """What answers for one log."""

    queries: Queries
    records: AccountRecords


class AuditQueryServicer(AuditQueryServiceServicer):
    """Answers compliance."""

    def __init__(self, logs: Logs, queries: Mapping[str, LogQueries], access: AccessRecorder) -> None:
        """Answer by `queries`, by the log's name, and have `access` write down who asks."""
        self._logs = logs
        self._queries = queries
        self._access = access

    async def ListLogs(self, request: pb.ListLogsRequest, context: _Context) -> pb.ListLogsResponse:
        page = read_page(request, default=100, most=100)
        after = str(page.after[0]) if page.after else ""
        logs = [log for log in self._logs if log.name > after]
        messages = []
        for log in logs[: page.size]:
            message = pb.Log(name=log.name, origin=log.origin, verifier_key=str(log.key))
            # A log that nobody has written to yet has no checkpoint.
            with suppress(TreeSizeUnknown):
                message.checkpoint.CopyFrom(checkpoint_message(await log.app.checkpoint()))
            messages.append(message)
        token = page.token((logs[page.size - 1].name,)) if len(logs) > page.size else ""
        return pb.ListLogsResponse(logs=messages, next_page_token=token)

    async def GetStory(self, request: pb.GetStoryRequest, context: _Context) -> pb.GetStoryResponse:
        log, answering = self._of(request.log)
        subject = _subject(request.subject)
        story = await answering.queries.story(*subject)
        accounts = accounts_in(story.entries)
        subjects = {subject[0]: subject[1]} | ({ACCOUNT: next(iter(accounts))} if len(accounts) == 1 else {})
        await self._access.record(context, Access(log, subjects, {"shown": len(story.entries)}, accounts))
        return pb.GetStoryResponse(
            entries=[
                pb.StoryEntry(proven=_proven_message(proven, entry), chapter=_CHAPTERS[chapter_of(entry.event.kind)])
                for proven, entry in zip(story.proven, story.entries, strict=True)
            ],
            subjects=[log_pb.Subject(kind=kind, id=subject_id) for kind, subject_id in story.subjects],
            checkpoint=checkpoint_message(story.checkpoint),
            truncated=story.truncated,
        )

    async def GetAccountRecord(
        self, request: pb.GetAccountRecordRequest, context: _Context
    ) -> AsyncIterator[pb.GetAccountRecordResponse]:
        log, answering = self._of(request.log)
        _require_printable("account", request.account)
        start, end = period_of(request)
        record = await answering.records.record(request.account, start, end)
        question = _times(start, end) | {"entry_count": record.count}
        await self._access.record(context, Access(log, {ACCOUNT: request.account}, question))
        yield pb.GetAccountRecordResponse(header=_header_message(record))
        async for step in answering.records.entries(record):
            yield pb.GetAccountRecordResponse(entries=[_proven_message(each) for each in step])

    async def GetSubjectAsOf(self, request: pb.GetSubjectAsOfRequest, context: _Context) -> pb.GetSubjectAsOfResponse:
        log, answering = self._of(request.log)
        kind, subject_id = _subject(request.subject)
        instant = instant_of(request.as_of_time, "as_of_time") if request.HasField("as_of_time") else None
        found = await answering.queries.as_of(kind, subject_id, instant)
        question: dict[str, JsonValue] = {} if instant is None else {"as_of_time": rfc3339(instant)}
        await self._access.record(context, Access(log, {kind: subject_id}, question, accounts_in(found.entries)))
        return pb.GetSubjectAsOfResponse(
            entries=map(_proven_message, found.proven, found.entries), checkpoint=checkpoint_message(found.checkpoint)
        )

    async def ListApprovals(self, request: pb.ListApprovalsRequest, context: _Context) -> pb.ListApprovalsResponse:
        log, answering = self._of(request.log)
        page = read_page(request, default=PAGE_DEFAULT, most=PAGE_MAX)
        tree_size, cursor = _position(page)
        start, end = period_of(request)
        subjects = dict([_subject(request.subject)]) if request.HasField("subject") else {}
        _require_printable("approver", request.approver)
        about = EntryFilter(subjects=subjects, actor=request.approver or None, start_time=start, end_time=end)
        approvals, found = await answering.queries.approvals(about, limit=page.size, tree_size=tree_size, cursor=cursor)
        question = _times(start, end) | {"shown": len(approvals)} | _given("approver", request.approver)
        await self._access.record(context, Access(log, subjects, question, accounts_in(found.entries)))
        return pb.ListApprovalsResponse(
            approvals=map(_approval_message, approvals),
            next_page_token="" if found.cursor is None else page.token((found.tree_size, found.cursor)),
        )

    async def ListAccesses(self, request: pb.ListAccessesRequest, context: _Context) -> pb.ListAccessesResponse:
        log, answering = self._of(ACCESS)
        page = read_page(request, default=PAGE_DEFAULT, most=PAGE_MAX)
        tree_size, cursor = _position(page)
        start, end = period_of(request)
        subjects = dict([_subject(request.subject)]) if request.HasField("subject") else {}
        _require_printable("reader", request.reader)
        about = EntryFilter(subjects=subjects, actor=request.reader or None, start_time=start, end_time=end)
        found = await answering.queries.accesses(about, limit=page.size, tree_size=tree_size, cursor=cursor)
        question = _times(start, end) | {"shown": len(found.entries)} | _given("reader", request.reader)
        await self._access.record(context, Access(log, subjects, question, accounts_in(found.entries)))
        return pb.ListAccessesResponse(
            accesses=[_access_message(entry, subjects) for entry in found.entries],
            next_page_token="" if found.cursor is None else page.token((found.tree_size, found.cursor)),
        )

    def _of(self, name: str) -> tuple[str, LogQueries]:
        log = self._logs.named(name)
        return log.name, self._queries[log.name]


def _subject(message: log_pb.Subject) -> tuple[str, str]:
    _require_printable("subject.id", message.id)
    return message.kind, message.id


def _require_printable(field: str, text: str) -> None:
    violations = Violations()
    if not printable(text):
        violations.add(field, "must not have control characters")
    violations.raise_if_any(Invalid)


def _times(start: datetime | None, end: datetime | None) -> dict[str, JsonValue]:
    said = {"end_time": end, "start_time": start}
    return {name: rfc3339(instant) for name, instant in said.items() if instant is not None}


def _given(name: str, text: str) -> dict[str, JsonValue]:
    return {name: text} if text else {}


def _position(page: Page) -> tuple[int | None, int | None]:
    match page.after:
        case None:
            return None, None
        case (int() as tree_size, int() as cursor) if 0 <= cursor <= tree_size:
            return tree_size, cursor
        case _:
            raise PageTokenInvalid("page_token: must be a token that this list gave for this filter")


def _proven_message(proven: ProvenEntry, entry: Entry | None = None) -> pb.ProvenEntry:
    opened = parse_entry(proven.body) if entry is None else entry
    return pb.ProvenEntry(entry=entry_message(opened), hashes=proven.path)


def _header_message(record: AccountRecord) -> pb.AccountRecordHeader:
    bounds = record.bounds
    message = pb.AccountRecordHeader(
        account=bounds.account,
        complete_until_time=instant_message(bounds.complete_until),
        entry_count=record.count,
        checkpoint=checkpoint_message(record.checkpoint),
    )
    if bounds.start_time is not None:
        message.start_time.CopyFrom(instant_message(bounds.start_time))
    if bounds.before is not None:
        message.before.CopyFrom(_proven_message(bounds.before))
    if bounds.after is not None:
        message.after.CopyFrom(_proven_message(bounds.after))
    if bounds.close is not None:
        message.close.CopyFrom(_close_message(bounds.close))
    return message


def _close_message(close: CloseProof) -> pb.CloseProof:
    return pb.CloseProof(
        close=_proven_message(close.close),
        next=_proven_message(close.next),
        leaves=[
            pb.CloseLeaf(
                position=each.position,
                account_hash=each.leaf.account_hash,
                last_sequence=each.leaf.last,
                hashes=each.path,
                gone=(pb.NumberRange(first_sequence=first, last_sequence=last) for first, last in each.leaf.gone),
            )
            for each in close.leaves
        ],
    )


def _approval_message(approval: Approval) -> pb.Approval:
    return pb.Approval(
        entry=entry_message(approval.entry),
        approver=approval.approver,
        author=approval.author,
        independent=approval.independent,
    )


def _access_message(entry: Entry, about: Mapping[str, str]) -> pb.Access:
    said = entry.event.data_members
    return pb.Access(
        entry=entry_message(entry),
        reader=entry.event.actor,
        method=str(said.get("method", "")),
        log=str(said.get("log", "")),
        broad=any(entry.event.subjects.get(kind) != subject_id for kind, subject_id in about.items()),
    )
