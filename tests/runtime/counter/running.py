"""A counter service that runs, and the words in which tests speak of it."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from services.runtime.client import connect
from tests.runtime.counter.stubs import pb, rpc

HOUR = timedelta(hours=1)


class Running:
    """A counter service that runs, and how to call it."""

    def __init__(self, server, handlers, database, issuer, port, settings):
        self.server = server
        self.handlers = handlers
        self.database = database
        self.issuer = issuer
        self.address = f"127.0.0.1:{port}"
        self.settings = settings
        self.channels = []

    def stub(self, *roles, subject="ann", token=None, **options):
        """Return a stub for a caller with these roles; by default one that may do everything here."""
        said = token or self.issuer.token(subject, roles or ("policy_author",), HOUR)
        channel = connect(self.address, token=lambda: said, **options)
        self.channels.append(channel)
        return rpc.CounterServiceStub(channel)

    def bare_channel(self):
        """Return a channel that adds nothing to a call."""
        channel = grpc.aio.insecure_channel(self.address)
        self.channels.append(channel)
        return channel


class Refused:
    """What a caller is told when a call is refused."""

    def __init__(self, error):
        self.code = error.code()
        self.message = error.details()
        self.info = error_details_pb2.ErrorInfo()
        self.bad = error_details_pb2.BadRequest()
        self.retry = error_details_pb2.RetryInfo()
        status = rpc_status.from_call(error)
        for detail in status.details if status else ():
            for known in (self.info, self.bad, self.retry):
                detail.Unpack(known)

    @property
    def reason(self):
        return self.info.reason

    @property
    def fields(self):
        return {each.field: each.description for each in self.bad.field_violations}


async def refused(call):
    """Await `call`, which must be refused, and return how."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return Refused(caught.value)


def add(name="apples", amount=1, **more):
    return pb.AddRequest(request_id=more.pop("request_id", str(uuid4())), name=name, amount=amount, **more)


async def until(condition, within_s=20):
    """Wait until `condition`, which may be async, is true."""

    async def look():
        found = condition()
        return await found if asyncio.iscoroutine(found) else found

    async with asyncio.timeout(within_s):
        while not await look():  # noqa: ASYNC110 - what is waited for is in another task or in the database
            await asyncio.sleep(0.01)
