"""Every method of every running service, called as every role: refused exactly where the role lacks its permission.

A call carries an empty request, or no request where it streams them. So whoever may make it learns what is wrong with
that, or reads something; nothing that changes anything goes without a `request_id`.
"""

import asyncio
from dataclasses import dataclass, replace
from datetime import timedelta

import grpc
import grpc.aio
import pytest
from google.longrunning import operations_pb2
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from services.decision.api.operations import PERMISSIONS as OF_OPERATIONS
from services.runtime.auth.roles import PERMISSIONS_BY_ROLE
from services.runtime.client import connect
from tests.support.contracts import METHODS, permission
from tests.support.systems import ASKED, on

pytestmark = on(ASKED)

# Roles of a token that carry nothing: one that nobody knows, and none.
POWERLESS = ("superuser", "")
# Longest wait for an answer; and for a stream that its reader may follow, which may have nothing to say.
ANSWER_S_MAX, FOLLOWED_S_MAX = 60.0, 2.0
OPERATIONS = operations_pb2.DESCRIPTOR.services_by_name["Operations"].methods
NEEDED = {method: permission(method) for method in METHODS}
NEEDED |= {method: OF_OPERATIONS[method.name] for method in OPERATIONS if method.name in OF_OPERATIONS}


@dataclass(frozen=True)
class Answer:
    code: grpc.StatusCode
    reason: str

    @property
    def refused(self):
        return (self.code, self.reason) == (grpc.StatusCode.PERMISSION_DENIED, "ROLE_MISSING")


def called(channel, method: MethodDescriptor, token: str, within_s: float):
    """Return the call of a method with an empty request."""
    request = GetMessageClass(method.input_type)()
    kind = f"{'stream' if method.client_streaming else 'unary'}_{'stream' if method.server_streaming else 'unary'}"
    call = getattr(channel, kind)(
        f"/{method.containing_service.full_name}/{method.name}",
        request_serializer=GetMessageClass(method.input_type).SerializeToString,
        response_deserializer=GetMessageClass(method.output_type).FromString,
    )
    metadata = (("authorization", f"Bearer {token}"),)
    # Of a stream of requests none is sent: a write after the refusal would look to gRPC's client like its own failure.
    return call(iter(()) if method.client_streaming else request, metadata=metadata, timeout=within_s)


async def answer(channel, method: MethodDescriptor, token: str, *, allowed: bool) -> Answer:
    within_s = FOLLOWED_S_MAX if allowed and method.server_streaming else ANSWER_S_MAX
    going = called(channel, method, token, within_s)
    try:
        if method.server_streaming:
            async for _ in going:
                going.cancel()
                break
        else:
            await going
    except grpc.aio.AioRpcError as error:
        info = error_details_pb2.ErrorInfo()
        for detail in getattr(rpc_status.from_call(error), "details", ()):
            detail.Unpack(info)
        return Answer(error.code(), info.reason)
    return Answer(grpc.StatusCode.OK, "")


def service_of(method: MethodDescriptor) -> str:
    package = method.containing_service.file.package
    return "decision" if package == "google.longrunning" else package.split(".")[1]


@pytest.fixture(scope="module")
async def channels(asked_system):
    """A channel to each service that shows a certificate, and of whom only the token of each call tells."""
    profile = asked_system.stack.profile
    anybody = replace(profile.credentials("advisor"), token_file=None)
    opened = {name: connect(address, anybody) for name, address in profile.addresses.items()}
    yield opened
    for channel in opened.values():
        await channel.close()


@pytest.mark.parametrize("method", NEEDED, ids=lambda method: method.full_name)
async def test_a_method_is_refused_to_exactly_the_roles_that_lack_its_permission(asked_system, channels, method):
    issuer, channel = asked_system.stack.issuer, channels[service_of(method)]
    roles = [*PERMISSIONS_BY_ROLE, *POWERLESS]
    tokens = [issuer.token(f"somebody-{role}", [role] if role else [], timedelta(minutes=5)) for role in roles]
    lacking = {role for role in roles if NEEDED[method] not in PERMISSIONS_BY_ROLE.get(role, frozenset())}

    answers = await asyncio.gather(
        *(
            answer(channel, method, token, allowed=role not in lacking)
            for role, token in zip(roles, tokens, strict=True)
        )
    )

    assert {role for role, got in zip(roles, answers, strict=True) if got.refused} == lacking
    # Who may call is answered: the service works, and knows the method.
    broken = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL}
    allowed = {role: got for role, got in zip(roles, answers, strict=True) if role not in lacking}
    assert not {role: got for role, got in allowed.items() if got.code in broken}
