"""How fast are blocks formed, fills shared out, plans checked, and orders carried through?"""

import os
import random
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import uvloop

from services.execution.domain.allocation import DayFills, Share, Statement, allocate
from services.execution.domain.blocks import Piece, Terms, form_blocks
from services.execution.domain.pretrade import check_plan
from services.execution.domain.words import OrderType, Side, TimeInForce
from services.execution.store import begin_with
from services.execution.venues.sandbox.postgres import book_with
from services.kernel.ids import AccountId, InstrumentId, OrderId, VenueId
from services.runtime.database import Database
from services.runtime.server import settle
from tests.bench.results import Result
from tests.execution.builders import NOON, a_plan, a_price, a_situation, a_trade
from tests.execution.world import World, a_submission, settings_for
from tests.support.postgres import Databases
from tools.local.postgres import admin_url

ACCOUNT_TRADES = 100_000
FILLS = 1_000_000
SHARES = 5_000
INSTRUMENTS = 200
CHECKED_PLANS = 3_000
TRADES_PER_PLAN = 10
ORDERS = 20_000
PLANS_PER_SUBMISSION = 200
# Names a Python that has nautilus_trader: 700 MB with what it needs, too much for everybody's set-up.
NAUTILUS = "EVENKEEL_BENCH_NAUTILUS_PYTHON"


def blocks() -> Sequence[Result]:
    """Form blocks of 100,000 accounts' trades in 200 instruments, both ways."""
    rng = random.Random(1)
    pieces = [
        Piece(
            OrderId(f"order-{number:06}"),
            AccountId(f"acc-{number % 20_000:05}"),
            _terms(InstrumentId(f"I{rng.randrange(INSTRUMENTS):03}"), rng.choice(list(Side))),
            Decimal(rng.randint(1, 500)),
            Decimal(0),
            True,
        )
        for number in range(ACCOUNT_TRADES)
    ]
    taken = [_timed(lambda: form_blocks(pieces, carries={}, orders_per_block_max=SHARES)) for _ in range(3)]
    return [Result("execution.blocks_100k_s", min(taken), "s")]


def allocations() -> Sequence[Result]:
    """Share out a million accounts' parts of partly filled blocks, quantities and money."""
    rng = random.Random(2)
    statements = [
        Statement(
            f"block-{number}",
            Decimal(1),
            tuple(
                Share(OrderId(f"order-{index:05}"), AccountId(f"acc-{index:05}"), rng.randint(1, 500))
                for index in range(SHARES)
            ),
        )
        for number in range(4)
    ]
    days = []
    for statement in statements:
        quantity = Decimal(statement.quantity * 2 // 3)
        days.append(
            [DayFills(NOON.date(), quantity, quantity * Decimal("101.37"), Decimal("101.37"), Decimal("812.55"))]
        )

    def share() -> None:
        for number in range(FILLS // SHARES):
            allocate(statements[number % 4], days[number % 4])

    return [Result("execution.allocate_1m_s", _timed(share), "s")]


def checks() -> Sequence[Result]:
    """Check plans of ten orders each against everything; the figure is of one order."""
    names = [f"I{number:03}" for number in range(INSTRUMENTS)]
    situation = a_situation(*(a_price(name) for name in names))
    rng = random.Random(3)
    plans = [
        a_plan(
            *(a_trade(name, quantity=rng.randint(1, 50)) for name in rng.sample(names, TRADES_PER_PLAN)),
            plan=f"plan-{number}",
            account=f"acc-{number}",
            cash=1_000_000,
        )
        for number in range(CHECKED_PLANS)
    ]
    taken = []
    for plan in plans:
        start = time.perf_counter()
        refusals = check_plan(plan, situation)
        taken.append(time.perf_counter() - start)
        if refusals:
            raise AssertionError(f"a plan that is in order was refused: {refusals}")
    p99 = statistics.quantiles(taken, n=100)[98]
    return [Result("execution.checks_p99_ms", p99 * 1000, "ms")]


def orders() -> Sequence[Result]:
    """Carry orders through checks, the durable journal and the sandbox venue, until their fills are allocated."""
    # On the event loop that the service has.
    ours = uvloop.run(_orders_per_s())
    python = os.environ.get(NAUTILUS)
    if python is None:
        return [Result("execution.orders_per_s", ours, "1/s")]
    command = [python, str(Path(__file__).parent / "nautilus_venue.py"), str(ORDERS)]
    theirs = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])
    return [Result("execution.orders_per_s", ours, "1/s", "NautilusTrader, in memory", theirs, ours / theirs)]


async def _orders_per_s() -> float:
    with tempfile.TemporaryDirectory() as folder:
        # As root, the database server runs as another user: what that cannot reach lies elsewhere, and stays there.
        Path(folder).chmod(0o755)
        with admin_url(Path(folder) / "pg", durable=True) as url:
            found = await Databases(url).take("execution", "services.execution")
            values = found.settings().model_dump(exclude_unset=True)
            settings = settings_for(values, Path(folder) / "keys", database_pool_size=8, reports_max=2_000)
            database = Database(settings)
            try:
                return await _carried_out(World(settings, begin_with(database), book_with(database)))
            finally:
                await database.close()


async def _carried_out(world: World) -> float:
    names = [f"I{number:03}" for number in range(INSTRUMENTS)]
    await world.market(**dict.fromkeys(names, 100), spread_bps=4, fee_bps=1)
    rng = random.Random(4)
    submissions = [
        a_submission(
            a_plan(
                *(a_trade(name, quantity=rng.randint(1, 50)) for name in rng.sample(names, TRADES_PER_PLAN)),
                plan=f"plan-{number}",
                account=f"acc-{number}",
                cash=1_000_000,
                expire_time=NOON + timedelta(hours=1),
            )
        )
        for number in range(ORDERS // TRADES_PER_PLAN)
    ]
    # As the service has it.
    settle()
    start = time.perf_counter()
    for first in range(0, len(submissions), PLANS_PER_SUBMISSION):
        await world.app.intake.submit_plans(submissions[first : first + PLANS_PER_SUBMISSION])
    await world.run()
    taken = time.perf_counter() - start
    states = await world.app.queries.orders_by_state()
    if states != {"FILLED": ORDERS}:
        raise AssertionError(f"all {ORDERS} orders must be filled, were {states}")
    return ORDERS / taken


def _terms(instrument_id: InstrumentId, side: Side) -> Terms:
    return Terms(
        instrument_id=instrument_id,
        side=side,
        venue_id=VenueId("sandbox"),
        order_type=OrderType.MARKET,
        limit_price=None,
        time_in_force=TimeInForce.DAY,
        currency="USD",
        custodian="custodian-a",
        increment=Decimal(1),
    )


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
