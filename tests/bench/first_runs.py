"""Tax: the first run of a tax year, which brings every account whose whole history is on record to where it stands.

Households of two accounts, each with 80 purchases and 20 sales of six years on record. Measured is the processor time
of this process, from the ids of the accounts to the last transaction: reading the record, asking policy, assessing all
years and writing where each account stands. The database's own time is said by itself. Policy is answered here; how
often it is asked is counted, and each of its calls takes both services about as long as a bare call of `ground`.
`EVENKEEL_BENCH_FIRST_RUN_ACCOUNTS` is how many accounts there are.
"""

import asyncio
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import text

from services.decision.app.ports.policy import EffectivePolicies
from services.decision.app.tax_standing import StandingApp
from services.decision.domain.book import AccountBook, Snapshot, SnapshotId, TaxWrapper
from services.decision.domain.instruments import Instrument
from services.decision.domain.policy import Policy
from services.decision.domain.tax.assessment.history import Acquisition, Disposal
from services.decision.domain.tax.events import TaxEvent
from services.decision.store.ledger import PostgresLedger
from services.decision.store.taxes import PostgresTaxRecords, TaxSessions
from services.kernel.ids import AccountId, HouseholdId, InstrumentId, PolicyHash
from services.runtime.database import Database
from tests.bench.decision_database import decision_database
from tests.bench.results import Result

ACCOUNTS = int(os.environ.get("EVENKEEL_BENCH_FIRST_RUN_ACCOUNTS", "1000"))
PURCHASES, SALES, ASSETS, TOGETHER, CHUNK = 80, 20, 20, 2, 500
BEGIN, UNTIL, JANUARY = date(2020, 1, 1), date(2025, 12, 31), date(2026, 1, 5)
AS_OF = datetime(2025, 12, 31, 22, tzinfo=UTC)
NAMES = [InstrumentId(f"ETF-{number:02}") for number in range(ASSETS)]
SNAPSHOT = SnapshotId("snapshot-bench")
KIB_PER_MIB = 1024


@dataclass(slots=True)
class _Policy:
    """Answers at once: one policy, which names two instruments as identical."""

    said: Policy
    calls: int = 0
    asked: int = 0
    documents: dict[PolicyHash, bytes] = field(default_factory=lambda: {PolicyHash("sha256:policy"): b"policy"})

    async def resolve(self, account_ids: Sequence[AccountId], effective_time: datetime) -> EffectivePolicies:
        self.calls += 1
        self.asked += len(account_ids)
        (name,) = self.documents
        return EffectivePolicies(self.documents, {}, dict.fromkeys(account_ids, name))

    def read(self, document: bytes) -> Policy:
        return self.said


def first_run_of_a_year() -> Sequence[Result]:
    """Measure accounts a second of one core, and what the database and policy have to do for each."""
    return asyncio.run(_measured())


async def _measured() -> Sequence[Result]:
    async with decision_database() as database:
        account_ids = await _fill(database)
        identical = (frozenset(NAMES[:2]),)
        policy: Any = _Policy(Policy(weights={}, cash_weight=Decimal(1), identical=identical))
        sessions = TaxSessions(database)
        app = StandingApp(sessions.read, sessions.begin, policy)
        # The largest so far begins anew (proc(5)).
        Path("/proc/self/clear_refs").write_text("5")
        memory, server = _memory(), await _server_time(database)
        begun, started = time.perf_counter(), time.process_time()
        await app.bring_to(account_ids, JANUARY)
        spent, passed = time.process_time() - started, time.perf_counter() - begun
        served = await _server_time(database) - server
        await _check(database, account_ids)
        return [
            Result("tax.first_run_per_s", ACCOUNTS / spent, "accounts/s of one core"),
            Result("tax.first_run_ms", passed / ACCOUNTS * 1000, "ms an account, by the clock"),
            Result("tax.first_run_server_ms", served / ACCOUNTS * 1000, "ms an account, of PostgreSQL's"),
            Result("tax.first_run_policy_calls", policy.calls / ACCOUNTS, "calls an account"),
            Result("tax.first_run_mib", _memory() - memory, "MiB more than before"),
        ]


