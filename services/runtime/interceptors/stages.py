"""How the stages around a handler are put together.

gRPC asks its interceptors anew for each call. Ours answers from memory: the first call of a method composes the stages
that apply to it into one function, and the next calls only run it. A stage is an object whose `around` wraps a handler;
one that has nothing to do for a method returns the handler as it is.

All four kinds of RPC look the same to a stage: it awaits the handler. A streaming one has then written its responses.
"""

import inspect
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

import grpc
import grpc.aio
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from evenkeel.common.v1 import permission_pb2
from services.runtime.context import Call, Handler, Method, Scope, serving

Behaviour = Callable[[Any, grpc.aio.ServicerContext[Any, Any]], Awaitable[Message | None]]
Continuation = Callable[[grpc.HandlerCallDetails], Awaitable["grpc.RpcMethodHandler[Any, Any] | None"]]


class Stage(Protocol):
    """One thing that is done around every call."""

    def around(self, method: Method, handler: Handler) -> Handler:
        """Return `handler` with this stage around it, or `handler` itself when the method does not need it."""
        ...


def methods_of(
    service: ServiceDescriptor,
    permissions: Mapping[str, str] | None = None,
    checked: Collection[str] = (),
    scope: Scope | None = None,
) -> dict[str, Method]:
    """Return the methods of `service` by their path.

    Args:
        service: As its contract describes it.
        permissions: By method name, for a contract that is not ours and cannot declare them.
        checked: Names of the methods whose handlers check requests against the contract themselves.
        scope: Refuses what a caller who is bound to some policy nodes may not change.
    """
    given = permissions or {}
    return {
        f"/{service.full_name}/{method.name}": _method(
            service, method, given.get(method.name), scope, checked=method.name in checked
        )
        for method in service.methods
    }


class Staged(grpc.aio.ServerInterceptor):
    """The one interceptor of our servers: runs the stages around each method that it knows."""

    def __init__(self, methods: Mapping[str, Method], stages: Sequence[Stage], unknown: Handler) -> None:
        """Compose lazily.

        Args:
            methods: By path. Others that the server has (health, reflection) are served without any stage.
            stages: The outermost first.
            unknown: Answers for methods that the server does not have.
        """
        self._methods = methods
        self._stages = tuple(stages)
        self._unknown = unknown
        self._handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}

    async def intercept_service(
        self, continuation: Continuation, details: grpc.HandlerCallDetails
    ) -> "grpc.RpcMethodHandler[Any, Any]":
        """Return the staged handler of the method that is called."""
        known = self._handlers.get(details.method)
        if known is not None:
            return known
        handler = await continuation(details)
        if handler is None:
            return self._answer_unknown(details.method)
        method = self._methods.get(details.method)
        if method is None:
            return handler
        staged = self._handlers[details.method] = self._staged(method, handler)
        return staged

    def _staged(self, method: Method, handler: "grpc.RpcMethodHandler[Any, Any]") -> "grpc.RpcMethodHandler[Any, Any]":
        # The handler of a method has one behaviour: the one of its kind.
        served: Any = handler
        behaviour = served.unary_unary or served.unary_stream or served.stream_unary or served.stream_stream
        make: Any = {
            (False, False): grpc.unary_unary_rpc_method_handler,
            (False, True): grpc.unary_stream_rpc_method_handler,
            (True, False): grpc.stream_unary_rpc_method_handler,
            (True, True): grpc.stream_stream_rpc_method_handler,
        }[served.request_streaming, served.response_streaming]
        run = _innermost(method, behaviour)
        for stage in reversed(self._stages):
            run = stage.around(method, run)
        made: grpc.RpcMethodHandler[Any, Any] = make(
            # Requests come as bytes; a stage reads them.
            _outermost(method, run),
            None,
            served.response_serializer,
        )
        return made

    def _answer_unknown(self, path: str) -> "grpc.RpcMethodHandler[Any, Any]":
        # Not remembered: a caller can invent any number of names.
        nothing = Method(path, None, Message, Message)
        return grpc.unary_unary_rpc_method_handler(_outermost(nothing, self._unknown))


def _outermost(method: Method, run: Handler) -> Behaviour:
    async def serve(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Message | None:  # noqa: ANN401 - any message or stream of them
        call = Call(method, context, request)
        with serving(call):
            return await run(call)

    return serve


def _innermost(method: Method, behaviour: Any) -> Handler:  # noqa: ANN401 - gRPC has four kinds
    if method.response_streams and inspect.isasyncgenfunction(behaviour):

        async def stream(call: Call) -> None:
            async for response in behaviour(call.request, call.context):
                await call.context.write(response)

        return stream

    async def answer(call: Call) -> Message | None:
        response: Message | None = await behaviour(call.request, call.context)
        return response

    return answer


def _method(
    service: ServiceDescriptor, method: MethodDescriptor, permission: str | None, scope: Scope | None, *, checked: bool
) -> Method:
    declared = method.GetOptions().Extensions[permission_pb2.permission]
    return Method(
        path=f"/{service.full_name}/{method.name}",
        permission=declared or permission,
        request_type=GetMessageClass(method.input_type),
        response_type=GetMessageClass(method.output_type),
        request_streams=method.client_streaming,
        response_streams=method.server_streaming,
        checked_by_handler=checked,
        scope=scope,
    )
