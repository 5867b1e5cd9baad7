"""Audit: how long the whole story of one order takes, from policy to allocation, each entry with its proof.

The log has a run of 2,000 accounts as the services tell it: ten orders an account go into ten blocks of 2,000 orders,
whose shares are stated 300 to an entry, and every order gets two allocations. Before it stands a log of other events.
Asked are orders anywhere in the run.
"""

import asyncio
import random
import statistics
import uuid
from collections.abc import Iterator, Sequence
from datetime import timedelta

from services.audit.app import AuditApp, Growing, Queries
from services.audit.domain.entry import Event
from services.audit.domain.sequencing import grow
from services.audit.store import PostgresReader, elect
from services.kernel.canonical import JsonValue, canonical_json
from services.runtime.database import Database
from tests.bench.audit import signed
from tests.bench.audit_filler import COMMIT, fill
from tests.bench.audit_lab import NOW, Lab, lab, timed
from tests.bench.results import Result

BEFORE = 100_000
ACCOUNTS, BLOCKS = 2_000, 10
SHARES_PER_EVENT = 300


def stories() -> Sequence[Result]:
    """Measure stories of orders."""
    return asyncio.run(_stories())


async def _stories() -> Sequence[Result]:
    async with lab() as here:
        await fill(here.url, here.owner_url, "events", BEFORE, here.key)
        size = await _write(here)
        database = Database(here.settings)
        reader = PostgresReader(database)
        queries = Queries(app=AuditApp(sequencer=None, log=reader, growing=Growing()), log=reader)
        rnd = random.Random(7)
        shown: list[int] = []

        async def ask() -> None:
            order = f"order-{rnd.randrange(ACCOUNTS)}-{rnd.randrange(BLOCKS)}"
            shown.append(len((await queries.story("order", order)).proven))

        taken = await timed(ask)
        await database.close()
        about = f"{statistics.mean(shown):.0f} proven entries each, at {size:,}"
        return [
            Result("audit.story_ms", statistics.median(taken) * 1e3, f"ms, median, {about}"),
            Result("audit.story_p99_ms", statistics.quantiles(taken, n=100)[98] * 1e3, f"ms, {about}"),
        ]


async def _write(here: Lab) -> int:
    """Append the run, and return the log's size."""
    database = Database(here.settings)
    async with elect(database, here.key.name, "events") as writer:
        head, _ = await writer.head()
        sequences: dict[str, int] = {}
        events = list(_run())
        for start in range(0, len(events), COMMIT):
            part = events[start : start + COMMIT]
            growth = grow(head, part, {}, sequences, NOW + timedelta(hours=1, microseconds=start))
            sequences |= growth.sequences
            await writer.commit(growth, signed(here.key, growth.head))
            head = growth.head
    await database.close()
    return head.edge.size


def _run() -> Iterator[Event]:
    run = {"run": "run-1", "snapshot": "snapshot-1"}
    version = {"policy_version": "sha256:version", "change": "change-1"}
    yield _event("policy.change.created", {**version, "policy_node": "firm"})
    yield _event("policy.change.approved", {**version, "policy_node": "firm"}, author="pat")
    yield _event("policy.version.activated", {**version, "policy_node": "firm"})
    yield _event("decision.book.ingested", {"snapshot": "snapshot-1"}, account_count=ACCOUNTS)
    yield _event("decision.prices.ingested", {"price_set": "prices-1"})
    yield _event("decision.run.started", run, price_set_id="prices-1")
    for account in range(ACCOUNTS):
        plan = {"account": f"trader-{account}", "plan": f"plan-{account}", "run": "run-1"}
        decided = {**plan, "snapshot": "snapshot-1", "policy_version": "sha256:version"}
        trades: JsonValue = [{"instrument_id": f"I{n}", "side": "BUY", "quantity": "10"} for n in range(BLOCKS)]
        yield _event("decision.plan.decided", decided, price_set_id="prices-1", trades=trades)
        yield _event("decision.plan.submitted", plan)
        yield _event("execution.plan.accepted", plan, orders=trades)
        for block in range(BLOCKS):
            about = {**plan, "order": f"order-{account}-{block}", "instrument": f"I{block}"}
            yield _event("execution.order.accepted", about, side="BUY", quantity="10", currency="USD")
    for block in range(BLOCKS):
        about = {"block": f"block-{block}", "instrument": f"I{block}"}
        yield _event("execution.block.formed", about, orders=ACCOUNTS)
        for start in range(0, ACCOUNTS, SHARES_PER_EVENT):
            accounts = range(start, min(start + SHARES_PER_EVENT, ACCOUNTS))
            shares: JsonValue = [[f"order-{each}-{block}", f"trader-{each}", "10", "0"] for each in accounts]
            yield _event("execution.block.allocation_stated", about, first=start, shares=shares)
        yield _event("execution.block.sent", about)
        for part in range(2):
            yield _event("execution.block.reported", about, report="Filled", report_id=f"{block}-{part}")
            for account in range(ACCOUNTS):
                order = {"account": f"trader-{account}", "plan": f"plan-{account}", "order": f"order-{account}-{block}"}
                yield _event("execution.order.allocated", {**order, **about, "run": "run-1"}, quantity="5", price="1")
        for account in range(ACCOUNTS):
            order = {"account": f"trader-{account}", "plan": f"plan-{account}", "order": f"order-{account}-{block}"}
            yield _event("execution.order.closed", {**order, "instrument": f"I{block}", "run": "run-1"}, state="FILLED")
    for account in range(ACCOUNTS):
        yield _event("decision.plan.done", {"account": f"trader-{account}", "plan": f"plan-{account}", "run": "run-1"})


def _event(kind: str, subjects: dict[str, str], **data: JsonValue) -> Event:
    return Event(
        event_id=str(uuid.uuid4()),
        kind=kind,
        occurred_time=NOW,
        producer=kind.partition(".")[0],
        actor=f"{kind.partition('.')[0]}_service",
        trace_parent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        subjects=subjects,
        data=canonical_json(data),
    )