async def _check(database: Database, account_ids: Sequence[AccountId]) -> None:
    async with TaxSessions(database).read() as session:
        found = await session.books.holdings(account_ids)
        tried = await session.records.tried(account_ids)
    if any(each.stands_in != JANUARY.year for each in tried.values()) or not len(tried) == len(found) == ACCOUNTS:
        raise AssertionError("not every account stands in the new year")


async def _server_time(database: Database) -> float:
    """Return the processor time, in seconds, of the server's processes that this one speaks to."""
    async with database.read() as connection:
        query = text("SELECT pid FROM pg_stat_activity WHERE usename = current_user")
        processes = (await connection.execute(query)).scalars().all()
    # User and system time, in ticks (proc(5)).
    ticks = 0
    for each in processes:
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _memory() -> float:
    """Return the most memory that this process had, in MiB."""
    (line,) = (each for each in Path("/proc/self/status").read_text().splitlines() if each.startswith("VmHWM"))
    return int(line.split()[1]) / KIB_PER_MIB


async def _fill(database: Database) -> Sequence[AccountId]:
    rng = np.random.default_rng(0)
    snapshot = Snapshot(SNAPSHOT, "bench", AS_OF, "sha256:bench", ACCOUNTS, 0, 0, AS_OF)
    account_ids = [AccountId(f"account-{number:06}") for number in range(ACCOUNTS)]
    async with database.begin() as transaction:
        ledger, records = PostgresLedger(transaction), PostgresTaxRecords(transaction.connection)
        await ledger.lock_stream()
        await ledger.add_snapshot(snapshot, [Instrument(name, "USD", Decimal(1), "equity") for name in NAMES])
        await ledger.add_accounts([_account(number, each) for number, each in enumerate(account_ids)])
        await ledger.open_accounts(snapshot, 0)
        for begin in range(0, ACCOUNTS, CHUNK):
            some = account_ids[begin : begin + CHUNK]
            await records.add([event for each in some for event in _events(rng, each)], AS_OF)
        await records.complete(dict.fromkeys(account_ids, UNTIL))
    return account_ids


def _account(number: int, account_id: AccountId) -> AccountBook:
    return AccountBook(
        account_id=account_id,
        household_id=HouseholdId(f"household-{number // TOGETHER:06}"),
        custodian="bench",
        currency="USD",
        tax_wrapper=TaxWrapper.TAXABLE,
        cash=Decimal(1000),
        reserved_cash=Decimal(0),
        realized=(),
        positions=(),
        snapshot_id=SNAPSHOT,
        as_of_time=AS_OF,
        opening_position=0,
        booked_position=0,
        recent_trades=(),
    )


def _events(rng: np.random.Generator, account_id: AccountId) -> Sequence[TaxEvent]:
    """Return purchases on random days, and sales of what was bought before them."""
    events: list[TaxEvent] = []
    days = np.sort(rng.integers(0, (UNTIL - BEGIN).days, PURCHASES + SALES))
    sells = set((rng.permutation(PURCHASES + SALES - 10)[:SALES] + 10).tolist())
    held = dict.fromkeys(NAMES, 0)
    for number, offset in enumerate(days.tolist()):
        day, name = BEGIN + timedelta(days=offset), f"{account_id}-{number}"
        price = Decimal(int(rng.integers(50_00, 150_00))).scaleb(-2)
        most = max(NAMES, key=lambda each: held[each])
        if number in sells and held[most] > 1:
            units = int(rng.integers(1, held[most]))
            held[most] -= units
            events.append(TaxEvent(name, Disposal(name, day, account_id, most, Decimal(units), price * units)))
        else:
            asset, units = NAMES[int(rng.integers(ASSETS))], int(rng.integers(1, 200))
            held[asset] += units
            events.append(TaxEvent(name, Acquisition(name, day, account_id, asset, Decimal(units), price * units)))
    return events
