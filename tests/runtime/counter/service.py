"""The counter service's handlers, written as those of a real service are."""

import asyncio

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert

from services.kernel.errors import (
    Conflict,
    Corrupt,
    Denied,
    Duplicate,
    FieldViolation,
    Invalid,
    NotFound,
    Overloaded,
    Rejected,
    Unreachable,
)
from services.kernel.events import Event
from services.runtime.context import current_caller
from services.runtime.requests import once, request_digest
from tests.runtime.counter.stubs import pb, rpc
from tests.runtime.counter.tables import counter

FULL_NAME = "evenkeel.countertest.v1.CounterService"


def named(kind, reason, **more):
    return type("Named", (kind,), {"reason": reason})(f"it is {reason}", limit=3, **more)


FAILURES = {
    "invalid": lambda: named(Invalid, "BOOK_INVALID", violations=[FieldViolation("lots[3]", "must be 0, was 1")]),
    "not_found": lambda: named(NotFound, "PLAN_NOT_FOUND"),
    "duplicate": lambda: named(Duplicate, "POLICY_NODE_EXISTS"),
    "rejected": lambda: named(Rejected, "PLAN_EXPIRED"),
    "conflict": lambda: named(Conflict, "VERSION_CONFLICT"),
    "denied": lambda: named(Denied, "SELF_APPROVAL"),
    "overloaded": lambda: named(Overloaded, "LOG_BACKPRESSURE", retry_after_s=2.5),
    "unreachable": lambda: named(Unreachable, "VENUE_UNREACHABLE"),
    "corrupt": lambda: named(Corrupt, "LOG_ROOT_MISMATCH"),
    "bug": lambda: ZeroDivisionError("the secret is 42"),
}


def failure(kind):
    return FAILURES[kind]()


class Counters(rpc.CounterServiceServicer):
    def __init__(self, database):
        self.database = database
        self.runs = 0
        self.sleeping = asyncio.Event()
        self.go = asyncio.Event()
        self.go.set()

    async def Add(self, request, context):
        self.runs += 1
        await self.go.wait()
        total = await self.add(request.name, request.amount)
        if request.then_fail:
            raise failure(request.then_fail)
        return pb.AddResponse(total=total)

    async def add(self, name, amount):
        async with self.database.begin() as transaction:
            adding = insert(counter).values(name=name, total=amount)
            both = adding.on_conflict_do_update(
                index_elements=[counter.c.name], set_={"total": counter.c.total + adding.excluded.total}
            ).returning(counter.c.total)
            total = (await transaction.connection.execute(both)).scalar_one()
            event = Event("counter.added", {"request": name}, {"amount": amount, "total": total})
            await transaction.emit(event)
        return total

    async def Get(self, request, context):
        async with self.database.read() as connection:
            total = (await connection.execute(select(counter.c.total).where(counter.c.name == request.name))).scalar()
        return pb.GetResponse(total=total or 0, caller=current_caller().subject)

    async def Fail(self, request, context):
        raise failure(request.kind)

    async def Sleep(self, request, context):
        open_one = self.database.begin() if request.write else self.database.read()
        async with open_one as opened:
            connection = opened.connection if request.write else opened
            self.sleeping.set()
            await connection.execute(text("SELECT pg_sleep(:seconds)"), {"seconds": request.seconds})
        return pb.SleepResponse()

    async def Watch(self, request, context):
        for number in range(1, request.up_to + 1):
            yield pb.WatchResponse(number=number)
        await self.go.wait()
        if request.then_fail:
            raise failure(request.then_fail)

    async def AddAll(self, request_iterator, context):
        requests = [request async for request in request_iterator]

        async def run():
            self.runs += 1
            total = 0
            for request in requests:
                total = await self.add(request.name, request.amount)
            return pb.AddAllResponse(total=total)

        digest = b"".join(request_digest(request) for request in requests)
        return await once(self.database, requests[0].request_id, digest, run)

    async def Echo(self, request_iterator, context):
        async for request in request_iterator:
            yield pb.EchoResponse(text=request.text)

    async def Forgotten(self, request, context):
        return pb.GetResponse()
