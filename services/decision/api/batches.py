"""`evenkeel.decision.v1.BatchService`: columns → use case → columns.

A column is read by one copy, and written as bytes that are a packed field already: to write a number from Python takes
longer than to decide about it. So the answer never becomes a message here; it is the bytes of one.
"""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import grpc
import grpc.aio
import numpy as np
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from evenkeel.common.v1.columns_pb2 import DateColumn, DecimalColumn, WordColumn
from evenkeel.decision.v1 import batch_service_pb2 as pb
from services.decision.app.batches import BatchApp
from services.decision.domain.batches import Batch, BatchAnswer, PackedColumn, Units
from services.runtime.wire import date_of

PARTS = ("instruments", "models", "accounts", "positions", "lots")
NAME = pb.DESCRIPTOR.services_by_name["BatchService"].full_name

# The wire type of whatever has a length.
LENGTHED = 2

_Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True, slots=True)
class BatchServicer:
    """Answers callers who bring their accounts along."""

    app: BatchApp

    async def PreviewBatch(self, request: pb.PreviewBatchRequest, context: _Context) -> bytes:
        batch = await asyncio.to_thread(batch_of, request)
        return answer_bytes(await self.app.decide(batch), self.app.engine)


def add_batch_servicer(servicer: BatchServicer, server: grpc.aio.Server) -> None:
    """Serve the contract; its answers are bytes already."""
    handler: grpc.RpcMethodHandler[Any, Any] = grpc.unary_unary_rpc_method_handler(
        servicer.PreviewBatch, pb.PreviewBatchRequest.FromString, None
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(NAME, {"PreviewBatch": handler}),))


def batch_of(request: pb.PreviewBatchRequest) -> Batch:
    """Return the columns of a request.

    Raises:
        Invalid: Its date is none.
    """
    numbers: dict[str, Units] = {}
    rows: dict[str, np.ndarray] = {}
    flags: dict[str, np.ndarray] = {}
    words: dict[str, tuple[list[str], np.ndarray]] = {}
    for part in PARTS:
        message = getattr(request, part)
        for field in message.DESCRIPTOR.fields:
            name, value = f"{part}.{field.name}", getattr(message, field.name)
            match value:
                case DecimalColumn():
                    numbers[name] = Units(np.array(value.units, dtype=np.int64), value.scale)
                case WordColumn():
                    words[name] = list(value.words), np.array(value.indexes, dtype=np.int64)
                case DateColumn():
                    rows[name] = np.array(value.days, dtype=np.int64)
                case _ if field.type == FieldDescriptor.TYPE_BOOL:
                    flags[name] = np.array(value, dtype=np.bool_)
                case _ if field.type == FieldDescriptor.TYPE_UINT32:
                    rows[name] = np.array(value, dtype=np.int64)
    day: date = date_of(request.as_of_date, "as_of_date")
    ids, accounts = list(request.instruments.instrument_ids), list(request.accounts.account_ids)
    return Batch(day, request.currency, ids, accounts, numbers, rows, flags, words)


def answer_bytes(answer: BatchAnswer, engine: str) -> bytes:
    """Return a `PreviewBatchResponse` as its bytes."""
    fields = pb.PreviewBatchResponse.DESCRIPTOR.fields_by_name
    parts = {
        "plans": (pb.BatchPlans.DESCRIPTOR, answer.plans),
        "trades": (pb.BatchTrades.DESCRIPTOR, answer.trades),
        "sales": (pb.BatchSales.DESCRIPTOR, answer.sales),
    }
    columns = b"".join(
        _field(fields[name].number, b"".join(_columns(descriptor, part))) for name, (descriptor, part) in parts.items()
    )
    errors = [
        pb.BatchError(
            account=each.row,
            account_id=each.account_id,
            reason=each.reason,
            field=each.field,
            description=each.description,
        )
        for each in answer.errors
    ]
    # A message is the sum of its fields, in any order.
    rest: Message = pb.PreviewBatchResponse(errors=errors, engine=engine)
    return columns + rest.SerializeToString()


def _columns(descriptor: Descriptor, columns: Mapping[str, PackedColumn]) -> Iterator[bytes]:
    content, scale = (DecimalColumn.DESCRIPTOR.fields_by_name[name].number for name in ("units", "scale"))
    for field in descriptor.fields:
        column = columns[field.name]
        if column.scale is None:
            yield _field(field.number, column.content)
        else:
            yield _field(field.number, _field(content, column.content) + _varint(scale << 3) + _varint(column.scale))


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | LENGTHED) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    written = bytearray()
    while value >= 128:
        written.append(value & 127 | 128)
        value >>= 7
    written.append(value)
    return bytes(written)
