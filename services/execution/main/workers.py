"""What runs beside the calls."""

import asyncio
from collections.abc import Awaitable, Callable

from opentelemetry.metrics import CallbackOptions, Observation

from services.execution.app import ExecutionApp
from services.execution.app.bell import Bell
from services.execution.app.records import LifeState
from services.execution.config import ExecutionSettings
from services.execution.domain.errors import VenueUnreachable
from services.runtime.telemetry import meter
from services.runtime.workers import Patience, Worker, wait

# How often orders are counted by state, and expired plans are looked for, in seconds.
COUNT_S = 5.0
EXPIRE_S = 1.0


def workers_of(app: ExecutionApp, settings: ExecutionSettings, work: Bell, reported: Bell, heard: Bell) -> list[Worker]:
    """Return the workers: each step again while it finds something to do, and when a bell rings."""
    counts: dict[LifeState, int] = {}

    def observe(_: CallbackOptions) -> list[Observation]:
        return [Observation(orders, {"evenkeel.order.state": state}) for state, orders in counts.items()]

    breaks: dict[str, int] = {}

    def observe_breaks(_: CallbackOptions) -> list[Observation]:
        return [Observation(count) for count in breaks.values()]

    meter().create_observable_gauge("evenkeel.breaks", [observe_breaks], "{break}", "Open breaks with venues.")
    meter().create_observable_gauge("evenkeel.orders", [observe], "{order}", "Accounts' orders by state.")

    async def apply() -> int:
        done = await app.fills.finish_blocks() + await app.fills.apply_reports() + await app.fills.convert_blocks()
        if done:
            work.ring()
            reported.ring()
        return done

    async def send() -> int:
        return await app.sending.send_blocks() + await app.sending.cancel_blocks()

    async def form() -> int:
        checked = await app.clearing.check_orders()
        formed = await app.forming.form_blocks() + await app.scheduling.form_children()
        if checked or formed:
            # Some may have been given up, others may have their money, and what was crossed is shared out already.
            reported.ring()
        if formed:
            work.ring()
        return checked + formed

    async def instruct() -> int:
        return await app.instructing.instruct_blocks() + await app.instructing.hear_answers()

    async def expire() -> int:
        expired = await app.trading.expire_plans()
        if expired:
            work.ring()
            reported.ring()
        return 0

    async def count() -> int:
        counts.update(dict.fromkeys(LifeState, 0) | await app.queries.orders_by_state())
        return 0

    async def reconcile() -> int:
        try:
            breaks["open"] = await app.reconciling.reconcile_venue()
        except VenueUnreachable:
            # It is compared when it answers again.
            return 0
        return 0

    look_s, calm_s = settings.look_s, settings.look_calm_s
    return [
        repeating("form blocks", form, look_s, calm_s, work),
        repeating("send blocks", send, look_s, calm_s, work),
        repeating("resolve sends", app.sending.resolve_blocks, max(look_s, settings.resolve_after_s / 2), calm_s),
        repeating("apply reports", apply, look_s, calm_s, work, heard),
        repeating("instruct allocations", instruct, look_s, calm_s, reported, heard),
        repeating("expire plans", expire, EXPIRE_S),
        repeating("count orders", count, COUNT_S),
        repeating("reconcile", reconcile, settings.reconcile_s),
    ]


def repeating(name: str, step: Callable[[], Awaitable[int]], look_s: float, calm_s: float = 0, *wake: Bell) -> Worker:
    """Return a worker that repeats `step` while it finds something to do, and else looks every `look_s` seconds.

    Or every `calm_s`, when that is longer and nothing happened for a while; and at once when a bell of `wake` rings.
    """

    async def run(stop: asyncio.Event) -> None:
        patience = Patience(look_s, calm_s)
        while not stop.is_set():
            rung = [each.rung for each in wake]
            if await step():
                patience.worked()
                continue
            await wait(stop, patience.next_s(), *rung)
            if any(each.is_set() for each in rung):
                patience.worked()

    return Worker(name, run)
