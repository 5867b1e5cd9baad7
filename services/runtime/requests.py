"""A request that arrives twice is done once.

A caller who got no answer repeats the call with the same `request_id`. The first answer is stored in the transaction
that did the work, so either both exist or neither does: killing the process in between is harmless by construction. The
repeat gets the stored answer. The same id with another body, method or caller is refused.
"""

import hashlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast
from uuid import UUID

from google.protobuf.message import Message
from sqlalchemy import Column, DateTime, Index, LargeBinary, MetaData, Table, Text, func, insert, select, text

from services.kernel.errors import Duplicate, FieldViolation, Invalid
from services.runtime.context import Call, current_call

if TYPE_CHECKING:
    from services.runtime.database import Database, Transaction

REQUEST_ANSWER = "request_answer"

M = TypeVar("M", bound=Message)


class RequestIdReused(Duplicate):
    """The request id belongs to another request."""

    reason = "REQUEST_ID_REUSED"


def request_answer_table(metadata: MetaData, *, forgotten: bool = True) -> Table:
    """Return the stored answers of the schema that `metadata` names. Each service's `tables.py` declares it.

    Args:
        metadata: Where the table belongs.
        forgotten: Whether old answers are removed one day; never where the service's login may not delete.
    """
    table = Table(
        REQUEST_ANSWER,
        metadata,
        Column("request_id", Text, primary_key=True),
        Column("method", Text, nullable=False),
        # Subject of the caller's token.
        Column("caller", Text, nullable=False),
        # SHA-256 of the request without its id.
        Column("digest", LargeBinary, nullable=False),
        # The response, serialized.
        Column("answer", LargeBinary, nullable=False),
        Column("recorded_time", DateTime(timezone=True), nullable=False, server_default=func.now()),
    )
    if forgotten:
        # The oldest are removed first (`housekeeping.py`).
        Index("request_answer_recorded", table.c.recorded_time)
    return table


def request_digest(request: Message) -> bytes:
    """Return the SHA-256 of `request` without its `request_id`."""
    # Taken out and put back, because a copy of a bulk request costs more than its hash.
    keyed: Any = request
    request_id = keyed.request_id
    keyed.ClearField("request_id")
    try:
        return hashlib.sha256(request.SerializeToString(deterministic=True)).digest()
    finally:
        keyed.request_id = request_id


async def once(database: "Database", request_id: str, digest: bytes, run: Callable[[], Awaitable[M]]) -> M:
    """Return what `run` answers, doing it only the first time `request_id` is seen.

    `run` happens in one transaction, which `database.begin()` within it joins. The interceptor calls this for every
    unary RPC whose request has a `request_id`; a streaming handler calls it itself.

    Args:
        database: Where the answer is kept.
        request_id: The caller's key, a UUID.
        digest: Hash of everything else that was asked.
        run: Does the work.

    Raises:
        Invalid: `request_id` is not a UUID.
        RequestIdReused: It was used for another request.
        RuntimeError: No call is being served.
    """
    call = current_call()
    if call is None or call.caller is None:
        raise RuntimeError("a request id needs a call and a caller")
    _check_request_id(request_id)
    key = str(UUID(request_id))
    answers = database.request_answers
    async with database.begin() as transaction:
        await _only_one(transaction, database.schema, key)
        found = (
            await transaction.connection.execute(
                select(answers.c.method, answers.c.caller, answers.c.digest, answers.c.answer).where(
                    answers.c.request_id == key
                )
            )
        ).one_or_none()
        if found is not None:
            if (found.method, found.caller, found.digest) != (call.method.path, call.caller.subject, digest):
                raise RequestIdReused(f"request id {request_id} was used for another request", request_id=request_id)
            return cast(M, call.method.response_type.FromString(found.answer))
        answer = await _joined(call, transaction, run)
        await transaction.connection.execute(
            insert(answers).values(
                request_id=key,
                method=call.method.path,
                caller=call.caller.subject,
                digest=digest,
                answer=answer.SerializeToString(),
            )
        )
        return answer


async def _joined(call: Call, transaction: "Transaction", run: Callable[[], Awaitable[M]]) -> M:
    before, call.transaction = call.transaction, transaction
    try:
        return await run()
    finally:
        call.transaction = before


async def _only_one(transaction: "Transaction", schema: str, request_id: str) -> None:
    # Of several calls with one id, the first runs and the others wait for its answer. The schema is part of the key:
    # two services may see the same id in one database.
    key = int.from_bytes(hashlib.sha256(f"{schema}/{request_id}".encode()).digest()[:8], "big", signed=True)
    await transaction.connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})


def _check_request_id(request_id: str) -> None:
    try:
        UUID(request_id)
    except ValueError as error:
        description = f"must be a UUID, was {request_id[:64]!r}"
        violation = FieldViolation("request_id", description)
        raise Invalid(f"request_id: {description}", violations=[violation]) from error
