"""`evenkeel.decision.v1.BookService`: message → values → use case → message."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import grpc.aio

from evenkeel.decision.v1 import book_service_pb2 as pb
from evenkeel.decision.v1.book_service_pb2_grpc import BookServiceServicer
from services.decision.api.book_messages import (
    Parts,
    account_message,
    header_of,
    reconciliation_message,
    snapshot_message,
)
from services.decision.app.book import BookApp
from services.decision.domain.book import SnapshotHeader, SnapshotId
from services.kernel.errors import Invalid, Overloaded
from services.kernel.ids import AccountId, HouseholdId, RunId
from services.runtime.database import Database
from services.runtime.paging import cut, read_page
from services.runtime.requests import once

PAGE_DEFAULT = 100
PAGE_MAX = 1_000

# A snapshot is held in memory while it is checked: about 50,000 accounts of 80 lots. More accounts are more snapshots.
SNAPSHOT_BYTES_MAX = 128 * 1024 * 1024
# So many are held at once; they are recorded one after another anyway.
SNAPSHOTS_AT_ONCE_MAX = 4
RETRY_AFTER_S = 2.0

_Context = grpc.aio.ServicerContext[Any, Any]


class TooManySnapshots(Overloaded):
    """As many snapshots are being received as fit into memory."""

    reason = "CALLS_EXCEED_LIMIT"


@dataclass(frozen=True, slots=True)
class BookServicer(BookServiceServicer):
    """Answers callers of the book."""

    app: BookApp
    database: Database
    _places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(SNAPSHOTS_AT_ONCE_MAX))

    async def IngestBook(
        self, request_iterator: AsyncIterator[pb.IngestBookRequest], context: _Context
    ) -> pb.IngestBookResponse:
        if self._places.locked():
            limit = f"at most {SNAPSHOTS_AT_ONCE_MAX} snapshots are received at once"
            raise TooManySnapshots(limit, retry_after_s=RETRY_AFTER_S)
        async with self._places:
            return await self._ingest(request_iterator)

    async def _ingest(self, request_iterator: AsyncIterator[pb.IngestBookRequest]) -> pb.IngestBookResponse:
        # Received and checked before any transaction begins, so a slow sender holds no lock.
        request_id, digest, header, parts = await _received(request_iterator)
        snapshot = await self.app.check_book(header, parts)

        async def record() -> pb.IngestBookResponse:
            recorded = await self.app.record_book(snapshot, header, parts)
            return pb.IngestBookResponse(snapshot=snapshot_message(recorded))

        return await once(self.database, request_id, digest, record)

    async def GetAccount(self, request: pb.GetAccountRequest, context: _Context) -> pb.GetAccountResponse:
        snapshot_id = SnapshotId(request.snapshot_id) if request.snapshot_id else None
        found = await self.app.get_account(AccountId(request.account_id), snapshot_id)
        return pb.GetAccountResponse(account=account_message(found, lots=True))

    async def ListAccounts(self, request: pb.ListAccountsRequest, context: _Context) -> pb.ListAccountsResponse:
        page = read_page(request, default=PAGE_DEFAULT, most=PAGE_MAX)
        found = await self.app.list_accounts(
            HouseholdId(request.household_id) if request.household_id else None,
            None if page.after is None else AccountId(str(page.after[0])),
            page.size + 1,
        )
        shown, token = cut(found, page, lambda view: (view.account.account_id,))
        return pb.ListAccountsResponse(
            accounts=[account_message(each, lots=False) for each in shown], next_page_token=token
        )

    async def GetSnapshot(self, request: pb.GetSnapshotRequest, context: _Context) -> pb.GetSnapshotResponse:
        found = await self.app.get_snapshot(SnapshotId(request.snapshot_id))
        return pb.GetSnapshotResponse(snapshot=snapshot_message(found))

    async def ListSnapshots(self, request: pb.ListSnapshotsRequest, context: _Context) -> pb.ListSnapshotsResponse:
        page = read_page(request, default=PAGE_DEFAULT, most=PAGE_MAX)
        found = await self.app.list_snapshots(None if page.after is None else int(page.after[0]), page.size + 1)
        shown, token = cut(found, page, lambda numbered: (numbered[0],))
        return pb.ListSnapshotsResponse(
            snapshots=[snapshot_message(snapshot) for _, snapshot in shown], next_page_token=token
        )

    async def GetReconciliation(
        self, request: pb.GetReconciliationRequest, context: _Context
    ) -> pb.GetReconciliationResponse:
        found = await self.app.reconcile(RunId(request.run_id) if request.run_id else None)
        return reconciliation_message(found)


async def _received(requests: AsyncIterator[pb.IngestBookRequest]) -> tuple[str, bytes, SnapshotHeader, Parts]:
    """Return the request's id, the hash of everything else in it, and what it carries.

    Raises:
        Invalid: The messages do not follow each other as the contract says, or are too large together.
    """
    request_id = ""
    header: SnapshotHeader | None = None
    digest = hashlib.sha256()
    parts: list[bytes] = []
    size = 0
    async for request in requests:
        if header is None:
            if not request.HasField("header"):
                raise Invalid.of("header", "must be in the first message")
            request_id = request.request_id
            header = header_of(request.header)
            body = request.header.SerializeToString(deterministic=True)
        else:
            if not request.HasField("part"):
                raise Invalid.of("part", "must be in every message after the first")
            if request.request_id != request_id:
                raise Invalid.of("request_id", f"must be {request_id} in every message, was {request.request_id}")
            body = request.part.SerializeToString(deterministic=True)
            parts.append(body)
        size += len(body)
        if size > SNAPSHOT_BYTES_MAX:
            raise Invalid.of("part", f"a snapshot must be at most {SNAPSHOT_BYTES_MAX} bytes; send accounts in several")
        digest.update(len(body).to_bytes(8, "big") + body)
    if header is None:
        raise Invalid.of("header", "must be in the first message")
    return request_id, digest.digest(), header, Parts(parts)
