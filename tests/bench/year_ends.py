"""Tax: the year-end of a book that is in PostgreSQL, from the messages of `StreamYearEnds` to its answers.

Households of two accounts with 100 lots each. Measured is the processor time of this process, from a message with
taxpayers to the bytes of their answer, some hundred at a time: reading rows, the way to a computing process and back,
computing, and what the answer is made of. The database's own time is not in it, and is said by itself.
`EVENKEEL_BENCH_YEAR_END_ACCOUNTS` is how many accounts there are.
"""

import asyncio
import os
import pickle
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import text

from evenkeel.common.v1.columns_pb2 import DecimalColumn
from evenkeel.decision.v1 import year_end_service_pb2 as pb
from evenkeel.decision.v1.tax_service_pb2 import UnitedStatesTaxpayer
from services.decision.api.year_end_messages import named_of, year_ends_message
from services.decision.app.year_ends import TOGETHER_MAX, YearEndApp
from services.decision.domain.book import AccountBook, HoldingKind, Position, Snapshot, SnapshotId, TaxWrapper
from services.decision.domain.instruments import Instrument
from services.decision.domain.problem import LotId, LotState
from services.decision.domain.tax.account_rows import RowFilers
from services.decision.domain.tax.filing import Filed, Filer, Filing
from services.decision.domain.tax.year_end_columns import year_end_table
from services.decision.domain.tax.year_end_table import YearEndTable
from services.decision.domain.tax.year_ends import filed
from services.decision.store.ledger import PostgresLedger
from services.decision.store.taxes import TaxSessions
from services.kernel.ids import AccountId, HouseholdId, InstrumentId
from services.runtime.clock import SystemClock
from services.runtime.database import Database
from tests.bench.decision_database import decision_database
from tests.bench.results import Result

ACCOUNTS = int(os.environ.get("EVENKEEL_BENCH_YEAR_END_ACCOUNTS", "10000"))
LOTS, ASSETS, TOGETHER, CHUNK = 100, 20, 2, 1_000
YEAR, AS_OF = 2025, datetime(2025, 12, 31, 22, tzinfo=UTC)
NAMES = [InstrumentId(f"ETF-{number:02}") for number in range(ASSETS)]
SNAPSHOT = SnapshotId("snapshot-bench")
KIB_PER_MIB = 1024


@dataclass(frozen=True, slots=True)
class _Here:
    """Computes in this process what a computing process would, the way there and back included."""

    async def year_ends(self, filing: Filing, filers: Sequence[Filer]) -> tuple[Filed, ...]:
        sent: Sequence[Filer] = pickle.loads(pickle.dumps(filers))
        answer: tuple[Filed, ...] = pickle.loads(pickle.dumps(filed(filing, sent)))
        return answer

    async def year_end_table(self, filing: Filing, filers: RowFilers) -> YearEndTable:
        sent: tuple[Filing, RowFilers] = pickle.loads(pickle.dumps((filing, filers)))
        answer: YearEndTable = pickle.loads(pickle.dumps(year_end_table(*sent)))
        return answer


def year_end_book() -> Sequence[Result]:
    """Measure accounts a second of one core, and the memory that the process needs more than before the first."""
    return asyncio.run(_measured())


