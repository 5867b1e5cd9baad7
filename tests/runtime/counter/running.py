"""A counter service that runs, and the words in which tests speak of it."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import grpc

from services.runtime.client import connect
from tests.runtime.counter.stubs import pb, rpc
from tests.support.refusals import refused

__all__ = ["Running", "add", "refused", "until"]

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


def add(name="apples", amount=1, **more):
    return pb.AddRequest(request_id=more.pop("request_id", str(uuid4())), name=name, amount=amount, **more)


async def until(condition, within_s=60):
    """Wait until `condition`, which may be async, is true."""

    async def look():
        found = condition()
        return await found if asyncio.iscoroutine(found) else found

    async with asyncio.timeout(within_s):
        while not await look():  # noqa: ASYNC110 - what is waited for is in another task or in the database
            await asyncio.sleep(0.01)
