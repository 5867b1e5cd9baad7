"""What is done around every call that we make: token, deadline, trace, measurement.

gRPC knows four kinds of calls and takes an interceptor for each; the four classes at the end differ only in that.
"""

import time
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeAlias

import grpc
import grpc.aio
from opentelemetry import trace
from opentelemetry.propagate import inject
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.util.types import AttributeValue

from services.runtime.deadlines import downstream_timeout_s
from services.runtime.telemetry import duration, tracer

Details = grpc.aio.ClientCallDetails
# What gRPC hands an interceptor and takes back: requests, calls and continuations, of types it does not publish.
Given: TypeAlias = Any


def interceptors(
    address: str, token: Callable[[], str] | None, call_s: float, stream_s: float
) -> list[grpc.aio.ClientInterceptor]:
    """Return what a channel to `address` does around its calls."""
    around = _Around(address, token, call_s, stream_s)
    return [_UnaryUnary(around), _UnaryStream(around), _StreamUnary(around), _StreamStream(around)]


class _Outgoing:
    """One call on its way: its details, its span, and what is measured when it ends."""

    __slots__ = ("_duration", "_ended", "_labels", "_span", "_started_s", "details")

    def __init__(self, around: "_Around", details: Details, own_s: float) -> None:
        # The published type says text; it is bytes.
        method: str | bytes = details.method
        path = (method.decode() if isinstance(method, bytes) else method).lstrip("/")
        labels: dict[str, AttributeValue] = {
            "rpc.system.name": "grpc",
            "rpc.method": path,
            "server.address": around.address,
        }
        timeout_s = downstream_timeout_s(own_s if details.timeout is None else details.timeout)
        self._labels = labels
        self._duration = around.duration
        self._ended = False
        self._started_s = time.perf_counter()
        self._span = around.tracer.start_span(path, kind=SpanKind.CLIENT, attributes=labels)
        carrier: dict[str, str] = {}
        inject(carrier, context=trace.set_span_in_context(self._span))
        metadata = [*(details.metadata or ()), *carrier.items()]
        if around.token is not None:
            metadata.append(("authorization", f"Bearer {around.token()}"))
        self.details = Details(
            method=details.method,
            timeout=timeout_s,
            metadata=grpc.aio.Metadata(*metadata),
            credentials=details.credentials,
            wait_for_ready=details.wait_for_ready,
        )

    def end(self, code: grpc.StatusCode) -> None:
        """Say how it went; only the first time counts."""
        if self._ended:
            return
        self._ended = True
        self._labels["rpc.response.status_code"] = code.name
        self._span.set_attribute("rpc.response.status_code", code.name)
        if code is not grpc.StatusCode.OK:
            self._labels["error.type"] = code.name
            self._span.set_attribute("error.type", code.name)
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()
        self._duration.record(time.perf_counter() - self._started_s, self._labels)


class _Around:
    """What all calls of a channel share."""

    def __init__(self, address: str, token: Callable[[], str] | None, call_s: float, stream_s: float) -> None:
        self.address = address
        self.token = token
        self.call_s = call_s
        self.stream_s = stream_s
        self.tracer = tracer()
        self.duration = duration("rpc.client.call.duration", "How long calls took that we made.")

    async def answered(self, proceed: Given, details: Details, request: Given, own_s: float) -> Given:
        """Make a call with one answer and return it when it is done."""
        outgoing = _Outgoing(self, details, own_s)
        code = grpc.StatusCode.CANCELLED
        try:
            call = await proceed(outgoing.details, request)
            try:
                await call
                code = grpc.StatusCode.OK
            except grpc.aio.AioRpcError as error:
                # Whoever awaits the call gets the error; here it is only counted.
                code = error.code()
            return call
        finally:
            outgoing.end(code)

    async def streamed(self, proceed: Given, details: Details, request: Given) -> AsyncIterator[Given]:
        """Make a call with many answers and return them as they come."""
        outgoing = _Outgoing(self, details, self.stream_s)
        try:
            call = await proceed(outgoing.details, request)
        except BaseException:
            outgoing.end(grpc.StatusCode.CANCELLED)
            raise

        def left(ended: Given) -> None:
            # Who leaves a stream does not read on: what reads for them would learn of it when memory is collected.
            if ended.cancelled():
                outgoing.end(grpc.StatusCode.CANCELLED)

        call.add_done_callback(left)
        return _read(call, outgoing)


async def _read(call: Given, outgoing: _Outgoing) -> AsyncIterator[Given]:
    code = grpc.StatusCode.CANCELLED
    try:
        async for response in call:
            yield response
        code = grpc.StatusCode.OK
    except grpc.aio.AioRpcError as error:
        code = error.code()
        raise
    finally:
        outgoing.end(code)


class _UnaryUnary(grpc.aio.UnaryUnaryClientInterceptor):
    def __init__(self, around: _Around) -> None:
        self._around = around

    async def intercept_unary_unary(self, continuation: Given, client_call_details: Details, request: Given) -> Given:
        return await self._around.answered(continuation, client_call_details, request, self._around.call_s)


class _UnaryStream(grpc.aio.UnaryStreamClientInterceptor):
    def __init__(self, around: _Around) -> None:
        self._around = around

    async def intercept_unary_stream(self, continuation: Given, client_call_details: Details, request: Given) -> Given:
        return await self._around.streamed(continuation, client_call_details, request)


class _StreamUnary(grpc.aio.StreamUnaryClientInterceptor):
    def __init__(self, around: _Around) -> None:
        self._around = around

    async def intercept_stream_unary(
        self, continuation: Given, client_call_details: Details, request_iterator: Given
    ) -> Given:
        return await self._around.answered(continuation, client_call_details, request_iterator, self._around.stream_s)


class _StreamStream(grpc.aio.StreamStreamClientInterceptor):
    def __init__(self, around: _Around) -> None:
        self._around = around

    async def intercept_stream_stream(
        self, continuation: Given, client_call_details: Details, request_iterator: Given
    ) -> Given:
        return await self._around.streamed(continuation, client_call_details, request_iterator)