async def _measured() -> Sequence[Result]:
    async with decision_database() as database:
        await _fill(database)
        # Nothing is sold in this book, so that policy is never asked.
        policy: Any = None
        app = YearEndApp(SystemClock(), SystemClock(), TaxSessions(database).read, policy, _Here())
        rng = np.random.default_rng(1)
        prices = {str(name): Decimal(int(rng.integers(40_00, 160_00))).scaleb(-2) for name in NAMES}
        filing = replace(await app.filing(YEAR, None, None), prices=prices, day=AS_OF.date())
        requests = [
            _request(range(begin, min(begin + TOGETHER_MAX, ACCOUNTS // TOGETHER)))
            for begin in range(0, ACCOUNTS // TOGETHER, TOGETHER_MAX)
        ]
        # The first compiles or loads what is compiled.
        await _answer(app, filing, _request(range(1)))
        before, servers, started = _memory(), await _server_time(database), time.process_time()
        for request in requests:
            await _answer(app, filing, request)
        spent, served = time.process_time() - started, await _server_time(database) - servers
        return [
            Result("tax.year_end_book_per_s", ACCOUNTS / spent, "accounts/s of one core"),
            Result("tax.year_end_book_server_ms", served / ACCOUNTS * 1000, "ms an account, of PostgreSQL's"),
            Result("tax.year_end_book_mib", _memory() - before, "MiB more than before"),
        ]


def _request(which: range) -> bytes:
    count = len(which)
    return pb.YearEndTaxpayers(
        taxpayer_ids=[f"taxpayer-{number:06}" for number in which],
        household_ids=[f"household-{number:06}" for number in which],
        united_states=pb.UnitedStatesTaxpayers(
            filing_statuses=[UnitedStatesTaxpayer.FILING_STATUS_SINGLE] * count,
            ordinary_incomes=DecimalColumn(units=[100_000] * count),
        ),
    ).SerializeToString()


async def _answer(app: YearEndApp, filing: Filing, request: bytes) -> None:
    jurisdiction, named = named_of(pb.YearEndTaxpayers.FromString(request))
    message = year_ends_message(jurisdiction, filing, await app.answered(filing, named))
    if not all(message.compiled) or len(message.compiled) != len(named) or not message.losses.taxpayers:
        raise AssertionError(f"not everybody went by columns: {message.refusals[:3]}")
    message.SerializeToString()


async def _server_time(database: Database) -> float:
    """Return the processor time, in seconds, of the server's process that this one speaks to: it has one connection."""
    async with database.read() as connection:
        process = (await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one()
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    # User and system time, in ticks (proc(5)).
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIB_PER_MIB


async def _fill(database: Database) -> None:
    rng = np.random.default_rng(0)
    counts = ACCOUNTS, ACCOUNTS * ASSETS, ACCOUNTS * LOTS
    snapshot = Snapshot(SNAPSHOT, "bench", AS_OF, "sha256:bench", *counts, AS_OF)
    async with database.begin() as transaction:
        ledger = PostgresLedger(transaction)
        await ledger.lock_stream()
        await ledger.add_snapshot(snapshot, [Instrument(name, "USD", Decimal(1), "equity") for name in NAMES])
        for begin in range(0, ACCOUNTS, CHUNK):
            await ledger.add_accounts([_account(rng, each) for each in range(begin, min(begin + CHUNK, ACCOUNTS))])
        await ledger.open_accounts(snapshot, 0)


def _account(rng: np.random.Generator, number: int) -> AccountBook:
    return AccountBook(
        account_id=AccountId(f"account-{number:06}"),
        household_id=HouseholdId(f"household-{number // TOGETHER:06}"),
        custodian="bench",
        currency="USD",
        tax_wrapper=TaxWrapper.TAXABLE,
        cash=Decimal(1000),
        reserved_cash=Decimal(0),
        realized=(),
        positions=tuple(_position(rng, number, name) for name in NAMES),
        snapshot_id=SNAPSHOT,
        as_of_time=AS_OF,
        opening_position=0,
        booked_position=0,
        recent_trades=(),
    )


def _position(rng: np.random.Generator, number: int, name: InstrumentId) -> Position:
    lots = tuple(
        LotState(
            LotId(f"lot-{number}-{name}-{each}"),
            date(2015, 1, 1) + timedelta(days=int(rng.integers(0, 4000))),
            Decimal(int(rng.integers(1, 200))),
            Decimal(int(rng.integers(100_00, 20_000_00))).scaleb(-2),
        )
        for each in range(LOTS // ASSETS)
    )
    return Position(name, HoldingKind.TRADED, sum((lot.quantity for lot in lots), Decimal(0)), lots)
